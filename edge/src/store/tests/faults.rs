//! The writer against a card that refuses, an index that breaks, and time that passes.

use super::super::fault::{self, Point};
use super::*;
use std::os::unix::fs::PermissionsExt;

/// A writer on this thread, where faults can be asked for, and a store that reads beside it.
struct Bench {
    folder: Folder,
    writer: Writer,
    notices: Receiver<Notice>,
}

impl Bench {
    fn new(tag: &str, limits: Limits) -> Self {
        let folder = Folder::new(tag);
        drop(format::lock(&folder.0).unwrap());
        format::upgrade(&folder.0).unwrap();
        let (bell, notices) = notice::bell();
        let disk = Arc::new(System);
        let writer = Writer::open(disk, &folder.0, limits, Clock::start(), Arc::new(bell)).unwrap();
        Self { folder, writer, notices }
    }

    fn record(&mut self, started: UnixMs, length: usize, ended: bool) -> EventId {
        let id = EventId(self.writer.shared.next_id.fetch_add(1, Ordering::Relaxed));
        let event = Event { started, ended: ended.then_some(started), ..event(id) };
        let pictures = pictures(id, 1, length);
        self.writer.record(&[Change::Opened { event, pictures }]);
        id
    }

    fn closed(&mut self, length: usize) -> EventId {
        self.record(UnixMs(THEN), length, true)
    }

    fn listed(&self) -> Vec<EventId> {
        let mut ids = Vec::new();
        let see = |entry: Entry| {
            ids.push(entry.event.id);
            true
        };
        self.writer.shared.index().walk(None, see).unwrap();
        ids.reverse();
        ids
    }

    fn heard(&self) -> Vec<What> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).map(|notice| notice.what).collect()
    }

    /// What a new start lists, with the index and without.
    fn after_a_kill(&self) -> [Vec<u64>; 2] {
        [false, true].map(|lose| {
            let copy = self.folder.copy();
            if lose {
                copy.lose_index();
            }
            let mut ids = ids(&copy.open(PLENTY).0);
            ids.reverse();
            ids
        })
    }

    fn star(&mut self, id: EventId) {
        self.writer.mark(id, Some(true), None).unwrap().unwrap();
    }
}

fn numbers(ids: &[EventId]) -> Vec<u64> {
    ids.iter().map(|id| id.0).collect()
}

#[test]
fn single_events_go_by_their_days() {
    let limits = Limits { keep_days: 1, ..PLENTY };
    let mut bench = Bench::new("round", limits);
    let now = bench.writer.clock.unix_ms();
    let starred = bench.record(UnixMs(THEN), 10, true);
    bench.star(starred);
    let old: Vec<_> = (0..600).map(|_| bench.record(UnixMs(THEN), 10, true)).collect();
    let open = bench.record(UnixMs(THEN), 10, false);
    let unset = bench.record(UnixMs(5), 10, true);
    let late = bench.record(UnixMs(THEN), 10, true);
    let fresh = bench.record(now, 10, true);
    bench.heard();
    bench.writer.bury_old().unwrap();
    assert_eq!(bench.listed(), [starred, open, unset, fresh], "{late} is old, wherever it lies");
    let heard = bench.heard();
    assert!(heard.contains(&What::Deleted(late)) && heard.contains(&What::Deleted(old[599])));
    for listed in bench.after_a_kill() {
        assert_eq!(listed, numbers(&[starred, open, unset, fresh]), "gone is gone");
    }
}

#[test]
fn a_fault_forgets_what_waited_for_the_card() {
    let mut bench = Bench::new("pending", PLENTY);
    let first = bench.closed(50);
    for fault in [writer::Fault::Index, io::Error::other("card").into()] {
        let mut group = writer::Group::default();
        let lost = event(EventId(900));
        bench.writer.stage_event(&mut group, lost, &Pictures::default()).unwrap();
        bench.writer.note(Err(fault));
        bench.writer.health.rebuilt = None;
    }
    let second = bench.closed(50);
    assert_eq!(bench.listed(), [first, second]);
    assert_eq!(bench.after_a_kill(), [numbers(&[first, second]), numbers(&[first, second])]);
}

#[test]
fn retention_that_breaks_off_leaves_index_and_log_alike() {
    let limits = Limits { keep_bytes: 1 << 20, ..PLENTY };
    let mut bench = Bench::new("halfway", limits);
    let starred = bench.closed(5000);
    bench.star(starred);
    let spoilt = bench.closed(5000);
    while bench.writer.log.tail() < 10 {
        bench.closed(5000);
    }
    bench.writer.shared.index().spoil(spoilt);
    bench.writer.tick();
    // However long that takes here.
    bench.writer.fill(u64::MAX);
    let next = bench.closed(5000);
    assert_eq!(bench.listed().last(), Some(&next));
    let listed = numbers(&bench.listed());
    assert_eq!(bench.after_a_kill(), [listed.clone(), listed]);
    bench.writer.tick();
    assert!(bench.writer.log.bytes() <= limits.keep_bytes);
    assert_eq!(bench.listed()[0], starred);
}

#[test]
fn a_refused_write_is_tried_once_more() {
    let mut bench = Bench::new("refused", PLENTY);
    let first = bench.closed(50);
    fault::ask(Point::Tail, io::ErrorKind::Other);
    let second = bench.closed(50);
    let third = bench.closed(50);
    let all = [first, second, third];
    assert_eq!(bench.listed(), all);
    assert_eq!(bench.after_a_kill(), [numbers(&all), numbers(&all)]);
}

#[test]
fn an_index_that_cannot_be_made_holds_nothing_up() {
    let mut bench = Bench::new("behind", PLENTY);
    let first = bench.closed(50);
    let open = bench.record(UnixMs(THEN), 50, false);
    let blocked = bench.folder.0.join("index.new");
    fs::create_dir(&blocked).unwrap();
    bench.heard();
    bench.writer.note(Err(writer::Fault::Index));
    let tried = bench.writer.health.rebuilt;
    assert!(tried.is_some());
    bench.writer.record(&[Change::Closed { id: open, ended: UnixMs(THEN + 7) }]);
    let third = bench.closed(50);
    bench.writer.tick();
    assert_eq!(bench.writer.health.rebuilt, tried, "once a minute, not for every change");
    assert_eq!(bench.listed(), [first, open], "what readers have stays");
    assert_eq!(bench.heard(), [], "nothing rings before it is listed");
    assert_eq!(bench.writer.delete(first).unwrap_err().kind, Kind::Failed);
    let all = numbers(&[first, open, third]);
    assert_eq!(bench.after_a_kill(), [all.clone(), all.clone()], "the log has it");
    fs::remove_dir(&blocked).unwrap();
    bench.writer.health.rebuilt = None;
    bench.writer.tick();
    assert_eq!(numbers(&bench.listed()), all);
    assert_eq!(bench.heard(), [What::Event(open), What::Event(third)]);
    let entry = bench.writer.shared.index().get(open).unwrap().unwrap();
    assert_eq!(entry.event.ended, Some(UnixMs(THEN + 7)));
    let last = bench.closed(50);
    assert_eq!(bench.listed().last(), Some(&last), "the index follows again");
}

#[test]
fn a_full_card_makes_the_oldest_go_early() {
    let limits = Limits { keep_bytes: 4 << 20, ..PLENTY };
    let mut bench = Bench::new("full", limits);
    let starred = bench.closed(5000);
    bench.star(starred);
    while bench.writer.log.bytes() < 2 << 20 {
        bench.closed(5000);
    }
    let before = bench.writer.log.bytes();
    fault::ask(Point::Tail, io::ErrorKind::StorageFull);
    bench.closed(5000);
    let after = bench.writer.log.bytes();
    assert!(after <= before / 10 * 9, "{before} bytes, then {after}");
    let next = bench.closed(5000);
    let listed = bench.listed();
    assert_eq!((listed[0], listed.last()), (starred, Some(&next)));
    let listed = numbers(&listed);
    assert_eq!(bench.after_a_kill(), [listed.clone(), listed]);
}

#[test]
fn tombs_go_with_what_they_cover() {
    let limits = Limits { keep_bytes: 1 << 20, ..PLENTY };
    let mut bench = Bench::new("tombs", limits);
    for _ in 0..600 {
        let id = bench.closed(9000);
        bench.writer.delete(id).unwrap();
        bench.writer.tick();
    }
    let mut tombs = 0;
    for number in bench.writer.log.segments().keys() {
        let bytes = bench.writer.log.read_segment(*number).unwrap();
        let header = usize::try_from(log::SEGMENT_HEADER_BYTES).unwrap();
        let gone = |found: &record::Found<'_>| matches!(found, record::Found::Record(_, record) if record.tag == Tag::Gone);
        tombs += record::Walk::new(&bytes, header).filter(gone).count();
    }
    assert!(tombs < 150, "{tombs} tombs for about 100 events");
}

#[test]
fn readers_see_no_byte_that_was_not_synced() {
    let mut bench = Bench::new("synced", PLENTY);
    let first = bench.closed(50);
    let mut bytes = fs::read(bench.folder.tail()).unwrap();
    let mut stray = Vec::new();
    let other = event(EventId(77));
    record::write_event(&other, &mut stray);
    record::Record { tag: Tag::Event, id: 77, bytes: &stray }.write(&mut bytes);
    fs::write(bench.folder.tail(), bytes).unwrap();
    bench.writer.note(Err(writer::Fault::Index));
    assert_eq!(bench.listed(), [first]);
}

#[test]
fn a_damaged_entry_is_mended_and_not_counted_by_each_listing() {
    let folder = Folder::new("entry");
    let (store, _) = folder.open(PLENTY);
    let recorder = store.recorder();
    let mut all: Vec<_> = (0..3).map(|_| closed(&recorder, 50).0).collect();
    all.reverse();
    settle(&store);
    store.shared.index().spoil(EventId(all[1]));
    assert_eq!(ids(&store), [all[0], all[2]]);
    // The writer looks for damage after each job: after the second it has mended the first's.
    settle(&store);
    settle(&store);
    assert_eq!(ids(&store), all);
    assert_eq!(store.figures().unwrap().quarantined, 0);
}

#[test]
fn a_writer_that_died_is_told() {
    let folder = Folder::new("died");
    let (store, _) = folder.open(PLENTY);
    assert!(store.is_alive());
    let answer = store.ask(|_| -> Result<(), Error> { panic!("a test wants it so") });
    assert_eq!(answer.unwrap_err().kind, Kind::Closed);
    assert!(!store.close() && !store.is_alive());
    let (store, _) = Folder::new("lives").open(PLENTY);
    assert!(store.close() && !store.is_alive());
}

#[test]
fn everything_is_its_owner_s_alone() {
    let folder = Folder::new("modes");
    let (store, _) = folder.open(PLENTY);
    closed(&store.recorder(), 50);
    settle(&store);
    store.close();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut files = 0;
    for folder in [folder.0.clone(), folder.0.join("log")] {
        assert_eq!(mode(&folder), 0o700);
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_file() {
                assert_eq!(mode(&entry), 0o600, "{}", entry.display());
                files += 1;
            }
        }
    }
    assert_eq!(files, 7, "lock, format, owner.log, index.redb, sums, ballast, one segment");
}
