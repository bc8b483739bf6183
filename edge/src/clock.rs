//! The only reader of time and entropy in the appliance.

use edge_core::time::{Instant, UnixMs};
use std::time;

/// A clock with a fixed origin: the moment the process started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: time::Instant,
    #[cfg(test)]
    told: Option<&'static Told>,
}

/// What a test tells a clock to say, in milliseconds.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) now: std::sync::atomic::AtomicU64,
    pub(crate) unix: std::sync::atomic::AtomicU64,
}

#[cfg(test)]
impl Clock {
    /// A clock that says what it is told.
    pub(crate) fn told(now: u64, unix: u64) -> (Self, &'static Told) {
        let told: &_ = Box::leak(Box::new(Told { now: now.into(), unix: unix.into() }));
        (Self { told: Some(told), ..Self::start() }, told)
    }
}

impl Clock {
    /// A clock that starts at 0 now.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn start() -> Self {
        Self {
            origin: time::Instant::now(),
            #[cfg(test)]
            told: None,
        }
    }

    /// Milliseconds since the start.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub fn now(&self) -> Instant {
        #[cfg(test)]
        if let Some(told) = self.told {
            return Instant(told.now.load(std::sync::atomic::Ordering::Relaxed));
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
        #[cfg(test)]
        if let Some(told) = self.told {
            return UnixMs(told.unix.load(std::sync::atomic::Ordering::Relaxed));
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
