//! How many offers are answered: a token bucket for each source, and one for all of them.
//!
//! An offer costs a session's making, long before its phone has shown anything. A source is a
//! peer id; as those are free, the bucket of all is what bounds the work.

use edge_core::time::Instant;
use signal_proto::bucket::{Bucket, Flow};
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

/// So many at once, then one more each `each_ms`: in milliseconds' worth of one.
const fn flow(most: u64, each_ms: u64) -> Flow {
    Flow { token: each_ms, each_ms: 1, most: most * each_ms }
}

const OF_EACH: Flow = flow(EACH, EACH_MS);
const OF_ALL: Flow = flow(ALL, ALL_MS);

/// The buckets.
#[derive(Debug)]
pub(super) struct Offers {
    all: Bucket,
    /// The latest to speak last.
    sources: VecDeque<(PeerId, Bucket)>,
}

impl Offers {
    pub(super) const fn new(now: Instant) -> Self {
        Self { all: Bucket::full(now.0, OF_ALL), sources: VecDeque::new() }
    }

    /// Whether one more offer of that source is worked on.
    pub(super) fn take(&mut self, source: &PeerId, now: Instant) -> bool {
        let known = self.sources.iter().position(|(known, _)| known == source);
        let bucket = known.and_then(|at| self.sources.remove(at)).map(|(_, bucket)| bucket);
        let mut bucket = bucket.unwrap_or_else(|| Bucket::full(now.0, OF_EACH));
        let taken = bucket.take(now.0, OF_EACH) && self.all.take(now.0, OF_ALL);
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
