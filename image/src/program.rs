//! One of Nightjar's programs as a child of this one: started, heard, stopped.

use crate::failure::Failure;
use crate::screen::{self, Screen};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Wakes that wait for the one loop. A program sends two in its life and a person few:
/// when full, the sender waits.
pub(crate) const WAKES: usize = 16;

/// Everything that can wake the loop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// A program answers; its line.
    Ready(&'static str, String),
    /// A program closed its standard output.
    Ended(&'static str),
    /// Somebody asked us to stop.
    Stop,
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    complaints: Option<JoinHandle<String>>,
}

impl Program {
    /// Starts `folder/name` in a process group of its own, so that a Ctrl-C is ours to pass on.
    pub(crate) fn start(
        folder: &Path,
        name: &'static str,
        args: &[OsString],
        wakes: &SyncSender<Wake>,
        screen: &Arc<Mutex<Screen>>,
    ) -> Result<Self, Failure> {
        let mut child = Command::new(folder.join(name))
            .args(args)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::Trouble(format!("{name} does not start: {error}")))?;
        if let Some(stdout) = child.stdout.take() {
            let wakes = wakes.clone();
            std::thread::spawn(move || hear(name, stdout, &wakes));
        }
        let screen = Arc::clone(screen);
        let complaints =
            child.stderr.take().map(|it| std::thread::spawn(move || repeat(it, &screen)));
        Ok(Self { name, child, complaints })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Ends it now.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end of one that closed its output; `Err` says how it failed.
    pub(crate) fn farewell(&mut self) -> Result<(), Failure> {
        let name = self.name;
        let ended = self.child.wait();
        let words = self.complaints.take().and_then(|it| it.join().ok()).unwrap_or_default();
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Trouble(format!("{name} ended ({status}): {words}"))),
            Err(error) => Err(Failure::Trouble(format!("{name}: {error}"))),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for the ready line, then for the end.
fn hear(name: &'static str, stdout: ChildStdout, wakes: &SyncSender<Wake>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if line.starts_with("ready ") {
            let _ = wakes.send(Wake::Ready(name, line));
        }
    }
    let _ = wakes.send(Wake::Ended(name));
}

/// Shows what a program complains of; returns its last line.
fn repeat(stderr: ChildStderr, screen: &Mutex<Screen>) -> String {
    let mut last = String::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        screen::lock(screen).say(&line);
        last = line;
    }
    last
}

/// The value of `key=` in a ready line.
pub(crate) fn ready_value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_is_read_by_key() {
        let line = "ready http=127.0.0.1:9000 stun=127.0.0.1:3478";
        assert_eq!(ready_value(line, "http"), Some("127.0.0.1:9000"));
        assert_eq!(ready_value(line, "stun"), Some("127.0.0.1:3478"));
        assert_eq!(ready_value(line, "tls"), None);
    }
}
