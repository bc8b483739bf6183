//! The rows under a target row, summed to one line.

use super::super::{Rows, SIDE_MAX};
use super::span::{Axis, Span};

/// Where a pixel may begin: below this power of two, so that a mask shows that it is inside.
const STARTS: usize = 1 << 15;
/// All lanes; those behind the last pixel that may begin make up its taps.
pub(super) type Lanes = [u16; STARTS + 16];
const _: () = assert!(3 * SIDE_MAX as usize <= STARTS);
/// What a byte of 255 may become at most: 65,535.
const UNIT_MAX: u32 = u16::MAX as u32 / 255;
/// Lanes whose exact sums are kept where 16 bits do not hold them.
const PIECE: usize = 256;

/// Four lanes of a line from a place on, which is below [`STARTS`].
#[inline]
pub(super) fn four(lanes: &Lanes, start: u16, behind: usize) -> [u16; 4] {
    let at = usize::from(start) % STARTS + behind;
    lanes.get(at..).and_then(|lanes| lanes.first_chunk()).copied().unwrap_or_default()
}

/// A row of lanes: the weighted mean of some rows' bytes, in units.
pub(super) struct Line {
    lanes: Lanes,
    bytes: usize,
    /// The sum of a span's weights.
    whole: u32,
}

impl Line {
    #[expect(clippy::large_stack_arrays, reason = "64 KiB where there is no heap")]
    pub(super) fn new(bytes: usize, down: Axis) -> Self {
        Self {
            lanes: [0; STARTS + 16],
            bytes,
            whole: u32::try_from(down.whole()).unwrap_or(u32::MAX),
        }
    }

    /// The units of a grey level: as many as 16 bits hold.
    pub(super) fn unit(&self) -> u32 {
        if self.is_short() { self.scale() * self.whole } else { UNIT_MAX }
    }

    pub(super) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Takes the mean of the rows under `span`.
    pub(super) fn sum(&mut self, rows: &Rows<'_>, span: &Span) {
        let (last, whole, short, scale) = (span.last, self.whole, self.is_short(), self.scale());
        let Some(lanes) = self.lanes.get_mut(..self.bytes) else { return };
        if !short {
            return sum_long(rows, span, whole, lanes);
        }
        let row = |at: usize| rows.row(at).get(..lanes.len()).unwrap_or_default();
        // Weights are below 257, and the scale is small where they are large.
        let weight = |at: usize| span.weight(at) * u16::try_from(scale).unwrap_or(0);
        let first = span.first;
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
            for (lane, byte) in lanes.iter_mut().zip(rows.row(at)) {
                *lane += weight * u16::from(*byte);
            }
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

#[inline]
fn times(weight: u16, byte: u8) -> u16 {
    weight * u16::from(byte)
}

/// The same where sums do not fit 16 bits.
fn sum_long(rows: &Rows<'_>, span: &Span, whole: u32, lanes: &mut [u16]) {
    // At most 255 * 16,384, which an f32 holds exactly.
    let mut sums = [0_u32; PIECE];
    let scale = UNIT_MAX as f32 / whole as f32;
    for (at, lanes) in lanes.chunks_mut(PIECE).enumerate() {
        sums.fill(0);
        for row in span.first..=span.last {
            let weight = u32::from(span.weight(row));
            let bytes = rows.row(row).get(at * PIECE..).unwrap_or_default();
            for (sum, byte) in sums.iter_mut().zip(bytes) {
                *sum += weight * u32::from(*byte);
            }
        }
        for (lane, sum) in lanes.iter_mut().zip(&sums) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean")]
            let mean = (*sum as f32 * scale + 0.5) as u16;
            *lane = mean;
        }
    }
}
