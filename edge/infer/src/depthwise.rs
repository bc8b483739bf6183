//! `DEPTHWISE_CONV_2D` with one output for each input channel.

use crate::error::Error;
use crate::plan::Shape;
use crate::requant::{Activation, Quant, Requant};
use crate::window::{Axis, Window};
use alloc::boxed::Box;

/// Channels summed together.
const CHANNELS: usize = 8;

/// A depthwise convolution as the file describes it.
#[derive(Debug, Clone, Copy)]
pub struct Depthwise<'a> {
    /// Kernel, stride and padding.
    pub window: Window,
    /// `[kernel rows, kernel columns, channels]`, zero point taken off: -255..=255.
    pub weights: &'a [i16],
    /// `[channels]`, in steps of `input scale * weight scale`.
    pub bias: &'a [i32],
    /// `[channels]` scales of the weights; all the same for a per-tensor file.
    pub weight_scales: &'a [f32],
    /// What the output's bytes mean.
    pub output: Quant,
    /// What is applied to the result.
    pub activation: Activation,
}

/// A depthwise convolution, checked.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    rows: Axis,
    columns: Axis,
    channels: usize,
    weights: Box<[i16]>,
    bias: Box<[i32]>,
    zero_point: u8,
    requant: Requant,
}

impl Step {
    pub(crate) fn new(input: Shape, quant: Quant, step: &Depthwise<'_>) -> Result<Self, Error> {
        let rows = Axis::new(&step.window, 0, input.rows)?;
        let columns = Axis::new(&step.window, 1, input.columns)?;
        let channels = input.channels;
        let fits = step.weights.len() == rows.kernel * columns.kernel * channels
            && step.bias.len() == channels
            && step.weight_scales.len() == channels;
        if !fits {
            return Err(Error::Lengths);
        }
        for (channel, bias) in step.bias.iter().enumerate() {
            let taps = step.weights.iter().skip(channel).step_by(channels);
            let reach: u64 = taps.map(|w| u64::from(w.unsigned_abs()) * 255).sum();
            if u64::from(bias.unsigned_abs()) + reach > i32::MAX as u64 {
                return Err(Error::Overflow);
            }
        }
        let requant = Requant::new(quant, step.weight_scales, step.output, step.activation)?;
        let (weights, bias) = (step.weights.into(), step.bias.into());
        Ok(Self { rows, columns, channels, weights, bias, zero_point: quant.zero_point, requant })
    }

    pub(crate) fn output(&self) -> Shape {
        let Self { rows, columns, channels, .. } = self;
        Shape { rows: rows.output, columns: columns.output, channels: *channels }
    }

    /// Multiplications in one run.
    pub(crate) fn work(&self) -> u64 {
        let output = self.rows.output * self.columns.output;
        output as u64 * self.weights.len() as u64
    }

    pub(crate) fn run(&self, input: &[u8], output: &mut [u8]) {
        let mut pixels = output.chunks_exact_mut(self.channels);
        for row in 0..self.rows.output {
            for (column, out) in pixels.by_ref().take(self.columns.output).enumerate() {
                self.pixel(input, row, column, out);
            }
        }
    }

    fn pixel(&self, input: &[u8], row: usize, column: usize, out: &mut [u8]) {
        let (blocks, rest) = out.as_chunks_mut::<CHANNELS>();
        let first_rest = blocks.len() * CHANNELS;
        for (block, out) in blocks.iter_mut().enumerate() {
            let first = block * CHANNELS;
            let mut sums = [0; CHANNELS];
            sums.copy_from_slice(&self.bias[first..first + CHANNELS]);
            self.taps(row, column, first, |at, tap| {
                // Lengths that the compiler knows keep the sums in registers.
                let taps = (input[at..].first_chunk(), self.weights[tap..].first_chunk());
                if let (Some(input), Some(weights)) = taps {
                    self.add(&mut sums, input, weights);
                }
            });
            self.requant.store(first, &sums, out);
        }
        for (channel, out) in (first_rest..).zip(rest) {
            let mut sum = [self.bias[channel]];
            self.taps(row, column, channel, |at, tap| {
                self.add(&mut sum, &[input[at]], &[self.weights[tap]]);
            });
            self.requant.store(channel, &sum, core::slice::from_mut(out));
        }
    }

    /// Where channel `first` lies in the input and in the weights, for each tap of an output
    /// that is not beyond the border.
    #[inline]
    fn taps(&self, row: usize, column: usize, first: usize, mut each: impl FnMut(usize, usize)) {
        for down in 0..self.rows.kernel {
            let Some(row) = self.rows.source(row, down) else { continue };
            for across in 0..self.columns.kernel {
                let Some(column) = self.columns.source(column, across) else { continue };
                let at = (row * self.columns.input + column) * self.channels + first;
                let tap = (down * self.columns.kernel + across) * self.channels + first;
                each(at, tap);
            }
        }
    }

    #[inline]
    fn add<const N: usize>(&self, sums: &mut [i32; N], input: &[u8; N], weights: &[i16; N]) {
        let zero_point = i16::from(self.zero_point);
        for at in 0..N {
            sums[at] += i32::from(i16::from(input[at]) - zero_point) * i32::from(weights[at]);
        }
    }
}
