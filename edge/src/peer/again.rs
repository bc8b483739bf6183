//! Sends some SCTP packets once more, so that a lost one seldom waits for SCTP's own timer.
//!
//! What is lost in the middle of a message is told by the packets after it: three of them have
//! it sent anew (RFC 9260 s7.2.4). The end of a message has no three after it, nor has what
//! was lost twice: there only the timer of s6.3 helps, after 1 s, 2 s, 4 s, and `PeerFetch`,
//! which speaks in small messages, each after the one before, gives a whole connection up at
//! 20 s. So on its channel the last packets of each message, and what SCTP sends anew, follow
//! themselves after [`LATER`]. A receiver acknowledges what it has already at once (s6.2),
//! which also spares an unordered channel the 200 ms that acknowledgements otherwise wait.
#![deny(clippy::indexing_slicing)]

use super::empty::{COMMON_BYTES, chunk_at};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long after itself a packet follows: longer than a short burst of losses, shorter than
/// a person sees.
const LATER: Duration = Duration::from_millis(10);
/// Packets of a message's end that follow themselves: the last, and the three whose loss it
/// and the others between cannot tell.
const END: usize = 4;
/// Packets that wait to follow themselves; further ones are sent once.
const WAITING: usize = 2 * END;

/// The packets of one session that are sent once more.
#[derive(Debug)]
pub(super) struct Again {
    now: Instant,
    /// The highest sequence number sent, a TSN of RFC 9260 s1.6.
    highest: Option<u32>,
    /// The last packets sent, which may turn out to be the end of a message.
    last: VecDeque<Vec<u8>>,
    /// When, known from the next [`Self::handle_timeout`] on, and which.
    waiting: VecDeque<(Option<Instant>, Vec<u8>)>,
}

/// What there is in a packet.
#[derive(Default)]
struct Held {
    /// Data that was never sent before.
    new: bool,
    /// Data that was.
    anew: bool,
    /// The end of a message.
    end: bool,
}

impl Again {
    pub(super) const fn new(now: Instant) -> Self {
        Self { now, highest: None, last: VecDeque::new(), waiting: VecDeque::new() }
    }

    /// Takes a packet that SCTP sends.
    pub(super) fn handle_packet(&mut self, packet: &[u8]) {
        let held = self.look(packet);
        if held.anew {
            self.keep(packet.to_vec());
        } else if held.new {
            if self.last.len() == END {
                self.last.pop_front();
            }
            self.last.push_back(packet.to_vec());
        }
        if held.end {
            while let Some(packet) = self.last.pop_front() {
                self.keep(packet);
            }
        }
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        for (due, _) in &mut self.waiting {
            due.get_or_insert(now + LATER);
        }
    }

    /// The next packet whose time has come.
    pub(super) fn poll_packet(&mut self) -> Option<Vec<u8>> {
        let now = self.now;
        self.waiting.pop_front_if(|(due, _)| due.is_some_and(|due| due <= now)).map(|it| it.1)
    }

    /// When to be called again.
    pub(super) fn due(&self) -> Option<Instant> {
        // The newest has no time yet, which is had at once.
        let untimed = self.waiting.back().filter(|(due, _)| due.is_none());
        untimed.map(|_| self.now).or_else(|| self.waiting.front()?.0)
    }

    fn keep(&mut self, packet: Vec<u8>) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back((None, packet));
        }
    }

    fn look(&mut self, packet: &[u8]) -> Held {
        let (mut at, mut held) = (COMMON_BYTES, Held::default());
        while let Some((chunk, next)) = chunk_at(packet, at) {
            at = next;
            let Some((end, number)) = data(chunk) else { continue };
            let is_new = self.highest.is_none_or(|highest| {
                // Serial numbers (RFC 1982): the nearer way round says which is later.
                (1..1 << 31).contains(&number.wrapping_sub(highest))
            });
            if is_new {
                self.highest = Some(number);
            }
            held.new |= is_new;
            held.anew |= !is_new;
            held.end |= end;
        }
        held
    }
}

/// Of a DATA chunk (RFC 9260 s3.3.1): whether it ends a message, and its sequence number.
fn data(chunk: &[u8]) -> Option<(bool, u32)> {
    let (&[kind, flags, _, _], rest) = chunk.split_first_chunk::<4>()?;
    let (number, _) = rest.split_first_chunk::<4>()?;
    (kind == 0).then_some((flags & 1 == 1, u32::from_be_bytes(*number)))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests index what they made")]
mod tests {
    use super::*;
    use crate::clock::Clock;

    /// A packet of DATA chunks: their flags and sequence numbers.
    fn packet(chunks: &[(u8, u32)]) -> Vec<u8> {
        let mut packet = vec![0; COMMON_BYTES];
        for (flags, number) in chunks {
            packet.extend_from_slice(&[0, *flags, 0, 17]);
            packet.extend_from_slice(&number.to_be_bytes());
            packet.extend_from_slice(&[0; 12]);
        }
        packet
    }

    /// What follows itself of these packets.
    fn follow(again: &mut Again, start: Instant, sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
        for packet in sent {
            again.handle_packet(packet);
        }
        assert!(again.due().is_none_or(|due| due == again.now), "to have its time");
        again.handle_timeout(start);
        assert_eq!(again.poll_packet(), None);
        assert!(again.due().is_none_or(|due| due == start + LATER));
        again.handle_timeout(start + LATER);
        std::iter::from_fn(|| again.poll_packet()).collect()
    }

    #[test]
    fn ends_and_what_is_sent_anew_follow_themselves_once() {
        let start = Clock::start().std_now();
        let mut again = Again::new(start);
        let (begin, middle, end, whole) = (2, 0, 1, 3);
        let mut message = vec![packet(&[(begin, u32::MAX - 1), (middle, u32::MAX)])];
        message.extend((0..5).map(|number| packet(&[(middle, number)])));
        assert_eq!(follow(&mut again, start, &message), [[0; 0]; 0], "it goes on");
        let last = [packet(&[]), packet(&[(end, 5)])];
        let ends = [&message[3..], &last[1..]].concat();
        assert_eq!(follow(&mut again, start, &last), ends);
        let single = [packet(&[(whole, 6)])];
        assert_eq!(follow(&mut again, start, &single), single);
        let anew = [message[4].clone(), packet(&[(middle, u32::MAX), (begin, 7)])];
        assert_eq!(follow(&mut again, start, &anew), anew);
        assert_eq!(follow(&mut again, start, &[packet(&[(middle, 8)])]), [[0; 0]; 0]);
    }

    #[test]
    fn few_wait_and_any_bytes_pass() {
        let start = Clock::start().std_now();
        let mut again = Again::new(start);
        let whole = packet(&[(3, 1), (3, 2)]);
        for end in 0..=whole.len() {
            again.handle_packet(&whole[..end]);
        }
        again.handle_packet(&[0xff; 40]);
        for number in 0..100 {
            again.handle_packet(&packet(&[(3, number)]));
        }
        again.handle_timeout(start);
        again.handle_timeout(start + LATER);
        let followed = std::iter::from_fn(|| again.poll_packet()).count();
        assert_eq!(followed, WAITING);
    }
}
