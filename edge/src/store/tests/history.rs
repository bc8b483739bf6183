//! What was asked of a store and what it then may show, for tests over a disk in memory.

use super::disk::Memory;
use super::*;
use crate::clock::Told;
use std::fmt::Debug;

const LIMITS: Limits = Limits { keep_bytes: 512 * 1024, keep_days: 36_500 };

/// Something asked of the store.
pub(super) struct Step<T> {
    /// Changes the disk had seen when it was asked.
    pub(super) asked: usize,
    /// Changes the disk had seen once it was known to be done.
    pub(super) shown: usize,
    pub(super) value: T,
}

/// What was asked for, in order; `None` is what was before.
pub(super) struct Steps<T>(pub(super) Vec<Step<T>>);

impl<T> Default for Steps<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq + Debug> Steps<T> {
    /// What may be there after a cut: what was last shown, and whatever was asked for later.
    pub(super) fn possible(&self, cut: usize) -> Vec<Option<&T>> {
        let last = self.0.iter().rposition(|step| step.shown <= cut);
        let mut possible = vec![last.map(|at| &self.0[at].value)];
        let later = &self.0[last.map_or(0, |at| at + 1)..];
        possible.extend(later.iter().filter(|step| step.asked < cut).map(|step| Some(&step.value)));
        possible
    }
}

/// All that was asked of a store.
#[derive(Default)]
pub(super) struct History {
    /// `None`: deleted.
    pub(super) events: BTreeMap<u64, Steps<Option<(Event, Pictures)>>>,
    pub(super) marks: BTreeMap<u64, Steps<(bool, bool)>>,
    pub(super) name: Steps<String>,
    pub(super) phones: BTreeMap<u64, Steps<bool>>,
}

/// A store over a disk in memory, on this thread.
pub(super) struct Sim {
    pub(super) disk: Memory,
    pub(super) writer: Writer,
    pub(super) store: Store,
    /// What the clock says.
    pub(super) told: &'static Told,
}

impl Sim {
    /// Opens what is on the disk, and has an index that is made anew finished.
    pub(super) fn open(disk: Memory) -> Result<Self, Error> {
        let (bell, _) = notice::bell();
        let dir = Path::new("/card");
        let (clock, told) = Clock::told(0, THEN + 1_000_000);
        let mut writer = Writer::open(Arc::new(disk.clone()), dir, LIMITS, clock, Arc::new(bell))?;
        writer.fill(u64::MAX);
        let store = Store::beside(&writer);
        Ok(Self { disk, writer, store, told })
    }

    /// Stops as the program does when it is told to, and starts again on the same disk.
    pub(super) fn restart(mut self) -> Self {
        self.writer.finish();
        let disk = self.disk.clone();
        drop(self);
        Self::open(disk).expect("a store that was closed opens")
    }

    /// When something was shown that is done now, or is not.
    fn shown(&self, done: bool) -> usize {
        if done { self.disk.made() } else { NEVER }
    }

    /// Lets time pass on both clocks, and has the writer look.
    pub(super) fn pass(&mut self, ms: u64) {
        self.told.now.fetch_add(ms, Ordering::Relaxed);
        self.told.unix.fetch_add(ms, Ordering::Relaxed);
        self.writer.tick();
    }

    /// Sets the wall clock.
    pub(super) fn set_clock(&self, unix: u64) {
        self.told.unix.store(unix, Ordering::Relaxed);
    }

    pub(super) fn next(&self) -> EventId {
        EventId(self.writer.shared.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

/// When something not done was shown.
const NEVER: usize = usize::MAX;

/// Asks for one thing and notes it; `shown` only where the store said it is done.
pub(super) fn one_step(sim: &mut Sim, history: &mut History, random: &mut Random) {
    let asked = sim.disk.made();
    let listed = sim.store.list(&Query { limit: 200, ..Query::default() });
    let listed = listed.map_or(Vec::new(), |page| page.events);
    let one = (!listed.is_empty()).then(|| listed[random.below(listed.len())].id);
    match (random.below(10), one) {
        (0, Some(id)) => {
            let marks = (random.below(2) == 0, random.below(2) == 0);
            let done = sim.writer.mark(id, Some(marks.0), Some(marks.1));
            let shown = sim.shown(done.is_ok());
            history.marks.entry(id.0).or_default().0.push(Step { asked, shown, value: marks });
        }
        (1, Some(id)) => {
            let done = sim.writer.delete(id);
            let shown = sim.shown(done.is_ok());
            history.events.entry(id.0).or_default().0.push(Step { asked, shown, value: None });
        }
        (2, _) => {
            let name = format!("box {}", random.below(1000));
            let done = sim.writer.hear(&[Word::Name(name.clone())]);
            history.name.0.push(Step { asked, shown: sim.shown(done.is_ok()), value: name });
        }
        (3, _) => {
            if let Some(id) = pair(sim, history) {
                let asked = sim.disk.made();
                let done = sim.writer.revoke(id);
                let shown = sim.shown(done.is_ok());
                history.phones.entry(id).or_default().0.push(Step { asked, shown, value: false });
            }
        }
        _ => record_some(sim, history, random),
    }
}

/// Pairs a phone; its id where it is to be revoked at once.
fn pair(sim: &mut Sim, history: &mut History) -> Option<u64> {
    let asked = sim.disk.made();
    let next = sim.writer.shared.owner(|owner| owner.last_client) + 1;
    let done = sim.writer.add_client("mine".into(), [7; 32]);
    let shown = sim.shown(done.is_ok());
    history.phones.entry(next).or_default().0.push(Step { asked, shown, value: true });
    done.ok().filter(|id| id % 2 == 0)
}

/// Records a group of one to four changes.
fn record_some(sim: &mut Sim, history: &mut History, random: &mut Random) {
    let asked = sim.disk.made();
    let mut group: Vec<Change> = Vec::new();
    let mut wanted: Vec<(Event, Pictures)> = Vec::new();
    let open: Vec<Event> = sim.writer.open.values().cloned().collect();
    for event in open {
        let steps = &history.events[&event.id.0].0;
        let shown = steps.iter().rev().find(|step| step.shown != NEVER);
        let Some((_, held)) = shown.and_then(|step| step.value.as_ref()) else { continue };
        match random.below(4) {
            0 => {
                let event = Event { score: event.score + 0.01, ..event };
                let pictures = pictures(event.id, random.byte(), 100 + random.below(5000));
                wanted.push((event.clone(), pictures.clone()));
                group.push(Change::Improved { event, pictures });
            }
            1 => {
                let ended = UnixMs(event.started.0 + 5);
                group.push(Change::Closed { id: event.id, ended });
                wanted.push((Event { ended: Some(ended), ..event }, held.clone()));
            }
            _ => {}
        }
    }
    for _ in 0..=random.below(2) {
        let event = event(sim.next());
        let pictures = pictures(event.id, random.byte(), 100 + random.below(5000));
        wanted.push((event.clone(), pictures.clone()));
        group.push(Change::Opened { event, pictures });
    }
    sim.writer.record(&group);
    for (event, pictures) in wanted {
        let listed = sim.writer.shared.index().get(event.id);
        let done = listed.is_ok_and(|entry| entry.is_some_and(|entry| entry.event == event));
        let shown = sim.shown(done);
        let value = Some((event.clone(), pictures));
        history.events.entry(event.id.0).or_default().0.push(Step { asked, shown, value });
    }
}

/// Notes what retention took since `asked`: the oldest, and nothing that its owner keeps.
pub(super) fn note_retention(sim: &Sim, history: &mut History, asked: usize) {
    if !sim.writer.is_whole() {
        return;
    }
    let listed: BTreeSet<u64> = ids(&sim.store).into_iter().collect();
    let shown = sim.disk.made();
    for (id, steps) in &mut history.events {
        // What was refused is not there to be taken, though a cut may leave it.
        let mut recorded = steps.0.iter().rev().take_while(|step| step.value.is_some());
        let there = recorded.any(|step| step.shown != NEVER);
        if there && !listed.contains(id) {
            let marks = history.marks.get(id).and_then(|steps| steps.0.last());
            let marks = marks.filter(|step| step.shown != NEVER).map(|step| step.value);
            assert!(!marks.unwrap_or_default().0, "{id} is a favourite and went");
            steps.0.push(Step { asked, shown, value: None });
        }
    }
}

impl History {
    /// Whether all that was asked was done.
    pub(super) fn is_done(&self) -> bool {
        fn done<T>(steps: &Steps<T>) -> bool {
            steps.0.iter().all(|step| step.shown != NEVER)
        }
        self.events.values().all(done)
            && self.marks.values().all(done)
            && done(&self.name)
            && self.phones.values().all(done)
    }
}

/// Whether what is shown may stem from what was asked: an open event is closed by a new start.
pub(super) fn fits(shown: &Event, asked: &Event) -> bool {
    let ended = asked.ended.or(shown.ended.filter(|ended| *ended >= asked.started));
    let marks = Event { favourite: shown.favourite, reviewed: shown.reviewed, ..asked.clone() };
    *shown == Event { ended, ..marks }
}

/// Holds what the store shows against what may be there.
pub(super) fn check(store: &Store, history: &History, cut: usize) {
    let listed: BTreeMap<u64, Event> = all(store).into_iter().map(|e| (e.id.0, e)).collect();
    assert_eq!(store.figures().unwrap().events, listed.len() as u64);
    assert!(listed.keys().all(|id| history.events.contains_key(id)), "an event is invented");
    for (id, steps) in &history.events {
        let possible = steps.possible(cut);
        let possible: Vec<_> = possible.into_iter().map(|it| it.and_then(Option::as_ref)).collect();
        let absent = possible.iter().any(Option::is_none);
        let Some(shown) = listed.get(id) else {
            assert!(absent, "{id} was shown and is lost");
            continue;
        };
        let found = possible.iter().flatten().any(|(event, _)| fits(shown, event));
        assert!(found, "{shown:?} was never asked for, but {possible:?}");
        let undone = steps.0.iter().filter(|step| step.shown == NEVER);
        let pictures: Vec<_> = possible
            .iter()
            .copied()
            .flatten()
            .chain(undone.filter_map(|step| step.value.as_ref()))
            .collect();
        check_pictures(store, *id, &pictures, absent);
        let marks = (shown.favourite, shown.reviewed);
        let known = history.marks.get(id).map_or(vec![None], |steps| steps.possible(cut));
        assert!(
            known.iter().any(|known| known.copied().unwrap_or_default() == marks),
            "marks of {id}"
        );
    }
    let name = store.name();
    assert!(history.name.possible(cut).contains(&name.as_ref()), "the box is called {name:?}");
    let phones = store.clients();
    for (id, steps) in &history.phones {
        let there = phones.iter().any(|phone| phone.id == *id);
        let known = steps.possible(cut);
        assert!(known.iter().any(|known| known.copied().unwrap_or(false) == there), "phone {id}");
        if known.iter().all(Option::is_some) {
            assert!(store.ever_paired(), "the door is open again");
        }
    }
}

pub(super) fn check_pictures(
    store: &Store,
    id: u64,
    possible: &[&(Event, Pictures)],
    may_lack: bool,
) {
    let fitting = |bytes: Option<Vec<u8>>, part: fn(&Pictures) -> &Vec<u8>| match bytes {
        None => may_lack,
        Some(bytes) => possible.iter().any(|(_, held)| *part(held) == bytes),
    };
    let thumbnail = store.thumbnail(EventId(id)).unwrap().map(|picture| picture.bytes);
    let full = store.picture(EventId(id)).unwrap().map(|picture| picture.bytes);
    assert!(fitting(thumbnail.clone(), |held| &held.thumbnail), "thumbnail of {id}: {thumbnail:?}");
    assert!(fitting(full, |held| &held.full), "picture of {id}");
}
