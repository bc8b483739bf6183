//! The power goes at every write and sync: what was shown is there afterwards, and nothing else.

use super::disk::{Card, Change as DiskChange, Contents, Left, Memory};
use super::*;
use crate::journal::hush_panics;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

const LIMITS: Limits = Limits { keep_bytes: 512 * 1024, keep_days: 36_500 };
const STEPS: usize = 70;
/// Images of one run; all of them with `NIGHTJAR_FULL=1`.
const IMAGES: usize = 10_000;
const ALL_IMAGES: usize = 100_000;

/// Something asked of the store.
struct Step<T> {
    /// Changes the disk had seen when it was asked.
    asked: usize,
    /// Changes the disk had seen once it was known to be done.
    shown: usize,
    value: T,
}

/// What was asked for, in order; `None` is what was before.
struct Steps<T>(Vec<Step<T>>);

impl<T> Default for Steps<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq + Debug> Steps<T> {
    /// What may be there after a cut: what was last shown, and whatever was asked for later.
    fn possible(&self, cut: usize) -> Vec<Option<&T>> {
        let last = self.0.iter().rposition(|step| step.shown <= cut);
        let mut possible = vec![last.map(|at| &self.0[at].value)];
        let later = &self.0[last.map_or(0, |at| at + 1)..];
        possible.extend(later.iter().filter(|step| step.asked < cut).map(|step| Some(&step.value)));
        possible
    }
}

/// All that was asked of a store.
#[derive(Default)]
struct History {
    /// `None`: deleted.
    events: BTreeMap<u64, Steps<Option<(Event, Pictures)>>>,
    marks: BTreeMap<u64, Steps<(bool, bool)>>,
    name: Steps<String>,
    phones: BTreeMap<u64, Steps<bool>>,
}

/// A store over a disk in memory, on this thread.
struct Sim {
    disk: Memory,
    writer: Writer,
    store: Store,
}

impl Sim {
    fn open(disk: Memory) -> Result<Self, Error> {
        let (bell, _) = notice::bell();
        let dir = Path::new("/card");
        let clock = Clock::start();
        let writer = Writer::open(Arc::new(disk.clone()), dir, LIMITS, clock, Arc::new(bell))?;
        let store = Store::beside(&writer);
        Ok(Self { disk, writer, store })
    }

    fn next(&self) -> EventId {
        EventId(self.writer.shared.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

/// Works on a store for a while; what it asked, and what the disk saw.
fn work(seed: u64) -> (History, Vec<DiskChange>) {
    let mut random = Random(seed);
    let mut sim = Sim::open(Memory::default()).unwrap();
    let mut history = History::default();
    for step in 0..STEPS {
        let asked = sim.disk.made();
        one_step(&mut sim, &mut history, &mut random, asked);
        let asked = sim.disk.made();
        sim.writer.tick();
        if step % 7 == 6 {
            sim.writer.harden().unwrap();
        }
        if step == STEPS / 2 {
            sim.writer.note(Err(writer::Fault::Index));
        }
        note_deletions(&sim, &mut history, asked);
    }
    (history, sim.disk.take_trace())
}

fn one_step(sim: &mut Sim, history: &mut History, random: &mut Random, asked: usize) {
    let listed = all(&sim.store);
    let one = (!listed.is_empty()).then(|| listed[random.below(listed.len())].clone());
    match (random.below(10), one) {
        (0, Some(event)) => {
            let marks = (random.below(2) == 0, random.below(2) == 0);
            sim.writer.mark(event.id, Some(marks.0), Some(marks.1)).unwrap();
            let shown = sim.disk.made();
            let steps = history.marks.entry(event.id.0).or_default();
            steps.0.push(Step { asked, shown, value: marks });
        }
        (1, Some(event)) => assert!(sim.writer.delete(event.id).unwrap()),
        (2, _) => {
            let name = format!("box {}", random.below(1000));
            sim.writer.hear(&[Word::Name(name.clone())]).unwrap();
            history.name.0.push(Step { asked, shown: sim.disk.made(), value: name });
        }
        (3, _) => {
            let id = sim.writer.add_client("mine".into(), [7; 32]).unwrap();
            let shown = sim.disk.made();
            history.phones.entry(id).or_default().0.push(Step { asked, shown, value: true });
            if random.below(2) == 0 {
                let asked = shown;
                assert!(sim.writer.revoke(id).unwrap());
                let shown = sim.disk.made();
                history.phones.entry(id).or_default().0.push(Step { asked, shown, value: false });
            }
        }
        _ => record_some(sim, history, random, asked),
    }
}

/// Records a group of one to four changes.
fn record_some(sim: &mut Sim, history: &mut History, random: &mut Random, asked: usize) {
    let mut group: Vec<Change> = Vec::new();
    let mut wanted: Vec<(Event, Pictures)> = Vec::new();
    let open: Vec<Event> = sim.writer.open.values().cloned().collect();
    for event in open {
        let Some(Some((_, held))) = history.events[&event.id.0].0.last().map(|s| &s.value) else {
            continue;
        };
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
    sim.writer.record(group);
    let shown = sim.disk.made();
    for (event, pictures) in wanted {
        assert_eq!(sim.writer.shared.index().get(event.id).unwrap().unwrap().event, event);
        let value = Some((event.clone(), pictures));
        history.events.entry(event.id.0).or_default().0.push(Step { asked, shown, value });
    }
}

/// Notes what is listed no more.
fn note_deletions(sim: &Sim, history: &mut History, asked: usize) {
    let listed: std::collections::BTreeSet<u64> = ids(&sim.store).into_iter().collect();
    let shown = sim.disk.made();
    for (id, steps) in &mut history.events {
        let there = steps.0.last().is_some_and(|step| step.value.is_some());
        if there && !listed.contains(id) {
            steps.0.push(Step {
                asked: asked.min(steps.0.last().unwrap().shown),
                shown,
                value: None,
            });
        }
    }
}

/// Whether what is shown may stem from what was asked: an open event is closed by a new start.
fn fits(shown: &Event, asked: &Event) -> bool {
    let ended = asked.ended.or(shown.ended.filter(|ended| *ended >= asked.started));
    let marks = Event { favourite: shown.favourite, reviewed: shown.reviewed, ..asked.clone() };
    *shown == Event { ended, ..marks }
}

/// Holds what the store shows against what may be there.
fn check(store: &Store, history: &History, cut: usize) {
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
        check_pictures(store, *id, &possible, absent);
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

fn check_pictures(store: &Store, id: u64, possible: &[Option<&(Event, Pictures)>], may_lack: bool) {
    let fitting = |bytes: Option<Vec<u8>>, part: fn(&Pictures) -> &Vec<u8>| match bytes {
        None => may_lack,
        Some(bytes) => possible.iter().flatten().any(|(_, held)| *part(held) == bytes),
    };
    let thumbnail = store.thumbnail(EventId(id)).unwrap().map(|picture| picture.bytes);
    let full = store.picture(EventId(id)).unwrap().map(|picture| picture.bytes);
    assert!(fitting(thumbnail, |held| &held.thumbnail), "thumbnail of {id}");
    assert!(fitting(full, |held| &held.full), "picture of {id}");
}

/// One cut of a trace.
struct Cut<'a> {
    history: &'a History,
    card: &'a Card,
    at: usize,
}

impl Cut<'_> {
    /// Opens what this cut may leave; how many images that were.
    fn images(&self, random: &mut Random) -> usize {
        let ways = if self.card.is_certain() { &Left::EACH[..1] } else { &Left::EACH[..] };
        for left in ways {
            let run = AssertUnwindSafe(|| self.image(*left, random));
            if let Err(panic) = catch_unwind(run) {
                println!("cut at {} leaving {left:?}", self.at);
                resume_unwind(panic);
            }
        }
        self.kill_and_cut(random);
        ways.len() + 1
    }

    fn image(&self, left: Left, random: &mut Random) {
        let contents = self.card.cut(left, random);
        let mut sim = Sim::open(Memory::holding(contents.clone())).expect("a cut store opens");
        check(&sim.store, self.history, self.at);
        if random.below(8) == 0 {
            self.again(contents, &sim.disk.take_trace(), random);
        }
        let shown = |steps: &Steps<_>| steps.0.first().is_some_and(|step| step.shown <= self.at);
        let ids = self.history.events.iter().filter(|(_, steps)| shown(steps));
        let highest = ids.map(|(id, _)| *id).max().unwrap_or(0);
        let event = event(sim.next());
        assert!(event.id.0 > highest, "an id is given twice");
        let pictures = Pictures::default();
        sim.writer.record(vec![Change::Opened { event: event.clone(), pictures }]);
        assert_eq!(sim.store.get(event.id).unwrap(), Some(event), "it goes on");
    }

    /// The power goes a second time, while the store recovers.
    fn again(&self, contents: Contents, recovery: &[DiskChange], random: &mut Random) {
        let mut card = Card::holding(contents);
        let end = random.below(recovery.len() + 1);
        recovery[..end].iter().for_each(|change| card.take(change));
        let left = Left::EACH[random.below(Left::EACH.len())];
        let sim = Sim::open(Memory::holding(card.cut(left, random))).expect("it opens again");
        check(&sim.store, self.history, self.at);
    }

    /// The process is killed and started again: what it then shows outlasts a cut.
    fn kill_and_cut(&self, random: &mut Random) {
        let mut card = self.card.clone();
        let sim = Sim::open(Memory::holding(card.cut(Left::All, random))).expect("it opens");
        let shown = all(&sim.store);
        sim.disk.take_trace().iter().for_each(|change| card.take(change));
        let sim = Sim::open(Memory::holding(card.cut(Left::None, random))).expect("it opens");
        assert_eq!(all(&sim.store), shown, "shown after a kill, and then cut at {}", self.at);
    }
}

/// Cuts the trace of one seed everywhere, on all cores; how many images that were.
fn cut_everywhere(seed: u64) -> usize {
    let (history, trace) = work(seed);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = |mine: usize| {
        hush_panics(true);
        let mut random = Random(seed * 100 + mine as u64);
        let mut card = Card::default();
        let mut images = 0;
        for (at, change) in trace.iter().enumerate() {
            if at % threads == mine {
                images += Cut { history: &history, card: &card, at }.images(&mut random);
            }
            card.take(change);
        }
        images
    };
    thread::scope(|scope| {
        let shares: Vec<_> = (0..threads).map(|mine| scope.spawn(move || share(mine))).collect();
        shares.into_iter().map(|share| share.join().unwrap()).sum()
    })
}

#[test]
fn a_cut_at_any_write_loses_nothing_that_was_shown() {
    let full = std::env::var("NIGHTJAR_FULL").as_deref() == Ok("1");
    let wanted = if full { ALL_IMAGES } else { IMAGES };
    let mut images = 0;
    let mut seed = 0;
    while images < wanted {
        seed += 1;
        images += cut_everywhere(seed);
    }
    println!("{images} images of {seed} stores");
}
