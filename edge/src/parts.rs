//! The threads that have to live as long as the process: begun, watched, begun anew, ended.

use crate::clock::Clock;
use crate::say;
use crate::store::Store;
use crate::vitals::Pulse;
use edge_core::ladder::{Deed, Ladder};
use edge_core::time::Instant;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often is looked whether a part has ended.
const TICK: Duration = Duration::from_millis(10);
/// When the parts have to have ended, ms after the stop: first those that write, then the
/// store, then those that only read. What is late then is left behind; in all, below 5 s.
const EYES_MS: u64 = 1_500;
const STORE_MS: u64 = 4_000;
const DOORS_MS: u64 = 4_300;
/// The store makes progress so often; a slow card's longest sync is far below.
const STORE_LIMIT_MS: u64 = 60_000;

/// Starts a part's thread, which ends soon after the flag is set.
pub type Begin = Box<dyn Fn(Arc<AtomicBool>) -> io::Result<JoinHandle<()>>>;

/// A thread that has to live and make progress.
pub struct Part {
    name: String,
    limit_ms: u64,
    pulses: Vec<Arc<Pulse>>,
    begin: Begin,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Part {
    /// Begins a part, which has to make progress every `limit_ms`.
    pub fn begin(
        name: &str,
        limit_ms: u64,
        pulses: &[Arc<Pulse>],
        now: Instant,
        begin: Begin,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for pulse in pulses {
            pulse.beat(now);
        }
        let thread = begin(Arc::clone(&stop))?;
        Ok(Self { name: name.to_owned(), limit_ms, pulses: pulses.to_vec(), begin, stop, thread })
    }

    /// Begins it anew. What stands still cannot be ended: it is left behind, with the word that
    /// it shall end should it wake.
    fn begin_anew(&mut self, now: Instant) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.stop = Arc::new(AtomicBool::new(false));
        for pulse in &self.pulses {
            pulse.beat(now);
        }
        self.thread = (self.begin)(Arc::clone(&self.stop))?;
        Ok(())
    }

    /// How long ago it made progress; `None` once it has ended.
    fn age_ms(&self, now: Instant) -> Option<u64> {
        let ages = self.pulses.iter().map(|pulse| pulse.age_ms(now));
        (!self.thread.is_finished()).then(|| ages.max().unwrap_or(0))
    }
}

/// What runs.
#[derive(Debug)]
pub struct Parts {
    /// Those that write to the store.
    eyes: Vec<Part>,
    /// Those that only read it.
    doors: Vec<Part>,
    store: Arc<Store>,
    ladder: Ladder,
}

impl Parts {
    /// All that runs.
    pub fn new(eyes: Vec<Part>, doors: Vec<Part>, store: Arc<Store>) -> Self {
        let mut ladder = Ladder::new();
        ladder.add(STORE_LIMIT_MS, false);
        for part in eyes.iter().chain(&doors) {
            ladder.add(part.limit_ms, true);
        }
        Self { eyes, doors, store, ladder }
    }

    /// Looks whether every part makes progress, and begins anew what does not; why the process
    /// has to end, where that does not help.
    pub fn look(&mut self, now: Instant) -> Option<String> {
        let Self { eyes, doors, store, ladder } = self;
        if !ladder.begin_round(now) {
            return None;
        }
        let age = store.is_alive().then(|| store.pulse().age_ms(now));
        if ladder.judge(now, 0, age).is_some() {
            return Some(fate("the store's writer", age));
        }
        for (number, part) in eyes.iter_mut().chain(doors).enumerate() {
            let age = part.age_ms(now);
            match ladder.judge(now, number + 1, age) {
                None => {}
                Some(Deed::End(_)) => return Some(fate(&part.name, age)),
                Some(Deed::Restart(_)) => {
                    say!("{}; it is begun anew", fate(&part.name, age));
                    if let Err(error) = part.begin_anew(now) {
                        return Some(format!("{} cannot be begun anew: {error}", part.name));
                    }
                }
            }
        }
        None
    }

    /// Ends everything in order, and nobody waits for ever: an eye may hang in its device, a
    /// door in a client, the store in its card.
    pub fn end(self, clock: Clock) {
        for part in self.eyes.iter().chain(&self.doors) {
            part.stop.store(true, Ordering::Relaxed);
        }
        let stopped = clock.now();
        let wait = |name: &str, thread: &JoinHandle<()>, limit_ms| {
            while !thread.is_finished() && clock.now().since_ms(stopped) < limit_ms {
                thread::sleep(TICK);
            }
            if !thread.is_finished() {
                say!("{name} does not end and is left behind");
            }
        };
        self.eyes.iter().for_each(|part| wait(&part.name, &part.thread, EYES_MS));
        let store = self.store;
        let close = move || {
            if !store.close() {
                say!("the store's writer had died");
            }
        };
        if let Ok(closing) = thread::Builder::new().name("close".into()).spawn(close) {
            wait("the store", &closing, STORE_MS);
        }
        self.doors.iter().for_each(|part| wait(&part.name, &part.thread, DOORS_MS));
    }
}

fn fate(name: &str, age_ms: Option<u64>) -> String {
    match age_ms {
        None => format!("{name} died"),
        Some(age) => format!("{name} has made no progress for {} s", age / 1_000),
    }
}
