//! The pulse of each part: when it last made progress, for the ladder and for who asks.

use edge_core::time::Instant;
use std::sync::Arc;
#[cfg(feature = "faults")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, Ordering};

/// When a part last made progress.
#[derive(Debug, Default)]
pub struct Pulse {
    at_ms: AtomicU64,
    /// A test wants the part to stand still at its next beat.
    #[cfg(feature = "faults")]
    stalled: AtomicBool,
}

impl Pulse {
    /// Notes progress. Called by the part, a few times a second.
    pub fn beat(&self, now: Instant) {
        #[cfg(feature = "faults")]
        while self.stalled.swap(false, Ordering::Relaxed) {
            loop {
                std::thread::park();
            }
        }
        self.at_ms.store(now.0, Ordering::Relaxed);
    }

    /// Milliseconds since the last progress.
    pub fn age_ms(&self, now: Instant) -> u64 {
        now.since_ms(Instant(self.at_ms.load(Ordering::Relaxed)))
    }

    /// Has whoever beats next stand still for good.
    #[cfg(feature = "faults")]
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }
}

/// The pulses of all parts; several of one name are one part to those who ask.
#[derive(Debug, Default)]
pub struct Vitals(Vec<(&'static str, Arc<Pulse>)>);

impl Vitals {
    /// Adds a pulse.
    pub fn add(&mut self, part: &'static str, pulse: &Arc<Pulse>) {
        self.0.push((part, Arc::clone(pulse)));
    }

    /// Each part with the age of its last progress, that of the slowest of one name.
    pub fn ages(&self, now: Instant) -> Vec<(&'static str, u64)> {
        let mut ages: Vec<(&'static str, u64)> = Vec::new();
        for (part, pulse) in &self.0 {
            let age = pulse.age_ms(now);
            match ages.iter_mut().find(|(known, _)| known == part) {
                Some((_, most)) => *most = age.max(*most),
                None => ages.push((part, age)),
            }
        }
        ages
    }

    /// Has one part of that name stand still; whether there is one.
    #[cfg(feature = "faults")]
    pub fn stall(&self, part: &str) -> bool {
        let found = self.0.iter().find(|(name, _)| *name == part);
        found.map(|(_, pulse)| pulse.stall()).is_some()
    }
}
