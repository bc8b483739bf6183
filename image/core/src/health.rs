//! Whether all is well, from what nightjar-edge says of itself: the watchdog is fed, and a trial
//! is passed, by nothing else.
//!
//! ```text
//!            a good report                      silent, or a part beyond its limit
//!  Starting ---------------> Well <--------------------------------------> Ill: starve
//!     ^  |                    |  nightjar-edge ended and is started anew
//!     |  +-- grace is over -> Ill      (never longer than 3 times the grace without a good report)
//!     +-----------------------+
//! ```

use alloc::format;
use alloc::string::String;
use heapless::Vec;
use serde::Deserialize;

/// Parts that have to make progress, and how often on a Pi 4, ms.
const PARTS: &[(&str, u64)] =
    &[("capture", 10_000), ("eye", 10_000), ("store", 30_000), ("net", 5_000)];
/// A part may stand still for so long before the watchdog starves: nightjar-edge begins it anew
/// after a minute, and itself when that does not help, unless what does that stands still, too.
const LADDER_MS: u64 = 180_000;
/// The parts that are there with or without a camera.
const ALWAYS: &[&str] = &["store", "net"];
/// REST may be silent for so long.
const REST_MS: u64 = 10_000;
/// A start may take so long.
const GRACE_MS: u64 = 60_000;
/// Most entries that are looked at.
const MANY: usize = 16;

/// What of `GET /api/v1/status` counts here.
#[derive(Debug, Deserialize)]
pub struct Report<'a> {
    #[serde(borrow, default)]
    parts: Vec<Part<'a>, MANY>,
    #[serde(borrow, default)]
    cameras: Vec<Camera<'a>, MANY>,
    #[serde(default)]
    store: Store,
    #[serde(default)]
    safe: bool,
    /// The detector's name.
    #[serde(borrow, default)]
    model: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
struct Part<'a> {
    name: &'a str,
    age_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Camera<'a> {
    state: &'a str,
    #[serde(default)]
    inferences: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Store {
    #[serde(default)]
    commits: u64,
}

impl<'a> Report<'a> {
    /// Reads the body of a status.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        serde_json_core::from_slice(body).ok().map(|(report, _)| report)
    }

    /// Why this is not health, where a part is given `least_ms` at least; `slowness` is the board's.
    fn ill(&self, slowness: u64, least_ms: u64) -> Option<String> {
        if let Some(missing) = ALWAYS.iter().find(|it| self.age(it).is_none()) {
            return Some(format!("there is no part {missing}"));
        }
        PARTS.iter().find_map(|(name, limit_ms)| {
            let limit_ms = limit_ms.saturating_mul(slowness).max(least_ms);
            let age_ms = self.age(name).filter(|it| *it > limit_ms)?;
            Some(format!("{name} has made no progress for {} s", age_ms / 1_000))
        })
    }

    fn age(&self, name: &str) -> Option<u64> {
        self.parts.iter().filter(|it| it.name == name).map(|it| it.age_ms).max()
    }

    /// Whether pictures come.
    pub fn frames_flow(&self) -> bool {
        self.cameras.iter().any(|it| it.state == "running")
    }

    /// Whether this is all that a system on trial has to show: the card has taken a beat of the
    /// store's; with a camera its frames flow; with a model it is loaded, and with both it has run,
    /// as it does of a first frame, motion or not; no safe start.
    pub fn passes(&self, slowness: u64, camera: bool, model: bool) -> bool {
        let frames = !camera || self.frames_flow();
        let ran = !camera || self.cameras.iter().any(|it| it.inferences > 0);
        let sight = !model || self.model.is_some() && ran;
        let stored = self.store.commits > 0;
        !self.safe && frames && sight && stored && self.ill(slowness, 0).is_none()
    }
}

/// The watch over nightjar-edge.
#[derive(Debug)]
pub struct Judge {
    slowness: u64,
    /// When the edge was last started.
    started_ms: u64,
    /// When all was last well, or the watch began.
    well_ms: u64,
    /// When the edge last answered.
    heard_ms: Option<u64>,
    /// What the last answer showed.
    ill: Option<String>,
}

impl Judge {
    /// `slowness`: how many times a Pi 4's limits this board is given.
    pub const fn new(now_ms: u64, slowness: u64) -> Self {
        Self { slowness, started_ms: now_ms, well_ms: now_ms, heard_ms: None, ill: None }
    }

    /// The edge was started (anew) at that time.
    pub fn started(&mut self, at_ms: u64) {
        if at_ms > self.started_ms {
            self.started_ms = at_ms;
            self.heard_ms = None;
            self.ill = None;
        }
    }

    /// It was asked; `None`: no answer that can be read.
    pub fn asked(&mut self, now_ms: u64, report: Option<&Report<'_>>) {
        let Some(report) = report else { return };
        self.heard_ms = Some(now_ms);
        self.ill = report.ill(self.slowness, LADDER_MS);
        if self.ill.is_none() {
            self.well_ms = now_ms;
        }
    }

    /// Whether the watchdog is to be fed; else why not.
    pub fn verdict(&self, now_ms: u64) -> Result<(), String> {
        let grace_ms = GRACE_MS.saturating_mul(self.slowness);
        let starting = now_ms.saturating_sub(self.started_ms) < grace_ms;
        if starting && now_ms.saturating_sub(self.well_ms) < grace_ms.saturating_mul(3) {
            return Ok(());
        }
        if let Some(ill) = &self.ill {
            return Err(ill.clone());
        }
        let silent_ms = now_ms.saturating_sub(self.heard_ms.unwrap_or(self.started_ms));
        if silent_ms > REST_MS.saturating_mul(self.slowness) {
            return Err(format!("no answer for {} s", silent_ms / 1_000));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: u64 = GRACE_MS;

    fn status(parts: &str, more: &str) -> String {
        let parts = parts.split_whitespace().map(|part| {
            let (name, age) = part.split_once('=').unwrap();
            format!(r#"{{"name":"{name}","age_ms":{age}}}"#)
        });
        let parts: std::vec::Vec<_> = parts.collect();
        format!(
            r#"{{"name":"x","parts":[{}],"store":{{"events":1,"commits":1}}{more}}}"#,
            parts.join(",")
        )
    }

    fn ask(judge: &mut Judge, now_ms: u64, parts: &str) {
        let body = status(parts, "");
        judge.asked(now_ms, Some(&Report::parse(body.as_bytes()).unwrap()));
    }

    const GOOD: &str = "capture=100 eye=100 store=9000 net=900 http=0";

    #[test]
    fn progress_feeds_and_each_part_has_its_limit() {
        let mut judge = Judge::new(0, 1);
        let now = 10 * GRACE;
        ask(&mut judge, now, GOOD);
        assert_eq!(judge.verdict(now), Ok(()));
        for (part, passes) in PARTS {
            let report = status(&format!("{part}={} {GOOD}", passes + 1), "");
            let report = Report::parse(report.as_bytes()).unwrap();
            assert!(!report.passes(1, false, false), "a trial is not passed meanwhile");
            let limit = LADDER_MS;
            let late = format!("{part}={}", limit + 1);
            let others = GOOD.split(' ').filter(|it| !it.starts_with(part));
            let others: std::vec::Vec<_> = others.collect();
            ask(&mut judge, now, &format!("{late} {}", others.join(" ")));
            assert!(judge.verdict(now).is_err_and(|it| it.starts_with(part)), "{part}");
            ask(&mut judge, now, &format!("{part}={limit} {}", others.join(" ")));
            assert_eq!(judge.verdict(now), Ok(()));
        }
        ask(&mut judge, now, "store=1");
        assert_eq!(judge.verdict(now), Err("there is no part net".into()));
        ask(&mut judge, now, "store=1 net=1");
        assert_eq!(judge.verdict(now), Ok(()), "a safe start has no eye");
    }

    #[test]
    fn two_of_one_name_are_as_old_as_the_older() {
        let mut judge = Judge::new(0, 1);
        ask(&mut judge, 5 * GRACE, "eye=1 eye=200000 store=1 net=1");
        assert!(judge.verdict(5 * GRACE).is_err());
    }

    #[test]
    fn silence_starves_soon_and_a_start_has_its_grace() {
        let mut judge = Judge::new(0, 2);
        assert_eq!(judge.verdict(2 * GRACE - 1), Ok(()));
        assert!(judge.verdict(2 * GRACE).is_err(), "it never answered");
        ask(&mut judge, 2 * GRACE, GOOD);
        judge.asked(2 * GRACE + 1, None);
        assert_eq!(judge.verdict(2 * GRACE + 20_000), Ok(()));
        assert!(judge.verdict(2 * GRACE + 20_001).is_err_and(|it| it == "no answer for 20 s"));
    }

    #[test]
    fn a_crash_has_its_grace_but_a_loop_of_crashes_has_an_end() {
        let mut judge = Judge::new(0, 1);
        ask(&mut judge, 2 * GRACE, GOOD);
        let mut now = 2 * GRACE;
        while now < 5 * GRACE - 1_000 {
            judge.started(now);
            assert_eq!(judge.verdict(now), Ok(()), "{now}");
            now += 1_000;
        }
        judge.started(5 * GRACE);
        judge.asked(5 * GRACE + REST_MS + 1, None);
        assert!(judge.verdict(5 * GRACE + REST_MS + 1).is_err(), "three minutes without health");
    }

    #[test]
    fn a_part_that_starts_ill_is_given_the_grace_alone() {
        let mut judge = Judge::new(0, 1);
        ask(&mut judge, 10_000, "eye=10001 store=1 net=1");
        assert_eq!(judge.verdict(10_000), Ok(()));
        assert!(judge.verdict(GRACE).is_err());
    }

    #[test]
    fn a_trial_needs_what_the_board_has() {
        let passes = |parts: &str, more: &str, camera, model| {
            let body = status(parts, more);
            Report::parse(body.as_bytes()).unwrap().passes(1, camera, model)
        };
        let whole = r#","model":"ssd","cameras":[{"name":"a","state":"running","inferences":1}]"#;
        assert!(passes(GOOD, whole, true, true));
        assert!(passes("store=1 net=1", "", false, false));
        assert!(!passes("store=1 net=1", "", true, false));
        assert!(!passes("store=1 net=1", "", false, true));
        let lost = r#","model":null,"cameras":[{"name":"a","state":"lost"}]"#;
        assert!(!passes(GOOD, lost, true, false) && passes(GOOD, lost, false, false));
        assert!(!passes(GOOD, &format!(r#"{whole},"safe":true"#), true, true));
        assert!(!passes("store=31000 net=1", whole, true, true));
        let idle = whole.replace(":1}", ":0}");
        assert!(!passes(GOOD, &idle, true, true), "the model has not run");
        assert!(passes(GOOD, &idle, false, true), "there is nothing that it could look at");
        let unsaved = status(GOOD, whole).replace("\"commits\":1", "\"commits\":0");
        let unsaved = Report::parse(unsaved.as_bytes()).unwrap();
        assert!(!unsaved.passes(1, true, true), "the card has taken nothing");
    }

    #[test]
    fn noise_is_no_report() {
        for noise in ["", "{", "[]", r#"{"parts":5}"#, r#"{"parts":[{"name":1}]}"#] {
            assert!(Report::parse(noise.as_bytes()).is_none(), "{noise}");
        }
    }
}
