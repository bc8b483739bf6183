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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice;
    use crate::store::Limits;
    use edge_core::rest::query::Events;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    const LIMITS: Limits = Limits { keep_bytes: 1 << 30, keep_days: 36_500 };
    const THEN: UnixMs = UnixMs(UnixMs::FIRST_PLAUSIBLE.0 + 1_000_000);

    fn open(dir: &Path, clock: Clock) -> Arc<Store> {
        let (bell, _) = notice::bell();
        Store::open(dir, LIMITS, clock, Arc::new(bell)).unwrap()
    }

    /// What is listed, once all that was recorded is.
    fn events(store: &Store) -> Vec<Event> {
        assert_eq!(store.set(edge_core::event::EventId(u64::MAX - 1), None, None).unwrap(), None);
        store.list(&Events { limit: 9, ..Events::default() }).unwrap().events
    }

    /// What a kill leaves of the folder.
    fn killed(dir: &Path) -> PathBuf {
        let copy = dir.with_extension("killed");
        let _ = std::fs::remove_dir_all(&copy);
        for folder in ["", "log"] {
            std::fs::create_dir_all(copy.join(folder)).unwrap();
            for entry in std::fs::read_dir(dir.join(folder)).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    std::fs::copy(entry.path(), copy.join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
        copy
    }

    #[test]
    fn the_time_before_a_start_is_an_event() {
        let clock = Clock::start();
        let dir = std::env::temp_dir().join(format!("nightjar-gap-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let store = open(&dir, clock);
        assert_eq!(store.last_word(), UnixMs(0));
        Gap::before(&store).look(clock, &store.recorder());
        let event = Event {
            id: store.recorder().next_id(),
            kind: Kind::Object,
            label: "cat".try_into().unwrap(),
            camera: heapless::String::new(),
            started: THEN,
            ended: Some(THEN),
            score: 0.7,
            bbox: BBox::WHOLE,
            favourite: false,
            reviewed: false,
        };
        let pictures = Pictures::default();
        store.recorder().record(Change::Opened { event: event.clone(), pictures });
        assert_eq!(events(&store), [event], "nothing was missed before the first start");

        let copy = killed(&dir);
        let again = open(&copy, clock);
        let mut gap = Gap::before(&again);
        gap.look(clock, &again.recorder());
        gap.look(clock, &again.recorder());
        let [shown, _] = &events(&again)[..] else { panic!("one more") };
        assert_eq!((shown.kind, shown.label.as_str()), (Kind::Health, LABEL));
        assert_eq!(shown.started, THEN);
        assert!(clock.unix_ms().0 - shown.ended.expect("it is over").0 < 60_000);
        // A clean stop is a word, too: the next start comes soon after it.
        assert!(again.close());
        drop(again);
        let last = open(&copy, clock);
        Gap::before(&last).look(clock, &last.recorder());
        assert_eq!(events(&last).len(), 2);
        drop((store, last));
        std::fs::remove_dir_all(dir).unwrap();
        std::fs::remove_dir_all(copy).unwrap();
    }
}
