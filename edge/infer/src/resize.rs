//! `RESIZE_NEAREST_NEIGHBOR` and `RESIZE_BILINEAR`: a picture with other sides.
//!
//! Where each row and column comes from is worked out at load, with the roundings of TFLite's
//! kernel (nearest) and XNNPACK's (bilinear). Weights of the four pixels around are whole and
//! sum to 2^22, so that it matters not which stored value means 0.

use crate::error::Error;
use crate::kernel::Inputs;
use crate::op::{Corners, Resize};
use crate::tensor::{Shape, Tensor};
use alloc::boxed::Box;

/// Longest side: `f32` counts it exactly, and it fits 32 bits with 16 behind the point.
const SIDE_MAX: usize = 1 << 14;
/// All of the weight along one axis, as a power of 2.
const WEIGHT: u32 = 11;

/// A resized picture.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Bytes of an old row, and of a pixel.
    row: usize,
    pixel: usize,
    sources: Sources,
}

/// Where the new rows and columns come from.
#[derive(Debug, Clone)]
enum Sources {
    Nearest { rows: Box<[usize]>, columns: Box<[usize]> },
    Bilinear { rows: Box<[Between]>, columns: Box<[Between]> },
}

/// A place between two old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Between {
    low: usize,
    high: usize,
    /// The high one's, 0 to `1 << WEIGHT`.
    weight: i32,
}

impl Step {
    pub(crate) fn new(
        input: Tensor,
        resize: Resize,
        corners: Corners,
        output: Tensor,
    ) -> Result<Self, Error> {
        input.element.kept(output.element)?;
        input.quant()?;
        let [rows, columns, pixel] = input.shape.as_picture()?;
        let [high, wide, _] = output.shape.as_picture()?;
        let shape = Shape::picture(high, wide, pixel)?;
        if shape != output.shape {
            return Err(Error::Shape(shape));
        }
        if [rows, columns, high, wide].iter().any(|side| *side > SIDE_MAX) {
            return Err(Error::TooLarge);
        }
        let (down, across) = ([rows, high], [columns, wide]);
        let nearest = |sides: [usize; 2]| (0..sides[1]).map(move |at| nearest(corners, at, sides));
        let between =
            |sides: [usize; 2]| (0..sides[1]).map(move |at| Between::new(corners, at, sides));
        let sources = match resize {
            Resize::Nearest => Sources::Nearest {
                rows: nearest(down).collect(),
                columns: nearest(across).collect(),
            },
            Resize::Bilinear => Sources::Bilinear {
                rows: between(down).collect(),
                columns: between(across).collect(),
            },
        };
        Ok(Self { row: columns * pixel, pixel, sources })
    }

    /// Values read in one run.
    pub(crate) fn work(&self) -> u64 {
        let (rows, columns, each) = match &self.sources {
            Sources::Nearest { rows, columns } => (rows.len(), columns.len(), 1),
            Sources::Bilinear { rows, columns } => (rows.len(), columns.len(), 4),
        };
        (rows * columns * self.pixel) as u64 * each
    }

    pub(crate) fn run(&self, inputs: &Inputs<'_>, output: &mut [u8]) {
        let input = inputs.get(0);
        match &self.sources {
            Sources::Nearest { rows, columns } => self.nearest(rows, columns, input, output),
            Sources::Bilinear { rows, columns } => self.bilinear(rows, columns, input, output),
        }
    }

    fn nearest(&self, rows: &[usize], columns: &[usize], input: &[u8], output: &mut [u8]) {
        let mut before: Option<(usize, &[u8])> = None;
        for (row, out) in rows.iter().zip(output.chunks_exact_mut(columns.len() * self.pixel)) {
            match before {
                Some((same, copied)) if same == *row => out.copy_from_slice(copied),
                _ => {
                    let old = &input[row * self.row..][..self.row];
                    for (column, out) in columns.iter().zip(out.chunks_exact_mut(self.pixel)) {
                        out.copy_from_slice(&old[column * self.pixel..][..self.pixel]);
                    }
                }
            }
            before = Some((*row, out));
        }
    }

    fn bilinear(&self, rows: &[Between], columns: &[Between], input: &[u8], output: &mut [u8]) {
        for (row, out) in rows.iter().zip(output.chunks_exact_mut(columns.len() * self.pixel)) {
            let old = [row.low, row.high].map(|row| &input[row * self.row..][..self.row]);
            for (column, out) in columns.iter().zip(out.chunks_exact_mut(self.pixel)) {
                let [top, bottom] = old.map(|old| {
                    [column.low, column.high].map(|at| &old[at * self.pixel..][..self.pixel])
                });
                blend(top, bottom, [column.weight, row.weight], out);
            }
        }
    }
}

/// Four pixels' channels, weighted: `across` of the right ones, `down` of the lower ones.
fn blend(top: [&[u8]; 2], bottom: [&[u8]; 2], [across, down]: [i32; 2], out: &mut [u8]) {
    let length = out.len();
    let [[top_left, top_right], [left, right]] =
        [top, bottom].map(|pair| pair.map(|pixel| &pixel[..length]));
    for at in 0..length {
        let mix = |from: u8, to: u8, weight| {
            (i32::from(from) << WEIGHT) + (i32::from(to) - i32::from(from)) * weight
        };
        let upper = mix(top_left[at], top_right[at], across);
        let lower = mix(left[at], right[at], across);
        let sum = (upper << WEIGHT) + (lower - upper) * down;
        out[at] = ((sum + (1 << (2 * WEIGHT - 1))) >> (2 * WEIGHT)).to_le_bytes()[0];
    }
}

/// The step from one new place to the next, in old ones.
fn scale(corners: Corners, [old, new]: [usize; 2]) -> f32 {
    match corners {
        Corners::Aligned if new > 1 => (old - 1) as f32 / (new - 1) as f32,
        _ => old as f32 / new as f32,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a side")]
fn whole(place: f32) -> usize {
    place as usize
}

/// The old place nearest to new place `at`.
fn nearest(corners: Corners, at: usize, sides: [usize; 2]) -> usize {
    let [old, new] = sides;
    let scale = scale(corners, sides);
    let place = match corners {
        // TFLite's own way for bytes: 16 bits behind the point.
        Corners::Edges => (at * ((old << 16) / new + 1)) >> 16,
        Corners::Aligned => whole(libm::roundf(at as f32 * scale)),
        Corners::Centers => whole((at as f32 + 0.5) * scale),
    };
    place.min(old - 1)
}

impl Between {
    /// Between which old places new place `at` lies.
    fn new(corners: Corners, at: usize, sides: [usize; 2]) -> Self {
        let last = sides[0] - 1;
        let scale = scale(corners, sides);
        let place = match corners {
            Corners::Edges | Corners::Aligned => at as f32 * scale,
            Corners::Centers => (at as f32 * scale + (0.5 * scale - 0.5)).max(0.0),
        };
        let place = place.min(last as f32);
        let low = whole(place);
        let weight = libm::rintf((place - low as f32) * (1 << WEIGHT) as f32);
        #[expect(clippy::cast_possible_truncation, reason = "0 to 2048")]
        let weight = weight as i32;
        Self { low, high: (low + 1).min(last), weight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use crate::{Element, Op, alone};
    use std::vec::Vec;

    const ALL: [Corners; 3] = [Corners::Edges, Corners::Aligned, Corners::Centers];

    fn run(
        resize: Resize,
        corners: Corners,
        (input, values): (Tensor, &[u8]),
        sides: [usize; 2],
    ) -> Result<Vec<u8>, Error> {
        let channels = input.shape.as_picture()?[2];
        let shape = Shape::picture(sides[0], sides[1], channels)?;
        let output = Tensor { shape, ..input };
        alone::run(&Op::Resize(resize, corners), &[(input, values)], output)
    }

    /// `LiteRT`'s rows: the nearest of a ramp, and between given values.
    #[test]
    fn rows_are_tflites() {
        let values = [0, 100, 255, 3, 77, 200, 9];
        let ramp = [0, 1, 2, 3, 4, 5, 6];
        for (old, expect) in [
            (3, [&[0, 0, 0, 1, 1, 2, 2][..], &[0, 0, 1, 1, 1, 2, 2], &[0, 0, 1, 1, 1, 2, 2]]),
            (7, [&[0, 2, 4], &[0, 3, 6], &[1, 3, 5]]),
            (4, [&[0, 1, 2, 3]; 3]),
        ] {
            for (corners, expect) in ALL.into_iter().zip(expect) {
                let input = (alone::bytes(&[1, 1, old, 1], Element::U8, 0), &ramp[..old]);
                let got = run(Resize::Nearest, corners, input, [1, expect.len()]);
                assert_eq!(got, Ok(expect.to_vec()), "{corners:?} of {old}");
            }
        }
        for (old, expect) in [
            (
                3,
                [
                    &[0, 43, 86, 144, 211, 255, 255][..],
                    &[0, 33, 67, 100, 152, 203, 255],
                    &[0, 14, 57, 100, 166, 233, 255],
                ],
            ),
            (7, [&[0, 171, 159], &[0, 3, 9], &[67, 3, 136]]),
            (4, [&[0, 100, 255, 3]; 3]),
        ] {
            for (corners, expect) in ALL.into_iter().zip(expect) {
                let input = (alone::bytes(&[1, 1, old, 1], Element::I8, 5), &values[..old]);
                let got = run(Resize::Bilinear, corners, input, [1, expect.len()]);
                assert_eq!(got, Ok(expect.to_vec()), "{corners:?} of {old}");
            }
        }
    }

    /// A pixel is what its row's and its column's places say, whatever lies beside it.
    #[test]
    fn pictures_are_rows_of_columns() {
        let mut random = Random(25);
        for _ in 0..200 {
            let [rows, columns, channels] = [7, 7, 40].map(|most| 1 + random.below(most));
            let input = alone::bytes(&[1, rows, columns, channels], Element::U8, 0);
            let values = alone::values(&mut random, input);
            let [high, wide] = [1 + random.below(12), 1 + random.below(12)];
            let corners = ALL[random.below(3)];
            let old = |row: usize, column: usize, channel: usize| {
                i64::from(values[(row * columns + column) * channels + channel])
            };
            let picture = |pixel: &dyn Fn(usize, usize, usize) -> i64| -> Vec<u8> {
                (0..high * wide * channels)
                    .map(|at| {
                        let index = alone::index(&[high, wide, channels], at);
                        u8::try_from(pixel(index[0], index[1], index[2])).expect("a byte")
                    })
                    .collect()
            };
            let near = |at, sides| nearest(corners, at, sides);
            let expect = picture(&|row, column, channel| {
                old(near(row, [rows, high]), near(column, [columns, wide]), channel)
            });
            let got = run(Resize::Nearest, corners, (input, &values), [high, wide]);
            assert_eq!(got, Ok(expect), "{corners:?} {rows}x{columns} to {high}x{wide}");
            let expect = picture(&|row, column, channel| {
                let down = Between::new(corners, row, [rows, high]);
                let across = Between::new(corners, column, [columns, wide]);
                let sum: i64 = [(down.low, 2048 - down.weight), (down.high, down.weight)]
                    .into_iter()
                    .flat_map(|(row, weight)| {
                        [(across.low, 2048 - across.weight), (across.high, across.weight)].map(
                            |(column, more)| old(row, column, channel) * i64::from(weight * more),
                        )
                    })
                    .sum();
                (sum + (1 << 21)) >> 22
            });
            let got = run(Resize::Bilinear, corners, (input, &values), [high, wide]);
            assert_eq!(got, Ok(expect), "{corners:?} {rows}x{columns} to {high}x{wide}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let input = alone::bytes(&[1, 2, 2, 3], Element::U8, 0);
        let refused = |output| {
            let op = Op::Resize(Resize::Bilinear, Corners::Edges);
            alone::run(&op, &[(input, &[0; 12])], output).err()
        };
        let shape = Shape::picture(4, 5, 3).expect("small");
        let output = alone::bytes(&[1, 4, 5, 2], Element::U8, 0);
        assert_eq!(refused(output), Some(Error::Shape(shape)));
        assert_eq!(refused(alone::bytes(&[4, 5, 3], Element::U8, 0)), Some(Error::NoPicture));
        assert_eq!(refused(alone::bytes(&[1, 4, 4, 3], Element::U8, 1)), Some(Error::Requantized));
        let long = alone::bytes(&[1, SIDE_MAX + 1, 1, 3], Element::U8, 0);
        assert_eq!(refused(long), Some(Error::TooLarge));
    }
}
