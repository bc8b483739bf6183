//! How often the box had itself restarted lately, without a clock: each such run's length is
//! noted at its end, so that their sum is a time that has passed at least.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;

/// At most so many ...
const MOST: usize = 3;
/// ... in so long, seconds.
const WITHIN_S: u64 = 3_600;

/// What `/data/box/reboots` holds: a line for each, the boot's id and how long it ran, seconds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reboots(Vec<(String, u64)>);

impl Reboots {
    /// Reads the file; a line that is none is left out.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let (boot, ran) = line.split_once(' ')?;
            Some((boot.to_string(), ran.parse().ok()?))
        });
        Self(lines.collect())
    }

    /// Whether this run, so old, may end itself.
    pub fn may(&self, boot: &str, uptime_s: u64) -> bool {
        // Noted before, by a keeper that was itself begun anew: it goes through with it.
        if self.0.last().is_some_and(|(last, _)| last == boot) {
            return true;
        }
        let Some(first) = self.0.len().checked_sub(MOST) else { return true };
        let since = self.0.iter().skip(first + 1).map(|(_, ran)| *ran);
        since.fold(uptime_s, u64::saturating_add) >= WITHIN_S
    }

    /// This run ends itself.
    pub fn note(&mut self, boot: &str, uptime_s: u64) {
        if self.0.last().is_none_or(|(last, _)| last != boot) {
            self.0.push((boot.to_string(), uptime_s));
        }
        let extra = self.0.len().saturating_sub(MOST);
        self.0.drain(..extra);
    }

    /// As the file holds it.
    pub fn to_text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (boot, ran)| {
            let _ = writeln!(text, "{boot} {ran}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_an_hour_and_no_fourth() {
        let mut reboots = Reboots::default();
        for boot in ["a", "b", "c"] {
            assert!(reboots.may(boot, 300));
            reboots.note(boot, 300);
        }
        assert!(!reboots.may("d", 2_999), "since the first: 300 + 300 + 2,999 s");
        assert!(reboots.may("d", 3_000));
        reboots.note("d", 3_000);
        assert_eq!(reboots.to_text(), "b 300\nc 300\nd 3000\n");
        assert!(reboots.may("e", 300), "since b: 300 + 3,000 + 300 s");
        assert_eq!(Reboots::parse(&reboots.to_text()), reboots);
    }

    #[test]
    fn one_run_counts_once_and_noise_does_not_count() {
        let mut reboots = Reboots::parse("a 1\nnoise\nb x\nc 2\n");
        assert_eq!(reboots.to_text(), "a 1\nc 2\n");
        reboots.note("d", 3);
        reboots.note("d", 9);
        assert_eq!(reboots.to_text(), "a 1\nc 2\nd 3\n");
        assert!(reboots.may("d", 20) && !reboots.may("e", 20));
        assert!(reboots.may("e", u64::MAX));
    }
}
