//! How long to wait before trying again: doubling, with seeded jitter.

/// Waits that double from `first_ms` to `most_ms`, each shortened by up to a half at random,
/// so that many boxes do not return to one server in the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    first_ms: u64,
    most_ms: u64,
    next_ms: u64,
    random: u64,
}

impl Backoff {
    /// Waits between half of `first_ms` and `most_ms`; `seed` is the jitter's entropy.
    pub const fn new(first_ms: u64, most_ms: u64, seed: u64) -> Self {
        Self { first_ms, most_ms, next_ms: first_ms, random: seed }
    }

    /// The next wait, ms: from half of the present step to the whole of it.
    pub fn wait_ms(&mut self) -> u64 {
        let step = self.next_ms.min(self.most_ms);
        self.next_ms = step.saturating_mul(2);
        let half = step / 2;
        step - self.draw() % (half + 1)
    }

    /// It worked: the next wait is a first one again.
    pub const fn succeeded(&mut self) {
        self.next_ms = self.first_ms;
    }

    /// One step of a linear congruential generator; its upper bits are good enough to spread.
    const fn draw(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_start_anew() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(500, 30_000, seed);
            for step in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
                let wait = backoff.wait_ms();
                assert!((step / 2..=step).contains(&wait), "{wait} in the step of {step}");
            }
            backoff.succeeded();
            assert!(backoff.wait_ms() <= 500);
        }
    }

    #[test]
    fn seeds_spread() {
        let first = |seed| Backoff::new(10_000, 10_000, seed).wait_ms();
        let distinct: std::collections::BTreeSet<u64> = (0..50).map(first).collect();
        assert!(distinct.len() > 40, "{distinct:?}");
    }

    #[test]
    fn no_wait_is_endless_and_none_overflows() {
        let mut backoff = Backoff::new(u64::MAX, u64::MAX, 7);
        assert!(backoff.wait_ms() >= u64::MAX / 2);
        assert_eq!(Backoff::new(0, 0, 7).wait_ms(), 0);
    }
}
