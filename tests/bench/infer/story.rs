//! The frames that everything here looks at: the courier of the demo scene, as a YUYV camera
//! of 640 x 480 gives him.

use edge::camera::demo::Demo;
use edge_core::pixels::View;
use edge_core::time::{Instant, UnixMs};
use edge_core::watch::Now;

/// Sides of a frame.
pub(crate) const SIDES: (u32, u32) = (640, 480);
/// Where in the story the frames begin, ms: the courier walks up the path.
const BEGIN_MS: u64 = 9_000;
/// From frame to frame, ms.
const STEP_MS: u64 = 100;
/// Frames of the reel: at 600 KB each they do not stay in a cache, and a camera's do not.
const FRAMES: u64 = 24;

/// The frames, YUYV.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let mut demo = Demo::open(Instant(0));
    let mut rgb = vec![0; (SIDES.0 * SIDES.1 * 3) as usize];
    let times = (0..FRAMES).map(|frame| Instant(BEGIN_MS + frame * STEP_MS));
    let painted = times.filter_map(|now| {
        let frame = demo.next(now)?;
        frame.view.sample_into(&mut rgb, SIDES.0, SIDES.1).then(|| yuyv(&rgb))
    });
    painted.collect()
}

/// A frame where it lies.
pub(crate) fn view(yuyv: &[u8]) -> View<'_> {
    View::yuyv(yuyv, SIDES.0, SIDES.1, SIDES.0 * 2).expect("a frame has its sides")
}

/// BT.601 limited range, in integers of 1/256; two pixels share the colour of the first.
fn yuyv(rgb: &[u8]) -> Vec<u8> {
    let byte = |value: i32, zero: i32| {
        u8::try_from((((value + 128) >> 8) + zero).clamp(0, 255)).unwrap_or_default()
    };
    let luma = |[r, g, b]: [i32; 3]| byte(66 * r + 129 * g + 25 * b, 16);
    let pair = |[r, g, b, r1, g1, b1]: &[u8; 6]| {
        let ([r, g, b], next) = ([*r, *g, *b].map(i32::from), [*r1, *g1, *b1].map(i32::from));
        let u = byte(112 * b - 38 * r - 74 * g, 128);
        let v = byte(112 * r - 94 * g - 18 * b, 128);
        [luma([r, g, b]), u, luma(next), v]
    };
    rgb.as_chunks::<6>().0.iter().flat_map(pair).collect()
}

/// The frames there and back again, without end and without a jump.
#[derive(Debug)]
pub(crate) struct Reel<'a> {
    frames: &'a [Vec<u8>],
    shown: u64,
}

impl<'a> Reel<'a> {
    /// From the first frame on.
    pub(crate) fn new(frames: &'a [Vec<u8>]) -> Self {
        Self { frames, shown: 0 }
    }

    /// The next frame's place among the frames, when it came, and itself.
    pub(crate) fn next(&mut self) -> (usize, Now, View<'a>) {
        let last = self.frames.len() - 1;
        let step = usize::try_from(self.shown).unwrap_or_default() % (2 * last).max(1);
        let at = if step > last { 2 * last - step } else { step };
        let ms = self.shown * STEP_MS;
        self.shown += 1;
        (at, Now { at: Instant(ms), unix: UnixMs(ms) }, view(&self.frames[at]))
    }
}
