//! A disk in memory: what a cut of the power leaves of it, and one that fails when told to.

use super::super::disk::{Disk, How, Medium};
use super::Random;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What a card writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A change to the disk; files go by number, for a name can change hands.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write {
        file: usize,
        at: usize,
        bytes: Vec<u8>,
    },
    Length {
        file: usize,
        length: usize,
    },
    Sync {
        file: usize,
    },
    /// A failed sync: what waited is nowhere, though it can still be read.
    Lost {
        file: usize,
    },
    Name {
        path: PathBuf,
        file: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    SyncFolder {
        folder: PathBuf,
    },
}

/// Names and contents at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    names: BTreeMap<PathBuf, usize>,
    files: Vec<Vec<u8>>,
}

impl Contents {
    fn file(&mut self, file: usize) -> &mut Vec<u8> {
        if self.files.len() <= file {
            self.files.resize(file + 1, Vec::new());
        }
        &mut self.files[file]
    }

    /// The bytes under a name.
    pub(super) fn named(&mut self, path: &Path) -> Option<&mut Vec<u8>> {
        let file = *self.names.get(path)?;
        Some(self.file(file))
    }

    /// Every name.
    pub(super) fn names(&self) -> impl Iterator<Item = &PathBuf> {
        self.names.keys()
    }

    /// Takes a name away.
    pub(super) fn unname(&mut self, path: &Path) {
        self.names.remove(path);
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { file, at, bytes } => self.write(*file, *at, bytes),
            Change::Length { file, length } => self.file(*file).resize(*length, 0),
            Change::Name { path, file } => {
                self.file(*file);
                self.names.insert(path.clone(), *file);
            }
            Change::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Change::Remove { path } => {
                self.names.remove(path);
            }
            Change::Sync { .. } | Change::Lost { .. } | Change::SyncFolder { .. } => {}
        }
    }

    fn write(&mut self, file: usize, at: usize, bytes: &[u8]) {
        let content = self.file(file);
        if content.len() < at + bytes.len() {
            content.resize(at + bytes.len(), 0);
        }
        content[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes some of the sectors that `bytes` touch; the others hold what they held, or noise.
    fn tear(&mut self, file: usize, at: usize, bytes: &[u8], noise: bool, random: &mut Random) {
        let mut start = 0;
        while start < bytes.len() {
            let end =
                bytes.len().min((at + start) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - at);
            let part = &bytes[start..end];
            if random.below(2) == 0 {
                self.write(file, at + start, part);
            } else if noise && random.below(2) == 0 {
                let part: Vec<u8> = part.iter().map(|_| random.byte()).collect();
                self.write(file, at + start, &part);
            }
            start = end;
        }
    }
}

/// What the card has for certain, and what it may have.
#[derive(Debug, Clone, Default)]
pub(super) struct Card {
    certain: Contents,
    waiting: Vec<Change>,
}

/// Which of the waiting changes a cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    None,
    All,
    Prefix,
    Subset,
    Torn,
    Noise,
}

impl Left {
    pub(super) const EACH: [Self; 6] =
        [Self::None, Self::All, Self::Prefix, Self::Subset, Self::Torn, Self::Noise];
}

impl Card {
    /// A card that has this for certain.
    pub(super) fn holding(certain: Contents) -> Self {
        Self { certain, waiting: Vec::new() }
    }

    /// Whether nothing waits.
    pub(super) fn is_certain(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes in the next change.
    pub(super) fn take(&mut self, change: &Change) {
        match change {
            Change::Sync { file } => self.settle(|waiting| waiting.of() == Some(*file)),
            Change::Lost { file } => {
                self.waiting.retain(|waiting| waiting.of() != Some(*file));
            }
            Change::SyncFolder { folder } => {
                self.settle(|waiting| waiting.folder() == Some(folder.as_path()));
            }
            other => self.waiting.push(other.clone()),
        }
    }

    fn settle(&mut self, goes: impl Fn(&Change) -> bool) {
        let (settled, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(goes);
        self.waiting = waiting;
        for change in &settled {
            self.certain.apply(change);
        }
    }

    /// What a cut leaves.
    pub(super) fn cut(&self, left: Left, random: &mut Random) -> Contents {
        let mut contents = self.certain.clone();
        let length = match left {
            Left::None => 0,
            Left::Prefix => random.below(self.waiting.len() + 1),
            _ => self.waiting.len(),
        };
        for change in &self.waiting[..length] {
            match (left, change) {
                (Left::Torn | Left::Noise, Change::Write { file, at, bytes }) => {
                    contents.tear(*file, *at, bytes, left == Left::Noise, random);
                }
                (Left::Subset | Left::Torn | Left::Noise, _) if random.below(2) == 0 => {}
                _ => contents.apply(change),
            }
        }
        contents
    }
}

impl Change {
    /// The file whose sync makes it last.
    fn of(&self) -> Option<usize> {
        match self {
            Self::Write { file, .. } | Self::Length { file, .. } => Some(*file),
            _ => None,
        }
    }

    /// The folder whose sync makes it last.
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Name { path, .. } | Self::Rename { to: path, .. } | Self::Remove { path } => {
                path.parent()
            }
            _ => None,
        }
    }
}

/// Which changes fail, by their number, and how.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) kind: io::ErrorKind,
}

#[derive(Debug, Default)]
struct State {
    contents: Contents,
    trace: Vec<Change>,
    /// Changes asked for.
    asked: u64,
    failing: Option<Failing>,
    /// Bytes that all files may have together.
    room: Option<usize>,
}

impl State {
    /// Does a change, or fails in its place.
    fn change(&mut self, change: Change) -> io::Result<()> {
        self.asked += 1;
        let fails = |failing: &&Failing| (failing.from..failing.until).contains(&self.asked);
        if let Some(kind) = self.failing.as_ref().filter(fails).map(|failing| failing.kind) {
            match change {
                Change::Sync { file } => self.note(Change::Lost { file }),
                Change::Write { file, at, mut bytes } => {
                    bytes.truncate(bytes.len() / 2);
                    self.note(Change::Write { file, at, bytes });
                }
                _ => {}
            }
            return Err(kind.into());
        }
        if self.grows_past_room(&change) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.note(change);
        Ok(())
    }

    fn note(&mut self, change: Change) {
        self.contents.apply(&change);
        self.trace.push(change);
    }

    fn grows_past_room(&self, change: &Change) -> bool {
        let (file, end) = match change {
            Change::Write { file, at, bytes } => (file, at + bytes.len()),
            Change::Length { file, length } => (file, *length),
            _ => return false,
        };
        let Some(room) = self.room else { return false };
        let length = |file: usize| self.contents.files.get(file).map_or(0, Vec::len);
        let used: usize = self.contents.names.values().map(|file| length(*file)).sum();
        end > length(*file) && used + end - length(*file) > room
    }
}

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<State>>);

impl Memory {
    /// A disk that holds this, all of it certain.
    pub(super) fn holding(contents: Contents) -> Self {
        Self(Arc::new(Mutex::new(State { contents, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// How many changes were made.
    pub(super) fn made(&self) -> usize {
        self.state().trace.len()
    }

    /// How many changes were asked for.
    pub(super) fn asked(&self) -> u64 {
        self.state().asked
    }

    /// All changes made; none is kept.
    pub(super) fn take_trace(&self) -> Vec<Change> {
        std::mem::take(&mut self.state().trace)
    }

    /// Makes changes fail from now on.
    pub(super) fn fail(&self, failing: Option<Failing>) {
        self.state().failing = failing;
    }

    /// Flips a bit under an open store.
    pub(super) fn spoil(&self, path: &Path, at: usize) {
        self.state().contents.named(path).unwrap()[at] ^= 1;
    }

    /// Leaves room for so many bytes in all.
    pub(super) fn limit(&self, room: Option<usize>) {
        self.state().room = room;
    }

    /// What a kill of the process leaves.
    pub(super) fn contents(&self) -> Contents {
        self.state().contents.clone()
    }
}

impl Disk for Memory {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.state().change(Change::SyncFolder { folder: folder.into() })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        let inside = state.contents.names.iter().filter(|(path, _)| path.parent() == Some(folder));
        let file = |(path, file): (&PathBuf, &usize)| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some((name, state.contents.files[*file].len() as u64))
        };
        Ok(inside.filter_map(file).collect())
    }

    fn open(&self, path: &Path, how: How) -> io::Result<Arc<dyn Medium>> {
        let mut state = self.state();
        let known = state.contents.names.get(path).copied();
        let file = match (known, how) {
            (Some(file), How::New) => {
                state.change(Change::Length { file, length: 0 })?;
                file
            }
            (Some(file), _) => file,
            (None, How::Read) => return Err(io::ErrorKind::NotFound.into()),
            (None, _) => {
                let file = state.contents.files.len();
                state.change(Change::Name { path: path.into(), file })?;
                file
            }
        };
        Ok(Arc::new(Open { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.contents.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Rename { from: from.into(), to: to.into() })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.contents.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Remove { path: path.into() })
    }
}

/// One of its files.
#[derive(Debug)]
struct Open {
    disk: Memory,
    file: usize,
}

impl Medium for Open {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().contents.files[self.file].len() as u64)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        let at = usize::try_from(at).unwrap();
        let bytes = state.contents.files[self.file].get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let (at, bytes) = (usize::try_from(at).unwrap(), bytes.into());
        self.disk.state().change(Change::Write { file: self.file, at, bytes })
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap();
        self.disk.state().change(Change::Length { file: self.file, length })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state().change(Change::Sync { file: self.file })
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        let length = length.max(self.length()?);
        self.set_length(length)
    }

    fn prepare(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}
