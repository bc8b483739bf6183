//! `MEAN` over some axes, as XNNPACK does it: whole sums, and one `f32` multiplication and one
//! addition that take them to the output's scale.

use crate::error::Error;
use crate::kernel::Inputs;
use crate::tensor::{RANK_MAX, Shape, Tensor};
use crate::walk::{self, Axis, Walk};

/// Means that are summed together where their values lie side by side.
const LANES: usize = 256;
/// Most values of one mean: their sum fits 31 bits.
const VALUES_MAX: usize = 1 << 23;

/// The means of a tensor's values along some axes.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Where the first values of each run of `lanes` means lie.
    kept: Walk,
    lanes: usize,
    /// The values of one mean, from its first.
    averaged: Walk,
    scaling: Scaling,
    work: u64,
}

impl Step {
    pub(crate) fn new(input: Tensor, axes: &[usize], output: Tensor) -> Result<Self, Error> {
        let sides = input.shape.sides();
        if axes.is_empty() || axes.iter().any(|axis| *axis >= sides.len()) {
            return Err(Error::Axis);
        }
        let mut left = [1; RANK_MAX];
        let [mut kept, mut averaged] = [walk::axes(&input.shape); 2];
        for (at, side) in sides.iter().enumerate() {
            if axes.contains(&at) {
                kept[at] = Axis::POINT;
            } else {
                averaged[at] = Axis::POINT;
                left[at] = *side;
            }
        }
        let shape = Shape::new(&left[..sides.len()])?;
        if shape.count() != output.shape.count() {
            return Err(Error::Shape(shape));
        }
        let last = core::mem::replace(&mut kept[sides.len() - 1], Axis::POINT);
        Ok(Self {
            kept: Walk::new(0, kept),
            lanes: last.length,
            averaged: Walk::new(0, averaged),
            scaling: Scaling::new(input, input.shape.count() / shape.count(), output)?,
            work: input.shape.count() as u64,
        })
    }

    /// Values summed in one run.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        let input = inputs.get(0);
        let mut outs = output.chunks_exact_mut(self.lanes);
        self.kept.places(|start| {
            let Some(out) = outs.next() else { return };
            for (first, out) in (start..).step_by(LANES).zip(out.chunks_mut(LANES)) {
                let mut sums = [0; LANES];
                let sums = &mut sums[..out.len()];
                self.sum(&input[first..], sums);
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = self.scaling.stored(*sum);
                }
            }
        });
    }

    /// Adds up the values of means that lie side by side.
    fn sum(&self, input: &[u8], sums: &mut [i32]) {
        self.averaged.rows(|row| {
            if let ([sum], 1) = (&mut *sums, row.stride) {
                let values = &input[row.start..row.start + row.length];
                *sum += values.iter().map(|value| i32::from(*value)).sum::<i32>();
                return;
            }
            for at in 0..row.length {
                for (sum, value) in sums.iter_mut().zip(&input[row.place(at)..]) {
                    *sum += i32::from(*value);
                }
            }
        });
    }
}

/// From the sum of stored values to a stored mean.
#[derive(Debug, Clone, Copy)]
struct Scaling {
    multiplier: f32,
    addend: f32,
    /// What the stored values of one mean have too much in all.
    excess_in: i32,
    excess_out: f32,
}

impl Scaling {
    /// For means of `count` values. The order of operations is XNNPACK's, and it takes the
    /// zero points in TFLite's terms.
    fn new(input: Tensor, count: usize, output: Tensor) -> Result<Self, Error> {
        let quants = [input.quant()?, output.quant()?];
        if !input.element.is_like(output.element) {
            return Err(Error::Element);
        }
        let whole = i32::try_from(count).ok().filter(|_| count <= VALUES_MAX);
        let whole = whole.ok_or(Error::TooLarge)?;
        let excess = i32::from(input.element.excess());
        let zeros = quants.map(|quant| i32::from(quant.zero_point) - excess);
        let multiplier = quants[0].scale / quants[1].scale * (1.0 / whole as f32);
        let addend = zeros[1] as f32 - (whole * zeros[0]) as f32 * multiplier;
        if !multiplier.is_finite() || !addend.is_finite() {
            return Err(Error::Scale);
        }
        Ok(Self { multiplier, addend, excess_in: whole * excess, excess_out: excess as f32 })
    }

    #[inline]
    fn stored(&self, sum: i32) -> u8 {
        let value = (sum - self.excess_in) as f32 * self.multiplier + self.addend;
        let value = libm::rintf(value) + self.excess_out;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let stored = value.clamp(0.0, 255.0) as u8;
        stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use crate::{Element, Op, Quant, alone};
    use std::vec::Vec;

    fn tensor(sides: &[usize], element: fn(Quant) -> Element, quant: (f32, u8)) -> Tensor {
        let (scale, zero_point) = quant;
        let element = element(Quant { scale, zero_point });
        Tensor { shape: Shape::new(sides).expect("small"), element }
    }

    /// Rows of two, as `LiteRT` has them with either type.
    #[test]
    fn means_are_tflites() {
        let rows = [10, 11, 10, 13, 250, 255, 0, 1, 77, 80, 3, 2];
        for (from, to, expect) in [
            ((1.0, 0), (1.0, 0), [10, 12, 252, 0, 78, 2]),
            ((0.5, 9), (0.3, 100), [102, 104, 255, 86, 216, 89]),
        ] {
            for element in [Element::U8, Element::I8] {
                let input = tensor(&[6, 2], element, from);
                let output = tensor(&[6], element, to);
                let got = alone::run(&Op::Mean { axes: &[1] }, &[(input, &rows)], output);
                assert_eq!(got, Ok(expect.to_vec()), "{input:?}");
            }
        }
    }

    #[test]
    fn means_equal_the_naive_twin() {
        let mut random = Random(27);
        for round in 0..400 {
            let mut sides = alone::sides(&mut random, 6);
            let last = sides.len() - 1;
            sides[last] += random.below(if round % 20 == 0 { 600 } else { 30 });
            let element = if round % 2 == 0 { Element::U8 } else { Element::I8 };
            let mut quant = || (0.01 + random.below(100) as f32 * 1e-3, random.byte());
            let (from, to) = (quant(), quant());
            let input = tensor(&sides, element, from);
            let values = alone::values(&mut random, input);
            let axes: Vec<usize> =
                (0..=random.below(3)).map(|_| random.below(sides.len())).collect();
            let mut left = sides.clone();
            for axis in &axes {
                left[*axis] = 1;
            }
            let output = tensor(&left, element, to);
            let excess = i32::from(input.element.excess());
            let mut sums = std::vec![0; output.bytes()];
            for (at, value) in values.iter().enumerate() {
                let mut index = alone::index(&sides, at);
                for axis in &axes {
                    index[*axis] = 0;
                }
                sums[alone::position(&left, &index)] += i32::from(*value) - excess;
            }
            let count = i32::try_from(values.len() / sums.len()).expect("small");
            let zeros = [from.1, to.1].map(|zero| i32::from(zero) - excess);
            let scale = from.0 / to.0 * (1.0 / count as f32);
            let zero = zeros[1] as f32 - (count * zeros[0]) as f32 * scale;
            let mean = |sum: i32| libm::rintf(sum as f32 * scale + zero) + excess as f32;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let expect = sums.into_iter().map(|sum| mean(sum).clamp(0.0, 255.0) as u8).collect();
            let got = alone::run(&Op::Mean { axes: &axes }, &[(input, &values)], output);
            assert_eq!(got, Ok(expect), "{axes:?} of {input:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |sides: &[usize], axes: &[usize], output| {
            let input = tensor(sides, Element::U8, (1.0, 0));
            let values = std::vec![0; input.bytes()];
            alone::run(&Op::Mean { axes }, &[(input, &values)], output).err()
        };
        let output = tensor(&[2], Element::U8, (1.0, 0));
        assert_eq!(refused(&[2, 3], &[2], output), Some(Error::Axis));
        assert_eq!(refused(&[2, 3], &[], output), Some(Error::Axis));
        let shape = Shape::new(&[1, 3]).expect("small");
        assert_eq!(refused(&[2, 3], &[0], output), Some(Error::Shape(shape)));
        let signed = tensor(&[2], Element::I8, (1.0, 0));
        assert_eq!(refused(&[2, 3], &[1], signed), Some(Error::Element));
        assert_eq!(refused(&[2, VALUES_MAX + 1], &[1], output), Some(Error::TooLarge));
        let far = tensor(&[2], Element::U8, (f32::MIN_POSITIVE, 0));
        let input = tensor(&[2, 1], Element::U8, (f32::MAX, 7));
        let got = alone::run(&Op::Mean { axes: &[1] }, &[(input, &[0; 2])], far);
        assert_eq!(got, Err(Error::Scale));
    }
}
