//! One shipped binary as a running process, ended when the test lets go of it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a program may take until it says `ready`.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running program and what its `ready` line said.
#[derive(Debug)]
pub struct Program {
    child: Child,
    ready: String,
    log: Arc<Mutex<String>>,
    /// Reads the log until the program ends.
    reader: Option<JoinHandle<()>>,
}

/// The path of a binary of this workspace, beside the running test's.
///
/// # Panics
/// Where it has not been built: `cargo build --release --workspace` first.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder =
        test.parent().and_then(|deps| deps.parent()).expect("tests run from target/*/deps");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --release` first", path.display());
    path
}

/// How long a program that ends by itself may take.
const END_WITHIN: Duration = Duration::from_mins(1);

/// Runs a program that ends by itself; its exit code and what it wrote.
///
/// # Panics
/// When it does not end in time; it is killed then.
pub fn outcome(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let pid = child.id().to_string();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    if let Ok(output) = end.recv_timeout(END_WITHIN) {
        return output.expect("a child can be waited for");
    }
    let _ = Command::new("kill").args(["-KILL", &pid]).status();
    panic!("{command:?} did not end: {:?}", end.recv());
}

impl Program {
    /// Starts `name` with `args` and waits for its `ready` line.
    ///
    /// # Panics
    /// When the program ends or says nothing in time; its standard error is in the message.
    pub fn start(name: &str, args: &[&str]) -> Self {
        let mut child = Command::new(binary(name))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        let (ready_out, ready_in) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = ready_out.send(line);
            }
        });
        let log = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&log);
        let noise = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = heard.lock().expect("nobody panics with it");
                *log += &line;
                log.push('\n');
            }
        });
        match ready_in.recv_timeout(READY_WITHIN) {
            Ok(ready) if ready.starts_with("ready ") => {
                Self { child, ready, log, reader: Some(noise) }
            }
            other => {
                let _ = child.kill();
                let _ = child.wait();
                let _ = noise.join();
                panic!("{name} is not ready ({other:?}): {}", log.lock().expect("a log"));
            }
        }
    }

    /// The value of `key=` in the ready line.
    ///
    /// # Panics
    /// When the line has no such key.
    pub fn address(&self, key: &str) -> &str {
        self.ready
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no {key}= in {:?}", self.ready))
    }

    /// What it has written to standard error so far.
    ///
    /// # Panics
    /// When the thread that reads it has.
    pub fn log(&self) -> String {
        self.log.lock().expect("nobody panics with it").clone()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, named without its SIG.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} works");
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(self) -> ExitStatus {
        self.end().0
    }

    /// Sends SIGTERM and waits for the end; also all that it has written to standard error.
    pub fn end(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until it ends by itself; also all that it has written to standard error.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("a child can be waited for");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it reads");
        }
        (status, self.log())
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
