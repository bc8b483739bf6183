//! Sends at once what acknowledgements tell to be lost, as many as a burst took.
//!
//! SCTP below resends one packet for each round trip: its fast retransmit takes what fits one
//! packet, and goes on when the cumulative point moves. A burst that took thirty costs thirty
//! round trips, and what is lost a second time waits for a timer of a second and more. So
//! packets are kept here until they are acknowledged. One that three which left later have
//! overtaken is lost (the three of RFC 9260 s7.2.4, in the order of leaving, as in RFC 8985: so
//! what was sent anew can be found lost again) and leaves again, while no more leave than
//! arrived. The window stays SCTP's: it has halved it.
//!
//! ```text
//!  sent ----> kept ----> acknowledged
//!               | three that left later arrived
//!               v
//!             sent anew, now the latest to leave
//! ```
#![deny(clippy::indexing_slicing)]

use super::empty::{COMMON_BYTES, chunk_at};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets kept: more than the most bytes that may wait in a channel fill.
const KEPT: usize = 1024;
/// So many that left later have to arrive.
const OVERTAKEN: u64 = 3;
/// What SCTP sends anew so soon after it was sent anew here is the same again: its own timers
/// are of a second and more.
const SAME: Duration = Duration::from_millis(200);
/// Kinds of chunks (RFC 9260 s3.2).
const DATA: u8 = 0;
const SACK: u8 = 3;

/// The packets of one session that are not acknowledged.
#[derive(Debug)]
pub(super) struct Mend {
    now: Instant,
    kept: VecDeque<Packet>,
    /// Packets that have left so far.
    left: u64,
    /// Of those that arrived, the one that left last.
    latest: u64,
    /// How many may be sent anew: one more than have just arrived.
    allowed: usize,
}

#[derive(Debug)]
struct Packet {
    /// Its sequence numbers, TSNs of RFC 9260 s1.6.
    first: u32,
    last: u32,
    bytes: Vec<u8>,
    /// Which one it was to leave.
    left: u64,
    arrived: bool,
    anew: Option<Instant>,
}

impl Mend {
    pub(super) const fn new(now: Instant) -> Self {
        Self { now, kept: VecDeque::new(), left: 0, latest: 0, allowed: 0 }
    }

    /// Time has passed.
    pub(super) const fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
    }

    /// Takes a packet that SCTP sends; `false`: it has just left from here.
    pub(super) fn handle_packet(&mut self, packet: &[u8]) -> bool {
        let Some((first, last)) = numbers(packet) else { return true };
        self.left += 1;
        if self.kept.back().is_none_or(|back| is_after(first, back.last)) {
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            let bytes = packet.to_vec();
            let (left, arrived, anew) = (self.left, false, None);
            self.kept.push_back(Packet { first, last, bytes, left, arrived, anew });
            return true;
        }
        let (mut found, mut same) = (false, true);
        for kept in self.kept.iter_mut().filter(|kept| !kept.arrived) {
            if is_after(first, kept.last) || is_after(kept.first, last) {
                continue;
            }
            found = true;
            same &= kept.anew.is_some_and(|at| self.now.saturating_duration_since(at) < SAME);
            if !same {
                kept.left = self.left;
            }
        }
        !(found && same)
    }

    /// Takes a packet that has arrived, and sends what it tells to be lost, while `send` takes it:
    /// what it does not take is SCTP's to resend.
    pub(super) fn handle_arrived(&mut self, packet: &[u8], mut send: impl FnMut(&[u8]) -> bool) {
        let mut at = COMMON_BYTES;
        while let Some((chunk, next)) = chunk_at(packet, at) {
            at = next;
            if let Some((point, gaps)) = acknowledged(chunk) {
                self.acknowledge(point, gaps);
                if !gaps.is_empty() {
                    self.resend(point, gaps, &mut send);
                }
            }
        }
    }

    fn acknowledge(&mut self, point: u32, gaps: &[[u8; 4]]) {
        self.allowed = 1;
        while let Some(front) = self.kept.pop_front_if(|front| !is_after(front.last, point)) {
            if !front.arrived {
                self.allowed += 1;
                self.latest = self.latest.max(front.left);
            }
        }
        let mut rest = self.kept.iter_mut().peekable();
        for gap in gaps {
            let (start, end) = ends(point, *gap);
            while rest.next_if(|kept| is_after(start, kept.first)).is_some() {}
            while let Some(kept) = rest.next_if(|kept| !is_after(kept.last, end)) {
                if !kept.arrived {
                    kept.arrived = true;
                    self.allowed += 1;
                    self.latest = self.latest.max(kept.left);
                }
            }
        }
    }

    fn resend(&mut self, point: u32, gaps: &[[u8; 4]], send: &mut impl FnMut(&[u8]) -> bool) {
        let Some(gap) = gaps.last() else { return };
        let (_, end) = ends(point, *gap);
        for kept in &mut self.kept {
            if self.allowed == 0 || is_after(kept.last, end) {
                break;
            }
            if !kept.arrived && kept.left + OVERTAKEN <= self.latest {
                if !send(&kept.bytes) {
                    break;
                }
                self.allowed -= 1;
                self.left += 1;
                (kept.left, kept.anew) = (self.left, Some(self.now));
            }
        }
    }
}

/// Serial numbers (RFC 1982): the nearer way round says which is later.
fn is_after(one: u32, other: u32) -> bool {
    (1..1 << 31).contains(&one.wrapping_sub(other))
}

/// The first and last sequence number of a packet's data, if it has some.
fn numbers(packet: &[u8]) -> Option<(u32, u32)> {
    let (mut at, mut found) = (COMMON_BYTES, None);
    while let Some((chunk, next)) = chunk_at(packet, at) {
        at = next;
        let Some((&[DATA, ..], rest)) = chunk.split_first_chunk::<4>() else { continue };
        let Some((number, _)) = rest.split_first_chunk::<4>() else { continue };
        let number = u32::from_be_bytes(*number);
        found = Some((found.map_or(number, |(first, _)| first), number));
    }
    found
}

/// Of a SACK chunk (RFC 9260 s3.3.4): the cumulative point, and the blocks beyond the gaps.
fn acknowledged(chunk: &[u8]) -> Option<(u32, &[[u8; 4]])> {
    let (&[SACK, ..], rest) = chunk.split_first_chunk::<4>()? else { return None };
    let (point, rest) = rest.split_first_chunk::<4>()?;
    let (&[_, _, _, _, high, low, _, _], rest) = rest.split_first_chunk::<8>()?;
    let (blocks, _) = rest.as_chunks::<4>();
    let count = usize::from(u16::from_be_bytes([high, low]));
    Some((u32::from_be_bytes(*point), blocks.get(..count)?))
}

/// The first and last sequence number of a block.
fn ends(point: u32, [a, b, c, d]: [u8; 4]) -> (u32, u32) {
    let offset = |high, low| u32::from(u16::from_be_bytes([high, low]));
    (point.wrapping_add(offset(a, b)), point.wrapping_add(offset(c, d)))
}

#[cfg(test)]
mod tests;
