//! Connections that begin a request and never end it, and somebody who only wants the page.

use crate::report::Report;
use crate::server::{Kind, Server, ask};
use crate::{Scale, share};
use harness::socket::{connect, source};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Half-open heads, and how many of them come from one address.
const HEADS: usize = 2_000;
const OF_ONE: usize = 125;

/// Until when all of them are to be closed.
const WITHIN: Duration = Duration::from_secs(10);

/// Opens all, and asks for the page until the last is closed or the time is over.
pub(crate) fn run(kinds: &[Kind], scale: Scale, report: &mut Report) -> Result<(), String> {
    let count = HEADS / scale.part;
    Report::title(&format!("{count} heads that never end, for {} s", WITHIN.as_secs()));
    let [mut closed, mut last, mut p50, mut p99, mut grown] = [const { Vec::new() }; 5];
    for kind in kinds {
        let (server, _) = Server::start(kind)?;
        let before = server.resident_mib();
        let heads = open(server.at, count).map_err(|error| format!("heads: {error}"))?;
        let most = server.resident_mib();
        let watcher = std::thread::spawn(move || watch(heads));
        let mut delays = Vec::new();
        while !watcher.is_finished() {
            delays.push(visit(server.at)?);
            std::thread::sleep(Duration::from_millis(5));
        }
        let ends = watcher.join().map_err(|_| "the watcher broke")?;
        closed.push(ends.len() as f64);
        last.push(share(&ends, 1.0));
        p50.push(share(&delays, 0.5));
        p99.push(share(&delays, 0.99));
        grown.push(most - before);
    }
    report.row("closed", count, "heads", &closed, "all");
    report.row("the last one closed after", count, "s", &last, "10");
    report.row("a request meanwhile, p50", count, "ms", &p50, "");
    report.row("a request meanwhile, p99", count, "ms", &p99, "20");
    report.row("grown by", count, "MiB", &grown, "");
    Ok(())
}

fn open(at: SocketAddr, count: usize) -> std::io::Result<Vec<TcpStream>> {
    let open = |number: usize| {
        let mut stream = connect(source(10 + number / OF_ONE), at)?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")?;
        Ok(stream)
    };
    (0..count).map(open).collect()
}

/// When each was closed, in s since all were open; those that were not are not listed.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn watch(heads: Vec<TcpStream>) -> Vec<f64> {
    let began = Instant::now();
    let mut ends = Vec::new();
    for mut stream in heads {
        let left = WITHIN.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        let mut rest = Vec::new();
        let asked = stream.set_read_timeout(Some(left));
        if asked.is_ok() && is_end(&stream.read_to_end(&mut rest)) {
            ends.push(began.elapsed().as_secs_f64());
        }
    }
    ends
}

/// Whether reading came to an end, rather than to the end of its time.
fn is_end(read: &std::io::Result<usize>) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    read.as_ref().map_or_else(|error| !matches!(error.kind(), TimedOut | WouldBlock), |_| true)
}

/// How long a whole request takes, in ms.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn visit(at: SocketAddr) -> Result<f64, String> {
    let began = Instant::now();
    let stream = connect(source(0), at).map_err(|error| format!("a visit: {error}"))?;
    ask(stream).ok_or("a visit: no answer")?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
