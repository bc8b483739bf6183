//! Sums and products of bytes, as XNNPACK and TFLite's built-in kernels round them.
//!
//! XNNPACK's as long as it takes the ratio of the scales, the built-in kernel's beyond. (Beyond
//! 256 the vector lanes of the latter wrap at 16 bits, by where an element lies; ours stay at the
//! end of the range.)

use crate::broadcast::Broadcast;
use crate::error::Error;
use crate::fixed::{Factor, stored};
use crate::op::Arithmetic;
use crate::requant::{Activation, Requant};
use crate::tensor::Element;
use core::ops::Range;

/// Input scale over output scale that XNNPACK takes for a sum.
const SUM_RATIOS: Range<f32> = 1.0 / 1024.0..256.0;
/// Product of the input scales over the output scale that XNNPACK takes for a product.
const PRODUCT_RATIOS: Range<f32> = 1.0 / 65536.0..256.0;

/// What two stored bytes make.
#[derive(Debug, Clone)]
pub(super) enum Quantized {
    Sum(Sum),
    FixedSum(FixedSum),
    Product(Product),
    FixedProduct(FixedProduct),
}

impl Quantized {
    /// For the elements of both operands and of the output.
    pub(super) fn new(
        arithmetic: Arithmetic,
        activation: Activation,
        elements: [Element; 3],
    ) -> Result<Self, Error> {
        let [a, b, output] = elements.map(|element| element.quant().map(|quant| quant.scale));
        let (a, b, output) = (a?, b?, output?);
        Ok(match arithmetic {
            Arithmetic::Add | Arithmetic::Sub => {
                let sign = if arithmetic == Arithmetic::Sub { -1 } else { 1 };
                let ratios = [a / output, b / output];
                if ratios.iter().all(|ratio| SUM_RATIOS.contains(ratio)) {
                    Self::Sum(Sum::new(ratios, sign, activation, elements)?)
                } else {
                    Self::FixedSum(FixedSum::new(sign, activation, elements)?)
                }
            }
            Arithmetic::Mul if PRODUCT_RATIOS.contains(&(a * b / output)) => {
                Self::Product(Product::new(activation, elements)?)
            }
            Arithmetic::Mul => Self::FixedProduct(FixedProduct::new(activation, elements)?),
            Arithmetic::Div | Arithmetic::FloorDiv => return Err(Error::Element),
        })
    }

    pub(super) fn apply(&self, broadcast: &Broadcast, a: &[u8], b: &[u8], output: &mut [u8]) {
        match self {
            Self::Sum(it) => broadcast.apply(a, b, output, &|a, b| it.of(a, b)),
            Self::FixedSum(it) => broadcast.apply(a, b, output, &|a, b| it.of(a, b)),
            Self::Product(it) => broadcast.apply(a, b, output, &|a, b| it.of(a, b)),
            Self::FixedProduct(it) => broadcast.apply(a, b, output, &|a, b| it.of(a, b)),
        }
    }
}

/// Zero points of the three tensors.
fn zero_points(elements: [Element; 3]) -> Result<[i32; 3], Error> {
    let [a, b, output] = elements.map(|element| element.quant().map(|it| it.zero_point.into()));
    Ok([a?, b?, output?])
}

/// XNNPACK's sum: multipliers of 21 bits, one rounding, halves up.
#[derive(Debug, Clone)]
pub(super) struct Sum {
    multipliers: [i32; 2],
    /// The zero points' part, and a half.
    bias: i32,
    shift: u32,
    zero_point: i32,
    range: [i32; 2],
}

impl Sum {
    fn new(
        ratios: [f32; 2],
        sign: i32,
        activation: Activation,
        elements: [Element; 3],
    ) -> Result<Self, Error> {
        let exponent = (ratios[0].max(ratios[1]).to_bits() >> 23).cast_signed() - 127;
        // 12 to 30: the ratios are within `SUM_RATIOS`.
        let shift = (20 - exponent).clamp(12, 30).cast_unsigned();
        let raised = |ratio: f32| libm::rintf(ratio * (1_u32 << shift) as f32);
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^21")]
        let [a, b] = ratios.map(|ratio| raised(ratio) as i32);
        let multipliers = [a, b * sign];
        let [a, b, zero_point] = zero_points(elements)?;
        let bias = (1 << (shift - 1)) - multipliers[0] * a - multipliers[1] * b;
        let range = activation.range(elements[2])?.map(i32::from);
        Ok(Self { multipliers, bias, shift, zero_point, range })
    }

    #[inline]
    fn of(&self, a: u8, b: u8) -> u8 {
        let [by_a, by_b] = self.multipliers;
        let sum = self.bias + i32::from(a) * by_a + i32::from(b) * by_b;
        let value = (sum >> self.shift) + self.zero_point;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let stored = value.max(self.range[0]).min(self.range[1]) as u8;
        stored
    }
}

/// The built-in kernel's sum: both operands on a common scale first.
#[derive(Debug, Clone)]
pub(super) struct FixedSum {
    factors: [Factor; 2],
    output: Factor,
    sign: i64,
    zero_points: [i32; 3],
    range: [u8; 2],
}

impl FixedSum {
    /// Bits that operands are raised by before they are scaled.
    const RAISED: u32 = 20;

    fn new(sign: i32, activation: Activation, elements: [Element; 3]) -> Result<Self, Error> {
        let [a, b, output] = elements.map(|element| element.quant().map(|it| it.scale.into()));
        let (a, b, output): (f64, f64, f64) = (a?, b?, output?);
        let common = 2.0 * a.max(b);
        Ok(Self {
            factors: [Factor::new(a / common)?, Factor::new(b / common)?],
            output: Factor::new(common / (f64::from(1 << Self::RAISED) * output))?,
            sign: sign.into(),
            zero_points: zero_points(elements)?,
            range: activation.built_in_range(elements[2])?,
        })
    }

    fn of(&self, a: u8, b: u8) -> u8 {
        let [zero_a, zero_b, zero_point] = self.zero_points;
        let raised = |stored: u8, zero: i32| i64::from(i32::from(stored) - zero) << Self::RAISED;
        let a = self.factors[0].times(raised(a, zero_a));
        let b = self.factors[1].times(raised(b, zero_b));
        let sum = self.output.times(a + self.sign * b);
        stored(sum + i64::from(zero_point), self.range)
    }
}

/// XNNPACK's product: exact, scaled as a convolution's sum is.
#[derive(Debug, Clone)]
pub(super) struct Product {
    zero_points: [i32; 2],
    scale: f32,
    requant: Requant,
}

impl Product {
    fn new(activation: Activation, elements: [Element; 3]) -> Result<Self, Error> {
        let [a, b, output] = elements;
        let (a, b) = (a.quant()?, b.quant()?);
        let requant = Requant::new(a, &[b.scale], 1, output, activation)?;
        let scale = requant.multipliers[0];
        Ok(Self { zero_points: [a.zero_point.into(), b.zero_point.into()], scale, requant })
    }

    #[inline]
    fn of(&self, a: u8, b: u8) -> u8 {
        let [zero_a, zero_b] = self.zero_points;
        let product = (i32::from(a) - zero_a) * (i32::from(b) - zero_b);
        self.requant.stored(product as f32 * self.scale)
    }
}

/// The built-in kernel's product.
#[derive(Debug, Clone)]
pub(super) struct FixedProduct {
    factor: Factor,
    zero_points: [i32; 3],
    range: [u8; 2],
}

impl FixedProduct {
    fn new(activation: Activation, elements: [Element; 3]) -> Result<Self, Error> {
        let [a, b, output] = elements.map(Element::quant);
        let scale = a?.scale * b?.scale / output?.scale;
        Ok(Self {
            factor: Factor::new(scale.into())?,
            zero_points: zero_points(elements)?,
            range: activation.built_in_range(elements[2])?,
        })
    }

    fn of(&self, a: u8, b: u8) -> u8 {
        let [zero_a, zero_b, zero_point] = self.zero_points;
        let product = (i32::from(a) - zero_a) * (i32::from(b) - zero_b);
        stored(self.factor.times(product.into()) + i64::from(zero_point), self.range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use crate::tensor::{Quant, Shape, Tensor};
    use crate::{Op, alone};
    use std::vec::Vec;

    fn quants(random: &mut Random, least: f64, most: f64) -> [Quant; 3] {
        [0; 3].map(|_| {
            let part = random.below(1000) as f64 / 1000.0;
            #[expect(clippy::cast_possible_truncation, reason = "a small number")]
            let scale = (least * libm::pow(most / least, part)) as f32;
            Quant { scale, zero_point: random.byte() }
        })
    }

    /// The real result, cut as the activation says.
    fn exact(arithmetic: Arithmetic, activation: Activation, a: f64, b: f64) -> f64 {
        let value = match arithmetic {
            Arithmetic::Add => a + b,
            Arithmetic::Sub => a - b,
            _ => a * b,
        };
        let [low, high] = activation.bounds().map(f64::from);
        value.max(low).min(high)
    }

    /// How far from the real result, in steps, each formula may be.
    fn compare(least: f64, most: f64, wanted: f64) {
        let mut random = Random(11);
        for _ in 0..300 {
            let arithmetic = [Arithmetic::Add, Arithmetic::Sub, Arithmetic::Mul][random.below(3)];
            let activation =
                [Activation::None, Activation::Relu, Activation::Relu6][random.below(3)];
            let quants = quants(&mut random, least, most);
            let Ok(quantized) = Quantized::new(arithmetic, activation, quants.map(Element::U8))
            else {
                continue;
            };
            let [qa, qb, out] = quants;
            for _ in 0..100 {
                let (a, b) = (random.byte(), random.byte());
                let of = |quant: Quant, stored: u8| {
                    f64::from(quant.scale) * (f64::from(stored) - f64::from(quant.zero_point))
                };
                let expect = exact(arithmetic, activation, of(qa, a), of(qb, b));
                let expect = expect / f64::from(out.scale) + f64::from(out.zero_point);
                let expect = expect.clamp(0.0, 255.0);
                let got = match &quantized {
                    Quantized::Sum(it) => it.of(a, b),
                    Quantized::FixedSum(it) => it.of(a, b),
                    Quantized::Product(it) => it.of(a, b),
                    Quantized::FixedProduct(it) => it.of(a, b),
                };
                let apart = (f64::from(got) - expect).abs();
                assert!(apart <= wanted, "{arithmetic:?} {quants:?} {a} {b}: {got}, {expect}");
            }
        }
    }

    #[test]
    fn results_are_the_nearest_steps() {
        // The activation's bound is itself rounded to a step.
        compare(0.01, 1.0, 0.51);
        // Ratios that XNNPACK does not take, too.
        compare(1e-6, 1.0, 0.76);
    }

    #[test]
    fn extreme_scales_are_refused_or_harmless() {
        let scales = [1e-45, 1e-38, 1e-20, 0.001, 1.0, 1e20, f32::MAX];
        let quants = scales.map(|scale| [0, 255].map(|zero_point| Quant { scale, zero_point }));
        let quants: Vec<Quant> = quants.into_iter().flatten().collect();
        let shape = Shape::new(&[2]).expect("small");
        let form = |quant| Tensor { shape, element: Element::I8(quant) };
        for arithmetic in [Arithmetic::Add, Arithmetic::Sub, Arithmetic::Mul] {
            let op = Op::Arithmetic(arithmetic, Activation::ReluN1To1);
            for a in &quants {
                for b in &quants {
                    for output in &quants {
                        let inputs = [(form(*a), &[0, 255][..]), (form(*b), &[255, 255])];
                        let run = alone::run(&op, &inputs, form(*output));
                        assert!(run.is_ok() || run == Err(Error::Scale));
                    }
                }
            }
        }
    }

    #[test]
    fn halves_of_a_sum_go_up_those_of_a_product_to_even() {
        let half = Quant { scale: 0.5, zero_point: 100 };
        let one = Quant { scale: 1.0, zero_point: 100 };
        let elements = [half, half, one].map(Element::U8);
        let sum = Sum::new([0.5; 2], 1, Activation::None, elements).expect("sound");
        assert_eq!([97, 98, 99, 101, 103].map(|a| sum.of(a, 100)), [99, 99, 100, 101, 102]);
        let four = Quant { scale: 0.5, zero_point: 100 };
        let product =
            Product::new(Activation::None, [half, half, four].map(Element::U8)).expect("sound");
        assert_eq!([97, 99, 101, 103].map(|a| product.of(a, 101)), [98, 100, 100, 102]);
    }
}
