//! `AVERAGE_POOL_2D` and `MAX_POOL_2D`: each channel's average or largest under a window.
//!
//! What hangs over the border counts for nothing. Averages are the built-in kernel's of
//! TFLite (XNNPACK has none for bytes): halves go away from the stored 0, not from the one
//! that means 0, and the output's scale plays no part.

use crate::error::Error;
use crate::kernel::Inputs;
use crate::requant::Activation;
use crate::tensor::Tensor;
use crate::window::{Axes, Axis, Window};

/// Channels that are summed together.
const CHANNELS: usize = 256;
/// Most places under a window: an `f32` holds sums of as many bytes, and half a window.
const PLACES_MAX: usize = 1 << 16;

/// A window over each channel.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    rows: Axis,
    columns: Axis,
    channels: usize,
    /// The stored values that the activation leaves.
    range: [u8; 2],
    pool: Pool,
}

#[derive(Debug, Clone, Copy)]
enum Pool {
    /// Of values that are stored plus `excess`.
    Average {
        excess: i32,
    },
    Max,
}

impl Step {
    pub(crate) fn average(
        input: Tensor,
        window: &Window,
        activation: Activation,
        output: Tensor,
    ) -> Result<Self, Error> {
        if !input.element.is_like(output.element) {
            return Err(Error::Element);
        }
        let range = activation.built_in_range(output.element)?;
        let excess = i32::from(input.element.excess());
        Self::new(input, window, range, output, Pool::Average { excess })
    }

    pub(crate) fn max(
        input: Tensor,
        window: &Window,
        activation: Activation,
        output: Tensor,
    ) -> Result<Self, Error> {
        input.element.kept(output.element)?;
        // XNNPACK leaves windows with gaps between them to the built-in kernel.
        let gaps = (0..2).any(|axis| window.stride[axis] > window.kernel[axis]);
        let range = if gaps { Activation::built_in_range } else { Activation::range };
        Self::new(input, window, range(activation, output.element)?, output, Pool::Max)
    }

    fn new(
        input: Tensor,
        window: &Window,
        range: [u8; 2],
        output: Tensor,
        pool: Pool,
    ) -> Result<Self, Error> {
        let axes = Axes::new(window, input.shape)?;
        if window.dilation != [1; 2] {
            return Err(Error::Window);
        }
        axes.make(axes.channels, output.shape)?;
        let Axes { rows, columns, channels } = axes;
        if rows.kernel.min(rows.input) * columns.kernel.min(columns.input) > PLACES_MAX {
            return Err(Error::TooLarge);
        }
        Ok(Self { rows, columns, channels, range, pool })
    }

    /// Values read in one run.
    pub(crate) fn work(&self) -> u64 {
        let under = |axis: &Axis| axis.kernel.min(axis.input) * axis.output;
        under(&self.rows) as u64 * (under(&self.columns) * self.channels) as u64
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        let input = inputs.get(0);
        for (at, out) in output.chunks_exact_mut(self.channels).enumerate() {
            match self.pool {
                Pool::Average { excess } => self.average_of(input, at, excess, out),
                Pool::Max => self.max_of(input, at, out),
            }
        }
    }

    /// Where the input pixels under the window of output pixel `at` begin.
    fn under(&self, at: usize) -> impl Iterator<Item = usize> {
        let rows = self.rows.under(at / self.columns.output);
        let columns = self.columns.under(at % self.columns.output);
        let [across, channels] = [self.columns.input, self.channels];
        rows.flat_map(move |row| {
            columns.clone().map(move |column| (row * across + column) * channels)
        })
    }

    fn max_of(&self, input: &[u8], at: usize, out: &mut [u8]) {
        let [low, high] = self.range;
        out.fill(low);
        for start in self.under(at) {
            for (out, value) in out.iter_mut().zip(&input[start..]) {
                *out = (*out).max(*value);
            }
        }
        for out in out {
            *out = (*out).min(high);
        }
    }

    fn average_of(&self, input: &[u8], at: usize, excess: i32, out: &mut [u8]) {
        for (first, out) in (0..).step_by(CHANNELS).zip(out.chunks_mut(CHANNELS)) {
            let mut sums = [0_i32; CHANNELS];
            let sums = &mut sums[..out.len()];
            let mut places = 0;
            for start in self.under(at) {
                places += 1;
                for (sum, value) in sums.iter_mut().zip(&input[start + first..]) {
                    *sum += i32::from(*value);
                }
            }
            self.divide(sums, places, excess, out);
        }
    }

    fn divide(&self, sums: &[i32], places: i32, excess: i32, out: &mut [u8]) {
        let [low, high] = self.range.map(|end| i32::from(end) - excess);
        let (half, divisor) = (places / 2, places as f32);
        for (sum, out) in sums.iter().zip(out) {
            let sum = sum - excess * places;
            let sum = sum + if sum > 0 { half } else { -half };
            // Exact: the sum has 24 bits, and a quotient that is no whole number is further
            // from one than `f32` rounds. Vectors divide floats only.
            #[expect(clippy::cast_possible_truncation, reason = "of the size of a byte")]
            let average = (sum as f32 / divisor) as i32;
            *out = (average.clamp(low, high) + excess).to_le_bytes()[0];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use crate::{Element, Op, Padding, Shape, alone};
    use std::vec::Vec;

    fn pool(op: &Op<'_>, input: (Tensor, &[u8]), sides: &[usize]) -> Result<Vec<u8>, Error> {
        let shape = Shape::new(sides)?;
        alone::run(op, &[input], Tensor { shape, ..input.0 })
    }

    /// TFLite's values under the window of each output, in the order of the outputs.
    fn under(input: Tensor, values: &[u8], window: &Window) -> ([usize; 4], Vec<Vec<i32>>) {
        let [rows, columns, channels] = input.shape.as_picture().expect("a picture");
        let axis = |at: usize, size: usize| {
            let (kernel, stride) = (window.kernel[at], window.stride[at]);
            match window.padding {
                Padding::Valid => ((size - kernel) / stride + 1, 0),
                Padding::Same => {
                    let output = size.div_ceil(stride);
                    (output, ((output - 1) * stride + kernel).saturating_sub(size) / 2)
                }
            }
        };
        let [(high, top), (wide, left)] = [axis(0, rows), axis(1, columns)];
        let value = |at: usize| i32::from(values[at]) - i32::from(input.element.excess());
        let found = (0..high * wide * channels).map(|at| {
            let index = alone::index(&[high, wide, channels], at);
            let inside = |at: usize, size: usize, before: usize| {
                let first = index[at] * window.stride[at];
                (first..first + window.kernel[at])
                    .filter_map(move |at| at.checked_sub(before).filter(|at| *at < size))
            };
            inside(0, rows, top)
                .flat_map(|row| inside(1, columns, left).map(move |column| [row, column]))
                .map(|[row, column]| value((row * columns + column) * channels + index[2]))
                .collect()
        });
        ([1, high, wide, channels], found.collect())
    }

    #[test]
    fn pools_equal_the_naive_twin() {
        let mut random = Random(26);
        for round in 0..400 {
            let [rows, columns] = [0, 1].map(|_| 1 + random.below(9));
            let most = if round % 40 == 0 { 600 } else { 20 };
            let element = if round % 2 == 0 { Element::U8 } else { Element::I8 };
            let sides = [1, rows, columns, 1 + random.below(most)];
            let input = alone::bytes(&sides, element, random.byte());
            let values = alone::values(&mut random, input);
            let kernel = [1 + random.below(rows), 1 + random.below(columns)];
            let stride = [0, 1].map(|_| 1 + random.below(3));
            let padding = if random.below(2) == 0 { Padding::Same } else { Padding::Valid };
            let window = Window { kernel, stride, dilation: [1; 2], padding };
            let (sides, found) = under(input, &values, &window);
            let excess = i32::from(input.element.excess());
            let stored = |value: i32| u8::try_from(value + excess).expect("a byte");
            let largest = found.iter().map(|found| stored(*found.iter().max().expect("some")));
            let op = Op::MaxPool(window, Activation::None);
            let got = pool(&op, (input, &values), &sides);
            assert_eq!(got, Ok(largest.collect()), "{window:?} over {input:?}");
            let average = |found: &Vec<i32>| {
                let (sum, count) = (found.iter().sum::<i32>(), i32::try_from(found.len()));
                let count = count.expect("small");
                stored(if sum > 0 { sum + count / 2 } else { sum - count / 2 } / count)
            };
            let op = Op::AveragePool(window, Activation::None);
            let got = pool(&op, (input, &values), &sides);
            let expect = found.iter().map(average).collect();
            assert_eq!(got, Ok(expect), "{window:?} over {input:?}");
        }
    }

    #[test]
    fn halves_go_away_from_the_stored_0() {
        let window = Window { kernel: [1, 2], stride: [1, 2], ..Window::POINT };
        let values = [1_i8, 2, 0, 1, -1, 0, -1, -2, -127, -128, 127, 126];
        let stored = values.map(|value| value.cast_unsigned() ^ 128);
        for (activation, expect) in [
            (Activation::None, [2_i8, 1, -1, -2, -128, 127]),
            (Activation::Relu, [2, 1, 0, 0, 0, 127]),
            (Activation::Relu6, [2, 1, 0, 0, 0, 6]),
        ] {
            let input = alone::bytes(&[1, 1, 12, 1], Element::I8, 128);
            let op = Op::AveragePool(window, activation);
            let got = pool(&op, (input, &stored), &[1, 1, 6, 1]);
            assert_eq!(got, Ok(expect.map(|value| value.cast_unsigned() ^ 128).to_vec()));
        }
        let input = alone::bytes(&[1, 1, 12, 1], Element::U8, 128);
        let op = Op::AveragePool(window, Activation::None);
        let got = pool(&op, (input, &stored), &[1, 1, 6, 1]);
        assert_eq!(got, Ok([130, 129, 128, 127, 1, 255].to_vec()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let input = alone::bytes(&[1, 4, 4, 1], Element::U8, 0);
        let refused = |window, output| {
            let run = |op: Op<'_>| alone::run(&op, &[(input, &[0; 16])], output).err();
            [Op::AveragePool, Op::MaxPool].map(|op| run(op(window, Activation::None)))
        };
        let output = alone::bytes(&[1, 4, 4, 1], Element::U8, 0);
        let gaps = Window { dilation: [1, 2], ..Window::POINT };
        assert_eq!(refused(gaps, output), [Some(Error::Window); 2]);
        let large = Window { kernel: [5, 1], ..Window::POINT };
        assert_eq!(refused(large, output), [Some(Error::Window); 2]);
        let shape = Shape::picture(4, 2, 1).expect("small");
        let steps = Window { stride: [1, 2], ..Window::POINT };
        assert_eq!(refused(steps, output), [Some(Error::Shape(shape)); 2]);
        let signed = alone::bytes(&[1, 4, 4, 1], Element::I8, 0);
        assert_eq!(refused(Window::POINT, signed), [Some(Error::Element); 2]);
        let other = alone::bytes(&[1, 4, 4, 1], Element::U8, 3);
        assert_eq!(refused(Window::POINT, other), [None, Some(Error::Requantized)]);
    }
}
