//! Which segments of the log go when there is too much or it is too old.
//!
//! A segment goes whole. What is pinned in it (favourites, open events) is carried over to the
//! newest segment first; where more than half of a segment is pinned, carrying it would wear the
//! card for nothing, so it stays. Single events that are too old are forgotten wherever they lie.

use crate::time::UnixMs;

/// One day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of log.
    pub keep_bytes: u64,
    /// Days an event is kept.
    pub keep_days: u32,
}

/// One segment, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its length.
    pub bytes: u64,
    /// Of these, bytes of favourites and open events.
    pub pinned_bytes: u64,
    /// The time of its newest event.
    pub newest: UnixMs,
}

/// What becomes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is.
    Keep,
    /// It goes; what is pinned is carried over.
    Drop,
}

/// A verdict for each segment, oldest first, written to `verdicts` in the same order. The last
/// segment is being written and always stays.
pub fn verdicts(segments: &[Segment], limits: Limits, now: UnixMs, verdicts: &mut [Verdict]) {
    let mut total: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let sealed = segments.len().saturating_sub(1);
    for (at, (segment, verdict)) in segments.iter().zip(verdicts).enumerate() {
        let old = is_old(segment.newest, limits.keep_days, now);
        let heavy = segment.pinned_bytes > segment.bytes / 2;
        *verdict = if at >= sealed || heavy || !(old || total > limits.keep_bytes) {
            Verdict::Keep
        } else {
            total -= segment.bytes - segment.pinned_bytes;
            Verdict::Drop
        };
    }
}

/// Whether both clocks were set and `time` lies more than `days` back. An unset clock never
/// makes anything old.
pub fn is_old(time: UnixMs, days: u32, now: UnixMs) -> bool {
    time.is_plausible()
        && now.is_plausible()
        && now.0.saturating_sub(time.0) > u64::from(days).saturating_mul(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Drop, Keep};

    const NOW: UnixMs = UnixMs(UnixMs::FIRST_PLAUSIBLE.0 + 100 * DAY_MS);

    fn segment(bytes: u64, pinned_bytes: u64, days_old: u64) -> Segment {
        Segment { bytes, pinned_bytes, newest: UnixMs(NOW.0 - days_old * DAY_MS) }
    }

    fn check(segments: &[Segment], bytes: u64, days: u32, now: UnixMs, expect: &[Verdict]) {
        let mut out = std::vec![Keep; segments.len()];
        verdicts(segments, Limits { keep_bytes: bytes, keep_days: days }, now, &mut out);
        assert_eq!(out, expect, "{segments:?} in {bytes} bytes, {days} days");
    }

    #[test]
    fn the_oldest_go_first_and_the_newest_never() {
        let four = [segment(10, 0, 4), segment(10, 0, 3), segment(10, 0, 2), segment(10, 0, 0)];
        check(&four, 40, 30, NOW, &[Keep; 4]);
        check(&four, 39, 30, NOW, &[Drop, Keep, Keep, Keep]);
        check(&four, 20, 30, NOW, &[Drop, Drop, Keep, Keep]);
        check(&four, 0, 30, NOW, &[Drop, Drop, Drop, Keep]);
        check(&four, 40, 2, NOW, &[Drop, Drop, Keep, Keep]);
        check(&[], 0, 0, NOW, &[]);
    }

    #[test]
    fn favourites_are_carried_unless_they_are_most_of_it() {
        let three = [segment(10, 2, 9), segment(10, 8, 9), segment(10, 0, 0)];
        check(&three, 22, 30, NOW, &[Drop, Keep, Keep]);
        check(&three, 0, 30, NOW, &[Drop, Keep, Keep]);
        check(&three, 99, 5, NOW, &[Drop, Keep, Keep]);
    }

    #[test]
    fn an_unset_clock_makes_nothing_old() {
        let stale = Segment { bytes: 10, pinned_bytes: 0, newest: UnixMs(5) };
        check(&[stale, segment(10, 0, 0)], 99, 1, NOW, &[Keep, Keep]);
        check(&[segment(10, 0, 90), segment(10, 0, 0)], 99, 1, UnixMs(5), &[Keep, Keep]);
    }
}
