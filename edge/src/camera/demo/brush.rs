//! A small painter: soft-edged shapes by their signed distance, on an RGB canvas.

use std::ops::Range;

/// Pixels across and down.
pub(super) const SIZE: (u32, u32) = (640, 480);
/// Pixels across.
pub(super) const WIDTH: usize = 640;
/// Pixels down.
pub(super) const HEIGHT: usize = 480;

/// A place, in pixels.
pub(super) type Spot = (f32, f32);
/// Red, green, blue, each 0.0..=255.0.
pub(super) type Ink = [f32; 3];

/// A picture in the making.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    rgb: Vec<u8>,
}

/// An outline.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'a> {
    /// Centre and radii.
    Ellipse(Spot, Spot),
    /// From one end and its radius to the other and its.
    Limb(Spot, f32, Spot, f32),
    /// Centre, half its sides, and the radius of its corners.
    Slab(Spot, Spot, f32),
    /// Corners in order, and the radius that rounds them outward.
    Outline(&'a [Spot], f32),
}

impl Shape<'_> {
    /// Distance to the outline in pixels, negative inside.
    fn distance(&self, (x, y): Spot) -> f32 {
        match *self {
            Self::Ellipse((cx, cy), (rx, ry)) => {
                // Nearly the distance: exact on the outline, and of the right slope there.
                let (dx, dy) = (x - cx, y - cy);
                let share = length(dx / rx, dy / ry);
                let slope = length(dx / (rx * rx), dy / (ry * ry)).max(1e-6);
                if share < 1e-3 { -rx.min(ry) } else { share * (share - 1.0) / slope }
            }
            Self::Limb((ax, ay), ra, (bx, by), rb) => {
                let (dx, dy) = (bx - ax, by - ay);
                let square = (dx * dx + dy * dy).max(1e-6);
                let along = (((x - ax) * dx + (y - ay) * dy) / square).clamp(0.0, 1.0);
                let away = length(x - ax - dx * along, y - ay - dy * along);
                away - (ra + (rb - ra) * along)
            }
            Self::Slab((cx, cy), (hx, hy), round) => {
                let (dx, dy) = ((x - cx).abs() - hx + round, (y - cy).abs() - hy + round);
                length(dx.max(0.0), dy.max(0.0)) + dx.max(dy).min(0.0) - round
            }
            Self::Outline(corners, round) => outline(corners, (x, y)) - round,
        }
    }

    /// The pixels it may touch, with `margin` around.
    fn reach(&self, margin: f32) -> (Range<usize>, Range<usize>) {
        let (low, high) = match *self {
            Self::Ellipse((x, y), (rx, ry)) | Self::Slab((x, y), (rx, ry), _) => {
                ((x - rx, y - ry), (x + rx, y + ry))
            }
            Self::Limb((ax, ay), ra, (bx, by), rb) => {
                let r = ra.max(rb);
                ((ax.min(bx) - r, ay.min(by) - r), (ax.max(bx) + r, ay.max(by) + r))
            }
            Self::Outline(corners, round) => {
                let far = (f32::INFINITY, f32::NEG_INFINITY);
                let span = |axis: fn(&Spot) -> f32| {
                    corners.iter().map(axis).fold(far, |(low, high), v| (low.min(v), high.max(v)))
                };
                let ((x0, x1), (y0, y1)) = (span(|c| c.0), span(|c| c.1));
                ((x0 - round, y0 - round), (x1 + round, y1 + round))
            }
        };
        let across = pixel(low.0 - margin, WIDTH)..pixel(high.0 + margin + 1.0, WIDTH);
        let down = pixel(low.1 - margin, HEIGHT)..pixel(high.1 + margin + 1.0, HEIGHT);
        (across, down)
    }
}

/// The distance to a polygon: the nearest edge, its sign by crossings.
fn outline(corners: &[Spot], (x, y): Spot) -> f32 {
    let Some(last) = corners.last() else { return f32::INFINITY };
    let (mut nearest, mut inside, mut from) = (f32::INFINITY, false, *last);
    for &to in corners {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let along = ((x - from.0) * dx + (y - from.1) * dy) / (dx * dx + dy * dy).max(1e-6);
        let along = along.clamp(0.0, 1.0);
        nearest = nearest.min(length(x - from.0 - dx * along, y - from.1 - dy * along));
        if (from.1 > y) != (to.1 > y) && x < from.0 + dx * (y - from.1) / dy {
            inside = !inside;
        }
        from = to;
    }
    if inside { -nearest } else { nearest }
}

impl Canvas {
    /// A black one.
    pub(super) fn new() -> Self {
        Self { rgb: vec![0; WIDTH * HEIGHT * 3] }
    }

    /// `R G B`, row by row.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.rgb
    }

    /// Becomes `a` with `share` of `b` in it, 0.0..=1.0.
    pub(super) fn mix(&mut self, a: &Self, b: &Self, share: f32) {
        if share <= 0.0 || share >= 1.0 {
            return self.rgb.copy_from_slice(if share <= 0.0 { &a.rgb } else { &b.rgb });
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=256")]
        let part = (share * 256.0) as u32;
        for ((out, a), b) in self.rgb.iter_mut().zip(&a.rgb).zip(&b.rgb) {
            let mixed = (u32::from(*a) * (256 - part) + u32::from(*b) * part) >> 8;
            *out = u8::try_from(mixed).unwrap_or(u8::MAX);
        }
    }

    /// Fills a shape with one ink.
    pub(super) fn fill(&mut self, shape: Shape<'_>, ink: Ink) {
        self.paint(shape, 1.0, 1.0, |_| ink);
    }

    /// Darkens softly under a shape: `depth` 0.0..=1.0, over `soft` pixels.
    pub(super) fn shade(&mut self, shape: Shape<'_>, soft: f32, depth: f32) {
        self.paint(shape, soft, depth, |_| [18.0, 22.0, 34.0]);
    }

    /// Paints a shape with an ink that may differ from spot to spot; `soft` is how many pixels
    /// wide its edge is, `cover` how much of what lies below it hides.
    pub(super) fn paint(
        &mut self,
        shape: Shape<'_>,
        soft: f32,
        cover: f32,
        ink: impl Fn(Spot) -> Ink,
    ) {
        self.retouch(shape, soft, cover, |spot, _| ink(spot));
    }

    /// The same, where the ink depends on what it covers.
    pub(super) fn retouch(
        &mut self,
        shape: Shape<'_>,
        soft: f32,
        cover: f32,
        ink: impl Fn(Spot, Ink) -> Ink,
    ) {
        let (across, down) = shape.reach(soft);
        for row in down {
            for col in across.clone() {
                let spot = (col as f32 + 0.5, row as f32 + 0.5);
                let hidden = (0.5 - shape.distance(spot) / soft).clamp(0.0, 1.0) * cover;
                if hidden > 0.0 {
                    let at = (row * WIDTH + col) * 3;
                    let under = [0, 1, 2].map(|part| f32::from(self.rgb[at + part]));
                    let mixed = between(under, ink(spot, under), hidden);
                    self.rgb[at..at + 3].copy_from_slice(&mixed.map(byte));
                }
            }
        }
    }

    /// Adds light around a spot, fading over `radius` pixels.
    pub(super) fn glow(&mut self, (x, y): Spot, radius: f32, light: Ink) {
        let (across, down) = Shape::Ellipse((x, y), (radius, radius)).reach(0.0);
        for row in down {
            for col in across.clone() {
                let far = length(col as f32 + 0.5 - x, row as f32 + 0.5 - y) / radius;
                let strength = (1.0 - far).max(0.0).powi(2);
                let at = (row * WIDTH + col) * 3;
                for (value, light) in self.rgb[at..at + 3].iter_mut().zip(light) {
                    *value = byte(f32::from(*value) + light * strength);
                }
            }
        }
    }
}

/// The length of a way, faster than `hypot` and exact enough for pixels.
pub(super) fn length(dx: f32, dy: f32) -> f32 {
    (dx * dx + dy * dy).sqrt()
}

/// One ink, brighter or darker.
pub(super) fn scaled(ink: Ink, by: f32) -> Ink {
    ink.map(|value| value * by)
}

/// From one ink to another.
pub(super) fn between(from: Ink, to: Ink, share: f32) -> Ink {
    let share = share.clamp(0.0, 1.0);
    let mixed = |at: usize| from[at] + (to[at] - from[at]) * share;
    [mixed(0), mixed(1), mixed(2)]
}

/// Smooth noise, 0.0..=1.0: the same at the same spot in every run.
pub(super) fn noise((x, y): Spot) -> f32 {
    let (col, row) = (x.floor(), y.floor());
    let ease = |v: f32| v * v * (3.0 - 2.0 * v);
    let (across, down) = (ease(x - col), ease(y - row));
    let at = |dx: f32, dy: f32| grain((col + dx, row + dy));
    let top = at(0.0, 0.0) + (at(1.0, 0.0) - at(0.0, 0.0)) * across;
    let low = at(0.0, 1.0) + (at(1.0, 1.0) - at(0.0, 1.0)) * across;
    top + (low - top) * down
}

/// Noise of four sizes, 0.0..=1.0.
pub(super) fn cloud((x, y): Spot) -> f32 {
    let octave = |n: f32| noise((x * n + 7.0 * n, y * n)) / n;
    (octave(1.0) + octave(2.0) + octave(4.0) + octave(8.0)) / 1.875
}

/// One random value a whole spot, 0.0..=1.0.
pub(super) fn grain((x, y): Spot) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a hash: any whole number will do")]
    let (col, row) = (x as i32, y as i32);
    let mut state = col.wrapping_mul(374_761_393).wrapping_add(row.wrapping_mul(668_265_263));
    state = (state ^ (state >> 13)).wrapping_mul(1_274_126_177);
    (state >> 8 & 0xffff) as f32 / 65_535.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn byte(value: f32) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn pixel(value: f32, below: usize) -> usize {
    value.clamp(0.0, below as f32) as usize
}
