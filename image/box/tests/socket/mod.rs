//! The box's socket below a folder, as whoever asks there.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// What the box answers to one line; `None` while nobody listens.
pub(crate) fn ask(root: &Path, line: &str) -> Option<String> {
    let mut stream = UnixStream::connect(root.join("run/nightjar/box.sock")).ok()?;
    writeln!(stream, "{line}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
