//! The two kinds of time: one that only goes forward, one that people read.

/// Milliseconds since the process started; never goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// Milliseconds from `earlier` to here; 0 when `earlier` is later.
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant, `ms` milliseconds on.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Milliseconds since 1970-01-01 UTC by the wall clock, which may jump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// 2024-01-01: a wall clock before this has not been set yet.
    pub const FIRST_PLAUSIBLE: Self = Self(1_704_067_200_000);

    /// Whether the wall clock had been set when this was read.
    pub const fn is_plausible(self) -> bool {
        self.0 >= Self::FIRST_PLAUSIBLE.0
    }
}
