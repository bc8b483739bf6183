//! The time for which the box was off, as an event: nobody is to think that nothing happened.

use crate::clock::Clock;
use crate::store::{BEAT_MS, Change, Pictures, Recorder, Store};
use edge_core::event::{Event, Kind};
use edge_core::geometry::BBox;
use edge_core::time::UnixMs;

/// A silence longer than this was no pause between two beats.
const GAP_MS: u64 = 2 * BEAT_MS;
/// The label of the event: no data from `started_ms` to `ended_ms`.
pub const LABEL: &str = "no_data";

/// The gap before this start, until the wall clock tells how long it was.
#[derive(Debug)]
pub struct Gap {
    from: Option<UnixMs>,
}

impl Gap {
    /// What the store knows of the time before.
    pub fn before(store: &Store) -> Self {
        Self { from: Some(store.last_word()).filter(|last| last.is_plausible()) }
    }

    /// Records the gap once the wall clock is set.
    pub fn look(&mut self, clock: Clock, recorder: &Recorder) {
        let started = UnixMs(clock.unix_ms().0.saturating_sub(clock.now().0));
        if !started.is_plausible() {
            return;
        }
        let Some(from) = self.from.take() else { return };
        if started.0.saturating_sub(from.0) <= GAP_MS {
            return;
        }
        let event = Event {
            id: recorder.next_id(),
            kind: Kind::Health,
            label: LABEL.try_into().unwrap_or_default(),
            camera: heapless::String::new(),
            started: from,
            ended: Some(started),
            score: 0.0,
            bbox: BBox::WHOLE,
            favourite: false,
            reviewed: false,
        };
        recorder.record(Change::Opened { event, pictures: Pictures::default() });
    }
}
