//! Functions from byte to byte: a table of all 256 results, made when the graph is loaded.

use crate::error::Error;
use crate::fixed::{Factor, stored};
use crate::hard_swish::HardSwish;
use crate::kernel::Inputs;
use crate::op::Pointwise;
use crate::requant::Activation;
use crate::tensor::{Element, Quant, Tensor};
use alloc::boxed::Box;

/// What each byte becomes.
pub(crate) type Table = Box<[u8; 256]>;

/// Bytes that TFLite's built-in requantization takes at once; what is left over at the end it
/// rounds otherwise.
const LANES: usize = 16;

/// Scale over scale that XNNPACK takes for a requantization.
const RATIOS: core::ops::RangeInclusive<f32> = 1.0 / 256.0..=128.0;

/// A function, as a table.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    table: Table,
    /// For the last elements, fewer than [`LANES`], where they go another way.
    tail: Option<Table>,
    work: u64,
}

/// The table of `f`.
pub(crate) fn table(f: impl Fn(u8) -> u8) -> Table {
    let mut table = Box::new([0; 256]);
    table.iter_mut().zip(0..=u8::MAX).for_each(|(out, stored)| *out = f(stored));
    table
}

impl Step {
    /// One operand, of bytes.
    pub(crate) fn pointwise(
        pointwise: Pointwise,
        input: Tensor,
        output: Tensor,
    ) -> Result<Self, Error> {
        let (from, to) = (input.element, output.element);
        if !from.is_like(to) {
            return Err(Error::Element);
        }
        let table = match pointwise {
            Pointwise::Relu => rectified(from.quant()?, to, Activation::Relu)?,
            Pointwise::Relu6 => rectified(from.quant()?, to, Activation::Relu6)?,
            Pointwise::Logistic => logistic(from, to)?,
            Pointwise::HardSwish => {
                let swish = HardSwish::new(from.quant()?, to.quant()?)?;
                table(|stored| swish.of(stored))
            }
            Pointwise::Sqrt => return Err(Error::Element),
        };
        Self::new(table, None, input, output)
    }

    /// `QUANTIZE` from bytes to bytes.
    pub(crate) fn requantize(input: Tensor, output: Tensor) -> Result<Self, Error> {
        let (from, to) = (input.quant()?, output.quant()?);
        let ratio = from.scale / to.scale;
        if input.element.is_like(output.element) && RATIOS.contains(&ratio) {
            return Self::new(requantized(ratio, from, to), None, input, output);
        }
        let factor = Factor::new(f64::from(from.scale) / f64::from(to.scale))?;
        let fixed = |times: fn(Factor, i64) -> i64| {
            let above = |byte: u8| i64::from(byte) - i64::from(from.zero_point);
            table(|byte| stored(times(factor, above(byte)) + i64::from(to.zero_point), [0, 255]))
        };
        Self::new(fixed(Factor::times_in_lanes), Some(fixed(Factor::times)), input, output)
    }

    fn new(
        table: Table,
        tail: Option<Table>,
        input: Tensor,
        output: Tensor,
    ) -> Result<Self, Error> {
        if input.shape != output.shape {
            return Err(Error::Shape(input.shape));
        }
        Ok(Self { table, tail, work: input.shape.count() as u64 })
    }

    /// Values computed in one run.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        let input = inputs.get(0);
        let whole = match self.tail {
            Some(_) => input.len() - input.len() % LANES,
            None => input.len(),
        };
        let (input, input_tail) = input.split_at(whole);
        let (output, output_tail) = output.split_at_mut(whole);
        look_up(&self.table, input, output);
        if let Some(table) = &self.tail {
            look_up(table, input_tail, output_tail);
        }
    }
}

/// What each byte of `input` becomes.
pub(crate) fn look_up(table: &[u8; 256], input: &[u8], output: &mut [u8]) {
    for (out, byte) in output.iter_mut().zip(input) {
        *out = table[usize::from(*byte)];
    }
}

/// `RELU` and `RELU6`: the built-in kernel's.
fn rectified(from: Quant, to: Element, activation: Activation) -> Result<Table, Error> {
    let range = activation.built_in_range(to)?;
    let to = to.quant()?;
    let factor = Factor::new((from.scale / to.scale).into())?;
    let above = |byte: u8| i64::from(byte) - i64::from(from.zero_point);
    Ok(table(|byte| stored(factor.times(above(byte)) + i64::from(to.zero_point), range)))
}

/// XNNPACK's requantization: a multiplier of 8 binary places, halves up.
fn requantized(ratio: f32, from: Quant, to: Quant) -> Table {
    #[expect(clippy::cast_possible_truncation, reason = "the ratio is within `RATIOS`")]
    let multiplier = libm::rintf(256.0 * ratio) as i64;
    let above = |byte: u8| i64::from(byte) - i64::from(from.zero_point);
    table(|byte| {
        let value = (above(byte) * multiplier + 128) >> 8;
        stored(value + i64::from(to.zero_point), [0, 255])
    })
}

/// `LOGISTIC`: XNNPACK's.
fn logistic(from: Element, to: Element) -> Result<Table, Error> {
    let (quant, excess) = (from.quant()?, f32::from(to.excess()));
    let to = to.quant()?;
    let inverse = 1.0 / to.scale;
    // In TFLite's own zero point: the last bits of a sum depend on how large it is.
    let zero_point = f32::from(to.zero_point) - excess;
    Ok(table(|byte| {
        let value = libm::rintf(sigmoid(quant.real(byte)) * inverse + zero_point) + excess;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let stored = value.clamp(0.0, 255.0) as u8;
        stored
    }))
}

/// `1 / (1 + exp(-x))`
fn sigmoid(x: f32) -> f32 {
    if x > 100.0 {
        return 1.0;
    }
    if x < -100.0 {
        return 0.0;
    }
    let power = libm::exp(x.into());
    #[expect(clippy::cast_possible_truncation, reason = "rounded as XNNPACK does")]
    let y = (power / (1.0 + power)) as f32;
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone;
    use crate::plan::Random;
    use crate::{Op, Shape};

    fn quant(random: &mut Random) -> Quant {
        let scale = 0.002 + random.below(1000) as f32 * 1e-4;
        Quant { scale, zero_point: random.byte() }
    }

    /// Each entry against the real function, in steps of the output.
    fn near(table: &[u8; 256], from: Quant, to: Quant, wanted: f64, f: impl Fn(f64) -> f64) {
        for (byte, got) in (0..=u8::MAX).zip(table) {
            let real = f64::from(from.scale) * (f64::from(byte) - f64::from(from.zero_point));
            let steps = f(real) / f64::from(to.scale) + f64::from(to.zero_point);
            let apart = (f64::from(*got) - steps.clamp(0.0, 255.0)).abs();
            assert!(apart <= wanted, "{byte}: {got}, not {steps} ({from:?} {to:?})");
        }
    }

    #[test]
    fn tables_are_near_the_real_functions() {
        let mut random = Random(17);
        for _ in 0..300 {
            let (from, to) = (quant(&mut random), quant(&mut random));
            let (input, element) = (Element::U8(from), Element::U8(to));
            let relu = rectified(from, element, Activation::Relu).expect("sound");
            near(&relu, from, to, 0.76, |x| x.max(0.0));
            let relu6 = rectified(from, element, Activation::Relu6).expect("sound");
            near(&relu6, from, to, 0.76, |x| x.clamp(0.0, 6.0));
            let levels = Quant { scale: 1.0 / 256.0, zero_point: 0 };
            let logistic = logistic(input, Element::U8(levels)).expect("sound");
            near(&logistic, from, levels, 0.501, |x| 1.0 / (1.0 + libm::exp(-x)));
        }
    }

    #[test]
    fn halves_of_a_requantization_go_up_but_in_the_tail() {
        let shape = Shape::new(&[19]).expect("small");
        let step = |scale: f32| Quant { scale, zero_point: 100 };
        // 8 binary places: 97 is -1.5 steps, and goes up.
        let same = requantized(0.5, step(0.5), step(1.0));
        assert_eq!([97, 98, 99, 100, 101].map(|at: usize| same[at]), [99, 99, 100, 100, 101]);
        let input = Tensor { shape, element: Element::U8(step(0.25)) };
        let output = Tensor { shape, element: Element::I8(step(1.0)) };
        let step = Step::requantize(input, output).expect("sound");
        // 98 is -0.5, 94 is -1.5 steps; the last three of 19 are the tail.
        let bytes = [[98, 94].as_slice(), &[98; 14], &[98, 94, 102]].concat();
        let run = alone::run(&Op::Requantize, &[(input, &bytes)], output).expect("sound");
        assert_eq!((run[0], run[1], &run[16..]), (100, 99, &[99, 98, 101][..]));
        assert_eq!(step.work(), 19);
    }

    #[test]
    fn equal_scales_only_shift() {
        let shape = Shape::new(&[256]).expect("small");
        let form = |element| Tensor { shape, element };
        let quant = |zero_point| Quant { scale: 0.0137, zero_point };
        for (from, to) in [
            (Element::U8(quant(9)), Element::U8(quant(20))),
            (Element::U8(quant(133)), Element::I8(quant(133))),
            (Element::I8(quant(0)), Element::U8(quant(255))),
        ] {
            let step = Step::requantize(form(from), form(to)).expect("sound");
            let [zero, other] = [from, to].map(|it| i32::from(it.quant().expect("is").zero_point));
            for byte in 0..=u8::MAX {
                let expect = (i32::from(byte) - zero + other).clamp(0, 255);
                assert_eq!(i32::from(step.table[usize::from(byte)]), expect);
            }
        }
    }

    #[test]
    fn extreme_scales_are_refused_or_harmless() {
        let scales = [1e-45, 1e-38, 1e-20, 0.001, 1.0, 1e20, f32::MAX];
        let shape = Shape::new(&[17]).expect("small");
        let form =
            |scale, zero_point| Tensor { shape, element: Element::I8(Quant { scale, zero_point }) };
        for (from, to) in scales.iter().flat_map(|from| scales.map(|to| (*from, to))) {
            for (input, output) in [(form(from, 0), form(to, 255)), (form(from, 255), form(to, 0))]
            {
                let step = Step::requantize(input, output);
                assert!(matches!(step, Ok(_) | Err(Error::Scale)));
                for op in
                    [Pointwise::Relu, Pointwise::Relu6, Pointwise::Logistic, Pointwise::HardSwish]
                {
                    let step = Step::pointwise(op, input, output);
                    assert!(matches!(step, Ok(_) | Err(Error::Scale)));
                }
            }
        }
    }

    #[test]
    fn far_ends_of_the_logistic_are_flat() {
        let ends = [101.0, -101.0, 0.0].map(|x| sigmoid(x).to_bits());
        assert_eq!(ends, [1.0_f32, 0.0, 0.5].map(f32::to_bits));
        assert!(sigmoid(f32::NAN).is_nan());
    }
}
