//! Questions on a terminal: a line, or a line that nobody sees.

use crate::failure::Failure;
use crate::screen::{self, Screen};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{IsTerminal, stdin};
use std::sync::Mutex;

/// Whether somebody is there.
pub(super) fn is_possible() -> bool {
    stdin().is_terminal()
}

/// Asks for a line; the end of input is an empty one.
pub(super) fn ask(screen: &Mutex<Screen>, question: &str) -> Result<String, Failure> {
    screen::lock(screen).prompt(question);
    let mut line = String::new();
    let read = stdin().read_line(&mut line);
    read.map_err(|error| Failure::Trouble(format!("no answer can be read: {error}")))?;
    Ok(line.trim().to_owned())
}

/// The same, unseen.
pub(super) fn ask_unseen(screen: &Mutex<Screen>, question: &str) -> Result<String, Failure> {
    let Ok(before) = tcgetattr(stdin()) else { return ask(screen, question) };
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    let _ = tcsetattr(stdin(), OptionalActions::Now, &unseen);
    let answer = ask(screen, question);
    let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    screen::lock(screen).prompt("\n");
    answer
}
