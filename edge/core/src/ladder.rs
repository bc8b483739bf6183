//! What is done about a part of the box that makes no progress: it alone is begun anew, then
//! the whole process is.
//!
//! ```text
//!                 no progress for LIMIT                    once more within AGAIN_MS
//!  progress ----------------------------> Restart(part) ----------------------------> End(part)
//!                 or it cannot be begun anew alone ----------------------------------> End(part)
//! ```

use crate::time::Instant;
use heapless::Vec;

/// Most parts.
pub const PARTS: usize = 16;
/// A part that needs it again so soon is not mended by beginning it anew.
const AGAIN_MS: u64 = 600_000;
/// Rounds come once a second. With more between two of them the whole process stood still, and
/// each part is given a round to show that it lives.
const ROUND_MS: u64 = 5_000;

/// What is to be done; parts by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Begin this part anew, and leave the old one behind.
    Restart(usize),
    /// End the process: whoever started it starts it anew.
    End(usize),
}

#[derive(Debug)]
struct Rung {
    limit_ms: u64,
    alone: bool,
    restarted: Option<Instant>,
}

/// The decisions about all parts.
#[derive(Debug, Default)]
pub struct Ladder {
    rungs: Vec<Rung, PARTS>,
    /// When the last round was.
    round: Option<Instant>,
}

impl Ladder {
    /// A ladder without parts.
    pub const fn new() -> Self {
        Self { rungs: Vec::new(), round: None }
    }

    /// Adds a part that has to make progress every `limit_ms`; `alone` if it can be begun anew
    /// by itself. Its number; `None` where there are [`PARTS`].
    pub fn add(&mut self, limit_ms: u64, alone: bool) -> Option<usize> {
        self.rungs.push(Rung { limit_ms, alone, restarted: None }).ok()?;
        Some(self.rungs.len() - 1)
    }

    /// Begins a round; whether it may judge.
    pub fn begin_round(&mut self, now: Instant) -> bool {
        let last = self.round.replace(now);
        last.is_none_or(|last| now.since_ms(last) <= ROUND_MS)
    }

    /// Judges a part that made progress `age_ms` ago; `None` as the age: it has ended.
    pub fn judge(&mut self, now: Instant, part: usize, age_ms: Option<u64>) -> Option<Deed> {
        let rung = self.rungs.get_mut(part)?;
        if age_ms.is_some_and(|age| age <= rung.limit_ms) {
            return None;
        }
        let again = rung.restarted.is_some_and(|at| now.since_ms(at) < AGAIN_MS);
        if again || !rung.alone {
            return Some(Deed::End(part));
        }
        rung.restarted = Some(now);
        Some(Deed::Restart(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_the_part_then_the_process() {
        let mut ladder = Ladder::new();
        let (eye, store) = (ladder.add(10_000, true).unwrap(), ladder.add(60_000, false).unwrap());
        let mut at = |ms, part, age| ladder.judge(Instant(ms), part, age);
        assert_eq!(at(0, eye, Some(10_000)), None);
        assert_eq!(at(1, eye, Some(10_001)), Some(Deed::Restart(eye)));
        assert_eq!(at(500_000, eye, Some(0)), None);
        assert_eq!(at(600_000, eye, None), Some(Deed::End(eye)), "it died soon after");
        assert_eq!(at(700_000, eye, None), Some(Deed::Restart(eye)), "long after, it is new");
        assert_eq!(at(700_000, store, Some(60_000)), None);
        assert_eq!(at(700_000, store, Some(60_001)), Some(Deed::End(store)));
        assert_eq!(at(700_000, 2, None), None, "no such part");
    }

    #[test]
    fn nobody_is_judged_by_the_time_that_the_process_stood_still() {
        let mut ladder = Ladder::new();
        let rounds = [(0, true), (1_000, true), (6_000, true), (60_000, false), (61_000, true)];
        for (ms, judges) in rounds {
            assert_eq!(ladder.begin_round(Instant(ms)), judges, "at {ms}");
        }
    }

    #[test]
    fn there_are_so_many_parts() {
        let mut ladder = Ladder::new();
        assert!((0..PARTS).all(|part| ladder.add(1, true) == Some(part)));
        assert_eq!(ladder.add(1, true), None);
    }
}
