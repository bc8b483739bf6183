//! The host tool's only reader of time and entropy: how long something takes, what nobody guesses.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs from its making on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

/// Now, as str0m wants it.
#[expect(clippy::disallowed_methods, reason = "the tool's one clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Whether a file is there and was written less than so long ago.
pub(crate) fn is_younger(file: &Path, than: Duration) -> bool {
    let written = fs::metadata(file).and_then(|it| it.modified()).ok();
    written.and_then(|it| it.elapsed().ok()).is_some_and(|it| it < than)
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
