//! The day: what the camera sees, and when, in virtual time.

use crate::card::Card;
use edge::clock::{self, Clock};
use edge::notice;
use edge::store::{BEAT_MS, Change, Limits, Pictures, Store};
use edge_core::event::{Event, EventId};
use edge_core::time::UnixMs;
use harness::figures::written_bytes;
use harness::footage::{event, footage};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Seconds of a day, and how many events are in them.
const DAY_S: u64 = 24 * 60 * 60;
const DAY_EVENTS: u64 = 2_000;
/// How long an event lasts, and when in it a better picture is written, s.
const LASTS_S: u64 = 25;
const BETTER_S: u64 = 10;
/// The kernel's own writing, s: `commit=30`, and what is dirty for 30 s.
const KERNEL_S: u64 = 30;
/// The day begins at midnight.
const MIDNIGHT: UnixMs = UnixMs(1_767_225_600_000);
const KEEP_DAYS: u32 = 30;

/// What is played.
#[derive(Debug, Clone)]
pub(crate) struct Day {
    seconds: u64,
    keep_bytes: u64,
    pub(crate) card_bytes: u64,
    /// Each event gets better pictures before it closes.
    pub(crate) is_better: bool,
}

/// What the store says of the day.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) events: u64,
    pub(crate) changes: u64,
    pub(crate) minutes: u64,
    pub(crate) log_bytes: u64,
    pub(crate) file_bytes: u64,
}

impl Day {
    /// A day of a box with the defaults.
    pub(crate) fn whole() -> Self {
        let (keep_bytes, card_bytes) = (2 << 30, 3 << 30);
        Self { seconds: DAY_S, keep_bytes, card_bytes, is_better: false }
    }

    /// An hour of one that keeps little.
    pub(crate) fn an_hour(self) -> Self {
        let (keep_bytes, card_bytes) = (64 << 20, 512 << 20);
        Self { seconds: DAY_S / 24, keep_bytes, card_bytes, ..self }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.seconds == DAY_S
    }

    fn events(&self) -> u64 {
        DAY_EVENTS * self.seconds / DAY_S
    }

    /// The day in words.
    pub(crate) fn words(&self) -> String {
        let pictures = if self.is_better { "with better ones later" } else { "once" };
        let (events, hours) = (self.events(), self.seconds / 3_600);
        format!("{events} events in {hours} h; thumbnail and picture {pictures}")
    }

    fn limits(&self) -> Limits {
        Limits { keep_bytes: self.keep_bytes, keep_days: KEEP_DAYS }
    }

    fn open(&self, folder: &Path, clock: Clock) -> Result<Arc<Store>, String> {
        let (bell, _) = notice::bell();
        Store::open(folder, self.limits(), clock, Arc::new(bell)).map_err(|e| e.to_string())
    }

    /// Fills the store with the days before; the bytes that are in it then.
    pub(crate) fn fill(&self, folder: &Path) -> Result<u64, String> {
        let (all, _) = footage();
        let each: usize = all.iter().map(|two| two.thumbnail.len() + two.full.len()).sum();
        let each = (each / all.len().max(1)) as u64;
        let count = self.keep_bytes / each + DAY_EVENTS / 24;
        let apart_ms = DAY_S * 1_000 / DAY_EVENTS;
        let (clock, told) = Clock::told(0, MIDNIGHT.0 - count * apart_ms);
        let store = self.open(folder, clock)?;
        let recorder = store.recorder();
        for number in 0..count {
            let id = recorder.next_id();
            let started = UnixMs(MIDNIGHT.0 - (count - number) * apart_ms);
            told.unix.store(started.0, Ordering::Relaxed);
            told.now.fetch_add(apart_ms, Ordering::Relaxed);
            let event = Event { ended: Some(started), ..event(id, started) };
            let pictures = shot(&all, number);
            recorder.record(Change::Opened { event, pictures });
        }
        settle(&store)?;
        let figures = store.figures().map_err(|error| error.to_string())?;
        if store.close() { Ok(figures.bytes) } else { Err("the store's writer died".into()) }
    }

    /// What comes in each second, in order.
    fn script(&self) -> BTreeMap<u64, Vec<Moment>> {
        let mut script: BTreeMap<u64, Vec<Moment>> = BTreeMap::new();
        for number in 0..self.events() {
            // Not evenly: by the golden ratio, so that some come together.
            let dice = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let at = (dice * self.seconds) >> 32;
            let mut add = |after, moment| script.entry(at + after).or_default().push(moment);
            add(0, Moment::Opens(number));
            if self.is_better {
                add(BETTER_S, Moment::Improves(number));
            }
            add(LASTS_S, Moment::Closes(number));
        }
        script
    }

    /// Plays the day.
    pub(crate) fn play(&self, folder: &Path, card: &Card) -> Result<Told, String> {
        let (all, _) = footage();
        let (clock, time) = Clock::told(0, MIDNIGHT.0);
        let written = written_bytes();
        let store = self.open(folder, clock)?;
        let recorder = store.recorder();
        let mut script = self.script();
        let mut ids = BTreeMap::new();
        let mut told = Told { events: self.events(), ..Told::default() };
        for second in 0..=self.seconds + LASTS_S {
            pass_second(time);
            for moment in script.remove(&second).unwrap_or_default() {
                let now = clock.unix_ms();
                let change = match moment {
                    Moment::Opens(number) => {
                        let id = recorder.next_id();
                        ids.insert(number, (id, now));
                        let pictures = shot(&all, number);
                        Change::Opened { event: event(id, now), pictures }
                    }
                    Moment::Improves(number) => {
                        let (id, started) = ids[&number];
                        let event = Event { score: 0.9, ..event(id, started) };
                        let pictures = shot(&all, number + 1);
                        Change::Improved { event, pictures }
                    }
                    Moment::Closes(number) => {
                        let (id, _) = ids.remove(&number).ok_or("closed before it opened")?;
                        Change::Closed { id, ended: now }
                    }
                };
                told.log_bytes += length(&change);
                told.changes += 1;
                recorder.record(change);
                settle(&store)?;
            }
            settle(&store)?;
            if second % KERNEL_S == 0 {
                card.settle()?;
            }
        }
        told.minutes = clock.now().0 / BEAT_MS;
        if !store.close() {
            return Err("the store's writer died".into());
        }
        told.file_bytes = written_bytes() - written;
        Ok(told)
    }
}

/// What happens to one of the day's events.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Opens(u64),
    Improves(u64),
    Closes(u64),
}

fn pass_second(time: &clock::Told) {
    time.now.fetch_add(1_000, Ordering::Relaxed);
    time.unix.fetch_add(1_000, Ordering::Relaxed);
}

fn shot(all: &[Pictures], number: u64) -> Pictures {
    let at = usize::try_from(number).unwrap_or_default() % all.len().max(1);
    all.get(at).cloned().unwrap_or_default()
}

/// Bytes of a change's records.
fn length(change: &Change) -> u64 {
    const HEADER: usize = 17;
    const EVENT: usize = 80;
    let pictures = match change {
        Change::Opened { pictures, .. } | Change::Improved { pictures, .. } => {
            pictures.thumbnail.len() + pictures.full.len() + 2 * HEADER
        }
        Change::Closed { .. } | Change::Deserted { .. } => 0,
    };
    (pictures + HEADER + EVENT) as u64
}

/// Waits until the writer has done all it was told, and has looked at the clock.
fn settle(store: &Store) -> Result<(), String> {
    let nobody = EventId(u64::MAX - 1);
    store.set(nobody, None, None).map(drop).map_err(|error| error.to_string())
}
