//! The rows under some target rows, summed to as many lines.

use super::super::{Rows, SIDE_MAX};
use super::ROWS;
use super::colour::Lanes;
use super::span::{Axis, Span};
use core::array;
use heapless::Vec;

/// What a byte of 255 may become at most: 65,535.
const UNIT_MAX: u32 = u16::MAX as u32 / 255;
/// Taps that are summed at a time.
const PIECE: usize = 256;
/// Lanes of a piece: there is room for four of a tap.
type Piece<T> = [T; 4 * PIECE];

/// What is under a tap, in units, for each of the target rows.
pub(super) type Tap = [Lanes; ROWS];

/// Lines, woven: tap by tap, what all lines have there.
pub(super) struct Lines {
    taps: Vec<Tap, { SIDE_MAX as usize }>,
    /// A piece of each line, before they are woven.
    pieces: [Piece<u16>; ROWS],
    /// The sum of a span's weights.
    whole: u32,
}

impl Lines {
    /// Room for lines of any length: too much of it to be handed around once it is filled.
    pub(super) fn new(down: Axis) -> Self {
        let whole = u32::try_from(down.whole()).unwrap_or(u32::MAX);
        Self { taps: Vec::new(), pieces: [[0; 4 * PIECE]; ROWS], whole }
    }

    /// Makes the lines so many taps long.
    pub(super) fn stretch(&mut self, taps: usize) {
        // There is room: a picture's sides are checked.
        let _ = self.taps.resize(taps, [[0; 4]; ROWS]);
    }

    /// The units of a grey level: as many as 16 bits hold.
    pub(super) fn unit(&self) -> u32 {
        if self.is_short() { self.scale() * self.whole } else { UNIT_MAX }
    }

    pub(super) fn taps(&self) -> &[Tap] {
        &self.taps
    }

    /// Takes the means of the rows under the first [`ROWS`] of `spans`, a line for each; what
    /// the others hold does not matter.
    #[inline]
    pub(super) fn sum<const STEP: usize>(
        &mut self,
        rows: &Rows<'_>,
        spans: impl Iterator<Item = Span>,
    ) {
        let (whole, short, scale) = (self.whole, self.is_short(), self.scale());
        let spans: Vec<Span, ROWS> = spans.take(ROWS).collect();
        for (at, taps) in self.taps.chunks_mut(PIECE).enumerate() {
            let from = at * PIECE * STEP;
            let to = from + taps.len() * STEP;
            for (span, line) in spans.iter().zip(&mut self.pieces) {
                let Some(line) = line.get_mut(..to - from) else { return };
                let row = |at: usize| rows.row(at).get(from..to).unwrap_or_default();
                if short {
                    sum_short(row, span, scale, line);
                } else {
                    sum_long(row, span, whole, line);
                }
            }
            weave::<STEP>(&self.pieces, taps);
        }
    }

    /// Whether sums fit 16 bits.
    fn is_short(&self) -> bool {
        self.whole <= UNIT_MAX
    }

    /// What the weights are multiplied with, so that a sum fills 16 bits.
    fn scale(&self) -> u32 {
        UNIT_MAX / self.whole
    }
}

/// Lays the lanes of all lines under a tap together.
#[inline]
fn weave<const STEP: usize>([a, b, c, d]: &[Piece<u16>; ROWS], taps: &mut [Tap]) {
    let [a, b, c, d] = [a, b, c, d].map(|line| line.as_chunks::<STEP>().0);
    for (tap, (((a, b), c), d)) in taps.iter_mut().zip(a.iter().zip(b).zip(c).zip(d)) {
        *tap = [four(a), four(b), four(c), four(d)];
    }
}

/// A tap of one line; lanes that it has not are 0.
#[inline]
fn four<const STEP: usize>(lanes: &[u16; STEP]) -> Lanes {
    array::from_fn(|at| lanes.get(at).copied().unwrap_or(0))
}

/// The weighted sum of the rows under `span`.
#[inline]
fn sum_short<'a>(row: impl Fn(usize) -> &'a [u8], span: &Span, scale: u32, lanes: &mut [u16]) {
    // Weights are below 257, and the scale is small where they are large.
    let weight = |at: usize| span.weight(at) * u16::try_from(scale).unwrap_or(0);
    let (first, last) = (span.first, span.last);
    let [a, b, c] = [first, first + 1, first + 2].map(|at| (row(at.min(last)), weight(at)));
    match last - first {
        0 => lanes.iter_mut().zip(a.0).for_each(|(lane, byte)| *lane = times(a.1, *byte)),
        1 => {
            for ((lane, x), y) in lanes.iter_mut().zip(a.0).zip(b.0) {
                *lane = times(a.1, *x) + times(b.1, *y);
            }
        }
        _ => {
            for (((lane, x), y), z) in lanes.iter_mut().zip(a.0).zip(b.0).zip(c.0) {
                *lane = times(a.1, *x) + times(b.1, *y) + times(c.1, *z);
            }
        }
    }
    for at in first + 3..=last {
        let weight = weight(at);
        for (lane, byte) in lanes.iter_mut().zip(row(at)) {
            *lane += weight * u16::from(*byte);
        }
    }
}

#[inline]
fn times(weight: u16, byte: u8) -> u16 {
    weight * u16::from(byte)
}

/// The same where sums do not fit 16 bits.
fn sum_long<'a>(row: impl Fn(usize) -> &'a [u8], span: &Span, whole: u32, lanes: &mut [u16]) {
    // At most 255 * 16,384, which an f32 holds exactly.
    let mut sums = [0_u32; 4 * PIECE];
    let scale = UNIT_MAX as f32 / whole as f32;
    for at in span.first..=span.last {
        let weight = u32::from(span.weight(at));
        for (sum, byte) in sums.iter_mut().zip(row(at)) {
            *sum += weight * u32::from(*byte);
        }
    }
    for (lane, sum) in lanes.iter_mut().zip(&sums) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean")]
        let mean = (*sum as f32 * scale + 0.5) as u16;
        *lane = mean;
    }
}
