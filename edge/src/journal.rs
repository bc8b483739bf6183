//! Lines on standard error, for changes of state only.
//!
//! Nothing written here may hold an address, a peer id, a token, an SDP or a picture.

use std::cell::Cell;
use std::fmt::Arguments;
use std::io::Write;
use std::panic::PanicHookInfo;

thread_local! {
    static HUSHED: Cell<bool> = const { Cell::new(false) };
}

/// Has panics written as lines of where they were. What they say is left out: it may quote a
/// stranger's bytes.
pub fn hook_panics() {
    std::panic::set_hook(Box::new(say_panic));
}

/// Whether this thread's panics go unsaid: in a row of the same ones, the first is enough.
pub fn hush_panics(hushed: bool) {
    HUSHED.set(hushed);
}

/// Whether they do.
pub fn is_hushed() -> bool {
    HUSHED.try_with(Cell::get).unwrap_or(false)
}

fn say_panic(info: &PanicHookInfo<'_>) {
    if is_hushed() {
        return;
    }
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a thread without a name");
    match info.location() {
        Some(place) => crate::say!("panic in {name} at {}:{}", place.file(), place.line()),
        None => crate::say!("panic in {name}"),
    }
}

/// Writes one line; a closed standard error is no reason to stop.
pub fn line(text: Arguments<'_>) {
    #[cfg(test)]
    if is_hushed() {
        return;
    }
    let _ = writeln!(std::io::stderr().lock(), "nightjar-edge: {text}");
}

/// Writes one line to standard error: `say!("camera {name}: {state}")`.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::journal::line(format_args!($($arg)*)) };
}
