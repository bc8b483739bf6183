//! Elements that become others of another width: `QUANTIZE`, `DEQUANTIZE`, `CAST`; and `SQRT`.

use crate::error::Error;
use crate::kernel::Inputs;
use crate::op::Pointwise;
use crate::requant::{Activation, Requant};
use crate::tensor::{Element, Quant, Tensor};

/// A function of each element alone, of which one has four bytes.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    formula: Formula,
    work: u64,
}

#[derive(Debug, Clone)]
enum Formula {
    /// `f32` to bytes.
    Quantize { inverse: f32, requant: Requant },
    /// Bytes to `f32`.
    Dequantize(Quant),
    /// Bytes to `f32`, not scaled, less what `INT8` is stored with.
    Widen { excess: u8 },
    /// `i32` to `f32`.
    Float,
    /// `f32` to `i32`.
    Truncate,
    /// The square root of `f32`.
    Sqrt,
}

impl Step {
    /// `QUANTIZE` and `DEQUANTIZE`.
    pub(crate) fn requantize(input: Tensor, output: Tensor) -> Result<Self, Error> {
        let formula = match (input.element, output.element) {
            (Element::F32, to @ (Element::U8(quant) | Element::I8(quant))) => {
                let inverse = 1.0 / quant.scale;
                let one = Quant { scale: 1.0, zero_point: 0 };
                let requant = Requant::new(one, &[], 0, to, Activation::None)?;
                Formula::Quantize { inverse, requant }
            }
            (Element::U8(quant) | Element::I8(quant), Element::F32) => Formula::Dequantize(quant),
            _ => return Err(Error::Element),
        };
        Self::new(formula, input, output)
    }

    /// `CAST`.
    pub(crate) fn cast(input: Tensor, output: Tensor) -> Result<Self, Error> {
        let formula = match (input.element, output.element) {
            (from @ (Element::U8(_) | Element::I8(_)), Element::F32) => {
                Formula::Widen { excess: from.excess() }
            }
            (Element::I32, Element::F32) => Formula::Float,
            (Element::F32, Element::I32) => Formula::Truncate,
            _ => return Err(Error::Element),
        };
        Self::new(formula, input, output)
    }

    /// One operand, of real numbers.
    pub(crate) fn pointwise(
        pointwise: Pointwise,
        input: Tensor,
        output: Tensor,
    ) -> Result<Self, Error> {
        match (pointwise, input.element, output.element) {
            (Pointwise::Sqrt, Element::F32, Element::F32) => {
                Self::new(Formula::Sqrt, input, output)
            }
            _ => Err(Error::Element),
        }
    }

    fn new(formula: Formula, input: Tensor, output: Tensor) -> Result<Self, Error> {
        if input.shape != output.shape {
            return Err(Error::Shape(input.shape));
        }
        Ok(Self { formula, work: input.shape.count() as u64 })
    }

    /// Values computed in one run.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        let input = inputs.get(0);
        match &self.formula {
            Formula::Quantize { inverse, requant } => {
                let words = input.as_chunks().0.iter();
                for (word, out) in words.zip(output) {
                    *out = quantized(f32::from_le_bytes(*word), *inverse, requant);
                }
            }
            Formula::Dequantize(quant) => widen(input, output, |byte| quant.real(byte)),
            Formula::Widen { excess } => {
                widen(input, output, |byte| f32::from(i16::from(byte) - i16::from(*excess)));
            }
            Formula::Float => words(input, output, |word| float(word).to_le_bytes()),
            Formula::Truncate => {
                words(input, output, |word| truncated(f32::from_le_bytes(word)).to_le_bytes());
            }
            Formula::Sqrt => {
                words(input, output, |word| libm::sqrtf(f32::from_le_bytes(word)).to_le_bytes());
            }
        }
    }
}

fn widen(input: &[u8], output: &mut [u8], f: impl Fn(u8) -> f32) {
    for (out, byte) in output.as_chunks_mut().0.iter_mut().zip(input) {
        *out = f(*byte).to_le_bytes();
    }
}

fn words(input: &[u8], output: &mut [u8], f: impl Fn([u8; 4]) -> [u8; 4]) {
    for (out, word) in output.as_chunks_mut().0.iter_mut().zip(input.as_chunks().0) {
        *out = f(*word);
    }
}

fn float(word: [u8; 4]) -> f32 {
    i32::from_le_bytes(word) as f32
}

/// The nearest stored value, half to even: XNNPACK's, which multiplies with the inverse scale.
///
/// What is not a number becomes the largest, as on x86-64.
fn quantized(value: f32, inverse: f32, requant: &Requant) -> u8 {
    let steps = value * inverse;
    requant.stored(if steps < 32767.0 { steps } else { 32767.0 })
}

/// The integer part, cut to 32 bits; what is not a number becomes the largest, as in TFLite.
fn truncated(value: f32) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
    let whole = value as i32;
    if value.is_nan() { i32::MAX } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone;
    use crate::{Op, Shape};
    use std::vec::Vec;

    fn form(count: usize, element: Element) -> Tensor {
        Tensor { shape: Shape::new(&[count]).expect("small"), element }
    }

    fn reals(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn reals_become_the_nearest_steps() {
        let quant = Quant { scale: 0.5, zero_point: 100 };
        let values = [0.25, 0.75, -0.25, -0.75, 0.26, 1e30, -1e30, f32::NAN, f32::INFINITY];
        let (input, output) = (form(9, Element::F32), form(9, Element::U8(quant)));
        let run = alone::run(&Op::Requantize, &[(input, &reals(&values))], output).expect("sound");
        assert_eq!(run, [100, 102, 100, 98, 101, 255, 0, 255, 255]);
    }

    #[test]
    fn steps_become_their_reals() {
        let quant = Quant { scale: 0.0137, zero_point: 131 };
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        for element in [Element::U8(quant), Element::I8(quant)] {
            let (input, output) = (form(256, element), form(256, Element::F32));
            let run = alone::run(&Op::Requantize, &[(input, &bytes)], output).expect("sound");
            let expect = (0_u8..=255).map(|byte| (f32::from(byte) - 131.0) * 0.0137);
            assert_eq!(run, reals(&expect.collect::<Vec<f32>>()));
        }
    }

    #[test]
    fn a_cast_keeps_what_tflite_sees() {
        let quant = Quant { scale: 0.0137, zero_point: 131 };
        let cast = |input: Tensor, bytes: &[u8], output| {
            alone::run(&Op::Cast, &[(input, bytes)], form(3, output)).expect("sound")
        };
        let bytes = [0, 128, 255];
        let [u8, i8] = [Element::U8(quant), Element::I8(quant)].map(|element| form(3, element));
        assert_eq!(cast(u8, &bytes, Element::F32), reals(&[0.0, 128.0, 255.0]));
        assert_eq!(cast(i8, &bytes, Element::F32), reals(&[-128.0, 0.0, 127.0]));
        let whole = [i32::MIN, 16_777_217, 3].map(i32::to_le_bytes).concat();
        let expect = reals(&[-2_147_483_648.0, 16_777_216.0, 3.0]);
        assert_eq!(cast(form(3, Element::I32), &whole, Element::F32), expect);
    }

    #[test]
    fn a_real_loses_its_fraction() {
        let pairs = [(0.9, 0), (-2.7, -2), (3e9, i32::MAX), (-3e9, i32::MIN), (f32::NAN, i32::MAX)];
        for (value, expect) in pairs {
            assert_eq!(truncated(value), expect, "{value}");
        }
    }

    #[test]
    fn roots_are_the_nearest() {
        let form = form(4, Element::F32);
        let op = Op::Pointwise(Pointwise::Sqrt);
        let values = [4.0, 2.0, 0.0, f32::INFINITY];
        let run = alone::run(&op, &[(form, &reals(&values))], form).expect("sound");
        assert_eq!(run, reals(&[2.0, core::f32::consts::SQRT_2, 0.0, f32::INFINITY]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (real, whole) = (form(2, Element::F32), form(2, Element::I32));
        assert_eq!(Step::requantize(real, whole).err(), Some(Error::Element));
        assert_eq!(Step::cast(whole, whole).err(), Some(Error::Element));
        assert_eq!(Step::pointwise(Pointwise::Relu, real, real).err(), Some(Error::Element));
        let refused = Step::cast(whole, form(3, Element::F32)).err();
        assert_eq!(refused, Some(Error::Shape(whole.shape)));
    }
}
