//! One operator in a plan of its own, for the tests of the steps.

use crate::plan::Random;
use crate::{Alone, Builder, Element, Error, Isa, Op, Quant, Shape, Target, Tensor};
use std::vec::Vec;

/// What `op` makes of `inputs`, the first of which is the plan's.
pub(crate) fn run(
    op: &Op<'_>,
    inputs: &[(Tensor, &[u8])],
    output: Tensor,
) -> Result<Vec<u8>, Error> {
    let (first, rest) = inputs.split_first().expect("an input");
    let target = Target { isa: Isa::SCALAR, ways: 1 };
    let (mut builder, id) = Builder::new(target, first.0)?;
    let mut ids = std::vec![id];
    for (tensor, bytes) in rest {
        ids.push(builder.constant(*tensor, bytes)?);
    }
    let output = builder.add(op, &ids, output)?;
    let plan = builder.finish(&[output])?;
    let mut arena = std::vec![0xa5; plan.arena_bytes()];
    plan.input(&mut arena).copy_from_slice(first.1);
    plan.run(&mut arena, &Alone);
    Ok(plan.output(0, &arena).to_vec())
}

/// A tensor of bytes, with a scale of 1.
pub(crate) fn bytes(sides: &[usize], element: fn(Quant) -> Element, zero_point: u8) -> Tensor {
    let element = element(Quant { scale: 1.0, zero_point });
    Tensor { shape: Shape::new(sides).expect("small"), element }
}

/// Random values for a tensor.
pub(crate) fn values(random: &mut Random, tensor: Tensor) -> Vec<u8> {
    (0..tensor.bytes()).map(|_| random.byte()).collect()
}

/// Position `at` of a tensor, row-major, as an index for each side.
pub(crate) fn index(sides: &[usize], mut at: usize) -> Vec<usize> {
    let mut index: Vec<usize> = sides.iter().rev().map(|side| (at % side, at /= side).0).collect();
    index.reverse();
    index
}

/// The position of an index.
pub(crate) fn position(sides: &[usize], index: &[usize]) -> usize {
    sides.iter().zip(index).fold(0, |at, (side, index)| at * side + index)
}

/// Some sides, few of them long.
pub(crate) fn sides(random: &mut Random, most: usize) -> Vec<usize> {
    (0..=random.below(most)).map(|_| 1 + random.below(5)).collect()
}
