//! A scene of our own, for those who have no camera at hand: somebody brings a parcel, a car
//! comes and stays, a cat passes, somebody takes the parcel; day turns to dusk and back.
//!
//! What is shown depends on the time since the opening alone, so every run is the same.

mod brush;
mod cast;
mod garden;

use super::Frame;
use brush::{Canvas, SIZE, Spot};
use cast::{Dress, Facing, Mood, Person};
use edge_core::pixels::View;
use edge_core::time::Instant;
use garden::Light;

/// Milliseconds from picture to picture.
const STEP_MS: u64 = 100;
/// The story begins again after this long.
const STORY_S: f32 = 120.0;
/// From one day to the next.
const DAY_S: f32 = 600.0;
/// Where the parcel lies, and half its width.
const PARCEL: (Spot, f32) = ((553.0, 352.0), 10.0);
/// The car's length, and where it stands.
const CAR: (f32, Spot) = (262.0, (150.0, 372.0));
/// The path: from below the picture to the door.
const PATH: (Spot, Spot) = ((352.0, 560.0), (524.0, 362.0));

const COURIER: Dress = Dress {
    jacket: [214.0, 132.0, 42.0],
    trousers: [52.0, 58.0, 74.0],
    hair: [60.0, 44.0, 34.0],
    skin: [222.0, 176.0, 148.0],
    cap: Some([58.0, 62.0, 78.0]),
};
const NEIGHBOUR: Dress = Dress {
    jacket: [58.0, 92.0, 148.0],
    trousers: [92.0, 84.0, 76.0],
    hair: [44.0, 32.0, 28.0],
    skin: [164.0, 116.0, 88.0],
    cap: None,
};
const WALKER: Dress = Dress {
    jacket: [152.0, 58.0, 84.0],
    trousers: [48.0, 46.0, 54.0],
    hair: [142.0, 96.0, 56.0],
    skin: [228.0, 188.0, 164.0],
    cap: None,
};

/// The scene as a camera.
#[derive(Debug)]
pub struct Demo {
    day: Canvas,
    dusk: Canvas,
    canvas: Canvas,
    opened: Instant,
    due: Instant,
}

impl Demo {
    /// Paints what stays, once; the story begins now.
    pub fn open(now: Instant) -> Self {
        let (day, dusk) = (garden::paint(Light::Day), garden::paint(Light::Dusk));
        Self { day, dusk, canvas: Canvas::new(), opened: now, due: now }
    }

    /// When the next picture is due.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// The picture of now, when it is due.
    pub fn next(&mut self, now: Instant) -> Option<Frame<'_>> {
        if now < self.due {
            return None;
        }
        let next = self.due.plus_ms(STEP_MS);
        self.due = if next <= now { now.plus_ms(STEP_MS) } else { next };
        self.paint(now.since_ms(self.opened) as f32 / 1_000.0);
        let view = View::rgb(self.canvas.bytes(), SIZE.0, SIZE.1, SIZE.0 * 3)?;
        Some(Frame { view, jpeg: None })
    }

    /// Paints the picture of `seconds` after the opening, what is far first.
    fn paint(&mut self, seconds: f32) {
        let (t, mood) = (seconds.rem_euclid(STORY_S), Mood(dusk(seconds)));
        let canvas = &mut self.canvas;
        canvas.mix(&self.day, &self.dusk, mood.0);
        if (17.2..80.6).contains(&t) {
            cast::parcel_on_ground(canvas, mood, PARCEL.0, PARCEL.1);
        }
        if let Some((spot, rolled)) = car(t) {
            let lights = !(46.5..96.5).contains(&t);
            cast::car(canvas, mood, spot, CAR.0, rolled, lights);
        }
        if let Some(person) = visitor(t) {
            person.draw(canvas, mood);
        }
        if let Some(walker) = passer(t) {
            walker.draw(canvas, mood);
        }
        if let Some((spot, stride)) = cat(t) {
            cast::cat(canvas, mood, spot, 128.0, -1.0, stride);
        }
    }
}

/// How dark it is: day for the first third, dusk in the middle, with a slow turn between.
fn dusk(seconds: f32) -> f32 {
    let at = seconds.rem_euclid(DAY_S) / DAY_S;
    let edge = |from: f32| ease((at - from) / 0.15);
    edge(0.35) - edge(0.85)
}

fn ease(share: f32) -> f32 {
    let share = share.clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

/// How much of the time from `from` to `to` has passed.
fn passed(t: f32, from: f32, to: f32) -> f32 {
    ((t - from) / (to - from)).clamp(0.0, 1.0)
}

/// On the path, `share` of the way to the door.
fn on_path(share: f32) -> (Spot, f32) {
    let ((x0, y0), (x1, y1)) = PATH;
    // Equal steps look smaller from afar.
    let far = 1.0 - (1.0 - share).powf(1.35);
    let y = y0 + (y1 - y0) * far;
    let spot = (x0 + (x1 - x0) * far, y);
    (spot, 126.0 + (y - 352.0) * 0.62)
}

/// Who is on the path: one who brings the parcel, and one who takes it.
fn visitor(t: f32) -> Option<Person> {
    let (share, facing, dress, parcel) = match t {
        3.0..15.5 => (passed(t, 3.0, 15.5), Facing::Away, COURIER, true),
        15.5..17.2 => (1.0, Facing::Away, COURIER, true),
        17.2..18.4 => (1.0, Facing::Here, COURIER, false),
        18.4..29.0 => (1.0 - passed(t, 18.4, 29.0), Facing::Here, COURIER, false),
        69.0..79.6 => (passed(t, 69.0, 79.6), Facing::Away, NEIGHBOUR, false),
        79.6..80.6 => (1.0, Facing::Away, NEIGHBOUR, false),
        80.6..82.0 => (1.0, Facing::Here, NEIGHBOUR, true),
        82.0..92.6 => (1.0 - passed(t, 82.0, 92.6), Facing::Here, NEIGHBOUR, true),
        _ => return None,
    };
    let (foot, tall) = on_path(share);
    let moving = share > 0.0 && share < 1.0;
    let stride = if moving { t * 1.9 } else { 0.0 };
    Some(Person { foot, tall, stride, facing, dress, parcel })
}

/// Who walks by, close to the camera.
fn passer(t: f32) -> Option<Person> {
    let x = (108.0..118.0).contains(&t).then(|| -60.0 + 760.0 * passed(t, 108.0, 118.0))?;
    Some(Person {
        foot: (x, 466.0),
        tall: 204.0,
        stride: t * 1.6,
        facing: Facing::Side(1.0),
        dress: WALKER,
        parcel: false,
    })
}

/// Where the car is, and how far it has rolled.
fn car(t: f32) -> Option<(Spot, f32)> {
    let (away, (stands, y)) = (CAR.0 + 30.0, CAR.1);
    let gone = match t {
        37.0..44.0 => (1.0 - passed(t, 37.0, 44.0)).powi(2),
        44.0..98.0 => 0.0,
        98.0..104.0 => ease(passed(t, 98.0, 104.0)),
        _ => return None,
    };
    let x = stands - away * gone;
    Some(((x, y), x))
}

/// Where the cat is, and its step: it stops halfway to look.
fn cat(t: f32) -> Option<(Spot, f32)> {
    let share = match t {
        53.0..57.5 => 0.5 * passed(t, 53.0, 57.5),
        57.5..60.0 => 0.5,
        60.0..64.5 => 0.5 + 0.5 * passed(t, 60.0, 64.5),
        _ => return None,
    };
    let spot = (720.0 - 820.0 * share, 462.0 - 14.0 * (share * 3.0).sin());
    Some((spot, share * 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_depends_on_time_alone_and_never_panics() {
        let mut one = Demo::open(Instant(0));
        for ms in (0..600_000).step_by(3_700) {
            one.paint(ms as f32 / 1_000.0);
        }
        one.paint(62.0);
        let mut other = Demo::open(Instant(5_000));
        other.paint(62.0);
        assert!(one.canvas.bytes() == other.canvas.bytes());
        assert!(other.next(Instant(5_000)).is_some() && other.next(Instant(5_050)).is_none());
        assert_eq!(other.due(), Instant(5_100));
    }
}
