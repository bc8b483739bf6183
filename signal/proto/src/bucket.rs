//! A token bucket: so much at once, and then at a rate.

/// How a bucket fills and empties, in parts of a token of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Parts that one token is.
    pub token: u64,
    /// Parts that flow in each millisecond.
    pub each_ms: u64,
    /// Parts that it holds.
    pub most: u64,
}

/// A bucket; its [`Flow`] is told each time, as all buckets of a kind share one.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    level: u64,
    filled_ms: u64,
}

impl Bucket {
    /// A full one.
    pub const fn full(now_ms: u64, flow: Flow) -> Self {
        Self { level: flow.most, filled_ms: now_ms }
    }

    /// Takes one token out; false where there is none.
    pub fn take(&mut self, now_ms: u64, flow: Flow) -> bool {
        let fresh = now_ms.saturating_sub(self.filled_ms).saturating_mul(flow.each_ms);
        self.level = self.level.saturating_add(fresh).min(flow.most);
        self.filled_ms = now_ms;
        let rest = self.level.checked_sub(flow.token);
        self.level = rest.unwrap_or(self.level);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_at_once_and_then_at_a_rate() {
        let flow = Flow { token: 1000, each_ms: 5, most: 20_000 };
        let mut bucket = Bucket::full(7, flow);
        let mut taken = |at| (0..100).filter(|_| bucket.take(at, flow)).count();
        assert_eq!([taken(7), taken(206), taken(207), taken(1207)], [20, 0, 1, 5]);
        assert_eq!([taken(0), taken(u64::MAX)], [0, 20], "clocks of any kind");
    }
}
