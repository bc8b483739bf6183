//! Messages for peers who are not here yet, kept for a few seconds.
//!
//! Bounds: per absent peer [`MESSAGES_MAX`] and [`BYTES_MAX`], in all [`ALL_BYTES_MAX`]; the
//! newest message is refused, never an older one dropped. A peer's messages expire together,
//! counted from the first.

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
const OVERHEAD: usize = 256;

/// Everything that waits.
#[derive(Debug, Default)]
pub struct Absent {
    queues: BTreeMap<PeerId, Queue>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    messages: Vec<(PeerId, String)>,
    bytes: usize,
    /// When it expires.
    due_ms: u64,
    /// Senders who heard already that this peer is not to be had.
    told: Vec<PeerId>,
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

    /// Keeps `text` from `src` for `dst`; what is the first for `dst` sets when all expire.
    pub fn keep(&mut self, src: &PeerId, dst: &PeerId, text: String, due_ms: u64) -> Kept {
        let cost = text.len() + OVERHEAD;
        let room_in_all = self.bytes + cost <= ALL_BYTES_MAX;
        let Some(queue) = self.queues.get_mut(dst) else {
            if !room_in_all || text.len() > BYTES_MAX {
                return Kept::Refused;
            }
            self.bytes += cost;
            let bytes = text.len();
            let messages = alloc::vec![(src.clone(), text)];
            let queue = Queue { messages, bytes, due_ms, told: Vec::new() };
            self.queues.insert(dst.clone(), queue);
            return Kept::First;
        };
        let room = queue.messages.len() < MESSAGES_MAX && queue.bytes + text.len() <= BYTES_MAX;
        if room && room_in_all {
            self.bytes += cost;
            queue.bytes += text.len();
            queue.messages.push((src.clone(), text));
            return Kept::Behind;
        }
        if queue.told.contains(src) || queue.told.len() == MESSAGES_MAX {
            return Kept::RefusedAgain;
        }
        queue.told.push(src.clone());
        Kept::Refused
    }

    /// What waits for `dst`, who has come: texts in order.
    pub fn take(&mut self, dst: &PeerId) -> impl Iterator<Item = String> + use<> {
        self.remove(dst).messages.into_iter().map(|(_, text)| text)
    }

    /// Gives up on `dst`: who is to be told so, each once.
    pub fn expire(&mut self, dst: &PeerId) -> Vec<PeerId> {
        let queue = self.remove(dst);
        let mut senders: Vec<PeerId> = queue.messages.into_iter().map(|(src, _)| src).collect();
        senders.sort_unstable();
        senders.dedup();
        senders.retain(|src| !queue.told.contains(src));
        senders
    }

    /// When what waits for `dst` expires.
    pub fn due_ms(&self, dst: &PeerId) -> Option<u64> {
        self.queues.get(dst).map(|queue| queue.due_ms)
    }

    /// How many bytes wait, bookkeeping included.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, dst: &PeerId) -> Queue {
        let queue = self.queues.remove(dst).unwrap_or_default();
        self.bytes -= queue.bytes + queue.messages.len() * OVERHEAD;
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

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
        assert_eq!(absent.expire(&id("y")), [id("a")]);
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
        assert!(absent.expire(&id("z")).is_empty(), "all of them know already");
        let half = "x".repeat(BYTES_MAX / 2);
        assert_eq!(absent.keep(&id("a"), &id("z"), half.clone(), 9), Kept::First);
        assert_eq!(absent.keep(&id("a"), &id("z"), half.clone(), 9), Kept::Behind);
        assert_eq!(absent.keep(&id("a"), &id("z"), "x".into(), 9), Kept::Refused);
        assert_eq!(absent.take(&id("z")).count(), 2);
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
            absent.expire(&id(&format!("p{number}")));
        }
        let mut kept = 0;
        while absent.keep(&id("a"), &id(&format!("p{kept}")), String::new(), 9) == Kept::First {
            kept += 1;
        }
        assert_eq!(kept, ALL_BYTES_MAX / OVERHEAD, "empty ones cost too");
    }
}
