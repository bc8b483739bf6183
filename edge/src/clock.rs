//! The only reader of time and entropy in the appliance.

use edge_core::time::{Instant, UnixMs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time;

/// A clock with a fixed origin: the moment the process started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: time::Instant,
    told: Option<&'static Told>,
}

/// What a clock of virtual time is told to say, in milliseconds.
#[derive(Debug)]
pub struct Told {
    /// Since the start.
    pub now: AtomicU64,
    /// The wall clock, since 1970; it may jump.
    pub unix: AtomicU64,
}

impl Clock {
    /// A clock that starts at 0 now.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn start() -> Self {
        Self { origin: time::Instant::now(), told: None }
    }

    /// A clock that says what it is told: days pass in seconds in tests and simulations. What it
    /// is told lives as long as the process.
    pub fn told(now: u64, unix: u64) -> (Self, &'static Told) {
        let told: &_ = Box::leak(Box::new(Told { now: now.into(), unix: unix.into() }));
        (Self { told: Some(told), ..Self::start() }, told)
    }

    /// Milliseconds since the start.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn now(&self) -> Instant {
        if let Some(told) = self.told {
            return Instant(told.now.load(Ordering::Relaxed));
        }
        let elapsed = time::Instant::now().duration_since(self.origin).as_millis();
        Instant(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// The standard library's instant for `at`, for libraries that want one.
    pub fn std_instant(&self, at: Instant) -> time::Instant {
        self.origin + time::Duration::from_millis(at.0)
    }

    /// The standard library's instant of now, at full resolution.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn std_now(&self) -> time::Instant {
        time::Instant::now()
    }

    /// The wall clock; 0 when it stands before 1970.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn unix_ms(&self) -> UnixMs {
        if let Some(told) = self.told {
            return UnixMs(told.unix.load(Ordering::Relaxed));
        }
        let since = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
        UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
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
