//! Who comes and goes: people, a car, a cat, a parcel, each drawn where it stands.

use super::brush::{Canvas, Ink, Shape, Spot, between, length, noise, scaled};
use super::garden::{LAMP, LAMPLIGHT, Light};
use std::f32::consts::{PI, TAU};

/// How far into the dusk: 0.0 day, 1.0 dusk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mood(pub(super) f32);

impl Mood {
    /// An ink in this light; near the lamp, in its light too.
    fn tone(self, ink: Ink, (x, y): Spot) -> Ink {
        if self.0 <= 0.0 {
            return ink;
        }
        let toned = between(ink, Light::Dusk.tone(ink), self.0);
        let far = length(x - LAMP.0, y - LAMP.1) / 210.0;
        let lamp = (1.0 - far).max(0.0).powi(2) * self.0 * 0.8;
        let mut lit = toned;
        for ((value, own), light) in lit.iter_mut().zip(ink).zip(LAMPLIGHT) {
            *value += light * lamp * (0.2 + own / 255.0);
        }
        lit
    }
}

/// Which side of a walker is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Facing {
    /// Walking up to the door.
    Away,
    /// Walking back.
    Here,
    /// Across; 1.0 to the right, -1.0 to the left.
    Side(f32),
}

/// Somebody's clothes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dress {
    pub(super) jacket: Ink,
    pub(super) trousers: Ink,
    pub(super) hair: Ink,
    pub(super) skin: Ink,
    /// A cap instead of hair.
    pub(super) cap: Option<Ink>,
}

/// A person: `foot` between the feet, `tall` pixels, `stride` in steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) foot: Spot,
    pub(super) tall: f32,
    pub(super) stride: f32,
    pub(super) facing: Facing,
    pub(super) dress: Dress,
    pub(super) parcel: bool,
}

impl Person {
    pub(super) fn draw(&self, canvas: &mut Canvas, mood: Mood) {
        let Self { foot: (x, y), tall, .. } = *self;
        let bob = (self.stride * TAU).cos().abs() * 0.012;
        let at = |u: f32, v: f32| (x + u * tall, y - (v + bob) * tall);
        let cast = Shape::Ellipse((x + 0.1 * tall, y + 0.005 * tall), (0.24 * tall, 0.04 * tall));
        canvas.shade(cast, 0.07 * tall, 0.5 - 0.2 * mood.0);
        let swing = (self.stride * PI).sin();
        let behind = self.parcel && self.facing == Facing::Away;
        if behind {
            self.hold(canvas, mood, &at);
        }
        self.legs(canvas, mood, swing, &at);
        self.arm(canvas, mood, -1.0, swing, &at);
        if behind {
            self.arm(canvas, mood, 1.0, swing, &at);
        }
        self.torso(canvas, mood, &at);
        if !behind {
            self.arm(canvas, mood, 1.0, swing, &at);
        }
        self.head(canvas, mood, &at);
        if self.parcel && !behind {
            self.hold(canvas, mood, &at);
        }
    }

    /// Cloth, lighter on the side of the sky's light, with folds.
    fn cloth(&self, canvas: &mut Canvas, mood: Mood, shape: Shape<'_>, ink: Ink) {
        let Self { foot: (x, _), tall, .. } = *self;
        canvas.paint(shape, 1.3, 1.0, |spot| {
            let side = 1.02 - 1.5 * (spot.0 - x) / tall;
            let fold = 0.88 + 0.22 * noise((spot.0 / tall * 22.0, spot.1 / tall * 13.0));
            mood.tone(scaled(ink, (side * fold).clamp(0.5, 1.3)), spot)
        });
    }

    fn legs(&self, canvas: &mut Canvas, mood: Mood, swing: f32, at: &impl Fn(f32, f32) -> Spot) {
        let Dress { trousers, .. } = self.dress;
        for (side, swing) in [(-1.0, -swing), (1.0, swing)] {
            let tone = if side < 0.0 { 0.82 } else { 1.0 };
            let ink = scaled(trousers, tone);
            let (hip, knee, heel, toe) = match self.facing {
                Facing::Side(to) => {
                    let lift = (-swing).max(0.0) * 0.05;
                    let ahead = to * swing;
                    (
                        at(side * 0.012, 0.49),
                        at(ahead * 0.10 + to * 0.02, 0.265),
                        at(ahead * 0.17, 0.035 + lift),
                        at(ahead * 0.17 + to * 0.055, 0.02 + lift),
                    )
                }
                Facing::Away | Facing::Here => {
                    let lift = swing.max(0.0) * 0.055;
                    (
                        at(side * 0.058, 0.49),
                        at(side * 0.064, 0.27 + lift * 0.6),
                        at(side * 0.062, 0.04 + lift),
                        at(side * 0.068, 0.02 + lift),
                    )
                }
            };
            let part = |r: f32| r * self.tall;
            self.cloth(canvas, mood, Shape::Limb(hip, part(0.066), knee, part(0.048)), ink);
            self.cloth(canvas, mood, Shape::Limb(knee, part(0.047), heel, part(0.034)), ink);
            let shoe = Shape::Limb(heel, part(0.026), toe, part(0.022));
            self.cloth(canvas, mood, shoe, [44.0, 38.0, 36.0]);
        }
    }

    fn torso(&self, canvas: &mut Canvas, mood: Mood, at: &impl Fn(f32, f32) -> Spot) {
        let Dress { jacket, .. } = self.dress;
        let wide = if matches!(self.facing, Facing::Side(_)) { 0.62 } else { 1.0 };
        let corners = [
            at(-0.115 * wide, 0.80),
            at(-0.045 * wide, 0.835),
            at(0.045 * wide, 0.835),
            at(0.115 * wide, 0.80),
            at(0.098 * wide, 0.62),
            at(0.10 * wide, 0.47),
            at(-0.10 * wide, 0.47),
            at(-0.098 * wide, 0.62),
        ];
        self.cloth(canvas, mood, Shape::Outline(&corners, 0.018 * self.tall), jacket);
        let hem = Shape::Slab(at(0.0, 0.468), (0.108 * wide * self.tall, 0.012 * self.tall), 1.0);
        self.cloth(canvas, mood, hem, scaled(jacket, 0.7));
        if self.facing == Facing::Here {
            let zip = Shape::Slab(at(0.0, 0.65), (0.006 * self.tall, 0.165 * self.tall), 0.0);
            self.cloth(canvas, mood, zip, scaled(jacket, 0.6));
        }
    }

    fn arm(
        &self,
        canvas: &mut Canvas,
        mood: Mood,
        side: f32,
        swing: f32,
        at: &impl Fn(f32, f32) -> Spot,
    ) {
        let Dress { jacket, skin, .. } = self.dress;
        let (shoulder, elbow, hand) = match self.facing {
            Facing::Side(to) if self.parcel => {
                (at(0.0, 0.78), at(to * 0.03, 0.62), at(to * 0.15, 0.60))
            }
            Facing::Side(to) => {
                let ahead = -to * swing * side;
                (at(0.0, 0.78), at(ahead * 0.07 - to * 0.015, 0.63), at(ahead * 0.15, 0.48))
            }
            _ if self.parcel => {
                (at(side * 0.125, 0.785), at(side * 0.172, 0.64), at(side * 0.10, 0.585))
            }
            Facing::Away | Facing::Here => {
                let lift = swing * side * 0.02;
                (at(side * 0.125, 0.785), at(side * 0.165, 0.635), at(side * 0.16, 0.475 + lift))
            }
        };
        let part = |r: f32| r * self.tall;
        let ink = scaled(jacket, 0.9);
        self.cloth(canvas, mood, Shape::Limb(shoulder, part(0.042), elbow, part(0.036)), ink);
        self.cloth(canvas, mood, Shape::Limb(elbow, part(0.035), hand, part(0.028)), ink);
        let fist = Shape::Ellipse(hand, (part(0.027), part(0.029)));
        canvas.paint(fist, 1.0, 1.0, |spot| mood.tone(skin, spot));
    }

    fn head(&self, canvas: &mut Canvas, mood: Mood, at: &impl Fn(f32, f32) -> Spot) {
        let Dress { hair, skin, cap, .. } = self.dress;
        let part = |r: f32| r * self.tall;
        let lean = if let Facing::Side(to) = self.facing { to * 0.012 } else { 0.0 };
        let neck = Shape::Limb(at(0.0, 0.82), part(0.034), at(lean, 0.87), part(0.032));
        canvas.paint(neck, 1.2, 1.0, |spot| mood.tone(scaled(skin, 0.8), spot));
        let (cx, cy) = at(lean, 0.918);
        let round = |spot: Spot| 1.04 - 0.3 * ((spot.0 - cx) / part(0.06)).max(-0.4);
        let skull = Shape::Ellipse((cx, cy), (part(0.056), part(0.074)));
        canvas.paint(skull, 1.2, 1.0, |spot| mood.tone(scaled(skin, round(spot)), spot));
        if cap.is_some() {
            let below = Shape::Ellipse((cx, cy + part(0.006)), (part(0.058), part(0.064)));
            let covers = if self.facing == Facing::Here { 0.0 } else { 1.0 };
            canvas.paint(below, 1.2, covers, |spot| mood.tone(scaled(hair, round(spot)), spot));
        }
        let top = cap.unwrap_or(hair);
        let (centre, radii) = match self.facing {
            Facing::Away if cap.is_some() => ((cx, cy - part(0.034)), (part(0.060), part(0.048))),
            Facing::Away => ((cx, cy - part(0.010)), (part(0.060), part(0.072))),
            Facing::Here => ((cx, cy - part(0.042)), (part(0.060), part(0.042))),
            Facing::Side(to) => {
                ((cx - to * part(0.018), cy - part(0.030)), (part(0.054), part(0.054)))
            }
        };
        canvas.paint(Shape::Ellipse(centre, radii), 1.2, 1.0, |spot| {
            let strand = 0.85 + 0.3 * noise((spot.0 / part(0.012), spot.1 / part(0.05)));
            mood.tone(scaled(top, strand * round(spot)), spot)
        });
        if cap.is_some() && self.facing != Facing::Away {
            let ahead = if let Facing::Side(to) = self.facing { to * part(0.05) } else { 0.0 };
            let peak = Shape::Ellipse((cx + ahead, cy - part(0.028)), (part(0.058), part(0.012)));
            canvas.paint(peak, 1.0, 1.0, |spot| mood.tone(scaled(top, 0.7), spot));
        }
        if self.facing == Facing::Here {
            for side in [-1.0, 1.0] {
                let eye = Shape::Ellipse(
                    (cx + side * part(0.021), cy + part(0.002)),
                    (part(0.009), part(0.006)),
                );
                canvas.paint(eye, 1.0, 0.8, |spot| mood.tone([48.0, 36.0, 34.0], spot));
            }
            let mouth = Shape::Slab((cx, cy + part(0.037)), (part(0.016), part(0.004)), 1.0);
            canvas.paint(mouth, 1.0, 0.6, |spot| mood.tone([132.0, 72.0, 66.0], spot));
        }
    }

    fn hold(&self, canvas: &mut Canvas, mood: Mood, at: &impl Fn(f32, f32) -> Spot) {
        let ahead = if let Facing::Side(to) = self.facing { to * 0.14 } else { 0.0 };
        let (x, y) = at(ahead, 0.545);
        parcel(canvas, mood, (x, y), self.tall * 0.125);
    }
}

/// A cardboard box; `foot` is the middle of its lower edge, `half` half its width.
pub(super) fn parcel(canvas: &mut Canvas, mood: Mood, (x, y): Spot, half: f32) {
    let high = half * 1.25;
    let front = Shape::Slab((x, y - high / 2.0), (half, high / 2.0), 0.6);
    canvas.paint(front, 1.1, 1.0, |spot| {
        let side = 1.03 - 0.2 * (spot.0 - x) / half;
        mood.tone(scaled([186.0, 140.0, 92.0], side), spot)
    });
    let lid = [
        (x - half, y - high),
        (x - half * 0.72, y - high * 1.3),
        (x + half * 1.1, y - high * 1.3),
        (x + half, y - high),
    ];
    canvas
        .paint(Shape::Outline(&lid, 0.3), 1.1, 1.0, |spot| mood.tone([212.0, 168.0, 116.0], spot));
    let tape = Shape::Slab((x, y - high / 2.0), (half * 0.14, high / 2.0), 0.0);
    canvas.paint(tape, 1.0, 0.75, |spot| mood.tone([222.0, 196.0, 150.0], spot));
    let label = Shape::Slab((x + half * 0.5, y - high * 0.62), (half * 0.28, high * 0.16), 0.0);
    canvas.paint(label, 1.0, 0.95, |spot| mood.tone([240.0, 238.0, 232.0], spot));
}

/// A parcel on the ground.
pub(super) fn parcel_on_ground(canvas: &mut Canvas, mood: Mood, (x, y): Spot, half: f32) {
    canvas.shade(Shape::Ellipse((x + half * 0.2, y), (half * 1.3, half * 0.28)), half * 0.4, 0.5);
    parcel(canvas, mood, (x, y), half);
}

/// A car seen from its side, its nose to the right, on the ground below its middle.
pub(super) fn car(
    canvas: &mut Canvas,
    mood: Mood,
    (x, y): Spot,
    long: f32,
    rolled: f32,
    lights: bool,
) {
    let at = |u: f32, v: f32| (x + u * long, y - v * long);
    let part = |r: f32| r * long;
    canvas.shade(Shape::Ellipse(at(0.0, 0.0), (part(0.53), part(0.045))), part(0.07), 0.62);
    let body = [
        at(-0.488, 0.10),
        at(-0.496, 0.20),
        at(-0.470, 0.262),
        at(-0.405, 0.286),
        at(-0.300, 0.376),
        at(-0.185, 0.404),
        at(0.030, 0.402),
        at(0.110, 0.372),
        at(0.215, 0.284),
        at(0.380, 0.256),
        at(0.468, 0.216),
        at(0.494, 0.150),
        at(0.488, 0.088),
        at(0.30, 0.062),
        at(-0.30, 0.062),
    ];
    canvas.paint(Shape::Outline(&body, part(0.006)), 1.3, 1.0, |spot| {
        let v = (y - spot.1) / long;
        let paint = [164.0, 40.0, 42.0];
        let sky = ((v - 0.225) / 0.05).clamp(0.0, 1.0) * 0.34;
        let under = 0.52 + 0.5 * ((v - 0.06) / 0.14).clamp(0.0, 1.0);
        let crease = if (v - 0.232).abs() < 0.004 { 1.2 } else { 1.0 };
        let skin = between(scaled(paint, under * crease), [226.0, 196.0, 196.0], sky);
        mood.tone(skin, spot)
    });
    glass(
        canvas,
        mood,
        y,
        long,
        &[
            at(-0.275, 0.292),
            at(-0.268, 0.352),
            at(-0.180, 0.384),
            at(-0.062, 0.386),
            at(-0.066, 0.290),
        ],
    );
    glass(
        canvas,
        mood,
        y,
        long,
        &[
            at(-0.044, 0.290),
            at(-0.040, 0.386),
            at(0.028, 0.384),
            at(0.092, 0.358),
            at(0.166, 0.288),
        ],
    );
    trim(canvas, mood, (x, y), long);
    for u in [-0.315, 0.305] {
        wheel(canvas, mood, at(u, 0.076), long, rolled);
    }
    lamps(canvas, mood, (x, y), long, lights);
}

/// Seams, handles, sill, mirror.
fn trim(canvas: &mut Canvas, mood: Mood, (x, y): Spot, long: f32) {
    let at = |u: f32, v: f32| (x + u * long, y - v * long);
    let part = |r: f32| r * long;
    for (u, top, foot) in [(-0.055, 0.385, 0.09), (0.172, 0.28, 0.10), (-0.262, 0.285, 0.16)] {
        let seam = Shape::Limb(at(u, top), part(0.0018), at(u - 0.006, foot), part(0.0018));
        canvas.paint(seam, 1.0, 0.55, |spot| mood.tone([58.0, 14.0, 18.0], spot));
    }
    for u in [-0.095, 0.125] {
        let handle = Shape::Slab(at(u, 0.252), (part(0.02), part(0.005)), 1.0);
        canvas.paint(handle, 1.0, 0.9, |spot| mood.tone([206.0, 170.0, 168.0], spot));
    }
    let sill = Shape::Slab(at(0.0, 0.072), (part(0.30), part(0.012)), 1.0);
    canvas.paint(sill, 1.2, 1.0, |spot| mood.tone([34.0, 32.0, 34.0], spot));
    let mirror = Shape::Ellipse(at(0.128, 0.298), (part(0.022), part(0.014)));
    canvas.paint(mirror, 1.0, 1.0, |spot| mood.tone([142.0, 34.0, 38.0], spot));
}

/// Lamps and bumpers.
fn lamps(canvas: &mut Canvas, mood: Mood, (x, y): Spot, long: f32, lights: bool) {
    let at = |u: f32, v: f32| (x + u * long, y - v * long);
    let part = |r: f32| r * long;
    let shine = if lights { mood.0 } else { 0.0 };
    let front = Shape::Ellipse(at(0.452, 0.196), (part(0.030), part(0.017)));
    canvas.paint(front, 1.0, 1.0, |spot| {
        between(mood.tone([230.0, 230.0, 222.0], spot), [255.0, 246.0, 214.0], shine)
    });
    let rear = Shape::Slab(at(-0.478, 0.226), (part(0.014), part(0.026)), part(0.008));
    canvas.paint(rear, 1.0, 1.0, |spot| {
        between(mood.tone([176.0, 24.0, 26.0], spot), [255.0, 60.0, 48.0], shine)
    });
    for (u, v, half) in [(0.458, 0.098, 0.036), (-0.462, 0.106, 0.034)] {
        let bumper = Shape::Slab(at(u, v), (part(half), part(0.014)), part(0.01));
        canvas.paint(bumper, 1.0, 0.9, |spot| mood.tone([52.0, 48.0, 50.0], spot));
    }
    if lights {
        headlights(canvas, mood, (x, y), long);
    }
}

/// Headlights on the ground and in the air, once it is dark.
fn headlights(canvas: &mut Canvas, mood: Mood, (x, y): Spot, long: f32) {
    if mood.0 > 0.3 {
        let light = scaled([150.0, 138.0, 104.0], mood.0 - 0.2);
        canvas.glow((x + 0.5 * long, y - 0.19 * long), 0.16 * long, light);
        canvas.glow((x + 0.64 * long, y - 0.03 * long), 0.24 * long, scaled(light, 0.5));
    }
}

fn glass(canvas: &mut Canvas, mood: Mood, y: f32, long: f32, corners: &[Spot]) {
    canvas.paint(Shape::Outline(corners, long * 0.006), 1.1, 1.0, |spot| {
        mood.tone([30.0, 26.0, 28.0], spot)
    });
    canvas.paint(Shape::Outline(corners, 0.0), 1.1, 1.0, |spot| {
        let v = ((y - spot.1) / long - 0.29) / 0.1;
        let pane = between([44.0, 54.0, 62.0], [142.0, 170.0, 190.0], v);
        let streak = ((spot.0 + spot.1 * 0.7) / long * 9.0).fract() < 0.12;
        mood.tone(if streak { scaled(pane, 1.25) } else { pane }, spot)
    });
}

fn wheel(canvas: &mut Canvas, mood: Mood, (x, y): Spot, long: f32, rolled: f32) {
    let part = |r: f32| r * long;
    let disc = |r: f32| Shape::Ellipse((x, y), (part(r), part(r)));
    canvas.paint(disc(0.094), 1.3, 1.0, |spot| mood.tone([22.0, 18.0, 20.0], spot));
    canvas.paint(disc(0.079), 1.2, 1.0, |spot| mood.tone([40.0, 40.0, 42.0], spot));
    canvas.paint(disc(0.054), 1.2, 1.0, |spot| {
        let turn = (spot.1 - y).atan2(spot.0 - x) + rolled / part(0.079);
        let spoke = (turn * 5.0).cos() > -0.1;
        let ink = if spoke { [188.0, 190.0, 194.0] } else { [66.0, 66.0, 70.0] };
        mood.tone(scaled(ink, 1.05 - (spot.1 - y) / part(0.2)), spot)
    });
    canvas.paint(disc(0.014), 1.0, 1.0, |spot| mood.tone([120.0, 120.0, 124.0], spot));
}

/// A cat; `foot` is on the ground below it, `to` is 1.0 where it walks right, -1.0 left.
pub(super) fn cat(canvas: &mut Canvas, mood: Mood, (x, y): Spot, long: f32, to: f32, stride: f32) {
    let at = |u: f32, v: f32| (x + u * to * long, y - v * long);
    let part = |r: f32| r * long;
    canvas.shade(Shape::Ellipse(at(0.0, 0.01), (part(0.46), part(0.06))), part(0.09), 0.5);
    let fur = |canvas: &mut Canvas, shape: Shape<'_>, by: f32| {
        canvas.paint(shape, 1.4, 1.0, |spot| {
            let stripe = ((spot.0 - x) / long * 44.0 + 2.0 * noise((spot.1 / 4.0, 0.0))).sin();
            let down = 0.82 + 0.7 * ((y - spot.1) / long - 0.22);
            let ink = if stripe > 0.35 { [166.0, 98.0, 50.0] } else { [214.0, 146.0, 84.0] };
            mood.tone(scaled(ink, (by * down).clamp(0.4, 1.25)), spot)
        });
    };
    let wave = (stride * 1.3).sin();
    let tail = [at(-0.36, 0.40), at(-0.52, 0.46 + 0.02 * wave), at(-0.60, 0.66 + 0.05 * wave)];
    fur(canvas, Shape::Limb(tail[0], part(0.045), tail[1], part(0.036)), 0.95);
    fur(canvas, Shape::Limb(tail[1], part(0.036), tail[2], part(0.024)), 0.95);
    for (leg, u, near) in
        [(0.0, 0.24, 0.72), (0.5, 0.27, 0.95), (0.55, -0.26, 0.72), (0.05, -0.29, 0.95)]
    {
        let step = ((stride + leg) * TAU).sin();
        let lift = ((stride + leg) * TAU).cos().max(0.0) * 0.035;
        let (hip, knee, paw) =
            (at(u, 0.32), at(u + 0.035 * step, 0.17), at(u + 0.085 * step, 0.03 + lift));
        fur(canvas, Shape::Limb(hip, part(0.066), knee, part(0.042)), near);
        fur(canvas, Shape::Limb(knee, part(0.040), paw, part(0.033)), near);
    }
    fur(canvas, Shape::Limb(at(-0.26, 0.365), part(0.118), at(0.22, 0.365), part(0.104)), 1.0);
    fur(canvas, Shape::Limb(at(0.24, 0.40), part(0.085), at(0.37, 0.50), part(0.07)), 1.0);
    for ear in [0.37, 0.465] {
        let tip = [at(ear - 0.045, 0.60), at(ear, 0.715), at(ear + 0.04, 0.60)];
        fur(canvas, Shape::Outline(&tip, part(0.006)), 0.82);
    }
    let face = at(0.42, 0.545);
    fur(canvas, Shape::Ellipse(face, (part(0.112), part(0.098))), 1.05);
    let muzzle = Shape::Ellipse(at(0.495, 0.515), (part(0.045), part(0.034)));
    canvas.paint(muzzle, 1.2, 1.0, |spot| mood.tone([240.0, 224.0, 204.0], spot));
    let eye = Shape::Ellipse(at(0.462, 0.565), (part(0.015), part(0.018)));
    canvas.paint(eye, 1.0, 1.0, |spot| mood.tone([52.0, 62.0, 30.0], spot));
    let nose = Shape::Ellipse(at(0.535, 0.53), (part(0.013), part(0.010)));
    canvas.paint(nose, 1.0, 1.0, |spot| mood.tone([132.0, 70.0, 66.0], spot));
}
