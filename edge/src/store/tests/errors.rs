//! The card refuses the Nth change for a while: nothing acknowledged is lost, and nobody restarts.

use super::disk::{Card, Failing, Left, Memory};
use super::history::{History, Sim, check, note_retention, one_step};
use super::*;
use crate::journal::hush_panics;
use std::panic::{catch_unwind, resume_unwind};

/// The first changes of which each fails once, and what it fails with.
const CHANGES: u64 = 300;
const KINDS: [io::ErrorKind; 2] = [io::ErrorKind::Other, io::ErrorKind::StorageFull];

/// Works while changes `from..from + length` fail, and then on.
fn work_through(seed: u64, nth: u64, length: u64, kind: io::ErrorKind) {
    let mut random = Random(seed);
    let mut sim = Sim::open(Memory::default()).unwrap();
    sim.writer.limits.keep_bytes = 8 << 20;
    let mut history = History::default();
    let from = sim.disk.asked() + nth;
    let until = from + length;
    sim.disk.fail(Some(Failing { from, until, kind }));
    let mut step = 0;
    while sim.disk.asked() < until {
        step += 1;
        let asked = sim.disk.made();
        one_step(&mut sim, &mut history, &mut random);
        sim.writer.tick();
        if step % 5 == 4 {
            let hardened = sim.writer.harden();
            sim.writer.note_fault(hardened);
        }
        // More often full than the ballast helps: the oldest go.
        if kind == io::ErrorKind::StorageFull && length > 1 {
            note_retention(&sim, &mut history, asked);
        }
        assert!(step < 2000, "it asks nothing more of the disk");
    }
    // A minute later.
    sim.pass(60_000);
    sim.writer.fill(u64::MAX);
    if kind == io::ErrorKind::StorageFull && length > 1 {
        note_retention(&sim, &mut history, 0);
    }
    check(&sim.store, &history, sim.disk.made());
    for _ in 0..5 {
        one_step(&mut sim, &mut history, &mut random);
    }
    check(&sim.store, &history, sim.disk.made());
    let last = event(sim.next());
    let pictures = pictures(last.id, 1, 50);
    sim.writer.record(vec![Change::Opened { event: last.clone(), pictures }]);
    assert_eq!(sim.store.get(last.id).unwrap().as_ref(), Some(&last), "it records again");
    assert!(sim.writer.delete(last.id).unwrap());
    let cut = sim.disk.made();
    let mut card = Card::default();
    sim.disk.take_trace().iter().for_each(|change| card.take(change));
    let left = Left::EACH[random.below(Left::EACH.len())];
    let sim = Sim::open(Memory::holding(card.cut(left, &mut random))).unwrap();
    check(&sim.store, &history, cut);
}

#[test]
fn a_card_that_refuses_for_a_while_loses_nothing_acknowledged() {
    let nth: Vec<u64> = (1..=CHANGES).collect();
    std::thread::scope(|scope| {
        for part in nth.chunks(150) {
            scope.spawn(move || {
                hush_panics(true);
                for nth in part {
                    for kind in KINDS {
                        for length in [1, 5] {
                            let run = || work_through(nth % 7, *nth, length, kind);
                            if let Err(panic) = catch_unwind(run) {
                                println!("{length} changes from the {nth}th on met {kind:?}");
                                resume_unwind(panic);
                            }
                        }
                    }
                }
            });
        }
    });
}
