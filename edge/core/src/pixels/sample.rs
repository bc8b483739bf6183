//! Stretches a picture onto a tensor: rows first, every byte of a row alike, then the columns.
//!
//! ```text
//! rows under a target row --weights--> one line, u16 --weights--> means --colour--> RGB
//! ```
//! All of it is whole numbers of 16 bits in loops that the compiler makes vectors of, and what
//! is the same for all rows is worked out once: this is most of what the eye costs beside
//! inference. Nothing is sorted by channel on the way: a byte is a lane, and the lanes of a
//! pixel (R, G, B) or of a pair of pixels (Y, U, Y, V) are weighted together.
//!
//! Sums of rows are exact for the sides that cameras have. Means are rounded to 1/128 of a grey
//! level, three products of the colour to 1/64: a byte is off by less than 0.6 in all, where
//! rounding it would alone be 0.5. (Columns a thousand to one have weights of few bits: there a
//! byte may be off by 1.)

#![deny(clippy::indexing_slicing)]

mod colour;
mod columns;
mod line;
mod span;

use super::Rows;
use colour::Lanes;
use columns::{Columns, FEW};
use line::Line;
use span::Axis;

/// Target pixels that are worked on at a time.
const PIECE: usize = 64;
/// Something of each of them; what is beyond the end of a row does not matter.
type Piece<T> = [T; PIECE];

/// `tensor` is `[height, width, 3]`, no side longer than [`super::SIDE_MAX`].
pub(super) fn rgb(rows: &Rows<'_>, tensor: &mut [u8], width: usize, height: usize) {
    let across = Axis::new(rows.width, width);
    stretch(
        rows,
        3,
        tensor,
        (width, height),
        |columns, unit| columns.fill_rgb(across, unit),
        colour::of_rgb,
    );
}

/// The same from YUYV, BT.601 limited range.
pub(super) fn yuyv(rows: &Rows<'_>, tensor: &mut [u8], width: usize, height: usize) {
    let across = Axis::new(rows.width, width);
    stretch(
        rows,
        2,
        tensor,
        (width, height),
        |columns, unit| columns.fill_yuyv(across, unit),
        colour::of_yuyv,
    );
}

/// `bytes` are those of a pixel.
fn stretch(
    rows: &Rows<'_>,
    bytes: usize,
    tensor: &mut [u8],
    (width, height): (usize, usize),
    fill: impl FnOnce(&mut Columns, u32),
    colour: impl Fn(&Piece<Lanes>, &mut Piece<u32>),
) {
    let down = Axis::new(rows.height, height);
    let mut line = Line::new(rows.width * bytes, down);
    let mut columns = Columns::new();
    fill(&mut columns, line.unit());
    let mut gathered = [[[0; 4]; PIECE]; FEW];
    let (mut means, mut words) = ([[0; 4]; PIECE], [0; PIECE]);
    let (pixels, _) = tensor.as_chunks_mut::<3>();
    for (span, pixels) in down.spans().zip(pixels.chunks_exact_mut(width)) {
        line.sum(rows, &span);
        for (piece, pixels) in pixels.chunks_mut(PIECE).enumerate() {
            columns.means(line.lanes(), piece, &mut gathered, &mut means);
            colour(&means, &mut words);
            colour::store(&words, pixels);
        }
    }
}
