//! Stretches a picture onto a tensor: rows first, every byte of a row alike, then the columns.
//!
//! ```text
//! rows under 4 target rows --weights--> 4 lines, u16 --weights--> means --colour--> RGB
//! ```
//! All of it is whole numbers of 16 bits in loops that the compiler makes vectors of, and what
//! is the same for all rows is worked out once: this is most of what the eye costs beside
//! inference. Nothing is sorted by channel on the way: a byte is a lane, and the lanes of a
//! pixel (R, G, B) or of a pair of pixels (Y, U, Y, V) are weighted together. Where they lie is
//! looked up once for 4 target rows, whose lines are woven so that it is one place.
//!
//! Sums of rows are exact for the sides that cameras have. Means are rounded to 1/128 of a grey
//! level, three products of the colour to 1/64: a byte is off by less than 0.6 in all, where
//! rounding it would alone be 0.5. (Columns a thousand to one have weights of few bits: there a
//! byte may be off by 1.)

#![deny(clippy::indexing_slicing)]

mod colour;
mod columns;
mod lines;
mod span;

use super::Rows;
use colour::Lanes;
use columns::Columns;
use lines::Lines;
use span::Axis;

/// Target rows that are worked on at a time.
const ROWS: usize = 4;
/// Target columns that are worked on at a time.
const PIECE: usize = 16;
/// Something of each of their pixels; what is beyond the end of a row does not matter.
type Piece<T> = [[T; ROWS]; PIECE];

/// `tensor` is `[height, width, 3]`, no side longer than [`super::SIDE_MAX`].
pub(super) fn rgb(rows: &Rows<'_>, tensor: &mut [u8], width: usize, height: usize) {
    let across = Axis::new(rows.width, width);
    stretch::<3>(
        rows,
        rows.width,
        tensor,
        (width, height),
        |columns, unit| columns.fill_rgb(across, unit),
        colour::of_rgb,
    );
}

/// The same from YUYV, BT.601 limited range.
pub(super) fn yuyv(rows: &Rows<'_>, tensor: &mut [u8], width: usize, height: usize) {
    let across = Axis::new(rows.width, width);
    stretch::<4>(
        rows,
        rows.width / 2,
        tensor,
        (width, height),
        |columns, unit| columns.fill_yuyv(across, unit),
        colour::of_yuyv,
    );
}

/// `taps` of `STEP` bytes make a row.
fn stretch<const STEP: usize>(
    rows: &Rows<'_>,
    taps: usize,
    tensor: &mut [u8],
    (width, height): (usize, usize),
    fill: impl FnOnce(&mut Columns, u32),
    colour: impl Fn(&Piece<Lanes>, &mut Piece<u32>),
) {
    let down = Axis::new(rows.height, height);
    let mut lines = Lines::new(down);
    lines.stretch(taps);
    let mut columns = Columns::new();
    fill(&mut columns, lines.unit());
    let (mut means, mut words) = ([[[0; 4]; ROWS]; PIECE], [[0; ROWS]; PIECE]);
    let (pixels, _) = tensor.as_chunks_mut::<3>();
    for (at, pixels) in pixels.chunks_mut(ROWS * width).enumerate() {
        lines.sum::<STEP>(rows, down.spans_from(at * ROWS));
        for from in (0..width).step_by(PIECE) {
            columns.means(lines.taps(), from, &mut means);
            colour(&means, &mut words);
            let to = width.min(from + PIECE);
            for (words, pixels) in colour::by_row(&words).iter().zip(pixels.chunks_exact_mut(width))
            {
                colour::store(words, pixels.get_mut(from..to).unwrap_or_default());
            }
        }
    }
}
