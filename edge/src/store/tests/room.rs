//! Retention that has much to do: a little at a time, and what is gone stays gone.

use super::disk::Memory;
use super::history::Sim;
use super::times::DAY_MS;
use super::*;

/// Segments that one look may delete.
const MOST: usize = 4;

fn tombs(sim: &Sim) -> usize {
    let header = usize::try_from(log::SEGMENT_HEADER_BYTES).unwrap();
    let gone = |found: record::Found<'_>| matches!(found, record::Found::Record(_, record) if record.tag == Tag::Gone);
    let segments = sim.writer.log.segments().keys();
    let bytes = segments.map(|number| sim.writer.log.read_segment(*number).unwrap());
    bytes.map(|bytes| record::Walk::new(&bytes, header).filter(|it| gone(*it)).count()).sum()
}

/// A store of so many segments of 64 KiB.
fn filled(segments: u32) -> Sim {
    let mut sim = Sim::open(Memory::default()).unwrap();
    sim.writer.limits.keep_bytes = 1 << 30;
    sim.pass(1000);
    while sim.writer.log.tail() < segments {
        sim.record_now();
    }
    sim
}

#[test]
fn what_is_too_much_goes_little_by_little() {
    let mut sim = filled(40);
    sim.writer.limits.keep_bytes = 1 << 20;
    for looks in 1.. {
        let before = sim.writer.log.segments().len();
        sim.pass(10);
        let now = edge_core::time::Instant(sim.told.now.load(Ordering::Relaxed));
        assert_eq!(sim.store.pulse().age_ms(now), 0, "it shows its progress");
        assert!(before - sim.writer.log.segments().len() <= MOST, "at the look {looks}");
        if sim.writer.log.bytes() <= 1 << 20 {
            break;
        }
        assert!(looks < 40, "it comes to an end");
    }
}

#[test]
fn what_is_too_old_goes_with_its_segments() {
    let mut sim = filled(40);
    sim.writer.limits.keep_days = 1;
    sim.told.unix.fetch_add(2 * DAY_MS - 60 * 60 * 1000, Ordering::Relaxed);
    sim.pass(60 * 60 * 1000);
    let mut looks = 0;
    while !ids(&sim.store).is_empty() {
        looks += 1;
        assert!(looks < 40, "it comes to an end");
        sim.pass(10);
    }
    let tombs = tombs(&sim);
    assert!(tombs < 100, "{tombs} tombs of 800 events");
}

#[test]
fn a_full_card_brings_nothing_back() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    let starred = sim.record_now();
    let deleted = sim.record_now();
    sim.writer.mark(starred, Some(true), None).unwrap();
    while sim.writer.log.tail() < 2 {
        sim.record_now();
    }
    assert!(sim.writer.delete(deleted).unwrap());
    while sim.writer.log.tail() < 5 {
        sim.record_now();
    }
    sim.writer.begin_anew();
    sim.writer.drop_oldest_unread();
    assert_eq!(sim.writer.log.segments().len(), 4, "one made room");
    sim.writer.fill(u64::MAX);
    assert_eq!(sim.store.get(deleted).unwrap(), None);
    assert!(sim.store.get(starred).unwrap().is_some());
}
