//! The columns under each target pixel, and their mean.

use super::super::SIDE_MAX;
use super::colour::{GREY, Lanes};
use super::lines::Tap;
use super::span::{Axis, Span};
use super::{Piece, ROWS};
use heapless::Vec;

const SIDE: usize = SIDE_MAX as usize;
/// Room for the taps of all target pixels. Shrinking, a pixel has at most two taps more than
/// the source has pixels for each of the target; stretching, it has two.
const TAPS: usize = 3 * SIDE;

/// What each target pixel of a row is made of: the same number of taps for all.
pub(super) struct Columns {
    /// The first tap of each target pixel.
    starts: Vec<u16, SIDE>,
    /// The weights of the lanes of its taps.
    weights: Vec<Lanes, TAPS>,
    taps: usize,
}

impl Columns {
    /// Room for columns: too much of it to be handed around.
    pub(super) const fn new() -> Self {
        Self { starts: Vec::new(), weights: Vec::new(), taps: 1 }
    }

    /// Fills it for taps of R G B: a tap is a pixel.
    pub(super) fn fill_rgb(&mut self, across: Axis, unit: u32) {
        let share = share(across, unit);
        self.fill(across, 1, |span, pixel| {
            let weight = share(span, pixel + 1) - share(span, pixel);
            [weight, weight, weight, 0]
        });
    }

    /// Fills it for taps of Y U Y V: a tap is a pair, whose colour has the weight of both its
    /// pixels.
    pub(super) fn fill_yuyv(&mut self, across: Axis, unit: u32) {
        let share = share(across, unit);
        self.fill(across, 2, |span, pair| {
            let [before, left, right] = [0, 1, 2].map(|at| share(span, 2 * pair + at));
            [left - before, right - before, right - left, right - before]
        });
    }

    /// `pixels` are those of a tap.
    #[expect(clippy::cast_possible_truncation, reason = "a side at most")]
    fn fill(&mut self, across: Axis, pixels: usize, weights: impl Fn(&Span, usize) -> Lanes) {
        let first = |span: &Span| span.first / pixels;
        let taps = across.spans().map(|span| span.last / pixels - first(&span) + 1);
        self.taps = taps.max().unwrap_or(1);
        // At the right end some taps of weight 0 come first instead of last.
        let end = across.source() / pixels - self.taps;
        for span in across.spans() {
            let start = first(&span).min(end);
            // There is room, also below: see the capacities.
            let _ = self.starts.push(start as u16);
            self.weights.extend((start..start + self.taps).map(|tap| weights(&span, tap)));
        }
    }

    /// The means of the target pixels of a piece, which begins at column `from`.
    #[inline]
    pub(super) fn means(&self, taps: &[Tap], from: usize, means: &mut Piece<Lanes>) {
        match self.taps {
            1 => self.means_of::<1>(taps, from, means),
            2 => self.means_of::<2>(taps, from, means),
            3 => self.means_of::<3>(taps, from, means),
            4 => self.means_of::<4>(taps, from, means),
            _ => self.means_of_many(taps, from, means),
        }
    }

    #[inline]
    fn means_of<const N: usize>(&self, taps: &[Tap], from: usize, means: &mut Piece<Lanes>) {
        let starts = self.starts.get(from..).unwrap_or_default();
        let weights = self.weights.as_chunks::<N>().0.get(from..).unwrap_or_default();
        for (mean, (start, weights)) in means.iter_mut().zip(starts.iter().zip(weights)) {
            let taps = taps.get(usize::from(*start)..).and_then(|taps| taps.first_chunk::<N>());
            let Some(taps) = taps else { return };
            let mut sums = [[0; 4]; ROWS];
            for (tap, weights) in taps.iter().zip(weights) {
                for (sums, lanes) in sums.iter_mut().zip(tap) {
                    for (sum, (lane, weight)) in sums.iter_mut().zip(lanes.iter().zip(weights)) {
                        *sum += upper(*lane, *weight);
                    }
                }
            }
            *mean = sums;
        }
    }

    /// The same for any number of taps, whose many roundings would add up.
    #[inline]
    fn means_of_many(&self, taps: &[Tap], from: usize, means: &mut Piece<Lanes>) {
        let starts = self.starts.get(from..).unwrap_or_default();
        let weights = self.weights.get(from * self.taps..).unwrap_or_default();
        let columns = starts.iter().zip(weights.chunks_exact(self.taps));
        for (mean, (start, weights)) in means.iter_mut().zip(columns) {
            let mut sums = [[1_u32 << 15; 4]; ROWS];
            let taps = taps.get(usize::from(*start)..).unwrap_or_default();
            for (tap, weights) in taps.iter().zip(weights) {
                for (sums, lanes) in sums.iter_mut().zip(tap) {
                    for (sum, (lane, weight)) in sums.iter_mut().zip(lanes.iter().zip(weights)) {
                        *sum += u32::from(*lane) * u32::from(*weight);
                    }
                }
            }
            *mean = sums.map(|sums| sums.map(high));
        }
    }
}

/// The share of a span before a source pixel, such that a line's units come out as [`GREY`],
/// times 65,536.
///
/// Weights are differences of these, so that they add up whatever each was rounded to.
fn share(across: Axis, unit: u32) -> impl Fn(&Span, usize) -> u16 {
    let whole = across.whole() as u64 * u64::from(unit);
    move |span, before| {
        let share = ((span.below(before) as u64 * GREY) << 16) + whole / 2;
        // Exact: below 2^38 by below 2^23, so that no quotient comes near the next number. What is
        // beyond a u16 is its greatest.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as said")]
        let share = (share.cast_signed() as f64 / whole.cast_signed() as f64) as u16;
        share
    }
}

/// The upper half of a product.
#[inline]
fn upper(lane: u16, weight: u16) -> u16 {
    high(u32::from(lane) * u32::from(weight))
}

#[inline]
fn high(value: u32) -> u16 {
    (value >> 16) as u16
}
