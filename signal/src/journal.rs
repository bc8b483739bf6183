//! Lines on standard error, for changes of state only.
//!
//! Nothing written here may hold a client's address, a peer id, a token or an SDP.

use std::fmt::Arguments;
use std::io::Write;

/// Writes one line; a closed standard error is no reason to stop.
pub fn line(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "nightjar-signal: {text}");
}

/// Writes one line to standard error: `say!("stopping")`.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::journal::line(format_args!($($arg)*)) };
}
