//! `CONCATENATION`: tensors behind each other along an axis, `UINT8` on the output's scale.

use crate::error::Error;
use crate::kernel::Inputs;
use crate::table::{Table, look_up, table};
use crate::tensor::{Element, Quant, Shape, Tensor};
use alloc::boxed::Box;

/// Inputs, checked.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    parts: Box<[Part]>,
    /// Bytes of the output for one place of the axes outside.
    row_bytes: usize,
    work: u64,
}

/// One input.
#[derive(Debug, Clone)]
struct Part {
    /// Where it lies in a row of the output, and how long it is, bytes.
    start: usize,
    bytes: usize,
    /// What its bytes become; nothing where the scales are the same.
    table: Option<Table>,
}

impl Step {
    pub(crate) fn new(axis: usize, inputs: &[Tensor], output: Tensor) -> Result<Self, Error> {
        let shape = joined(axis, inputs)?;
        if shape != output.shape {
            return Err(Error::Shape(shape));
        }
        let inner: usize = output.shape.sides()[axis + 1..].iter().product();
        let mut start = 0;
        let part = |input: &Tensor| {
            let bytes = input.shape.sides()[axis] * inner * input.element.bytes();
            let part = Part { start, bytes, table: rescaled(input.element, output.element)? };
            start += bytes;
            Ok(part)
        };
        let parts = inputs.iter().map(part).collect::<Result<_, Error>>()?;
        Ok(Self { parts, row_bytes: start, work: shape.count() as u64 })
    }

    /// Values moved in one run.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        for (at, Part { start, bytes, table }) in self.parts.iter().enumerate() {
            let rows = output.chunks_exact_mut(self.row_bytes);
            for (row, from) in rows.zip(inputs.get(at).chunks_exact(*bytes)) {
                let to = &mut row[*start..*start + *bytes];
                match table {
                    Some(table) => look_up(table, from, to),
                    None => to.copy_from_slice(from),
                }
            }
        }
    }
}

/// The shape of the result.
fn joined(axis: usize, inputs: &[Tensor]) -> Result<Shape, Error> {
    let first = inputs.first().ok_or(Error::Inputs)?.shape.aligned();
    let rank = inputs[0].shape.sides().len();
    if axis >= rank {
        return Err(Error::Axis);
    }
    let place = first.len() - rank + axis;
    let mut whole = first;
    whole[place] = 0;
    for Tensor { shape, .. } in inputs {
        let mut sides = shape.aligned();
        whole[place] += sides[place];
        sides[place] = first[place];
        if sides != first || shape.sides().len() != rank {
            return Err(Error::Mismatch);
        }
    }
    Shape::new(&whole[first.len() - rank..])
}

/// What bytes become on the output's scale. TFLite rescales `UINT8` only.
fn rescaled(from: Element, to: Element) -> Result<Option<Table>, Error> {
    match (from, to) {
        (from, to) if from == to => Ok(None),
        (Element::U8(from), Element::U8(to)) => Ok(Some(table(|byte| moved(from, to, byte)))),
        (Element::I8(_), Element::I8(_)) => Err(Error::Mismatch),
        _ => Err(Error::Element),
    }
}

/// The built-in kernel's way, in `f32`, halves away from 0.
fn moved(from: Quant, to: Quant, byte: u8) -> u8 {
    let scale = from.scale * (1.0 / to.scale);
    let bias = -f32::from(from.zero_point) * scale;
    let value = libm::roundf(f32::from(byte) * scale + bias) + f32::from(to.zero_point);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let stored = value.clamp(0.0, 255.0) as u8;
    stored
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;
    use crate::alone;
    use crate::plan::Random;
    use std::vec::Vec;

    fn form(sides: &[usize], element: Element) -> Tensor {
        Tensor { shape: Shape::new(sides).expect("small"), element }
    }

    /// Where place `at` of the output comes from: which input, and which of its places.
    fn source(mut at: usize, axis: usize, inputs: &[Tensor], output: Tensor) -> (usize, usize) {
        let sides = output.shape.sides();
        let mut place = std::vec![0; sides.len()];
        for (place, side) in place.iter_mut().zip(sides).rev() {
            *place = at % side;
            at /= side;
        }
        let mut input = 0;
        while place[axis] >= inputs[input].shape.sides()[axis] {
            place[axis] -= inputs[input].shape.sides()[axis];
            input += 1;
        }
        let sides = inputs[input].shape.sides();
        (input, place.iter().zip(sides).fold(0, |at, (place, side)| at * side + place))
    }

    #[test]
    fn parts_lie_where_the_slow_way_says() {
        let mut random = Random(31);
        for round in 0..300 {
            let rank = 1 + random.below(4);
            let axis = random.below(rank);
            let sides: Vec<usize> = (0..rank).map(|_| 1 + random.below(4)).collect();
            let quant = Quant { scale: 0.25, zero_point: 3 };
            let element = [Element::I8(quant), Element::U8(quant), Element::I32][round % 3];
            let along = |length| {
                let mut sides = sides.clone();
                sides[axis] = length;
                form(&sides, element)
            };
            let lengths: Vec<usize> = (0..=random.below(5)).map(|_| 1 + random.below(4)).collect();
            let forms: Vec<Tensor> = lengths.iter().map(|length| along(*length)).collect();
            let bytes: Vec<Vec<u8>> =
                forms.iter().map(|it| (0..it.bytes()).map(|_| random.byte()).collect()).collect();
            let output = along(lengths.iter().sum());
            let inputs: Vec<(Tensor, &[u8])> =
                forms.iter().zip(&bytes).map(|(form, bytes)| (*form, &bytes[..])).collect();
            let run = alone::run(&Op::Concatenation { axis }, &inputs, output).expect("sound");
            let size = element.bytes();
            for (at, got) in run.chunks_exact(size).enumerate() {
                let (input, place) = source(at, axis, &forms, output);
                assert_eq!(got, &bytes[input][place * size..][..size]);
            }
        }
    }

    #[test]
    fn bytes_move_to_the_outputs_scale() {
        let mut random = Random(37);
        for _ in 0..200 {
            let quant = |random: &mut Random| Quant {
                scale: 0.002 + random.below(1000) as f32 * 1e-4,
                zero_point: random.byte(),
            };
            let (from, to) = (quant(&mut random), quant(&mut random));
            for byte in 0..=u8::MAX {
                let steps = f64::from(from.scale) * (f64::from(byte) - f64::from(from.zero_point));
                let expect = steps / f64::from(to.scale) + f64::from(to.zero_point);
                let apart = (f64::from(moved(from, to, byte)) - expect.clamp(0.0, 255.0)).abs();
                assert!(apart < 0.501, "{from:?} {to:?} {byte}");
            }
        }
        for (from, to) in [(1e-45, f32::MAX), (f32::MAX, 1e-45), (f32::MAX, f32::MAX)] {
            let quant = |scale| Quant { scale, zero_point: 9 };
            // Whatever it is, it is a byte.
            let _ = [0, 9, 255].map(|byte| moved(quant(from), quant(to), byte));
        }
        let step = |scale| Quant { scale, zero_point: 100 };
        let halves = [97, 99, 101, 103].map(|byte| moved(step(0.5), step(1.0), byte));
        assert_eq!(halves, [98, 99, 101, 102]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let quant = |scale| Quant { scale, zero_point: 0 };
        let (a, b) = (Element::U8(quant(1.0)), Element::I8(quant(1.0)));
        let new = |axis, inputs: &[Tensor], output| Step::new(axis, inputs, output).err();
        let two = form(&[1, 2], a);
        assert_eq!(new(0, &[], two), Some(Error::Inputs));
        assert_eq!(new(2, &[two], two), Some(Error::Axis));
        assert_eq!(new(0, &[two, form(&[1, 3], a)], two), Some(Error::Mismatch));
        assert_eq!(new(0, &[two, form(&[2], a)], two), Some(Error::Mismatch));
        let whole = form(&[2, 2], a);
        assert_eq!(new(0, &[two, two], two), Some(Error::Shape(whole.shape)));
        assert_eq!(new(0, &[two, form(&[1, 2], b)], whole), Some(Error::Element));
        let other = form(&[1, 2], Element::I8(quant(2.0)));
        assert_eq!(new(0, &[form(&[1, 2], b), other], form(&[2, 2], b)), Some(Error::Mismatch));
    }
}
