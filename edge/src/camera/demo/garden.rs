//! What stays: a house, its door and lamp, a path, a drive, a tree; by day and at dusk.

use super::brush::{
    Canvas, HEIGHT, Ink, Shape, Spot, WIDTH, between, cloud, grain, length, noise, scaled,
};

/// The lamp beside the door.
pub(super) const LAMP: Spot = (478.0, 212.0);
/// What it adds, close by, at dusk.
pub(super) const LAMPLIGHT: Ink = [190.0, 128.0, 58.0];

/// Where the ground begins.
const HORIZON: f32 = 214.0;
/// The house's left edge and the line where its wall meets the ground.
const WALL_LEFT: f32 = 330.0;
const WALL_FOOT: f32 = 342.0;
/// Windows: centre and half their sides.
const WINDOWS: [(Spot, Spot); 2] = [((406.0, 208.0), (36.0, 40.0)), ((612.0, 208.0), (30.0, 40.0))];
const DOOR: (Spot, Spot) = ((530.0, 266.0), (29.0, 74.0));

/// The light in which the scene is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Light {
    Day,
    Dusk,
}

impl Light {
    /// An ink as this light shows it.
    pub(super) fn tone(self, ink: Ink) -> Ink {
        let [r, g, b] = ink;
        match self {
            Self::Day => ink,
            Self::Dusk => [r * 0.36 + 6.0, g * 0.37 + 7.0, b * 0.52 + 14.0],
        }
    }
}

/// Paints everything that stays.
pub(super) fn paint(light: Light) -> Canvas {
    let mut canvas = Canvas::new();
    sky(&mut canvas, light);
    trees_far(&mut canvas, light);
    lawn(&mut canvas, light);
    fence(&mut canvas, light);
    drive(&mut canvas, light);
    path(&mut canvas, light);
    tree(&mut canvas, light);
    wall(&mut canvas, light);
    roof(&mut canvas, light);
    for (centre, half) in WINDOWS {
        window(&mut canvas, light, centre, half);
    }
    door(&mut canvas, light);
    lamp(&mut canvas, light);
    bushes(&mut canvas, light);
    if light == Light::Dusk {
        canvas.glow(LAMP, 210.0, LAMPLIGHT);
        canvas.glow((520.0, 372.0), 110.0, scaled(LAMPLIGHT, 0.35));
    }
    lens(&mut canvas);
    canvas
}

fn sky(canvas: &mut Canvas, light: Light) {
    let all = Shape::Slab((320.0, 120.0), (330.0, 130.0), 0.0);
    canvas.paint(all, 1.0, 1.0, |(x, y)| {
        let down = (y / HORIZON).clamp(0.0, 1.0);
        let puff =
            ((cloud((x / 150.0, y / 60.0 + 3.0)) - 0.5) * 3.2).clamp(0.0, 1.0) * (1.0 - 0.5 * down);
        match light {
            Light::Day => {
                let blue = between([96.0, 152.0, 214.0], [206.0, 224.0, 236.0], down);
                between(blue, [250.0, 250.0, 250.0], puff * 0.85)
            }
            Light::Dusk => {
                let high = between([30.0, 36.0, 74.0], [112.0, 84.0, 118.0], down * 1.4);
                let blue = between(high, [232.0, 146.0, 98.0], (down - 0.55) * 2.2);
                between(blue, [214.0, 122.0, 116.0], puff * 0.45)
            }
        }
    });
}

fn trees_far(canvas: &mut Canvas, light: Light) {
    for (foot, height, wave, ink) in [
        (HORIZON, 48.0, 46.0, [118.0, 142.0, 130.0]),
        (HORIZON + 4.0, 30.0, 21.0, [78.0, 108.0, 74.0]),
    ] {
        for col in 0..WIDTH {
            let x = col as f32;
            let top = foot - height * (0.35 + 0.65 * cloud((x / wave, foot)));
            let strip = Shape::Slab(
                (x + 0.5, f32::midpoint(top, foot + 4.0)),
                (0.5, (foot + 4.0 - top) / 2.0),
                0.0,
            );
            canvas.paint(strip, 1.0, 1.0, |(x, y)| {
                let leaf = 0.82 + 0.36 * noise((x / 5.0, y / 5.0));
                light.tone(scaled(ink, leaf))
            });
        }
    }
}

fn lawn(canvas: &mut Canvas, light: Light) {
    let ground = Shape::Slab((320.0, 360.0), (330.0, 360.0 - HORIZON), 0.0);
    canvas.paint(ground, 1.0, 1.0, |(x, y)| {
        let near = (y - HORIZON) / (HEIGHT as f32 - HORIZON);
        let green = between([136.0, 160.0, 92.0], [78.0, 118.0, 54.0], near);
        let patch = 0.86 + 0.22 * cloud((x / 70.0, y / 26.0));
        let stripe = if ((x + y * 0.9) / 46.0).sin() > 0.0 { 1.03 } else { 0.97 };
        let blade = 0.9 + 0.2 * grain(((x / 1.5).floor(), (y / 2.5).floor()));
        light.tone(scaled(green, patch * stripe * blade))
    });
}

fn fence(canvas: &mut Canvas, light: Light) {
    let white = light.tone([236.0, 234.0, 226.0]);
    canvas.shade(Shape::Slab((165.0, 262.0), (180.0, 4.0), 2.0), 8.0, 0.35);
    for rail in [232.0, 250.0] {
        canvas.fill(Shape::Slab((160.0, rail), (175.0, 2.0), 0.0), scaled(white, 0.86));
    }
    for picket in 0..25 {
        let x = 3.0 + picket as f32 * 13.6;
        let shape =
            [(x - 3.6, 262.0), (x - 3.6, 224.0), (x, 218.5), (x + 3.6, 224.0), (x + 3.6, 262.0)];
        canvas.paint(Shape::Outline(&shape, 0.0), 1.2, 1.0, |(px, _)| {
            scaled(white, if px > x + 1.4 { 0.84 } else { 1.0 })
        });
    }
}

fn drive(canvas: &mut Canvas, light: Light) {
    let edge = [(-10.0, 300.0), (300.0, 296.0), (352.0, 346.0), (330.0, 402.0), (-10.0, 412.0)];
    canvas.paint(Shape::Outline(&edge, 3.0), 2.5, 1.0, |_| light.tone([158.0, 152.0, 140.0]));
    canvas.paint(Shape::Outline(&edge, -1.0), 1.5, 1.0, |(x, y)| {
        let worn = 0.9 + 0.14 * cloud((x / 90.0, y / 22.0));
        let grit = 0.93 + 0.14 * grain((x.floor(), y.floor()));
        light.tone(scaled([128.0, 127.0, 128.0], worn * grit))
    });
}

fn path(canvas: &mut Canvas, light: Light) {
    let edge = [(486.0, 362.0), (574.0, 362.0), (486.0, 490.0), (262.0, 490.0)];
    canvas.paint(Shape::Outline(&edge, 4.0), 3.0, 0.5, |_| light.tone([62.0, 84.0, 44.0]));
    canvas.paint(Shape::Outline(&edge, 0.0), 1.5, 1.0, |(x, y)| {
        // Slabs in perspective: rows grow towards the viewer, each is shifted by half.
        let depth = ((y - 350.0) / 22.0).powf(0.72) * 2.6;
        let (row, in_row) = (depth.floor(), depth.fract());
        let centre = 530.0 - (y - 362.0) * 1.22;
        let across = (x - centre) / (44.0 + (y - 362.0) * 0.53) * 1.5
            + if row % 2.0 == 0.0 { 0.5 } else { 0.0 };
        let joint = in_row < 0.09 || across.fract().abs() < 0.05;
        let slab = 0.9 + 0.2 * grain((row, across.floor()));
        let rough = 0.95 + 0.1 * noise((x / 2.5, y / 2.0));
        let stone = scaled([190.0, 180.0, 164.0], slab * rough);
        light.tone(if joint { scaled(stone, 0.7) } else { stone })
    });
}

fn tree(canvas: &mut Canvas, light: Light) {
    canvas.shade(Shape::Ellipse((60.0, 288.0), (110.0, 12.0)), 14.0, 0.4);
    let bark = |(x, y): Spot| {
        let rough = 0.75 + 0.5 * noise((x / 2.0, y / 9.0));
        light.tone(scaled([96.0, 76.0, 58.0], rough * (1.15 - (x - 12.0) / 48.0)))
    };
    for (from, thick, to, thin) in [
        ((22.0, 290.0), 15.0, (26.0, 150.0), 10.0),
        ((26.0, 180.0), 6.0, (84.0, 80.0), 3.0),
        ((26.0, 150.0), 10.0, (24.0, 60.0), 8.0),
    ] {
        canvas.paint(Shape::Limb(from, thick, to, thin), 1.5, 1.0, bark);
    }
    for (centre, radii) in [
        ((-10.0, 122.0), (50.0, 40.0)),
        ((66.0, 70.0), (62.0, 40.0)),
        ((10.0, 24.0), (120.0, 60.0)),
        ((130.0, 6.0), (72.0, 40.0)),
    ] {
        foliage(canvas, light, centre, radii, [84.0, 126.0, 58.0]);
    }
}

/// A ball of leaves, lit from the upper left.
fn foliage(canvas: &mut Canvas, light: Light, (cx, cy): Spot, (rx, ry): Spot, green: Ink) {
    let ball = Shape::Ellipse((cx, cy), (rx * 1.15, ry * 1.15));
    canvas.retouch(ball, 1.0, 1.0, |(x, y), under| {
        let (u, v) = ((x - cx) / rx, (y - cy) / ry);
        let ragged = 0.74 + 0.42 * cloud((x / 13.0, y / 13.0));
        if length(u, v) > ragged {
            return under;
        }
        let lit = 0.98 - 0.3 * u - 0.42 * v;
        let leaf = 0.6
            + 0.7 * noise((x / 3.2, y / 3.2)) * noise((x / 7.0 + 9.0, y / 7.0))
            + 0.12 * grain((x.floor(), y.floor()));
        light.tone(scaled(green, (lit * leaf).clamp(0.25, 1.5)))
    });
}

fn wall(canvas: &mut Canvas, light: Light) {
    canvas.shade(Shape::Slab((330.0, 348.0), (16.0, 8.0), 2.0), 14.0, 0.3);
    canvas.shade(Shape::Slab((490.0, 350.0), (160.0, 7.0), 2.0), 16.0, 0.45);
    let front = Shape::Slab((490.0, 228.0), (490.0 - WALL_LEFT, WALL_FOOT - 228.0), 0.0);
    canvas.paint(front, 1.0, 1.0, |(x, y)| {
        let board = (y - 110.0).rem_euclid(10.5) / 10.5;
        let lap = if board > 0.88 { 0.78 } else { 1.04 - 0.1 * board };
        let eave = 1.0 - 0.42 * (1.0 - ((y - 122.0) / 34.0)).clamp(0.0, 1.0);
        let worn = 0.97 + 0.06 * cloud((x / 60.0, y / 12.0));
        let foot = 1.0 - 0.14 * ((y - 300.0) / 42.0).clamp(0.0, 1.0);
        light.tone(scaled([232.0, 220.0, 196.0], lap * eave * worn * foot))
    });
    let corner = Shape::Slab((WALL_LEFT + 4.0, 232.0), (5.0, WALL_FOOT - 232.0), 0.0);
    canvas.fill(corner, light.tone([244.0, 240.0, 230.0]));
    let plinth = Shape::Slab((490.0, 338.0), (160.0, 5.0), 0.0);
    canvas.paint(plinth, 1.0, 1.0, |(x, _)| {
        light.tone(scaled([140.0, 132.0, 124.0], 0.9 + 0.2 * grain(((x / 19.0).floor(), 0.0))))
    });
}

fn roof(canvas: &mut Canvas, light: Light) {
    let chimney = Shape::Slab((566.0, 34.0), (17.0, 30.0), 1.0);
    canvas.paint(chimney, 1.0, 1.0, |(x, y)| {
        let brick = grain(((x / 9.0 + (y / 5.0).floor() * 0.5).floor(), (y / 5.0).floor()));
        light.tone(scaled([158.0, 92.0, 74.0], 0.8 + 0.35 * brick))
    });
    canvas.fill(Shape::Slab((566.0, 5.0), (21.0, 4.0), 1.0), light.tone([120.0, 112.0, 106.0]));
    let slope = [(308.0, 116.0), (362.0, 34.0), (660.0, 34.0), (660.0, 116.0)];
    canvas.paint(Shape::Outline(&slope, 0.0), 1.2, 1.0, |(x, y)| {
        let row = ((y - 34.0) / 8.2).floor();
        let tile = grain((((x + row * 7.0) / 15.0).floor(), row));
        let edge = if (y - 34.0).rem_euclid(8.2) > 6.6 { 0.76 } else { 1.0 };
        let side = if (x + row * 7.0).rem_euclid(15.0) < 1.2 { 0.86 } else { 1.0 };
        light.tone(scaled([104.0, 98.0, 106.0], (0.84 + 0.26 * tile) * edge * side))
    });
    let gutter = Shape::Slab((480.0, 118.0), (176.0, 5.5), 2.0);
    canvas.paint(gutter, 1.0, 1.0, |(_, y)| {
        light.tone(scaled([240.0, 238.0, 230.0], 1.04 - (y - 112.0) / 40.0))
    });
}

fn window(canvas: &mut Canvas, light: Light, (cx, cy): Spot, (hx, hy): Spot) {
    let frame = light.tone([246.0, 243.0, 236.0]);
    canvas.shade(Shape::Slab((cx + 2.0, cy + 4.0), (hx + 7.0, hy + 7.0), 2.0), 7.0, 0.35);
    canvas.fill(Shape::Slab((cx, cy), (hx + 6.0, hy + 6.0), 1.0), frame);
    canvas.paint(Shape::Slab((cx, cy), (hx, hy), 0.0), 1.0, 1.0, |(x, y)| {
        let down = (y - cy + hy) / (2.0 * hy);
        let curtain = (x - cx).abs() / hx > 0.62 + 0.08 * (y / 17.0).sin();
        match light {
            Light::Dusk => {
                let warm = between([255.0, 206.0, 128.0], [226.0, 148.0, 72.0], down);
                if curtain { scaled(warm, 0.82) } else { warm }
            }
            Light::Day => {
                let glass = between([136.0, 166.0, 188.0], [58.0, 76.0, 90.0], down);
                let shine = ((x + y * 0.8 - cx - cy + 10.0) / 17.0).rem_euclid(4.0) < 0.7;
                let pane = if curtain { [206.0, 202.0, 196.0] } else { glass };
                if shine { between(pane, [230.0, 238.0, 244.0], 0.3) } else { pane }
            }
        }
    });
    canvas.fill(Shape::Slab((cx, cy), (1.8, hy), 0.0), frame);
    canvas.fill(Shape::Slab((cx, cy - 4.0), (hx, 1.8), 0.0), frame);
    canvas.fill(Shape::Slab((cx, cy + hy + 9.0), (hx + 11.0, 3.0), 1.0), scaled(frame, 0.93));
    canvas.shade(Shape::Slab((cx, cy + hy + 15.0), (hx + 9.0, 2.5), 1.0), 4.0, 0.3);
}

fn door(canvas: &mut Canvas, light: Light) {
    let ((cx, cy), (hx, hy)) = DOOR;
    let white = light.tone([246.0, 243.0, 236.0]);
    let teal = |by: f32| light.tone(scaled([36.0, 96.0, 104.0], by));
    canvas.fill(Shape::Slab((cx, cy), (hx + 7.0, hy + 7.0), 1.0), white);
    canvas.paint(Shape::Slab((cx, cy + 3.0), (hx, hy), 0.0), 1.0, 1.0, |(x, _)| {
        teal(1.06 - 0.16 * (x - cx) / hx)
    });
    for (row, side) in [(0, -1.0), (0, 1.0), (1, -1.0), (1, 1.0)] {
        let centre = (cx + side * 13.0, cy + 6.0 + row as f32 * 42.0);
        canvas.fill(Shape::Slab(centre, (9.5, 17.0), 1.0), teal(0.74));
        canvas.fill(Shape::Slab((centre.0 + 0.8, centre.1 + 1.0), (8.2, 15.6), 1.0), teal(0.98));
    }
    canvas.paint(Shape::Slab((cx, cy - 44.0), (21.0, 17.0), 2.0), 1.0, 1.0, |(x, y)| match light {
        Light::Day => between([150.0, 174.0, 190.0], [70.0, 92.0, 104.0], (y - cy + 61.0) / 34.0),
        Light::Dusk => scaled([252.0, 190.0, 112.0], 0.92 + 0.1 * noise((x / 6.0, y / 6.0))),
    });
    canvas.fill(Shape::Slab((cx, cy - 44.0), (1.3, 17.0), 0.0), teal(0.9));
    canvas
        .fill(Shape::Ellipse((cx + 22.0, cy + 14.0), (2.8, 2.8)), light.tone([222.0, 182.0, 96.0]));
    let roof = [(478.0, 184.0), (496.0, 170.0), (564.0, 170.0), (582.0, 184.0)];
    canvas.shade(Shape::Slab((cx, 194.0), (46.0, 7.0), 2.0), 10.0, 0.4);
    canvas.fill(Shape::Outline(&roof, 1.0), light.tone([96.0, 90.0, 98.0]));
    canvas.fill(Shape::Slab((cx, 186.0), (53.0, 3.0), 1.0), white);
    for (y, half, tone) in [(347.0, 46.0, 1.0), (357.0, 54.0, 0.93)] {
        canvas.paint(Shape::Slab((cx, y), (half, 6.0), 1.0), 1.0, 1.0, |(x, py)| {
            let top = if py < y - 2.0 { 1.06 } else { 0.8 };
            light.tone(scaled(
                [188.0, 182.0, 174.0],
                tone * top * (0.95 + 0.1 * noise((x / 4.0, py))),
            ))
        });
    }
    canvas.fill(Shape::Slab((cx, 342.5), (24.0, 2.5), 1.0), light.tone([112.0, 82.0, 58.0]));
}

fn lamp(canvas: &mut Canvas, light: Light) {
    let (x, y) = LAMP;
    let iron = light.tone([46.0, 44.0, 46.0]);
    canvas.fill(Shape::Slab((x, y - 14.0), (2.0, 5.0), 0.0), iron);
    canvas
        .fill(Shape::Outline(&[(x - 7.0, y - 8.0), (x, y - 15.0), (x + 7.0, y - 8.0)], 0.5), iron);
    let glass = match light {
        Light::Day => [214.0, 212.0, 196.0],
        Light::Dusk => [255.0, 236.0, 184.0],
    };
    canvas.fill(Shape::Slab((x, y), (5.0, 8.0), 1.0), glass);
    canvas.fill(Shape::Slab((x, y + 9.5), (6.0, 1.8), 0.5), iron);
}

fn bushes(canvas: &mut Canvas, light: Light) {
    for (x, size, green) in [
        (352.0, 27.0, [74.0, 110.0, 58.0]),
        (394.0, 22.0, [96.0, 132.0, 66.0]),
        (436.0, 25.0, [70.0, 104.0, 60.0]),
        (618.0, 30.0, [78.0, 114.0, 60.0]),
    ] {
        canvas.shade(Shape::Ellipse((x + 6.0, 352.0), (size * 1.2, 6.0)), 9.0, 0.42);
        foliage(canvas, light, (x, 337.0), (size * 1.25, size * 0.9), green);
    }
    for flower in 0..46 {
        let at = flower as f32;
        let x = 342.0 + 108.0 * grain((at, 1.0));
        let y = 340.0 + 14.0 * grain((at, 2.0));
        let inks = [[232.0, 92.0, 110.0], [244.0, 204.0, 92.0], [238.0, 232.0, 238.0]];
        let ink = light.tone(inks[flower % 3]);
        canvas.fill(Shape::Ellipse((x, y), (2.1, 1.9)), ink);
    }
}

/// What a lens and a sensor add: darker corners and a fine grain.
fn lens(canvas: &mut Canvas) {
    let all = Shape::Slab((320.0, 240.0), (330.0, 250.0), 0.0);
    canvas.retouch(all, 1.0, 1.0, |(x, y), under| {
        let far = length((x - 320.0) / 400.0, (y - 240.0) / 320.0);
        let dim = 1.0 - 0.26 * far.powi(3);
        let grit = (grain((x.floor() + 31.0, y.floor() + 17.0)) - 0.5) * 7.0;
        under.map(|value| value * dim + grit)
    });
}
