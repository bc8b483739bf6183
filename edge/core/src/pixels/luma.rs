//! The mean luma of the cells of a grid: first down the columns of a row of cells, then across.

#![deny(clippy::indexing_slicing)]

use super::{Rows, SIDE_MAX};
use core::ops::Range;
use heapless::Vec;

/// Lines whose lumas fit 16 bits in sum.
const LINES: usize = 256;
/// Pixels of a cell whose lumas fit 32 bits in sum.
const SMALL: usize = (u32::MAX / 255) as usize;
/// Both lumas of a pair of pixels.
const LUMAS: u32 = 0x00ff_00ff;

/// `grid` is `[rows, cols]`.
pub(super) fn yuyv(picture: &Rows<'_>, grid: &mut [u8], cols: usize, rows: usize) {
    // Both pixels of a pair are added as one number, 16 bits for each.
    let mut pairs = [0; SIDE_MAX as usize / 2];
    let (pairs, _) = pairs.split_at_mut(picture.width.min(SIDE_MAX as usize) / 2);
    mean(picture, grid, cols, rows, |lines, sums| {
        for from in lines.clone().step_by(LINES) {
            pairs.fill(0);
            add(picture, from..lines.end.min(from + LINES), pairs);
            for ([left, right], pair) in sums.as_chunks_mut::<2>().0.iter_mut().zip(&*pairs) {
                *left += *pair & 0xffff;
                *right += *pair >> 16;
            }
        }
    });
}

fn add(picture: &Rows<'_>, lines: Range<usize>, pairs: &mut [u32]) {
    let length = pairs.len();
    let line = |at| picture.row(at).as_chunks::<4>().0.get(..length).unwrap_or_default();
    let mut at = lines.start;
    while at + 4 <= lines.end {
        let four = line(at).iter().zip(line(at + 1)).zip(line(at + 2)).zip(line(at + 3));
        for (sum, (((a, b), c), d)) in pairs.iter_mut().zip(four) {
            *sum += lumas(*a) + lumas(*b) + lumas(*c) + lumas(*d);
        }
        at += 4;
    }
    for at in at..lines.end {
        pairs.iter_mut().zip(line(at)).for_each(|(sum, pair)| *sum += lumas(*pair));
    }
}

/// Two lumas, 16 bits for each.
#[inline]
fn lumas(pair: [u8; 4]) -> u32 {
    u32::from_le_bytes(pair) & LUMAS
}

/// The same from RGB, full-range BT.601.
pub(super) fn rgb(picture: &Rows<'_>, grid: &mut [u8], cols: usize, rows: usize) {
    let luma = |rgb: &[u8; 3]| {
        let [r, g, b] = rgb.map(u32::from);
        (77 * r + 150 * g + 29 * b + 128) >> 8
    };
    mean(picture, grid, cols, rows, |lines, sums| {
        for at in lines {
            let (pixels, _) = picture.row(at).as_chunks::<3>();
            sums.iter_mut().zip(pixels).for_each(|(sum, pixel)| *sum += luma(pixel));
        }
    });
}

/// `add` adds the luma of some lines to a sum for each column.
fn mean(
    picture: &Rows<'_>,
    grid: &mut [u8],
    cols: usize,
    rows: usize,
    mut add: impl FnMut(Range<usize>, &mut [u32]),
) {
    let mut sums = Vec::<u32, { SIDE_MAX as usize }>::new();
    // Never longer: a picture's sides are checked.
    let _ = sums.resize(picture.width, 0);
    let bound = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    let columns = (0..cols).map(|col| cell(col, cols, picture.width));
    // A division for each cell would cost more than its sum.
    let bounds: Vec<[u16; 2], { SIDE_MAX as usize }> =
        columns.map(|Range { start, end }| [start, end].map(bound)).collect();
    for (row, cells) in grid.chunks_exact_mut(cols).enumerate() {
        let lines = cell(row, rows, picture.height);
        sums.fill(0);
        add(lines.clone(), &mut sums);
        for (columns, cell_out) in bounds.iter().zip(cells) {
            let columns = sums.get(usize::from(columns[0])..usize::from(columns[1]));
            let columns = columns.unwrap_or_default();
            let count = lines.len() * columns.len();
            let total = if count <= SMALL {
                u64::from(columns.iter().sum::<u32>())
            } else {
                columns.iter().map(|sum| u64::from(*sum)).sum()
            };
            *cell_out = nearest(total, count as u64);
        }
    }
}

/// The pixels of cell `at` of `cells` along a side; at least one.
fn cell(at: usize, cells: usize, side: usize) -> Range<usize> {
    let start = at * side / cells;
    start..((at + 1) * side / cells).max(start + 1)
}

/// The nearest byte to a mean.
#[inline]
fn nearest(total: u64, count: u64) -> u8 {
    // Exact: both are far below 2^53, and so is a quotient's distance from a half.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of bytes")]
    let nearest = (total.cast_signed() as f64 / count.cast_signed() as f64 + 0.5) as u8;
    nearest
}
