//! `CONV_2D` and `FULLY_CONNECTED`: what lies under the kernel, times packed weights.
//!
//! A 1x1 kernel reads the picture as it lies; others lay out a block of output pixels'
//! patches first, as many as fit a small cache.

use crate::error::Error;
use crate::fork::{Fork, Job, split};
use crate::matmul::{BLOCK, Packed, Rows, Weights};
use crate::requant::Activation;
use crate::simd::Isa;
use crate::tensor::{Shape, Tensor};
use crate::window::{Axes, Axis, Window};
use core::ops::Range;

/// Bytes of patches that are laid out together: one pass over the weights serves them all,
/// and they stay in a small core's first cache.
const BLOCK_BYTES: usize = 16 << 10;
/// Fewest output pixels of a block: whole tiles of every kernel.
const BLOCK_MIN: usize = 8;

/// A convolution as the file describes it.
#[derive(Debug, Clone, Copy)]
pub struct Conv<'a> {
    /// Kernel, stride and padding.
    pub window: Window,
    /// `[out, kernel rows, kernel columns, in]`.
    pub weights: Weights<'a>,
    /// `[out]`, in steps of `input scale * weight scale`.
    pub bias: &'a [i32],
    /// What is applied to the result.
    pub activation: Activation,
}

/// A full connection as the file describes it: every output sees every input.
#[derive(Debug, Clone, Copy)]
pub struct FullyConnected<'a> {
    /// `[out, in]`.
    pub weights: Weights<'a>,
    /// `[out]`, in steps of `input scale * weight scale`.
    pub bias: &'a [i32],
    /// What is applied to the result.
    pub activation: Activation,
}

/// A convolution, packed.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    rows: Axis,
    columns: Axis,
    channels_in: usize,
    packed: Packed,
    padding: u8,
    /// Output pixels of a block.
    block: usize,
    ways: usize,
}

impl Step {
    pub(crate) fn new(
        isa: Isa,
        ways: usize,
        input: Tensor,
        conv: &Conv<'_>,
        output: Tensor,
    ) -> Result<Self, Error> {
        let axes = Axes::new(&conv.window, input.shape)?;
        let channels = conv.bias.len();
        conv.weights.check(axes.taps() * axes.channels, channels)?;
        axes.make(channels, output.shape)?;
        Self::packed(isa, ways, axes, conv, [input, output])
    }

    /// A full connection is a convolution over a picture of one column.
    pub(crate) fn fully_connected(
        isa: Isa,
        ways: usize,
        input: Tensor,
        full: &FullyConnected<'_>,
        output: Tensor,
    ) -> Result<Self, Error> {
        let channels = full.bias.len();
        let depth = full.weights.stored.len().checked_div(channels).ok_or(Error::Lengths)?;
        let rows = input.shape.count().checked_div(depth).ok_or(Error::Lengths)?;
        if rows * depth != input.shape.count() || rows * channels != output.shape.count() {
            return Err(Error::Lengths);
        }
        let FullyConnected { weights, bias, activation } = *full;
        let window = Window::POINT;
        let conv = Conv { window, weights, bias, activation };
        let axes = Axes::new(&window, Shape::picture(rows, 1, depth)?)?;
        Self::packed(isa, ways, axes, &conv, [input, output])
    }

    fn packed(
        isa: Isa,
        ways: usize,
        axes: Axes,
        conv: &Conv<'_>,
        [input, output]: [Tensor; 2],
    ) -> Result<Self, Error> {
        if !input.element.is_like(output.element) {
            return Err(Error::Element);
        }
        let quant = input.quant()?;
        let packed =
            Packed::new(isa, conv.weights, conv.bias, quant, output.element, conv.activation)?;
        let block = (BLOCK_BYTES / packed.row_bytes()).clamp(BLOCK_MIN, BLOCK);
        let block = block / packed.layout.tile * packed.layout.tile;
        let block = block.min(axes.rows.output * axes.columns.output);
        let padding = quant.zero_point;
        let Axes { rows, columns, channels: channels_in } = axes;
        Ok(Self { rows, columns, channels_in, packed, padding, block, ways })
    }

    /// Multiplications in one run.
    pub(crate) fn work(&self) -> u64 {
        let places = (self.rows.output * self.columns.output) as u64;
        places * (self.packed.depth * self.packed.channels) as u64
    }

    /// Memory that [`Step::run`] wants to work in.
    pub(crate) fn scratch_bytes(&self) -> usize {
        (self.patch_bytes() + self.packed.scratch_bytes(self.block)) * self.ways
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        self.packed.weight_bytes()
    }

    fn patch_bytes(&self) -> usize {
        if self.is_direct() { 0 } else { self.block * self.packed.row_bytes() }
    }

    /// Whether rows of the matrix lie in the input as they are wanted.
    fn is_direct(&self) -> bool {
        let exact = self.packed.row_bytes() == self.channels_in;
        self.rows.is_identity() && self.columns.is_identity() && exact
    }

    pub(crate) fn run<F: Fork>(
        &self,
        input: &[u8],
        output: &mut [u8],
        scratch: &mut [u8],
        fork: &F,
    ) {
        let job = Job { places: 0..self.rows.output * self.columns.output, output, scratch };
        split(fork, self.ways, job, &|job| self.part(input, job));
    }

    fn part(&self, input: &[u8], job: Job<'_>) {
        let (patch, scratch) = job.scratch.split_at_mut(self.patch_bytes());
        patch.fill(0);
        let stride = self.packed.row_bytes();
        let outs = job.output.chunks_mut(self.block * self.packed.channels);
        for (first, out) in job.places.step_by(self.block).zip(outs) {
            let count = out.len() / self.packed.channels;
            let bytes = if patch.is_empty() {
                &input[first * stride..]
            } else {
                self.lay_out(input, first, &mut patch[..count * stride]);
                &*patch
            };
            self.packed.multiply(Rows { bytes, stride, count }, scratch, out);
        }
    }

    /// Copies what lies under the kernel for the output pixels from `first` on.
    fn lay_out(&self, input: &[u8], first: usize, patches: &mut [u8]) {
        let stride = self.packed.row_bytes();
        let end = first + patches.len() / stride;
        let mut left = patches;
        for row in first / self.columns.output..self.rows.output {
            let start = row * self.columns.output;
            let columns = first.max(start) - start..end.min(start + self.columns.output) - start;
            let (run, rest) = left.split_at_mut(columns.len() * stride);
            self.lay_out_row(input, row, columns, run);
            if rest.is_empty() {
                return;
            }
            left = rest;
        }
    }

    /// The same for some pixels of one row, one row of the kernel after the other.
    fn lay_out_row(&self, input: &[u8], row: usize, columns: Range<usize>, patches: &mut [u8]) {
        let stride = self.packed.row_bytes();
        let inside = if self.columns.dilation == 1 { self.columns.inside() } else { 0..0 };
        let [start, end] =
            [inside.start, inside.end].map(|at| at.clamp(columns.start, columns.end));
        let (before, rest) = patches.split_at_mut((start - columns.start) * stride);
        let (middle, after) = rest.split_at_mut((end - start) * stride);
        for down in 0..self.rows.kernel {
            let source = self.rows.source(row, down);
            self.border(input, source, down, columns.start, before);
            self.border(input, source, down, end, after);
            let Some((row, column)) = source.zip(self.columns.source(start, 0)) else {
                self.border(input, None, down, start, middle);
                continue;
            };
            let mut start = (row * self.columns.input + column) * self.channels_in;
            for patch in middle.chunks_exact_mut(stride) {
                let taps = self.taps(patch, down);
                copy(&input[start..start + taps.len()], taps);
                start += self.columns.stride * self.channels_in;
            }
        }
    }

    /// The values of a patch that lie under one row of the kernel.
    #[inline]
    fn taps<'a>(&self, patch: &'a mut [u8], down: usize) -> &'a mut [u8] {
        let length = self.columns.kernel * self.channels_in;
        &mut patch[down * length..][..length]
    }

    /// One row of the kernel, for pixels over whose border it may hang; `source` is the row of
    /// the input that lies under it.
    #[inline(never)]
    fn border(
        &self,
        input: &[u8],
        source: Option<usize>,
        down: usize,
        first: usize,
        patches: &mut [u8],
    ) {
        let patches = patches.chunks_exact_mut(self.packed.row_bytes());
        for (column, patch) in (first..).zip(patches) {
            let taps = self.taps(patch, down);
            match source {
                Some(row) => self.gather(input, row, column, taps),
                None => taps.fill(self.padding),
            }
        }
    }

    /// One row of a kernel that hangs over the border, or has gaps.
    fn gather(&self, input: &[u8], row: usize, column: usize, taps: &mut [u8]) {
        for (across, tap) in taps.chunks_exact_mut(self.channels_in).enumerate() {
            match self.columns.source(column, across) {
                Some(column) => {
                    let start = (row * self.columns.input + column) * self.channels_in;
                    tap.copy_from_slice(&input[start..start + self.channels_in]);
                }
                None => tap.fill(self.padding),
            }
        }
    }
}

/// Copies a run of values; a short one as its first eight and its last eight, without a call.
#[inline]
fn copy(values: &[u8], taps: &mut [u8]) {
    let ends = values.first_chunk::<8>().zip(values.last_chunk::<8>());
    match ends.filter(|_| values.len() <= 16) {
        Some((first, last)) => {
            taps[..8].copy_from_slice(first);
            taps[values.len() - 8..].copy_from_slice(last);
        }
        None => taps.copy_from_slice(values),
    }
}
