//! The card's memory: a segment log that is the truth, an index that can be rebuilt from it,
//! and what the owner said. Byte map: edge/store.md.
//!
//! ```text
//!  Recorder --queue--> writer: append, sync --> index --> bell
//!                                 |               |
//!                               log/*.seg     index.redb <-- list, get
//!                                 '------------------------- thumbnail, picture
//! ```
//! An event is listed only once the card has it.

mod ballast;
mod disk;
#[cfg(test)]
mod fault;
mod format;
mod index;
mod log;
mod mend;
mod owner;
mod pages;
mod placing;
mod record;
mod retention;
mod scrub;
mod writer;

use crate::clock::Clock;
use crate::notice::Bell;
use crate::vitals::Pulse;
use disk::{Disk, System};
use edge_core::event::{Event, EventId};
use edge_core::rest::query::Events as Query;
pub use edge_core::retain::Limits;
use edge_core::time::UnixMs;
use index::{Entry, Index};
use log::Location;
use owner::{Marks, Word};
use record::Tag;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
pub use writer::BEAT_MS;
use writer::{Job, Writer};

/// Puts `bytes` in a file's place: a crash leaves the old file or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    disk::replace(&System, path, bytes)
}

/// Changes that wait for the writer; when full, `Improved` is dropped and the others wait.
pub const QUEUE_CHANGES: usize = 64;
/// A phone's last use is noted to the minute.
const USE_MS: u64 = 60_000;

/// JPEGs of one event; both may be empty, as in health events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pictures {
    /// At most 320 pixels wide.
    pub thumbnail: Vec<u8>,
    /// The whole frame.
    pub full: Vec<u8>,
}

/// What the eye tells the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An event begins.
    Opened {
        /// The event, `ended` empty (or set, for one that has no length).
        event: Event,
        /// Its first pictures.
        pictures: Pictures,
    },
    /// An open event has a better picture.
    Improved {
        /// The whole event as it now stands.
        event: Event,
        /// The better pictures; empty ones leave the old ones standing.
        pictures: Pictures,
    },
    /// An event ends.
    Closed {
        /// Which one.
        id: EventId,
        /// When.
        ended: UnixMs,
    },
    /// A camera's eye stood still and is begun anew: what the old one left open ends.
    Deserted {
        /// The camera's name.
        camera: String,
        /// When.
        ended: UnixMs,
    },
}

/// The eye's end of the store; clones share one queue and one row of ids.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: SyncSender<Job>,
    shared: Arc<Shared>,
}

impl Recorder {
    /// An id nobody ever had.
    pub fn next_id(&self) -> EventId {
        EventId(self.shared.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Hands a change to the writer; `false` when it was not taken: an `Improved` that found
    /// the queue full, or a store that is closed.
    pub fn record(&self, change: Change) -> bool {
        match self.queue.try_send(Job::Change(change)) {
            Ok(()) => true,
            Err(
                TrySendError::Full(Job::Change(Change::Improved { .. }))
                | TrySendError::Disconnected(_),
            ) => false,
            Err(TrySendError::Full(job)) => self.queue.send(job).is_ok(),
        }
    }

    /// The same for who must not wait; `false` when it was not taken: a full queue, or a store
    /// that is closed.
    pub fn offer(&self, change: Change) -> bool {
        self.queue.try_send(Job::Change(change)).is_ok()
    }
}

/// One page of events, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// What to ask `before` for the following page; `None` at the end.
    pub next: Option<EventId>,
}

/// A JPEG as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The JPEG.
    pub bytes: Vec<u8>,
    /// Names these bytes: differs when they do.
    pub etag: String,
    /// Whether the event is closed, so that its pictures never change again.
    pub settled: bool,
}

/// Figures for status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Events listed.
    pub events: u64,
    /// Bytes of log on the card.
    pub bytes: u64,
    /// When the oldest event opened.
    pub oldest: Option<UnixMs>,
    /// When the whole log was last read.
    pub scrubbed: Option<UnixMs>,
    /// Whether the index is being made anew: not everything is listed yet.
    pub rebuilding: bool,
    /// Damaged stretches found since the start.
    pub quarantined: u64,
    /// How often the card has taken what was to last since the start: once a minute at least.
    pub commits: u64,
}

/// A paired phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Counts up from 1, never reused.
    pub id: u64,
    /// What its owner calls it, at most 64 bytes.
    pub name: String,
    /// When it paired.
    pub paired: UnixMs,
    /// When it last asked for something, to the minute.
    pub last_used: Option<UnixMs>,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
}

/// What kept the store from doing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Another process has the directory.
    Locked,
    /// The directory cannot be made or written.
    NotWritable,
    /// The directory holds something else.
    Foreign,
    /// A newer version wrote it.
    Newer,
    /// The card did not take it, or the index did not answer.
    Failed,
    /// The store is closed.
    Closed,
}

/// Why the store does not do it.
#[derive(Debug)]
pub struct Error {
    /// What kept it.
    pub kind: Kind,
    path: PathBuf,
    source: Option<io::Error>,
}

impl Error {
    fn new(kind: Kind, path: &Path, source: Option<io::Error>) -> Self {
        Self { kind, path: path.into(), source }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self.kind {
            Kind::Locked => "is in use by another nightjar-edge",
            Kind::NotWritable => "cannot be written",
            Kind::Foreign => "holds something that is no nightjar store",
            Kind::Newer => "was written by a newer version of nightjar-edge",
            Kind::Failed => "did not take or give the data",
            Kind::Closed => "is closed",
        };
        write!(f, "the data directory {} {text}", self.path.display())?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// What readers and the writer share.
#[derive(Debug)]
struct Shared {
    /// The writer's.
    pulse: Arc<Pulse>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Where the segments lie.
    folder: PathBuf,
    index: RwLock<Arc<Index>>,
    owner: RwLock<owner::State>,
    next_id: AtomicU64,
    bytes: AtomicU64,
    quarantined: AtomicU64,
    commits: AtomicU64,
    /// The index does not have everything.
    rebuilding: AtomicBool,
    /// A reader met damage in the index: the writer makes it anew.
    suspect: AtomicBool,
    /// Segments in which a reader met damage.
    suspects: Mutex<BTreeSet<u32>>,
    /// The last time that the log spoke of at the start.
    last_word: UnixMs,
}

impl Shared {
    fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn owner<T>(&self, look: impl FnOnce(&owner::State) -> T) -> T {
        look(&self.owner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_owner<T>(&self, change: impl FnOnce(&mut owner::State) -> T) -> T {
        change(&mut self.owner.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn failed(&self, source: Option<io::Error>) -> Error {
        Error::new(Kind::Failed, &self.dir, source)
    }

    /// A reader met damage there: the writer looks, and counts it once.
    fn suspect_segment(&self, segment: u32) {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).insert(segment);
    }

    /// The segments in which readers met damage; none is kept.
    fn take_suspects(&self) -> BTreeSet<u32> {
        std::mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An answer of the index; damage is noted for the writer.
    fn heed<T>(&self, answer: Result<T, index::Damaged>) -> Result<T, Error> {
        answer.map_err(|index::Damaged| {
            self.suspect.store(true, Ordering::Relaxed);
            self.failed(None)
        })
    }

    /// The event with its owner's marks.
    fn marked(&self, mut event: Event) -> Event {
        let Marks { favourite, reviewed } = self.owner(|owner| owner.marks(event.id));
        (event.favourite, event.reviewed) = (favourite, reviewed);
        event
    }
}

/// The store of one data directory.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    queue: SyncSender<Job>,
    clock: Clock,
    writer: Mutex<Option<JoinHandle<()>>>,
    _lock: Option<File>,
}

impl Store {
    /// Opens the store in `dir`, locks it, brings it up to date and starts its writer. Events
    /// that a crash left open are closed with the last time the log speaks of.
    pub fn open(
        dir: &Path,
        limits: Limits,
        clock: Clock,
        bell: Arc<Bell>,
    ) -> Result<Arc<Self>, Error> {
        let lock = format::lock(dir)?;
        format::upgrade(dir)?;
        let (queue, jobs) = sync_channel(QUEUE_CHANGES);
        let writer = Writer::open(Arc::new(System), dir, limits, clock, bell)?;
        let shared = Arc::clone(writer.shared());
        let thread = std::thread::Builder::new().name("store".into());
        let thread = thread.spawn(move || writer.run(&jobs));
        let thread = thread.map_err(|source| shared.failed(Some(source)))?;
        let writer = Mutex::new(Some(thread));
        Ok(Arc::new(Self { shared, queue, clock, writer, _lock: Some(lock) }))
    }

    /// The eye's end.
    pub fn recorder(&self) -> Recorder {
        Recorder { queue: self.queue.clone(), shared: Arc::clone(&self.shared) }
    }

    /// The last time that the log spoke of before this start; 0 where it is new.
    pub fn last_word(&self) -> UnixMs {
        self.shared.last_word
    }

    /// The writer's pulse.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.shared.pulse
    }

    /// Whether the writer works: `false` once the store is closed, or when a panic ended it.
    pub fn is_alive(&self) -> bool {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Closes open events, syncs everything and ends the writer; later changes are not taken.
    /// `false` when a panic had ended the writer before.
    pub fn close(&self) -> bool {
        let _ = self.queue.send(Job::End);
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.is_none_or(|thread| thread.join().is_ok())
    }

    /// A page of events, newest first.
    pub fn list(&self, query: &Query) -> Result<Page, Error> {
        let mut skip = query.skip;
        let mut page = Page::default();
        let see = |entry: Entry| {
            let event = self.shared.marked(entry.event);
            if !query.fits(&event) {
                return true;
            }
            if skip > 0 {
                skip -= 1;
                return true;
            }
            if page.events.len() == query.limit {
                page.next = page.events.last().map(|event| event.id);
                return false;
            }
            page.events.push(event);
            true
        };
        if query.favourite == Some(true) {
            self.walk_favourites(query.before, see)?;
        } else {
            let damaged = self.shared.heed(self.shared.index().walk(query.before, see))?;
            if damaged > 0 {
                self.shared.suspect.store(true, Ordering::Relaxed);
            }
        }
        Ok(page)
    }

    /// Shows the favourites, newest first; they are few, and named in memory.
    fn walk_favourites(
        &self,
        before: Option<EventId>,
        mut see: impl FnMut(Entry) -> bool,
    ) -> Result<(), Error> {
        let mut ids: Vec<EventId> = self.shared.owner(|owner| {
            let starred = owner.marks.iter().filter(|(_, marks)| marks.favourite);
            starred.map(|(id, _)| *id).filter(|id| before.is_none_or(|end| *id < end)).collect()
        });
        ids.sort_unstable_by(|a, b| b.cmp(a));
        let index = self.shared.index();
        for id in ids {
            let entry = self.shared.heed(index.get(id))?;
            if entry.is_some_and(|entry| !see(entry)) {
                break;
            }
        }
        Ok(())
    }

    /// One event.
    pub fn get(&self, id: EventId) -> Result<Option<Event>, Error> {
        let entry = self.shared.heed(self.shared.index().get(id))?;
        Ok(entry.map(|entry| self.shared.marked(entry.event)))
    }

    /// An event's small JPEG; `None` where it has none.
    pub fn thumbnail(&self, id: EventId) -> Result<Option<Picture>, Error> {
        self.read(id, Tag::Thumbnail, |entry| entry.thumbnail)
    }

    /// An event's whole JPEG; `None` where it has none.
    pub fn picture(&self, id: EventId) -> Result<Option<Picture>, Error> {
        self.read(id, Tag::Picture, |entry| entry.picture)
    }

    fn read(
        &self,
        id: EventId,
        tag: Tag,
        part: fn(&Entry) -> Option<Location>,
    ) -> Result<Option<Picture>, Error> {
        let look = || self.shared.heed(self.shared.index().get(id));
        let place = |entry: Option<Entry>| {
            let entry = entry?;
            Some((part(&entry)?, entry.event.ended.is_some()))
        };
        let mut found = place(look()?);
        while let Some((at, settled)) = found {
            if let Some(bytes) = log::read(&*self.shared.disk, &self.shared.folder, at, tag, id.0) {
                let etag = format!("\"{:08x}-{:x}\"", crc32c::crc32c(&bytes), bytes.len());
                return Ok(Some(Picture { bytes, etag, settled }));
            }
            // Retention may have carried it over between the two looks.
            let again = place(look()?);
            if again == found {
                self.shared.suspect_segment(at.segment);
                return Ok(None);
            }
            found = again;
        }
        Ok(None)
    }

    /// Changes the owner's marks; the event as it then is, or `None` where there is none.
    pub fn set(
        &self,
        id: EventId,
        favourite: Option<bool>,
        reviewed: Option<bool>,
    ) -> Result<Option<Event>, Error> {
        self.ask(move |writer| writer.mark(id, favourite, reviewed))
    }

    /// Deletes an event; whether there was one.
    pub fn delete(&self, id: EventId) -> Result<bool, Error> {
        self.ask(move |writer| writer.delete(id))
    }

    /// The box's name, where its owner gave it one.
    pub fn name(&self) -> Option<String> {
        self.shared.owner(|owner| owner.name.clone())
    }

    /// Names the box.
    pub fn set_name(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.ask(move |writer| writer.hear(&[Word::Name(name)]))
    }

    /// Whether Ambianic's notifications are wanted.
    pub fn notifications(&self) -> bool {
        self.shared.owner(|owner| owner.notifications)
    }

    /// Notes whether they are.
    pub fn set_notifications(&self, wanted: bool) -> Result<(), Error> {
        self.ask(move |writer| writer.hear(&[Word::Notifications(wanted)]))
    }

    /// The paired phones.
    pub fn clients(&self) -> Vec<Client> {
        self.shared.owner(|owner| owner.clients.values().cloned().collect())
    }

    /// Shows the paired phones to `look` without copying them.
    pub fn find_client(&self, mut fits: impl FnMut(&Client) -> bool) -> Option<u64> {
        self.shared.owner(|owner| {
            let mut found = None;
            for client in owner.clients.values() {
                if fits(client) {
                    found = Some(client.id);
                }
            }
            found
        })
    }

    /// Whether any phone ever paired.
    pub fn ever_paired(&self) -> bool {
        self.shared.owner(|owner| owner.last_client > 0)
    }

    /// Remembers a phone; its id.
    pub fn add_client(&self, name: &str, token_hash: [u8; 32]) -> Result<u64, Error> {
        let name = name.to_owned();
        self.ask(move |writer| writer.add_client(name, token_hash))
    }

    /// Forgets a phone; whether it was known.
    pub fn revoke(&self, id: u64) -> Result<bool, Error> {
        self.ask(move |writer| writer.revoke(id))
    }

    /// Notes that a phone asked for something. Writes to memory at most once a minute, and to
    /// the card with the writer's next hourly round.
    pub fn touch(&self, id: u64) {
        let now = self.clock.unix_ms();
        let fresh =
            |client: &Client| client.last_used.is_some_and(|at| at <= now && now.0 - at.0 < USE_MS);
        if self.shared.owner(|owner| owner.clients.get(&id).is_none_or(fresh)) {
            return;
        }
        self.shared.change_owner(|owner| {
            if let Some(client) = owner.clients.get_mut(&id) {
                client.last_used = Some(now);
            }
        });
    }

    /// Figures for status.
    pub fn figures(&self) -> Result<Figures, Error> {
        let (events, oldest) = self.shared.heed(self.shared.index().figures())?;
        let bytes = self.shared.bytes.load(Ordering::Relaxed);
        let quarantined = self.shared.quarantined.load(Ordering::Relaxed);
        let scrubbed = self.shared.owner(|owner| owner.scrubbed).map(|last| last.at);
        let rebuilding = self.shared.rebuilding.load(Ordering::Relaxed);
        let commits = self.shared.commits.load(Ordering::Relaxed);
        Ok(Figures { events, bytes, oldest, scrubbed, rebuilding, quarantined, commits })
    }

    /// Has the writer do something and waits for its answer.
    fn ask<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Writer) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = sync_channel(1);
        let job = Job::Ask(Box::new(move |writer| {
            let _ = answer.send(run(writer));
        }));
        let closed = || Error::new(Kind::Closed, &self.shared.dir, None);
        self.queue.send(job).map_err(|_| closed())?;
        answered.recv().unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
