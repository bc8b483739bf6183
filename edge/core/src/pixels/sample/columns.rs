//! The columns under each target pixel, and their mean.

use super::super::SIDE_MAX;
use super::colour::{GREY, Lanes};
use super::line;
use super::span::{Axis, Span};
use super::{PIECE, Piece};
use core::iter;
use heapless::Vec;

const SIDE: usize = SIDE_MAX as usize;
/// Room for the taps of all target pixels. Shrinking, a pixel has at most two taps more than
/// the source has pixels for each of the target; stretching, it has two.
const TAPS: usize = 3 * SIDE + FEW * PIECE;
/// Taps up to which the weights of the last piece are filled up to a whole one.
pub(super) const FEW: usize = 4;

/// The lanes under the taps of a piece, where they are few.
pub(super) type Gathered = [Piece<Lanes>; FEW];

/// What each target pixel is made of: the same number of taps for all, a tap being four lanes
/// of the line and their weights.
pub(super) struct Columns {
    /// The first lane of each target pixel.
    starts: Vec<Piece<u16>, { SIDE / PIECE }>,
    /// Piece by piece of the target pixels: those of all first taps, of all second taps...
    weights: Vec<Lanes, TAPS>,
    taps: usize,
    /// Lanes from one tap to the next.
    step: usize,
}

impl Columns {
    /// Room for columns: too much of it to be handed around.
    pub(super) const fn new() -> Self {
        Self { starts: Vec::new(), weights: Vec::new(), taps: 1, step: 4 }
    }

    /// Fills it for a line of R G B: a tap is a pixel and a lane of weight 0.
    pub(super) fn fill_rgb(&mut self, across: Axis, unit: u32) {
        self.step = 3;
        let share = share(across, unit);
        self.fill(across, 1, |span, pixel| {
            let weight = share(span, pixel + 1) - share(span, pixel);
            [weight, weight, weight, 0]
        });
    }

    /// Fills it for a line of Y U Y V: a tap is a pair, whose colour has the weight of both its
    /// pixels.
    pub(super) fn fill_yuyv(&mut self, across: Axis, unit: u32) {
        self.step = 4;
        let share = share(across, unit);
        self.fill(across, 2, |span, pair| {
            let [before, left, right] = [0, 1, 2].map(|at| share(span, 2 * pair + at));
            [left - before, right - before, right - left, right - before]
        });
    }

    /// `pixels` are those of a tap.
    #[expect(clippy::cast_possible_truncation, reason = "three sides at most")]
    fn fill(&mut self, across: Axis, pixels: usize, weights: impl Fn(&Span, usize) -> Lanes) {
        let first = |span: &Span| span.first / pixels;
        let taps = across.spans().map(|span| span.last / pixels - first(&span) + 1);
        self.taps = taps.max().unwrap_or(1);
        // At the right end some taps of weight 0 come first instead of last.
        let end = across.source() / pixels - self.taps;
        let start = |span: &Span| first(span).min(end);
        for piece in (0..across.target()).step_by(PIECE) {
            let spans = || across.spans_from(piece).take(PIECE);
            let mut starts = [0; PIECE];
            for (to, span) in starts.iter_mut().zip(spans()) {
                *to = (start(&span) * self.step) as u16;
            }
            // There is room, also below: see the capacities.
            let _ = self.starts.push(starts);
            let columns = if self.taps <= FEW { PIECE } else { 0 };
            let filling = columns.saturating_sub(across.target() - piece);
            for tap in 0..self.taps {
                for span in spans() {
                    let _ = self.weights.push(weights(&span, start(&span) + tap));
                }
                self.weights.extend(iter::repeat_n([0; 4], filling));
            }
        }
    }

    /// The means of the target pixels of a piece.
    pub(super) fn means(
        &self,
        line: &line::Lanes,
        piece: usize,
        gathered: &mut Gathered,
        means: &mut Piece<Lanes>,
    ) {
        match self.taps {
            1 => self.means_of::<1>(line, piece, gathered, means),
            2 => self.means_of::<2>(line, piece, gathered, means),
            3 => self.means_of::<3>(line, piece, gathered, means),
            4 => self.means_of::<4>(line, piece, gathered, means),
            _ => self.means_of_many(line, piece, means),
        }
    }

    /// The lanes under all first taps of a piece are gathered, those under all second taps and
    /// so on, so that what is left are products of long rows.
    #[inline]
    fn means_of<const N: usize>(
        &self,
        line: &line::Lanes,
        piece: usize,
        gathered: &mut Gathered,
        means: &mut Piece<Lanes>,
    ) {
        let Some(gathered) = gathered.first_chunk_mut::<N>() else { return };
        match self.step {
            4 => self.gather::<4, N>(line, piece, gathered),
            _ => self.gather::<3, N>(line, piece, gathered),
        }
        let weights = self.weights.get(piece * PIECE * N..).unwrap_or_default();
        let Some(weights) = weights.as_chunks::<PIECE>().0.first_chunk::<N>() else { return };
        let means = means.as_flattened_mut();
        means.fill(0);
        let (pairs, rest) = gathered.as_chunks::<2>();
        let (pair_weights, rest_weights) = weights.as_chunks::<2>();
        for ([a, b], [of_a, of_b]) in pairs.iter().zip(pair_weights) {
            let products = products(a, of_a).zip(products(b, of_b));
            means.iter_mut().zip(products).for_each(|(mean, (a, b))| *mean += a + b);
        }
        for (lanes, weights) in rest.iter().zip(rest_weights) {
            means.iter_mut().zip(products(lanes, weights)).for_each(|(mean, a)| *mean += a);
        }
    }

    #[inline]
    fn gather<const STEP: usize, const N: usize>(
        &self,
        line: &line::Lanes,
        piece: usize,
        to: &mut [Piece<Lanes>; N],
    ) {
        let Some(starts) = self.starts.get(piece) else { return };
        for (column, start) in starts.iter().enumerate() {
            for (at, to) in to.iter_mut().enumerate() {
                if let Some(to) = to.get_mut(column) {
                    *to = line::four(line, *start, at * STEP);
                }
            }
        }
    }

    /// The same for any number of taps, whose many roundings would add up.
    fn means_of_many(&self, line: &line::Lanes, piece: usize, means: &mut Piece<Lanes>) {
        let mut sums = [[1_u32 << 15; 4]; PIECE];
        for (tap, weights) in self.weights(piece).enumerate() {
            let starts = self.starts.get(piece).into_iter().flatten().zip(weights);
            for (sums, (start, weights)) in sums.iter_mut().zip(starts) {
                let lanes = line::four(line, *start, tap * self.step);
                for (sum, (lane, weight)) in sums.iter_mut().zip(lanes.iter().zip(weights)) {
                    *sum += u32::from(*lane) * u32::from(*weight);
                }
            }
        }
        for (mean, sums) in means.iter_mut().zip(&sums) {
            *mean = sums.map(high);
        }
    }

    /// The weights of a piece's first taps, of its second taps and so on.
    fn weights(&self, piece: usize) -> impl Iterator<Item = &[Lanes]> {
        let from = (piece * PIECE * self.taps).min(self.weights.len());
        let weights = self.weights.get(from..).unwrap_or_default();
        let columns = (weights.len() / self.taps).min(PIECE);
        weights.chunks_exact(columns.max(1)).take(self.taps)
    }
}

/// The share of a span before a source pixel, such that a line's units come out as [`GREY`],
/// times 65,536.
///
/// Weights are differences of these, so that they add up whatever each was rounded to.
fn share(across: Axis, unit: u32) -> impl Fn(&Span, usize) -> u16 {
    let whole = across.whole() as u64 * u64::from(unit);
    move |span, before| {
        let share = (((span.below(before) as u64 * GREY) << 16) + whole / 2) / whole;
        u16::try_from(share).unwrap_or(u16::MAX)
    }
}

fn products(lanes: &Piece<Lanes>, weights: &Piece<Lanes>) -> impl Iterator<Item = u16> {
    let products = lanes.as_flattened().iter().zip(weights.as_flattened());
    products.map(|(lane, weight)| upper(*lane, *weight))
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
