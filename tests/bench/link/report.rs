//! The figures as they come, and as rows of a CSV when they are to stay.

use crate::say;
use harness::figures::{self, Machine, rounded, shown};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Where rows stay, from the repository's top.
const CSV: &str = "tests/bench/link.csv";

/// Its first line.
const COLUMNS: &str = "date,commit,machine,rustc,load before,load after,rounds,measure,unit,\
nightjar-edge,least,most,aiortc,libdatachannel,to aiortc,to libdatachannel,goal";

/// The answerers, as the driver calls them.
const KINDS: [&str; 3] = ["edge", "aiortc", "libdatachannel"];

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy)]
enum Goal {
    /// To be known.
    Known,
    /// Ours, at most.
    Most(f64),
    /// Ours, in parts of aiortc's, at most.
    Part(f64),
    /// Ours, in parts of aiortc's and of libdatachannel's, at least.
    Times(f64, f64),
}

/// Every measure: the driver's name, ours, its unit, what is wanted.
const MEASURES: [(&str, &str, &str, Goal); 18] = [
    ("bulk-cpu", "loopback: CPU for 100 MB", "s", Goal::Most(2.0)),
    ("bulk-rate", "loopback: rate", "MB/s", Goal::Times(2.0, 1.0)),
    ("request-cpu", "loopback: CPU for a request of 200 bytes", "us", Goal::Most(70.0)),
    ("request-p50", "loopback: such a request, p50", "ms", Goal::Known),
    ("request-p99", "loopback: such a request, p99", "ms", Goal::Known),
    ("beside-p99", "loopback: a status while 10 MB flow, p99", "ms", Goal::Most(50.0)),
    ("open", "loopback: answer to open channel", "ms", Goal::Part(0.5)),
    ("memory", "a session's memory", "MiB", Goal::Most(10.0)),
    ("offer-cpu", "CPU for an offer, answered, open, closed", "ms", Goal::Known),
    ("path50-rate", "50 ms: rate", "MB/s", Goal::Known),
    ("path50-cpu", "50 ms: CPU for 100 MB", "s", Goal::Known),
    ("path100-rate", "100 ms: rate", "MB/s", Goal::Times(1.0, 0.0)),
    ("path100-cpu", "100 ms: CPU for 100 MB", "s", Goal::Known),
    ("lossy100-rate", "100 ms and 1 % lost: rate", "MB/s", Goal::Times(1.0, 0.0)),
    ("lossy100-cpu", "100 ms and 1 % lost: CPU for 100 MB", "s", Goal::Known),
    ("timeline-screen", "50 ms: open link to a screen of thumbnails, 3", "ms", Goal::Known),
    ("timeline", "50 ms: open link to a page of 20 with its thumbnails", "ms", Goal::Most(300.0)),
    ("timeline-whole", "50 ms: opened app to that page", "ms", Goal::Known),
];

/// All figures of one run.
#[derive(Debug)]
pub(crate) struct Report {
    machine: Machine,
    load: String,
    rounds: usize,
    /// By measure and answerer: round -> value.
    samples: BTreeMap<(String, String), BTreeMap<usize, f64>>,
}

/// One measure's medians.
#[derive(Debug)]
struct Row {
    name: &'static str,
    unit: &'static str,
    goal: Goal,
    /// Ours: median, least, most.
    ours: [f64; 3],
    others: [Option<f64>; 2],
    /// The median of each round's ratio.
    ratios: [Option<f64>; 2],
}

impl Report {
    /// Says where it is measured.
    pub(crate) fn new(rounds: usize) -> Self {
        let (machine, load) = (Machine::here(), figures::load());
        say(&machine.words(&load));
        Self { machine, load, rounds, samples: BTreeMap::new() }
    }

    /// Takes a line of the driver's, if it is a sample.
    pub(crate) fn take(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        let ["sample", round, measure, kind, value] = words[..] else { return false };
        let (Ok(round), Ok(value)) = (round.parse(), value.parse()) else { return false };
        let key = (measure.to_owned(), kind.to_owned());
        self.samples.entry(key).or_default().insert(round, value);
        true
    }

    /// Says all medians, what is beyond its bound, the load once more and, if `record`, keeps
    /// the rows.
    pub(crate) fn end(&self, record: bool) -> Result<(), String> {
        let after = figures::load();
        let rows: Vec<Row> = MEASURES.into_iter().filter_map(|it| self.row(it)).collect();
        let [ours, least, most, to] = ["nightjar", "least", "most", "to it"];
        say(&format!(
            "\n{:<42}{ours:>9}{least:>9}{most:>9}{:>9}{to:>7}{:>15}{to:>7}  goal",
            format!("medians of {} rounds", self.rounds),
            KINDS[1],
            KINDS[2]
        ));
        for row in &rows {
            say(&row.line());
        }
        for row in rows.iter().filter(|row| row.is_missed()) {
            say(&format!(
                "missed: {}: {} {}, {}",
                row.name,
                shown(row.ours[0]),
                row.unit,
                row.goal
            ));
        }
        say(&format!("\nload average {after} now, {} at the beginning", self.load));
        if record {
            let rows: Vec<String> = rows.iter().map(|row| self.fields(row, &after)).collect();
            figures::keep(CSV, COLUMNS, &rows)?;
            say(&format!("{} rows added to {CSV}", rows.len()));
        }
        Ok(())
    }

    fn row(&self, measure: (&str, &'static str, &'static str, Goal)) -> Option<Row> {
        let (key, name, unit, goal) = measure;
        let of = |kind: &str| self.samples.get(&(key.to_owned(), kind.to_owned()));
        let ours = of(KINDS[0])?;
        let values: Vec<f64> = ours.values().copied().collect();
        let ratio = |kind: &str| {
            let theirs = of(kind)?;
            let pairs = ours.iter().filter_map(|(round, value)| Some(value / theirs.get(round)?));
            median(&pairs.collect::<Vec<_>>())
        };
        let other = |kind| median(&of(kind)?.values().copied().collect::<Vec<_>>());
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Row {
            name,
            unit,
            goal,
            ours: [median(&values)?, least, most],
            others: [other(KINDS[1]), other(KINDS[2])],
            ratios: [ratio(KINDS[1]), ratio(KINDS[2])],
        })
    }

    fn fields(&self, row: &Row, after: &str) -> String {
        let Machine { cpu, rustc, commit, date, .. } = &self.machine;
        let rounds = self.rounds.to_string();
        let mut line = figures::fields([
            date, commit, cpu, rustc, &self.load, after, &rounds, row.name, row.unit,
        ]);
        let ours = row.ours.map(Some);
        for value in ours.into_iter().chain(row.others).chain(row.ratios) {
            let _ = write!(line, ",{}", value.map(rounded).unwrap_or_default());
        }
        let _ = write!(line, ",{}", row.goal.to_string().replace(',', ";"));
        line
    }
}

impl Row {
    fn line(&self) -> String {
        let [ours, least, most] = self.ours.map(shown);
        let [aiortc, library] = self.others.map(|value| value.map(shown).unwrap_or_default());
        let [first, second] =
            self.ratios.map(|value| value.map(|it| format!("{it:.2}")).unwrap_or_default());
        let name = format!("{}, {}", self.name, self.unit);
        format!(
            "{name:<42}{ours:>9}{least:>9}{most:>9}{aiortc:>9}{first:>7}{library:>15}{second:>7}  {}",
            self.goal
        )
    }

    /// Whether it is beyond its bound.
    fn is_missed(&self) -> bool {
        let [to_aiortc, to_library] = self.ratios;
        match self.goal {
            Goal::Known => false,
            Goal::Most(most) => self.ours[0] > most,
            Goal::Part(part) => to_aiortc.is_some_and(|ratio| ratio > part),
            Goal::Times(first, second) => {
                to_aiortc.is_some_and(|ratio| ratio < first)
                    || to_library.is_some_and(|ratio| ratio < second)
            }
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known => Ok(()),
            Self::Most(most) => write!(out, "at most {most}"),
            Self::Part(part) => write!(out, "at most {part} of aiortc's"),
            Self::Times(first, 0.0) => write!(out, "at least {first} of aiortc's"),
            Self::Times(first, second) => {
                write!(out, "at least {first} of aiortc's, {second} of libdatachannel's")
            }
        }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}
