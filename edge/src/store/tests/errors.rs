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
    sim.writer.record(&[Change::Opened { event: last.clone(), pictures }]);
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

/// Events of 4 kB, a second each; the last is listed as soon as it is recorded, or has to be.
fn record_many(sim: &mut Sim, many: usize, always: bool) -> EventId {
    let mut last = EventId(0);
    for _ in 0..many {
        last = sim.next();
        let event = Event { ended: Some(UnixMs(THEN + last.0)), ..event(last) };
        let change = Change::Opened { event, pictures: pictures(last, 1, 4000) };
        sim.writer.record(&[change]);
        if always {
            assert!(sim.store.get(last).unwrap().is_some(), "{last} is not listed");
        }
        sim.pass(1000);
    }
    last
}

#[test]
fn a_card_that_others_fill_keeps_the_newest_and_what_is_starred() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    sim.writer.limits.keep_bytes = 8 << 20;
    let starred = record_many(&mut sim, 1, true);
    sim.writer.mark(starred, Some(true), None).unwrap();
    sim.disk.limit(Some(3 << 20));
    let last = record_many(&mut sim, 1500, true);
    let listed = ids(&sim.store);
    assert!(listed.len() > 50 && listed.len() < 1000, "{} events", listed.len());
    let newest: Vec<u64> = (0..40).map(|back| last.0 - back).collect();
    assert_eq!(&listed[..40], newest);
    assert_eq!(*listed.last().unwrap(), starred.0);
    let sim = Sim::open(Memory::holding(sim.disk.contents())).unwrap();
    assert_eq!(ids(&sim.store), listed);
}

#[test]
fn a_full_card_without_an_index_gets_one_in_the_end() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    sim.writer.limits.keep_bytes = 8 << 20;
    record_many(&mut sim, 400, true);
    let mut contents = sim.disk.contents();
    contents.unname(Path::new("/card/index.redb"));
    let disk = Memory::holding(contents);
    disk.limit(Some(0));
    let mut sim = Sim::open(disk).unwrap();
    sim.writer.limits.keep_bytes = 8 << 20;
    assert!(!sim.writer.is_whole());
    record_many(&mut sim, 100, false);
    sim.disk.limit(Some(5 << 20));
    record_many(&mut sim, 70, false);
    let last = record_many(&mut sim, 30, true);
    assert!(sim.writer.is_whole());
    assert_eq!(ids(&sim.store)[0], last.0);
}

#[test]
fn an_end_that_the_card_refuses_is_told_again() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    let open = event(sim.next());
    let (id, ended) = (open.id, UnixMs(THEN + 900));
    sim.writer.record(&[Change::Opened { event: open, pictures: Pictures::default() }]);
    sim.disk.fail(Some(Failing { from: 0, until: u64::MAX, kind: io::ErrorKind::Other }));
    sim.writer.record(&[Change::Closed { id, ended }]);
    sim.pass(60_000);
    sim.disk.fail(None);
    sim.pass(60_000);
    assert_eq!(sim.store.get(id).unwrap().unwrap().ended, Some(ended));
    assert!(sim.writer.open.is_empty());
}

#[test]
fn what_a_dead_eye_left_open_ends_when_the_next_begins() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    let [hof, other] = ["Hof", "Tor"].map(|camera| {
        let event = Event { camera: camera.try_into().unwrap(), ..event(sim.next()) };
        let change = Change::Opened { event: event.clone(), pictures: Pictures::default() };
        sim.writer.record(&[change]);
        event.id
    });
    let own = Change::Closed { id: hof, ended: UnixMs(THEN + 900) };
    let desert = |ended| Change::Deserted { camera: "Hof".into(), ended: UnixMs(ended) };
    let ended = |sim: &Sim, id| sim.store.get(id).unwrap().unwrap().ended;
    sim.writer.record(&[own, desert(THEN + 950)]);
    assert_eq!(ended(&sim, hof), Some(UnixMs(THEN + 900)), "what it said itself counts");
    let second = event(sim.next());
    let id = second.id;
    sim.writer.record(&[Change::Opened { event: second, pictures: Pictures::default() }]);
    sim.writer.record(&[desert(THEN + 999)]);
    assert_eq!(ended(&sim, id), Some(UnixMs(THEN + 999)));
    assert_eq!(ended(&sim, other), None, "another camera's stay open");
}

#[test]
fn a_full_card_refuses_no_start() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    let open = event(sim.next());
    sim.writer.record(&[Change::Opened { event: open.clone(), pictures: Pictures::default() }]);
    sim.pass(60_000);
    sim.writer.harden().unwrap();
    let mut contents = sim.disk.contents();
    let word = sim.told.unix.load(Ordering::Relaxed);
    drop(sim);
    let names: Vec<PathBuf> = contents.names().cloned().collect();
    let used = names.iter().map(|name| contents.named(name).unwrap().len()).sum();
    for (room, helps) in [(used, true), (0, false)] {
        let disk = Memory::holding(contents.clone());
        disk.limit(Some(room));
        let mut sim = Sim::open(disk).expect("it starts");
        let ended = |sim: &Sim| sim.store.get(open.id).unwrap().unwrap().ended;
        assert_eq!(ended(&sim).is_some(), helps, "the ballast is given up");
        sim.disk.limit(None);
        sim.pass(60_000);
        assert_eq!(ended(&sim), Some(UnixMs(word)), "when the log ended");
    }
}
