//! The power goes at every write and sync: what was shown is there afterwards, and nothing else.

use super::disk::{Card, Change as DiskChange, Contents, Left, Memory};
use super::history::{History, Sim, Steps, check, note_retention, one_step};
use super::*;
use crate::journal::hush_panics;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

const STEPS: usize = 70;
/// Steps from one clean stop to the next.
const RESTART_STEPS: usize = 20;
/// Images of one run; all of them with `NIGHTJAR_FULL=1`.
const IMAGES: usize = 10_000;
const ALL_IMAGES: usize = 100_000;

/// Works on a store for a while; what it asked, and what the disk saw.
fn work(seed: u64) -> (History, Vec<DiskChange>) {
    let mut random = Random(seed);
    let mut sim = Sim::open(Memory::default()).unwrap();
    let mut history = History::default();
    for step in 0..STEPS {
        one_step(&mut sim, &mut history, &mut random);
        let asked = sim.disk.made();
        sim.writer.tick();
        if step % 7 == 6 {
            sim.writer.harden().unwrap();
        }
        if step == STEPS / 2 {
            sim.writer.note(Err(writer::Fault::Index));
        }
        note_retention(&sim, &mut history, asked);
        if step % RESTART_STEPS == RESTART_STEPS - 1 {
            sim = sim.restart();
        }
    }
    assert!(history.is_done());
    (history, sim.disk.take_trace())
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
        sim.writer.record(&[Change::Opened { event: event.clone(), pictures }]);
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
