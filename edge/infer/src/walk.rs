//! A walk through a tensor in another order than it lies: slices, transposes, padding.

use crate::tensor::{RANK_MAX, Shape};

/// Places of a tensor, in the order in which another one has them.
///
/// Axes that are one run in memory are walked as one.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    start: usize,
    /// Outermost first; the innermost is there even where the walk is a single place.
    axes: [Axis; RANK_MAX],
    rank: usize,
}

/// Steps along one axis of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) length: usize,
    pub(crate) stride: isize,
}

impl Axis {
    /// One place.
    pub(crate) const POINT: Self = Self { length: 1, stride: 1 };
}

/// The axes of a tensor as it lies; beyond its rank, axes of one place.
pub(crate) fn axes(shape: &Shape) -> [Axis; RANK_MAX] {
    let mut axes = [Axis::POINT; RANK_MAX];
    let mut stride = 1;
    for (axis, side) in axes.iter_mut().zip(shape.sides()).rev() {
        *axis = Axis { length: *side, stride };
        stride *= side.cast_signed();
    }
    axes
}

/// A row of a walk: `length` places, `stride` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) start: usize,
    pub(crate) length: usize,
    pub(crate) stride: isize,
}

impl Walk {
    /// A walk along `axes`, outermost first, of which there are at most [`RANK_MAX`].
    pub(crate) fn new(start: usize, axes: impl IntoIterator<Item = Axis>) -> Self {
        let mut walk = Self { start, axes: [Axis::POINT; RANK_MAX], rank: 0 };
        for axis in axes.into_iter().filter(|axis| axis.length != 1) {
            walk.push(axis);
        }
        walk.rank = walk.rank.max(1);
        walk
    }

    fn push(&mut self, axis: Axis) {
        let last = self.rank.checked_sub(1).map(|last| &mut self.axes[last]);
        match last {
            Some(last) if last.stride == axis.stride * axis.length.cast_signed() => {
                *last = Axis { length: last.length * axis.length, stride: axis.stride };
            }
            _ => {
                self.axes[self.rank] = axis;
                self.rank += 1;
            }
        }
    }

    /// Fills `output` with the places of `input`, both of elements of `bytes`, 1 or 4.
    pub(crate) fn read(&self, bytes: usize, input: &[u8], output: &mut [u8]) {
        match bytes {
            1 => self.read_all(input, output),
            _ => self.read_all(input.as_chunks::<4>().0, output.as_chunks_mut::<4>().0),
        }
    }

    /// Puts `input` into the places of `output`, both of elements of `bytes`, 1 or 4.
    pub(crate) fn write(&self, bytes: usize, input: &[u8], output: &mut [u8]) {
        match bytes {
            1 => self.write_all(input, output),
            _ => self.write_all(input.as_chunks::<4>().0, output.as_chunks_mut::<4>().0),
        }
    }

    fn read_all<T: Copy>(&self, input: &[T], output: &mut [T]) {
        let mut rest = output;
        self.rows(|row| {
            if let Some(output) = rest.split_off_mut(..row.length) {
                row.read(input, output);
            }
        });
    }

    fn write_all<T: Copy>(&self, input: &[T], output: &mut [T]) {
        let mut rest = input;
        self.rows(|row| {
            if let Some(input) = rest.split_off(..row.length) {
                row.write(input, output);
            }
        });
    }

    /// Calls `each` with every row, in order.
    pub(crate) fn rows(&self, mut each: impl FnMut(Row)) {
        self.visit(0, self.start, &mut each);
    }

    /// Calls `each` with every place, in order.
    pub(crate) fn places(&self, mut each: impl FnMut(usize)) {
        self.rows(|row| (0..row.length).for_each(|at| each(row.place(at))));
    }

    fn visit(&self, at: usize, start: usize, each: &mut impl FnMut(Row)) {
        let Axis { length, stride } = self.axes[at];
        if at + 1 == self.rank {
            return each(Row { start, length, stride });
        }
        for step in 0..length {
            self.visit(at + 1, start.wrapping_add_signed(step.cast_signed() * stride), each);
        }
    }
}

impl Row {
    /// Where place `at` lies.
    #[inline]
    pub(crate) fn place(&self, at: usize) -> usize {
        self.start.wrapping_add_signed(at.cast_signed() * self.stride)
    }

    /// Copies its places of `input` to `output`, which is as long.
    #[inline]
    fn read<T: Copy>(&self, input: &[T], output: &mut [T]) {
        if self.stride == 1 {
            return output.copy_from_slice(&input[self.start..self.start + self.length]);
        }
        for (at, output) in output.iter_mut().enumerate() {
            *output = input[self.place(at)];
        }
    }

    /// Copies `input`, which is as long, to its places of `output`.
    #[inline]
    fn write<T: Copy>(&self, input: &[T], output: &mut [T]) {
        if self.stride == 1 {
            return output[self.start..self.start + self.length].copy_from_slice(input);
        }
        for (at, input) in input.iter().enumerate() {
            output[self.place(at)] = *input;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn axis((length, stride): (usize, isize)) -> Axis {
        Axis { length, stride }
    }

    fn rows(start: usize, axes: &[(usize, isize)]) -> Vec<Row> {
        let mut rows = Vec::new();
        Walk::new(start, axes.iter().copied().map(axis)).rows(|row| rows.push(row));
        rows
    }

    #[test]
    fn what_lies_in_one_run_is_one_row() {
        let row = |start, length, stride| Row { start, length, stride };
        assert_eq!(rows(5, &[]), [row(5, 1, 1)]);
        assert_eq!(rows(0, &[(2, 12), (3, 4), (4, 1)]), [row(0, 24, 1)]);
        assert_eq!(rows(1, &[(1, 24), (2, 4), (2, 1)]), [row(1, 2, 1), row(5, 2, 1)]);
        assert_eq!(rows(7, &[(2, -4), (4, -1)]), [row(7, 8, -1)]);
        assert_eq!(rows(0, &[(3, 1), (2, 3)]), [row(0, 2, 3), row(1, 2, 3), row(2, 2, 3)]);
    }

    #[test]
    fn reading_gathers_and_writing_scatters() {
        let walk = |inner| Walk::new(1, [(2, 4), (2, inner)].map(axis));
        let all: Vec<u8> = (0..32).collect();
        let mut picked = [0; 4];
        walk(1).read(1, &all, &mut picked);
        assert_eq!(picked, [1, 2, 5, 6]);
        let mut placed = [9; 8];
        walk(2).write(1, &picked, &mut placed);
        assert_eq!(placed, [9, 1, 9, 2, 9, 5, 9, 6]);
        let mut words = [0; 16];
        walk(1).read(4, &all, &mut words);
        assert_eq!(words, [4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22, 23, 24, 25, 26, 27]);
    }
}
