//! The host tool's only reader of time and entropy: how long something takes, what nobody guesses.

use std::time::{Duration, Instant};

/// Runs from its making on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

/// Now, as str0m wants it.
#[expect(clippy::disallowed_methods, reason = "the tool's one clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Sixteen bytes that nobody guesses.
pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has entropy");
    bytes
}

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "the tool's one clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago that was.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
