//! The one thread that writes to the card: drains what waits, syncs once, then lists it.

use super::disk::Disk;
use super::index::{Batch, Damaged};
use super::log::{Location, Log, SEGMENT_BYTES, SEGMENT_HEADER_BYTES};
use super::mend::{Begun, Health};
use super::owner::{Marks, Owner, Word};
use super::placing::Placing;
use super::record::{RECORD_BYTES, Record, Tag, write_event};
use super::retention::Ahead;
use super::scrub::Scrub;
use super::{Change, Client, Error, Kind, Limits, Pictures, Shared};
use crate::clock::Clock;
use crate::notice::{Bell, What};
use crate::say;
use edge_core::event::{Event, EventId};
use edge_core::time::{Instant, UnixMs};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

/// Changes that share one sync.
const GROUP_CHANGES: usize = 32;
/// How often the writer looks up when nothing comes.
const TICK: Duration = Duration::from_secs(1);
/// How long the index may be filled before the store is open.
const OPEN_MS: u64 = 2_000;
/// The log says so often that the box is alive.
pub const BEAT_MS: u64 = 60_000;
/// A beat that is older than this is said again with whatever is synced: that costs no sync.
const RIDE_MS: u64 = 10_000;
/// The index lasts from then on without a replay. Each time writes about 100 KB.
const HARDEN_MS: u64 = 15 * 60_000;
/// The same after so many new segments, so that a replay stays short.
const HARDEN_SEGMENTS: u32 = 16;
/// Retention by days, and phones' last uses.
const ROUND_MS: u64 = 60 * 60_000;

/// Ids left out where the index is lost: the log's newest records, and what they say of ids that
/// phones have seen, may be lost with it.
const SKIP_IDS: u64 = 1 << 16;

/// What the writer is asked to do.
pub(super) enum Job {
    /// Record this.
    Change(Change),
    /// Do this and answer.
    Ask(Box<dyn FnOnce(&mut Writer) + Send>),
    /// Close what is open and end.
    End,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Change(_) => "Change",
            Self::Ask(_) => "Ask",
            Self::End => "End",
        })
    }
}

/// Why a write did not happen.
#[derive(Debug)]
pub(super) enum Fault {
    /// The card refused.
    Card(io::Error),
    /// The index did.
    Index,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Card(error)
    }
}

impl From<Damaged> for Fault {
    fn from(_: Damaged) -> Self {
        Self::Index
    }
}

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) bell: Arc<Bell>,
    owner: Owner,
    /// Events that have not ended.
    pub(super) open: BTreeMap<u64, Event>,
    /// Deleted while open: what the eye still says of them is not heard.
    deleted: BTreeSet<u64>,
    /// Ends of open events that the card refused; told it again with each beat.
    refused: BTreeMap<u64, UnixMs>,
    /// Last uses of phones as the card has them.
    saved_uses: HashMap<u64, Option<UnixMs>>,
    beaten: Instant,
    hardened: Instant,
    /// The tail when the index was last made to last.
    hardened_tail: u32,
    rounded: Instant,
    /// The tail when retention last came to an end; another number while it has more to do.
    pub(super) retained: u32,
    /// Single events that are too old are to be forgotten once it has.
    is_burial_due: bool,
    /// Lowest and highest event id in segments that are no longer written.
    pub(super) spans: HashMap<u32, Option<(u64, u64)>>,
    dirty: bool,
    /// What each hour is looked after was so since the start.
    is_looked_after: bool,
    /// Events below were there when the store opened.
    pub(super) born: u64,
    /// The last time the log spoke of then.
    last: UnixMs,
    pub(super) health: Health,
    pub(super) scrub: Scrub,
    pub(super) placing: Placing,
    /// The wall clock is further on than it should be.
    pub(super) ahead: Option<Ahead>,
}

/// Records of one group: appended, not yet in the index.
#[derive(Debug, Default)]
pub(super) struct Group {
    records: Vec<(Location, Tag, u64, Vec<u8>)>,
    /// Events as the group leaves them.
    events: HashMap<u64, Event>,
    /// It tells again of what was before.
    pub(super) retells: bool,
}

impl Writer {
    /// Opens log, index and owner's log, and brings them together.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        limits: Limits,
        clock: Clock,
        bell: Arc<Bell>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::new(Kind::NotWritable, dir, Some(source));
        let segment_bytes = (limits.keep_bytes / 8).clamp(SEGMENT_BYTES / 64, SEGMENT_BYTES);
        let log = Log::open(Arc::clone(&disk), &dir.join("log"), segment_bytes).map_err(failed)?;
        let fresh = log.bytes() <= SEGMENT_HEADER_BYTES;
        let (owner, state, lost) =
            Owner::open(Arc::clone(&disk), &dir.join("owner.log"), fresh).map_err(failed)?;
        if lost > 0 {
            say!(
                "store: a part of what the owner said is damaged or missing; where phones, stars \
                 or the name are gone, pairing can be opened on this machine"
            );
        }
        let unread = |Damaged| Error::new(Kind::Failed, dir, None);
        let Begun { index, filling, damaged, is_lost, is_clean } =
            Begun::of(&*disk, dir, &log).map_err(unread)?;
        let skip = if is_lost && !fresh { SKIP_IDS } else { 0 };
        let known = index.state().map_err(unread)?;
        let next_id = known.next_id.max(log.next_id()) + skip;
        let last = if is_lost { log.last_time() } else { known.last };
        let saved_uses = state.clients.values().map(|c| (c.id, c.last_used)).collect();
        let shared = Arc::new(Shared {
            pulse: Arc::default(),
            disk,
            dir: dir.into(),
            folder: log.folder().into(),
            bytes: AtomicU64::new(log.bytes()),
            index: RwLock::new(Arc::new(index)),
            owner: RwLock::new(state),
            next_id: AtomicU64::new(next_id),
            quarantined: AtomicU64::new(lost),
            commits: AtomicU64::new(0),
            suspect: AtomicBool::new(false),
            suspects: Mutex::default(),
            rebuilding: AtomicBool::new(false),
            last_word: last,
        });
        let (now, tail) = (clock.now(), log.tail());
        let mut writer = Self {
            shared,
            log,
            limits,
            clock,
            bell,
            owner,
            open: BTreeMap::new(),
            deleted: BTreeSet::new(),
            refused: BTreeMap::new(),
            saved_uses,
            beaten: now,
            hardened: now,
            hardened_tail: tail,
            rounded: now,
            retained: 0,
            is_burial_due: false,
            spans: HashMap::new(),
            dirty: false,
            is_looked_after: false,
            born: next_id,
            last,
            health: Health::new(filling, is_lost),
            scrub: Scrub::default(),
            placing: Placing::new(now, clock.unix_ms()),
            ahead: None,
        };
        for (segment, stretches) in damaged {
            writer.found_damage(segment, stretches);
        }
        if !is_clean && !fresh {
            writer.begin_scrub();
        }
        writer.bring_up(is_lost);
        Ok(writer)
    }

    /// Fills an index that is lost, or closes what the last run left open. A card that is full
    /// is no reason not to start: it is tried once more with what room can be made, then later.
    fn bring_up(&mut self, is_lost: bool) {
        if is_lost {
            self.fill(OPEN_MS);
            self.shared.rebuilding.store(!self.is_whole(), Ordering::Relaxed);
            return;
        }
        let brought = self.forget_lost_marks().and_then(|()| self.close_left_open());
        if brought.is_err() {
            self.note(brought);
            let closed = self.close_left_open();
            self.note_fault(closed);
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Works until told to end.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            self.shared.pulse.beat(self.clock.now());
            let mut changes = Vec::new();
            let wait = if self.is_filling() { Duration::ZERO } else { TICK };
            let mut next = match jobs.recv_timeout(wait) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            while let Some(Job::Change(change)) = next {
                changes.push(change);
                let full = changes.len() == GROUP_CHANGES;
                next = if full { None } else { jobs.try_recv().ok() };
            }
            self.record(&changes);
            match next {
                Some(Job::Ask(run)) => run(&mut self),
                Some(Job::End) => break,
                Some(Job::Change(_)) | None => {}
            }
            self.tick();
        }
        self.finish();
    }

    /// Records a group of changes: all or none of them. What the card refuses is tried once more.
    pub(super) fn record(&mut self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let mut done = self.try_record(changes);
        if let Err(Fault::Card(_)) = done {
            self.note(done.map(drop));
            done = self.try_record(changes);
        }
        for id in done.iter().flatten() {
            self.bell.ring(What::Event(*id));
        }
        let is_refused = matches!(done, Err(Fault::Card(_)));
        self.note(done.map(drop));
        if is_refused {
            let ends: Vec<_> = changes.iter().flat_map(|change| self.ends(change)).collect();
            self.refused.extend(ends);
        }
    }

    /// Records the ends that the card refused.
    fn record_refused(&mut self) {
        let refused = std::mem::take(&mut self.refused).into_iter();
        let ends = refused.map(|(id, ended)| Change::Closed { id: EventId(id), ended });
        self.record(&ends.collect::<Vec<_>>());
    }

    /// The open events that a change ends, and when.
    fn ends(&self, change: &Change) -> Vec<(u64, UnixMs)> {
        let (Change::Closed { ended, .. } | Change::Deserted { ended, .. }) = change else {
            return Vec::new();
        };
        let is_meant = |event: &&Event| match change {
            Change::Closed { id, .. } => event.id == *id,
            Change::Deserted { camera, .. } => event.camera.as_str() == camera,
            Change::Opened { .. } | Change::Improved { .. } => false,
        };
        self.open.values().filter(is_meant).map(|event| (event.id.0, *ended)).collect()
    }

    fn try_record(&mut self, changes: &[Change]) -> Result<Vec<EventId>, Fault> {
        let mut group = Group::default();
        changes.iter().try_for_each(|change| self.stage(&mut group, change))?;
        let ids = self.settle(group)?;
        // What was deleted while open is over now.
        for change in changes {
            if let Change::Closed { id, .. } = change {
                self.deleted.remove(&id.0);
            }
        }
        Ok(ids)
    }

    /// Appends one change's records to the log.
    pub(super) fn stage(&mut self, group: &mut Group, change: &Change) -> Result<(), Fault> {
        match change {
            Change::Opened { event, pictures } | Change::Improved { event, pictures } => {
                group.retells |= matches!(change, Change::Improved { .. });
                if self.deleted.contains(&event.id.0) {
                    return Ok(());
                }
                self.stage_event(group, self.placing.place(event.clone()), pictures)
            }
            Change::Closed { id, ended } => {
                if self.deleted.contains(&id.0) {
                    return Ok(());
                }
                let known = group.events.get(&id.0).or_else(|| self.open.get(&id.0));
                let Some(event) = known.cloned() else { return Ok(()) };
                let ended = Some(*ended);
                let mut event = self.placing.place(Event { ended, ..event });
                event.ended = event.ended.max(Some(event.started));
                self.stage_event(group, event, &Pictures::default())
            }
            Change::Deserted { .. } => {
                let mut ends = self.ends(change);
                ends.retain(|(id, _)| group.events.get(id).is_none_or(|it| it.ended.is_none()));
                ends.into_iter().try_for_each(|(id, ended)| {
                    self.stage(group, &Change::Closed { id: EventId(id), ended })
                })
            }
        }
    }

    /// Appends an event: its pictures first, so that an event in the log has them.
    pub(super) fn stage_event(
        &mut self,
        group: &mut Group,
        event: Event,
        pictures: &Pictures,
    ) -> Result<(), Fault> {
        let id = event.id.0;
        for (tag, jpeg) in [(Tag::Thumbnail, &pictures.thumbnail), (Tag::Picture, &pictures.full)] {
            if !jpeg.is_empty() && jpeg.len() <= RECORD_BYTES {
                self.append(group, tag, id, jpeg)?;
            }
        }
        let mut bytes = Vec::with_capacity(128);
        write_event(&event, &mut bytes);
        self.append(group, Tag::Event, id, &bytes)?;
        group.events.insert(id, event);
        Ok(())
    }

    /// Appends one record. The group keeps its bytes where the index wants to see them.
    pub(super) fn append(
        &mut self,
        group: &mut Group,
        tag: Tag,
        id: u64,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let next_id = self.shared.next_id.load(Ordering::Relaxed);
        let at = self.log.append(tag, id, bytes, next_id)?;
        let small = matches!(tag, Tag::Event | Tag::Beat);
        group.records.push((at, tag, id, if small { bytes.into() } else { Vec::new() }));
        Ok(())
    }

    /// Syncs a group and takes it into the index; the events that are listed by that. The last word
    /// of a group that tells again of old events is of now: the next start takes it for the time
    /// until which the box was on. Other groups bring one along when it has been a while.
    pub(super) fn settle(&mut self, mut group: Group) -> Result<Vec<EventId>, Fault> {
        let now = self.clock.now();
        let rides = !group.records.is_empty() && now.since_ms(self.beaten) >= RIDE_MS;
        if rides || group.retells {
            self.append_beat(&mut group)?;
        }
        let waits = self.log.synced() != self.log.end();
        self.log.sync()?;
        self.shared.commits.fetch_add(u64::from(waits), Ordering::Relaxed);
        if rides {
            self.beaten = now;
        }
        let ids: Vec<EventId> = group.events.keys().copied().map(EventId).collect();
        let taken = if self.is_behind() { Ok(false) } else { self.take_in(&group).map(|()| true) };
        for event in group.events.into_values() {
            if event.ended.is_some() {
                self.open.remove(&event.id.0);
            } else {
                self.open.insert(event.id.0, event);
            }
        }
        if matches!(taken, Ok(true)) {
            return Ok(ids);
        }
        self.ring_later(ids.into_iter());
        taken.map(|_| Vec::new())
    }

    fn take_in(&mut self, group: &Group) -> Result<(), Fault> {
        let batch = self.batch(group)?;
        self.commit(batch, false)
    }

    /// A batch that holds a synced group, not yet visible.
    pub(super) fn batch(&self, group: &Group) -> Result<Batch, Fault> {
        let mut batch = self.shared.index().batch()?;
        for (at, tag, id, bytes) in &group.records {
            batch.apply(*at, &Record { tag: *tag, id: *id, bytes })?;
        }
        Ok(batch)
    }

    pub(super) fn commit(&mut self, batch: Batch, durable: bool) -> Result<(), Fault> {
        let next_id = self.shared.next_id.load(Ordering::Relaxed);
        batch.commit(&self.log, next_id, durable)?;
        self.dirty = !durable;
        self.shared.bytes.store(self.log.bytes(), Ordering::Relaxed);
        Ok(())
    }

    /// Changes the owner's marks on an event.
    pub(super) fn mark(
        &mut self,
        id: EventId,
        favourite: Option<bool>,
        reviewed: Option<bool>,
    ) -> Result<Option<Event>, Error> {
        let Some(entry) = self.shared.heed(self.shared.index().get(id))? else { return Ok(None) };
        let old = self.shared.owner(|owner| owner.marks(id));
        let marks = Marks {
            favourite: favourite.unwrap_or(old.favourite),
            reviewed: reviewed.unwrap_or(old.reviewed),
        };
        if marks != old {
            self.hear(&[Word::Marks(id, marks)])?;
            self.bell.ring(What::Event(id));
        }
        Ok(Some(self.shared.marked(entry.event)))
    }

    /// Writes what the owner said, then heeds it.
    pub(super) fn hear(&mut self, words: &[Word]) -> Result<(), Error> {
        self.owner.say(words).map_err(|error| self.error(&error.into()))?;
        self.shared.change_owner(|owner| words.iter().for_each(|word| owner.hear(word.clone())));
        let compacted = self.shared.owner(|state| self.owner.compact(state));
        self.note(compacted.map_err(Fault::Card));
        Ok(())
    }

    /// Deletes an event.
    pub(super) fn delete(&mut self, id: EventId) -> Result<bool, Error> {
        if self.is_behind() {
            return Err(self.error(&Fault::Index));
        }
        if self.shared.heed(self.shared.index().get(id))?.is_none() {
            return Ok(false);
        }
        let mut group = Group::default();
        let done = self
            .append(&mut group, Tag::Gone, id.0, &[])
            .and_then(|()| self.settle(group).map(drop));
        match done {
            Ok(()) => {}
            // The log has it: what is said of the event from now on may not bring it back.
            Err(Fault::Index) => self.note(Err(Fault::Index)),
            Err(fault) => {
                let error = self.error(&fault);
                self.note(Err(fault));
                return Err(error);
            }
        }
        if self.open.remove(&id.0).is_some() {
            self.deleted.insert(id.0);
        }
        self.gone(id);
        Ok(true)
    }

    /// An event is no longer there: its marks go, phones hear of it.
    pub(super) fn gone(&mut self, id: EventId) {
        self.bury_in_filling(id);
        self.shared.change_owner(|owner| owner.marks.remove(&id));
        self.bell.ring(What::Deleted(id));
    }

    /// Remembers a phone.
    pub(super) fn add_client(&mut self, name: String, token_hash: [u8; 32]) -> Result<u64, Error> {
        let id = self.shared.owner(|owner| owner.last_client) + 1;
        let paired = self.clock.unix_ms();
        let client = Client { id, name, paired, last_used: None, token_hash };
        self.hear(&[Word::Client(client)])?;
        self.saved_uses.insert(id, None);
        Ok(id)
    }

    /// Forgets a phone and ends its sessions.
    pub(super) fn revoke(&mut self, id: u64) -> Result<bool, Error> {
        if !self.shared.owner(|owner| owner.clients.contains_key(&id)) {
            return Ok(false);
        }
        self.hear(&[Word::Revoked(id)])?;
        self.saved_uses.remove(&id);
        self.bell.ring(What::Revoked(id));
        Ok(true)
    }

    /// What is due by time.
    pub(super) fn tick(&mut self) {
        let now = self.clock.now();
        if self.may_rebuild() && self.shared.suspect.swap(false, Ordering::Relaxed) {
            self.note(Err(Fault::Index));
        }
        self.mend();
        self.shared.rebuilding.store(!self.is_whole(), Ordering::Relaxed);
        if now.since_ms(self.beaten) >= BEAT_MS {
            self.beaten = now;
            self.look_after_minute();
        }
        let round = now.since_ms(self.rounded) >= ROUND_MS;
        if round {
            self.rounded = now;
            self.save_uses();
        }
        if round || !std::mem::replace(&mut self.is_looked_after, true) {
            self.take_ballast();
            self.plan_scrub();
        }
        self.is_burial_due |= round;
        self.place_events();
        self.scrub();
        if !self.is_whole() {
            return;
        }
        if round || self.log.tail() != self.retained {
            let retained = self.retain();
            self.note_fault(retained);
        }
        // What goes with its segment needs no burial of its own.
        if self.is_burial_due && self.log.tail() == self.retained && self.is_whole() {
            self.is_burial_due = false;
            let buried = self.bury_old();
            self.note_fault(buried);
        }
        let grown = self.log.tail().saturating_sub(self.hardened_tail) >= HARDEN_SEGMENTS;
        if self.dirty && (grown || now.since_ms(self.hardened) >= HARDEN_MS) {
            (self.hardened, self.hardened_tail) = (now, self.log.tail());
            let hardened = self.harden();
            self.note_fault(hardened);
        }
    }

    /// What is due each minute: the beat, and ends that the card has not taken.
    fn look_after_minute(&mut self) {
        let beaten = self.beat();
        self.note(beaten);
        self.record_refused();
        if self.health.left_open && self.is_whole() {
            let closed = self.close_left_open();
            self.note_fault(closed);
        }
    }

    /// Says in the log that the box is alive.
    fn beat(&mut self) -> Result<(), Fault> {
        let mut group = Group::default();
        self.append_beat(&mut group)?;
        self.settle(group).map(drop)
    }

    fn append_beat(&mut self, group: &mut Group) -> Result<(), Fault> {
        let now = self.clock.unix_ms().0.to_be_bytes();
        self.append(group, Tag::Beat, 0, &now)
    }

    pub(super) fn harden(&mut self) -> Result<(), Fault> {
        if !self.is_whole() {
            return Ok(());
        }
        self.shared.index().harden()?;
        self.dirty = false;
        Ok(())
    }

    /// Writes the phones' last uses that changed.
    fn save_uses(&mut self) {
        let changed: Vec<Client> = self.shared.owner(|owner| {
            let saved = &self.saved_uses;
            let differs = |client: &&Client| saved.get(&client.id) != Some(&client.last_used);
            owner.clients.values().filter(differs).cloned().collect()
        });
        if changed.is_empty() {
            return;
        }
        let uses: Vec<_> = changed.iter().map(|client| (client.id, client.last_used)).collect();
        let words: Vec<_> = changed.into_iter().map(Word::Client).collect();
        match self.owner.say(&words) {
            Ok(()) => self.saved_uses.extend(uses),
            Err(error) => self.note(Err(Fault::Card(error))),
        }
    }

    /// Ends every open event at `last`, or at its start where that is later.
    fn close_open(&mut self, last: UnixMs) -> Result<(), Fault> {
        // Before anything else was written, the last word is still the earlier run's.
        let mut group = Group { retells: self.is_looked_after, ..Group::default() };
        let open: Vec<u64> = self.open.keys().copied().collect();
        for id in open {
            self.stage(&mut group, &Change::Closed { id: EventId(id), ended: last })?;
        }
        if group.records.is_empty() {
            return Ok(());
        }
        self.settle(group).map(drop)
    }

    /// Ends what an earlier run left open, with the last time the log spoke of then.
    pub(super) fn close_left_open(&mut self) -> Result<(), Fault> {
        self.health.left_open = true;
        let mut left = self.shared.index().open_events()?;
        left.retain(|id, _| *id < self.born && !self.open.contains_key(id));
        let ours = std::mem::replace(&mut self.open, left);
        let closed = self.close_open(self.last);
        self.open = ours;
        self.health.left_open = closed.is_err();
        closed
    }

    /// Drops marks of events that are not there any more.
    pub(super) fn forget_lost_marks(&mut self) -> Result<(), Fault> {
        let ids: Vec<EventId> = self.shared.owner(|owner| owner.marks.keys().copied().collect());
        let index = self.shared.index();
        for id in ids {
            if index.get(id)?.is_none() {
                self.shared.change_owner(|owner| owner.marks.remove(&id));
            }
        }
        Ok(())
    }

    /// The clean end.
    pub(super) fn finish(&mut self) {
        let now = self.clock.unix_ms();
        self.record_refused();
        let closed = self.close_open(now).and_then(|()| self.beat()).and_then(|()| self.harden());
        let is_hard = closed.is_ok();
        self.note(closed);
        self.save_uses();
        if is_hard && self.is_whole() {
            self.seal_index();
        }
    }

    /// Spares the next start the check of the index. Where the card does not take it, it checks.
    fn seal_index(&self) {
        let Shared { disk, dir, .. } = &*self.shared;
        if let Some(sums) = self.shared.index().seal() {
            let _ = sums.leave(&**disk, dir);
        }
    }

    fn error(&self, fault: &Fault) -> Error {
        self.shared.failed(match fault {
            Fault::Card(error) => Some(error.kind().into()),
            Fault::Index => None,
        })
    }
}
