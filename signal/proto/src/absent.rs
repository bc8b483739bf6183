//! Messages for peers who are not here yet, kept for a few seconds.
//!
//! Bounds: per absent peer [`MESSAGES_MAX`] and [`BYTES_MAX`], in all [`ALL_BYTES_MAX`]; the
//! newest message is refused, never an older one dropped. What one sender left for a peer
//! expires together, counted from its first message: nobody shortens another's time.

use crate::peer_id::PeerId;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Most messages that wait for one peer.
pub const MESSAGES_MAX: usize = 64;

/// Most bytes of messages that wait for one peer.
pub const BYTES_MAX: usize = 64 * 1024;

/// Most bytes of messages that wait for anybody, bookkeeping included.
pub const ALL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a message costs beside its text, in bytes: ids, tree and list nodes, rounded up.
const OVERHEAD: usize = 512;

/// Everything that waits.
#[derive(Debug, Default)]
pub struct Absent {
    queues: BTreeMap<PeerId, Queue>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    /// In the order they came; the first is always among the next to expire.
    messages: Vec<Waiting>,
    bytes: usize,
    /// Senders who heard already that this peer is not to be had, and until when that holds.
    told: Vec<(PeerId, u64)>,
}

#[derive(Debug)]
struct Waiting {
    src: PeerId,
    text: String,
    /// When it expires: the same for all of one sender.
    due_ms: u64,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is the first for this peer: its time begins now.
    First,
    /// It waits behind others.
    Behind,
    /// There was no room; the sender has not been told of this peer yet.
    Refused,
    /// There was no room, and the sender knows.
    RefusedAgain,
}

impl Absent {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self { queues: BTreeMap::new(), bytes: 0 }
    }

    /// Keeps `text` from `src` for `dst`, until `due_ms` or as long as what `src` left before.
    pub fn keep(&mut self, src: &PeerId, dst: &PeerId, text: String, due_ms: u64) -> Kept {
        let cost = text.len() + OVERHEAD;
        let room_in_all = self.bytes + cost <= ALL_BYTES_MAX;
        let Some(queue) = self.queues.get_mut(dst) else {
            if !room_in_all || text.len() > BYTES_MAX {
                return Kept::Refused;
            }
            self.bytes += cost;
            let bytes = text.len();
            let messages = alloc::vec![Waiting { src: src.clone(), text, due_ms }];
            let queue = Queue { messages, bytes, told: Vec::new() };
            self.queues.insert(dst.clone(), queue);
            return Kept::First;
        };
        let room = queue.messages.len() < MESSAGES_MAX && queue.bytes + text.len() <= BYTES_MAX;
        if room && room_in_all {
            self.bytes += cost;
            queue.bytes += text.len();
            let earlier = queue.messages.iter().find(|waiting| waiting.src == *src);
            let due_ms = earlier.map_or(due_ms, |waiting| waiting.due_ms);
            queue.messages.push(Waiting { src: src.clone(), text, due_ms });
            return Kept::Behind;
        }
        let is_told = queue.told.iter().any(|(told, _)| told == src);
        if is_told || queue.told.len() == MESSAGES_MAX {
            return Kept::RefusedAgain;
        }
        queue.told.push((src.clone(), due_ms));
        Kept::Refused
    }

    /// What waits for `dst`, who has come: texts in order.
    pub fn take(&mut self, dst: &PeerId) -> impl Iterator<Item = String> + use<> {
        let queue = self.queues.remove(dst).unwrap_or_default();
        self.bytes -= queue.bytes + queue.messages.len() * OVERHEAD;
        queue.messages.into_iter().map(|waiting| waiting.text)
    }

    /// Gives up on what is due for `dst`: who is to be told so, each once.
    pub fn expire(&mut self, now_ms: u64, dst: &PeerId) -> Vec<PeerId> {
        let Some(queue) = self.queues.get_mut(dst) else { return Vec::new() };
        let mut senders = Vec::new();
        for waiting in queue.messages.extract_if(.., |waiting| waiting.due_ms <= now_ms) {
            queue.bytes -= waiting.text.len();
            self.bytes -= waiting.text.len() + OVERHEAD;
            senders.push(waiting.src);
        }
        senders.sort_unstable();
        senders.dedup();
        queue.told.retain(|(_, until_ms)| *until_ms >= now_ms);
        senders.retain(|src| !queue.told.iter().any(|(told, _)| told == src));
        if queue.messages.is_empty() {
            self.queues.remove(dst);
        }
        senders
    }

    /// When the next of what waits for `dst` expires.
    pub fn due_ms(&self, dst: &PeerId) -> Option<u64> {
        let first = self.queues.get(dst).and_then(|queue| queue.messages.first());
        first.map(|waiting| waiting.due_ms)
    }

    /// How many bytes wait, bookkeeping included.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, vec};

    fn id(text: &str) -> PeerId {
        PeerId::parse(text).unwrap()
    }

    #[test]
    fn keeps_order_and_forgets_what_was_taken() {
        let mut absent = Absent::default();
        assert_eq!(absent.keep(&id("a"), &id("z"), "1".into(), 9), Kept::First);
        assert_eq!(absent.keep(&id("b"), &id("z"), "2".into(), 9), Kept::Behind);
        assert_eq!(absent.keep(&id("a"), &id("y"), "3".into(), 9), Kept::First);
        assert_eq!(absent.take(&id("z")).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(absent.take(&id("z")).count(), 0);
        assert_eq!(absent.bytes(), 1 + OVERHEAD);
        assert_eq!(absent.expire(9, &id("y")), [id("a")]);
        assert_eq!(absent.bytes(), 0);
    }

    #[test]
    fn a_full_queue_refuses_the_newest_and_tells_each_sender_once() {
        let mut absent = Absent::default();
        for number in 0..MESSAGES_MAX {
            let kept = absent.keep(&id("a"), &id("z"), format!("{number}"), 9);
            assert!(matches!(kept, Kept::First | Kept::Behind));
        }
        assert_eq!(absent.keep(&id("a"), &id("z"), "x".into(), 9), Kept::Refused);
        assert_eq!(absent.keep(&id("a"), &id("z"), "x".into(), 9), Kept::RefusedAgain);
        assert_eq!(absent.keep(&id("b"), &id("z"), "x".into(), 9), Kept::Refused);
        assert!(absent.expire(9, &id("z")).is_empty(), "all of them know already");
        let half = "x".repeat(BYTES_MAX / 2);
        assert_eq!(absent.keep(&id("a"), &id("z"), half.clone(), 9), Kept::First);
        assert_eq!(absent.keep(&id("a"), &id("z"), half.clone(), 9), Kept::Behind);
        assert_eq!(absent.keep(&id("a"), &id("z"), "x".into(), 9), Kept::Refused);
        assert_eq!(absent.take(&id("z")).count(), 2);
    }

    #[test]
    fn each_sender_has_its_own_time() {
        let mut absent = Absent::default();
        let (a, b, z) = (id("a"), id("b"), id("z"));
        assert_eq!(absent.keep(&a, &z, "1".into(), 5), Kept::First);
        assert_eq!(absent.keep(&b, &z, "2".into(), 9), Kept::Behind);
        assert_eq!(absent.keep(&a, &z, "3".into(), 9), Kept::Behind);
        assert!(absent.expire(4, &z).is_empty());
        assert_eq!((absent.due_ms(&z), absent.expire(5, &z)), (Some(5), vec![a.clone()]));
        assert_eq!((absent.due_ms(&z), absent.bytes()), (Some(9), 1 + OVERHEAD));
        assert_eq!(absent.keep(&a, &z, "4".into(), 12), Kept::Behind);
        assert_eq!(absent.expire(9, &z), [b]);
        assert_eq!((absent.expire(12, &z), absent.due_ms(&z), absent.bytes()), (vec![a], None, 0));
    }

    #[test]
    fn who_was_told_long_ago_is_told_again() {
        let mut absent = Absent::default();
        let (a, b, c, z) = (id("a"), id("b"), id("c"), id("z"));
        for number in 0..MESSAGES_MAX - 1 {
            absent.keep(&b, &z, format!("{number}"), 50);
        }
        assert_eq!(absent.keep(&c, &z, "last".into(), 70), Kept::Behind);
        assert_eq!(absent.keep(&a, &z, "x".into(), 75), Kept::Refused);
        assert_eq!(absent.expire(50, &z), [b]);
        assert_eq!(absent.keep(&a, &z, "y".into(), 110), Kept::Behind);
        assert_eq!((absent.expire(70, &z), absent.expire(110, &z)), (vec![c], vec![a]));
    }

    #[test]
    fn all_queues_together_are_bounded() {
        let mut absent = Absent::default();
        let text = "x".repeat(BYTES_MAX);
        let mut kept = 0;
        while absent.keep(&id("a"), &id(&format!("p{kept}")), text.clone(), 9) == Kept::First {
            kept += 1;
        }
        assert_eq!(kept, ALL_BYTES_MAX / (BYTES_MAX + OVERHEAD));
        assert!(absent.bytes() <= ALL_BYTES_MAX);
        for number in 0..kept {
            absent.expire(9, &id(&format!("p{number}")));
        }
        let mut kept = 0;
        while absent.keep(&id("a"), &id(&format!("p{kept}")), String::new(), 9) == Kept::First {
            kept += 1;
        }
        assert_eq!(kept, ALL_BYTES_MAX / OVERHEAD, "empty ones cost too");
    }
}
