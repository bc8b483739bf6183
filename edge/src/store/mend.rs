//! Brings log and index together again after a fault.
//!
//! ```text
//!  index follows the log --index fault--> BEHIND: changes go to the log only
//!         ^                                  |
//!         '------- rebuilt from the log -----'  tried at once, then once a minute
//! ```

use super::disk::{Disk, How};
use super::index::{Damaged, Index};
use super::log::Log;
use super::writer::{Fault, Writer};
use crate::notice::What;
use crate::say;
use edge_core::event::EventId;
use edge_core::time::Instant;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// From the end of one rebuilding to the next.
const REBUILD_MS: u64 = 60_000;
/// From one time that a full card makes the log shorter to the next.
const ROOM_MS: u64 = 60_000;
/// Events whose bell waits for the index; later ones are listed without one.
const UNLISTED: usize = 1024;

/// How the writer stands to card and index.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The card refused the last change.
    failing: bool,
    /// The index does not have what the log has.
    behind: bool,
    /// When an index was last made anew, or could not be.
    pub(super) rebuilt: Option<Instant>,
    /// When a full card last made the log shorter.
    roomed: Option<Instant>,
    /// Events the log has and the index perhaps not.
    unlisted: Vec<EventId>,
}

impl Writer {
    /// Whether changes go to the log only.
    pub(super) fn is_behind(&self) -> bool {
        self.health.behind
    }

    /// Keeps events whose bell has to wait until the index has them.
    pub(super) fn ring_later(&mut self, ids: impl Iterator<Item = EventId>) {
        let room = UNLISTED - self.health.unlisted.len();
        self.health.unlisted.extend(ids.take(room));
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
                } else if is_full(&error) {
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
        if !std::mem::replace(&mut self.health.behind, true) {
            say!("store: the index is damaged; it is made anew from the log");
        }
        self.mend();
    }

    /// Makes the index anew where it is behind and the last time is long enough ago.
    pub(super) fn mend(&mut self) {
        if !self.health.behind || !self.may_rebuild() {
            return;
        }
        let done = self.replace_index();
        self.health.rebuilt = Some(self.clock.now());
        if done.is_ok() {
            self.health.behind = false;
            // What retention broke off, it begins anew.
            self.retained = 0;
            say!("store: the index is whole again");
            self.ring_unlisted();
        }
    }

    /// Whether the last rebuilding is long enough ago.
    pub(super) fn may_rebuild(&self) -> bool {
        let now = self.clock.now();
        self.health.rebuilt.is_none_or(|at| now.since_ms(at) >= REBUILD_MS)
    }

    /// Drops what a failed group left waiting, and takes in what the log has of it.
    pub(super) fn resume(&mut self) -> Result<(), Damaged> {
        self.log.forget_pending();
        if self.health.behind {
            return Ok(());
        }
        let mut batch = self.shared.index().batch()?;
        batch.replay(&self.log)?;
        self.commit(batch, false).map_err(|_| Damaged)?;
        self.open = self.shared.index().open_events()?;
        self.ring_unlisted();
        Ok(())
    }

    /// Makes the index anew while readers keep the old one.
    fn replace_index(&mut self) -> Result<(), Damaged> {
        let (index, damaged) = rebuild(&*self.shared.disk, &self.shared.dir, &self.log)?;
        self.open = index.open_events()?;
        self.shared.quarantined.fetch_add(damaged, Ordering::Relaxed);
        *self.shared.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
        self.shared.suspect.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn ring_unlisted(&mut self) {
        for id in std::mem::take(&mut self.health.unlisted) {
            self.bell.ring(What::Event(id));
        }
    }

    /// The card is full before the log is as long as it may be: from now on it is kept shorter.
    fn make_room(&mut self) {
        let now = self.clock.now();
        let lately = self.health.roomed.is_some_and(|at| now.since_ms(at) < ROOM_MS);
        if lately || self.health.behind {
            return;
        }
        self.health.roomed = Some(now);
        say!("store: the card is full; the oldest events make room");
        self.limits.keep_bytes = self.limits.keep_bytes.min(self.log.bytes() / 10 * 9);
        let retained = self.retain();
        if retained.is_err() && self.resume().is_err() {
            self.fall_behind();
        }
    }
}

/// Whether the card has no room left.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Opens an index and takes in what came after it; with the count of damaged stretches.
pub(super) fn catch_up(disk: &dyn Disk, path: &Path, log: &Log) -> Result<(Index, u64), Damaged> {
    drop(disk.open(path, How::Read)?);
    let index = Index::open(disk, path)?;
    let mut batch = index.batch()?;
    let before = batch.state();
    let damaged = batch.replay(log)?;
    if before.position != log.synced() {
        batch.commit(log, 0, true)?;
    }
    Ok((index, damaged))
}

/// Makes an index from the whole log, puts it in the old one's place.
pub(super) fn rebuild(disk: &dyn Disk, dir: &Path, log: &Log) -> Result<(Index, u64), Damaged> {
    let fresh = dir.join("index.new");
    let _ = disk.remove(&fresh);
    let index = Index::open(disk, &fresh)?;
    let mut batch = index.batch()?;
    let damaged = batch.replay(log)?;
    batch.commit(log, 0, true)?;
    disk.rename(&fresh, &dir.join("index.redb"))?;
    Ok((index, damaged))
}
