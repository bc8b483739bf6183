//! From the means of a target pixel's lanes to its bytes.

use super::{PIECE, Piece, ROWS};

/// Pixels of a piece.
const ALL: usize = PIECE * ROWS;

/// What a byte of 1 is in [`Lanes`]: 255 of them fit 15 bits.
pub(super) const GREY: u64 = 128;

/// Four means.
pub(super) type Lanes = [u16; 4];

/// R, G, B and nothing to `R | G << 8 | B << 16`.
#[inline]
pub(super) fn of_rgb(means: &Piece<Lanes>, words: &mut Piece<u32>) {
    for ([r, g, b, _], word) in means.as_flattened().iter().zip(words.as_flattened_mut()) {
        let [r, g, b] = [r, g, b].map(|mean| u32::from((*mean + 64) >> 7));
        *word = r | g << 8 | b << 16;
    }
}

/// Shares of Y, U, Y, V, BT.601 limited range, to the same.
#[inline]
pub(super) fn of_yuyv(means: &Piece<Lanes>, words: &mut Piece<u32>) {
    // Taken apart as numbers of 32 bits they need far less shuffling than lane by lane.
    let (mut lefts, mut rights) = ([0_u32; ALL], [0_u32; ALL]);
    for ([a, u, b, v], (left, right)) in
        means.as_flattened().iter().zip(lefts.iter_mut().zip(&mut rights))
    {
        *left = u32::from(*a) | u32::from(*u) << 16;
        *right = u32::from(*b) | u32::from(*v) << 16;
    }
    let (mut ys, mut us, mut vs) = ([0; ALL], [0; ALL], [0; ALL]);
    let yuvs = ys.iter_mut().zip(us.iter_mut().zip(&mut vs));
    for ((y, (u, v)), (left, right)) in yuvs.zip(lefts.iter().zip(&rights)) {
        *y = low(left + right);
        *u = high(*left);
        *v = high(*right);
    }
    let (mut reds_greens, mut blues) = ([0_u16; ALL], [0_u16; ALL]);
    let rgbs = reds_greens.iter_mut().zip(&mut blues);
    for ((red_green, blue), (y, (u, v))) in rgbs.zip(ys.iter().zip(us.iter().zip(&vs))) {
        let [r, g, b] = rgb_of_yuv(*y, *u, *v);
        *red_green = r | g << 8;
        *blue = b;
    }
    for (word, (red_green, blue)) in
        words.as_flattened_mut().iter_mut().zip(reds_greens.iter().zip(&blues))
    {
        *word = u32::from(*red_green) | u32::from(*blue) << 16;
    }
}

#[inline]
fn rgb_of_yuv(y: u16, u: u16, v: u16) -> [u16; 3] {
    let y = luma(y);
    let [u, v] = [u, v].map(|mean| mean.wrapping_sub(128 << 7).cast_signed());
    // Half a product of [`GREY`] is in units of 1/64, in which all fits but the brightest
    // blue: 1.596, -0.392, -0.813 and 2.017, by halves.
    let r = y + (v + share(v, -13_238));
    let g = y - (share(u, 12_837) + share(v, 26_639));
    let b = y.saturating_add(u + share(u, 565));
    [r, g, b].map(byte)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
#[inline]
fn low(half: u32) -> u16 {
    half as u16
}

#[inline]
fn high(half: u32) -> u16 {
    (half >> 16) as u16
}

/// 255/219 of what is above 16, in units of 1/64; rounding to a byte is included, 1/2, and half
/// a unit for each of two products.
#[inline]
fn luma(y: u16) -> i16 {
    const BLACK: i16 = 1_192;
    let product = ((u32::from(y) * 38_155) >> 16) as u16;
    product.cast_signed() - BLACK + 32 + 1
}

/// The upper half of a product.
#[inline]
fn share(value: i16, of: i16) -> i16 {
    ((i32::from(value) * i32::from(of)) >> 16) as i16
}

#[inline]
fn byte(value: i16) -> u16 {
    (value >> 6).clamp(0, 255).cast_unsigned()
}

/// Sorts the words of a piece by rows.
#[inline]
pub(super) fn by_row(words: &Piece<u32>) -> [[u32; PIECE]; ROWS] {
    let mut rows = [[0; PIECE]; ROWS];
    let [a, b, c, d] = &mut rows;
    let rows_of = a.iter_mut().zip(b).zip(c.iter_mut().zip(d));
    for (words, ((a, b), (c, d))) in words.iter().zip(rows_of) {
        [*a, *b, *c, *d] = *words;
    }
    rows
}

/// Four words of three bytes each make three words.
#[inline]
pub(super) fn store(words: &[u32; PIECE], pixels: &mut [[u8; 3]]) {
    let (fours, _) = words.as_chunks::<4>();
    let (pixels, rest) = pixels.as_chunks_mut::<4>();
    for ([a, b, c, d], pixels) in fours.iter().zip(&mut *pixels) {
        let [first, second, third] = [a | b << 24, b >> 8 | c << 16, c >> 16 | d << 8];
        let bytes = pixels.as_flattened_mut().as_chunks_mut::<4>().0;
        for (bytes, word) in bytes.iter_mut().zip([first, second, third]) {
            *bytes = word.to_le_bytes();
        }
    }
    for (word, pixel) in words.iter().skip(4 * pixels.len()).zip(rest) {
        let [r, g, b, _] = word.to_le_bytes();
        *pixel = [r, g, b];
    }
}
