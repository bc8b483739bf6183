//! `DEPTHWISE_CONV_2D`: every channel has kernels of its own.
//!
//! Where the whole kernel lies inside the picture, a run of output pixels is computed straight
//! from it; at the borders, and with more than one output a channel, what lies under the kernel
//! is laid out first.

use crate::error::Error;
use crate::fork::{Fork, Job, split};
use crate::matmul::{Weights, fold};
use crate::requant::{Activation, Requant};
#[cfg(target_arch = "aarch64")]
use crate::simd::neon;
use crate::simd::{Isa, Set};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2, vnni};
use crate::tensor::{Element, Quant, Tensor};
use crate::window::{Axes, Axis, Window};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

/// Channels that the scalar kernel sums together.
const CHANNELS: usize = 8;
/// Output pixels at a border that are laid out together.
const BORDER: usize = 8;

/// A depthwise convolution as the file describes it.
#[derive(Debug, Clone, Copy)]
pub struct Depthwise<'a> {
    /// Kernel, stride and padding.
    pub window: Window,
    /// `[kernel rows, kernel columns, channels out]`; output `n` sees input `n / multiplier`.
    pub weights: Weights<'a>,
    /// `[channels out]`, in steps of `input scale * weight scale`.
    pub bias: &'a [i32],
    /// What is applied to the result.
    pub activation: Activation,
}

/// A run of output pixels in a row, and where their taps lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taps<'a> {
    pub(crate) bytes: &'a [u8],
    /// Where each tap of the first pixel begins in `bytes`: one for each tap, in the order of
    /// the weights.
    pub(crate) starts: &'a [usize],
    /// Bytes from one output pixel's taps to the next one's.
    pub(crate) advance: usize,
    /// Output pixels.
    pub(crate) count: usize,
}

/// The kernels of all channels, packed for one instruction set.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) isa: Isa,
    /// Output channels.
    pub(crate) channels: usize,
    /// Taps of a kernel.
    pub(crate) taps: usize,
    form: Form,
    /// With the input's zero point folded in.
    pub(crate) bias: Box<[i32]>,
    pub(crate) requant: Requant,
}

/// Weights as the kernel reads them; the zero point is taken off: -255..=255.
#[derive(Debug, Clone)]
enum Form {
    /// `[taps, channels]`; also of few channels, which other kernels do not take.
    Scalar(Box<[i16]>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Box<[avx2::depthwise::Pair]>),
    #[cfg(target_arch = "x86_64")]
    Vnni(Box<[vnni::depthwise::Pair]>),
    /// `[taps, channels]`.
    #[cfg(target_arch = "aarch64")]
    Neon(Box<[i16]>),
}

impl Form {
    /// Packs `[taps, channels]` weights.
    #[cfg_attr(
        not(any(target_arch = "aarch64", target_arch = "x86_64")),
        expect(unused_variables, reason = "plain Rust takes any number of channels")
    )]
    fn new(isa: Isa, weights: Box<[i16]>, channels: usize) -> Self {
        match isa.set() {
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 if avx2::depthwise::fits(channels) => {
                Self::Avx2(avx2::depthwise::pack(&weights, channels))
            }
            #[cfg(target_arch = "x86_64")]
            Set::Vnni => Self::Vnni(vnni::depthwise::pack(&weights, channels)),
            #[cfg(target_arch = "aarch64")]
            Set::Neon | Set::Dot if neon::depthwise::fits(channels) => Self::Neon(weights),
            _ => Self::Scalar(weights),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Scalar(weights) => size_of_val(&**weights),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(pairs) => size_of_val(&**pairs),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(pairs) => size_of_val(&**pairs),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(weights) => size_of_val(&**weights),
        }
    }
}

impl Packed {
    fn new(
        isa: Isa,
        channels: usize,
        step: &Depthwise<'_>,
        input: Quant,
        output: Element,
    ) -> Result<Self, Error> {
        let Depthwise { weights, bias, activation, .. } = step;
        let taps = weights.stored.len() / channels;
        let column = |channel: usize| -> Vec<i8> {
            weights.stored.iter().skip(channel).step_by(channels).copied().collect()
        };
        let bias = (0..channels)
            .zip(*bias)
            .map(|(at, bias)| fold(&column(at), weights.zero_point, *bias, input.zero_point))
            .collect::<Result<_, _>>()?;
        let real = |stored: &i8| i16::from(*stored) - i16::from(weights.zero_point);
        let requant = Requant::new(input, weights.scales, channels, output, *activation)?;
        let form = Form::new(isa, weights.stored.iter().map(real).collect(), channels);
        Ok(Self { isa, channels, taps, form, bias, requant })
    }

    /// Computes `out`, `[count, channels]`.
    fn run(&self, taps: Taps<'_>, out: &mut [u8]) {
        match &self.form {
            Form::Scalar(weights) => self.run_scalar(weights, taps, out),
            #[cfg(target_arch = "x86_64")]
            Form::Avx2(pairs) => avx2::depthwise::run(self, pairs, taps, out),
            #[cfg(target_arch = "x86_64")]
            Form::Vnni(pairs) => vnni::depthwise::run(self, pairs, taps, out),
            #[cfg(target_arch = "aarch64")]
            Form::Neon(weights) => neon::depthwise::run(self, weights, taps, out),
        }
    }

    /// On its own: [`Packed::run`] stays small enough to be part of its callers.
    #[inline(never)]
    fn run_scalar(&self, weights: &[i16], taps: Taps<'_>, out: &mut [u8]) {
        for (pixel, out) in (0..taps.count).zip(out.chunks_exact_mut(self.channels)) {
            let bytes = &taps.bytes[pixel * taps.advance..];
            let (blocks, rest) = out.as_chunks_mut::<CHANNELS>();
            let first_rest = blocks.len() * CHANNELS;
            for (first, out) in (0..).step_by(CHANNELS).zip(blocks) {
                self.store::<CHANNELS>(weights, bytes, taps.starts, first, out);
            }
            for (channel, out) in (first_rest..).zip(rest.as_chunks_mut::<1>().0) {
                self.store::<1>(weights, bytes, taps.starts, channel, out);
            }
        }
    }

    /// Lengths that the compiler knows keep the sums in registers.
    #[inline]
    fn store<const N: usize>(
        &self,
        weights: &[i16],
        bytes: &[u8],
        starts: &[usize],
        first: usize,
        out: &mut [u8; N],
    ) {
        let mut sums = [0; N];
        sums.copy_from_slice(&self.bias[first..first + N]);
        for (start, weights) in starts.iter().zip(weights.chunks_exact(self.channels)) {
            let input: &[u8] = &bytes[start + first..][..N];
            let weights = &weights[first..first + N];
            for at in 0..N {
                sums[at] += i32::from(input[at]) * i32::from(weights[at]);
            }
        }
        self.requant.store(first, &sums, out);
    }
}

/// A depthwise convolution, packed.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    rows: Axis,
    columns: Axis,
    channels_in: usize,
    packed: Packed,
    padding: u8,
    ways: usize,
    /// Where the taps of a pixel inside begin, from the first tap on.
    inside: Box<[usize]>,
    /// The same in a layout of one pixel's taps.
    laid_out: Box<[usize]>,
}

impl Step {
    pub(crate) fn new(
        isa: Isa,
        ways: usize,
        input: Tensor,
        step: &Depthwise<'_>,
        output: Tensor,
    ) -> Result<Self, Error> {
        let axes = Axes::new(&step.window, input.shape)?;
        let (taps, channels) = (axes.taps(), step.bias.len());
        step.weights.check(taps, channels)?;
        if !channels.is_multiple_of(axes.channels) {
            return Err(Error::Lengths);
        }
        axes.make(channels, output.shape)?;
        if !input.element.is_like(output.element) {
            return Err(Error::Element);
        }
        let quant = input.quant()?;
        let packed = Packed::new(isa, channels, step, quant, output.element)?;
        let Axes { rows, columns, channels: channels_in } = axes;
        let start = |tap: usize| {
            let [down, across] = [tap / columns.kernel, tap % columns.kernel];
            let pixels = down * rows.dilation * columns.input + across * columns.dilation;
            pixels * channels_in
        };
        Ok(Self {
            rows,
            columns,
            channels_in,
            packed,
            padding: quant.zero_point,
            ways,
            inside: (0..taps).map(start).collect(),
            laid_out: (0..taps).map(|tap| tap * channels).collect(),
        })
    }

    /// Multiplications in one run.
    pub(crate) fn work(&self) -> u64 {
        let places = (self.rows.output * self.columns.output) as u64;
        places * (self.packed.taps * self.packed.channels) as u64
    }

    /// Memory that [`Step::run`] wants to work in.
    pub(crate) fn scratch_bytes(&self) -> usize {
        BORDER * self.packed.taps * self.packed.channels * self.ways
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        let Packed { form, bias, requant, .. } = &self.packed;
        form.bytes() + size_of_val(&**bias) + size_of_val(&*requant.multipliers)
    }

    pub(crate) fn run<F: Fork>(
        &self,
        input: &[u8],
        output: &mut [u8],
        scratch: &mut [u8],
        fork: &F,
    ) {
        let job = Job { places: 0..self.rows.output, output, scratch };
        split(fork, self.ways, job, &|job| self.part(input, job));
    }

    fn part(&self, input: &[u8], job: Job<'_>) {
        let columns = 0..self.columns.output;
        let outs = job.output.chunks_exact_mut(self.columns.output * self.packed.channels);
        let plain = self.packed.channels == self.channels_in;
        for (row, out) in job.places.zip(outs) {
            let inside = self.columns.inside();
            if plain && self.rows.inside().contains(&row) && !inside.is_empty() {
                let (before, out) = out.split_at_mut(inside.start * self.packed.channels);
                let (middle, after) = out.split_at_mut(inside.len() * self.packed.channels);
                self.border(input, row, 0..inside.start, before, job.scratch);
                self.middle(input, row, inside.clone(), middle);
                self.border(input, row, inside.end..columns.end, after, job.scratch);
            } else {
                self.border(input, row, columns.clone(), out, job.scratch);
            }
        }
    }

    fn middle(&self, input: &[u8], row: usize, columns: Range<usize>, out: &mut [u8]) {
        let (row, column) = (self.rows.source(row, 0), self.columns.source(columns.start, 0));
        let (Some(row), Some(column)) = (row, column) else { return };
        let bytes = &input[(row * self.columns.input + column) * self.channels_in..];
        let advance = self.columns.stride * self.channels_in;
        let taps = Taps { bytes, starts: &self.inside, advance, count: columns.len() };
        self.packed.run(taps, out);
    }

    fn border(
        &self,
        input: &[u8],
        row: usize,
        columns: Range<usize>,
        out: &mut [u8],
        scratch: &mut [u8],
    ) {
        let advance = self.packed.taps * self.packed.channels;
        let blocks = out.chunks_mut(BORDER * self.packed.channels);
        for (first, out) in columns.step_by(BORDER).zip(blocks) {
            let count = out.len() / self.packed.channels;
            let laid_out = scratch.chunks_exact_mut(advance);
            for (column, laid_out) in (first..first + count).zip(laid_out) {
                self.lay_out(input, row, column, laid_out);
            }
            let taps = Taps { bytes: scratch, starts: &self.laid_out, advance, count };
            self.packed.run(taps, out);
        }
    }

    /// Copies what lies under the kernel for one output pixel: `[taps, channels out]`.
    fn lay_out(&self, input: &[u8], row: usize, column: usize, scratch: &mut [u8]) {
        let mut taps = scratch.chunks_exact_mut(self.packed.channels);
        for down in 0..self.rows.kernel {
            let row = self.rows.source(row, down);
            for across in 0..self.columns.kernel {
                let Some(tap) = taps.next() else { return };
                match (row, self.columns.source(column, across)) {
                    (Some(row), Some(column)) => {
                        let start = (row * self.columns.input + column) * self.channels_in;
                        spread(&input[start..start + self.channels_in], tap);
                    }
                    _ => tap.fill(self.padding),
                }
            }
        }
    }
}

/// Copies each value as often as it has outputs.
fn spread(values: &[u8], tap: &mut [u8]) {
    if values.len() == tap.len() {
        tap.copy_from_slice(values);
    } else {
        let multiplier = tap.len() / values.len();
        for (value, copies) in values.iter().zip(tap.chunks_exact_mut(multiplier)) {
            copies.fill(*value);
        }
    }
}
