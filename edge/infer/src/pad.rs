//! `PAD`: a tensor with a border of values that mean 0.

use crate::error::Error;
use crate::kernel::Inputs;
use crate::tensor::{Element, Tensor};
use crate::walk::{self, Axis, Walk};

/// A padded tensor.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Where the input's values go.
    walk: Walk,
    /// Bytes of an element.
    bytes: usize,
    /// Each byte of a value that means 0.
    zero: u8,
    count: usize,
}

impl Step {
    pub(crate) fn new(input: Tensor, before: &[usize], output: Tensor) -> Result<Self, Error> {
        input.element.kept(output.element)?;
        let [inner, outer] = [input.shape.sides(), output.shape.sides()];
        if inner.len() != outer.len() || before.len() != inner.len() {
            return Err(Error::Rank);
        }
        let mut axes = walk::axes(&output.shape);
        let mut start = 0;
        for (at, axis) in axes.iter_mut().take(inner.len()).enumerate() {
            let end = before[at].checked_add(inner[at]).ok_or(Error::Axis)?;
            if end > outer[at] {
                return Err(Error::Axis);
            }
            start += before[at] * axis.stride.unsigned_abs();
            *axis = Axis { length: inner[at], ..*axis };
        }
        let zero = match input.element {
            Element::U8(quant) | Element::I8(quant) => quant.zero_point,
            Element::I32 | Element::F32 => 0,
        };
        let (walk, bytes) = (Walk::new(start, axes), input.element.bytes());
        Ok(Self { walk, bytes, zero, count: output.shape.count() })
    }

    /// Values moved in one run.
    pub(crate) fn work(&self) -> u64 {
        self.count as u64
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        output.fill(self.zero);
        self.walk.write(self.bytes, inputs.get(0), output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use crate::{Op, Shape, alone};
    use std::vec::Vec;

    #[test]
    fn borders_equal_the_naive_twin() {
        let mut random = Random(23);
        for round in 0..500 {
            let sides = alone::sides(&mut random, 5);
            let element = if round % 3 == 0 { |_| Element::F32 } else { Element::I8 };
            let input = alone::bytes(&sides, element, 77);
            let values = alone::values(&mut random, input);
            let before: Vec<usize> = sides.iter().map(|_| random.below(3)).collect();
            let outer: Vec<usize> =
                (0..sides.len()).map(|at| before[at] + sides[at] + random.below(3)).collect();
            let output = Tensor { shape: Shape::new(&outer).expect("small"), ..input };
            let got = alone::run(&Op::Pad { before: &before }, &[(input, &values)], output);
            let bytes = input.element.bytes();
            let zero = if bytes == 1 { 77 } else { 0 };
            let expect: Vec<u8> = (0..output.shape.count())
                .flat_map(|at| {
                    let index = alone::index(&outer, at);
                    let inside =
                        |at: usize| (before[at]..before[at] + sides[at]).contains(&index[at]);
                    if !(0..sides.len()).all(inside) {
                        return std::vec![zero; bytes];
                    }
                    let from: Vec<usize> =
                        index.iter().zip(&before).map(|(at, off)| at - off).collect();
                    let at = alone::position(&sides, &from) * bytes;
                    values[at..at + bytes].to_vec()
                })
                .collect();
            assert_eq!(got, Ok(expect), "{before:?} before {sides:?} in {outer:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let input = alone::bytes(&[2, 3], Element::U8, 4);
        let pad =
            |before: &[usize], output| alone::run(&Op::Pad { before }, &[(input, &[0; 6])], output);
        let output = |sides: &[usize]| alone::bytes(sides, Element::U8, 4);
        assert_eq!(pad(&[1, 0], output(&[2, 3])), Err(Error::Axis));
        assert_eq!(pad(&[usize::MAX, 0], output(&[2, 3])), Err(Error::Axis));
        assert_eq!(pad(&[0], output(&[2, 3])), Err(Error::Rank));
        assert_eq!(pad(&[0, 0], output(&[2, 3, 1])), Err(Error::Rank));
        assert_eq!(pad(&[0, 0], alone::bytes(&[2, 3], Element::U8, 5)), Err(Error::Requantized));
    }
}
