//! `GATHER_ND`: values at positions that another tensor holds.

use crate::error::Error;
use crate::kernel::Inputs;
use crate::tensor::{Element, RANK_MAX, Shape, Tensor};

/// Runs of a tensor's values, each at a position in its first axes.
///
/// TFLite ends a run at a position outside; here the nearest one inside is taken.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The axes that positions speak of: places, and bytes from one to the next.
    axes: [(usize, usize); RANK_MAX],
    depth: usize,
    /// Bytes at one position.
    run: usize,
    count: usize,
}

impl Step {
    pub(crate) fn new(values: Tensor, positions: Tensor, output: Tensor) -> Result<Self, Error> {
        values.element.kept(output.element)?;
        if positions.element != Element::I32 {
            return Err(Error::Element);
        }
        let sides = values.shape.sides();
        let (depth, places) = positions.shape.sides().split_last().ok_or(Error::Rank)?;
        if *depth > sides.len() {
            return Err(Error::Axis);
        }
        let (found, rest) = sides.split_at(*depth);
        let count: usize = places.iter().product();
        let shape = joined(places, rest)?;
        if shape != output.shape {
            return Err(Error::Shape(shape));
        }
        let run = rest.iter().product::<usize>() * values.element.bytes();
        let mut axes = [(1, 0); RANK_MAX];
        let mut bytes = run;
        for (axis, side) in axes.iter_mut().zip(found).rev() {
            *axis = (*side, bytes);
            bytes *= side;
        }
        Ok(Self { axes, depth: *depth, run, count })
    }

    /// Values moved in one run.
    pub(crate) fn work(&self) -> u64 {
        (self.count * self.run) as u64
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        let [values, positions] = [0, 1].map(|at| inputs.get(at));
        let positions = positions.as_chunks::<4>().0.chunks_exact(self.depth);
        for (position, out) in positions.zip(output.chunks_exact_mut(self.run)) {
            let start = self.start(position);
            out.copy_from_slice(&values[start..start + self.run]);
        }
    }

    fn start(&self, position: &[[u8; 4]]) -> usize {
        let along = |(at, (places, bytes)): (&[u8; 4], &(usize, usize))| {
            let at = usize::try_from(i32::from_le_bytes(*at)).unwrap_or(0);
            at.min(places - 1) * bytes
        };
        position.iter().zip(&self.axes).map(along).sum()
    }
}

fn joined(places: &[usize], rest: &[usize]) -> Result<Shape, Error> {
    let mut sides = [1; RANK_MAX];
    let rank = places.len() + rest.len();
    let sides = sides.get_mut(..rank).ok_or(Error::Rank)?;
    sides[..places.len()].copy_from_slice(places);
    sides[places.len()..].copy_from_slice(rest);
    Shape::new(sides)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, alone};
    use std::vec::Vec;

    fn gather(
        sides: &[usize],
        positions: &[i32],
        at: &[usize],
        output: &[usize],
    ) -> Result<Vec<u8>, Error> {
        let input = alone::bytes(sides, Element::U8, 3);
        let values: Vec<u8> = (0..).take(input.bytes()).collect();
        let bytes: Vec<u8> = positions.iter().flat_map(|at| at.to_le_bytes()).collect();
        let positions = Tensor { shape: Shape::new(at)?, element: Element::I32 };
        let inputs = [(input, &*values), (positions, &*bytes)];
        alone::run(&Op::GatherNd, &inputs, alone::bytes(output, Element::U8, 3))
    }

    #[test]
    fn runs_come_from_their_positions() {
        let sides = [2, 3, 4];
        for (positions, at, output, expect) in [
            (&[1, 2, 3, 0, 0, 1][..], &[2, 3][..], &[2][..], &[23, 1][..]),
            (&[1, 0, 0, 2], &[2, 2], &[2, 4], &[12, 13, 14, 15, 8, 9, 10, 11]),
            (&[1, 1], &[1, 1, 2], &[1, 1, 4], &[16, 17, 18, 19]),
            (
                &[1, 0],
                &[2, 1, 1],
                &[2, 1, 3, 4],
                &[
                    12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                    10, 11,
                ],
            ),
            // Outside: the nearest inside.
            (&[-7, 2, 0, 9, 9, 9], &[2, 3], &[2], &[8, 23]),
            (&[i32::MAX, i32::MIN], &[1, 2], &[1, 4], &[12, 13, 14, 15]),
        ] {
            assert_eq!(gather(&sides, positions, at, output), Ok(expect.to_vec()), "{positions:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(gather(&[2, 3], &[0; 3], &[1, 3], &[1]), Err(Error::Axis));
        assert_eq!(gather(&[2, 3], &[0], &[], &[1]), Err(Error::Rank));
        let shape = Shape::new(&[1, 3]).expect("small");
        assert_eq!(gather(&[2, 3], &[0], &[1, 1], &[3]), Err(Error::Shape(shape)));
    }
}
