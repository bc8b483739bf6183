//! How many offers are answered: a token bucket for each source, and one for all of them.
//!
//! An offer costs a session's making, long before its phone has shown anything. A source is a
//! peer id; as those are free, the bucket of all is what bounds the work.

use edge_core::time::Instant;
use signal_proto::peer_id::PeerId;
use std::collections::VecDeque;

/// Offers of one source: so many at once, then one more each `EACH_MS`.
const EACH: u64 = 24;
/// See `EACH`, ms.
const EACH_MS: u64 = 1_000;
/// Offers of all sources: so many at once, then one more each `ALL_MS`.
const ALL: u64 = 40;
/// See `ALL`, ms.
const ALL_MS: u64 = 200;
/// Sources that are told apart; the one that was silent longest is forgotten.
const SOURCES: usize = 64;

/// A bucket that one token drips into each so many ms.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Milliseconds' worth of tokens.
    level_ms: u64,
    filled: Instant,
}

impl Bucket {
    const fn full(now: Instant, most: u64, each_ms: u64) -> Self {
        Self { level_ms: most * each_ms, filled: now }
    }

    fn take(&mut self, now: Instant, most: u64, each_ms: u64) -> bool {
        self.level_ms = (self.level_ms + now.since_ms(self.filled)).min(most * each_ms);
        self.filled = now;
        let left = self.level_ms.checked_sub(each_ms);
        self.level_ms = left.unwrap_or(self.level_ms);
        left.is_some()
    }
}

/// The buckets.
#[derive(Debug)]
pub(super) struct Offers {
    all: Bucket,
    /// The latest to speak last.
    sources: VecDeque<(PeerId, Bucket)>,
}

impl Offers {
    pub(super) const fn new(now: Instant) -> Self {
        Self { all: Bucket::full(now, ALL, ALL_MS), sources: VecDeque::new() }
    }

    /// Whether one more offer of that source is worked on.
    pub(super) fn take(&mut self, source: &PeerId, now: Instant) -> bool {
        let known = self.sources.iter().position(|(known, _)| known == source);
        let bucket = known.and_then(|at| self.sources.remove(at)).map(|(_, bucket)| bucket);
        let mut bucket = bucket.unwrap_or_else(|| Bucket::full(now, EACH, EACH_MS));
        let taken = bucket.take(now, EACH, EACH_MS) && self.all.take(now, ALL, ALL_MS);
        if self.sources.len() == SOURCES {
            self.sources.pop_front();
        }
        self.sources.push_back((source.clone(), bucket));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u64) -> PeerId {
        PeerId::parse(&format!("p{number}")).expect("an id")
    }

    #[test]
    fn one_source_has_its_share_and_leaves_the_others_theirs() {
        let mut offers = Offers::new(Instant(0));
        let taken = (0..1000).filter(|at| offers.take(&peer(1), Instant(*at))).count() as u64;
        assert_eq!(taken, EACH);
        assert!(offers.take(&peer(2), Instant(999)));
        assert!(offers.take(&peer(1), Instant(EACH_MS)));
        assert!(!offers.take(&peer(1), Instant(2 * EACH_MS - 1)));
    }

    #[test]
    fn many_sources_together_are_bounded() {
        let mut offers = Offers::new(Instant(0));
        let seconds = 10;
        let taken = (0..seconds * 3000).filter(|n| offers.take(&peer(*n), Instant(n / 3))).count();
        let most = ALL + seconds * 1000 / ALL_MS;
        assert!((most - 1..=most).contains(&(taken as u64)), "{taken} of {most}");
        assert_eq!(offers.sources.len(), SOURCES);
    }

    #[test]
    fn what_all_may_not_costs_a_source_its_own() {
        let mut offers = Offers::new(Instant(0));
        for number in 0..ALL {
            assert!(offers.take(&peer(number), Instant(0)));
        }
        assert!(!offers.take(&peer(ALL), Instant(0)));
        assert!(offers.take(&peer(ALL), Instant(ALL_MS)));
    }
}
