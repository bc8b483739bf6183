//! `STRIDED_SLICE`, `SPLIT` and `UNPACK`: some of a tensor's values.

use crate::error::Error;
use crate::kernel::Inputs;
use crate::tensor::{Shape, Tensor};
use crate::walk::{self, Axis, Walk};

/// What is taken of each axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range<'a> {
    pub(crate) begin: &'a [usize],
    pub(crate) stride: &'a [isize],
    pub(crate) length: &'a [usize],
}

/// A tensor whose values are all somewhere in its input.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    walk: Walk,
    /// Bytes of an element.
    bytes: usize,
    count: usize,
}

impl Step {
    pub(crate) fn new(input: Tensor, range: Range<'_>, output: Tensor) -> Result<Self, Error> {
        let Range { begin, stride, length } = range;
        let sides = input.shape.sides();
        if [begin.len(), stride.len(), length.len()] != [sides.len(); 3] {
            return Err(Error::Rank);
        }
        let shape = Shape::new(length)?;
        let mut axes = walk::axes(&input.shape);
        let mut start = 0;
        for (at, axis) in axes.iter_mut().take(sides.len()).enumerate() {
            let part = taken(*axis, begin[at], stride[at], length[at])?;
            start += begin[at] * axis.stride.unsigned_abs();
            *axis = part;
        }
        Self::of(input, Walk::new(start, axes), shape, output)
    }

    /// The places of `walk`, which make up `shape`, maybe without axes of one place.
    pub(crate) fn of(
        input: Tensor,
        walk: Walk,
        shape: Shape,
        output: Tensor,
    ) -> Result<Self, Error> {
        input.element.kept(output.element)?;
        if shape.count() != output.shape.count() {
            return Err(Error::Shape(shape));
        }
        Ok(Self { walk, bytes: input.element.bytes(), count: shape.count() })
    }

    /// Values moved in one run.
    pub(crate) fn work(&self) -> u64 {
        self.count as u64
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        self.walk.read(self.bytes, inputs.get(0), output);
    }
}

/// Part of an axis, if it lies inside.
fn taken(axis: Axis, begin: usize, stride: isize, length: usize) -> Result<Axis, Error> {
    let last = (length.cast_signed() - 1)
        .checked_mul(stride)
        .and_then(|far| begin.checked_add_signed(far))
        .ok_or(Error::Axis)?;
    if begin.max(last) >= axis.length || (stride == 0 && length > 1) {
        return Err(Error::Axis);
    }
    // One place needs no stride, and any may come with it.
    let stride = if length == 1 { 1 } else { stride };
    Ok(Axis { length, stride: axis.stride * stride })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use crate::{Element, Op, alone};
    use std::vec::Vec;

    fn slice(
        input: Tensor,
        values: &[u8],
        [begin, length]: [&[usize]; 2],
        stride: &[isize],
    ) -> Result<Vec<u8>, Error> {
        let output = Tensor { shape: Shape::new(length)?, ..input };
        alone::run(&Op::Slice { begin, stride, length }, &[(input, values)], output)
    }

    #[test]
    fn slices_equal_the_naive_twin() {
        let mut random = Random(21);
        for round in 0..500 {
            let sides = alone::sides(&mut random, 6);
            let element = if round % 3 == 0 { |_| Element::I32 } else { Element::I8 };
            let input = alone::bytes(&sides, element, 9);
            let values = alone::values(&mut random, input);
            let begin: Vec<usize> = sides.iter().map(|side| random.below(*side)).collect();
            let mut length = Vec::new();
            let mut stride = Vec::new();
            for (side, begin) in sides.iter().zip(&begin) {
                let step = 1 + random.below(2);
                let back = random.below(2) == 0;
                let room = if back { *begin } else { side - 1 - begin };
                length.push(1 + random.below(room / step + 1));
                stride.push(if back { -step.cast_signed() } else { step.cast_signed() });
            }
            let got = slice(input, &values, [&begin, &length], &stride).expect("inside");
            let bytes = input.element.bytes();
            let expect: Vec<u8> = (0..length.iter().product())
                .flat_map(|at| {
                    let index = alone::index(&length, at);
                    let from: Vec<usize> = (0..sides.len())
                        .map(|at| {
                            (begin[at].cast_signed() + index[at].cast_signed() * stride[at])
                                .cast_unsigned()
                        })
                        .collect();
                    let at = alone::position(&sides, &from) * bytes;
                    values[at..at + bytes].to_vec()
                })
                .collect();
            assert_eq!(got, expect, "{begin:?} {stride:?} {length:?} of {sides:?}");
        }
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let input = alone::bytes(&[4, 5], Element::U8, 0);
        let values = [0; 20];
        let far = isize::MAX;
        for (begin, length, stride, error) in [
            ([0, 5], [1, 1], [1, 1], Error::Axis),
            ([1, 0], [4, 1], [1, 1], Error::Axis),
            ([1, 0], [2, 1], [-2, 1], Error::Axis),
            ([0, 0], [3, 1], [far, 1], Error::Axis),
            ([0, 0], [3, 1], [0, 1], Error::Axis),
            ([0, 0], [3, 1], [isize::MIN, 1], Error::Axis),
            ([usize::MAX, 0], [1, 1], [1, 1], Error::Axis),
            ([0, 0], [0, 1], [1, 1], Error::Empty),
        ] {
            let got = slice(input, &values, [&begin, &length], &stride);
            assert_eq!(got, Err(error), "{begin:?} {length:?} {stride:?}");
        }
        // A single place needs no stride.
        assert!(slice(input, &values, [&[3, 4], &[1, 1]], &[far, isize::MIN]).is_ok());
        assert_eq!(slice(input, &values, [&[0], &[1]], &[1]), Err(Error::Rank));
        let op = Op::Slice { begin: &[0, 0], stride: &[1, 1], length: &[2, 2] };
        let run = |output| alone::run(&op, &[(input, &values)], output);
        let shape = Shape::new(&[2, 2]).expect("small");
        assert_eq!(run(alone::bytes(&[3], Element::U8, 0)), Err(Error::Shape(shape)));
        assert_eq!(run(alone::bytes(&[4], Element::U8, 7)), Err(Error::Requantized));
        assert_eq!(run(alone::bytes(&[4], Element::I8, 0)), Err(Error::Element));
    }
}
