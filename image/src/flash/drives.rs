//! Which drives may be overwritten, by what the kernel says in `/sys` and `/proc`.
//!
//! ```text
//! named -> a whole disk? -> in use by this machine? -> removable? -> a card in it, not protected?
//! ```
//! In use: any of it is mounted, swapped to, or held by a mapping or a RAID, through however many
//! layers. What a desktop mounted by itself, below `/media` or `/run/media`, is unmounted; nothing
//! else is. Removable: says so itself, or is an SD card, or hangs on USB. Built-in eMMC is not.
//! `claim` in `flash.rs` asks the kernel for the disk alone, which is the last word.

use super::{PROTECTED, size};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Where desktops mount what is plugged in.
const AUTOMOUNTED: [&str; 2] = ["/media/", "/run/media/"];
/// Layers between a mount and its disk.
const LAYERS: usize = 8;

/// This machine, or a test's picture of one.
#[derive(Debug)]
pub(super) struct Machine {
    /// `/`, above `sys`, `proc` and `dev`.
    pub(super) root: PathBuf,
    /// Loop devices count as removable.
    pub(super) loops: bool,
}

/// A drive that may be overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drive {
    /// `sdb`
    pub(super) name: String,
    /// `8:16`
    pub(super) number: String,
    /// Who made it and what they call it.
    pub(super) title: String,
    pub(super) bytes: u64,
    /// The kernel's count of disks, which goes up with each card that is put in; empty before
    /// Linux 5.15.
    pub(super) sequence: String,
    /// Where a desktop mounted its partitions.
    pub(super) mounts: Vec<PathBuf>,
}

impl Drive {
    /// Whether `other` is the same one, as far as can be told from outside.
    pub(super) fn is(&self, other: &Self) -> bool {
        *self == Self { mounts: self.mounts.clone(), ..other.clone() }
    }

    /// Its file.
    pub(super) fn node(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }
}

impl fmt::Display for Drive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8} {:>9}  {}", self.name, size(self.bytes), self.title)
    }
}

/// Why a drive is not touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum No {
    Unknown(String),
    Partition(String, String),
    /// Its partition and where that is mounted.
    Mounted(String, String, PathBuf),
    Swap(String, String),
    /// Who builds upon it.
    Held(String, String),
    Fixed(String),
    Empty(String),
    Protected(String),
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "no drive is called {name}"),
            Self::Partition(name, disk) => {
                write!(f, "{name} is a partition; a card is a whole drive, here {disk}")
            }
            Self::Mounted(name, part, point) if point == Path::new("/") => {
                write!(f, "{name} is never touched: this machine runs from it ({part} is /)")
            }
            Self::Mounted(name, part, point) => {
                write!(f, "{name} is in use: {part} is mounted at {}", point.display())
            }
            Self::Swap(name, part) => write!(f, "{name} is in use: {part} is swap"),
            Self::Held(name, by) => write!(f, "{name} is in use: {by} is built upon it"),
            Self::Fixed(name) => write!(f, "{name} is no removable drive"),
            Self::Empty(name) => write!(f, "there is no card in {name}"),
            Self::Protected(name) => write!(f, "{name}: {PROTECTED}"),
        }
    }
}

impl Machine {
    /// Every disk, by name.
    pub(super) fn names(&self) -> Vec<String> {
        listed(&self.root.join("sys/block"))
    }

    /// A drive by its name, its file or a link to that; or why not.
    pub(super) fn judge(&self, named: &str) -> Result<Drive, No> {
        let name = self.resolve(named).ok_or_else(|| No::Unknown(named.into()))?;
        let sys = self.root.join("sys/class/block").join(&name);
        if !sys.exists() {
            return Err(No::Unknown(named.into()));
        }
        if sys.join("partition").exists() {
            let disk = self.disks(&name).into_iter().next().unwrap_or_default();
            return Err(No::Partition(name, disk));
        }
        let mounts = self.mounts(&name)?;
        self.swaps(&name)?;
        self.holders(&name)?;
        if !self.is_removable(&name) {
            return Err(No::Fixed(name));
        }
        let sectors: u64 = word(&sys.join("size")).parse().unwrap_or(0);
        if sectors == 0 {
            return Err(No::Empty(name));
        }
        if word(&sys.join("ro")) == "1" {
            return Err(No::Protected(name));
        }
        let number = word(&sys.join("dev"));
        let bytes = sectors.saturating_mul(512);
        let (title, sequence) = (self.title(&name), self.sequence(&name));
        Ok(Drive { name, number, title, bytes, sequence, mounts })
    }

    /// Which disk this is of all that came since the machine started.
    pub(super) fn sequence(&self, name: &str) -> String {
        word(&self.root.join("sys/class/block").join(name).join("diskseq"))
    }

    /// `sdb` of `sdb`, `/dev/sdb` and `/dev/disk/by-id/...`.
    fn resolve(&self, named: &str) -> Option<String> {
        let Some(path) = named.strip_prefix('/') else {
            return Some(named.to_owned()).filter(|it| !it.is_empty() && !it.contains(['/', '.']));
        };
        self.node_file(path)
    }

    /// Where it is mounted by a desktop, if anywhere; an error where by anybody else.
    fn mounts(&self, disk: &str) -> Result<Vec<PathBuf>, No> {
        let text = fs::read_to_string(self.root.join("proc/self/mountinfo")).unwrap_or_default();
        let mut automounted = Vec::new();
        for (number, point, source) in text.lines().filter_map(mount) {
            // A file system of several disks has a number of its own: its source is one of them.
            let numbered = fs::canonicalize(self.root.join("sys/dev/block").join(number)).ok();
            let names = [numbered.as_deref().and_then(file_name), self.node_name(&source)];
            let Some(part) = names.into_iter().flatten().find(|it| self.disks(it).contains(disk))
            else {
                continue;
            };
            if !AUTOMOUNTED.iter().any(|folder| point.starts_with(folder)) {
                return Err(No::Mounted(disk.into(), part, point.into()));
            }
            automounted.push(point.into());
        }
        // Last mounted, first unmounted: one may lie in another.
        automounted.reverse();
        Ok(automounted)
    }

    fn swaps(&self, disk: &str) -> Result<(), No> {
        let text = fs::read_to_string(self.root.join("proc/swaps")).unwrap_or_default();
        let names = text
            .lines()
            .skip(1)
            .filter_map(|line| self.node_name(&unescaped(line.split_whitespace().next()?)));
        let mut names = names.filter(|name| self.disks(name).contains(disk));
        names.next().map_or(Ok(()), |part| Err(No::Swap(disk.into(), part)))
    }

    /// A mapping or a RAID on it or on a partition of it, mounted or not.
    fn holders(&self, disk: &str) -> Result<(), No> {
        let sys = self.root.join("sys/class/block").join(disk);
        let parts = listed(&sys).into_iter().map(|it| sys.join(it));
        let parts = parts.filter(|it| it.join("partition").exists());
        let mut held = parts.chain([sys.clone()]).flat_map(|it| listed(&it.join("holders")));
        held.next().map_or(Ok(()), |by| Err(No::Held(disk.into(), by)))
    }

    fn is_removable(&self, disk: &str) -> bool {
        let sys = self.root.join("sys/class/block").join(disk);
        let place = fs::canonicalize(&sys).unwrap_or_default();
        let place = place.to_string_lossy();
        if place.contains("/devices/virtual/") {
            return self.loops && disk.starts_with("loop");
        }
        // Optical drives, and floppies.
        if disk.starts_with("sr") || disk.starts_with("fd") {
            return false;
        }
        if disk.starts_with("mmcblk") {
            return word(&sys.join("device/type")) == "SD";
        }
        word(&sys.join("removable")) == "1" || place.contains("/usb")
    }

    fn title(&self, disk: &str) -> String {
        let device = self.root.join("sys/class/block").join(disk).join("device");
        let words = ["vendor", "model", "name"].map(|it| word(&device.join(it)));
        let title = words.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ");
        let kind = if disk.starts_with("mmcblk") { "SD card " } else { "" };
        // What a drive says of itself is not trusted on a terminal.
        format!("{kind}{title}").chars().filter(|it| !it.is_control()).collect()
    }

    /// The name of a file below `/dev`, through links.
    fn node_name(&self, source: &str) -> Option<String> {
        self.node_file(source.strip_prefix('/')?)
    }

    fn node_file(&self, path: &str) -> Option<String> {
        let file = fs::canonicalize(self.root.join(path)).ok()?;
        let dev = fs::canonicalize(self.root.join("dev")).ok()?;
        file_name(&file).filter(|_| file.parent() == Some(&*dev))
    }

    /// The disks beneath a block device: its own, or those that a mapping is made of.
    fn disks(&self, name: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.dig(name, LAYERS, &mut found);
        found
    }

    fn dig(&self, name: &str, layers: usize, found: &mut BTreeSet<String>) {
        let Ok(place) = fs::canonicalize(self.root.join("sys/class/block").join(name)) else {
            return;
        };
        let whole = if place.join("partition").exists() { place.parent() } else { Some(&*place) };
        let Some(whole) = whole else { return };
        found.extend(file_name(whole));
        if layers > 0 {
            for below in listed(&whole.join("slaves")) {
                self.dig(&below, layers - 1, found);
            }
        }
    }
}

/// Number, place and source of a line of `mountinfo` (`proc_pid_mountinfo(5)`).
fn mount(line: &str) -> Option<(&str, String, String)> {
    let (ours, theirs) = line.split_once(" - ")?;
    let mut ours = ours.split(' ');
    let (number, point) = (ours.nth(2)?, ours.nth(1)?);
    let source = theirs.split(' ').nth(1)?;
    Some((number, unescaped(point), unescaped(source)))
}

/// `\040` and its like as the bytes that they stand for.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|it| std::str::from_utf8(it).ok());
        let escaped =
            octal.filter(|_| first == b'\\').and_then(|it| u8::from_str_radix(it, 8).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A small file's text, nothing where it cannot be read.
fn word(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What stands in a folder, sorted.
fn listed(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn file_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
