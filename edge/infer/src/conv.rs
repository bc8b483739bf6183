//! `CONV_2D`: patches of the input times packed weights, a block of output pixels at a time.

use crate::error::Error;
use crate::plan::Shape;
use crate::requant::{Activation, Quant, Requant};
use crate::window::{Axis, SIDE_MAX, Window};
use alloc::boxed::Box;
use alloc::vec;

/// Values in one straight run of multiplications; rows of patches and weights are padded to
/// a multiple of it with zero weights.
const LANE: usize = 32;
/// Output pixels whose patches are laid out together: one pass over the weights serves all.
const PIXELS: usize = 16;
/// Output channels whose sums are gathered before they are stored.
const CHANNELS: usize = 16;

/// A convolution as the file describes it.
#[derive(Debug, Clone, Copy)]
pub struct Conv<'a> {
    /// Kernel, stride and padding.
    pub window: Window,
    /// `[out, kernel rows, kernel columns, in]`, zero point taken off: -255..=255.
    pub weights: &'a [i16],
    /// `[out]`, in steps of `input scale * weight scale`.
    pub bias: &'a [i32],
    /// `[out]` scales of the weights; all the same for a per-tensor file.
    pub weight_scales: &'a [f32],
    /// What the output's bytes mean.
    pub output: Quant,
    /// What is applied to the result.
    pub activation: Activation,
}

/// A convolution, packed.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    rows: Axis,
    columns: Axis,
    channels_in: usize,
    channels_out: usize,
    /// Lanes in one patch, and in the weights of one output channel.
    lanes: usize,
    weights: Box<[[i16; LANE]]>,
    /// With the input's zero point folded in.
    bias: Box<[i32]>,
    padding: u8,
    requant: Requant,
}

impl Step {
    pub(crate) fn new(input: Shape, quant: Quant, conv: &Conv<'_>) -> Result<Self, Error> {
        let rows = Axis::new(&conv.window, 0, input.rows)?;
        let columns = Axis::new(&conv.window, 1, input.columns)?;
        let depth = rows.kernel * columns.kernel * input.channels;
        let channels_out = conv.bias.len();
        let fits = (1..=SIDE_MAX).contains(&channels_out)
            && depth.checked_mul(channels_out) == Some(conv.weights.len())
            && conv.weight_scales.len() == channels_out;
        if !fits {
            return Err(Error::Lengths);
        }
        let lanes = depth.div_ceil(LANE);
        let mut weights = vec![[0; LANE]; lanes * channels_out].into_boxed_slice();
        for (packed, row) in weights.chunks_exact_mut(lanes).zip(conv.weights.chunks_exact(depth)) {
            packed.as_flattened_mut()[..depth].copy_from_slice(row);
        }
        let bias = conv
            .weights
            .chunks_exact(depth)
            .zip(conv.bias)
            .map(|(row, bias)| fold(row, *bias, quant.zero_point))
            .collect::<Result<_, _>>()?;
        let requant = Requant::new(quant, conv.weight_scales, conv.output, conv.activation)?;
        let padding = quant.zero_point;
        let channels_in = input.channels;
        Ok(Self {
            rows,
            columns,
            channels_in,
            channels_out,
            lanes,
            weights,
            bias,
            padding,
            requant,
        })
    }

    pub(crate) fn output(&self) -> Shape {
        let Self { rows, columns, channels_out: channels, .. } = self;
        Shape { rows: rows.output, columns: columns.output, channels: *channels }
    }

    /// Multiplications in one run.
    pub(crate) fn work(&self) -> u64 {
        let output = self.rows.output * self.columns.output * self.channels_out;
        output as u64 * (self.lanes * LANE) as u64
    }

    /// `i16` values that [`Step::run`] wants to write its patches to.
    pub(crate) fn patch_len(&self) -> usize {
        PIXELS * self.lanes * LANE
    }

    pub(crate) fn run(&self, input: &[u8], output: &mut [u8], patch: &mut [i16]) {
        let (patch, _) = patch[..self.patch_len()].as_chunks_mut::<LANE>();
        patch.as_flattened_mut().fill(0);
        for (block, out) in output.chunks_mut(PIXELS * self.channels_out).enumerate() {
            let pixels = out.len() / self.channels_out;
            let patch = &mut patch[..pixels * self.lanes];
            self.lay_out(input, block * PIXELS, patch);
            self.multiply(patch, out);
        }
    }

    /// Copies what lies under the kernel for the output pixels from `first` on.
    fn lay_out(&self, input: &[u8], first: usize, patch: &mut [[i16; LANE]]) {
        let direct = self.rows.is_identity() && self.columns.is_identity();
        for (pixel, patch) in patch.chunks_exact_mut(self.lanes).enumerate() {
            let patch = patch.as_flattened_mut();
            let at = first + pixel;
            if direct {
                let start = at * self.channels_in;
                widen(&input[start..start + self.channels_in], patch);
            } else {
                let [row, column] = [at / self.columns.output, at % self.columns.output];
                self.gather(input, row, column, patch);
            }
        }
    }

    fn gather(&self, input: &[u8], row: usize, column: usize, patch: &mut [i16]) {
        let mut taps = patch.chunks_exact_mut(self.channels_in);
        for down in 0..self.rows.kernel {
            let row = self.rows.source(row, down);
            for across in 0..self.columns.kernel {
                let Some(tap) = taps.next() else { return };
                match (row, self.columns.source(column, across)) {
                    (Some(row), Some(column)) => {
                        let start = (row * self.columns.input + column) * self.channels_in;
                        widen(&input[start..start + self.channels_in], tap);
                    }
                    _ => tap.fill(i16::from(self.padding)),
                }
            }
        }
    }

    fn multiply(&self, patch: &[[i16; LANE]], out: &mut [u8]) {
        for first in (0..self.channels_out).step_by(CHANNELS) {
            let count = CHANNELS.min(self.channels_out - first);
            let bias = &self.bias[first..first + count];
            let weights = &self.weights[first * self.lanes..(first + count) * self.lanes];
            let pixels =
                patch.chunks_exact(self.lanes).zip(out.chunks_exact_mut(self.channels_out));
            for (patch, out) in pixels {
                let mut sums = [0; CHANNELS];
                let rows = weights.chunks_exact(self.lanes).zip(bias);
                for (sum, (weights, bias)) in sums.iter_mut().zip(rows) {
                    *sum = bias + dot(patch, weights);
                }
                self.requant.store(first, &sums[..count], &mut out[first..first + count]);
            }
        }
    }
}

/// The bias of one channel, less what the input's zero point adds to its sums; refused where
/// any input could carry a partial sum out of 32 bits.
fn fold(weights: &[i16], bias: i32, zero_point: u8) -> Result<i32, Error> {
    let sum: i64 = weights.iter().map(|w| i64::from(*w)).sum();
    let folded = i64::from(bias) - sum * i64::from(zero_point);
    let reach: i64 = weights.iter().map(|w| i64::from(w.unsigned_abs()) * 255).sum();
    if folded.abs() + reach > i64::from(i32::MAX) {
        return Err(Error::Overflow);
    }
    i32::try_from(folded).map_err(|_| Error::Overflow)
}

#[inline]
fn widen(from: &[u8], to: &mut [i16]) {
    for (from, to) in from.iter().zip(to) {
        *to = i16::from(*from);
    }
}

/// The sum of products.
///
/// On its own, and straight within a lane, so that compilers see the multiply-add of pairs
/// (`pmaddwd`, `smlal`); inlined into the loops above they do not, at six times the time.
#[inline(never)]
fn dot(patch: &[[i16; LANE]], weights: &[[i16; LANE]]) -> i32 {
    let mut sum = 0;
    for (a, b) in patch.iter().zip(weights) {
        let mut lane = 0;
        for at in 0..LANE {
            lane += i32::from(a[at]) * i32::from(b[at]);
        }
        sum += lane;
    }
    sum
}
