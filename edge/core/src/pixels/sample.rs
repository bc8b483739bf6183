//! Stretches a picture onto a tensor: rows first, every byte of a row alike, then the columns.
//!
//! ```text
//! rows under a target row --weights--> one row of i32 sums --unpack--> one row of pixels, f32
//!                          columns under each target pixel --weights--> pixel --finish--> RGB
//! ```
//! Both loops are plain enough for the compiler to make vectors of them, and what is the same
//! for all rows is worked out once: this is most of what the eye costs beside inference.
//! Sums of rows are exact; sums of columns are off by less than a thousandth of a grey level.

#![deny(clippy::indexing_slicing)]

use super::{Rows, SIDE_MAX};
use heapless::Vec;

/// Longest side, and the room for what there is one of a column: 224 KiB of stack in all.
const SIDE: usize = SIDE_MAX as usize;
/// Columns whose rows are summed at a time.
const PIECE: usize = 512;

/// Three numbers, and a fourth that makes it one vector.
type Pixel = [f32; 4];

/// `tensor` is `[height, width, 3]`, no side longer than [`SIDE_MAX`].
pub(super) fn rgb(rows: &Rows<'_>, tensor: &mut [u8], width: usize, height: usize) {
    stretch::<3>(rows, tensor, width, height, unpack_rgb, |rgb| rgb);
}

/// The same from YUYV, BT.601 limited range.
pub(super) fn yuyv(rows: &Rows<'_>, tensor: &mut [u8], width: usize, height: usize) {
    stretch::<2>(rows, tensor, width, height, unpack_yuyv, rgb_of_yuv);
}

/// `BYTES` are those of a pixel.
fn stretch<const BYTES: usize>(
    rows: &Rows<'_>,
    tensor: &mut [u8],
    width: usize,
    height: usize,
    unpack: impl Fn(&[i32], &mut [Pixel]),
    finish: impl Fn(Pixel) -> Pixel,
) {
    let across = Axis { source: rows.width, target: width };
    let down = Axis { source: rows.height, target: height };
    let columns = Columns::new(across, 1.0 / down.whole() as f32);
    let mut line = Vec::<Pixel, SIDE>::new();
    // Never longer: a picture's sides are checked.
    let _ = line.resize(rows.width, [0.0; 4]);
    let mut sums = [0; 3 * PIECE];
    let (pixels, _) = tensor.as_chunks_mut::<3>();
    for (span, pixels) in down.spans().zip(pixels.chunks_exact_mut(width)) {
        for (at, piece) in line.chunks_mut(PIECE).enumerate() {
            let (sums, _) = sums.split_at_mut(piece.len() * BYTES);
            sum_rows(rows, &span, at * PIECE * BYTES, sums);
            unpack(sums, piece);
        }
        for (under, pixel) in columns.under.iter().zip(pixels) {
            let [r, g, b, _] = finish(columns.sum(&line, under));
            *pixel = [r, g, b].map(byte);
        }
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
    weights: [u16; 3],
}

impl Axis {
    /// The sum of the weights of any span, at most twice [`SIDE_MAX`].
    fn whole(self) -> usize {
        if self.source >= self.target { self.source } else { 2 * self.target }
    }

    /// The spans of all target pixels in order.
    fn spans(self) -> impl Iterator<Item = Span> {
        (0..self.target).map(move |at| self.span(at))
    }

    #[expect(clippy::cast_possible_truncation, reason = "sides are at most SIDE_MAX")]
    fn span(self, at: usize) -> Span {
        let Self { source, target } = self;
        if source >= target {
            // In units of 1/target of a source pixel, target pixel `at` covers this.
            let (from, to) = (at * source, (at + 1) * source);
            let (first, last) = (from / target, (to - 1) / target);
            if first == last {
                return Span { first, last, weights: [(to - from) as u16, 0, 0] };
            }
            let head = (first + 1) * target - from;
            let tail = to - last * target;
            Span { first, last, weights: [head as u16, target as u16, tail as u16] }
        } else {
            // The centre, in units of 1/(2 target) of a source pixel, from the first centre.
            let centre = ((2 * at + 1) * source).saturating_sub(target);
            let (first, share) = (centre / (2 * target), centre % (2 * target));
            let last = (first + 1).min(source - 1);
            if first == last {
                return Span { first, last, weights: [2 * target as u16, 0, 0] };
            }
            Span { first, last, weights: [(2 * target - share) as u16, 0, share as u16] }
        }
    }
}

/// The weighted sums of the rows under a span, from a byte of the row on; each at most
/// 255 * 16,384, which an `f32` holds exactly.
fn sum_rows(rows: &Rows<'_>, span: &Span, from: usize, sums: &mut [i32]) {
    let [head, body, tail] = span.weights;
    let bytes = |row| rows.row(row).get(from..).unwrap_or_default();
    for (sum, byte) in sums.iter_mut().zip(bytes(span.first)) {
        *sum = i32::from(head) * i32::from(*byte);
    }
    for row in span.first + 1..=span.last {
        let weight = if row == span.last { tail } else { body };
        for (sum, byte) in sums.iter_mut().zip(bytes(row)) {
            *sum += i32::from(weight) * i32::from(*byte);
        }
    }
}

/// The columns under one target pixel.
#[derive(Debug, Clone, Copy)]
struct Under {
    first: u16,
    last: u16,
    /// Weights of the first and of the last.
    ends: [f32; 2],
}

/// The columns under every target pixel of a row.
struct Columns {
    under: Vec<Under, SIDE>,
    /// The weight of each column between a first and a last.
    between: f32,
}

impl Columns {
    /// `unit` is what one unit of a row's sums stands for.
    #[expect(clippy::cast_possible_truncation, reason = "sides are at most SIDE_MAX")]
    fn new(across: Axis, unit: f32) -> Self {
        let unit = unit / across.whole() as f32;
        let under = |Span { first, last, weights: [head, _, tail] }| Under {
            first: first as u16,
            last: last as u16,
            ends: [head, tail].map(|weight| f32::from(weight) * unit),
        };
        Self { under: across.spans().map(under).collect(), between: across.target as f32 * unit }
    }

    /// The mean of a pixel's columns.
    #[inline]
    fn sum(&self, line: &[Pixel], under: &Under) -> Pixel {
        let Under { first, last, ends: [head, tail] } = *under;
        match line.get(usize::from(first)..=usize::from(last)) {
            Some([start, between @ .., end]) => {
                let mut sum = [0.0; 4];
                for pixel in between {
                    sum = zip(sum, *pixel, |sum, value| sum + value);
                }
                let ends = zip(*start, *end, |start, end| start * head + end * tail);
                zip(sum, ends, |sum, ends| sum * self.between + ends)
            }
            Some([only]) => only.map(|value| value * head),
            _ => [0.0; 4],
        }
    }
}

#[inline]
fn zip([a, b, c, d]: Pixel, [e, f, g, h]: Pixel, with: impl Fn(f32, f32) -> f32) -> Pixel {
    [with(a, e), with(b, f), with(c, g), with(d, h)]
}

fn unpack_rgb(sums: &[i32], line: &mut [Pixel]) {
    for ([r, g, b], pixel) in sums.as_chunks::<3>().0.iter().zip(line) {
        *pixel = [*r as f32, *g as f32, *b as f32, 0.0];
    }
}

/// Both pixels of a pair have its colour.
fn unpack_yuyv(sums: &[i32], line: &mut [Pixel]) {
    for (pair, pixels) in sums.as_chunks::<4>().0.iter().zip(line.as_chunks_mut::<2>().0) {
        let [y0, u, y1, v] = pair.map(|sum| sum as f32);
        *pixels = [[y0, u, v, 0.0], [y1, u, v, 0.0]];
    }
}

/// BT.601 limited range to RGB.
#[inline]
fn rgb_of_yuv([y, u, v, _]: Pixel) -> Pixel {
    let (y, u, v) = ((y - 16.0) * (255.0 / 219.0), u - 128.0, v - 128.0);
    [y + 1.596_027 * v, y - 0.391_762 * u - 0.812_968 * v, y + 2.017_232 * u, 0.0]
}

/// The nearest byte.
#[inline]
fn byte(value: f32) -> u8 {
    // Above 2^23 an f32 has no places behind the point: adding rounds, and the number stands
    // in the low bits. The plain cast checks for what cannot be here, one value at a time.
    const TO_LOW_BITS: f32 = 12_582_912.0;
    #[expect(clippy::cast_possible_truncation, reason = "clamped to a byte")]
    let byte = (value.clamp(0.0, 255.0) + TO_LOW_BITS).to_bits() as u8;
    byte
}
