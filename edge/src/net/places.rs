//! Who has a place: sessions that have shown what they may, and a few strangers beside them.
//!
//! ```text
//!   offer                     valid token
//!  --------> stranger (2) -----------------> client (--max-sessions)
//!               | the 3rd stranger: the oldest ends    | one too many: the longest silent ends
//!               | 30 s while nobody may pair: ends     v
//! ```
//! So whoever has no token can take no place from one who has. A session of label
//! `http-proxy` needs no token where the owner lets such clients in; it counts as one that has
//! shown it, but is the first to give way.

use super::session::Handle;
use edge_core::time::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Sessions that have not shown a token, beside `--max-sessions` that have.
pub(super) const STRANGERS: usize = 2;
/// A stranger that shows no token for so long while nobody may pair ends, ms.
pub(super) const PROVE_WITHIN_MS: u64 = 30_000;

/// A session by its phone and the phone's name for the connection.
pub(super) type Key = (String, String);

/// What a session has shown; who has shown less gives way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Nothing yet.
    Stranger,
    /// Its label, and the owner lets in whoever speaks it.
    Legacy,
    /// The token of a paired phone.
    Client,
}

/// The sessions there are.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    sessions: RefCell<BTreeMap<Key, Rc<Handle>>>,
}

impl Places {
    pub(super) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self { most: most.max(1), sessions: RefCell::default() })
    }

    pub(super) fn get(&self, key: &Key) -> Option<Rc<Handle>> {
        self.sessions.borrow().get(key).cloned()
    }

    pub(super) fn insert(&self, key: Key, handle: Rc<Handle>) {
        self.sessions.borrow_mut().insert(key, handle);
    }

    pub(super) fn remove(&self, key: &Key) {
        self.sessions.borrow_mut().remove(key);
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.borrow().len()
    }

    pub(super) fn for_each(&self, mut act: impl FnMut(&Key, &Handle)) {
        self.sessions.borrow().iter().for_each(|(key, handle)| act(key, handle));
    }

    pub(super) fn any(&self, is: impl Fn(&Handle) -> bool) -> bool {
        self.sessions.borrow().values().any(|handle| is(handle))
    }

    /// Ends whoever must give way to one more session of that standing.
    pub(super) fn make_room(&self, newcomer: Standing) {
        let sessions = self.sessions.borrow();
        let live = sessions.values().filter(|handle| !handle.is_ending());
        let is_stranger = |handle: &&Rc<Handle>| handle.standing() == Standing::Stranger;
        let leaves = if newcomer == Standing::Stranger {
            let strangers = live.filter(is_stranger);
            let full = strangers.clone().count() >= STRANGERS;
            strangers.min_by_key(|handle| handle.since()).filter(|_| full)
        } else {
            let known = live.filter(|handle| !is_stranger(handle));
            let full = known.clone().count() >= self.most;
            known.min_by_key(|handle| (handle.standing(), handle.last_heard())).filter(|_| full)
        };
        if let Some(handle) = leaves {
            handle.end();
        }
    }

    /// That session has shown the token of a paired phone.
    pub(super) fn prove(&self, handle: &Handle, client: u64) {
        if handle.standing() == Standing::Stranger {
            self.make_room(Standing::Client);
        }
        handle.set_client(client);
    }

    /// Ends the strangers that have had their time since they came and since `pairing` was
    /// last open.
    pub(super) fn end_late_strangers(&self, now: Instant, pairing: Instant) {
        self.for_each(|_, handle| {
            let waited = now.since_ms(handle.since().max(pairing));
            if handle.standing() == Standing::Stranger && waited >= PROVE_WITHIN_MS {
                handle.end();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct House {
        places: Rc<Places>,
        notes: Vec<smol::channel::Receiver<super::super::session::Note>>,
    }

    impl House {
        fn new(most: usize) -> Self {
            Self { places: Places::new(most), notes: Vec::new() }
        }

        /// An offer arrives, as the hub takes it.
        fn offer(&mut self, name: &str, at: u64, legacy: bool) -> Rc<Handle> {
            let (handle, notes) = Handle::new(Instant(at), legacy);
            self.places.make_room(handle.standing());
            self.places.insert((name.into(), "c".into()), Rc::clone(&handle));
            self.notes.push(notes);
            handle
        }

        /// Names of those that still have their place.
        fn live(&self) -> String {
            let mut names = String::new();
            self.places.for_each(|(name, _), handle| {
                if !handle.is_ending() {
                    names += name;
                }
            });
            names
        }
    }

    #[test]
    fn strangers_displace_only_one_another() {
        let mut house = House::new(2);
        for (name, client) in [("a", 1), ("b", 2)] {
            let handle = house.offer(name, client, false);
            house.places.prove(&handle, client);
        }
        for (at, name) in ["p", "q", "r", "s"].into_iter().enumerate() {
            house.offer(name, 10 + at as u64, false).hear(Instant(90 - at as u64));
        }
        assert_eq!(house.live(), "abrs");
    }

    #[test]
    fn a_proven_one_takes_the_place_of_the_longest_silent() {
        let mut house = House::new(2);
        for (name, heard) in [("a", 50), ("b", 40), ("c", 60)] {
            let handle = house.offer(name, 1, false);
            handle.hear(Instant(heard));
            house.places.prove(&handle, heard);
            house.places.prove(&handle, heard);
        }
        assert_eq!(house.live(), "ac");
    }

    #[test]
    fn legacy_clients_give_way_first() {
        let mut house = House::new(2);
        let handle = house.offer("a", 1, false);
        house.places.prove(&handle, 1);
        house.offer("p", 2, true);
        house.offer("q", 3, true);
        assert_eq!(house.live(), "aq", "the longest silent of their own");
        let handle = house.offer("b", 4, false);
        house.places.prove(&handle, 2);
        assert_eq!(house.live(), "ab");
        house.offer("r", 5, true);
        assert_eq!(house.live(), "br");
    }

    #[test]
    fn strangers_prove_themselves_in_time_or_end() {
        let mut house = House::new(2);
        let proven = house.offer("a", 0, false);
        house.places.prove(&proven, 1);
        house.offer("b", 0, false);
        house.offer("c", 20_000, false);
        for (now, pairing, live) in
            [(29_999, 0, "abc"), (45_000, 15_001, "abc"), (45_000, 15_000, "ac"), (50_000, 0, "a")]
        {
            house.places.end_late_strangers(Instant(now), Instant(pairing));
            assert_eq!(house.live(), live, "at {now}");
        }
    }
}
