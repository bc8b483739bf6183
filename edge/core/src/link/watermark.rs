//! How many bytes may wait in the channel: what the path holds, measured as it goes.
//!
//! What is in flight costs the sender (edge/adr/0009), what is not in flight is not on its way.
//! So the limit follows the path's bandwidth times its round trip: bytes that were acknowledged
//! in a while, for the length of one round trip, of the best of the last whiles; twice that, as
//! SCTP only widens its window while more waits than it holds, and one chunk.
//!
//! ```text
//!            a round trip is known
//!   first ----------------------------> measured: limit = 16 KiB + 2 x rate x round trip
//!   64 KiB + what was acknowledged      16 KiB ..= 496 KiB
//! ```
//! Until then more is let in as it goes through, so that SCTP's slow start never runs dry.
//! A while counts only if the limit or the channel kept bytes waiting all through it, or if more
//! went through than ever: a phone that asks for little says nothing of its path.

use super::wire::CHUNK_BYTES;

/// The limit before anything was acknowledged, bytes.
pub const FIRST_BYTES: usize = 64 * 1024;
/// The least limit, bytes.
pub const LEAST_BYTES: usize = CHUNK_BYTES;
/// The most, bytes: the session's buffer of 512 KiB, less the chunk that may pass the limit.
pub const MOST_BYTES: usize = 512 * 1024 - CHUNK_BYTES;
/// The least and the most bytes that may leave in one millisecond. Receivers' buffers hold little
/// more than the most (Chromium's 64 KiB); the least is what they empty beside other work.
pub const LEAST_PACE_BYTES: usize = 8 * 1024;
const MOST_PACE_BYTES: usize = 48 * 1024;
/// The shortest while over which is measured, us: receivers acknowledge in bursts.
const WHILE_US: u64 = 5_000;
/// Whiles that are remembered.
const WHILES: usize = 8;

/// The measure of one channel.
#[derive(Debug)]
pub struct Watermark {
    round_trip_us: Option<u64>,
    /// Bytes that were ever handed to the channel.
    written: u64,
    /// Bytes of those that had been acknowledged when the present while began, and that time.
    acknowledged: u64,
    began_us: u64,
    /// Nothing was missing to send in the present while.
    busy: bool,
    /// Bytes of one round trip in each of the last whiles, the next to be replaced at `at`.
    whiles: [u64; WHILES],
    at: usize,
    limit: usize,
}

impl Default for Watermark {
    fn default() -> Self {
        Self::new()
    }
}

impl Watermark {
    /// Of a path nothing is known of.
    pub const fn new() -> Self {
        Self {
            round_trip_us: None,
            written: 0,
            acknowledged: 0,
            began_us: 0,
            busy: true,
            whiles: [0; WHILES],
            at: 0,
            limit: FIRST_BYTES,
        }
    }

    /// The path's round trip without what we queue on it, as ICE's checks see it, us.
    pub const fn handle_round_trip(&mut self, us: u64) {
        self.round_trip_us = Some(us);
    }

    /// Bytes were handed to the channel.
    pub const fn handle_written(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes as u64);
    }

    /// Takes how many bytes wait for an acknowledgement; the limit, bytes.
    pub fn handle_buffered(&mut self, now_us: u64, buffered: usize) -> usize {
        let acknowledged = self.written.saturating_sub(buffered as u64);
        if let Some(round_trip_us) = self.round_trip_us {
            let took_us = now_us.saturating_sub(self.began_us);
            if took_us >= round_trip_us.max(WHILE_US) {
                self.end_while(acknowledged, round_trip_us, took_us);
                self.began_us = now_us;
            }
        } else {
            (self.began_us, self.acknowledged) = (now_us, acknowledged);
            let more = usize::try_from(acknowledged).unwrap_or(MOST_BYTES);
            self.limit = FIRST_BYTES.saturating_add(more).min(MOST_BYTES);
        }
        // What is acknowledged frees room for one chunk at least, before more is handed over.
        self.busy &= buffered + CHUNK_BYTES >= self.limit / 2;
        self.limit
    }

    /// How many bytes may leave in one millisecond: the limit's worth in one round trip. What
    /// leaves in one burst is lost in buffers on its way, and SCTP halves its window for it.
    pub fn pace_bytes(&self) -> usize {
        let Some(round_trip_us) = self.round_trip_us else { return LEAST_PACE_BYTES };
        let bytes = self.limit as u64 * 1000 / round_trip_us.max(1);
        let bytes = usize::try_from(bytes).unwrap_or(MOST_PACE_BYTES);
        bytes.clamp(LEAST_PACE_BYTES, MOST_PACE_BYTES)
    }

    fn end_while(&mut self, acknowledged: u64, round_trip_us: u64, took_us: u64) {
        let went = acknowledged.saturating_sub(self.acknowledged);
        let bytes = went.saturating_mul(round_trip_us) / took_us;
        let best = self.whiles.into_iter().max().unwrap_or(0);
        if (self.busy && went > 0) || bytes > best {
            self.whiles[self.at] = bytes;
            self.at = (self.at + 1) % WHILES;
            let best = self.whiles.into_iter().max().unwrap_or(0);
            let wanted = usize::try_from(best.saturating_mul(2)).unwrap_or(MOST_BYTES);
            self.limit = wanted.saturating_add(LEAST_BYTES).min(MOST_BYTES);
        }
        (self.acknowledged, self.busy) = (acknowledged, true);
    }
}

#[cfg(test)]
mod tests;
