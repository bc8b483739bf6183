//! The store as the box runs it: its own writer, on a folder of the file system.

use crate::{BEGAN, Commits, Done, PAGE, Shelf, shot};
use edge::clock::Clock;
use edge::notice;
use edge::store::{Change, Limits, Pictures, Recorder, Store};
use edge_core::event::{Event, EventId};
use edge_core::rest::query::Events;
use edge_core::time::UnixMs;
use harness::footage::event;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Nothing goes while it is measured.
const LIMITS: Limits = Limits { keep_bytes: 1 << 40, keep_days: 36_500 };

/// The store, open.
pub(crate) struct Ours {
    store: Arc<Store>,
    recorder: Recorder,
}

impl Ours {
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let (bell, _) = notice::bell();
        let store = Store::open(folder, LIMITS, Clock::start(), Arc::new(bell));
        let store = store.map_err(|error| error.to_string())?;
        Ok(Self { recorder: store.recorder(), store })
    }

    fn record(&self, change: Change) -> Done {
        if self.recorder.record(change) { Ok(()) } else { Err("a change was not taken".into()) }
    }

    /// Waits until everything that was recorded is listed.
    fn listed(&self) -> Done {
        let nobody = EventId(u64::MAX - 1);
        self.store.set(nobody, None, None).map(drop).map_err(|error| error.to_string())
    }
}

impl Shelf for Ours {
    fn put(&mut self, ids: Range<u64>, commits: Commits, pictures: &[Pictures]) -> Done {
        let end = ids.end;
        for number in ids {
            let id = self.recorder.next_id();
            if id.0 != number {
                return Err(format!("event {number} has the id {}", id.0));
            }
            let started = UnixMs(BEGAN.0 + number * 1_000);
            let ended = UnixMs(started.0 + 20_000);
            let pictures = shot(pictures, number).cloned().unwrap_or_default();
            if commits == Commits::Bulk {
                let event = Event { ended: Some(ended), ..event(id, started) };
                self.record(Change::Opened { event, pictures })?;
                continue;
            }
            self.record(Change::Opened { event: event(id, started), pictures })?;
            if commits == Commits::Singly {
                self.listed()?;
            }
            self.record(Change::Closed { id, ended })?;
            if commits == Commits::Singly {
                self.listed()?;
            }
        }
        self.listed()?;
        let last = self.store.get(EventId(end - 1)).map_err(|error| error.to_string())?;
        if last.is_some_and(|event| event.ended.is_some()) {
            Ok(())
        } else {
            Err("the last event is not there".into())
        }
    }

    fn page(&self, before: u64) -> Result<usize, String> {
        let query = Events { before: Some(EventId(before)), limit: PAGE, ..Events::default() };
        self.store.list(&query).map(|page| page.events.len()).map_err(|error| error.to_string())
    }

    fn close(self: Box<Self>) -> Done {
        if self.store.close() { Ok(()) } else { Err("the store's writer had died".into()) }
    }
}
