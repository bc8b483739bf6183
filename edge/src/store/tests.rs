//! The store against crashes, damage and a naive twin.

use super::*;
use crate::notice::{self, Notice, What};
use edge_core::event::Kind as EventKind;
use edge_core::geometry::BBox;
use smol::channel::Receiver;
use std::collections::BTreeMap;
use std::fs;

mod crash;
mod disk;
mod errors;
mod faults;
mod history;
mod room;
mod rot;
mod times;

const PLENTY: Limits = Limits { keep_bytes: 1 << 30, keep_days: 36_500 };
/// A moment the clock was set.
const THEN: u64 = UnixMs::FIRST_PLAUSIBLE.0 + 1_000_000;

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(tag: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nightjar-store-{tag}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    /// A copy of everything in it, but the ballast: what a kill at this moment leaves.
    fn copy(&self) -> Self {
        let copy = Self::new("copy");
        fs::create_dir_all(copy.0.join("log")).unwrap();
        for folder in ["", "log"] {
            for entry in fs::read_dir(self.0.join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() && entry.file_name() != "ballast" {
                    fs::copy(entry.path(), copy.0.join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
        copy
    }

    fn open(&self, limits: Limits) -> (Arc<Store>, Receiver<Notice>) {
        self.open_at(limits, Clock::start())
    }

    fn open_at(&self, limits: Limits, clock: Clock) -> (Arc<Store>, Receiver<Notice>) {
        let (bell, notices) = notice::bell();
        (Store::open(&self.0, limits, clock, Arc::new(bell)).unwrap(), notices)
    }

    fn lose_index(&self) {
        fs::remove_file(self.0.join("index.redb")).unwrap();
    }

    /// The newest segment.
    fn tail(&self) -> PathBuf {
        let entries = fs::read_dir(self.0.join("log")).unwrap();
        entries.map(|entry| entry.unwrap().path()).max().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn event(id: EventId) -> Event {
    Event {
        id,
        kind: EventKind::Object,
        label: ["person", "car", "cat"][usize::try_from(id.0 % 3).unwrap()].try_into().unwrap(),
        camera: "Hof".try_into().unwrap(),
        started: UnixMs(THEN + id.0),
        ended: None,
        score: 0.75,
        bbox: BBox::WHOLE,
        favourite: false,
        reviewed: false,
    }
}

/// Pictures nobody else has: their bytes say whose they are.
fn pictures(id: EventId, round: u8, length: usize) -> Pictures {
    let mut full = vec![round; length];
    full[..8].copy_from_slice(&id.0.to_be_bytes());
    Pictures { thumbnail: full[..9].to_vec(), full }
}

fn opened(recorder: &Recorder, length: usize) -> EventId {
    let id = recorder.next_id();
    let pictures = pictures(id, 1, length);
    assert!(recorder.record(Change::Opened { event: event(id), pictures }));
    id
}

fn closed(recorder: &Recorder, length: usize) -> EventId {
    let id = opened(recorder, length);
    assert!(recorder.record(Change::Closed { id, ended: UnixMs(THEN + id.0 + 5) }));
    id
}

impl Store {
    /// Reads what a writer on the test's own thread wrote.
    fn beside(writer: &Writer) -> Self {
        let shared = Arc::clone(writer.shared());
        let (queue, _) = sync_channel(1);
        Self { shared, queue, clock: writer.clock, writer: Mutex::new(None), _lock: None }
    }
}

/// Waits until the writer has done all it was told before.
fn settle(store: &Store) {
    assert_eq!(store.set(EventId(u64::MAX - 1), None, None).unwrap(), None);
}

/// Everything listed, newest first, page by page.
fn all(store: &Store) -> Vec<Event> {
    let mut query = Query { limit: 7, ..Query::default() };
    let mut events = Vec::new();
    loop {
        let page = store.list(&query).unwrap();
        events.extend(page.events);
        match page.next {
            Some(id) => query.before = Some(id),
            None => return events,
        }
    }
}

fn ids(store: &Store) -> Vec<u64> {
    all(store).iter().map(|event| event.id.0).collect()
}

#[test]
fn what_was_recorded_is_listed_and_lasts() {
    let folder = Folder::new("lasts");
    let (store, notices) = folder.open(PLENTY);
    let recorder = store.recorder();
    let id = opened(&recorder, 5000);
    let heard = notices.recv_blocking().unwrap().what;
    assert_eq!(heard, What::Event(id));
    assert_eq!(store.get(id).unwrap(), Some(event(id)), "the bell rings once it is listed");
    let first = store.picture(id).unwrap().unwrap();
    assert!(!first.settled);
    let better = Event { score: 0.9, ..event(id) };
    recorder.record(Change::Improved { event: better, pictures: pictures(id, 2, 6000) });
    recorder.record(Change::Closed { id, ended: UnixMs(THEN + 900) });
    settle(&store);
    let check = |store: &Store| {
        let event = store.get(id).unwrap().unwrap();
        assert_eq!((event.score, event.ended), (0.9, Some(UnixMs(THEN + 900))));
        let picture = store.picture(id).unwrap().unwrap();
        assert_eq!(picture.bytes, pictures(id, 2, 6000).full);
        assert!(picture.settled && picture.etag != first.etag);
        assert_eq!(store.thumbnail(id).unwrap().unwrap().bytes, pictures(id, 2, 6000).thumbnail);
    };
    check(&store);
    let (other, _) = notice::bell();
    let second = Store::open(&folder.0, PLENTY, Clock::start(), Arc::new(other)).unwrap_err();
    assert_eq!(second.kind, Kind::Locked);
    store.close();
    assert!(!recorder.record(Change::Closed { id, ended: UnixMs(0) }), "a closed store takes none");
    drop((store, recorder));
    let (store, _) = folder.open(PLENTY);
    check(&store);
    assert!(store.recorder().next_id() > id);
}

#[test]
fn a_store_knows_the_last_time_it_was_written() {
    let folder = Folder::new("word");
    let (store, _notices) = folder.open(PLENTY);
    assert_eq!(store.last_word(), UnixMs(0));
    let id = closed(&store.recorder(), 100);
    settle(&store);
    let killed = folder.copy();
    let (store, _notices) = killed.open(PLENTY);
    assert_eq!(store.last_word(), UnixMs(THEN + id.0 + 5));
    assert!(store.close());
    let stopped = store.clock.unix_ms().0;
    drop(store);
    let (store, _notices) = killed.open(PLENTY);
    assert!(stopped - store.last_word().0 < 60_000, "a clean stop is a word, too");
}

#[test]
fn the_owner_s_word_lasts_without_the_index() {
    let folder = Folder::new("owner");
    let (store, notices) = folder.open(PLENTY);
    let recorder = store.recorder();
    let [a, b, c] = [0; 3].map(|_| closed(&recorder, 100));
    settle(&store);
    store.set(a, Some(true), None).unwrap().unwrap();
    store.set(b, Some(true), Some(true)).unwrap().unwrap();
    store.set(b, Some(false), None).unwrap().unwrap();
    assert!(store.delete(c).unwrap() && !store.delete(c).unwrap());
    store.set_name("Hof").unwrap();
    let phone = store.add_client("mine", [7; 32]).unwrap();
    let lost = store.add_client("lost", [8; 32]).unwrap();
    assert!(store.revoke(lost).unwrap() && !store.revoke(lost).unwrap());
    store.touch(phone);
    let heard: Vec<_> = std::iter::from_fn(|| notices.try_recv().ok()).map(|n| n.what).collect();
    assert!(heard.contains(&What::Deleted(c)) && heard.contains(&What::Revoked(lost)));
    let killed = folder.copy();
    store.close();
    for folder in [&killed, &folder] {
        folder.lose_index();
    }
    drop((store, recorder));
    for folder in [killed, folder] {
        let (store, _) = folder.open(PLENTY);
        assert_eq!(ids(&store), [b.0, a.0], "deleted is deleted");
        let a = store.get(a).unwrap().unwrap();
        let b = store.get(b).unwrap().unwrap();
        assert_eq!((a.favourite, a.reviewed, b.favourite, b.reviewed), (true, false, false, true));
        assert_eq!(store.name().as_deref(), Some("Hof"));
        let clients = store.clients();
        assert_eq!((clients.len(), clients[0].id), (1, phone));
        assert!(store.add_client("new", [9; 32]).unwrap() > lost, "ids are never given twice");
        assert!(store.recorder().next_id() > c);
        let starred = store.list(&Query { favourite: Some(true), ..Query::default() }).unwrap();
        assert_eq!(starred.events, [a]);
    }
}

#[test]
fn a_log_cut_anywhere_loses_only_what_was_cut() {
    let folder = Folder::new("torn");
    let (store, _) = folder.open(PLENTY);
    let recorder = store.recorder();
    let first = closed(&recorder, 50);
    settle(&store);
    let before = fs::metadata(folder.tail()).unwrap().len();
    let second = opened(&recorder, 50);
    settle(&store);
    let after = fs::metadata(folder.tail()).unwrap().len();
    let picture = pictures(first, 1, 50).full;
    for (at, length) in (before..=after).enumerate() {
        let copy = folder.copy();
        File::options().write(true).open(copy.tail()).unwrap().set_len(length).unwrap();
        if at % 2 == 0 {
            copy.lose_index();
        }
        let (store, _) = copy.open(PLENTY);
        let expect = if length == after { vec![second.0, first.0] } else { vec![first.0] };
        assert_eq!(ids(&store), expect, "cut to {length}");
        assert_eq!(store.picture(first).unwrap().unwrap().bytes, picture);
        let next = closed(&store.recorder(), 50);
        settle(&store);
        assert_eq!(store.get(next).unwrap().unwrap().id, next, "it goes on after the cut");
    }
}

#[test]
fn a_flipped_bit_in_the_log_costs_its_record() {
    let folder = Folder::new("flip");
    let (store, _) = folder.open(PLENTY);
    let recorder = store.recorder();
    let mut events: Vec<_> = (0..10).map(|_| closed(&recorder, 400)).collect();
    settle(&store);
    store.close();
    drop((store, recorder));
    events.reverse();
    let mut random = Random(11);
    for _ in 0..60 {
        let copy = folder.copy();
        let mut bytes = fs::read(copy.tail()).unwrap();
        let bit = random.below(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(copy.tail(), bytes).unwrap();
        copy.lose_index();
        let (store, _) = copy.open(PLENTY);
        let whole = |id: &&EventId| {
            let event = store.get(**id).unwrap();
            let picture = store.picture(**id).unwrap();
            let right = |p: &Picture| p.bytes == pictures(**id, 1, 400).full;
            assert!(picture.as_ref().is_none_or(right), "never a wrong picture");
            event.is_some() && picture.is_some() && store.thumbnail(**id).unwrap().is_some()
        };
        let lost = events.len() - events.iter().filter(whole).count();
        assert!(lost <= 1, "bit {bit} cost {lost} events");
    }
}

#[test]
fn a_damaged_index_is_noticed_and_made_anew() {
    let folder = Folder::new("index");
    let (store, _) = folder.open(PLENTY);
    let recorder = store.recorder();
    for _ in 0..40 {
        closed(&recorder, 60);
    }
    settle(&store);
    let truth = all(&store);
    store.close();
    drop((store, recorder));
    let mut random = Random(5);
    for _ in 0..40 {
        let copy = folder.copy();
        let path = copy.0.join("index.redb");
        let mut bytes = fs::read(&path).unwrap();
        for _ in 0..20 {
            let at = random.below(bytes.len());
            bytes[at] ^= 0x55;
        }
        fs::write(&path, bytes).unwrap();
        let (store, _) = copy.open(PLENTY);
        // Where only a reader meets the damage, the writer mends it when it next looks up.
        if store.list(&Query { limit: 200, ..Query::default() }).is_err() {
            let _ = store.set(EventId(u64::MAX - 1), None, None);
            settle(&store);
        }
        assert_eq!(all(&store), truth);
    }
    let garbage = folder.copy();
    fs::write(garbage.0.join("index.redb"), vec![7; 100_000]).unwrap();
    let (store, _) = garbage.open(PLENTY);
    assert_eq!(all(&store), truth);
    let bad = fs::read(garbage.0.join("index.bad")).unwrap();
    assert_eq!(bad, vec![7; 100_000], "it is set aside as it was");
}

#[test]
fn the_oldest_go_and_favourites_stay() {
    let folder = Folder::new("retain");
    let limits = Limits { keep_bytes: 1 << 20, keep_days: 36_500 };
    let (store, notices) = folder.open(limits);
    let recorder = store.recorder();
    let starred = closed(&recorder, 9000);
    let stays_open = opened(&recorder, 9000);
    settle(&store);
    store.set(starred, Some(true), None).unwrap();
    let mut newest = starred;
    for _ in 0..300 {
        newest = closed(&recorder, 9000);
        // Retention looks after an answer; the second one comes after it.
        settle(&store);
        settle(&store);
        assert!(store.figures().unwrap().bytes <= limits.keep_bytes);
    }
    let listed = ids(&store);
    assert!(listed.len() > 40 && listed.len() < 120, "{} events", listed.len());
    assert_eq!(listed[0], newest.0);
    let mut expect: Vec<u64> = (0..listed.len() as u64 - 2).map(|back| newest.0 - back).collect();
    expect.extend([stays_open.0, starred.0]);
    assert_eq!(listed, expect, "the newest in a row, then what is pinned");
    let heard: Vec<_> = std::iter::from_fn(|| notices.try_recv().ok()).collect();
    assert!(heard.iter().any(|notice| matches!(notice.what, What::Deleted(_))));
    let check = |store: &Store| {
        for id in [starred, stays_open, newest] {
            let picture = store.picture(id).unwrap().map(|picture| picture.bytes);
            assert_eq!(picture, Some(pictures(id, 1, 9000).full), "{id}");
        }
    };
    check(&store);
    let before = all(&store);
    let killed = folder.copy();
    let rebuilt = folder.copy();
    rebuilt.lose_index();
    for copy in [killed, rebuilt] {
        let (store, _) = copy.open(limits);
        check(&store);
        let after: Vec<_> = all(&store).iter().map(|event| event.id).collect();
        assert_eq!(after, before.iter().map(|event| event.id).collect::<Vec<_>>());
    }
}

#[test]
fn old_events_go_by_days() {
    let folder = Folder::new("days");
    let limits = Limits { keep_bytes: 1 << 20, keep_days: 1 };
    let (store, _) = folder.open(limits);
    let recorder = store.recorder();
    for _ in 0..40 {
        closed(&recorder, 9000);
    }
    settle(&store);
    settle(&store);
    let left = ids(&store);
    assert!(left.len() < 20, "all but the tail: {} are left", left.len());
}

/// What the clock of the twin's store says.
const TWIN_NOW: u64 = THEN + (1 << 30);

/// What the store should say, kept in a map.
#[derive(Default)]
struct Twin {
    events: BTreeMap<u64, (Event, Pictures)>,
    last: u64,
}

impl Twin {
    /// What a crash does: open events end with the last time the log speaks of.
    fn crash(&mut self) {
        for (event, _) in self.events.values_mut().filter(|(event, _)| event.ended.is_none()) {
            event.ended = Some(UnixMs(event.started.0.max(self.last)));
            self.last = event.ended.unwrap().0;
        }
    }

    fn check(&self, store: &Store) {
        let expect: Vec<_> = self.events.values().rev().map(|(event, _)| event.clone()).collect();
        assert_eq!(all(store), expect);
        for (id, (_, pictures)) in &self.events {
            let id = EventId(*id);
            assert_eq!(store.picture(id).unwrap().unwrap().bytes, pictures.full);
            assert_eq!(store.thumbnail(id).unwrap().unwrap().bytes, pictures.thumbnail);
        }
        assert_eq!(store.figures().unwrap().events, self.events.len() as u64);
    }
}

#[test]
fn random_work_kills_and_rebuilds_match_a_naive_twin() {
    for seed in 1..=4 {
        let mut random = Random(seed);
        let mut folder = Folder::new("twin");
        let mut twin = Twin::default();
        let (clock, told) = Clock::told(0, TWIN_NOW);
        let mut store = folder.open_at(PLENTY, clock).0;
        for step in 0..250 {
            told.now.fetch_add(200, Ordering::Relaxed);
            let recorder = store.recorder();
            let known: Vec<u64> = twin.events.keys().copied().collect();
            let one = known.get(random.below(known.len().max(1))).copied();
            match (random.below(12), one) {
                (0..=3, _) | (_, None) => {
                    let id = opened(&recorder, 30 + random.below(300_000));
                    let event = event(id);
                    twin.last = event.started.0;
                    settle(&store);
                    let full = store.picture(id).unwrap().unwrap().bytes;
                    let thumbnail = full[..9].to_vec();
                    twin.events.insert(id.0, (event, Pictures { thumbnail, full }));
                }
                (4..=5, Some(id)) => {
                    let (event, held) = twin.events.get_mut(&id).unwrap();
                    if event.ended.is_none() {
                        event.score += 0.01;
                        *held = pictures(EventId(id), 2, 500);
                        twin.last = TWIN_NOW;
                        let change =
                            Change::Improved { event: event.clone(), pictures: held.clone() };
                        assert!(recorder.record(change));
                        // What comes now is another group.
                        settle(&store);
                    }
                }
                (6..=7, Some(id)) => {
                    let (event, _) = twin.events.get_mut(&id).unwrap();
                    if event.ended.is_none() {
                        let ended = UnixMs(THEN + 10 * step);
                        event.ended = Some(ended.max(event.started));
                        twin.last = event.ended.unwrap().0;
                        recorder.record(Change::Closed { id: EventId(id), ended });
                    }
                }
                (8, Some(id)) => {
                    settle(&store);
                    let (event, _) = twin.events.get_mut(&id).unwrap();
                    event.favourite = !event.favourite;
                    let set = store.set(EventId(id), Some(event.favourite), None).unwrap();
                    assert_eq!(set.as_ref(), Some(&*event));
                }
                (9, Some(id)) => {
                    settle(&store);
                    assert!(store.delete(EventId(id)).unwrap());
                    twin.events.remove(&id);
                }
                (_, Some(_)) => {
                    settle(&store);
                    let copy = folder.copy();
                    if random.below(2) == 0 {
                        copy.lose_index();
                    }
                    store.close();
                    folder = copy;
                    store = folder.open_at(PLENTY, clock).0;
                    twin.crash();
                }
            }
            if step % 25 == 0 {
                settle(&store);
                twin.check(&store);
            }
        }
        settle(&store);
        twin.check(&store);
    }
}

/// The child of the test below: records without end, says what is listed.
#[test]
fn child_that_is_killed() {
    let Some(dir) = std::env::var_os("NIGHTJAR_STORE_CHILD") else { return };
    let (bell, notices) = notice::bell();
    let store = Store::open(Path::new(&dir), PLENTY, Clock::start(), Arc::new(bell)).unwrap();
    let recorder = store.recorder();
    std::thread::spawn(move || {
        for _ in 0..1000 {
            closed(&recorder, 20_000);
        }
    });
    while let Ok(Notice { what: What::Event(id), .. }) = notices.recv_blocking() {
        println!("listed {id}");
    }
}

#[test]
fn a_killed_writer_loses_nothing_that_was_listed() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = Folder::new("killed");
    let mut random = Random(3);
    let mut listed = BTreeSet::new();
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::tests::child_that_is_killed", "--exact", "--nocapture"])
            .env("NIGHTJAR_STORE_CHILD", &folder.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ids = lines.filter_map(|line| EventId::parse(line.strip_prefix("listed ")?));
        listed.extend(ids.take(1 + random.below(40)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (store, _) = folder.open(PLENTY);
        for id in &listed {
            let event = store.get(*id).unwrap().unwrap_or_else(|| panic!("{id} in round {round}"));
            assert!(event.ended.is_some());
            assert_eq!(store.picture(*id).unwrap().unwrap().bytes, pictures(*id, 1, 20_000).full);
        }
        assert_eq!(store.figures().unwrap().quarantined, 0);
    }
    assert!(listed.len() > 40);
}

#[test]
fn a_directory_of_another_kind_is_refused_in_words() {
    let folder = Folder::new("format");
    let open = || {
        let (bell, _) = notice::bell();
        Store::open(&folder.0, PLENTY, Clock::start(), Arc::new(bell))
    };
    drop(open().unwrap());
    assert_eq!(fs::read_to_string(folder.0.join("format")).unwrap(), "nightjar store 1\n");
    for (text, kind, words) in [
        (&b"nightjar store 2\n"[..], Kind::Newer, "newer version"),
        (b"something\n", Kind::Foreign, "no nightjar store"),
        (b"nightjar store \xff\n", Kind::Foreign, "no nightjar store"),
    ] {
        fs::write(folder.0.join("format"), text).unwrap();
        let error = open().unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.to_string().contains(words), "{error}");
    }
    fs::remove_dir_all(&folder.0).unwrap();
    fs::write(&folder.0, "a file").unwrap();
    assert_eq!(open().unwrap_err().kind, Kind::NotWritable);
    fs::remove_file(&folder.0).unwrap();
}

/// A seeded row of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}
