//! Looks at a picture where it lies: samples it into a tensor or a coarse grid of luma.
//!
//! Nothing is copied or allocated, and no RGB picture of full size ever exists. Sampling
//! stretches the picture to the target. Where the picture is finer than the target, each
//! target pixel is the average of the area it covers, weighted exactly; where it is coarser,
//! neighbours are interpolated.

use core::ops::Range;

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
            Self::Rgb(rows) => sample(rows, tensor, width, height, rgb_at, |rgb| rgb),
            Self::Yuyv(rows) => sample(rows, tensor, width, height, yuv_at, rgb_of_yuv),
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
            Self::Rgb(picture) => luma(picture, grid, cols, rows, rgb_luma_sum),
            Self::Yuyv(picture) => luma(picture, grid, cols, rows, yuyv_luma_sum),
        }
        true
    }
}

/// One axis of a picture stretched onto one axis of a tensor.
#[derive(Debug, Clone, Copy)]
struct Axis {
    source: usize,
    target: usize,
}

/// The source pixels under one target pixel: a first and a last with weights of their own,
/// and those between with the same weight each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: usize,
    last: usize,
    /// Weights of the first, of each between, of the last; 0 for the last where it is the
    /// first.
    weights: [u32; 3],
}

impl Axis {
    /// The sum of the weights of any span.
    fn whole(self) -> usize {
        if self.source >= self.target { self.source } else { 2 * self.target }
    }

    #[expect(clippy::cast_possible_truncation, reason = "sides are at most SIDE_MAX")]
    fn span(self, at: usize) -> Span {
        let Self { source, target } = self;
        if source >= target {
            // In units of 1/target of a source pixel, target pixel `at` covers this.
            let (from, to) = (at * source, (at + 1) * source);
            let (first, last) = (from / target, (to - 1) / target);
            if first == last {
                return Span { first, last, weights: [(to - from) as u32, 0, 0] };
            }
            let head = (first + 1) * target - from;
            let tail = to - last * target;
            Span { first, last, weights: [head as u32, target as u32, tail as u32] }
        } else {
            // The centre, in units of 1/(2 target) of a source pixel, from the first centre.
            let centre = ((2 * at + 1) * source).saturating_sub(target);
            let (first, share) = (centre / (2 * target), centre % (2 * target));
            let last = (first + 1).min(source - 1);
            if first == last {
                return Span { first, last, weights: [2 * target as u32, 0, 0] };
            }
            Span { first, last, weights: [(2 * target - share) as u32, 0, share as u32] }
        }
    }
}

fn sample(
    rows: &Rows<'_>,
    tensor: &mut [u8],
    width: usize,
    height: usize,
    at: impl Fn(&[u8], usize) -> [u32; 3] + Copy,
    finish: impl Fn([u8; 3]) -> [u8; 3],
) {
    let across = Axis { source: rows.width, target: width };
    let down = Axis { source: rows.height, target: height };
    let unit = 1.0 / (across.whole() as f64 * down.whole() as f64);
    let (pixels, _) = tensor.as_chunks_mut::<3>();
    for (row, pixels) in pixels.chunks_exact_mut(width).enumerate() {
        let vertical = down.span(row);
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let horizontal = across.span(column);
            let mut sums = [0_u64; 3];
            for source in vertical.first..=vertical.last {
                let weight = u64::from(vertical.weight(source));
                let line = line_sums(rows.row(source), &horizontal, at);
                for (sum, line) in sums.iter_mut().zip(line) {
                    *sum += weight * u64::from(line);
                }
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean")]
            let mean = |sum: u64| (sum as f64 * unit + 0.5) as u8;
            *pixel = finish(sums.map(mean));
        }
    }
}

impl Span {
    fn weight(&self, at: usize) -> u32 {
        let [head, body, tail] = self.weights;
        if at == self.first {
            head
        } else if at == self.last {
            tail
        } else {
            body
        }
    }
}

/// The weighted sums of one row under a span; at most 255 * 16384.
#[inline]
fn line_sums(row: &[u8], span: &Span, at: impl Fn(&[u8], usize) -> [u32; 3]) -> [u32; 3] {
    let [head, body, tail] = span.weights;
    let mut sums = at(row, span.first).map(|value| value * head);
    if span.last > span.first {
        let mut between = [0; 3];
        for column in span.first + 1..span.last {
            let values = at(row, column);
            for (sum, value) in between.iter_mut().zip(values) {
                *sum += value;
            }
        }
        let last = at(row, span.last);
        for ((sum, between), last) in sums.iter_mut().zip(between).zip(last) {
            *sum += between * body + last * tail;
        }
    }
    sums
}

#[inline]
fn rgb_at(row: &[u8], column: usize) -> [u32; 3] {
    let at = column * 3;
    [row[at], row[at + 1], row[at + 2]].map(u32::from)
}

#[inline]
fn yuv_at(row: &[u8], column: usize) -> [u32; 3] {
    let pair = column / 2 * 4;
    [row[column * 2], row[pair + 1], row[pair + 3]].map(u32::from)
}

/// BT.601 limited range to RGB, in integers of 1/256.
#[inline]
fn rgb_of_yuv([y, u, v]: [u8; 3]) -> [u8; 3] {
    let (y, u, v) = (298 * (i32::from(y) - 16), i32::from(u) - 128, i32::from(v) - 128);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let byte = |value: i32| ((value + 128) >> 8).clamp(0, 255) as u8;
    [byte(y + 409 * v), byte(y - 100 * u - 208 * v), byte(y + 516 * u)]
}

fn luma(
    picture: &Rows<'_>,
    grid: &mut [u8],
    cols: usize,
    rows: usize,
    sum: impl Fn(&[u8], Range<usize>) -> u32,
) {
    for (row, cells) in grid.chunks_exact_mut(cols).enumerate() {
        let lines = cell(row, rows, picture.height);
        for (col, cell_out) in cells.iter_mut().enumerate() {
            let columns = cell(col, cols, picture.width);
            let count = lines.len() * columns.len();
            let total: u64 =
                lines.clone().map(|line| u64::from(sum(picture.row(line), columns.clone()))).sum();
            let mean = (total + count as u64 / 2) / count as u64;
            *cell_out = u8::try_from(mean).unwrap_or(u8::MAX);
        }
    }
}

/// The pixels of cell `at` of `cells` along a side; at least one.
fn cell(at: usize, cells: usize, side: usize) -> Range<usize> {
    let start = at * side / cells;
    start..((at + 1) * side / cells).max(start + 1)
}

#[inline]
fn yuyv_luma_sum(row: &[u8], columns: Range<usize>) -> u32 {
    let (pixels, _) = row[columns.start * 2..columns.end * 2].as_chunks::<2>();
    pixels.iter().map(|[y, _]| u32::from(*y)).sum()
}

#[inline]
fn rgb_luma_sum(row: &[u8], columns: Range<usize>) -> u32 {
    let (pixels, _) = row[columns.start * 3..columns.end * 3].as_chunks::<3>();
    let luma = |rgb: &[u8; 3]| {
        let [r, g, b] = rgb.map(u32::from);
        (77 * r + 150 * g + 29 * b + 128) >> 8
    };
    pixels.iter().map(luma).sum()
}
