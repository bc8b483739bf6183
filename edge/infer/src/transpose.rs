//! `TRANSPOSE`: a tensor's axes in another order.

use crate::error::Error;
use crate::slice;
use crate::tensor::{RANK_MAX, Shape, Tensor};
use crate::walk::{self, Walk};

/// A slice of everything, in which axis `n` of the output is axis `order[n]` of the input.
pub(crate) fn step(input: Tensor, order: &[usize], output: Tensor) -> Result<slice::Step, Error> {
    let sides = input.shape.sides();
    let is_order = (0..sides.len()).all(|axis| order.contains(&axis));
    if order.len() != sides.len() || !is_order {
        return Err(Error::Axis);
    }
    let mut turned = [1; RANK_MAX];
    let mut axes = walk::axes(&input.shape);
    for (at, from) in order.iter().enumerate() {
        turned[at] = sides[*from];
        axes[at] = walk::axes(&input.shape)[*from];
    }
    let shape = Shape::new(&turned[..sides.len()])?;
    if shape != output.shape {
        return Err(Error::Shape(shape));
    }
    slice::Step::of(input, Walk::new(0, axes), shape, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use crate::{Element, Op, alone};
    use std::vec::Vec;

    #[test]
    fn transposes_equal_the_naive_twin() {
        let mut random = Random(22);
        for round in 0..500 {
            let sides = alone::sides(&mut random, 6);
            let element = if round % 3 == 0 { |_| Element::F32 } else { Element::U8 };
            let input = alone::bytes(&sides, element, 9);
            let values = alone::values(&mut random, input);
            let mut order: Vec<usize> = (0..sides.len()).collect();
            for at in 0..order.len() {
                order.swap(at, random.below(sides.len()));
            }
            let turned: Vec<usize> = order.iter().map(|from| sides[*from]).collect();
            let output = Tensor { shape: Shape::new(&turned).expect("small"), ..input };
            let got = alone::run(&Op::Transpose { order: &order }, &[(input, &values)], output);
            let bytes = input.element.bytes();
            let expect: Vec<u8> = (0..input.shape.count())
                .flat_map(|at| {
                    let index = alone::index(&turned, at);
                    let mut from = sides.clone();
                    order.iter().zip(index).for_each(|(axis, index)| from[*axis] = index);
                    let at = alone::position(&sides, &from) * bytes;
                    values[at..at + bytes].to_vec()
                })
                .collect();
            assert_eq!(got, Ok(expect), "{order:?} of {sides:?}");
        }
    }

    #[test]
    fn what_is_no_order_is_refused() {
        let input = alone::bytes(&[2, 3], Element::U8, 0);
        for order in [&[0, 0][..], &[0, 2], &[0], &[0, 1, 2]] {
            let got = alone::run(&Op::Transpose { order }, &[(input, &[0; 6])], input);
            assert_eq!(got, Err(Error::Axis), "{order:?}");
        }
        let got = alone::run(&Op::Transpose { order: &[1, 0] }, &[(input, &[0; 6])], input);
        assert_eq!(got, Err(Error::Shape(Shape::new(&[3, 2]).expect("small"))));
    }
}
