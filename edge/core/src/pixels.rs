//! Looks at a picture where it lies: samples it into a tensor or a coarse grid of luma.
//!
//! Nothing is copied or allocated, and no RGB picture of full size ever exists. Sampling
//! stretches the picture to the target. Where the picture is finer than the target, each
//! target pixel is the average of the area it covers, weighted exactly; where it is coarser,
//! neighbours are interpolated.

mod luma;
mod sample;

/// Longest side of a picture, pixels.
pub const SIDE_MAX: u32 = 8192;

/// A borrowed picture.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    /// `Y U Y V` for every two pixels, BT.601 limited range, as cameras give it.
    Yuyv(Rows<'a>),
    /// `R G B`.
    Rgb(Rows<'a>),
}

/// The bytes of a picture, checked against its sides.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    bytes: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    fn new(bytes: &'a [u8], width: u32, height: u32, stride: u32, pixel: usize) -> Option<Self> {
        let sides = 1..=SIDE_MAX;
        if !sides.contains(&width) || !sides.contains(&height) {
            return None;
        }
        let [width, height, stride] =
            [width, height, stride].map(|side| usize::try_from(side).unwrap_or(usize::MAX));
        let row = width * pixel;
        let needed = stride.checked_mul(height - 1)?.checked_add(row)?;
        (stride >= row && bytes.len() >= needed).then_some(Self { bytes, width, height, stride })
    }

    fn row(&self, row: usize) -> &'a [u8] {
        &self.bytes[row * self.stride..]
    }
}

impl<'a> View<'a> {
    /// A YUYV picture; `None` where a side is 0, odd in width or over [`SIDE_MAX`], or where
    /// the bytes are too few. `stride` is the bytes from one row to the next.
    pub fn yuyv(bytes: &'a [u8], width: u32, height: u32, stride: u32) -> Option<Self> {
        let even = width.is_multiple_of(2);
        Rows::new(bytes, width, height, stride, 2).filter(|_| even).map(Self::Yuyv)
    }

    /// An RGB picture; `None` as for [`View::yuyv`].
    pub fn rgb(bytes: &'a [u8], width: u32, height: u32, stride: u32) -> Option<Self> {
        Rows::new(bytes, width, height, stride, 3).map(Self::Rgb)
    }

    fn rows(&self) -> &Rows<'a> {
        match self {
            Self::Yuyv(rows) | Self::Rgb(rows) => rows,
        }
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        u32::try_from(self.rows().width).unwrap_or(SIDE_MAX)
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        u32::try_from(self.rows().height).unwrap_or(SIDE_MAX)
    }

    /// Stretches the picture into `tensor`, `[1, height, width, 3] u8 NHWC`, RGB.
    ///
    /// `false`, and nothing is written, where the tensor is not that long.
    pub fn sample_into(&self, tensor: &mut [u8], width: u32, height: u32) -> bool {
        let [width, height] = [width, height].map(|side| side.min(SIDE_MAX) as usize);
        if width == 0 || height == 0 || tensor.len() != width * height * 3 {
            return false;
        }
        match self {
            Self::Rgb(rows) => sample::rgb(rows, tensor, width, height),
            Self::Yuyv(rows) => sample::yuyv(rows, tensor, width, height),
        }
        true
    }

    /// The mean luma of each cell of a grid laid over the picture, row by row, 0..=255.
    ///
    /// Luma is the camera's own Y for YUYV and full-range BT.601 for RGB. `false`, and
    /// nothing is written, where `grid` is not `cols * rows` long.
    pub fn luma_into(&self, grid: &mut [u8], cols: u32, rows: u32) -> bool {
        let [cols, rows] = [cols, rows].map(|side| side.min(SIDE_MAX) as usize);
        if cols == 0 || rows == 0 || grid.len() != cols * rows {
            return false;
        }
        match self {
            Self::Rgb(picture) => luma::rgb(picture, grid, cols, rows),
            Self::Yuyv(picture) => luma::yuyv(picture, grid, cols, rows),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            self.0 >> 33
        }

        fn bytes(&mut self, length: usize) -> Vec<u8> {
            (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
        }

        fn side(&mut self, most: u64) -> u32 {
            u32::try_from(1 + self.next() % most).expect("small")
        }
    }

    /// The share of source pixel `s` in target pixel `t`, by the definition.
    fn share(source: u32, target: u32, s: u32, t: u32) -> f64 {
        let [source, target, s, t] = [source, target, s, t].map(f64::from);
        let scale = source / target;
        if scale >= 1.0 {
            let covered = (s + 1.0).min((t + 1.0) * scale) - s.max(t * scale);
            covered.max(0.0) / scale
        } else {
            let centre = ((t + 0.5) * scale - 0.5).clamp(0.0, source - 1.0);
            (1.0 - (centre - s).abs()).max(0.0)
        }
    }

    fn naive(
        (width, height): (u32, u32),
        (w, h): (u32, u32),
        at: impl Fn(u32, u32) -> [u8; 3],
    ) -> Vec<[f64; 3]> {
        let mut means = Vec::new();
        for row in 0..h {
            for column in 0..w {
                let mut mean = [0.0; 3];
                for y in 0..height {
                    for x in 0..width {
                        let share = share(height, h, y, row) * share(width, w, x, column);
                        for (mean, value) in mean.iter_mut().zip(at(x, y)) {
                            *mean += share * f64::from(value);
                        }
                    }
                }
                means.push(mean);
            }
        }
        means
    }

    #[test]
    fn rgb_equals_the_naive_twin() {
        let mut random = Random(1);
        for _ in 0..300 {
            let (width, height) = (random.side(40), random.side(40));
            let (w, h) = (random.side(20), random.side(20));
            let stride = width * 3 + random.side(5);
            let bytes = random.bytes((stride * height) as usize);
            let mut tensor = vec![0; (w * h * 3) as usize];
            let view = View::rgb(&bytes, width, height, stride).expect("it fits");
            assert!(view.sample_into(&mut tensor, w, h));
            let at = |x: u32, y: u32| {
                let at = (y * stride + x * 3) as usize;
                [bytes[at], bytes[at + 1], bytes[at + 2]]
            };
            let means = naive((width, height), (w, h), at);
            for (ours, mean) in tensor.iter().zip(means.as_flattened()) {
                let off = (f64::from(*ours) - mean).abs();
                assert!(off < 0.55, "{width}x{height} to {w}x{h}: {ours}, {mean}");
            }
        }
    }

    #[test]
    fn yuyv_equals_the_naive_twin() {
        let mut random = Random(2);
        for _ in 0..300 {
            let (width, height) = (2 * random.side(20), random.side(40));
            let (w, h) = (random.side(20), random.side(20));
            let stride = width * 2 + random.side(5);
            let bytes = random.bytes((stride * height) as usize);
            let mut tensor = vec![0; (w * h * 3) as usize];
            let view = View::yuyv(&bytes, width, height, stride).expect("it fits");
            assert!(view.sample_into(&mut tensor, w, h));
            let at = |x: u32, y: u32| {
                let (line, pair) = ((y * stride) as usize, (x / 2 * 4) as usize);
                [bytes[line + 2 * x as usize], bytes[line + pair + 1], bytes[line + pair + 3]]
            };
            let means = naive((width, height), (w, h), at);
            for (ours, [y, u, v]) in tensor.as_chunks::<3>().0.iter().zip(means) {
                let (y, u, v) = ((y - 16.0) * 255.0 / 219.0, (u - 128.0) / 224.0, v - 128.0);
                let (u, v) = (u * 255.0, v * 255.0 / 224.0);
                let rgb = [y + 1.402 * v, y - 0.344_14 * u - 0.714_14 * v, y + 1.772 * u];
                for (ours, expect) in ours.iter().zip(rgb) {
                    let off = (f64::from(*ours) - expect.clamp(0.0, 255.0)).abs();
                    assert!(off < 0.6, "{ours} is not {expect}");
                }
            }
        }
    }

    #[test]
    fn long_sides_equal_the_naive_twin() {
        let mut random = Random(4);
        for (width, height, w, h) in
            [(8192, 2, 3, 1), (7200, 1, 1, 1), (1, 7201, 1, 2), (3, 8191, 2, 5), (4097, 3, 64, 3)]
        {
            let bytes = random.bytes((width * height * 3) as usize);
            let bytes: Vec<u8> = bytes.iter().map(|byte| byte | 0x80).collect();
            let mut tensor = vec![0; (w * h * 3) as usize];
            let view = View::rgb(&bytes, width, height, width * 3).expect("it fits");
            assert!(view.sample_into(&mut tensor, w, h));
            let at = |x: u32, y: u32| {
                let at = ((y * width + x) * 3) as usize;
                [bytes[at], bytes[at + 1], bytes[at + 2]]
            };
            let means = naive((width, height), (w, h), at);
            for (ours, mean) in tensor.iter().zip(means.as_flattened()) {
                let off = (f64::from(*ours) - mean).abs();
                assert!(off < 0.6, "{width}x{height} to {w}x{h}: {ours}, {mean}");
            }
        }
    }

    #[test]
    fn every_colour_is_within_a_step() {
        for (u, v) in (0..=255).step_by(5).flat_map(|u| (0..=255).step_by(5).map(move |v| (u, v))) {
            for y in 0..=255 {
                let mut tensor = [0; 3];
                let view = [y, u, y, v];
                let view = View::yuyv(&view, 2, 1, 4).expect("it fits");
                assert!(view.sample_into(&mut tensor, 1, 1));
                let [y, u, v] = [y, u, v].map(f64::from);
                let (y, u, v) = ((y - 16.0) * 255.0 / 219.0, u - 128.0, v - 128.0);
                let rgb = [y + 1.596_03 * v, y - 0.391_76 * u - 0.812_97 * v, y + 2.017_23 * u];
                for (ours, expect) in tensor.iter().zip(rgb) {
                    let off = (f64::from(*ours) - expect.clamp(0.0, 255.0)).abs();
                    assert!(off < 0.6, "{ours} is not {expect}");
                }
            }
        }
    }

    #[test]
    fn luma_equals_the_naive_twin() {
        let mut random = Random(3);
        for _ in 0..300 {
            let (width, height) = (2 * random.side(20), random.side(40));
            let (cols, rows) = (random.side(width.into()), random.side(height.into()));
            let bytes = random.bytes((width * height * 2) as usize);
            let view = View::yuyv(&bytes, width, height, width * 2).expect("it fits");
            let mut grid = vec![0; (cols * rows) as usize];
            assert!(view.luma_into(&mut grid, cols, rows));
            for (at, ours) in (0..).zip(grid) {
                let (col, row) = (at % cols, at / cols);
                let mut all = Vec::new();
                for y in row * height / rows..(row + 1) * height / rows {
                    for x in col * width / cols..(col + 1) * width / cols {
                        all.push(f64::from(bytes[(y * width * 2 + x * 2) as usize]));
                    }
                }
                let mean = all.iter().sum::<f64>() / all.len() as f64;
                assert!((f64::from(ours) - mean).abs() < 0.5 + 1e-6, "{ours} is not {mean}");
            }
        }
    }

    #[test]
    fn colours_are_what_they_are_called() {
        let white = [235, 128, 235, 128];
        let black = [16, 128, 16, 128];
        let red = [81, 90, 81, 240];
        for (bytes, expect) in [(white, [255; 3]), (black, [0; 3]), (red, [254, 0, 0])] {
            let view = View::yuyv(&bytes, 2, 1, 4).expect("it fits");
            let mut tensor = [9; 3];
            assert!(view.sample_into(&mut tensor, 1, 1));
            assert_eq!(tensor, expect);
        }
        let view = View::rgb(&[255, 255, 255, 0, 0, 0], 1, 2, 3).expect("it fits");
        let mut grid = [0; 2];
        assert!(view.luma_into(&mut grid, 1, 2));
        assert_eq!(grid, [255, 0]);
    }

    #[test]
    fn a_picture_that_does_not_fit_its_bytes_is_none() {
        let bytes = [0; 24];
        for (width, height, stride, fits) in [
            (4, 3, 8, true),
            (4, 3, 9, false),
            (4, 2, 16, true),
            (3, 3, 8, false),
            (0, 3, 8, false),
            (4, 0, 8, false),
            (4, 3, 7, false),
            (8194, 1, 20_000, false),
            (2, u32::MAX, u32::MAX, false),
        ] {
            let view = View::yuyv(&bytes, width, height, stride);
            assert_eq!(view.is_some(), fits, "{width}x{height}, {stride}");
        }
        let view = View::rgb(&bytes, 4, 2, 12).expect("it fits");
        assert!(!view.sample_into(&mut [0; 8], 2, 2), "a tensor of the wrong length");
        assert!(!view.luma_into(&mut [], 0, 4), "a grid without cells");
        let mut grid = [1; 64];
        assert!(view.luma_into(&mut grid, 8, 8), "a grid finer than the picture");
        assert_eq!(grid, [0; 64]);
    }
}
