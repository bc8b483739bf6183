//! `SOFTMAX` over the last axis of bytes: TFLite's built-in kernel on x86-64.
//!
//! (On aarch64 TFLite has another, of 16-bit exponents, which differs in the last step.)

use crate::error::Error;
use crate::kernel::Inputs;
use crate::tensor::{Element, Tensor};
use alloc::boxed::Box;

/// Made ready for rows of one length.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// `exp(-scale * beta * n)`, for a value `n` steps below the largest of its row.
    powers: Box<[f32; 256]>,
    scale: f32,
    rounding: Rounding,
    /// Values of a row.
    length: usize,
    work: u64,
}

/// From steps of the output to a stored value.
#[derive(Debug, Clone, Copy)]
enum Rounding {
    /// `UINT8`: halves up; the zero point counts for nothing.
    Up,
    /// `INT8`: halves away from 0, plus the zero point.
    Away { zero_point: u8 },
}

impl Step {
    pub(crate) fn new(beta: f32, input: Tensor, output: Tensor) -> Result<Self, Error> {
        let (from, to) = (input.quant()?, output.quant()?);
        let rounding = match (input.element, output.element) {
            (Element::U8(_), Element::U8(_)) => Rounding::Up,
            (Element::I8(_), Element::I8(_)) => Rounding::Away { zero_point: to.zero_point },
            _ => return Err(Error::Element),
        };
        if input.shape != output.shape {
            return Err(Error::Shape(input.shape));
        }
        let scale = -from.scale * beta;
        if !scale.is_finite() {
            return Err(Error::Scale);
        }
        let mut powers = Box::new([0.0; 256]);
        for (power, steps) in powers.iter_mut().zip(0_u16..) {
            *power = exp(scale * f32::from(steps));
        }
        let length = *input.shape.sides().last().ok_or(Error::Rank)?;
        let work = input.shape.count() as u64 * 2;
        Ok(Self { powers, scale: to.scale, rounding, length, work })
    }

    /// Values read in one run.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        let rows = inputs.get(0).chunks_exact(self.length);
        for (row, out) in rows.zip(output.chunks_exact_mut(self.length)) {
            self.row(row, out);
        }
    }

    fn row(&self, row: &[u8], out: &mut [u8]) {
        let largest = row.iter().copied().max().unwrap_or(0);
        let power = |value: u8| self.powers[usize::from(largest - value)];
        // In the order of the row: sums of f32 do not associate.
        let sum: f32 = row.iter().fold(0.0, |sum, value| sum + power(*value));
        let inverse = 1.0 / (sum * self.scale);
        for (value, out) in row.iter().zip(out) {
            *out = self.rounding.stored(power(*value) * inverse);
        }
    }
}

impl Rounding {
    fn stored(self, steps: f32) -> u8 {
        let value = match self {
            Self::Up => libm::truncf(steps + 0.5),
            Self::Away { zero_point } => libm::roundf(steps) + f32::from(zero_point),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let stored = value.clamp(0.0, 255.0) as u8;
        stored
    }
}

/// The `f32` nearest to the power.
fn exp(value: f32) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest")]
    let power = libm::exp(value.into()) as f32;
    power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone;
    use crate::plan::Random;
    use crate::{Op, Quant, Shape};
    use std::vec::Vec;

    fn forms(sides: &[usize], scale: f32, signed: bool) -> [Tensor; 2] {
        let shape = Shape::new(sides).expect("small");
        [Quant { scale, zero_point: 7 }, Quant { scale: 1.0 / 256.0, zero_point: 0 }].map(|quant| {
            let element = if signed { Element::I8(quant) } else { Element::U8(quant) };
            Tensor { shape, element }
        })
    }

    #[test]
    fn shares_are_near_the_real_ones() {
        let mut random = Random(29);
        for round in 0..200 {
            let (rows, length) = (1 + random.below(4), 1 + random.below(40));
            let scale = 0.002 + random.below(1000) as f32 * 3e-4;
            let [input, output] = forms(&[rows, length], scale, round % 2 == 0);
            let bytes: Vec<u8> = (0..rows * length).map(|_| random.byte()).collect();
            let beta = [1.0, 0.5, 2.0][random.below(3)];
            let run = alone::run(&Op::Softmax { beta }, &[(input, &bytes)], output).expect("sound");
            for (row, run) in bytes.chunks_exact(length).zip(run.chunks_exact(length)) {
                let power = |value: u8| libm::exp(f64::from(value) * f64::from(scale * beta));
                let sum: f64 = row.iter().map(|value| power(*value)).sum();
                for (value, got) in row.iter().zip(run) {
                    let expect = (power(*value) / sum * 256.0).min(255.0);
                    assert!((f64::from(*got) - expect).abs() < 0.501, "{got}, not {expect}");
                }
            }
        }
    }

    #[test]
    fn equal_values_share_alike() {
        for (signed, expect) in [(false, [85; 3]), (true, [85; 3])] {
            let [input, output] = forms(&[1, 3], 0.1, signed);
            let op = Op::Softmax { beta: 1.0 };
            assert_eq!(alone::run(&op, &[(input, &[9; 3])], output), Ok(expect.to_vec()));
        }
        let [input, output] = forms(&[2, 1], 0.1, false);
        assert_eq!(
            alone::run(&Op::Softmax { beta: 1.0 }, &[(input, &[0, 9])], output),
            Ok(std::vec![255; 2])
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let [input, output] = forms(&[3], 0.1, false);
        let [_, other] = forms(&[3], 0.1, true);
        assert_eq!(Step::new(1.0, input, other).err(), Some(Error::Element));
        assert_eq!(Step::new(f32::NAN, input, output).err(), Some(Error::Scale));
        let [scalar, _] = forms(&[], 0.1, false);
        assert_eq!(Step::new(1.0, scalar, scalar).err(), Some(Error::Rank));
        let [_, longer] = forms(&[4], 0.1, false);
        assert_eq!(Step::new(1.0, input, longer).err(), Some(Error::Shape(input.shape)));
    }
}
