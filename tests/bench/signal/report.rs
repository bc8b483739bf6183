//! The figures as they come, and as rows of a CSV when they are to stay.

use crate::say;
use harness::figures::{self, Machine, rounded, shown};
use std::fmt::Write as _;

/// Where rows stay, from the repository's top.
const CSV: &str = "tests/bench/signal.csv";

/// Its first line.
const COLUMNS: &str = "date,commit,machine,rustc,load before,load after,measure,count,unit,\
nightjar-signal,peer,ratio,at most";

/// The longest bar of a plot.
const BAR: f64 = 50.0;

/// One figure of both servers.
#[derive(Debug)]
struct Row {
    measure: &'static str,
    /// Of clients, or of what the table counts.
    count: usize,
    unit: &'static str,
    ours: f64,
    peer: Option<f64>,
    goal: &'static str,
}

/// All figures of one run.
#[derive(Debug)]
pub(crate) struct Report {
    machine: Machine,
    load: String,
    rows: Vec<Row>,
}

impl Report {
    /// Says where it is measured.
    pub(crate) fn new() -> Self {
        let (machine, load) = (Machine::here(), figures::load());
        say(&machine.words(&load));
        Self { machine, load, rows: Vec::new() }
    }

    /// Begins a table.
    pub(crate) fn title(title: &str) {
        let [ours, peer, ratio, goal] = ["nightjar", "peer", "ratio", "at most"];
        say(&format!("\n{title}\n  {:<44}{ours:>10}{peer:>10}{ratio:>8}{goal:>9}", ""));
    }

    /// Adds a figure of ours and, where it was there, of the peer.
    pub(crate) fn row(
        &mut self,
        measure: &'static str,
        count: usize,
        unit: &'static str,
        values: &[f64],
        goal: &'static str,
    ) {
        let ours = values.first().copied().unwrap_or(f64::NAN);
        let row = Row { measure, count, unit, ours, peer: values.get(1).copied(), goal };
        let name = format!("{count:>6}  {measure}");
        let peer = row.peer.map(shown).unwrap_or_default();
        let ratio = row.ratio().map(|ratio| format!("{ratio:.3}")).unwrap_or_default();
        say(&format!("  {name:<44}{:>10}{peer:>10}{ratio:>8}{goal:>9}  {unit}", shown(ours)));
        self.rows.push(row);
    }

    /// Draws a measure over its counts.
    pub(crate) fn plot(&self, title: &str, measure: &str) {
        say(&format!("\n{title}"));
        let rows = || self.rows.iter().filter(|row| row.measure == measure);
        let most =
            rows().flat_map(|row| row.peer.into_iter().chain([row.ours])).fold(0.0, f64::max);
        for row in rows() {
            let bars = [Some(("nightjar", row.ours)), row.peer.map(|peer| ("peer", peer))];
            for (name, value) in bars.into_iter().flatten() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a bar"
                )]
                let bar = "#".repeat((value / most * BAR) as usize);
                say(&format!("  {:>6}  {name:<9} {bar} {}", row.count, shown(value)));
            }
        }
    }

    /// Says what is beyond its bound, the load once more and, if `record`, keeps the rows.
    pub(crate) fn end(&self, record: bool) -> Result<(), String> {
        let after = figures::load();
        for row in self.rows.iter().filter(|row| row.is_missed()) {
            let Row { measure, count, unit, goal, .. } = row;
            say(&format!(
                "missed: {measure} ({count}), {} {unit}, at most {goal}",
                shown(row.ours)
            ));
        }
        say(&format!("\nload average {after} now, {} at the beginning", self.load));
        if record {
            let rows: Vec<String> = self.rows.iter().map(|row| self.line(row, &after)).collect();
            figures::keep(CSV, COLUMNS, &rows)?;
            say(&format!("{} rows added to {CSV}", rows.len()));
        }
        Ok(())
    }

    fn line(&self, row: &Row, after: &str) -> String {
        let Machine { cpu, rustc, commit, date, .. } = &self.machine;
        let Row { measure, count, unit, ours, peer, goal } = row;
        let count = count.to_string();
        let mut line =
            figures::fields([date, commit, cpu, rustc, &self.load, after, measure, &count, unit]);
        for value in [Some(*ours), *peer, row.ratio()] {
            let _ = write!(line, ",{}", value.map(rounded).unwrap_or_default());
        }
        let _ = write!(line, ",{goal}");
        line
    }
}

impl Row {
    /// Ours to the peer's.
    fn ratio(&self) -> Option<f64> {
        self.peer.filter(|peer| *peer > 0.0).map(|peer| self.ours / peer)
    }

    /// Whether it is beyond its bound: a number, half of the peer's, or all that were counted.
    fn is_missed(&self) -> bool {
        match self.goal {
            "" => false,
            "half" => self.ratio().is_some_and(|ratio| ratio > 0.5),
            "all" => self.ours < self.count as f64,
            most => most.parse().is_ok_and(|most: f64| self.ours > most),
        }
    }
}
