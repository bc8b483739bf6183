//! What people see: lines that stay, and one below them that lives.
//!
//! On a terminal the living line is rewritten in place; elsewhere it is printed as an
//! ordinary line whenever it changed.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Columns where the terminal does not tell.
const USUAL_WIDTH: usize = 80;

/// Standard output, and what its last line is.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    living: String,
}

/// The screen, for one line; a thread that panicked while writing is no reason to be silent.
pub(crate) fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line that stays, on a screen that threads share.
pub(crate) fn say(screen: &Mutex<Screen>, line: &str) {
    lock(screen).say(line);
}

impl Screen {
    /// Standard output as it is.
    pub(crate) fn new() -> Self {
        Self { terminal: stdout().is_terminal(), living: String::new() }
    }

    /// Whether lines can be rewritten.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A line that stays.
    pub(crate) fn say(&mut self, line: &str) {
        let living = if self.terminal { std::mem::take(&mut self.living) } else { String::new() };
        let wipe = if living.is_empty() { "" } else { WIPE };
        write(&format!("{wipe}{line}\n"));
        self.live(&living);
    }

    /// Rewrites the living line.
    pub(crate) fn live(&mut self, line: &str) {
        if line.is_empty() || line == self.living {
            return;
        }
        if self.terminal {
            let fitting: String = line.chars().take(width().saturating_sub(1)).collect();
            write(&format!("{WIPE}{fitting}"));
        } else {
            write(&format!("{line}\n"));
        }
        line.clone_into(&mut self.living);
    }

    /// Words that the answer comes behind.
    pub(crate) fn prompt(&mut self, words: &str) {
        self.rest();
        write(words);
    }

    /// Ends the living line: what follows begins on a fresh one.
    pub(crate) fn rest(&mut self) {
        if self.terminal && !self.living.is_empty() {
            write("\n");
        }
        self.living.clear();
    }

    /// A line on standard error.
    pub(crate) fn complain(&mut self, line: &dyn Display) {
        self.rest();
        let _ = writeln!(stderr().lock(), "nightjar: {line}");
    }
}

/// `[#####.....]  52 %`
pub(crate) fn bar(done: u64, total: u64) -> String {
    const CELLS: usize = 40;
    let percent = done.saturating_mul(100) / total.max(1);
    let percent = usize::try_from(percent.min(100)).unwrap_or(100);
    let full = percent * CELLS / 100;
    format!("[{}{}] {percent:3} %", "#".repeat(full), ".".repeat(CELLS - full))
}

/// To the line's beginning, and clear it.
const WIPE: &str = "\r\x1b[K";

/// A closed standard output is no reason to stop.
fn write(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(stdout());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|&it| it > 0).unwrap_or(USUAL_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn the_bar_grows_from_empty_to_full() {
        assert_eq!(bar(0, 1000), format!("[{}]   0 %", ".".repeat(40)));
        assert_eq!(bar(1000, 1000), format!("[{}] 100 %", "#".repeat(40)));
        assert_eq!(bar(2000, 1000), bar(1000, 1000));
        assert_eq!(bar(0, 0), bar(0, 1));
    }
}
