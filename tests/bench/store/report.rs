//! The figures as they come, and as rows of a CSV when they are to stay.

use crate::{FLAT, say};
use harness::figures::{self, Machine, rounded, shown};

/// Where rows stay, from the repository's top.
const CSV: &str = "tests/bench/store.csv";

/// Its first line.
const COLUMNS: &str = "date,commit,machine,rustc,load before,load after,measure,events,unit,\
nightjar-edge,SQLite,ratio,wanted";

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    None,
    /// So many times SQLite's, or more.
    Least(f64),
    /// So many times SQLite's, or less.
    Most(f64),
    /// Ours stays what it is with few events.
    Flat,
}

/// One figure of both stores.
#[derive(Debug)]
struct Row {
    measure: String,
    events: u64,
    unit: &'static str,
    values: [f64; 2],
    goal: Goal,
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
        let [ours, sqlite, ratio, goal] = ["nightjar", "SQLite", "ratio", "wanted"];
        say(&format!("\n{title}\n  {:<52}{ours:>10}{sqlite:>10}{ratio:>8}{goal:>10}", ""));
    }

    /// Adds a figure of ours and of SQLite.
    pub(crate) fn row(
        &mut self,
        measure: &str,
        events: u64,
        unit: &'static str,
        values: [f64; 2],
        goal: Goal,
    ) {
        let row = Row { measure: measure.into(), events, unit, values, goal };
        let name = format!("{events:>9}  {measure}, {unit}");
        let [ours, sqlite] = values.map(shown);
        let (ratio, wanted) = (row.ratio(), goal.words());
        say(&format!("  {name:<52}{ours:>10}{sqlite:>10}{ratio:>8.3}{wanted:>10}"));
        self.rows.push(row);
    }

    /// Says what was missed, the load once more and, if `record`, keeps the rows.
    pub(crate) fn end(&self, record: bool) -> Result<(), String> {
        let after = figures::load();
        for row in self.rows.iter().filter(|row| row.is_missed()) {
            let Row { measure, events, unit, goal, values } = row;
            let [ours, sqlite] = values.map(shown);
            let wanted = goal.words();
            say(&format!("missed: {measure} ({events}), {ours} {unit} to {sqlite}: {wanted}"));
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
        let events = row.events.to_string();
        let about = figures::fields([
            date,
            commit,
            cpu,
            rustc,
            &self.load,
            after,
            &row.measure,
            &events,
            row.unit,
        ]);
        let [ours, sqlite] = row.values.map(rounded);
        format!("{about},{ours},{sqlite},{},{}", rounded(row.ratio()), row.goal.words())
    }
}

impl Row {
    /// Ours to SQLite's.
    fn ratio(&self) -> f64 {
        self.values[0] / self.values[1]
    }

    fn is_missed(&self) -> bool {
        match self.goal {
            Goal::None => false,
            Goal::Least(least) => self.ratio() < least,
            Goal::Most(most) => self.ratio() > most,
            Goal::Flat => self.values[0] > FLAT,
        }
    }
}

impl Goal {
    fn words(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Least(least) => format!(">= {least}"),
            Self::Most(most) => format!("<= {most}"),
            Self::Flat => format!("ours <= {FLAT}"),
        }
    }
}
