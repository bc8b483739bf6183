//! Questions on a terminal: a line, or a line that nobody sees.

use crate::failure::Failure;
use crate::screen::{self, Screen};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
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

/// The same, unseen. Whoever stops us meanwhile gets the terminal back as it was.
pub(super) fn ask_unseen(screen: &Mutex<Screen>, question: &str) -> Result<String, Failure> {
    let Ok(before) = tcgetattr(stdin()) else { return ask(screen, question) };
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    let restore = move || tcsetattr(stdin(), OptionalActions::Now, &before);
    restore_when_stopped(restore.clone())?;
    let _ = tcsetattr(stdin(), OptionalActions::Now, &unseen);
    let answer = ask(screen, question);
    let _ = restore();
    screen::lock(screen).prompt("\n");
    answer
}

/// From now on: what was let go of would be ignored, not as it was before.
fn restore_when_stopped<R>(restore: impl Fn() -> R + Send + 'static) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])
        .map_err(|error| Failure::Trouble(format!("signals cannot be heard: {error}")))?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            restore();
            let _ = emulate_default_handler(signal);
        }
    });
    Ok(())
}
