//! What the link costs beside two other answerers: aiortc and libdatachannel, in one run, to one Chromium page.
//!
//! ```text
//! cargo build --release -p signal -p edge --features edge/faults
//! install target/release/nightjar-edge target/release/nightjar-edge-faults
//! cargo bench -p tests --bench link                 5 rounds
//! cargo bench -p tests --bench link -- --quick      1 round
//!     ... --record     15 rounds; adds the rows to tests/bench/link.csv
//!     ... PART...      only those: loopback offers path50 path100 lossy100 timeline
//! cargo bench -p tests --bench link -- --inflight   polls and CPU against bytes in flight, without a browser
//! ```
//! All of it happens in a network namespace (tests/namespace). An answerer that cannot be had is
//! named and its column stays empty.

mod answerers;
mod inflight;
mod relay;
mod report;

use answerers::Answerer;
use report::Report;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

/// What is measured, in this order.
const PARTS: [&str; 6] = ["loopback", "offers", "path50", "path100", "lossy100", "timeline"];

/// How much is done.
#[derive(Debug)]
struct Wish {
    rounds: usize,
    /// Small requests, in a round.
    requests: usize,
    /// Large answers of 10 MiB, in a round.
    bulk: usize,
    /// Sessions opened and closed, in a round.
    offers: usize,
    /// How long a path is measured, in a round.
    seconds: usize,
    record: bool,
    parts: Vec<String>,
}

impl Wish {
    fn read(words: &[String]) -> Result<Self, String> {
        let (mut rounds, mut record, mut parts) = (5, false, Vec::new());
        for word in words {
            match word.as_str() {
                "--quick" => rounds = 1,
                "--record" => (rounds, record) = (15, true),
                part if PARTS.contains(&part) => parts.push(word.clone()),
                other => return Err(format!("{other}: no such option or part")),
            }
        }
        if parts.is_empty() {
            parts = PARTS.map(str::to_owned).into();
        }
        Ok(Self { rounds, requests: 1000, bulk: 2, offers: 20, seconds: 4, record, parts })
    }

    /// As the driver reads it.
    fn json(&self, bench: &str, peers: &[Answerer]) -> String {
        let peer = |peer: &Answerer| format!("{:?}:{:?}", peer.name, peer.command);
        let peers: Vec<String> = peers.iter().map(peer).collect();
        let Self { rounds, requests, bulk, offers, seconds, parts, .. } = self;
        format!(
            r#"{{"rounds":{rounds},"requests":{requests},"bulk":{bulk},"offers":{offers},"seconds":{seconds},"parts":{parts:?},"bench":{bench:?},"peers":{{{}}}}}"#,
            peers.join(",")
        )
    }
}

/// One line for whoever watches.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let done = match words.first().map(String::as_str) {
        Some("--relay") => relay::run(&words[1..]),
        Some("--inflight") => inflight::run(),
        _ => Wish::read(&words).and_then(|wish| run(&wish)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "link: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(wish: &Wish) -> Result<(), String> {
    let peers = answerers::others();
    let mut report = Report::new(wish.rounds);
    let bench = std::env::current_exe().map_err(|error| error.to_string())?;
    let wanted = wish.json(&bench.to_string_lossy(), &peers);
    let mut driver = Command::new("tests/namespace")
        .args(["node", "tests/bench/link/drive.mjs", &wanted])
        .current_dir(harness::data::repository())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("tests/namespace: {error}"))?;
    let lines = driver.stdout.take().ok_or("the driver has no output")?;
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        if !report.take(&line) {
            say(&line);
        }
    }
    let ended = driver.wait().map_err(|error| error.to_string())?;
    report.end(wish.record)?;
    if ended.success() { Ok(()) } else { Err(format!("the driver ended with {ended}")) }
}
