//! What nightjar-signal takes and gives beside npm's `peer`, both running at the same time.
//!
//! ```text
//! cargo bench -p tests --bench signal                 5 rounds
//! cargo bench -p tests --bench signal -- --quick      1 round, a tenth of the clients
//!     ... --record   adds the rows to tests/bench/signal.csv
//! ```
//! The peer is what package-lock.json beside this file names, under node; where it cannot be
//! had, that is said and its column stays empty.

mod crowd;
mod flood;
mod heads;
mod relay;
mod report;
mod server;

use report::Report;
use server::Server;
use std::io::Write;
use std::process::ExitCode;

/// How much is done.
#[derive(Debug, Clone, Copy)]
struct Scale {
    rounds: usize,
    /// What numbers of clients and bytes are divided by.
    part: usize,
}

/// The numbers of idle clients at which memory and relay are measured.
const CROWDS: [usize; 6] = [0, 1_000, 2_500, 5_000, 7_500, 10_000];

/// One line for whoever watches.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let done = match words.first().map(String::as_str) {
        Some("--crowd") => crowd::stand(&words[1..]),
        _ => read(&words).and_then(|(scale, record)| run(scale, record)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "signal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(words: &[String]) -> Result<(Scale, bool), String> {
    let (mut scale, mut record) = (Scale { rounds: 5, part: 1 }, false);
    for word in words {
        match word.as_str() {
            "--quick" => scale = Scale { rounds: 1, part: 10 },
            "--record" => record = true,
            other => return Err(format!("{other}: no such option")),
        }
    }
    Ok((scale, record))
}

fn run(scale: Scale, record: bool) -> Result<(), String> {
    let mut report = Report::new();
    let peer = server::peer().inspect_err(|why| say(&format!("left out: npm's peer ({why})"))).ok();
    let kinds: Vec<server::Kind> = Some(server::Kind::Ours).into_iter().chain(peer).collect();
    start(&kinds, scale, &mut report)?;
    grow(&kinds, scale, &mut report)?;
    heads::run(&kinds, scale, &mut report)?;
    flood::run(&kinds, scale, &mut report)?;
    report.end(record)
}

/// From the start of the process to its first answer, and the memory it has then.
fn start(kinds: &[server::Kind], scale: Scale, report: &mut Report) -> Result<(), String> {
    Report::title("Start");
    let (mut times, mut sizes) = (vec![Vec::new(); kinds.len()], vec![Vec::new(); kinds.len()]);
    for _ in 0..=scale.rounds * 2 {
        for (at, kind) in kinds.iter().enumerate() {
            let (server, ms) = Server::start(kind)?;
            times[at].push(ms);
            sizes[at].push(server.resident_mib());
        }
    }
    report.row("start to first answer", 0, "ms", &medians(&times), "10");
    report.row("resident at the start", 0, "MiB", &medians(&sizes), "3");
    Ok(())
}

/// Memory and relay as the number of idle clients grows, to both servers at once.
fn grow(kinds: &[server::Kind], scale: Scale, report: &mut Report) -> Result<(), String> {
    Report::title("Idle clients, and 50 pairs that relay a 1.5 kB OFFER beside them");
    let mut sides = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        let (server, _) = Server::start(kind)?;
        let crowd = crowd::Crowd::gather(server.at, 100 * (at + 1))?;
        sides.push((server, crowd));
    }
    let bases: Vec<f64> = sides.iter().map(|(server, _)| server.resident_mib()).collect();
    for count in CROWDS.map(|count| count / scale.part) {
        for (_, crowd) in &mut sides {
            crowd.grow(count)?;
        }
        let sizes: Vec<f64> = sides.iter().map(|(server, _)| server.resident_mib()).collect();
        let grown = sizes.iter().zip(&bases).map(|(size, base)| size - base);
        let each: Vec<f64> = grown.map(|mib| mib * 1024.0 * 1024.0 / count.max(1) as f64).collect();
        if count > 0 {
            report.row("resident", count, "MiB", &sizes, if count == 10_000 { "30" } else { "" });
            report.row("for each idle client", count, "bytes", &each, "");
        }
        let servers: Vec<&Server> = sides.iter().map(|(server, _)| server).collect();
        relay::run(&servers, count, scale, report)?;
    }
    report.plot("CPU us a message, as idle clients grow", relay::CPU);
    let count = CROWDS[CROWDS.len() - 1] / scale.part;
    let mut shares = Vec::new();
    for (server, crowd) in &mut sides {
        shares.push(server.cpu_of(|| crowd.beat())? / crowd::BEAT_SECONDS * 100.0);
    }
    report.row("a HEARTBEAT every 5 s from each", count, "% of a core", &shares, "");
    let sizes: Vec<f64> = sides.iter().map(|(server, _)| server.resident_mib()).collect();
    report.row("resident after all that", count, "MiB", &sizes, "");
    Ok(())
}

fn medians(all: &[Vec<f64>]) -> Vec<f64> {
    all.iter().map(|values| share(values, 0.5)).collect()
}

/// The value that a `part` of all are at most; NaN of none.
fn share(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
