//! Where everything lies: a redb file that can be lost, because the log can tell it again.
//!
//! On a damaged page redb may panic, also while another panic unwinds, where nothing can be
//! caught. So it gets none to see: after a clean stop each block has a sum (see [`super::pages`]),
//! after any other redb checks all pages when it opens the file. It does not check them on reads:
//! every value here carries a CRC32C over its key and itself, and every call is isolated.

use super::disk::{Disk, How};
use super::log::{Location, Log, Position, SEGMENT_HEADER_BYTES};
use super::pages::{Backend, Pages, Sums};
use super::record::{Found, Record, Tag, Take, Walk, parse_event, write_event};
use edge_core::event::{Event, EventId};
use edge_core::time::UnixMs;
use redb::{
    AccessGuard, Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, WriteTransaction,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// Events by id.
const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
/// Events that have not ended.
const OPEN: TableDefinition<'_, u64, ()> = TableDefinition::new("open");
/// The time of the newest event in each segment.
const SEGMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("segments");
/// One value under key 0: [`State`].
const STATE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("state");

/// What redb may keep in memory, bytes.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// The index does not answer, or answers wrongly: it is to be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

impl<E: Into<redb::Error>> From<E> for Damaged {
    fn from(error: E) -> Self {
        drop(error.into());
        Self
    }
}

type Result<T> = std::result::Result<T, Damaged>;

/// One event and where its parts lie.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) record: Location,
    pub(super) thumbnail: Option<Location>,
    pub(super) picture: Option<Location>,
    /// The oldest and the newest segment with any record of it, dead ones too.
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Entry {
    /// Its live parts: the pictures, then the record.
    pub(super) fn parts(&self) -> impl Iterator<Item = (Tag, Location)> {
        let thumbnail = self.thumbnail.map(|at| (Tag::Thumbnail, at));
        let picture = self.picture.map(|at| (Tag::Picture, at));
        [thumbnail, picture, Some((Tag::Event, self.record))].into_iter().flatten()
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        for at in [Some(self.record), self.thumbnail, self.picture] {
            let at = at.unwrap_or(Location { segment: 0, offset: 0, length: 0 });
            for number in [at.segment, at.offset, at.length] {
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        out.extend_from_slice(&self.first.to_be_bytes());
        out.extend_from_slice(&self.last.to_be_bytes());
        write_event(&self.event, &mut out);
        out
    }

    fn parse(id: u64, bytes: &[u8]) -> Option<Self> {
        let mut take = Take(bytes);
        let mut word = || take.bytes().map(u32::from_be_bytes);
        let mut location = || Some(Location { segment: word()?, offset: word()?, length: word()? });
        let record = location()?;
        let thumbnail = Some(location()?).filter(|at| at.segment != 0);
        let picture = Some(location()?).filter(|at| at.segment != 0);
        let (first, last) = (word()?, word()?);
        let event = parse_event(id, take.0)?;
        Some(Self { event, record, thumbnail, picture, first, last })
    }
}

/// What the index knows of the log as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Everything before is in the index.
    pub(super) position: Position,
    /// Above every event id seen.
    pub(super) next_id: u64,
    /// The last time the log speaks of.
    pub(super) last: UnixMs,
}

impl Default for State {
    fn default() -> Self {
        let position = Position { segment: 0, offset: 0 };
        Self { position, next_id: 1, last: UnixMs(0) }
    }
}

impl State {
    fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.position.segment.to_be_bytes());
        out.extend_from_slice(&self.position.offset.to_be_bytes());
        out.extend_from_slice(&self.next_id.to_be_bytes());
        out.extend_from_slice(&self.last.0.to_be_bytes());
        out
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut take = Take(bytes);
        let segment = take.bytes().map(u32::from_be_bytes)?;
        let offset = take.bytes().map(u32::from_be_bytes)?;
        let position = Position { segment, offset };
        Some(Self { position, next_id: take.number()?, last: UnixMs(take.number()?) })
    }
}

/// The index, open.
#[derive(Debug)]
pub(super) struct Index {
    database: Database,
    /// Its file; none in memory.
    pages: Option<Arc<Pages>>,
}

impl Index {
    /// Opens the index at `path`, or makes an empty one. Without sums all of it is checked.
    pub(super) fn open(disk: &dyn Disk, path: &Path, sums: Option<Sums>) -> Result<Self> {
        isolated(|| {
            let file = disk.open(path, How::Write)?;
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(sums.is_none());
            let pages = Arc::new(Pages::new(file, sums.unwrap_or_default()));
            let database = builder.create_with_backend(Backend(Arc::clone(&pages)))?;
            Self::over(database, Some(pages))
        })
    }

    /// Ends writing, after everything was made to last; what the next start is to hold it against.
    pub(super) fn seal(&self) -> Option<Sums> {
        self.pages.as_ref().map(|pages| pages.seal())
    }

    /// Lets go of a handle on an index that may be damaged: redb writes once more, and may panic.
    pub(super) fn let_go(index: Arc<Self>) {
        let _ = isolated(|| {
            drop(index);
            Ok(())
        });
    }

    /// An empty index that goes with the process: for a card that takes none.
    pub(super) fn in_memory() -> Result<Self> {
        isolated(|| {
            let backend = redb::backends::InMemoryBackend::new();
            Self::over(Database::builder().create_with_backend(backend)?, None)
        })
    }

    fn over(database: Database, pages: Option<Arc<Pages>>) -> Result<Self> {
        // They are made together, by a commit that a start need not make again.
        if database.begin_read()?.open_table(STATE).is_ok() {
            return Ok(Self { database, pages });
        }
        let transaction = database.begin_write()?;
        transaction.open_table(EVENTS)?;
        transaction.open_table(OPEN)?;
        transaction.open_table(SEGMENTS)?;
        transaction.open_table(STATE)?;
        transaction.commit()?;
        Ok(Self { database, pages })
    }

    /// Starts a batch of changes.
    pub(super) fn batch(&self) -> Result<Batch> {
        isolated(|| {
            let transaction = self.database.begin_write()?;
            let state = {
                let table = transaction.open_table(STATE)?;
                let value = table.get(0)?;
                let bytes = value.as_ref().map(AccessGuard::value);
                bytes.map_or(Ok(State::default()), |bytes| {
                    unseal(0, bytes).and_then(State::parse).ok_or(Damaged)
                })?
            };
            Ok(Batch { transaction, state, waiting: HashMap::new(), damaged: BTreeMap::new() })
        })
    }

    /// Makes what was committed last.
    pub(super) fn harden(&self) -> Result<()> {
        isolated(|| {
            let mut transaction = self.database.begin_write()?;
            transaction.set_quick_repair(true);
            Ok(transaction.commit()?)
        })
    }

    /// What the index knows of the log as a whole.
    pub(super) fn state(&self) -> Result<State> {
        isolated(|| {
            let table = self.database.begin_read()?.open_table(STATE)?;
            let value = table.get(0)?;
            let bytes = value.as_ref().map(AccessGuard::value);
            bytes.map_or(Ok(State::default()), |bytes| {
                unseal(0, bytes).and_then(State::parse).ok_or(Damaged)
            })
        })
    }

    /// One event.
    pub(super) fn get(&self, id: EventId) -> Result<Option<Entry>> {
        isolated(|| {
            let table = self.database.begin_read()?.open_table(EVENTS)?;
            let value = table.get(id.0)?;
            value.as_ref().map(|value| entry(id.0, value.value())).transpose()
        })
    }

    /// Shows events to `see`, newest first, from the one before `before` on, until it has
    /// enough (`false`). Damaged entries are passed over and counted in the answer.
    pub(super) fn walk(
        &self,
        before: Option<EventId>,
        mut see: impl FnMut(Entry) -> bool,
    ) -> Result<u64> {
        isolated(|| {
            let table = self.database.begin_read()?.open_table(EVENTS)?;
            let mut damaged = 0;
            for row in table.range(..before.map_or(u64::MAX, |id| id.0))?.rev() {
                let (id, value) = row?;
                match entry(id.value(), value.value()) {
                    Ok(entry) => {
                        if !see(entry) {
                            break;
                        }
                    }
                    Err(Damaged) => damaged += 1,
                }
            }
            Ok(damaged)
        })
    }

    /// Shows events to `see`, oldest first, from `first` on, until it has enough (`false`).
    pub(super) fn climb(&self, first: u64, mut see: impl FnMut(Entry) -> bool) -> Result<()> {
        isolated(|| {
            let table = self.database.begin_read()?.open_table(EVENTS)?;
            for row in table.range(first..)? {
                let (id, value) = row?;
                if !see(entry(id.value(), value.value())?) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Damages an event's entry.
    #[cfg(test)]
    pub(super) fn spoil(&self, id: EventId) {
        let transaction = self.database.begin_write().unwrap();
        transaction.open_table(EVENTS).unwrap().insert(id.0, &b"spoilt"[..]).unwrap();
        transaction.commit().unwrap();
    }

    /// How many events there are, and when the oldest opened.
    pub(super) fn figures(&self) -> Result<(u64, Option<UnixMs>)> {
        isolated(|| {
            let table = self.database.begin_read()?.open_table(EVENTS)?;
            let first = table.first()?;
            let oldest = first.map(|(id, value)| entry(id.value(), value.value())).transpose()?;
            Ok((table.len()?, oldest.map(|entry| entry.event.started)))
        })
    }

    /// Events that have not ended.
    pub(super) fn open_events(&self) -> Result<BTreeMap<u64, Event>> {
        isolated(|| {
            let transaction = self.database.begin_read()?;
            let events = transaction.open_table(EVENTS)?;
            let mut open = BTreeMap::new();
            for row in transaction.open_table(OPEN)?.iter()? {
                let id = row?.0.value();
                let value = events.get(id)?.ok_or(Damaged)?;
                open.insert(id, entry(id, value.value())?.event);
            }
            Ok(open)
        })
    }

    /// The time of the newest event in each segment the index knows.
    pub(super) fn segments(&self) -> Result<HashMap<u32, UnixMs>> {
        isolated(|| {
            let table = self.database.begin_read()?.open_table(SEGMENTS)?;
            let mut segments = HashMap::new();
            for row in table.iter()? {
                let (number, value) = row?;
                let number = number.value();
                let newest = newest(number, value.value())?;
                segments.insert(u32::try_from(number).map_err(|_| Damaged)?, newest);
            }
            Ok(segments)
        })
    }
}

/// Changes that become visible together.
pub(super) struct Batch {
    transaction: WriteTransaction,
    state: State,
    /// Pictures whose event's record has not come yet.
    waiting: HashMap<u64, [Option<Location>; 2]>,
    /// Damaged stretches met, by segment.
    damaged: BTreeMap<u32, u64>,
}

/// What one segment says of an event.
#[derive(Debug, Default)]
struct Past {
    record: Option<(Location, Event)>,
    pictures: [Option<Location>; 2],
}

impl Batch {
    /// Takes in one record of the log. The same for a record just written and for one replayed.
    pub(super) fn apply(&mut self, at: Location, record: &Record<'_>) -> Result<()> {
        let id = record.id;
        match record.tag {
            Tag::Thumbnail => self.waiting.entry(id).or_default()[0] = Some(at),
            Tag::Picture => self.waiting.entry(id).or_default()[1] = Some(at),
            Tag::Event => match parse_event(id, record.bytes) {
                Some(event) => return self.put(at, event),
                None => self.hurt(at.segment),
            },
            Tag::Gone => {
                self.seen(id);
                return self.forget(id);
            }
            Tag::Beat => {
                if let Some(ms) = Take(record.bytes).number() {
                    self.state.last = UnixMs(ms);
                }
            }
            _ => self.hurt(at.segment),
        }
        Ok(())
    }

    fn hurt(&mut self, segment: u32) {
        *self.damaged.entry(segment).or_default() += 1;
    }

    fn put(&mut self, at: Location, event: Event) -> Result<()> {
        let id = event.id.0;
        self.seen(id);
        self.state.last = event.ended.unwrap_or(event.started);
        let [thumbnail, picture] = self.waiting.remove(&id).unwrap_or_default();
        let old = self.get(id)?;
        let old_at = |part: fn(&Entry) -> Option<Location>| old.as_ref().and_then(part);
        let thumbnail = thumbnail.or_else(|| old_at(|old| old.thumbnail));
        let picture = picture.or_else(|| old_at(|old| old.picture));
        let parts = [Some(at), thumbnail, picture].into_iter().flatten().map(|at| at.segment);
        let before = old.as_ref().map(|old| [old.first, old.last]).into_iter().flatten();
        let (first, last) = parts
            .chain(before)
            .fold((at.segment, at.segment), |(low, high), s| (low.min(s), high.max(s)));
        self.store(&Entry { event, record: at, thumbnail, picture, first, last })
    }

    /// Writes an entry, and what the other tables say because of it.
    fn store(&mut self, entry: &Entry) -> Result<()> {
        let (id, started) = (entry.event.id.0, entry.event.started);
        isolated(|| {
            let sealed = seal(id, &entry.write());
            self.transaction.open_table(EVENTS)?.insert(id, sealed.as_slice())?;
            let mut open = self.transaction.open_table(OPEN)?;
            if entry.event.ended.is_some() {
                open.remove(id)?
            } else {
                open.insert(id, ())?
            };
            let mut segments = self.transaction.open_table(SEGMENTS)?;
            for (_, at) in entry.parts() {
                let key = u64::from(at.segment);
                let known = segments.get(key)?.map(|value| newest(key, value.value()));
                let time = known.transpose()?.map_or(started, |known| known.max(started));
                segments.insert(key, seal(key, &time.0.to_be_bytes()).as_slice())?;
            }
            Ok(())
        })
    }

    /// Takes in a segment that is older than all the index has: what is known stays, what lacks
    /// is filled. Events in `gone` stay gone; those that this segment buries are added.
    pub(super) fn fill(
        &mut self,
        number: u32,
        bytes: &[u8],
        gone: &mut HashSet<u64>,
    ) -> Result<()> {
        let start = usize::try_from(SEGMENT_HEADER_BYTES).map_err(|_| Damaged)?;
        let mut past: BTreeMap<u64, Past> = BTreeMap::new();
        for found in Walk::new(bytes, start) {
            let Found::Record(at, record) = found else {
                self.hurt(number);
                continue;
            };
            let at = location(number, at, &record)?;
            match record.tag {
                Tag::Thumbnail => past.entry(record.id).or_default().pictures[0] = Some(at),
                Tag::Picture => past.entry(record.id).or_default().pictures[1] = Some(at),
                Tag::Event => match parse_event(record.id, record.bytes) {
                    Some(event) => {
                        past.entry(record.id).or_default().record = Some((at, event));
                    }
                    None => self.hurt(number),
                },
                Tag::Gone => {
                    self.seen(record.id);
                    gone.insert(record.id);
                }
                Tag::Beat => {}
                _ => self.hurt(number),
            }
        }
        for (id, past) in past {
            self.seen(id);
            if !gone.contains(&id) {
                self.fill_event(id, number, &past)?;
            }
        }
        Ok(())
    }

    fn fill_event(&mut self, id: u64, number: u32, past: &Past) -> Result<()> {
        let [thumbnail, picture] = past.pictures;
        let entry = match (self.get(id)?, past.record.clone()) {
            (Some(entry), _) => Entry {
                thumbnail: entry.thumbnail.or(thumbnail),
                picture: entry.picture.or(picture),
                first: entry.first.min(number),
                ..entry
            },
            (None, Some((record, event))) => {
                Entry { event, record, thumbnail, picture, first: number, last: number }
            }
            // Pictures of an event whose record never came.
            (None, None) => return Ok(()),
        };
        self.store(&entry)
    }

    fn seen(&mut self, id: u64) {
        self.state.next_id = self.state.next_id.max(id.saturating_add(1));
    }

    /// One event, as this batch leaves it.
    pub(super) fn get(&self, id: u64) -> Result<Option<Entry>> {
        isolated(|| {
            let table = self.transaction.open_table(EVENTS)?;
            let value = table.get(id)?;
            value.as_ref().map(|value| entry(id, value.value())).transpose()
        })
    }

    /// Takes an event out.
    pub(super) fn forget(&mut self, id: u64) -> Result<()> {
        self.waiting.remove(&id);
        isolated(|| {
            self.transaction.open_table(EVENTS)?.remove(id)?;
            self.transaction.open_table(OPEN)?.remove(id)?;
            Ok(())
        })
    }

    /// Takes a deleted segment out.
    pub(super) fn forget_segment(&mut self, number: u32) -> Result<()> {
        isolated(|| {
            self.transaction.open_table(SEGMENTS)?.remove(u64::from(number))?;
            Ok(())
        })
    }

    /// Takes in every record of `log` from where the index stands to the end; the count of
    /// damaged stretches, by segment.
    pub(super) fn replay(&mut self, log: &Log) -> Result<BTreeMap<u32, u64>> {
        let from = self.state.position;
        let known = log.segments().get(&from.segment);
        if known.is_some_and(|length| u64::from(from.offset) > *length) || from > log.synced() {
            return Err(Damaged);
        }
        for &number in log.segments().range(from.segment..).map(|(number, _)| number) {
            let start = if number == from.segment { u64::from(from.offset) } else { 0 };
            let start = usize::try_from(start.max(SEGMENT_HEADER_BYTES)).map_err(|_| Damaged)?;
            let Ok(bytes) = log.read_segment(number) else {
                self.hurt(number);
                continue;
            };
            for found in Walk::new(&bytes, start) {
                match found {
                    Found::Record(at, record) => {
                        self.apply(location(number, at, &record)?, &record)?;
                    }
                    Found::Damage(_) | Found::Torn(_) => self.hurt(number),
                }
            }
        }
        self.waiting.clear();
        self.sweep(log)?;
        Ok(std::mem::take(&mut self.damaged))
    }

    /// Takes out what lay in segments that are gone: retention deleted them after the index was
    /// last made durable. Events with records elsewhere were buried by a record of their own.
    fn sweep(&mut self, log: &Log) -> Result<()> {
        let there = |number: u32| log.segments().contains_key(&number);
        let mut lost = Vec::new();
        let mut lost_segments = Vec::new();
        isolated(|| {
            let segments = self.transaction.open_table(SEGMENTS)?;
            for row in segments.iter()? {
                let number = u32::try_from(row?.0.value()).map_err(|_| Damaged)?;
                if !there(number) {
                    lost_segments.push(number);
                }
            }
            if lost_segments.is_empty() {
                return Ok(());
            }
            for row in self.transaction.open_table(EVENTS)?.iter()? {
                let (id, value) = row?;
                if !there(entry(id.value(), value.value())?.record.segment) {
                    lost.push(id.value());
                }
            }
            Ok(())
        })?;
        for id in lost {
            self.forget(id)?;
        }
        lost_segments.into_iter().try_for_each(|number| self.forget_segment(number))
    }

    /// Makes the batch visible; `durable` also makes it last, with all before it.
    pub(super) fn commit(mut self, log: &Log, next_id: u64, durable: bool) -> Result<()> {
        self.state.position = log.synced();
        self.seen(next_id.saturating_sub(1));
        let mut transaction = self.transaction;
        isolated(move || {
            let sealed = seal(0, &self.state.write());
            transaction.open_table(STATE)?.insert(0, sealed.as_slice())?;
            transaction.set_quick_repair(true);
            if !durable {
                transaction.set_durability(Durability::None)?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// Damaged stretches met, by segment.
    pub(super) fn damaged(&self) -> &BTreeMap<u32, u64> {
        &self.damaged
    }

    /// What the index will know of the log once this is committed.
    pub(super) fn state(&self) -> State {
        self.state
    }
}

/// A record's place.
pub(super) fn location(segment: u32, offset: usize, record: &Record<'_>) -> Result<Location> {
    let offset = u32::try_from(offset).map_err(|_| Damaged)?;
    let length = u32::try_from(record.bytes.len()).map_err(|_| Damaged)?;
    Ok(Location { segment, offset, length })
}

/// Runs calls to redb; a panic in there is damage.
fn isolated<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(Damaged))
}

fn crc(key: u64, value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&key.to_be_bytes()), value)
}

fn seal(key: u64, value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::from(crc(key, value).to_be_bytes());
    sealed.extend_from_slice(value);
    sealed
}

fn unseal(key: u64, sealed: &[u8]) -> Option<&[u8]> {
    let (stored, value) = sealed.split_first_chunk()?;
    (u32::from_be_bytes(*stored) == crc(key, value)).then_some(value)
}

fn entry(id: u64, sealed: &[u8]) -> Result<Entry> {
    unseal(id, sealed).and_then(|value| Entry::parse(id, value)).ok_or(Damaged)
}

fn newest(number: u64, sealed: &[u8]) -> Result<UnixMs> {
    let value = unseal(number, sealed).ok_or(Damaged)?;
    Take(value).number().map(UnixMs).ok_or(Damaged)
}
