//! A card: a file as a loop device, with ext4 on it, and what is written to it counted.

use harness::data::Scratch;
use rustix::fs::syncfs;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

/// What the kernel counts with, whatever the device says.
const SECTOR_BYTES: u64 = 512;
/// A page of the file system.
const PAGE_SECTORS: u64 = 8;
/// As the box mounts the partition that is written.
const OPTIONS: &str = "noatime,commit=30,data=ordered";

/// The card, mounted.
pub(crate) struct Card {
    scratch: Scratch,
    device: String,
}

/// What was written to it in a while.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) bytes: u64,
    pub(crate) flushes: u64,
    pub(crate) commits: u64,
    pub(crate) pages: Option<Pages>,
}

/// Which pages.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) journal: u64,
    pub(crate) hottest: u64,
    pub(crate) hottest_of_journal: u64,
}

impl Card {
    /// Makes one; `None` where this process may not.
    pub(crate) fn make(bytes: u64) -> Result<Option<Self>, String> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let scratch = Scratch::new("card");
        let image = scratch.path().join("image");
        let folder = scratch.path().join("mounted");
        let words = |error: std::io::Error| format!("{}: {error}", image.display());
        File::create(&image).and_then(|file| file.set_len(bytes)).map_err(words)?;
        fs::create_dir(&folder).map_err(words)?;
        let Ok(device) = said("losetup", &["--find", "--show", &text(&image)]) else {
            return Ok(None);
        };
        let card = Self { scratch, device: device.trim().to_owned() };
        said("mkfs.ext4", &["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", &card.device])?;
        said("mount", &["-o", OPTIONS, &card.device, &text(&card.folder())])?;
        Ok(Some(card))
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> PathBuf {
        self.scratch.path().join("mounted")
    }

    fn name(&self) -> &str {
        self.device.trim_start_matches("/dev/")
    }

    /// Has everything written that waits.
    pub(crate) fn settle(&self) -> Result<(), String> {
        let folder = File::open(self.folder()).map_err(|error| error.to_string())?;
        syncfs(folder).map_err(|error| error.to_string())
    }

    /// Sectors written and flushes, ever.
    fn figures(&self) -> Result<(u64, u64), String> {
        let stat = read(&format!("/sys/block/{}/stat", self.name()))?;
        let field = |at: usize| stat.split_whitespace().nth(at)?.parse().ok();
        let both = field(6).zip(field(15));
        both.ok_or_else(|| format!("the kernel says of {}: {stat}", self.device))
    }

    /// Transactions of the file system's journal, ever.
    fn commits(&self) -> u64 {
        let info = read(&format!("/proc/fs/jbd2/{}-8/info", self.name())).unwrap_or_default();
        info.split_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Where the journal lies, in sectors; empty where the file system does not say.
    fn journal(&self) -> Vec<Range<u64>> {
        let blocks = said("debugfs", &["-R", "stat <8>", &self.device]).unwrap_or_default();
        let extents = blocks.rsplit("EXTENTS:").next().unwrap_or_default();
        let runs = extents.split(',').filter_map(|run| {
            let (_, blocks) = run.trim().rsplit_once(':')?;
            let (from, to) = blocks.split_once('-').unwrap_or((blocks, blocks));
            let block = |text: &str| text.trim().parse::<u64>().ok();
            Some(block(from)? * PAGE_SECTORS..(block(to)? + 1) * PAGE_SECTORS)
        });
        runs.collect()
    }

    /// Counts from now on.
    pub(crate) fn watch(&self) -> Result<Watch<'_>, String> {
        self.settle()?;
        let (sectors, flushes) = self.figures()?;
        let trace = Trace::begin(self);
        Ok(Watch { card: self, sectors, flushes, commits: self.commits(), trace })
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = said("umount", &[&text(&self.folder())]);
        let _ = said("losetup", &["--detach", &self.device]);
        let _ = fs::remove_dir_all(self.scratch.path());
    }
}

/// Counting, until it ends.
pub(crate) struct Watch<'a> {
    card: &'a Card,
    sectors: u64,
    flushes: u64,
    commits: u64,
    trace: Option<Trace>,
}

impl Watch<'_> {
    pub(crate) fn end(self) -> Result<Counted, String> {
        self.card.settle()?;
        let (sectors, flushes) = self.card.figures()?;
        let pages = self.trace.and_then(|trace| trace.end(&self.card.journal()));
        Ok(Counted {
            bytes: (sectors - self.sectors) * SECTOR_BYTES,
            flushes: flushes - self.flushes,
            commits: self.card.commits() - self.commits,
            pages,
        })
    }
}

/// The kernel's tracing of one device's writes, in an instance of our own.
struct Trace {
    mounted: PathBuf,
    instance: PathBuf,
    reader: JoinHandle<HashMap<u64, u64>>,
}

/// Ends the reader: no device has this word in its trace.
const OVER: &str = "nightjar: over";

impl Trace {
    /// `None` where the kernel has none, or does not let us.
    fn begin(card: &Card) -> Option<Self> {
        let mounted = card.scratch.path().join("tracing");
        fs::create_dir(&mounted).ok()?;
        said("mount", &["-t", "tracefs", "tracefs", &text(&mounted)]).ok()?;
        let instance = mounted.join("instances").join(format!("nightjar-{}", card.name()));
        fs::create_dir(&instance).ok()?;
        let device = read(&format!("/sys/block/{}/dev", card.name())).ok()?;
        let (major, minor) = device.trim().split_once(':')?;
        let number = (major.parse::<u64>().ok()? << 20) | minor.parse::<u64>().ok()?;
        let event = instance.join("events/block/block_bio_queue");
        fs::write(instance.join("buffer_size_kb"), "8192").ok()?;
        fs::write(event.join("filter"), format!("dev == {number}")).ok()?;
        let pipe = File::open(instance.join("trace_pipe")).ok()?;
        let reader = std::thread::spawn(move || pages(BufReader::new(pipe)));
        fs::write(event.join("enable"), "1").ok()?;
        Some(Self { mounted, instance, reader })
    }

    fn end(self, journal: &[Range<u64>]) -> Option<Pages> {
        fs::write(self.instance.join("trace_marker"), OVER).ok()?;
        let pages = self.reader.join().ok();
        let _ = fs::write(self.instance.join("events/block/block_bio_queue/enable"), "0");
        let _ = fs::remove_dir(&self.instance);
        let _ = said("umount", &[&text(&self.mounted)]);
        let is_journal = |page: u64| journal.iter().any(|run| run.contains(&(page * PAGE_SECTORS)));
        let mut found = Pages { journal: 0, hottest: 0, hottest_of_journal: 0 };
        for (page, times) in pages? {
            if is_journal(page) {
                found.journal += times * PAGE_SECTORS * SECTOR_BYTES;
                found.hottest_of_journal = found.hottest_of_journal.max(times);
            } else {
                found.hottest = found.hottest.max(times);
            }
        }
        Some(found)
    }
}

/// How often each page was written. A line of the trace ends `7,0 WS 1234 + 8 [name]`.
fn pages(pipe: impl BufRead) -> HashMap<u64, u64> {
    let mut pages = HashMap::new();
    for line in pipe.lines().map_while(Result::ok) {
        if line.contains(OVER) {
            break;
        }
        let Some((_, about)) = line.split_once("block_bio_queue: ") else { continue };
        let mut words = about.split_whitespace().skip(1);
        let is_write = words.next().is_some_and(|how| how.contains('W'));
        let mut number = || words.next()?.parse::<u64>().ok();
        let Some(sector) = number() else { continue };
        let _plus = words.next();
        let Some(count) = words.next().and_then(|count| count.parse::<u64>().ok()) else {
            continue;
        };
        if is_write {
            for page in sector / PAGE_SECTORS..(sector + count).div_ceil(PAGE_SECTORS) {
                *pages.entry(page).or_default() += 1;
            }
        }
    }
    pages
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// What a program says; its complaint where it fails.
fn said(program: &str, words: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
