//! Events from before the clock was set get their place in time once it is.
//!
//! ```text
//!  wall clock   5 s        65 s | set: 12:01:05
//!  event at     . 25 s          |   its new time: 12:00:25, for the steady clock ran on
//! ```
//! Ids keep the order whatever the clock does. What an earlier run left unplaced stays marked:
//! nobody knows how long the box was off.

use super::writer::{Fault, Group, Writer};
use super::{Change, Pictures};
use crate::notice::What;
use edge_core::event::{Event, EventId};
use edge_core::time::{Instant, UnixMs};

/// Events placed that share one sync.
const GROUP_EVENTS: usize = 256;

/// What the two clocks said together.
#[derive(Debug, Default)]
pub(super) struct Placing {
    now: Instant,
    wall: UnixMs,
    /// What to add to times of this run from before the clock was set.
    shift_ms: Option<u64>,
    /// Events of this run wait for it.
    is_due: bool,
}

impl Placing {
    pub(super) fn new(now: Instant, wall: UnixMs) -> Self {
        Self { now, wall, shift_ms: None, is_due: false }
    }

    /// Compares the clocks with what they said before.
    fn look(&mut self, now: Instant, wall: UnixMs) {
        if wall.is_plausible() && !self.wall.is_plausible() {
            let unset = self.wall.0.saturating_add(now.since_ms(self.now));
            self.shift_ms = Some(wall.0.saturating_sub(unset));
            self.is_due = true;
        }
        (self.now, self.wall) = (now, wall);
    }

    /// The event at its place.
    pub(super) fn place(&self, mut event: Event) -> Event {
        event.started = self.at(event.started);
        event.ended = event.ended.map(|at| self.at(at));
        event
    }

    fn at(&self, time: UnixMs) -> UnixMs {
        let shift_ms = self.shift_ms.filter(|_| !time.is_plausible()).unwrap_or(0);
        UnixMs(time.0.saturating_add(shift_ms))
    }
}

impl Writer {
    /// Looks whether the clock was set, and places what waits for it.
    pub(super) fn place_events(&mut self) {
        self.placing.look(self.clock.now(), self.clock.unix_ms());
        if self.placing.is_due && self.is_whole() {
            let placed = self.place_all();
            self.placing.is_due = placed.is_err();
            self.note_fault(placed);
        }
    }

    fn place_all(&mut self) -> Result<(), Fault> {
        let mut first = self.born;
        loop {
            let mut unset = Vec::new();
            self.shared.index().climb(first, |super::Entry { event, .. }| {
                if !event.started.is_plausible() {
                    unset.push(event);
                }
                unset.len() < GROUP_EVENTS
            })?;
            let Some(last) = unset.last() else { return Ok(()) };
            first = last.id.0 + 1;
            let ids: Vec<EventId> = unset.iter().map(|event| event.id).collect();
            let mut group = Group::default();
            for event in unset {
                let change = Change::Improved { event, pictures: Pictures::default() };
                self.stage(&mut group, &change)?;
            }
            self.settle(group)?;
            for id in ids {
                self.bell.ring(What::Event(id));
            }
        }
    }
}
