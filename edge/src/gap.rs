//! The time for which the box was off, as an event: nobody is to think that nothing happened.

use crate::clock::Clock;
use crate::store::{BEAT_MS, Change, Pictures, Recorder, Store};
use edge_core::event::Event;
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
        let event = Event::health(recorder.next_id(), LABEL, "", from, started);
        recorder.record(Change::Opened { event, pictures: Pictures::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice;
    use crate::store::Limits;
    use edge_core::event::{EventId, Kind};
    use edge_core::rest::query::Events;
    use std::sync::Arc;

    const LIMITS: Limits = Limits { keep_bytes: 1 << 30, keep_days: 36_500 };
    const THEN: UnixMs = UnixMs(UnixMs::FIRST_PLAUSIBLE.0 + 1_000_000);

    #[test]
    fn the_time_before_a_start_is_an_event_once() {
        let clock = Clock::start();
        let dir = std::env::temp_dir().join(format!("nightjar-gap-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let (bell, _) = notice::bell();
        let store = Store::open(&dir, LIMITS, clock, Arc::new(bell)).unwrap();
        let shown = |gap: &mut Gap| {
            gap.look(clock, &store.recorder());
            assert_eq!(store.set(EventId(u64::MAX - 1), None, None).unwrap(), None, "settled");
            store.list(&Events { limit: 9, ..Events::default() }).unwrap().events
        };
        assert_eq!(shown(&mut Gap::before(&store)), [], "nothing is missed before the first start");
        let moment_ago = UnixMs(clock.unix_ms().0 - 1_000);
        assert_eq!(shown(&mut Gap { from: Some(moment_ago) }), [], "a start after a clean stop");
        let mut gap = Gap { from: Some(THEN) };
        let [event] = &shown(&mut gap)[..] else { panic!("one") };
        assert_eq!((event.kind, event.label.as_str()), (Kind::Health, LABEL));
        assert_eq!(event.started, THEN);
        assert!(clock.unix_ms().0 - event.ended.expect("it is over").0 < 60_000);
        assert_eq!(shown(&mut gap).len(), 1);
        drop(store);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
