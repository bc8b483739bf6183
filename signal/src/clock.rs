//! The only reader of time and entropy in the meeting place.

use std::time;

/// A clock with a fixed origin: the moment the process started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: time::Instant,
}

impl Clock {
    /// A clock that starts at 0 now.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn start() -> Self {
        Self { origin: time::Instant::now() }
    }

    /// Milliseconds since the start; never goes back.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn now_ms(&self) -> u64 {
        let elapsed = time::Instant::now().duration_since(self.origin).as_millis();
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    /// Seconds since 1970 by the wall clock, which may jump; 0 when it stands before 1970.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn unix_seconds(&self) -> u64 {
        time::SystemTime::now().duration_since(time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// Fills `N` bytes from the operating system's generator.
///
/// # Panics
/// Where the system has no entropy to give: nothing safe can be done without it.
pub fn entropy<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives entropy");
    bytes
}
