//! What the store takes for an event, a page and a start, beside SQLite with the same in it.
//!
//! ```text
//! cargo bench -p tests --bench store                  5 rounds; up to 1,000,000 events
//! cargo bench -p tests --bench store -- --quick       1 round; up to 100,000 events
//!     ... --folder DIR   works on that card; else where temporary files lie
//!     ... --record       adds the rows to tests/bench/store.csv
//! ```
//! An event opens with its pictures and closes: two changes, as the eye makes them. SQLite keeps
//! the same rows, indexes and pictures in one file (WAL, `synchronous=FULL`, its defaults else),
//! and commits as many changes together as the store does. Bytes are what this process makes the
//! kernel write (`write_bytes` in /proc/self/io: whole pages of files, without the file system's
//! own journal), until all is closed.

mod ours;
mod report;
mod sqlite;

use edge::clock::Clock;
use edge::store::Pictures;
use edge_core::time::UnixMs;
use harness::data::Scratch;
use harness::figures::written_bytes;
use harness::footage::footage;
use report::{Goal, Report};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// When the first event opens; each opens a second after the one before.
const BEGAN: UnixMs = UnixMs(UnixMs::FIRST_PLAUSIBLE.0 + 1_000_000);
/// Events of a page.
const PAGE: usize = 50;
/// Pages that are asked for, one after another.
const PAGES: u64 = 200;
/// Starts at one size.
const STARTS: usize = 5;
/// What is still called flat: a tree has a floor or two more.
const FLAT: f64 = 2.0;

/// How much is done.
#[derive(Debug, Clone)]
struct Scale {
    rounds: usize,
    together: u64,
    singly: u64,
    sizes: [u64; 3],
    folder: Option<PathBuf>,
}

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Sqlite,
}

/// How events are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commits {
    /// As many changes together as the store takes when many wait.
    Together,
    /// Each change by itself, the next when it is listed.
    Singly,
    /// As fast as may be, one change an event: to have them there.
    Bulk,
}

/// A store that is open.
trait Shelf {
    /// Stores events with these ids, with pictures in turns.
    fn put(&mut self, ids: std::ops::Range<u64>, commits: Commits, pictures: &[Pictures]) -> Done;
    /// Reads a page of events before an id, newest first; how many there are.
    fn page(&self, before: u64) -> Result<usize, String>;
    /// Makes everything last, and lets go.
    fn close(self: Box<Self>) -> Done;
}

type Done = Result<(), String>;

impl Kind {
    const EACH: [Self; 2] = [Self::Ours, Self::Sqlite];

    fn open(self, folder: &Path) -> Result<Box<dyn Shelf>, String> {
        Ok(match self {
            Self::Ours => Box::new(ours::Ours::open(folder)?),
            Self::Sqlite => Box::new(sqlite::Sqlite::open(folder)?),
        })
    }
}

/// The pictures of an event, in turns; none where there are none.
fn shot(pictures: &[Pictures], id: u64) -> Option<&Pictures> {
    let at = usize::try_from(id).unwrap_or_default() % pictures.len().max(1);
    pictures.get(at)
}

/// One line for whoever watches.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn main() -> ExitCode {
    match read().and_then(|(scale, record)| run(&scale, record)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "store: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read() -> Result<(Scale, bool), String> {
    let sizes = [1_000, 100_000, 1_000_000];
    let mut scale = Scale { rounds: 5, together: 1_600, singly: 400, sizes, folder: None };
    let mut record = false;
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => {
                let sizes = [1_000, 10_000, 100_000];
                scale = Scale { rounds: 1, together: 320, singly: 100, sizes, ..scale };
            }
            "--folder" => scale.folder = words.next().map(PathBuf::from),
            "--record" => record = true,
            other => return Err(format!("{other}: expected --quick, --folder DIR or --record")),
        }
    }
    Ok((scale, record))
}

fn run(scale: &Scale, record: bool) -> Done {
    let (pictures, of) = footage();
    let bytes: usize = pictures.iter().map(|two| two.thumbnail.len() + two.full.len()).sum();
    let mut report = Report::new();
    say(&format!("SQLite {}; pictures of {of}", sqlite::version()));
    say(&format!("{} bytes an event, on average, in pictures", bytes / pictures.len().max(1)));
    append(scale, Commits::Together, &pictures, &mut report)?;
    append(scale, Commits::Singly, &pictures, &mut report)?;
    grow(scale, &mut report)?;
    report.end(record)
}

/// A folder of its own on the card that is measured.
struct Place(PathBuf, Option<Scratch>);

impl Place {
    fn new(scale: &Scale, tag: &str) -> Result<Self, String> {
        let Some(folder) = &scale.folder else {
            let scratch = Scratch::new(tag);
            return Ok(Self(scratch.path().into(), Some(scratch)));
        };
        let folder = folder.join(format!("nightjar-{tag}"));
        std::fs::create_dir_all(&folder).map_err(|error| format!("--folder: {error}"))?;
        Ok(Self(folder, None))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.1.is_none() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Events with their pictures, committed in one way.
fn append(scale: &Scale, commits: Commits, pictures: &[Pictures], report: &mut Report) -> Done {
    let (words, count, goals) = match commits {
        Commits::Singly => ("singly", scale.singly, [Goal::Least(1.0), Goal::Most(0.5)]),
        _ => ("32 changes together", scale.together, [Goal::Least(1.0), Goal::Most(0.5)]),
    };
    Report::title(&format!("Events with their pictures, committed {words}"));
    let mut rates = [Vec::new(), Vec::new()];
    let mut bytes = [Vec::new(), Vec::new()];
    for _ in 0..scale.rounds {
        for (at, kind) in Kind::EACH.into_iter().enumerate() {
            let place = Place::new(scale, "append")?;
            let mut shelf = kind.open(&place.0)?;
            let written = written_bytes();
            let seconds = timed(|| shelf.put(1..count + 1, commits, pictures))?;
            rates[at].push(count as f64 / seconds);
            shelf.close()?;
            bytes[at].push((written_bytes() - written) as f64 / count as f64);
        }
    }
    report.row(&format!("events a second, {words}"), count, "/s", medians(&rates), goals[0]);
    report.row(&format!("bytes an event, {words}"), count, "bytes", medians(&bytes), goals[1]);
    Ok(())
}

/// Pages and starts as the events become more.
fn grow(scale: &Scale, report: &mut Report) -> Done {
    Report::title("Pages of 50 and clean starts, as events become more");
    let places = [Place::new(scale, "ours")?, Place::new(scale, "sqlite")?];
    let mut first: Option<[[f64; 2]; 3]> = None;
    let mut there = 0;
    for size in scale.sizes {
        let (mut newest, mut middle, mut starts) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        for (at, kind) in Kind::EACH.into_iter().enumerate() {
            let mut shelf = kind.open(&places[at].0)?;
            shelf.put(there + 1..size + 1, Commits::Bulk, &[])?;
            newest[at] = pages(&*shelf, size + 1)?;
            middle[at] = pages(&*shelf, size / 2)?;
            shelf.close()?;
            starts[at] = start(kind, &places[at].0, size)?;
        }
        there = size;
        report.row("the newest page", size, "us", newest, Goal::None);
        report.row("a page from the middle", size, "us", middle, Goal::None);
        report.row("start to the first page", size, "ms", starts, Goal::None);
        let Some(small) = first else {
            first = Some([newest, middle, starts]);
            continue;
        };
        let part = |now: [f64; 2], then: [f64; 2]| [now[0] / then[0], now[1] / then[1]];
        let unit = "x the first size";
        report.row("the newest page", size, unit, part(newest, small[0]), Goal::Flat);
        report.row("a page from the middle", size, unit, part(middle, small[1]), Goal::Flat);
        report.row("start to the first page", size, unit, part(starts, small[2]), Goal::Flat);
    }
    Ok(())
}

/// The median time of a page, us.
fn pages(shelf: &dyn Shelf, before: u64) -> Result<f64, String> {
    let mut times = Vec::new();
    for page in 0..PAGES {
        let before = before.saturating_sub(page % 7).max(PAGE as u64 + 1);
        times.push(timed(|| match shelf.page(before)? {
            PAGE => Ok(()),
            other => Err(format!("a page of {other} events before {before}")),
        })?);
    }
    Ok(median(&times) * 1e6)
}

/// The median time of a start after a clean stop, with the first page, ms.
fn start(kind: Kind, folder: &Path, size: u64) -> Result<f64, String> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let mut shelf = None;
        times.push(timed(|| {
            let opened = kind.open(folder)?;
            let found = opened.page(size + 1)?;
            shelf = Some(opened);
            if found == PAGE { Ok(()) } else { Err(format!("{found} events after a start")) }
        })?);
        shelf.map_or(Ok(()), Shelf::close)?;
    }
    Ok(median(&times) * 1e3)
}

fn timed(run: impl FnOnce() -> Done) -> Result<f64, String> {
    let clock = Clock::start();
    let began = clock.std_now();
    run()?;
    Ok(clock.std_now().duration_since(began).as_secs_f64())
}

fn medians(all: &[Vec<f64>; 2]) -> [f64; 2] {
    [median(&all[0]), median(&all[1])]
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
