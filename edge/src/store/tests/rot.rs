//! Bits flip, pages turn to zeros, files end early: what is intact is served, and nothing wrong.

use super::disk::{Contents, Memory};
use super::history::Sim;
use super::*;
use crate::journal::hush_panics;

const FLIPS: usize = 2000;
const ZEROED: usize = 200;
const CUT_SHORT: usize = 100;
const LIVE_ROT: usize = 200;
const PAGE_BYTES: usize = 4096;

/// A store that has lived, and what is in it.
struct Lived {
    contents: Contents,
    events: BTreeMap<u64, (Event, Pictures)>,
    /// The file and the bytes of each event's parts.
    parts: BTreeMap<u64, Vec<(PathBuf, std::ops::Range<usize>)>>,
}

impl Lived {
    /// After a clean stop the next start does not check the index, after any other it does.
    fn new(is_clean: bool) -> Self {
        let mut sim = Sim::open(Memory::default()).unwrap();
        sim.writer.limits.keep_bytes = 1 << 30;
        let mut events = BTreeMap::new();
        for _ in 0..60 {
            let event = event(sim.next());
            let event = Event { ended: Some(event.started), ..event };
            let pictures = pictures(event.id, 1, 3000);
            let change = Change::Opened { event: event.clone(), pictures: pictures.clone() };
            sim.writer.record(&[change]);
            events.insert(event.id.0, (event, pictures));
        }
        let marked = EventId(*events.keys().next().unwrap());
        sim.writer.mark(marked, Some(true), None).unwrap();
        sim.writer.add_client("mine".into(), [7; 32]).unwrap();
        let mut parts = BTreeMap::new();
        for id in events.keys() {
            let entry = sim.writer.shared.index().get(EventId(*id)).unwrap().unwrap();
            let place = |(_, at): (Tag, Location)| {
                let start = at.offset as usize;
                let end = start + record::HEADER_BYTES + at.length as usize;
                (PathBuf::from(format!("/card/log/{:08}.seg", at.segment)), start..end)
            };
            parts.insert(*id, entry.parts().map(place).collect());
        }
        let disk = sim.disk.clone();
        if is_clean {
            sim.writer.finish();
        } else {
            sim.writer.harden().unwrap();
        }
        drop(sim);
        assert_eq!(disk.contents().named(Path::new("/card/sums")).is_some(), is_clean);
        Self { contents: disk.contents(), events, parts }
    }

    /// Spoils a stretch of one file; what becomes of the store then.
    fn spoil(&self, random: &mut Random, hurt: Hurt, tally: &mut Tally) {
        let mut contents = self.contents.clone();
        let mut names: Vec<PathBuf> = contents.names().cloned().collect();
        names.retain(|path| !path.ends_with("paired"));
        let path = names[random.below(names.len())].clone();
        let bytes = contents.named(&path).unwrap();
        let touched = hurt.hurt(bytes, random);
        let run = std::panic::AssertUnwindSafe(|| self.look(contents, &path, &touched, tally));
        if let Err(panic) = std::panic::catch_unwind(run) {
            println!("{hurt:?} of {touched:?} in {}", path.display());
            std::panic::resume_unwind(panic);
        }
    }

    /// Whether it is as it was recorded.
    fn is_right(&self, event: &Event) -> bool {
        let truth = self.events.get(&event.id.0);
        truth.is_some_and(|(truth, _)| Event { favourite: false, ..event.clone() } == *truth)
    }

    fn look(
        &self,
        contents: Contents,
        path: &Path,
        touched: &std::ops::Range<usize>,
        tally: &mut Tally,
    ) {
        let mut sim = Sim::open(Memory::holding(contents)).expect("a spoilt store opens");
        sim.writer.limits.keep_bytes = 1 << 30;
        let first = sim.store.list(&Query { limit: 200, ..Query::default() });
        let first = first.map_or(Vec::new(), |page| page.events);
        assert!(first.iter().all(|event| self.is_right(event)), "never a wrong event");
        // What a reader met is mended a second later.
        sim.pass(1_000);
        sim.writer.fill(u64::MAX);
        let listed: BTreeMap<u64, Event> =
            all(&sim.store).into_iter().map(|e| (e.id.0, e)).collect();
        assert!(listed.values().all(|event| self.is_right(event)), "never a wrong event");
        for (id, (_, held)) in &self.events {
            let id = EventId(*id);
            let thumbnail = sim.store.thumbnail(id).unwrap().map(|picture| picture.bytes);
            let full = sim.store.picture(id).unwrap().map(|picture| picture.bytes);
            assert!(thumbnail.as_ref().is_none_or(|bytes| *bytes == held.thumbnail));
            assert!(full.as_ref().is_none_or(|bytes| *bytes == held.full));
            let hit = |(file, part): &(PathBuf, std::ops::Range<usize>)| {
                file == path && part.start < touched.end && touched.start < part.end
            };
            if !self.parts[&id.0].iter().any(hit) {
                tally.intact += 1;
                let served = listed.contains_key(&id.0) && thumbnail.is_some() && full.is_some();
                tally.served += usize::from(served);
            }
        }
        assert!(sim.store.ever_paired(), "the door stays closed");
        let next = event(sim.next());
        assert!(!self.events.contains_key(&next.id.0), "an id is given twice");
        let pictures = Pictures::default();
        sim.writer.record(&[Change::Opened { event: next.clone(), pictures }]);
        assert_eq!(sim.store.get(next.id).unwrap(), Some(next), "it goes on");
    }
}

#[derive(Default)]
struct Tally {
    intact: usize,
    served: usize,
}

#[derive(Debug, Clone, Copy)]
enum Hurt {
    Flip,
    Zero,
    Short,
}

impl Hurt {
    /// Does it; the bytes that are not what they were.
    fn hurt(self, bytes: &mut Vec<u8>, random: &mut Random) -> std::ops::Range<usize> {
        let at = random.below(bytes.len());
        match self {
            Self::Flip => {
                bytes[at] ^= 1 << random.below(8);
                at..at + 1
            }
            Self::Zero => {
                let start = at / PAGE_BYTES * PAGE_BYTES;
                let end = bytes.len().min(start + PAGE_BYTES);
                bytes[start..end].fill(0);
                start..end
            }
            Self::Short => {
                let end = bytes.len();
                bytes.truncate(at);
                at..end
            }
        }
    }
}

/// Spoils a store that was stopped so, in every way.
fn rot_after(is_clean: bool) {
    hush_panics(true);
    let lived = Lived::new(is_clean);
    let mut random = Random(9);
    let mut tally = Tally::default();
    for (hurt, times) in [(Hurt::Flip, FLIPS), (Hurt::Zero, ZEROED), (Hurt::Short, CUT_SHORT)] {
        for _ in 0..times {
            lived.spoil(&mut random, hurt, &mut tally);
        }
    }
    let Tally { intact, served } = tally;
    println!("{served} of {intact} intact events served");
    assert!(served * 100 >= intact * 99);
}

#[test]
fn rot_costs_what_it_hits_and_nothing_else() {
    rot_after(false);
}

#[test]
fn rot_after_a_clean_stop_costs_no_more_though_nothing_is_checked() {
    rot_after(true);
}

/// Spoils an index that is open, and more of it each time.
fn rot_while_open(lived: &Lived) {
    let index = Path::new("/card/index.redb");
    let mut random = Random(4);
    for _ in 0..LIVE_ROT {
        let mut sim = Sim::open(Memory::holding(lived.contents.clone())).unwrap();
        let length = sim.disk.contents().named(index).unwrap().len();
        for _ in 0..=random.below(40) {
            sim.disk.spoil(index, random.below(length));
        }
        let shown = sim.store.list(&Query { limit: 200, ..Query::default() });
        let shown = shown.map_or(Vec::new(), |page| page.events);
        assert!(shown.iter().all(|event| lived.is_right(event)), "never a wrong event");
        let next = event(sim.next());
        let pictures = Pictures::default();
        sim.writer.record(&[Change::Opened { event: next.clone(), pictures }]);
        sim.pass(60_000);
        sim.pass(60_000);
        sim.writer.fill(u64::MAX);
        let listed = all(&sim.store);
        assert_eq!(listed.len(), lived.events.len() + 1);
        assert!(listed[0] == next && listed[1..].iter().all(|event| lived.is_right(event)));
    }
}

#[test]
fn an_index_that_rots_while_it_is_open_is_made_anew() {
    hush_panics(true);
    rot_while_open(&Lived::new(false));
    rot_while_open(&Lived::new(true));
}

#[test]
fn only_a_clean_stop_spares_the_check_and_only_once() {
    let sums = Path::new("/card/sums");
    let sim = Sim::open(Memory::holding(Lived::new(true).contents)).unwrap();
    let disk = sim.disk.clone();
    assert!(disk.contents().named(sums).is_none(), "a start takes them away");
    drop(sim);
    let restarted = Sim::open(disk.clone()).unwrap().restart();
    assert!(disk.contents().named(sums).is_none());
    let bad = Path::new("/card/index.bad");
    assert!(disk.contents().named(bad).is_none(), "the index stands");
    assert_eq!(restarted.store.figures().unwrap().events, 60);
}
