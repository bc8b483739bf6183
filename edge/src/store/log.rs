//! The segment log: files of 4 MiB, written at the end only, deleted whole.
//!
//! ```text
//! log/00000007.seg:  "NJSEG\0\0\1" | number u64 | next event id u64 | CRC32C u32 | records ...
//! ```
//! What was synced is never written again; a torn tail is cut when the log is opened. A segment's
//! blocks are taken when it begins: a sync then costs the file system less of its own journal.

use super::disk::{self, Disk, How, Medium};
use super::record::{Found, HEADER_BYTES, RECORD_BYTES, Record, Tag, Walk, time_of};
use edge_core::time::UnixMs;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Length of a full segment, bytes.
pub(super) const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes before a segment's first record.
pub(super) const SEGMENT_HEADER_BYTES: u64 = HEADER_LENGTH as u64;
/// The same, as memory counts.
const HEADER_LENGTH: usize = 28;
const MAGIC: [u8; 8] = *b"NJSEG\0\0\x01";

/// How far back the log is read for the last time it speaks of.
const TIMED_SEGMENTS: usize = 4;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u32,
    /// Of its header.
    pub(super) offset: u32,
    /// Of its bytes, without the header.
    pub(super) length: u32,
}

/// Where the log stood at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u32,
    pub(super) offset: u32,
}

/// The log, open for writing: one of a kind, the writer's.
#[derive(Debug)]
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Length of each segment.
    segments: BTreeMap<u32, u64>,
    segment_bytes: u64,
    tail: Arc<dyn Medium>,
    /// Encoded, not yet written; belongs at the end of the tail.
    pending: Vec<u8>,
    /// A sync failed: nothing more is trusted to this tail.
    broken: bool,
    next_id: u64,
    /// Damaged stretches found when opening, by segment.
    damaged: BTreeMap<u32, u64>,
}

impl Log {
    /// Opens the log in `folder`, cuts a torn tail, makes the first segment where there is none.
    pub(super) fn open(disk: Arc<dyn Disk>, folder: &Path, segment_bytes: u64) -> io::Result<Self> {
        disk.make_folder(folder)?;
        let mut segments = list(&*disk, folder)?;
        let mut next_id = 1;
        let mut damaged = BTreeMap::new();
        while let Some((&number, _)) = segments.last_key_value() {
            let tail = heal_tail(&*disk, &path(folder, number), number)?;
            next_id = next_id.max(tail.next_id);
            if tail.damaged > 0 {
                damaged.insert(number, tail.damaged);
            }
            if let Some(length) = tail.length {
                segments.insert(number, length);
                break;
            }
            segments.remove(&number);
        }
        // The newest header that can be read says the most.
        for &number in segments.keys().rev() {
            if let Some(next) = read_header(&*disk, &path(folder, number), number)? {
                next_id = next_id.max(next);
                break;
            }
        }
        if segments.is_empty() {
            create(&*disk, folder, 1, next_id)?;
            segments.insert(1, SEGMENT_HEADER_BYTES);
        }
        let number = segments.keys().next_back().copied().expect("a log has a tail");
        let tail = disk.open(&path(folder, number), How::Write)?;
        // What a killed process wrote and never synced is listed from now on: it has to last.
        tail.sync()?;
        disk.sync_folder(folder)?;
        prepare(&*tail, segment_bytes);
        let folder = folder.into();
        let pending = Vec::new();
        let broken = false;
        Ok(Self { disk, folder, segments, segment_bytes, tail, pending, broken, next_id, damaged })
    }

    /// Where the next record goes.
    pub(super) fn end(&self) -> Position {
        self.position(self.pending.len() as u64)
    }

    /// The end of what the card has.
    pub(super) fn synced(&self) -> Position {
        self.position(0)
    }

    fn position(&self, waiting: u64) -> Position {
        let (&segment, &length) = self.segments.last_key_value().expect("a log has a tail");
        let offset = u32::try_from(length + waiting).expect("segments are short");
        Position { segment, offset }
    }

    /// The segment that is written.
    pub(super) fn tail(&self) -> u32 {
        self.synced().segment
    }

    /// Bytes on the card.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().sum()
    }

    /// Length of each segment, by number.
    pub(super) fn segments(&self) -> &BTreeMap<u32, u64> {
        &self.segments
    }

    /// Length of a full segment.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Where the segments lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An id above every one the segments' headers know of.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Damaged stretches found when opening, by segment.
    pub(super) fn damaged(&self) -> &BTreeMap<u32, u64> {
        &self.damaged
    }

    /// The last time the newest segments speak of; 0 where they speak of none.
    pub(super) fn last_time(&self) -> UnixMs {
        let start = HEADER_LENGTH;
        let newest = self.segments.keys().rev().take(TIMED_SEGMENTS);
        let times = newest.filter_map(|number| {
            let bytes = self.read_segment(*number).ok()?;
            let records = Walk::new(&bytes, start).filter_map(|found| match found {
                Found::Record(_, record) => time_of(&record),
                Found::Damage(_) | Found::Torn(_) => None,
            });
            records.last()
        });
        times.into_iter().next().unwrap_or_default()
    }

    /// Puts a record behind the others; it is safe after [`Log::sync`]. A new segment's header
    /// says `next_id`.
    pub(super) fn append(
        &mut self,
        tag: Tag,
        id: u64,
        bytes: &[u8],
        next_id: u64,
    ) -> io::Result<Location> {
        if bytes.len() > RECORD_BYTES {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let end = self.end();
        let filled = u64::from(end.offset) + (HEADER_BYTES + bytes.len()) as u64;
        let fresh = u64::from(end.offset) == SEGMENT_HEADER_BYTES;
        if self.broken || (filled > self.segment_bytes && !fresh) {
            self.sync()?;
            self.roll(next_id)?;
        }
        let Position { segment, offset } = self.end();
        Record { tag, id, bytes }.write(&mut self.pending);
        let length = u32::try_from(bytes.len()).expect("RECORD_BYTES was checked");
        Ok(Location { segment, offset, length })
    }

    /// Writes what was appended and waits until the card has it. After an error nothing of what
    /// waited is in the log.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let (_, length) = self.segments.iter_mut().next_back().expect("a log has a tail");
        let written = write(&*self.tail, &pending, *length);
        if written.is_ok() {
            *length += pending.len() as u64;
        } else {
            self.broken = true;
            let _ = self.tail.set_length(*length);
        }
        written
    }

    /// Forgets what was appended and not synced: the group it belongs to failed.
    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// Begins a new segment. A broken one is left only when nothing lies behind its synced end,
    /// or a later start would take that for records.
    fn roll(&mut self, next_id: u64) -> io::Result<()> {
        let Position { segment, offset } = self.synced();
        // It also gives back the blocks that were taken and not needed.
        let cut = self.tail.set_length(offset.into());
        if self.broken {
            cut?;
        }
        let number = segment + 1;
        self.tail = create(&*self.disk, &self.folder, number, next_id)?;
        prepare(&*self.tail, self.segment_bytes);
        self.segments.insert(number, SEGMENT_HEADER_BYTES);
        self.broken = false;
        Ok(())
    }

    /// Deletes a segment other than the tail.
    pub(super) fn delete(&mut self, number: u32) -> io::Result<()> {
        self.disk.remove(&path(&self.folder, number))?;
        self.segments.remove(&number);
        self.disk.sync_folder(&self.folder)
    }

    /// A segment's synced bytes, for [`Walk`] from [`SEGMENT_HEADER_BYTES`] on.
    pub(super) fn read_segment(&self, number: u32) -> io::Result<Vec<u8>> {
        let length = self.segments.get(&number).copied().unwrap_or(0);
        let file = self.disk.open(&path(&self.folder, number), How::Read)?;
        let length = length.min(file.length()?);
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?];
        file.read(0, &mut bytes)?;
        Ok(bytes)
    }
}

/// Reads one record's bytes; `None` where it is not, or no longer, what was asked for.
pub(super) fn read(
    disk: &dyn Disk,
    folder: &Path,
    at: Location,
    tag: Tag,
    id: u64,
) -> Option<Vec<u8>> {
    let file = disk.open(&path(folder, at.segment), How::Read).ok()?;
    let length = usize::try_from(at.length).ok().filter(|length| *length <= RECORD_BYTES)?;
    let mut bytes = vec![0; HEADER_BYTES + length];
    file.read(at.offset.into(), &mut bytes).ok()?;
    let record = Record::parse(&bytes)?;
    let right = record.tag == tag && record.id == id && record.bytes.len() == length;
    right.then(|| bytes.split_off(HEADER_BYTES))
}

fn write(tail: &dyn Medium, bytes: &[u8], at: u64) -> io::Result<()> {
    #[cfg(test)]
    super::fault::strike(super::fault::Point::Tail)?;
    tail.write(at, bytes)?;
    tail.sync()
}

/// Takes a segment's blocks. A card that is too full for it, or a file system that cannot, does
/// without.
fn prepare(tail: &dyn Medium, segment_bytes: u64) {
    let _ = tail.prepare(segment_bytes);
}

fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.seg"))
}

fn list(disk: &dyn Disk, folder: &Path) -> io::Result<BTreeMap<u32, u64>> {
    let files = disk.list(folder)?;
    let number = |name: &str| name.strip_suffix(".seg")?.parse().ok();
    Ok(files.iter().filter_map(|(name, length)| Some((number(name)?, *length))).collect())
}

fn create(
    disk: &dyn Disk,
    folder: &Path,
    number: u32,
    next_id: u64,
) -> io::Result<Arc<dyn Medium>> {
    let mut header = Vec::from(MAGIC);
    header.extend_from_slice(&u64::from(number).to_be_bytes());
    header.extend_from_slice(&next_id.to_be_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_be_bytes());
    let file = disk.open(&path(folder, number), How::New)?;
    file.write(0, &header)?;
    file.sync()?;
    disk.sync_folder(folder)?;
    Ok(file)
}

/// The next event id in a segment's header; `None` where the header is damaged.
fn read_header(disk: &dyn Disk, path: &Path, number: u32) -> io::Result<Option<u64>> {
    let mut header = [0; HEADER_LENGTH];
    match disk.open(path, How::Read)?.read(0, &mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut take = super::record::Take(&header);
    let magic: Option<[u8; 8]> = take.bytes();
    let named = take.number();
    let next_id = take.number();
    let crc = take.bytes().map(u32::from_be_bytes);
    let whole = crc == Some(crc32c::crc32c(&header[..24]))
        && magic == Some(MAGIC)
        && named == Some(u64::from(number));
    Ok(next_id.filter(|_| whole))
}

/// What healing the last segment found.
struct Tail {
    /// Its length now; `None` when it held nothing and was deleted.
    length: Option<u64>,
    damaged: u64,
    /// Above every id its records speak of.
    next_id: u64,
}

/// Cuts what was being written when the power went. A segment that never got its header and
/// holds no whole record goes.
fn heal_tail(disk: &dyn Disk, path: &Path, number: u32) -> io::Result<Tail> {
    let bytes = disk::read(disk, path)?;
    let header = HEADER_LENGTH;
    let mut length = bytes.len();
    let (mut damaged, mut next_id) = (0, 1);
    for found in Walk::new(&bytes, header) {
        match found {
            Found::Record(_, record) => next_id = next_id.max(record.id.saturating_add(1)),
            Found::Damage(_) => damaged += 1,
            Found::Torn(at) => length = at,
        }
    }
    if read_header(disk, path, number)?.is_none() {
        if length <= header {
            disk.remove(path)?;
            return Ok(Tail { length: None, damaged, next_id });
        }
        damaged += 1;
    }
    if length < bytes.len() {
        let file = disk.open(path, How::Write)?;
        file.set_length(length as u64)?;
        file.sync()?;
    }
    Ok(Tail { length: Some(length as u64), damaged, next_id })
}
