//! Clients that are only there: a process of their own for each server, as one process may not
//! have so many files.

use harness::socket::{Socket, frame, source};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long [`Crowd::beat`] goes on: two heartbeats of each client.
pub(crate) const BEAT_SECONDS: f64 = 10.0;

/// Clients that come at once.
const AT_ONCE: usize = 50;

/// Clients of one address.
const OF_ONE: usize = 500;

/// A process full of clients; they go with it.
#[derive(Debug)]
pub(crate) struct Crowd {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Crowd {
    /// Nobody yet; clients will come from the addresses that begin at number `sources`.
    pub(crate) fn gather(at: SocketAddr, sources: usize) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .args(["--crowd", &at.to_string(), &sources.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the crowd: {error}"))?;
        let orders = child.stdin.take().ok_or("the crowd has no input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("the crowd has no output")?);
        Ok(Self { child, orders, answers })
    }

    /// Lets more come until there are so many.
    pub(crate) fn grow(&mut self, count: usize) -> Result<(), String> {
        self.order(&format!("grow {count}"))
    }

    /// Has each client send HEARTBEAT every 5 s, for [`BEAT_SECONDS`].
    pub(crate) fn beat(&mut self) -> Result<(), String> {
        self.order("beat")
    }

    fn order(&mut self, order: &str) -> Result<(), String> {
        writeln!(self.orders, "{order}").map_err(|error| format!("the crowd: {error}"))?;
        let mut answer = String::new();
        let _ = self.answers.read_line(&mut answer);
        if answer == "ok\n" { Ok(()) } else { Err(format!("the crowd: {order}: {answer:?}")) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The crowd's own process: does what standard input says until that ends.
pub(crate) fn stand(words: &[String]) -> Result<(), String> {
    let [at, sources] = words else { return Err("--crowd ADDRESS SOURCES".into()) };
    let at: SocketAddr = at.parse().map_err(|_| format!("{at}: no address"))?;
    let sources: usize = sources.parse().map_err(|_| format!("{sources}: no number"))?;
    let mut clients = Vec::new();
    raise_file_limit();
    for order in std::io::stdin().lines().map_while(Result::ok) {
        let done = match order.strip_prefix("grow ").and_then(|count| count.parse().ok()) {
            Some(count) => grow(&mut clients, count, at, sources),
            None => beat(&mut clients),
        };
        done.map_err(|error| format!("the crowd, with {} clients: {error}", clients.len()))?;
        crate::say("ok");
    }
    Ok(())
}

fn grow(
    clients: &mut Vec<Socket>,
    count: usize,
    at: SocketAddr,
    sources: usize,
) -> std::io::Result<()> {
    while clients.len() < count {
        let range = clients.len()..count.min(clients.len() + AT_ONCE);
        let knock = |number: usize| {
            // As long as a UUID.
            let id = format!("00000000-0000-4000-8000-{number:012}");
            Socket::knock(source(sources + number / OF_ONE), at, &id)
        };
        let knocked: Vec<Socket> = range.map(knock).collect::<Result<_, _>>()?;
        for socket in knocked {
            clients.push(socket.open()?);
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn beat(clients: &mut [Socket]) -> std::io::Result<()> {
    let beat = frame("{\"type\":\"HEARTBEAT\"}");
    let began = Instant::now();
    let pause = Duration::from_secs(5) / u32::try_from(clients.len()).unwrap_or(u32::MAX).max(1);
    for number in 0..clients.len() * 2 {
        let due = pause * u32::try_from(number).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let at = number % clients.len();
        clients[at].stream().write_all(&beat)?;
    }
    std::thread::sleep(Duration::from_secs_f64(BEAT_SECONDS).saturating_sub(began.elapsed()));
    Ok(())
}

/// The usual soft limit of 1024 is a small crowd.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
