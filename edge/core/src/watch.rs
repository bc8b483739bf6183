//! Event life: which tracks become events, when they open, which picture shows them best, and
//! when they close.
//!
//! ```text
//!  track strong and new       clearly better, once a second     10 s old, or closing
//!  or motion that lasts ---> Opened(event) ---> Better(id) ---> Improved(event) ---> Closed
//!                            picture 1 written   held in memory  picture 2 written
//! ```
//! At most two pictures of an event are written: the opening one, for that is when people want
//! to know, and the best of its first seconds or of its whole short life.
//!
//! `handle_*` changes the state of the events, then `poll_output` is drained: a change is part
//! of an event's state until it is fetched, so no queue can overflow.

use crate::event::{CAMERA_BYTES, Event, EventId, Kind};
use crate::geometry::BBox;
use crate::motion::Motion;
use crate::time::{Instant, UnixMs};
use crate::track::Track;
use heapless::{String, Vec};

/// Events open or closing at once. When full, a track waits, unannounced, for a free slot.
pub const EVENTS: usize = 32;
/// The least score that opens an event.
pub const OPEN_SCORE: f32 = 0.6;

/// A picture is clearly better from this factor of quality on,
const CLEARLY: f32 = 1.15;
/// and looked for at most this often.
const BETTER_EVERY_MS: u64 = 1_000;
/// The best picture is written when an event is this old, or closes.
const IMPROVE_MS: u64 = 10_000;
/// No event lasts longer; what goes on becomes another.
const LONGEST_MS: u64 = 1_800_000;
/// How often a track must be seen that lies within one already shown: it may be a part of it.
const TWIN_SIGHTINGS: u16 = 5;
/// The share of a box inside another from which on it may be a part of it.
const TWIN_INSIDE: f32 = 0.7;

/// Frames of motion, and milliseconds from the first to the last, that open an event.
const STIRRING_FRAMES: u8 = 3;
const STIRRING_MS: u64 = 400;
/// The same when a detector looks on and says nothing.
const UNEXPLAINED_MS: u64 = 2_000;
/// Motion that pauses for longer starts anew.
const PAUSE_MS: u64 = 1_500;
/// The same where no quiet frame says that it paused: a slow board looks at few frames.
const UNSEEN_MS: u64 = 10_000;
/// Quiet for this long closes a motion event.
const QUIET_MS: u64 = 3_000;
/// No motion event for this long after one closed,
const COOLDOWN_MS: u64 = 5_000;
/// and after one that never came to rest, such as a tree in the wind.
const RESTLESS_COOLDOWN_MS: u64 = 60_000;
/// The longest motion event.
const MOTION_LONGEST_MS: u64 = 120_000;
/// The share from which on more motion is no better a picture.
const MOTION_MUCH: f32 = 0.3;

/// What the world should know of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It opened: write it, with this frame's picture.
    Opened(Event),
    /// This frame shows it better: hold its picture.
    Better(EventId),
    /// Write the event again, with the picture held.
    Improved(Event),
    /// It closed.
    Closed {
        /// Which.
        id: EventId,
        /// When its cause was last seen.
        ended: UnixMs,
    },
}

/// Both clocks at one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the start.
    pub at: Instant,
    /// By the wall clock.
    pub unix: UnixMs,
}

impl Now {
    /// The wall clock at an earlier instant.
    fn unix_at(&self, at: Instant) -> UnixMs {
        UnixMs(self.unix.0.saturating_sub(self.at.since_ms(at)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Track { id: u32, episode: u16 },
    Motion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Opened is due.
    New,
    /// Nothing is due.
    Open,
    /// Better is due.
    Better,
    /// Improved is due, for the event is old enough.
    Settle,
    /// Improved is due if a better picture is held, then Closed.
    Closing,
}

/// The second picture.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Second {
    None,
    Held { bbox: BBox },
    Written,
}

#[derive(Debug)]
struct Slot {
    event: Event,
    cause: Cause,
    opened: Instant,
    /// When the cause was last seen.
    seen: Instant,
    quality: f32,
    looked: Instant,
    second: Second,
    step: Step,
}

impl Slot {
    fn is_open(&self) -> bool {
        self.step != Step::Closing
    }

    /// Weighs this frame against the best picture so far.
    fn weigh(&mut self, now: Now, quality: f32, bbox: BBox) {
        let due = now.at.since_ms(self.looked) >= BETTER_EVERY_MS;
        let clearly = quality > CLEARLY * self.quality;
        if self.step == Step::Open && self.second != Second::Written && due && clearly {
            (self.quality, self.looked) = (quality, now.at);
            self.second = Second::Held { bbox: bbox.clamped() };
            self.step = Step::Better;
        }
    }

    /// Settles on the held picture once the event is old enough.
    fn age(&mut self, now: Now) {
        let held = matches!(self.second, Second::Held { .. });
        if self.step == Step::Open && held && now.at.since_ms(self.opened) >= IMPROVE_MS {
            self.step = Step::Settle;
        }
    }

    fn close(&mut self, ended: UnixMs) {
        if self.is_open() {
            self.event.ended = Some(UnixMs(ended.0.max(self.event.started.0)));
            self.step = Step::Closing;
        }
    }

    /// The event with the picture held, which is spent by this.
    fn improve(&mut self) -> Option<Change> {
        let Second::Held { bbox } = self.second else { return None };
        self.second = Second::Written;
        self.event.bbox = bbox;
        let ended = if self.is_open() { None } else { self.event.ended };
        Some(Change::Improved(Event { ended, ..self.event.clone() }))
    }
}

/// Motion on its way to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stir {
    /// None, and none is believed before `until`.
    Quiet { until: Instant },
    Stirring {
        since: Instant,
        last: Instant,
        frames: u8,
        /// The newest frame had none.
        quiet: bool,
    },
    /// It has an event.
    Shown,
}

/// The events of one camera.
#[derive(Debug)]
pub struct Watch {
    camera: String<CAMERA_BYTES>,
    slots: Vec<Slot, EVENTS>,
    stir: Stir,
}

impl Watch {
    /// A watch that shows nothing; `camera` is cut to what an event holds.
    pub fn new(camera: &str) -> Self {
        Self {
            camera: cut(camera),
            slots: Vec::new(),
            stir: Stir::Quiet { until: Instant::default() },
        }
    }

    /// Whether any event of a detected object is open.
    pub fn shows_objects(&self) -> bool {
        self.slots.iter().any(|slot| slot.cause != Cause::Motion && slot.is_open())
    }

    /// Takes in the tracks after a look or a frame held back. `label` names the classes that
    /// may open events; `ids` gives each event its own.
    pub fn handle_tracks<'a>(
        &mut self,
        now: Now,
        tracks: &[Track],
        label: impl Fn(u8) -> Option<&'a str>,
        ids: &mut dyn FnMut() -> EventId,
    ) {
        for slot in &mut self.slots {
            let Cause::Track { id, episode } = slot.cause else { continue };
            match tracks.iter().find(|track| (track.id, track.episode) == (id, episode)) {
                Some(track) if !track.is_resting() => follow(slot, now, track),
                Some(track) => slot.close(now.unix_at(track.moved)),
                None => slot.close(now.unix_at(slot.seen)),
            }
        }
        for track in tracks {
            if let Some(label) = label(track.class)
                && self.is_news(now, track, tracks)
            {
                let cause = Cause::Track { id: track.id, episode: track.episode };
                let (score, bbox) = (track.score, track.bbox);
                self.open(now, cause, label, score, bbox, quality(score, &bbox), ids);
            }
        }
    }

    /// Takes in a frame's motion, `None` when there was none, where no detector explains it.
    /// `watched_by_detector` tells that one had its chance.
    pub fn handle_motion(
        &mut self,
        now: Now,
        motion: Option<Motion>,
        watched_by_detector: bool,
        ids: &mut dyn FnMut() -> EventId,
    ) {
        let least_ms = if watched_by_detector { UNEXPLAINED_MS } else { STIRRING_MS };
        match (self.stir, motion) {
            (Stir::Quiet { until }, Some(_)) if now.at >= until => {
                self.stir = Stir::Stirring { since: now.at, last: now.at, frames: 1, quiet: false };
            }
            (Stir::Stirring { last, quiet, .. }, motion)
                if now.at.since_ms(last)
                    > if quiet || motion.is_none() { PAUSE_MS } else { UNSEEN_MS } =>
            {
                self.stir = Stir::Quiet { until: now.at };
            }
            (Stir::Stirring { since, frames, .. }, Some(motion)) => {
                let frames = frames.saturating_add(1);
                self.stir = Stir::Stirring { since, last: now.at, frames, quiet: false };
                if frames >= STIRRING_FRAMES && now.at.since_ms(since) >= least_ms {
                    let quality = motion_quality(&motion);
                    if self.open(now, Cause::Motion, "motion", 0.0, motion.bbox, quality, ids) {
                        self.stir = Stir::Shown;
                    }
                }
            }
            (Stir::Stirring { since, last, frames, .. }, None) => {
                self.stir = Stir::Stirring { since, last, frames, quiet: true };
            }
            (Stir::Shown, motion) => self.follow_motion(now, motion),
            (Stir::Quiet { .. }, _) => {}
        }
    }

    /// A detector explains the motion after all: what stirs is forgotten, what is shown ends.
    pub fn handle_explained(&mut self, now: Now) {
        let shown = self.slots.iter_mut().find(|slot| slot.cause == Cause::Motion);
        if let Some(slot) = shown.filter(|slot| slot.is_open()) {
            slot.close(now.unix_at(slot.seen));
        }
        self.stir = Stir::Quiet { until: now.at };
    }

    /// Closes everything: the camera is lost or the program ends.
    pub fn handle_end(&mut self, now: Now) {
        self.slots.iter_mut().for_each(|slot| slot.close(now.unix_at(slot.seen)));
        self.stir = Stir::Quiet { until: now.at };
    }

    /// The next change, until there is none.
    pub fn poll_output(&mut self) -> Option<Change> {
        let at = self.slots.iter().position(|slot| slot.step != Step::Open)?;
        let slot = &mut self.slots[at];
        let change = match slot.step {
            Step::New => Some(Change::Opened(slot.event.clone())),
            Step::Better => Some(Change::Better(slot.event.id)),
            Step::Settle => slot.improve(),
            Step::Closing | Step::Open => {
                let improved = slot.improve();
                if improved.is_none() {
                    let Event { id, ended, started, .. } = slot.event;
                    self.slots.swap_remove(at);
                    return Some(Change::Closed { id, ended: ended.unwrap_or(started) });
                }
                return improved;
            }
        };
        slot.step = Step::Open;
        change
    }

    fn follow_motion(&mut self, now: Now, motion: Option<Motion>) {
        let shown = self.slots.iter_mut().find(|s| s.cause == Cause::Motion && s.is_open());
        let Some(slot) = shown else {
            self.stir = Stir::Quiet { until: now.at };
            return;
        };
        if let Some(motion) = motion {
            slot.seen = now.at;
            slot.weigh(now, motion_quality(&motion), motion.bbox);
        }
        slot.age(now);
        let restless = now.at.since_ms(slot.opened) >= MOTION_LONGEST_MS;
        if restless || now.at.since_ms(slot.seen) >= QUIET_MS {
            slot.close(now.unix_at(slot.seen));
            let cooldown = if restless { RESTLESS_COOLDOWN_MS } else { COOLDOWN_MS };
            self.stir = Stir::Quiet { until: now.at.plus_ms(cooldown) };
        }
    }

    /// Whether a track should open an event now.
    fn is_news(&self, now: Now, track: &Track, tracks: &[Track]) -> bool {
        let fresh = track.seen == now.at && track.is_sighted() && !track.is_resting();
        fresh
            && track.score >= OPEN_SCORE
            && !self
                .slots
                .iter()
                .any(|slot| slot.cause == (Cause::Track { id: track.id, episode: track.episode }))
            && (track.sightings >= TWIN_SIGHTINGS || !self.may_be_a_part(track, tracks))
    }

    /// Whether a track lies within an older one of its class that is already shown.
    fn may_be_a_part(&self, track: &Track, tracks: &[Track]) -> bool {
        tracks.iter().any(|other| {
            other.class == track.class
                && other.first < track.first
                && inside(&track.bbox, &other.bbox) >= TWIN_INSIDE
                && self.slots.iter().any(|slot| {
                    slot.is_open()
                        && matches!(slot.cause, Cause::Track { id, .. } if id == other.id)
                })
        })
    }

    #[expect(clippy::too_many_arguments, reason = "each is a fact of the event to be")]
    fn open(
        &mut self,
        now: Now,
        cause: Cause,
        label: &str,
        score: f32,
        bbox: BBox,
        quality: f32,
        ids: &mut dyn FnMut() -> EventId,
    ) -> bool {
        if self.slots.is_full() {
            return false;
        }
        let event = Event {
            id: ids(),
            kind: if cause == Cause::Motion { Kind::Motion } else { Kind::Object },
            label: cut(label),
            camera: self.camera.clone(),
            started: now.unix,
            ended: None,
            score,
            bbox: bbox.clamped(),
            favourite: false,
            reviewed: false,
        };
        let slot = Slot {
            event,
            cause,
            opened: now.at,
            seen: now.at,
            quality,
            looked: now.at,
            second: Second::None,
            step: Step::New,
        };
        self.slots.push(slot).is_ok()
    }
}

/// A track that goes on: its time, its score, and whether this is a better picture of it.
fn follow(slot: &mut Slot, now: Now, track: &Track) {
    slot.seen = track.seen;
    if track.seen == now.at && track.is_sighted() {
        slot.event.score = slot.event.score.max(track.score);
        slot.weigh(now, quality(track.score, &track.bbox), track.bbox);
    }
    slot.age(now);
    if now.at.since_ms(slot.opened) >= LONGEST_MS {
        slot.close(now.unix_at(slot.seen));
    }
}

/// How well a picture shows a thing: sure, large, and not cut off by the picture's edge.
fn quality(score: f32, bbox: &BBox) -> f32 {
    const EDGE: f32 = 0.01;
    let cut = [bbox.x0, bbox.y0].iter().any(|v| *v < EDGE)
        || [bbox.x1, bbox.y1].iter().any(|v| *v > 1.0 - EDGE);
    let whole = if cut { 0.7 } else { 1.0 };
    score * libm::sqrtf(libm::sqrtf(bbox.clamped().area())) * whole
}

fn motion_quality(motion: &Motion) -> f32 {
    quality(motion.share.min(MOTION_MUCH), &motion.bbox)
}

/// The share of `a` that lies in `b`.
fn inside(a: &BBox, b: &BBox) -> f32 {
    let shared =
        BBox { x0: a.x0.max(b.x0), y0: a.y0.max(b.y0), x1: a.x1.min(b.x1), y1: a.y1.min(b.y1) };
    shared.area() / a.area().max(f32::EPSILON)
}

/// As much of `text` as fits, cut between characters.
fn cut<const N: usize>(text: &str) -> String<N> {
    let mut out = String::new();
    for letter in text.chars() {
        if out.push(letter).is_err() {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Detection;
    use crate::track::Tracker;
    use std::vec::Vec as List;

    const START: u64 = 1_750_000_000_000;

    fn now(ms: u64) -> Now {
        Now { at: Instant(ms), unix: UnixMs(START + ms) }
    }

    /// A tracker and a watch as the eye drives them.
    struct Rig {
        tracker: Tracker,
        watch: Watch,
        next: u64,
        out: List<Change>,
    }

    impl Rig {
        fn new() -> Self {
            let watch = Watch::new("porch");
            Self { tracker: Tracker::new(), watch, next: 0, out: List::new() }
        }

        fn drain(&mut self) {
            self.out.extend(core::iter::from_fn(|| self.watch.poll_output()));
        }

        fn look(&mut self, ms: u64, found: &[Detection]) {
            self.tracker.handle_detections(Instant(ms), found, |_| true);
            self.tell(ms);
        }

        fn tell(&mut self, ms: u64) {
            let mut ids = || {
                self.next += 1;
                EventId(self.next)
            };
            let label =
                |class| [Some("person"), None, Some("car")].get(usize::from(class)).copied();
            let tracks = self.tracker.tracks();
            self.watch.handle_tracks(now(ms), tracks, |c| label(c).flatten(), &mut ids);
            self.drain();
        }

        fn motion(&mut self, ms: u64, share: f32) {
            let mut ids = || {
                self.next += 1;
                EventId(self.next)
            };
            let bbox = BBox { x0: 0.2, y0: 0.2, x1: 0.4, y1: 0.6 };
            let motion = (share > 0.0).then_some(Motion { share, bbox });
            self.watch.handle_motion(now(ms), motion, false, &mut ids);
            self.drain();
        }

        fn words(&self) -> List<&'static str> {
            let word = |change: &Change| match change {
                Change::Opened(_) => "opened",
                Change::Better(_) => "better",
                Change::Improved(_) => "improved",
                Change::Closed { .. } => "closed",
            };
            self.out.iter().map(word).collect()
        }
    }

    fn person(score: f32, x: f32, size: f32) -> Detection {
        let bbox = BBox { x0: x, y0: 0.3, x1: x + size, y1: 0.3 + 1.5 * size };
        Detection { class: 0, score, bbox }
    }

    #[test]
    fn a_walker_opens_improves_once_and_closes_when_last_seen() {
        let mut rig = Rig::new();
        rig.look(0, &[person(0.5, 0.1, 0.1)]);
        assert!(rig.out.is_empty(), "0.5 opens nothing");
        for step in 1..15_u64 {
            let size = 0.1 + 0.01 * step as f32;
            rig.look(step * 400, &[person(0.65, 0.1 + 0.03 * step as f32, size)]);
        }
        (15..40).for_each(|step| rig.look(step * 400, &[]));
        let words = rig.words();
        assert_eq!((words[0], &words[words.len() - 2..]), ("opened", &["improved", "closed"][..]));
        assert_eq!(words.iter().filter(|word| **word == "improved").count(), 1);
        assert!(words.iter().filter(|word| **word == "better").count() <= 5, "{words:?}");
        let Some(Change::Closed { ended, .. }) = rig.out.last() else { panic!("closed last") };
        assert_eq!(*ended, UnixMs(START + 14 * 400));
        let Some(Change::Opened(event)) = rig.out.first() else { panic!("opened first") };
        assert_eq!((event.started, event.camera.as_str()), (UnixMs(START + 400), "porch"));
    }

    #[test]
    fn unwatched_classes_and_weak_scores_open_nothing() {
        let mut rig = Rig::new();
        for step in 0..20 {
            let sofa = Detection { class: 1, ..person(0.9, 0.1, 0.2) };
            rig.look(step * 300, &[sofa, person(0.59, 0.6, 0.2)]);
        }
        assert!(rig.out.is_empty());
    }

    #[test]
    fn one_frame_is_enough_and_another_scene_is_another_event() {
        let mut rig = Rig::new();
        for picture in 0..5 {
            rig.tracker.handle_scene(Instant(picture * 500));
            rig.look(picture * 500, &[person(0.63, 0.3, 0.2), person(0.7, 0.6, 0.2)]);
        }
        let opened = rig.words().iter().filter(|word| **word == "opened").count();
        let closed = rig.words().iter().filter(|word| **word == "closed").count();
        assert_eq!((opened, closed), (10, 8));
        rig.watch.handle_end(now(2_500));
        rig.drain();
        assert_eq!(rig.words().iter().filter(|word| **word == "closed").count(), 10);
        assert!(rig.watch.poll_output().is_none());
    }

    #[test]
    fn a_parked_car_is_one_event_and_its_leaving_another() {
        let mut rig = Rig::new();
        let car = |x: f32| Detection { class: 2, ..person(0.8, x, 0.2) };
        for step in 0..20_u64 {
            rig.look(step * 200, &[car(0.8 - 0.02 * step as f32)]);
        }
        for second in 4..4_000_u64 {
            rig.tracker.handle_still(Instant(second * 1_000));
            rig.tell(second * 1_000);
        }
        let [Change::Opened(_), .., Change::Closed { ended, .. }] = &rig.out[..] else {
            panic!("{:?}", rig.words())
        };
        assert!(ended.0 < START + 4_000, "it closes with the moment it came to rest");
        let before = rig.out.len();
        for step in 0..20_u64 {
            rig.look(4_000_000 + step * 200, &[car(0.42 + 0.03 * step as f32)]);
        }
        assert_eq!(rig.words()[before..].iter().filter(|w| **w == "opened").count(), 1);
    }

    #[test]
    fn a_part_of_a_shown_thing_must_last_to_be_shown() {
        let mut rig = Rig::new();
        let part = |score| Detection {
            bbox: BBox { x0: 0.32, y0: 0.35, x1: 0.44, y1: 0.5 },
            ..person(score, 0.0, 0.0)
        };
        rig.look(0, &[person(0.8, 0.3, 0.3)]);
        rig.look(200, &[person(0.8, 0.3, 0.3), part(0.7)]);
        rig.look(400, &[person(0.8, 0.3, 0.3)]);
        assert_eq!(rig.words(), ["opened"]);
        (3..9).for_each(|step| rig.look(step * 200, &[person(0.8, 0.3, 0.3), part(0.7)]));
        assert_eq!(rig.words(), ["opened", "opened"]);
        let mut fresh = Rig::new();
        fresh.look(0, &[person(0.8, 0.3, 0.3), part(0.7)]);
        assert_eq!(fresh.words(), ["opened", "opened"], "in a first look both may be people");
    }

    #[test]
    fn motion_that_lasts_opens_and_quiet_closes() {
        let mut rig = Rig::new();
        rig.motion(0, 0.05);
        rig.motion(100, 0.0);
        rig.motion(2_000, 0.05);
        assert!(rig.out.is_empty(), "a flash is no event");
        (0..50).for_each(|frame| rig.motion(3_000 + frame * 100, 0.02));
        assert_eq!(rig.words(), ["opened"]);
        (0..50).for_each(|frame| rig.motion(8_000 + frame * 100, 0.0));
        assert_eq!(rig.words(), ["opened", "closed"]);
        let Some(Change::Closed { ended, .. }) = rig.out.last() else { panic!("closed") };
        assert_eq!(*ended, UnixMs(START + 7_900));
        (0..20).for_each(|frame| rig.motion(13_000 + frame * 100, 0.02));
        assert_eq!(rig.words().len(), 2, "the cooldown");
        (0..6_000).for_each(|frame| rig.motion(20_000 + frame * 100, 0.02));
        let opened = rig.words().iter().filter(|word| **word == "opened").count();
        assert_eq!(opened, 5, "ten minutes of wind are a few events, not hundreds");
    }

    #[test]
    fn a_slow_board_sees_motion_in_the_few_frames_it_looks_at() {
        let mut rig = Rig::new();
        (0..3).for_each(|look| rig.motion(look * 4_000, 0.05));
        assert_eq!(rig.words(), ["opened"], "no quiet frame said that it paused");
        let mut rig = Rig::new();
        (0..6).for_each(|look| rig.motion(look * 4_000, if look % 2 == 0 { 0.05 } else { 0.0 }));
        (0..3).for_each(|look| rig.motion(60_000 + look * 11_000, 0.05));
        assert!(rig.out.is_empty(), "quiet between, or nobody looked for too long");
    }

    #[test]
    fn more_tracks_than_slots_wait_their_turn() {
        let mut rig = Rig::new();
        let crowd: List<_> = (0..10).map(|n| person(0.9, 0.1 * n as f32, 0.05)).collect();
        for look in 0..20 {
            rig.tracker.handle_scene(Instant(look * 500));
            rig.tracker.handle_detections(Instant(look * 500), &crowd, |_| true);
            let mut ids = || EventId(1);
            let tracks = rig.tracker.tracks();
            rig.watch.handle_tracks(now(look * 500), tracks, |_| Some("person"), &mut ids);
            assert!(rig.watch.slots.len() <= EVENTS, "nobody drained");
        }
    }
}
