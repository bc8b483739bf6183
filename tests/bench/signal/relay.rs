//! Pairs that send each other offers as fast as they come through.

use crate::report::Report;
use crate::server::Server;
use crate::{Scale, medians, share};
use harness::socket::{Socket, frame, offer, source};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The measure that is plotted.
pub(crate) const CPU: &str = "relay: CPU";

/// Pairs, each with one message under way.
const PAIRS: usize = 50;

/// An offer's session description, in bytes.
const SDP_BYTES: usize = 1500;

/// How long a round lasts.
const ROUND: Duration = Duration::from_secs(1);

/// What one round came to.
#[derive(Debug, Default)]
struct Round {
    messages: usize,
    seconds: f64,
    /// From one's sending to the other's having it, each, in ms.
    delays: Vec<f64>,
}

/// Relays at every server in turns, beside `count` clients that are only there.
pub(crate) fn run(
    servers: &[&Server],
    count: usize,
    scale: Scale,
    report: &mut Report,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("relay: {error}");
    let mut pairs = Vec::new();
    for server in servers {
        pairs.push(Pairs::meet(server.at, count).map_err(failed)?);
    }
    let columns = || vec![Vec::new(); servers.len()];
    let [mut cpu, mut rate, mut p50, mut p99] = [columns(), columns(), columns(), columns()];
    for number in 0..=scale.rounds {
        for (at, server) in servers.iter().enumerate() {
            let mut round = Round::default();
            let spent =
                server.cpu_of(|| pairs[at].round(ROUND).map(|it| round = it)).map_err(failed)?;
            if number == 0 {
                // Nothing is warm yet.
                continue;
            }
            cpu[at].push(spent * 1e6 / round.messages as f64);
            rate[at].push(round.messages as f64 / round.seconds);
            p50[at].push(share(&round.delays, 0.5));
            p99[at].push(share(&round.delays, 0.99));
        }
    }
    report.row(CPU, count, "us a message", &medians(&cpu), "25");
    report.row("relay: rate", count, "messages a second", &medians(&rate), "");
    report.row("relay: delay, p50", count, "ms", &medians(&p50), "");
    report.row("relay: delay, p99", count, "ms", &medians(&p99), "half");
    Ok(())
}

/// Who sends to whom.
struct Pairs {
    senders: Vec<Socket>,
    receivers: Vec<Socket>,
    frames: Vec<Vec<u8>>,
}

impl Pairs {
    /// New clients in pairs; `tag` keeps their ids apart from earlier ones.
    fn meet(at: SocketAddr, tag: usize) -> std::io::Result<Self> {
        let all = |role: &str| -> std::io::Result<Vec<Socket>> {
            let enter = |number| Socket::enter(source(0), at, &format!("{role}-{tag}-{number}"));
            (0..PAIRS).map(enter).collect()
        };
        let (senders, receivers) = (all("sender")?, all("receiver")?);
        let frames = (0..PAIRS)
            .map(|number| frame(&offer(&format!("receiver-{tag}-{number}"), SDP_BYTES)))
            .collect();
        Ok(Self { senders, receivers, frames })
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    fn round(&mut self, limit: Duration) -> std::io::Result<Round> {
        let began = Instant::now();
        let mut round = Round::default();
        let mut sent: Vec<Instant> =
            (0..PAIRS).map(|number| self.send(number)).collect::<Result<_, _>>()?;
        let mut waiting = [true; PAIRS];
        while waiting.contains(&true) {
            for number in self.ready()? {
                self.receivers[number].fill()?;
                if self.receivers[number].next()?.is_none() {
                    continue;
                }
                let now = Instant::now();
                round.delays.push(now.duration_since(sent[number]).as_secs_f64() * 1e3);
                if now.duration_since(began) < limit {
                    sent[number] = self.send(number)?;
                } else {
                    waiting[number] = false;
                }
            }
        }
        round.messages = round.delays.len();
        round.seconds = began.elapsed().as_secs_f64();
        Ok(round)
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    fn send(&mut self, number: usize) -> std::io::Result<Instant> {
        let now = Instant::now();
        self.senders[number].stream().write_all(&self.frames[number])?;
        Ok(now)
    }

    /// The receivers to whom something has come.
    fn ready(&mut self) -> std::io::Result<Vec<usize>> {
        let streams = self.receivers.iter_mut().map(|it| &*it.stream());
        let mut polled: Vec<PollFd<'_>> =
            streams.map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
        poll(&mut polled, None)?;
        let is_ready = |(at, one): (usize, &PollFd<'_>)| (!one.revents().is_empty()).then_some(at);
        Ok(polled.iter().enumerate().filter_map(is_ready).collect())
    }
}

/// One pair that relays at leisure until `work` is done: the delays, in ms.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn beside<T: Send>(
    at: SocketAddr,
    work: impl FnOnce() -> T + Send,
) -> Result<(T, Vec<f64>), String> {
    let failed = |error: std::io::Error| format!("the pair beside: {error}");
    let mut sender = Socket::enter(source(1), at, "beside-sender").map_err(failed)?;
    let mut receiver = Socket::enter(source(2), at, "beside-receiver").map_err(failed)?;
    let bytes = frame(&offer("beside-receiver", SDP_BYTES));
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        let mut delays = Vec::new();
        while !work.is_finished() {
            let sent = Instant::now();
            sender.stream().write_all(&bytes).map_err(failed)?;
            receiver.hear().map_err(failed)?;
            delays.push(sent.elapsed().as_secs_f64() * 1e3);
            // A pause, so that the pair is no load of its own.
            std::thread::sleep(Duration::from_millis(5));
        }
        let done = work.join().map_err(|_| "the work beside broke")?;
        Ok((done, delays))
    })
}
