//! The servers as processes: what they are started with, and what the kernel knows of them.

use crate::say;
use harness::data::repository;
use harness::program::binary;
use harness::socket::resident_kib;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// nightjar-signal as it is shipped.
    Ours,
    /// npm's `peer`, by its program.
    Peer(PathBuf),
}

/// npm's `peer`, installed on first use.
pub(crate) fn peer() -> Result<Kind, String> {
    let folder = repository().join("tests/bench/signal");
    let program = folder.join("node_modules/.bin/peerjs");
    if !program.exists() {
        say("installing npm's peer in tests/bench/signal");
        let words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        let output = Command::new("npm").args(words).current_dir(&folder).output();
        let output = output.map_err(|error| format!("npm: {error}"))?;
        if !output.status.success() {
            return Err(format!("npm ci: {}", String::from_utf8_lossy(&output.stderr).trim_end()));
        }
    }
    Ok(Kind::Peer(program))
}

/// A running server; it ends with this.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it answers.
    pub(crate) at: SocketAddr,
}

impl Server {
    /// Starts one; with it, the ms until it answered its first request.
    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    pub(crate) fn start(kind: &Kind) -> Result<(Self, f64), String> {
        let at = free_address()?;
        let mut command = kind.command(at);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let server = Self { child, at };
        while !answers(at) {
            if began.elapsed() > PATIENCE {
                return Err(format!("{command:?} does not answer at {at}"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok((server, began.elapsed().as_secs_f64() * 1e3))
    }

    /// Its resident memory, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        resident_kib(self.child.id()) as f64 / 1024.0
    }

    /// The CPU time of all its threads while `work` is done, in seconds.
    pub(crate) fn cpu_of<E>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
        let before = self.cpu();
        work()?;
        Ok(self.cpu() - before)
    }

    /// Seconds on a CPU so far, from the scheduler's own count in ns.
    fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let spent = |path: PathBuf| -> Option<f64> {
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok()
        };
        let all = tasks.into_iter().flatten().flatten().filter_map(|task| spent(task.path()));
        all.sum::<f64>() / 1e9
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kind {
    /// Its command line, with room for everybody.
    fn command(&self, at: SocketAddr) -> Command {
        let (ip, port) = (at.ip().to_string(), at.port().to_string());
        match self {
            Self::Ours => {
                let mut command = Command::new(binary("nightjar-signal"));
                command.arg("--listen").arg(at.to_string());
                command.args(["--max-clients", "20000", "--max-per-address", "20000"]);
                command.args(["--message-rate", "100000", "--alive-timeout-ms", "3600000"]);
                command
            }
            Self::Peer(program) => {
                let mut command = Command::new("node");
                command.arg(program).args(["--host", &ip, "--port", &port]);
                command.args(["--concurrent_limit", "20000", "--alive_timeout", "3600000"]);
                command
            }
        }
    }
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener.and_then(|it| it.local_addr()).map_err(|error| format!("no free port: {error}"))
}

fn answers(at: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect(at) else { return false };
    ask(stream).is_some()
}

/// Sends a small request and reads the answer to its end.
pub(crate) fn ask(mut stream: TcpStream) -> Option<()> {
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    answer.starts_with(b"HTTP/1.1 200 ").then_some(())
}
