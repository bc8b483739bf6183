//! `ARG_MAX`: where along an axis the largest value stands.

use crate::error::Error;
use crate::kernel::Inputs;
use crate::tensor::{Element, Shape, Tensor};

/// Places along one axis; the first of equals wins.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Places along the axis.
    length: usize,
    /// Values from one place to the next.
    stride: usize,
    count: usize,
}

impl Step {
    pub(crate) fn new(input: Tensor, axis: usize, output: Tensor) -> Result<Self, Error> {
        input.quant()?;
        if output.element != Element::I32 {
            return Err(Error::Element);
        }
        let sides = input.shape.sides();
        let length = *sides.get(axis).ok_or(Error::Axis)?;
        let stride: usize = sides[axis + 1..].iter().product();
        let count = input.shape.count();
        if output.shape.count() != count / length {
            return Err(Error::Shape(Shape::new(&[count / length])?));
        }
        Ok(Self { length, stride, count })
    }

    /// Values looked at in one run.
    pub(crate) fn work(&self) -> u64 {
        self.count as u64
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        let outs = output.as_chunks_mut::<4>().0.chunks_exact_mut(self.stride);
        for (values, outs) in inputs.get(0).chunks_exact(self.length * self.stride).zip(outs) {
            for (at, out) in outs.iter_mut().enumerate() {
                *out = first_largest(values[at..].iter().step_by(self.stride)).to_le_bytes();
            }
        }
    }
}

/// Where the first of the largest values stands.
fn first_largest<'a>(values: impl Iterator<Item = &'a u8>) -> i32 {
    let mut best = (0, 0);
    for (at, value) in (0..).zip(values) {
        if at == 0 || *value > best.1 {
            best = (at, *value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use crate::{Op, alone};
    use std::vec::Vec;

    #[test]
    fn the_first_of_the_largest_is_found() {
        let mut random = Random(24);
        for _ in 0..500 {
            let mut sides = alone::sides(&mut random, 5);
            let axis = random.below(sides.len());
            sides[axis] += random.below(30);
            let input = alone::bytes(&sides, Element::I8, 128);
            // Few different values: many are equal.
            let few = 1 + random.below(6);
            let values: Vec<u8> =
                (0..input.bytes()).map(|_| [7, 250, 0, 130, 128, 9][random.below(few)]).collect();
            let mut left = sides.clone();
            left[axis] = 1;
            let output = Tensor { shape: Shape::new(&left).expect("small"), element: Element::I32 };
            let got = alone::run(&Op::ArgMax { axis }, &[(input, &values)], output);
            let expect: Vec<u8> = (0..output.shape.count())
                .flat_map(|at| {
                    let mut index = alone::index(&left, at);
                    let mut value = |at| {
                        index[axis] = at;
                        values[alone::position(&sides, &index)]
                    };
                    let largest = (0..sides[axis]).map(&mut value).max();
                    let first = (0..sides[axis]).position(|at| Some(value(at)) == largest);
                    i32::try_from(first.expect("it is there")).expect("small").to_le_bytes()
                })
                .collect();
            assert_eq!(got, Ok(expect), "axis {axis} of {sides:?}: {values:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let input = alone::bytes(&[2, 3], Element::U8, 0);
        let output =
            |sides: &[usize], element| Tensor { element, ..alone::bytes(sides, Element::U8, 0) };
        let run = |axis, output| alone::run(&Op::ArgMax { axis }, &[(input, &[0; 6])], output);
        assert_eq!(run(2, output(&[2], Element::I32)), Err(Error::Axis));
        assert_eq!(run(1, output(&[2], Element::F32)), Err(Error::Element));
        let shape = Shape::new(&[2]).expect("small");
        assert_eq!(run(1, output(&[3], Element::I32)), Err(Error::Shape(shape)));
    }
}
