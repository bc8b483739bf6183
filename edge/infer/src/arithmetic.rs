//! `ADD`, `SUB`, `MUL`, `DIV` and `FLOOR_DIV`: two operands, broadcast.
//!
//! Bytes follow XNNPACK as long as it takes the ratio of the scales, TFLite's built-in kernels
//! beyond. (Beyond 256 the vector lanes of the latter wrap at 16 bits, by where an element lies;
//! ours stay at the end of the range.) `i32` wraps; a division by 0, an error in TFLite while it
//! runs, makes 0 here.

use crate::broadcast::Broadcast;
use crate::error::Error;
use crate::fixed::{Factor, stored};
use crate::kernel::Inputs;
use crate::op::Arithmetic;
use crate::requant::{Activation, Requant};
use crate::tensor::{Element, Tensor};
use core::ops::Range;

/// Input scale over output scale that XNNPACK takes for a sum.
const SUM_RATIOS: Range<f32> = 1.0 / 1024.0..256.0;
/// Product of the input scales over the output scale that XNNPACK takes for a product.
const PRODUCT_RATIOS: Range<f32> = 1.0 / 65536.0..256.0;

/// Two operands, checked.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    broadcast: Broadcast,
    formula: Formula,
    work: u64,
}

#[derive(Debug, Clone)]
enum Formula {
    Sum(Sum),
    FixedSum(FixedSum),
    Product(Product),
    FixedProduct(FixedProduct),
    /// `i32`, and what its results are cut to.
    Whole(Arithmetic, [i32; 2]),
    /// `f32`, and what its results are cut to.
    Real(Arithmetic, [f32; 2]),
}

impl Step {
    pub(crate) fn new(
        arithmetic: Arithmetic,
        activation: Activation,
        inputs: &[Tensor],
        output: Tensor,
    ) -> Result<Self, Error> {
        let [a, b] = *inputs else { return Err(Error::Inputs) };
        if !(a.element.is_like(b.element) && a.element.is_like(output.element)) {
            return Err(Error::Element);
        }
        let (broadcast, shape) = Broadcast::new(a.shape, b.shape)?;
        if shape != output.shape {
            return Err(Error::Shape(shape));
        }
        let elements = [a, b, output].map(|tensor| tensor.element);
        let formula = Formula::new(arithmetic, activation, elements)?;
        Ok(Self { broadcast, formula, work: shape.count() as u64 })
    }

    /// Values computed in one run.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        let (a, b) = (inputs.get(0), inputs.get(1));
        let bytes = &self.broadcast;
        match &self.formula {
            Formula::Sum(it) => bytes.apply(a, b, output, &|a, b| it.of(a, b)),
            Formula::FixedSum(it) => bytes.apply(a, b, output, &|a, b| it.of(a, b)),
            Formula::Product(it) => bytes.apply(a, b, output, &|a, b| it.of(a, b)),
            Formula::FixedProduct(it) => bytes.apply(a, b, output, &|a, b| it.of(a, b)),
            Formula::Whole(arithmetic, [low, high]) => {
                let f = whole(*arithmetic);
                self.words(a, b, output, |a, b| {
                    let value = f(i32::from_le_bytes(a), i32::from_le_bytes(b));
                    value.clamp(*low, *high).to_le_bytes()
                });
            }
            Formula::Real(arithmetic, range) => {
                let f = real(*arithmetic);
                self.words(a, b, output, |a, b| {
                    cut(f(f32::from_le_bytes(a), f32::from_le_bytes(b)), *range).to_le_bytes()
                });
            }
        }
    }

    /// Elements of four bytes.
    fn words(
        &self,
        a: &[u8],
        b: &[u8],
        output: &mut [u8],
        f: impl Fn([u8; 4], [u8; 4]) -> [u8; 4],
    ) {
        let [(a, _), (b, _)] = [a.as_chunks(), b.as_chunks()];
        self.broadcast.apply(a, b, output.as_chunks_mut().0, &f);
    }
}

fn whole(arithmetic: Arithmetic) -> fn(i32, i32) -> i32 {
    match arithmetic {
        Arithmetic::Add => i32::wrapping_add,
        Arithmetic::Sub => i32::wrapping_sub,
        Arithmetic::Mul => i32::wrapping_mul,
        Arithmetic::Div | Arithmetic::FloorDiv => floor_div,
    }
}

fn real(arithmetic: Arithmetic) -> fn(f32, f32) -> f32 {
    match arithmetic {
        Arithmetic::Add => |a, b| a + b,
        Arithmetic::Sub => |a, b| a - b,
        Arithmetic::Mul => |a, b| a * b,
        Arithmetic::Div | Arithmetic::FloorDiv => |a, b| a / b,
    }
}

impl Formula {
    fn new(
        arithmetic: Arithmetic,
        activation: Activation,
        elements: [Element; 3],
    ) -> Result<Self, Error> {
        let of = |at: usize| elements[at].quant().map(|quant| quant.scale);
        Ok(match (arithmetic, elements[2]) {
            (Arithmetic::Div, Element::I32) | (Arithmetic::FloorDiv, Element::F32) => {
                return Err(Error::Element);
            }
            (_, Element::I32) => {
                #[expect(clippy::cast_possible_truncation, reason = "infinities become the ends")]
                let range = activation.bounds().map(|bound| bound as i32);
                Self::Whole(arithmetic, range)
            }
            (_, Element::F32) => Self::Real(arithmetic, activation.bounds()),
            (Arithmetic::Add | Arithmetic::Sub, _) => {
                let sign = if arithmetic == Arithmetic::Sub { -1 } else { 1 };
                let ratios = [of(0)? / of(2)?, of(1)? / of(2)?];
                if ratios.iter().all(|ratio| SUM_RATIOS.contains(ratio)) {
                    Self::Sum(Sum::new(ratios, sign, activation, elements)?)
                } else {
                    Self::FixedSum(FixedSum::new(sign, activation, elements)?)
                }
            }
            (Arithmetic::Mul, _) => {
                if PRODUCT_RATIOS.contains(&(of(0)? * of(1)? / of(2)?)) {
                    Self::Product(Product::new(activation, elements)?)
                } else {
                    Self::FixedProduct(FixedProduct::new(activation, elements)?)
                }
            }
            (Arithmetic::Div | Arithmetic::FloorDiv, _) => return Err(Error::Element),
        })
    }
}

/// Zero points of the three tensors.
fn zero_points(elements: [Element; 3]) -> Result<[i32; 3], Error> {
    let [a, b, output] = elements.map(|element| element.quant().map(|it| it.zero_point.into()));
    Ok([a?, b?, output?])
}

/// The quotient, rounded down; 0 where it has none.
fn floor_div(a: i32, b: i32) -> i32 {
    if b == 0 {
        return 0;
    }
    let (quotient, rest) = (a.wrapping_div(b), a.wrapping_rem(b));
    if rest != 0 && (rest < 0) != (b < 0) { quotient - 1 } else { quotient }
}

/// `value` cut to a range; not a number stays so.
fn cut(value: f32, [low, high]: [f32; 2]) -> f32 {
    let value = if value < low { low } else { value };
    if value > high { high } else { value }
}

/// XNNPACK's sum: multipliers of 21 bits, one rounding, halves up.
#[derive(Debug, Clone)]
struct Sum {
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
struct FixedSum {
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
struct Product {
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
struct FixedProduct {
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
    use crate::Op;
    use crate::alone;
    use crate::plan::Random;
    use crate::tensor::{Quant, Shape};
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
            let Ok(formula) = Formula::new(arithmetic, activation, quants.map(Element::U8)) else {
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
                let got = match &formula {
                    Formula::Sum(it) => it.of(a, b),
                    Formula::FixedSum(it) => it.of(a, b),
                    Formula::Product(it) => it.of(a, b),
                    Formula::FixedProduct(it) => it.of(a, b),
                    Formula::Whole(..) | Formula::Real(..) => unreachable!("they are bytes"),
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

    #[test]
    fn quotients_go_down() {
        for a in -40..=40 {
            for b in (-7..=7).filter(|b| *b != 0) {
                let rest = a - floor_div(a, b) * b;
                assert!(rest == 0 || (rest < 0) == (b < 0) && rest.abs() < b.abs(), "{a} / {b}");
            }
        }
        assert_eq!([floor_div(5, 0), floor_div(i32::MIN, -1)], [0, i32::MIN]);
    }

    fn words<const N: usize>(values: [i32; N]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn reals<const N: usize>(values: [f32; N]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn whole_numbers_wrap_and_are_cut() {
        let form = |sides: &[usize]| Tensor {
            shape: Shape::new(sides).expect("small"),
            element: Element::I32,
        };
        let run = |arithmetic, activation, a: &[u8], b: &[u8]| {
            let op = Op::Arithmetic(arithmetic, activation);
            let inputs = [(form(&[3]), a), (form(&[]), b)];
            alone::run(&op, &inputs, form(&[3])).expect("sound")
        };
        let (a, two) = (words([i32::MAX, -9, 3]), words([2]));
        let (none, six) = (Activation::None, Activation::Relu6);
        assert_eq!(run(Arithmetic::Add, none, &a, &two), words([i32::MIN + 1, -7, 5]));
        assert_eq!(run(Arithmetic::Sub, six, &a, &two), words([6, 0, 1]));
        assert_eq!(run(Arithmetic::Mul, none, &a, &two), words([-2, -18, 6]));
        assert_eq!(run(Arithmetic::FloorDiv, none, &a, &two), words([i32::MAX / 2, -5, 1]));
    }

    #[test]
    fn real_numbers_are_ieees() {
        let form = Tensor { shape: Shape::new(&[4]).expect("small"), element: Element::F32 };
        let (a, b) = (reals([1.0, -1.0, 7.0, 0.0]), reals([0.0, 3.0, 0.5, 0.0]));
        let run = |arithmetic, activation| {
            let op = Op::Arithmetic(arithmetic, activation);
            alone::run(&op, &[(form, &a[..]), (form, &b[..])], form).expect("sound")
        };
        let quotient = reals([f32::INFINITY, -1.0 / 3.0, 14.0]);
        let got = run(Arithmetic::Div, Activation::None);
        assert_eq!(got[..12], quotient);
        assert!(f32::from_le_bytes([got[12], got[13], got[14], got[15]]).is_nan());
        assert_eq!(run(Arithmetic::Div, Activation::Relu6)[..12], reals([6.0, 0.0, 6.0]));
        assert_eq!(run(Arithmetic::Add, Activation::None), reals([1.0, 2.0, 7.5, 0.0]));
        assert_eq!(run(Arithmetic::Mul, Activation::None), reals([0.0, -3.0, 3.5, 0.0]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let form =
            |sides: &[usize], element| Tensor { shape: Shape::new(sides).expect("small"), element };
        let byte = Element::U8(Quant { scale: 1.0, zero_point: 0 });
        let new = |arithmetic, inputs: &[Tensor], output| {
            Step::new(arithmetic, Activation::None, inputs, output).err()
        };
        let [a, b] = [form(&[2, 3], byte), form(&[3], byte)];
        assert_eq!(new(Arithmetic::Add, &[a], a), Some(Error::Inputs));
        assert_eq!(new(Arithmetic::Add, &[a, b], b), Some(Error::Shape(a.shape)));
        assert_eq!(new(Arithmetic::Div, &[a, b], a), Some(Error::Element));
        let real = form(&[3], Element::F32);
        assert_eq!(new(Arithmetic::Add, &[a, real], a), Some(Error::Element));
        assert_eq!(new(Arithmetic::FloorDiv, &[real, real], real), Some(Error::Element));
        assert_eq!(new(Arithmetic::Mul, &[a, form(&[2], byte)], a), Some(Error::Mismatch));
    }
}
