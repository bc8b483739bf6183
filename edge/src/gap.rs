//! The time for which the box was off, as an event: nobody is to think that nothing happened.

use crate::clock::Clock;
use crate::store::{BEAT_MS, Change, Pictures, Recorder, Store};
use edge_core::event::Event;
use edge_core::time::{Instant, UnixMs};

/// A silence longer than this was no pause between two beats.
const GAP_MS: u64 = 2 * BEAT_MS;
/// The label of the event: no data from `started_ms` to `ended_ms`.
pub const LABEL: &str = "no_data";

/// For so long after it first says a time, the wall clock may still be set: a box without a clock
/// of its own begins with the time of its last stop, and a router that lost its power, too, may
/// take a while to bring the right one.
const SETTLED_MS: u64 = 24 * 60 * 60_000;

/// The gap before this start, until the wall clock tells how long it was.
#[derive(Debug)]
pub struct Gap {
    from: Option<UnixMs>,
    /// When the wall clock first said a time.
    set: Option<Instant>,
}

impl Gap {
    /// What the store knows of the time before.
    pub fn before(store: &Store) -> Self {
        Self::since(store.last_word())
    }

    fn since(last: UnixMs) -> Self {
        Self { from: Some(last).filter(|last| last.is_plausible()), set: None }
    }

    /// Records the gap once the wall clock is set, and never waits for the store.
    pub fn look(&mut self, clock: Clock, recorder: &Recorder) {
        let (now, unix) = (clock.now(), clock.unix_ms());
        let started = UnixMs(unix.0.saturating_sub(now.0));
        let Some(from) = self.from.filter(|_| started.is_plausible()) else { return };
        if now.since_ms(*self.set.get_or_insert(now)) > SETTLED_MS {
            self.from = None;
        } else if started.0.saturating_sub(from.0) > GAP_MS {
            let event = Event::health(recorder.next_id(), LABEL, "", from, started);
            let change = Change::Opened { event, pictures: Pictures::default() };
            self.from = Some(from).filter(|_| !recorder.offer(change));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice;
    use crate::store::Limits;
    use edge_core::event::{EventId, Kind};
    use edge_core::rest::query::Events;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    const LIMITS: Limits = Limits { keep_bytes: 1 << 30, keep_days: 36_500 };
    const THEN: UnixMs = UnixMs(UnixMs::FIRST_PLAUSIBLE.0 + 1_000_000);

    /// A store in a folder of its own.
    fn store(tag: &str, clock: Clock) -> (Arc<Store>, PathBuf) {
        let dir = std::env::temp_dir().join(format!("nightjar-gap-{tag}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let (bell, _) = notice::bell();
        (Store::open(&dir, LIMITS, clock, Arc::new(bell)).unwrap(), dir)
    }

    /// What is listed after a look.
    fn shown(gap: &mut Gap, clock: Clock, store: &Store) -> Vec<Event> {
        gap.look(clock, &store.recorder());
        assert_eq!(store.set(EventId(u64::MAX - 1), None, None).unwrap(), None, "settled");
        store.list(&Events { limit: 9, ..Events::default() }).unwrap().events
    }

    #[test]
    fn the_time_before_a_start_is_an_event_once() {
        let clock = Clock::start();
        let (store, dir) = store("once", clock);
        let first = shown(&mut Gap::before(&store), clock, &store);
        assert_eq!(first, [], "nothing is missed before the first start");
        let moment_ago = UnixMs(clock.unix_ms().0 - 1_000);
        assert_eq!(shown(&mut Gap::since(moment_ago), clock, &store), [], "after a clean stop");
        let mut gap = Gap::since(THEN);
        let [event] = &shown(&mut gap, clock, &store)[..] else { panic!("one") };
        assert_eq!((event.kind, event.label.as_str()), (Kind::Health, LABEL));
        assert_eq!(event.started, THEN);
        assert!(clock.unix_ms().0 - event.ended.expect("it is over").0 < 60_000);
        assert_eq!(shown(&mut gap, clock, &store).len(), 1);
        drop(store);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_clock_that_begins_with_the_last_stop_tells_the_gap_once_it_is_set() {
        let (clock, told) = Clock::told(0, THEN.0 + 1_000);
        let (store, dir) = store("stale", clock);
        let pass = |ms, wall_ms| {
            told.now.fetch_add(ms, Relaxed);
            told.unix.fetch_add(wall_ms, Relaxed);
        };
        let mut gap = Gap::since(THEN);
        assert_eq!(shown(&mut gap, clock, &store), []);
        pass(60_000, 3 * 60 * 60_000);
        let [event] = &shown(&mut gap, clock, &store)[..] else { panic!("one") };
        let started = UnixMs(THEN.0 + 1_000 - 60_000 + 3 * 60 * 60_000);
        assert_eq!((event.started, event.ended), (THEN, Some(started)));
        let mut gap = Gap::since(clock.unix_ms());
        shown(&mut gap, clock, &store);
        pass(SETTLED_MS + 1, SETTLED_MS + 1);
        shown(&mut gap, clock, &store);
        pass(1_000, 3 * 60 * 60_000);
        assert_eq!(shown(&mut gap, clock, &store).len(), 1, "later, a clock is set by hand");
        drop(store);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
