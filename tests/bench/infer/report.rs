//! The figures as they come, and as rows of a CSV when they are to stay.

use crate::rounds::{Series, Time};
use crate::say;
use harness::figures::{self, Machine, rounded};
use std::fmt::Write as _;

/// Where rows stay, from the repository's top.
const CSV: &str = "tests/bench/infer.csv";
/// Its first line.
const COLUMNS: &str = "date,commit,machine,flags,rustc,load before,load after,rounds,model,subject,\
set,unit,least,median,most,base,ratio,ratio on the CPU";

/// One figure.
#[derive(Debug)]
struct Row {
    rounds: usize,
    model: String,
    subject: String,
    set: String,
    unit: &'static str,
    /// Least, median and most.
    spread: [f64; 3],
    /// What the ratio is to, and the ratio.
    ratio: Option<(&'static str, Time)>,
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
        let Machine { cpu, flags, rustc, commit, date } = &machine;
        say(&format!("{cpu} ({flags})\n{rustc}; commit {commit}; {date}; load average {load}"));
        Self { machine, load, rows: Vec::new() }
    }

    /// Begins a table of times, with ratios to `base`.
    pub(crate) fn table(title: &str, base: &str) {
        say(&format!("\n{title}"));
        let [least, median, most] = ["least", "median", "most"];
        say(&format!(
            "  {:<34}{:<10}{least:>10}{median:>10}{most:>10}   ratio to {base} (on the CPU)",
            "ms", "set"
        ));
    }

    /// Adds a row of times.
    pub(crate) fn times(
        &mut self,
        rounds: usize,
        model: &str,
        series: &Series,
        base: Option<(&'static str, &Series)>,
    ) {
        let Series { name, set, least, .. } = series;
        let spread = [*least, series.median().wall, series.most()];
        let ratio = base.map(|(name, base)| (name, series.over(base)));
        let mut line = format!("  {name:<34}{set:<10}");
        for value in spread {
            let _ = write!(line, "{value:>10.3}");
        }
        if let Some((_, Time { wall, cpu })) = ratio {
            let _ = write!(line, "   {wall:.4} ({cpu:.4})");
        }
        say(&line);
        let (model, subject, set) = (model.into(), name.clone(), set.clone());
        self.rows.push(Row { rounds, model, subject, set, unit: "ms", spread, ratio });
    }

    /// Adds a row of one count that comes out the same every time, with its ratio to another.
    pub(crate) fn count(&mut self, model: &str, subject: &str, set: &str, count: f64, base: f64) {
        let ratio = (base > 0.0).then(|| count / base);
        let words = ratio.map(|ratio| format!("   {ratio:.4} of the peer's")).unwrap_or_default();
        say(&format!("  {subject:<34}{set:<10}{count:>16.0}{words}"));
        let (model, subject, set) = (model.into(), subject.into(), set.into());
        let ratio = ratio.map(|ratio| ("peer", Time { wall: ratio, cpu: ratio }));
        let spread = [count; 3];
        let unit = "instructions";
        self.rows.push(Row { rounds: 1, model, subject, set, unit, spread, ratio });
    }

    /// Says the load once more and, if `record`, keeps the rows.
    pub(crate) fn end(&self, record: bool) -> Result<(), String> {
        let after = figures::load();
        say(&format!("\nload average {after} now, {} at the beginning", self.load));
        if !record {
            return Ok(());
        }
        let rows: Vec<String> = self.rows.iter().map(|row| self.line(row, &after)).collect();
        figures::keep(CSV, COLUMNS, &rows)?;
        say(&format!("{} rows added to {CSV}", self.rows.len()));
        Ok(())
    }

    fn line(&self, row: &Row, after: &str) -> String {
        let Machine { cpu, flags, rustc, commit, date } = &self.machine;
        let Row { rounds, model, subject, set, unit, spread, ratio } = row;
        let before = &self.load;
        let mut line = figures::fields([
            date,
            commit,
            cpu,
            flags,
            rustc,
            before,
            after,
            &rounds.to_string(),
            model,
            subject,
            set,
            unit,
        ]);
        for value in spread {
            let _ = write!(line, ",{}", rounded(*value));
        }
        match ratio {
            Some((base, Time { wall, cpu })) => {
                let _ = write!(line, ",{base},{},{}", rounded(*wall), rounded(*cpu));
            }
            None => line.push_str(",,,"),
        }
        line
    }
}
