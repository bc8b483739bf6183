//! Brings log and index together again after a fault.
//!
//! ```text
//!  index follows the log --index fault--> BEHIND: changes go to the log only
//!         ^                                  | at once, then tried once a minute:
//!         |                                  | the old index is set aside, a new one begun
//!         |                                  v
//!         '--- all segments are in --- FILLING: changes go to both; the log's segments are
//!                                      taken in between them, the newest first
//! ```

use super::disk::{Disk, How};
use super::index::{Damaged, Index};
use super::log::{Log, Position, SEGMENT_HEADER_BYTES};
use super::pages::Sums;
use super::writer::{Fault, Writer};
use crate::notice::What;
use crate::say;
use edge_core::event::EventId;
use edge_core::time::Instant;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// From one attempt to make the index anew to the next.
const REBUILD_MS: u64 = 60_000;
/// From one time that a full card makes the log shorter to the next.
const ROOM_MS: u64 = 60_000;
/// Events whose bell waits for the index; later ones are listed without one.
const UNLISTED: usize = 1024;
/// How long filling may hold up what comes in.
const SLICE_MS: u64 = 100;
/// Segments that are filled before the new index is made to last.
const HARDEN_SEGMENTS: u32 = 16;

/// How the writer stands to card and index.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The card refused the last change.
    failing: bool,
    /// The index does not have what the log has.
    behind: bool,
    /// What an earlier run left open may still be so.
    pub(super) left_open: bool,
    /// The index has the newest of the log, and gets the rest.
    filling: Option<Filling>,
    /// When an index was last begun anew.
    pub(super) rebuilt: Option<Instant>,
    /// When a full card last made the log shorter.
    roomed: Option<Instant>,
    /// Events the log has and the index perhaps not.
    unlisted: Vec<EventId>,
    /// Damaged stretches found in each segment.
    pub(super) damage: BTreeMap<u32, u64>,
}

/// An index that is made anew: where its filling stands.
#[derive(Debug)]
pub(super) struct Filling {
    /// What comes before this is to be taken in.
    until: Position,
    /// Segments taken in.
    done: u32,
    /// Events that are gone, whatever older segments say of them.
    gone: HashSet<u64>,
}

impl Health {
    /// At the start: with an index that is filled, or one that is lost.
    pub(super) fn new(filling: Option<Filling>, is_lost: bool) -> Self {
        let behind = is_lost && filling.is_none();
        Self { behind, filling, ..Self::default() }
    }
}

impl Writer {
    /// Whether changes go to the log only.
    pub(super) fn is_behind(&self) -> bool {
        self.health.behind
    }

    /// Whether the index has all that the log has.
    pub(super) fn is_whole(&self) -> bool {
        !self.health.behind && self.health.filling.is_none()
    }

    /// Whether an index is being filled.
    pub(super) fn is_filling(&self) -> bool {
        self.health.filling.is_some()
    }

    /// Keeps events whose bell has to wait until the index has them.
    pub(super) fn ring_later(&mut self, ids: impl Iterator<Item = EventId>) {
        let room = UNLISTED - self.health.unlisted.len();
        self.health.unlisted.extend(ids.take(room));
    }

    /// An event is gone, and older segments shall not bring it back.
    pub(super) fn bury_in_filling(&mut self, id: EventId) {
        if let Some(filling) = &mut self.health.filling {
            filling.gone.insert(id.0);
        }
    }

    /// Counts damage found in a segment; what is known already counts once.
    pub(super) fn found_damage(&mut self, segment: u32, stretches: u64) {
        let known = self.health.damage.entry(segment).or_default();
        let fresh = stretches.saturating_sub(*known);
        *known += fresh;
        self.shared.quarantined.fetch_add(fresh, Ordering::Relaxed);
    }

    /// Brings index and log together again after a fault, and says so once.
    pub(super) fn note(&mut self, outcome: Result<(), Fault>) {
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut self.health.failing) {
                    say!("store: the card takes data again");
                }
            }
            Err(Fault::Card(error)) => {
                if !std::mem::replace(&mut self.health.failing, true) {
                    say!("store: the card does not take data: {error}");
                }
                if self.resume().is_err() {
                    self.fall_behind();
                }
                if is_full(&error) {
                    self.make_room();
                }
            }
            Err(Fault::Index) => {
                self.log.forget_pending();
                self.fall_behind();
            }
        }
    }

    /// The same for what may have left the card alone: success says nothing of it.
    pub(super) fn note_fault(&mut self, outcome: Result<(), Fault>) {
        if outcome.is_err() {
            self.note(outcome);
        }
    }

    fn fall_behind(&mut self) {
        self.health.filling = None;
        if !std::mem::replace(&mut self.health.behind, true) {
            say!("store: the index is damaged; it is made anew from the log");
        }
        self.mend();
    }

    /// Begins the index anew where it is behind and the last time is long enough ago, and goes
    /// on filling it.
    pub(super) fn mend(&mut self) {
        if self.health.behind && self.may_rebuild() {
            self.begin_anew();
        }
        self.fill(SLICE_MS);
    }

    /// Whether the last attempt is long enough ago.
    pub(super) fn may_rebuild(&self) -> bool {
        let now = self.clock.now();
        self.health.rebuilt.is_none_or(|at| now.since_ms(at) >= REBUILD_MS)
    }

    /// Puts an empty index in the old one's place; readers see it fill. Where the card takes
    /// none, readers keep what they have.
    pub(super) fn begin_anew(&mut self) {
        self.health.rebuilt = Some(self.clock.now());
        if let Ok((index, filling)) = begin(&*self.shared.disk, &self.shared.dir, &self.log) {
            let mut place = self.shared.index.write().unwrap_or_else(PoisonError::into_inner);
            let old = std::mem::replace(&mut *place, Arc::new(index));
            drop(place);
            Index::let_go(old);
            self.shared.suspect.store(false, Ordering::Relaxed);
            self.health.behind = false;
            self.health.filling = Some(filling);
        }
    }

    /// Fills the index for a while.
    pub(super) fn fill(&mut self, limit_ms: u64) {
        let since = self.clock.now();
        while self.health.filling.is_some() {
            match self.fill_segment() {
                Ok(true) => {}
                Ok(false) => {
                    let filled = self.finish_filling();
                    return self.note_fault(filled);
                }
                Err(Damaged) => return self.fall_behind(),
            }
            if self.clock.now().since_ms(since) >= limit_ms {
                return;
            }
        }
    }

    /// Takes in the newest segment that is not yet; `false` where there is none.
    pub(super) fn fill_segment(&mut self) -> Result<bool, Damaged> {
        let Some(filling) = &mut self.health.filling else { return Ok(false) };
        let Some(number) = filling.next(&self.log) else { return Ok(false) };
        let bytes = self.log.read_segment(number);
        let damaged = bytes.is_err();
        let mut bytes = bytes.unwrap_or_default();
        if number == filling.until.segment {
            bytes.truncate(usize::try_from(filling.until.offset).map_err(|_| Damaged)?);
        }
        let mut batch = self.shared.index().batch()?;
        batch.fill(number, &bytes, &mut filling.gone)?;
        filling.until = Position { segment: number, offset: 0 };
        filling.done += 1;
        let lasts = filling.done % HARDEN_SEGMENTS == 0;
        let stretches = batch.damaged().get(&number).copied().unwrap_or(damaged.into());
        let next_id = self.shared.next_id.load(Ordering::Relaxed);
        batch.commit(&self.log, next_id, lasts)?;
        self.found_damage(number, stretches);
        Ok(true)
    }

    /// The index has everything: what waited for it is done, and it lasts from now on.
    fn finish_filling(&mut self) -> Result<(), Fault> {
        self.health.filling = None;
        // What retention broke off, it begins anew.
        self.retained = 0;
        if self.log.bytes() > SEGMENT_HEADER_BYTES {
            say!("store: the index is whole again");
        }
        self.forget_lost_marks()?;
        self.close_left_open()?;
        self.ring_unlisted();
        self.shared.index().harden()?;
        let dir = &self.shared.dir;
        self.shared.disk.rename(&dir.join("index.new"), &dir.join("index.redb"))?;
        Ok(self.shared.disk.sync_folder(dir)?)
    }

    /// Drops what a failed group left waiting, and takes in what the log has of it.
    pub(super) fn resume(&mut self) -> Result<(), Damaged> {
        self.log.forget_pending();
        if self.health.behind {
            return Ok(());
        }
        let index = self.shared.index();
        let mut batch = index.batch()?;
        batch.replay(&self.log)?;
        self.commit(batch, false).map_err(|_| Damaged)?;
        let mut open = index.open_events()?;
        open.retain(|id, _| *id >= self.born);
        if self.health.filling.is_some() {
            for (id, event) in std::mem::take(&mut self.open) {
                if index.get(EventId(id))?.is_none() {
                    open.insert(id, event);
                }
            }
        }
        self.open = open;
        self.ring_unlisted();
        Ok(())
    }

    fn ring_unlisted(&mut self) {
        for id in std::mem::take(&mut self.health.unlisted) {
            self.bell.ring(What::Event(id));
        }
    }

    /// The card is full before the log is as long as it may be: the ballast goes first, then
    /// the log is kept shorter.
    fn make_room(&mut self) {
        if self.drop_ballast() {
            return;
        }
        let now = self.clock.now();
        if self.health.roomed.is_some_and(|at| now.since_ms(at) < ROOM_MS) {
            return;
        }
        self.health.roomed = Some(now);
        say!("store: the card is full; the oldest events make room");
        self.limits.keep_bytes = self.limits.keep_bytes.min(self.log.bytes() / 10 * 9);
        if !self.is_whole() {
            let _ = self.shared.disk.remove(&self.shared.dir.join("index.bad"));
            return self.drop_oldest_unread();
        }
        let retained = self.retain();
        if retained.is_err() && self.resume().is_err() {
            self.fall_behind();
        }
    }
}

impl Filling {
    /// The next segment to take in.
    fn next(&self, log: &Log) -> Option<u32> {
        let Position { segment, offset } = self.until;
        let end = segment.saturating_add(u32::from(offset > 0));
        log.segments().range(..end).next_back().map(|(number, _)| *number)
    }
}

/// Whether the card has no room left.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The index as a store opens it.
pub(super) struct Begun {
    pub(super) index: Index,
    pub(super) filling: Option<Filling>,
    /// Damaged stretches met, by segment.
    pub(super) damaged: BTreeMap<u32, u64>,
    /// The index is a new one, or one in memory.
    pub(super) is_lost: bool,
    /// It had everything, and nothing is damaged: the last stop was clean.
    pub(super) is_clean: bool,
}

impl Begun {
    /// Opens the index and takes in what came after it; or begins a new one.
    pub(super) fn of(disk: &dyn Disk, dir: &Path, log: &Log) -> Result<Self, Damaged> {
        if let Ok(caught) = Self::catch_up(disk, dir, log) {
            return Ok(caught);
        }
        if log.bytes() > SEGMENT_HEADER_BYTES {
            say!("store: the index is missing or damaged; it is made anew from the log");
        }
        let (index, filling) = match begin(disk, dir, log) {
            Ok((index, filling)) => (index, Some(filling)),
            Err(Damaged) => (Index::in_memory()?, None),
        };
        let damaged = log.damaged().clone();
        Ok(Self { index, filling, damaged, is_lost: true, is_clean: false })
    }

    fn catch_up(disk: &dyn Disk, dir: &Path, log: &Log) -> Result<Self, Damaged> {
        let (path, sums) = (dir.join("index.redb"), Sums::take(disk, dir));
        drop(disk.open(&path, How::Read)?);
        let index = Index::open(disk, &path, sums)?;
        let mut batch = index.batch()?;
        let is_whole = batch.state().position == log.synced();
        let mut damaged = batch.replay(log)?;
        if !is_whole {
            batch.commit(log, 0, true)?;
        }
        for (segment, stretches) in log.damaged() {
            let known = damaged.entry(*segment).or_default();
            *known = (*known).max(*stretches);
        }
        let is_clean = is_whole && damaged.is_empty();
        Ok(Self { index, filling: None, damaged, is_lost: false, is_clean })
    }
}

/// Sets the old index aside, where the last one set aside was, and makes an empty one that
/// stands at the log's end.
fn begin(disk: &dyn Disk, dir: &Path, log: &Log) -> Result<(Index, Filling), Damaged> {
    let fresh = dir.join("index.new");
    let _ = disk.remove(&fresh);
    let index = Index::open(disk, &fresh, None)?;
    index.batch()?.commit(log, 0, false)?;
    let _ = disk.rename(&dir.join("index.redb"), &dir.join("index.bad"));
    Ok((index, Filling { until: log.synced(), done: 0, gone: HashSet::new() }))
}
