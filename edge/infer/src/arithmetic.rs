//! `ADD`, `SUB`, `MUL`, `DIV` and `FLOOR_DIV`: two operands, broadcast.
//!
//! `i32` wraps; a division by 0, an error in TFLite while it runs, makes 0 here.

mod quantized;

use self::quantized::Quantized;
use crate::broadcast::Broadcast;
use crate::error::Error;
use crate::kernel::Inputs;
use crate::op::Arithmetic;
use crate::requant::Activation;
use crate::tensor::{Element, Tensor};

/// Two operands, checked.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    broadcast: Broadcast,
    formula: Formula,
    work: u64,
}

#[derive(Debug, Clone)]
enum Formula {
    Bytes(Quantized),
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
        match &self.formula {
            Formula::Bytes(it) => it.apply(&self.broadcast, a, b, output),
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
            _ => Self::Bytes(Quantized::new(arithmetic, activation, elements)?),
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;
    use crate::alone;
    use crate::tensor::{Quant, Shape};
    use std::vec::Vec;

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
