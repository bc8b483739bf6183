//! What a day costs the card: 2,000 events from a camera of 640 x 480, played through the store
//! in virtual time, on a file system as a card has it, counted below that file system.
//!
//! ```text
//! cargo bench -p tests --bench wear                a day in a store that is full (as root)
//! cargo bench -p tests --bench wear -- --better    every event gets better pictures before it closes
//!     ... --quick    an hour, in a small store
//!     ... --record   adds the rows to tests/bench/wear.csv
//! ```
//! The store lies on a loop device with ext4 (`noatime`, `commit=30`, `data=ordered`), and holds
//! as much as it may, so that retention works all day. The heartbeat of each minute is in it, and
//! what the kernel would write on its own every 30 s is had by a `syncfs` each 30 s of the day.
//! Sectors are those of /sys/block/loopN/stat; pages are counted by the kernel's tracing.

mod card;
mod day;

use card::{Card, Counted};
use day::Day;
use harness::figures::{self, Machine, rounded};
use std::io::Write;
use std::process::ExitCode;

/// Where rows stay, from the repository's top.
const CSV: &str = "tests/bench/wear.csv";
/// Its first line.
const COLUMNS: &str = "date,commit,machine,rustc,load,day,measure,value,unit,at most";
/// What the README promises of a day.
const PROMISE_MIB: f64 = 256.0;
const MIB: f64 = 1024.0 * 1024.0;

/// One line for whoever watches.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn main() -> ExitCode {
    let mut day = Day::whole();
    let mut record = false;
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "--bench" => {}
            "--quick" => day = day.an_hour(),
            "--better" => day.is_better = true,
            "--record" => record = true,
            other => {
                say(&format!("{other}: expected --quick, --better or --record"));
                return ExitCode::FAILURE;
            }
        }
    }
    match run(&day, record) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "wear: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(day: &Day, record: bool) -> Result<(), String> {
    let machine = Machine::here();
    let load = figures::load();
    say(&format!("{}; commit {}; load average {load}", machine.cpu, machine.commit));
    let Some(card) = Card::make(day.card_bytes)? else {
        say("left out: a loop device with ext4 needs root, mkfs.ext4 and losetup");
        return Ok(());
    };
    let bytes = day.fill(&card.folder())?;
    say(&format!("a full store of {} MiB; {}", bytes / (1 << 20), day.words()));
    let watch = card.watch()?;
    let told = day.play(&card.folder(), &card)?;
    let counted = watch.end()?;
    let rows = rows(&counted, &told);
    for (measure, value, unit, most) in &rows {
        let most = most.map(|most| format!("   at most {most}")).unwrap_or_default();
        say(&format!("  {measure:<50}{:>12} {unit}{most}", rounded(*value)));
    }
    let missed = rows
        .iter()
        .filter(|(.., most)| most.is_some())
        .any(|row| row.1 > row.3.unwrap_or(f64::MAX));
    if missed && day.is_whole() {
        say("missed: more than is promised");
    }
    if record {
        let Machine { cpu, rustc, commit, date, .. } = &machine;
        let lines: Vec<String> = rows
            .iter()
            .map(|(measure, value, unit, most)| {
                let about =
                    figures::fields([date, commit, cpu, rustc, &load, &day.words(), measure]);
                let most = most.map(|most| most.to_string()).unwrap_or_default();
                format!("{about},{},{unit},{most}", rounded(*value))
            })
            .collect();
        figures::keep(CSV, COLUMNS, &lines)?;
    }
    Ok(())
}

type Row = (&'static str, f64, &'static str, Option<f64>);

fn rows(counted: &Counted, told: &day::Told) -> Vec<Row> {
    let written = counted.bytes as f64 / MIB;
    let mut rows = vec![
        ("written to the card", written, "MiB", Some(PROMISE_MIB)),
        ("records in the log", told.log_bytes as f64 / MIB, "MiB", None),
        ("an event, on the card", counted.bytes as f64 / told.events as f64 / 1024.0, "KiB", None),
        ("written by the store into files", told.file_bytes as f64 / MIB, "MiB", None),
        ("changes of events, each synced alone", told.changes as f64, "", None),
        ("minutes, each with a heartbeat", told.minutes as f64, "", None),
        ("the file system's journal committed", counted.commits as f64, "times", None),
        ("the card was told to flush", counted.flushes as f64, "times", None),
    ];
    if let Some(pages) = &counted.pages {
        rows.push(("in the file system's journal", pages.journal as f64 / MIB, "MiB", None));
        rows.push(("the hottest page outside the journal", pages.hottest as f64, "times", None));
        rows.push((
            "the hottest page of the journal",
            pages.hottest_of_journal as f64,
            "times",
            None,
        ));
    }
    rows
}
