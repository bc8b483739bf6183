//! Depthwise kernels on NEON: 16 or 8 channels at a time, along a row of output pixels.
//!
//! The weights of a 3x3 kernel stay in registers along the row; those of other kernels are
//! read for each pixel.

use super::{
    Range, load_f32, load_half_u8, load_i16, load_i32, load_u8, multiply_high, multiply_low,
    scaled, store_half_u8,
};
use crate::depthwise::{Packed, Taps};
use core::arch::aarch64::{
    float32x4_t, int16x8_t, int32x4_t, vget_low_u8, vmovl_high_u8, vmovl_u8, vreinterpretq_s16_u16,
};
use core::array;

/// Channels of a half block; blocks are one or two.
const HALF: usize = 8;
/// Taps of a 3x3 kernel.
const NINE: usize = 9;

/// Whether there are channels enough for half a block.
pub(crate) const fn fits(channels: usize) -> bool {
    channels >= HALF
}

/// Computes `out`, `[count, channels]`, with `[taps, channels]` weights.
pub(crate) fn run(packed: &Packed, weights: &[i16], taps: Taps<'_>, out: &mut [u8]) {
    assert!(packed.isa.has_neon(), "it is packed for NEON");
    // SAFETY: the packed weights' `Isa` is proof that the machine has NEON.
    unsafe { blocks(packed, weights, taps, out) }
}

#[target_feature(enable = "neon")]
fn blocks(packed: &Packed, weights: &[i16], taps: Taps<'_>, out: &mut [u8]) {
    if taps.count == 0 {
        return;
    }
    let range = Range::new(&packed.requant);
    let whole = packed.channels / (2 * HALF) * (2 * HALF);
    for first in (0..whole).step_by(2 * HALF) {
        Block::<2> { packed, weights, range, first }.run(taps, out);
    }
    if whole < packed.channels {
        if packed.channels - whole > HALF {
            Block::<1> { packed, weights, range, first: whole }.run(taps, out);
        }
        // The last block may lie over the one before: it stores the same once more.
        Block::<1> { packed, weights, range, first: packed.channels - HALF }.run(taps, out);
    }
}

/// Some channels, `8 * N`.
#[derive(Clone, Copy)]
struct Block<'a, const N: usize> {
    packed: &'a Packed,
    weights: &'a [i16],
    range: Range,
    first: usize,
}

impl<const N: usize> Block<'_, N> {
    #[target_feature(enable = "neon")]
    fn run(self, taps: Taps<'_>, out: &mut [u8]) {
        match taps.starts.first_chunk::<NINE>() {
            Some(starts) if taps.starts.len() == NINE => self.nine(starts, taps, out),
            _ => self.any(taps, out),
        }
    }

    #[inline(never)]
    #[target_feature(enable = "neon")]
    fn nine(self, starts: &[usize; NINE], taps: Taps<'_>, out: &mut [u8]) {
        let weights = |tap: usize| tap * self.packed.channels + self.first;
        let weights: [[int16x8_t; N]; NINE] =
            array::from_fn(|tap| halves(&self.weights[weights(tap)..]));
        let (bias, multipliers) = (self.bias(), self.multipliers());
        let last = (taps.count - 1) * taps.advance;
        let row = |tap: usize| &taps.bytes[starts[tap] + self.first..][..last + N * HALF];
        let rows: [&[u8]; NINE] = array::from_fn(row);
        for (pixel, out) in out.chunks_exact_mut(self.packed.channels).enumerate() {
            let at = (pixel * taps.advance).min(last);
            let mut sums = bias;
            for (row, weights) in rows.iter().zip(&weights) {
                // SAFETY: every row is as long as the last place and one block.
                add(&mut sums, unsafe { row.get_unchecked(at..at + N * HALF) }, weights);
            }
            self.store(sums, &multipliers, out);
        }
    }

    #[inline(never)]
    #[target_feature(enable = "neon")]
    fn any(self, taps: Taps<'_>, out: &mut [u8]) {
        let last = taps.starts.iter().max().copied().unwrap_or(0);
        for (first, out) in (0..).step_by(2).zip(out.chunks_mut(2 * self.packed.channels)) {
            let bytes = &taps.bytes[first * taps.advance + self.first..];
            if out.len() > self.packed.channels {
                self.few::<2>(&bytes[..taps.advance + last + N * HALF], taps, out);
            } else {
                self.few::<1>(&bytes[..last + N * HALF], taps, out);
            }
        }
    }

    /// A few pixels together, for which the weights are read once; `bytes` ends where the last
    /// pixel's last tap does.
    #[inline]
    #[target_feature(enable = "neon")]
    fn few<const P: usize>(&self, bytes: &[u8], taps: Taps<'_>, out: &mut [u8]) {
        let mut sums = [self.bias(); P];
        let starts = taps.starts.iter().zip(self.weights.chunks_exact(self.packed.channels));
        for (start, weights) in starts {
            let weights = halves(&weights[self.first..]);
            for (pixel, sums) in sums.iter_mut().enumerate() {
                let at = pixel * taps.advance + start;
                // SAFETY: no pixel before the last and no tap before its last lies further.
                add(sums, unsafe { bytes.get_unchecked(at..at + N * HALF) }, &weights);
            }
        }
        for (sums, out) in sums.into_iter().zip(out.chunks_exact_mut(self.packed.channels)) {
            self.store(sums, &self.multipliers(), out);
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn bias(&self) -> [[int32x4_t; 2]; N] {
        let quarters = self.packed.bias[self.first..][..N * HALF].as_chunks().0;
        array::from_fn(|half| array::from_fn(|at| load_i32(&quarters[2 * half + at])))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn multipliers(&self) -> [[float32x4_t; 2]; N] {
        let quarters = self.packed.requant.multipliers[self.first..][..N * HALF].as_chunks().0;
        array::from_fn(|half| array::from_fn(|at| load_f32(&quarters[2 * half + at])))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn store(&self, sums: Sums<N>, multipliers: &[[float32x4_t; 2]; N], out: &mut [u8]) {
        let halves = out[self.first..][..N * HALF].as_chunks_mut().0;
        for half in 0..N {
            let ([a, b], [by_a, by_b]) = (sums[half], multipliers[half]);
            let stored = self.range.stored_half([scaled(a, by_a), scaled(b, by_b)]);
            store_half_u8(stored, &mut halves[half]);
        }
    }
}

/// Of each half, its two quarters.
type Sums<const N: usize> = [[int32x4_t; 2]; N];

/// The first weights of a row.
#[inline]
#[target_feature(enable = "neon")]
fn halves<const N: usize>(weights: &[i16]) -> [int16x8_t; N] {
    let halves = weights[..N * HALF].as_chunks().0;
    array::from_fn(|half| load_i16(&halves[half]))
}

/// Adds the products of one tap.
#[inline]
#[target_feature(enable = "neon")]
fn add<const N: usize>(sums: &mut Sums<N>, values: &[u8], weights: &[int16x8_t; N]) {
    // One load where there are 16: its address needs no instruction of its own.
    let halves = match values.first_chunk() {
        Some(values) if N == 2 => {
            let values = load_u8(values);
            [vmovl_u8(vget_low_u8(values)), vmovl_high_u8(values)]
        }
        _ => [vmovl_u8(load_half_u8(&values.as_chunks().0[0])); 2],
    };
    for half in 0..N {
        let values = vreinterpretq_s16_u16(halves[half]);
        let [low, high] = sums[half];
        sums[half] =
            [multiply_low(low, values, weights[half]), multiply_high(high, values, weights[half])];
    }
}
