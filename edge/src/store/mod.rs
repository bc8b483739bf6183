//! The card's memory: a segment log that is the truth, an index that can be rebuilt from it,
//! and what the owner said. Byte map: edge/store.md.

use crate::clock::Clock;
use crate::notice::Bell;
use edge_core::event::{Event, EventId};
use edge_core::rest::query::Events as Query;
use edge_core::time::UnixMs;
use std::path::Path;
use std::sync::Arc;

/// Changes that wait for the writer; when full, `Improved` is dropped and the others wait.
pub const QUEUE_CHANGES: usize = 64;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of log; the oldest segments go first.
    pub keep_bytes: u64,
    /// Days an event is kept.
    pub keep_days: u32,
}

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
}

/// The eye's end of the store; clones share one queue and one row of ids.
#[derive(Debug, Clone)]
pub struct Recorder {}

impl Recorder {
    /// An id nobody ever had.
    pub fn next_id(&self) -> EventId {
        EventId(0)
    }

    /// Hands a change to the writer; `false` when it was not taken: an `Improved` that found
    /// the queue full, or a store that is closed.
    pub fn record(&self, change: Change) -> bool {
        drop(change);
        false
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
    /// Records found damaged since the start.
    pub quarantined: u64,
}

/// A paired phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Counts up from 1, never reused.
    pub id: u64,
    /// What its owner calls it.
    pub name: String,
    /// When it paired.
    pub paired: UnixMs,
    /// When it last asked for something, to the minute.
    pub last_used: Option<UnixMs>,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
}

/// Why the store does not do it.
#[derive(Debug)]
pub struct Error {}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the store")
    }
}

impl std::error::Error for Error {}

/// The store of one data directory.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// Opens the store in `dir`, locks it, brings it up to date and starts its writer.
    pub fn open(
        dir: &Path,
        limits: Limits,
        clock: Clock,
        bell: Arc<Bell>,
    ) -> Result<Arc<Self>, Error> {
        let _ = (dir, limits, clock, bell);
        Err(Error {})
    }

    /// The eye's end.
    pub fn recorder(&self) -> Recorder {
        Recorder {}
    }

    /// Closes open events, syncs everything and ends the writer; later changes are not taken.
    pub fn close(&self) {}

    /// A page of events, newest first.
    pub fn list(&self, query: &Query) -> Result<Page, Error> {
        let _ = query;
        Err(Error {})
    }

    /// One event.
    pub fn get(&self, id: EventId) -> Result<Option<Event>, Error> {
        let _ = id;
        Err(Error {})
    }
}
