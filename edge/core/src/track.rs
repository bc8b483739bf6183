//! Tracks: which detections, frame after frame, are the same thing.
//!
//! A detection continues the track it overlaps most, its own class first, then any class (a
//! van is a truck in one frame and a car in the next). What is left over starts a track.
//!
//! ```text
//!            sighting                    REST_MS in one place
//!   (none) ----------> Moving --------------------------------> Resting
//!                        |  ^                                      |
//!      doubted LOST_MS   |  |   WAKING sightings elsewhere         | doubted REST_LOST_MS,
//!      or never strong   v  +--------- (a new episode) ------------+ or unseen for a day
//!                      (none)                                   (none)
//! ```
//! A track that is not detected is not therefore gone: detectors flicker. It is doubted only
//! when something moved where it was; where nothing moves, nothing left. So a parked car costs
//! one episode however long it stays, and frames that the gate held back age nothing.

use crate::decode::Detection;
use crate::geometry::BBox;
use crate::time::Instant;
use heapless::Vec;

/// Tracks at once. When full, the weakest doubted or resting one gives way to a newcomer.
pub const TRACKS: usize = 32;

/// The score from which a track counts as strong: once reached, stillness keeps it.
pub const STRONG: f32 = 0.6;
/// The least overlap that continues a track of the same class.
const SAME_CLASS_IOU: f32 = 0.2;
/// The least overlap that continues a track of another class.
const OTHER_CLASS_IOU: f32 = 0.55;
/// Without overlap: the farthest centre, in sizes of the box, that continues a track.
const NEAR: f32 = 0.9;
/// Overlap with the anchor from which on a track stays in its place.
const IN_PLACE_IOU: f32 = 0.6;
/// Overlap with the anchor below which a resting track is elsewhere.
const ELSEWHERE_IOU: f32 = 0.35;
/// Sightings elsewhere, in a row, that wake a resting track.
const WAKING: u8 = 3;
/// How long a moving track is looked for; one that stood for longer, for as long as it stood.
const LOST_MS: u64 = 5_000;
/// How long a thing stays in one place until it rests.
const REST_MS: u64 = 60_000;
/// How long a resting track is looked for once something moved where it rested, and how often.
const REST_LOST_MS: u64 = 60_000;
const REST_LOST_LOOKS: u16 = 8;
/// The same without the looks: nobody looks while nothing moves.
const REST_FORGOTTEN_MS: u64 = 600_000;
/// A resting track unseen for this long is forgotten although nothing moved there.
const REST_OLD_MS: u64 = 86_400_000;
/// How far ahead a speed is believed.
const FORESIGHT_MS: u64 = 1_000;

/// How a track stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// It moves, or came to a halt only now.
    Moving,
    /// It has been in one place for a minute; `elsewhere` counts sightings away from it.
    Resting {
        /// Sightings in a row outside its place.
        elsewhere: u8,
    },
}

/// Since when, and over how many looks, a track is missed where something moved.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Doubt {
    since: Instant,
    looks: u16,
}

/// One thing, followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Unique in the life of the tracker.
    pub id: u32,
    /// Counts how often it set out anew: 0 at first, one more for each waking.
    pub episode: u16,
    /// The class of its strongest sighting.
    pub class: u8,
    /// The score of its last sighting.
    pub score: f32,
    /// The score of its strongest sighting.
    pub best: f32,
    /// Where it was at its last sighting.
    pub bbox: BBox,
    /// Its first sighting.
    pub first: Instant,
    /// Its last sighting, or the last moment at which stillness proved it there.
    pub seen: Instant,
    /// When it was last known to change its place.
    pub moved: Instant,
    /// How often it was detected.
    pub sightings: u16,
    /// Moving or resting.
    pub pace: Pace,
    anchor: BBox,
    /// Centre, normalised units per millisecond.
    speed: (f32, f32),
    missed: bool,
    doubt: Option<Doubt>,
}

impl Track {
    fn new(id: u32, now: Instant, detection: &Detection) -> Self {
        Self {
            id,
            episode: 0,
            class: detection.class,
            score: detection.score,
            best: detection.score,
            bbox: detection.bbox,
            first: now,
            seen: now,
            moved: now,
            sightings: 1,
            pace: Pace::Moving,
            anchor: detection.bbox,
            speed: (0.0, 0.0),
            missed: false,
            doubt: None,
        }
    }

    /// Whether the last look detected it.
    pub fn is_sighted(&self) -> bool {
        !self.missed
    }

    /// Whether it rests.
    pub fn is_resting(&self) -> bool {
        matches!(self.pace, Pace::Resting { .. })
    }

    /// Where it should be now.
    fn expected(&self, now: Instant) -> BBox {
        let ahead = now.since_ms(self.seen).min(FORESIGHT_MS) as f32;
        let (dx, dy) = (self.speed.0 * ahead, self.speed.1 * ahead);
        let BBox { x0, y0, x1, y1 } = self.bbox;
        BBox { x0: x0 + dx, y0: y0 + dy, x1: x1 + dx, y1: y1 + dy }
    }

    /// How well a detection continues this track; `None` when it does not.
    fn fit(&self, now: Instant, detection: &Detection) -> Option<f32> {
        let expected = self.expected(now);
        let mut iou = expected.iou(&detection.bbox).max(self.bbox.iou(&detection.bbox));
        if self.is_resting() {
            iou = iou.max(self.anchor.iou(&detection.bbox));
        }
        if self.class != detection.class {
            return (iou >= OTHER_CLASS_IOU).then_some(iou);
        }
        if iou >= SAME_CLASS_IOU {
            return Some(1.0 + iou);
        }
        let apart = apart(&expected, &detection.bbox).min(apart(&self.bbox, &detection.bbox));
        (!self.is_resting() && apart < NEAR).then_some((NEAR - apart) / NEAR)
    }

    fn sight(&mut self, now: Instant, detection: &Detection) {
        let passed = now.since_ms(self.seen);
        if passed > 0 {
            let (was, is) = (centre(&self.bbox), centre(&detection.bbox));
            let blend = |old: f32, from: f32, to: f32| {
                0.5 * old + 0.5 * (to - from) / (passed as f32).max(1.0)
            };
            self.speed = (blend(self.speed.0, was.0, is.0), blend(self.speed.1, was.1, is.1));
        }
        if detection.score > self.best {
            (self.best, self.class) = (detection.score, detection.class);
        }
        self.score = detection.score;
        self.bbox = detection.bbox;
        self.seen = now;
        self.sightings = self.sightings.saturating_add(1);
        (self.missed, self.doubt) = (false, None);
        self.place(now);
    }

    /// Compares its place with its anchor.
    fn place(&mut self, now: Instant) {
        let shared = self.anchor.iou(&self.bbox);
        match &mut self.pace {
            Pace::Moving if shared < IN_PLACE_IOU => {
                (self.anchor, self.moved) = (self.bbox, now);
            }
            Pace::Moving => self.settle(now),
            Pace::Resting { elsewhere } if shared < ELSEWHERE_IOU => {
                *elsewhere += 1;
                if *elsewhere >= WAKING {
                    (self.anchor, self.moved) = (self.bbox, now);
                    self.pace = Pace::Moving;
                    self.episode = self.episode.saturating_add(1);
                }
            }
            Pace::Resting { elsewhere } => *elsewhere = 0,
        }
    }

    fn settle(&mut self, now: Instant) {
        if self.pace == Pace::Moving && now.since_ms(self.moved) >= REST_MS {
            self.pace = Pace::Resting { elsewhere: 0 };
            self.speed = (0.0, 0.0);
        }
    }

    fn miss(&mut self, now: Instant, stirred: bool) {
        self.missed = true;
        match &mut self.doubt {
            Some(doubt) => doubt.looks = doubt.looks.saturating_add(1),
            None if stirred => self.doubt = Some(Doubt { since: now, looks: 1 }),
            None => {}
        }
    }

    /// Nothing moved in the whole picture since the last look.
    fn hold(&mut self, now: Instant) {
        if !self.missed {
            self.seen = now;
            self.settle(now);
        }
    }

    /// How long it is looked for: as long as it stood, within bounds.
    fn patience(&self) -> u64 {
        self.seen.since_ms(self.moved).clamp(LOST_MS, REST_LOST_MS)
    }

    fn is_over(&self, now: Instant) -> bool {
        let unseen = now.since_ms(self.seen);
        match (self.pace, self.doubt) {
            (Pace::Moving, Some(_)) => unseen >= self.patience(),
            (Pace::Moving, None) if self.best < STRONG => self.missed && unseen >= LOST_MS,
            (Pace::Moving, None) => unseen >= REST_FORGOTTEN_MS,
            (Pace::Resting { .. }, Some(doubt)) => {
                let doubted = now.since_ms(doubt.since);
                doubted >= REST_FORGOTTEN_MS
                    || doubted >= REST_LOST_MS && doubt.looks >= REST_LOST_LOOKS
            }
            (Pace::Resting { .. }, None) => unseen >= REST_OLD_MS,
        }
    }

    /// What a newcomer must beat to take this one's slot; `None` for a track in sight.
    fn worth(&self) -> Option<f32> {
        let spare = self.doubt.is_some() || self.missed && self.best < STRONG || self.is_resting();
        spare.then_some(self.best + if self.is_resting() { 1.0 } else { 0.0 })
    }
}

/// All tracks of one camera.
#[derive(Debug, Default)]
pub struct Tracker {
    tracks: Vec<Track, TRACKS>,
    next: u32,
}

impl Tracker {
    /// A tracker that follows nothing.
    pub const fn new() -> Self {
        Self { tracks: Vec::new(), next: 0 }
    }

    /// What is followed, oldest first.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Takes in what the detector found; `stirred` tells whether something moved in a box.
    pub fn handle_detections(
        &mut self,
        now: Instant,
        detections: &[Detection],
        stirred: impl Fn(&BBox) -> bool,
    ) {
        // A result holds 10 detections; one bit each tells which are taken.
        let detections = &detections[..detections.len().min(32)];
        let (mut taken, mut sighted) = (0_u32, 0_u32);
        while let Some((track, found)) = self.best_pair(now, detections, taken, sighted) {
            self.tracks[track].sight(now, &detections[found]);
            taken |= 1 << found;
            sighted |= 1 << track;
        }
        for (at, track) in self.tracks.iter_mut().enumerate() {
            if sighted & 1 << at == 0 {
                track.miss(now, stirred(&track.bbox));
            }
        }
        self.end(now);
        for (at, detection) in detections.iter().enumerate() {
            if taken & 1 << at == 0 {
                self.start(now, detection);
            }
        }
    }

    /// The gate held a frame back: nothing moved.
    pub fn handle_still(&mut self, now: Instant) {
        self.tracks.iter_mut().for_each(|track| track.hold(now));
        self.end(now);
    }

    /// The scene changed as a whole: what moved is gone, what rested is doubted.
    pub fn handle_scene(&mut self, now: Instant) {
        self.tracks.retain(Track::is_resting);
        for track in &mut self.tracks {
            track.doubt.get_or_insert(Doubt { since: now, looks: 0 });
        }
    }

    /// The free track and detection that fit best: greedy, strongest first.
    fn best_pair(
        &self,
        now: Instant,
        detections: &[Detection],
        taken: u32,
        sighted: u32,
    ) -> Option<(usize, usize)> {
        let mut best = None;
        let mut most = 0.0;
        for (at, track) in self.tracks.iter().enumerate().filter(|(at, _)| sighted & 1 << at == 0) {
            for (found, detection) in detections.iter().enumerate() {
                if taken & 1 << found == 0
                    && let Some(fit) = track.fit(now, detection)
                    && fit > most
                {
                    (best, most) = (Some((at, found)), fit);
                }
            }
        }
        best
    }

    fn start(&mut self, now: Instant, detection: &Detection) {
        if self.tracks.is_full() && !self.make_room(detection.score) {
            return;
        }
        let track = Track::new(self.next, now, detection);
        self.next = self.next.wrapping_add(1);
        let pushed = self.tracks.push(track);
        debug_assert!(pushed.is_ok(), "there is room");
    }

    fn make_room(&mut self, score: f32) -> bool {
        let worths = self.tracks.iter().enumerate().filter_map(|(at, t)| Some((at, t.worth()?)));
        let weakest = worths.min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((at, _)) = weakest.filter(|(_, worth)| *worth < score + 1.0) else { return false };
        self.tracks.remove(at);
        true
    }

    fn end(&mut self, now: Instant) {
        self.tracks.retain(|track| !track.is_over(now));
    }
}

fn centre(bbox: &BBox) -> (f32, f32) {
    (f32::midpoint(bbox.x0, bbox.x1), f32::midpoint(bbox.y0, bbox.y1))
}

/// The distance of two centres in mean sizes of the boxes; far for boxes of unlike size.
fn apart(a: &BBox, b: &BBox) -> f32 {
    let (area, other) = (a.area(), b.area());
    if area.max(other) > 3.0 * area.min(other) {
        return f32::INFINITY;
    }
    let ((ax, ay), (bx, by)) = (centre(a), centre(b));
    let distance = libm::hypotf(ax - bx, ay - by);
    distance / libm::sqrtf(f32::midpoint(area, other)).max(1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec as List;

    const PERSON: u8 = 0;
    const CAR: u8 = 2;
    const TRUCK: u8 = 7;

    struct Dice(u32);

    impl Dice {
        /// 0.0..1.0
        fn roll(&mut self) -> f32 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / 16_777_216.0
        }
        fn jitter(&mut self, by: f32) -> f32 {
            (self.roll() - 0.5) * 2.0 * by
        }
    }

    fn boxed(cx: f32, cy: f32, w: f32, h: f32) -> BBox {
        BBox { x0: cx - w / 2.0, y0: cy - h / 2.0, x1: cx + w / 2.0, y1: cy + h / 2.0 }
    }

    fn seen(class: u8, score: f32, bbox: BBox) -> Detection {
        Detection { class, score, bbox }
    }

    /// Distinct (track, episode) pairs that were ever strong.
    fn note(strong: &mut List<(u32, u16)>, tracker: &Tracker) {
        for track in tracker.tracks().iter().filter(|t| t.best >= STRONG && !t.is_resting()) {
            if !strong.contains(&(track.id, track.episode)) {
                strong.push((track.id, track.episode));
            }
        }
    }

    #[test]
    fn a_walker_is_one_track_at_any_pace_and_with_missed_frames() {
        for (seed, step_ms, speed) in
            [(1, 100, 0.02), (2, 100, 0.035), (3, 250, 0.06), (4, 500, 0.08), (5, 500, 0.03)]
        {
            let (mut tracker, mut dice, mut strong) = (Tracker::new(), Dice(seed), List::new());
            let mut frame: u64 = 0;
            let mut x = 0.05;
            while x < 0.95 {
                let bbox = boxed(x + dice.jitter(0.008), 0.5 + dice.jitter(0.008), 0.1, 0.4);
                let score = 0.62 + dice.jitter(0.2);
                let found = (dice.roll() > 0.3).then(|| seen(PERSON, score, bbox));
                let now = Instant(frame * step_ms);
                tracker.handle_detections(now, found.as_slice(), |_| true);
                note(&mut strong, &tracker);
                (x, frame) = (x + speed, frame + 1);
            }
            assert_eq!(strong.len(), 1, "seed {seed}");
            for late in 0..60 {
                tracker.handle_detections(Instant((frame + late) * step_ms), &[], |_| true);
            }
            assert!(tracker.tracks().is_empty(), "it left, seed {seed}");
        }
    }

    #[test]
    fn a_parked_car_is_one_episode_in_an_hour_of_flicker_and_passers_by() {
        for seed in 1..40 {
            let (mut tracker, mut dice, mut strong) = (Tracker::new(), Dice(seed), List::new());
            for second in 0..3_600_u64 {
                let place = boxed(0.3, 0.6, 0.3, 0.2);
                let mut found: Vec<Detection, 10> = Vec::new();
                let jitter = boxed(0.3 + dice.jitter(0.01), 0.6 + dice.jitter(0.01), 0.3, 0.2);
                let class = if dice.roll() < 0.2 { TRUCK } else { CAR };
                if dice.roll() < 0.4 {
                    found.push(seen(class, 0.35 + dice.roll() * 0.5, jitter)).expect("room");
                }
                // Every two minutes somebody walks past, and for 10 s right in front of it.
                let walk = second % 120;
                let in_front = (100..110).contains(&walk);
                match second % 7 {
                    _ if in_front => tracker
                        .handle_detections(Instant(second * 1_000), &[], |b| b.iou(&place) > 0.5),
                    0..3 => tracker.handle_still(Instant(second * 1_000)),
                    _ => tracker.handle_detections(Instant(second * 1_000), &found, |_| false),
                }
                if second > 0 {
                    note(&mut strong, &tracker);
                }
            }
            assert_eq!(strong.len(), 1, "seed {seed}: {strong:?}");
        }
    }

    #[test]
    fn two_people_crossing_stay_two() {
        for seed in 1..20 {
            let (mut tracker, mut dice, mut strong) = (Tracker::new(), Dice(seed), List::new());
            for frame in 0..90_u64 {
                let x = 0.05 + frame as f32 * 0.01;
                let mut found: Vec<Detection, 10> = Vec::new();
                // While they overlap, NMS leaves one of them.
                let both = (x - 0.5).abs() > 0.04;
                let a = boxed(x + dice.jitter(0.004), 0.5, 0.1, 0.4);
                let b = boxed(1.0 - x + dice.jitter(0.004), 0.52, 0.1, 0.4);
                found.push(seen(PERSON, 0.8, a)).expect("room");
                if both {
                    found.push(seen(PERSON, 0.7, b)).expect("room");
                }
                tracker.handle_detections(Instant(frame * 150), &found, |_| true);
                note(&mut strong, &tracker);
            }
            assert_eq!(strong.len(), 2, "seed {seed}");
        }
    }

    #[test]
    fn a_car_that_leaves_wakes_and_another_scene_ends_what_moves() {
        let mut tracker = Tracker::new();
        let car = boxed(0.5, 0.6, 0.3, 0.2);
        tracker.handle_detections(Instant(0), &[seen(CAR, 0.9, car)], |_| true);
        (1..100).for_each(|s| tracker.handle_still(Instant(s * 1_000)));
        assert!(tracker.tracks()[0].is_resting(), "stillness keeps it, then it rests");
        tracker.handle_scene(Instant(100_000));
        assert_eq!(tracker.tracks().len(), 1, "what rests is remembered through a change of light");
        for step in 0..10_u64 {
            let bbox = boxed(0.5 + 0.04 * step as f32, 0.6, 0.3, 0.2);
            let now = Instant(101_000 + step * 200);
            tracker.handle_detections(now, &[seen(CAR, 0.9, bbox)], |_| true);
        }
        let track = &tracker.tracks()[0];
        assert_eq!((tracker.tracks().len(), track.episode, track.pace), (1, 1, Pace::Moving));
        tracker.handle_scene(Instant(110_000));
        assert!(tracker.tracks().is_empty());
    }

    #[test]
    fn a_full_tracker_lets_the_weak_go_and_never_grows() {
        let (mut tracker, mut dice) = (Tracker::new(), Dice(9));
        for look in 0..500_u64 {
            let found: List<_> = (0..10)
                .map(|_| seen(PERSON, dice.roll(), boxed(dice.roll(), dice.roll(), 0.05, 0.05)))
                .collect();
            tracker.handle_detections(Instant(look * 50), &found, |_| look % 3 == 0);
            assert!(tracker.tracks().len() <= TRACKS);
        }
    }
}
