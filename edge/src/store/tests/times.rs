//! Clocks that jump or are not set, weeks that pass: order, place, age, and reading for damage.

use super::disk::Memory;
use super::history::Sim;
use super::*;

pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// 2038-01-19: where 32 bits of seconds end.
const LATE: u64 = 2_147_483_648_000;

impl Sim {
    pub(super) fn record_at(&mut self, unix: u64, ended: bool) -> EventId {
        let id = self.next();
        let started = UnixMs(unix);
        let event = Event { started, ended: ended.then_some(started), ..event(id) };
        let pictures = pictures(id, 1, 3000);
        self.writer.record(&[Change::Opened { event, pictures }]);
        id
    }

    /// Records an event of now.
    pub(super) fn record_now(&mut self) -> EventId {
        self.record_at(self.told.unix.load(Ordering::Relaxed), true)
    }

    fn started(&self, id: EventId) -> u64 {
        self.store.get(id).unwrap().unwrap().started.0
    }

    /// Lets whole days pass, hour by hour.
    pub(super) fn pass_days(&mut self, days: u64) {
        (0..days * 24).for_each(|_| self.pass(DAY_MS / 24));
    }

    pub(super) fn again(self) -> Self {
        let contents = self.disk.contents();
        drop(self);
        Self::open(Memory::holding(contents)).unwrap()
    }
}

#[test]
fn events_before_the_clock_is_set_are_placed_once_it_is() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    let before = sim.record_now();
    sim.set_clock(5_000);
    sim.pass(1000);
    let lone = sim.record_at(7_000, true);
    let open = sim.record_at(9_000, false);
    assert_eq!(sim.started(lone), 7_000, "marked: nobody takes this for a time");
    sim.pass(60_000);
    sim.set_clock(THEN + 10 * DAY_MS);
    sim.told.now.fetch_add(1000, Ordering::Relaxed);
    sim.writer.tick();
    // The wall clock stood at 66 s, and a second later it was set.
    let shift = THEN + 10 * DAY_MS - 67_000;
    assert_eq!(sim.started(lone), 7_000 + shift);
    assert_eq!(sim.started(open), 9_000 + shift);
    let late = Event { started: UnixMs(9_000), score: 0.9, ..event(open) };
    let pictures = pictures(open, 2, 50);
    sim.writer.record(&[Change::Improved { event: late, pictures }]);
    assert_eq!(sim.started(open), 9_000 + shift, "the eye still has the old time");
    let ended = UnixMs(THEN + 10 * DAY_MS);
    sim.writer.record(&[Change::Closed { id: open, ended }]);
    let after = sim.record_now();
    let order = [after, open, lone, before].map(|id| id.0);
    assert_eq!(ids(&sim.store), order);
    let sim = sim.again();
    assert_eq!(ids(&sim.store), order);
    assert_eq!(sim.started(lone), 7_000 + shift, "placed is placed");
    assert_eq!(sim.store.get(open).unwrap().unwrap().ended, Some(ended));
}

#[test]
fn what_an_earlier_run_left_unplaced_stays_marked() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    sim.set_clock(5_000);
    sim.pass(1000);
    let lone = sim.record_at(7_000, true);
    let mut sim = sim.again();
    sim.set_clock(6_000);
    sim.pass(1000);
    sim.set_clock(THEN);
    sim.pass(1000);
    assert_eq!(sim.started(lone), 7_000);
}

#[test]
fn a_jump_of_the_clock_changes_neither_order_nor_what_is_kept() {
    for jump in [LATE, THEN - DAY_MS, THEN + DAY_MS, 0, 5] {
        let mut sim = Sim::open(Memory::default()).unwrap();
        sim.writer.limits.keep_days = 30;
        sim.set_clock(THEN);
        sim.pass(1000);
        let mut kept = vec![sim.record_now().0];
        sim.set_clock(jump);
        for _ in 0..3 {
            kept.push(sim.record_now().0);
            sim.pass(60 * 60 * 1000);
        }
        sim = sim.again();
        sim.writer.limits.keep_days = 30;
        sim.set_clock(jump);
        sim.pass(60 * 60 * 1000);
        kept.push(sim.record_now().0);
        sim.set_clock(THEN + 5 * 60 * 60 * 1000);
        sim.pass(60 * 60 * 1000);
        kept.push(sim.record_now().0);
        kept.reverse();
        assert_eq!(ids(&sim.store), kept, "after a jump to {jump}");
    }
}

#[test]
fn days_go_by_as_they_should() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    sim.writer.limits.keep_days = 3;
    let old = sim.record_now();
    sim.pass_days(2);
    let newer = sim.record_now();
    assert_eq!(ids(&sim.store), [newer.0, old.0]);
    sim.pass_days(2);
    assert_eq!(ids(&sim.store), [newer.0], "older than three days");
    // Off for a week: what the clock then says is believed after a day.
    sim.told.unix.fetch_add(7 * DAY_MS, Ordering::Relaxed);
    sim = sim.again();
    sim.writer.limits.keep_days = 3;
    sim.set_clock(THEN + 12 * DAY_MS);
    sim.pass(60 * 60 * 1000);
    assert_eq!(ids(&sim.store), [newer.0]);
    sim.pass_days(2);
    assert_eq!(ids(&sim.store), [0; 0]);
}

#[test]
fn a_box_that_never_runs_for_a_day_lets_its_events_grow_old_too() {
    const HOUR_MS: u64 = DAY_MS / 24;
    let mut sim = Sim::open(Memory::default()).unwrap();
    sim.set_clock(THEN);
    sim.pass(1000);
    let old = sim.record_now();
    // Off for three days, then on for eight hours of each.
    for day in 3..10 {
        sim = sim.again();
        sim.writer.limits.keep_days = 3;
        sim.set_clock(THEN + day * DAY_MS);
        sim.pass(HOUR_MS);
        if day == 3 {
            assert_eq!(ids(&sim.store), [old.0], "who knows whether that is the time");
        }
        (1..8).for_each(|_| sim.pass(HOUR_MS));
    }
    assert_eq!(ids(&sim.store), [0; 0]);
}

#[test]
fn what_is_told_again_is_not_the_last_word() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    let starred = sim.record_now();
    sim.writer.mark(starred, Some(true), None).unwrap();
    let open = sim.record_at(THEN, false);
    sim.told.unix.fetch_add(20 * DAY_MS, Ordering::Relaxed);
    let place = |sim: &Sim| sim.writer.shared.index().get(starred).unwrap().unwrap().record.segment;
    while place(&sim) == 1 {
        sim.record_now();
        sim.pass(1000);
    }
    let carried = sim.disk.contents();
    let event = Event { started: UnixMs(THEN), score: 0.9, ..event(open) };
    sim.writer.record(&[Change::Improved { event, pictures: Pictures::default() }]);
    let improved = sim.disk.contents();
    let now = UnixMs(sim.told.unix.load(Ordering::Relaxed));
    for contents in [carried, improved] {
        let mut lost = contents.clone();
        lost.unname(Path::new("/card/index.redb"));
        for contents in [contents, lost] {
            let sim = Sim::open(Memory::holding(contents)).unwrap();
            assert_eq!(sim.store.last_word(), now);
            let ended = sim.store.get(open).unwrap().unwrap().ended;
            assert_eq!(ended, Some(now), "as long as it was seen");
        }
    }
}

/// Reads the whole log, a second for each segment.
fn scrub(sim: &mut Sim) {
    (0..20).for_each(|_| sim.pass(1000));
}

fn reports(sim: &Sim) -> usize {
    all(&sim.store).iter().filter(|event| event.label.as_str() == "card_damaged").count()
}

#[test]
fn rot_is_found_told_once_and_counted_once() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    for _ in 0..60 {
        sim.record_now();
    }
    scrub(&mut sim);
    let first = sim.store.figures().unwrap();
    assert!(first.scrubbed.is_some() && first.quarantined == 0 && reports(&sim) == 0);
    sim.writer.harden().unwrap();
    let mut contents = sim.disk.contents();
    contents.named(Path::new("/card/log/00000001.seg")).unwrap()[200] ^= 1;
    drop(sim);
    let mut sim = Sim::open(Memory::holding(contents)).unwrap();
    scrub(&mut sim);
    assert_eq!(reports(&sim), 0, "a week has not gone by");
    sim.pass_days(7);
    scrub(&mut sim);
    let found = sim.store.figures().unwrap();
    assert_eq!((found.quarantined, reports(&sim)), (1, 1));
    assert!(found.scrubbed > first.scrubbed);
    let mut sim = sim.again();
    scrub(&mut sim);
    sim.pass_days(8);
    scrub(&mut sim);
    assert_eq!(reports(&sim), 1, "known damage is not told again");
    assert_eq!(sim.store.figures().unwrap().quarantined, 1);
}

#[test]
fn after_a_stop_that_was_not_clean_everything_is_read() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    let first = sim.record_now();
    scrub(&mut sim);
    sim.record_now();
    let mut contents = sim.disk.contents();
    contents.named(Path::new("/card/log/00000001.seg")).unwrap()[50] ^= 1;
    drop(sim);
    let mut sim = Sim::open(Memory::holding(contents)).unwrap();
    scrub(&mut sim);
    assert_eq!((sim.store.figures().unwrap().quarantined, reports(&sim)), (1, 1));
    assert_eq!(sim.store.thumbnail(first).unwrap(), None, "never a wrong picture");
}

#[test]
fn damage_that_a_reader_meets_is_counted_once() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    let id = sim.record_now();
    scrub(&mut sim);
    sim.disk.spoil(Path::new("/card/log/00000001.seg"), 50);
    for _ in 0..5 {
        assert_eq!(sim.store.thumbnail(id).unwrap(), None);
        sim.pass(10);
    }
    assert_eq!((sim.store.figures().unwrap().quarantined, reports(&sim)), (1, 1));
}

#[test]
fn a_segment_that_retention_took_meanwhile_is_no_damage() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    let first = sim.record_now();
    while sim.writer.log.tail() < 3 {
        sim.record_now();
    }
    scrub(&mut sim);
    // The file goes before the index forgets.
    sim.writer.log.delete(1).unwrap();
    assert_eq!(sim.store.thumbnail(first).unwrap(), None);
    sim.pass(10);
    assert_eq!((sim.store.figures().unwrap().quarantined, reports(&sim)), (0, 0));
}

#[test]
fn an_index_made_anew_shows_the_newest_first_and_brings_nothing_back() {
    let mut sim = Sim::open(Memory::default()).unwrap();
    sim.writer.limits.keep_bytes = 1 << 30;
    let mut all_ids = Vec::new();
    for round in 0..300 {
        let id = sim.record_now();
        all_ids.push(id.0);
        if round % 10 == 0 {
            let full = EventId(all_ids.swap_remove(all_ids.len() / 2));
            assert!(sim.writer.delete(full).unwrap());
        }
        if round == 20 {
            sim.writer.mark(id, Some(true), None).unwrap();
        }
        let filler = sim.next();
        let change = Change::Opened {
            event: Event { ended: Some(UnixMs(THEN)), ..event(filler) },
            pictures: pictures(filler, 3, 4000),
        };
        sim.writer.record(&[change]);
        all_ids.push(filler.0);
    }
    let truth = all(&sim.store);
    let open = sim.record_at(THEN, false);
    sim.writer.begin_anew();
    assert_eq!(ids(&sim.store), [0; 0], "short, and there at once");
    let fresh = sim.record_now();
    assert_eq!(ids(&sim.store), [fresh.0]);
    let mut steps = 0;
    while sim.writer.fill_segment().unwrap() {
        steps += 1;
        let listed = all(&sim.store);
        let known = listed.iter().filter(|event| event.id != fresh && event.id != open);
        let known: Vec<_> = known.collect();
        assert!(known.iter().zip(&truth).all(|(shown, true_one)| *shown == true_one));
        let gone = EventId(truth[truth.len() - steps].id.0);
        if steps == 3 {
            assert_eq!(sim.store.get(gone).unwrap(), None, "not yet");
        }
    }
    assert!(steps > 10, "{steps} segments");
    sim.writer.record(&[Change::Closed { id: open, ended: UnixMs(THEN + 9) }]);
    sim.writer.fill(0);
    assert!(sim.writer.is_whole());
    let mut listed = all(&sim.store);
    listed.retain(|event| event.id != fresh && event.id != open);
    assert_eq!(listed, truth);
    let again = sim.again();
    assert_eq!(all(&again.store).len(), truth.len() + 2);
}

/// Events in the log of the test below.
const MANY: u64 = 100_000;
/// How long a start may take before it answers.
const START_MS: u64 = 10_000;

#[test]
fn a_start_without_an_index_answers_at_once_and_then_finds_everything() {
    let folder = Folder::new("many");
    let disk = Arc::new(System);
    let mut log = log::Log::open(disk, &folder.0.join("log"), log::SEGMENT_BYTES).unwrap();
    let mut bytes = Vec::new();
    for id in 1..=MANY {
        log.append(Tag::Thumbnail, id, &[1; 60], id).unwrap();
        bytes.clear();
        let ended = Some(UnixMs(THEN + id));
        record::write_event(&Event { ended, ..event(EventId(id)) }, &mut bytes);
        log.append(Tag::Event, id, &bytes, id).unwrap();
        if id % 1000 == 0 {
            log.sync().unwrap();
        }
    }
    drop(log);
    let clock = Clock::start();
    let (store, _) = folder.open(PLENTY);
    let page = store.list(&Query { limit: 50, ..Query::default() }).unwrap();
    let took = clock.now().0;
    println!("{MANY} events: the first page after {took} ms");
    assert!(took < START_MS, "{took} ms");
    let newest: Vec<u64> = (MANY - 49..=MANY).rev().collect();
    assert_eq!(page.events.iter().map(|event| event.id.0).collect::<Vec<_>>(), newest);
    while store.figures().unwrap().rebuilding {
        settle(&store);
    }
    assert_eq!(store.figures().unwrap().events, MANY);
    println!("all of them after {} ms", clock.now().0);
}
