//! Rows times packed weights on cores without the dot product: 16 products of bytes in three
//! instructions.
//!
//! ```text
//! a tile: 4 rows x 4 channels; 16 registers, each with 4 parts of one sum
//! a step: 16 values of each row and of each channel's weights, all i8 (rows are less 128):
//!         the low halves multiplied, 8 i16; the high halves added; pairs of those to 4 i32
//! ```
//! The product of two low halves and that of two high ones share 16 bits. They fit unless both
//! weights are -128; where a plan has such weights, four instructions do it.

use super::{Range, load_f32, load_i8, load_i32, load_u8, store_u8};
use crate::matmul::{BLOCK, Packed, Rows};
use core::arch::aarch64::{
    int32x4_t, uint32x4_t, vaddq_s32, vaddvq_u32, vcvtq_f32_s32, vdupq_n_s32, vdupq_n_u8,
    vdupq_n_u32, veorq_u8, vget_low_s8, vgetq_lane_u32, vmlal_high_s8, vmull_high_s8, vmull_s8,
    vmulq_laneq_f32, vpadalq_s16, vpadalq_u16, vpaddlq_u8, vpaddq_s32, vqtbl1q_u8,
    vreinterpretq_s8_u8, vreinterpretq_u32_u8,
};

/// Rows of a tile, and channels.
const SIDE: usize = 4;
/// Values in one step.
const STEP: usize = 16;

/// One step of a tile's rows, or of its weights.
type Step<T> = [[T; STEP]; SIDE];

/// Whether no two products that the kernel adds leave 16 bits.
pub(crate) fn pairs_fit(weights: &[i8]) -> bool {
    let both = |step: &[i8; STEP]| {
        let (low, high) = step.split_at(STEP / 2);
        low.iter().zip(high).any(|pair| pair == (&i8::MIN, &i8::MIN))
    };
    !weights.as_chunks().0.iter().any(both)
}

/// Memory that [`multiply`] works in.
pub(crate) fn scratch_bytes(packed: &Packed, count: usize) -> usize {
    count.min(BLOCK).next_multiple_of(SIDE) * packed.row_bytes()
}

/// Multiplies rows; `out` is `[count, channels]`.
///
/// `PAIRS` says whether [`pairs_fit`].
pub(crate) fn multiply<const PAIRS: bool>(
    packed: &Packed,
    weights: &[i8],
    rows: Rows<'_>,
    scratch: &mut [u8],
    out: &mut [u8],
) {
    assert!(packed.isa.has_neon(), "it is packed for NEON");
    // SAFETY: the packed weights' `Isa` is proof that the machine has NEON.
    unsafe { blocks::<PAIRS>(packed, weights, rows, scratch, out) }
}

#[target_feature(enable = "neon")]
fn blocks<const PAIRS: bool>(
    packed: &Packed,
    weights: &[i8],
    rows: Rows<'_>,
    scratch: &mut [u8],
    out: &mut [u8],
) {
    let weights = weights.as_chunks().0.as_chunks().0;
    let (steps, _) = scratch.as_chunks_mut::<STEP>();
    let (steps, _) = steps.as_chunks_mut::<SIDE>();
    let blocks = out.chunks_mut(BLOCK * packed.channels);
    for (first, out) in (0..rows.count).step_by(BLOCK).zip(blocks) {
        let count = out.len() / packed.channels;
        let bytes = &rows.bytes[first * rows.stride..];
        let own = lay_out(packed, Rows { bytes, count, ..rows }, steps);
        let tiles = &steps[..count.div_ceil(SIDE) * packed.groups];
        panels::<PAIRS>(packed, weights, tiles, &own, out);
    }
}

/// Writes rows, less 128, in the order in which tiles read them; what each adds to all its sums.
#[target_feature(enable = "neon")]
fn lay_out(packed: &Packed, rows: Rows<'_>, tiles: &mut [Step<u8>]) -> [i32; BLOCK] {
    let mut own = [0; BLOCK];
    for (at, own) in own.iter_mut().enumerate().take(rows.count) {
        let row = &rows.bytes[at * rows.stride..][..packed.row_bytes()];
        let tile = &mut tiles[at / SIDE * packed.groups..][..packed.groups];
        let mut sum = vdupq_n_u32(0);
        for (step, values) in tile.iter_mut().zip(row.as_chunks().0) {
            let values = load_u8(values);
            sum = vpadalq_u16(sum, vpaddlq_u8(values));
            store_u8(veorq_u8(values, vdupq_n_u8(0x80)), &mut step[at % SIDE]);
        }
        *own = packed.correction.wrapping_mul(vaddvq_u32(sum).cast_signed());
    }
    own
}

/// Multiplies a block of rows with one panel of weights after the other.
#[target_feature(enable = "neon")]
fn panels<const PAIRS: bool>(
    packed: &Packed,
    weights: &[Step<i8>],
    tiles: &[Step<u8>],
    own: &[i32; BLOCK],
    out: &mut [u8],
) {
    let range = Range::new(&packed.requant);
    let weights = weights.chunks_exact(packed.groups);
    let constants = packed.bias.as_chunks().0.iter().zip(packed.requant.multipliers.as_chunks().0);
    let firsts = (0..packed.channels).step_by(SIDE);
    for (first, (weights, (bias, multipliers))) in firsts.zip(weights.zip(constants)) {
        let panel = Panel { weights, bias, multipliers, count: packed.channels - first };
        panel.multiply::<PAIRS>(&range, tiles, own, &mut out[first..], packed.channels);
    }
}

/// The weights of 4 channels.
struct Panel<'a> {
    weights: &'a [Step<i8>],
    bias: &'a [i32; SIDE],
    multipliers: &'a [f32; SIDE],
    /// Channels from its first on.
    count: usize,
}

impl Panel<'_> {
    /// `out` begins with the first row's first channel; rows are `pitch` apart.
    #[inline(never)]
    #[target_feature(enable = "neon")]
    fn multiply<const PAIRS: bool>(
        &self,
        range: &Range,
        tiles: &[Step<u8>],
        own: &[i32; BLOCK],
        mut out: &mut [u8],
        pitch: usize,
    ) {
        let bias = self.bias.map(|bias| vdupq_n_s32(bias));
        let multipliers = load_f32(self.multipliers);
        let turn = load_u8(&TURN);
        for (tile, own) in tiles.chunks_exact(self.weights.len()).zip(own.as_chunks().0) {
            let sums = sums::<PAIRS>(tile, self.weights);
            let own = load_i32(own);
            let total = |at: usize| vcvtq_f32_s32(vaddq_s32(vaddq_s32(sums[at], own), bias[at]));
            let stored = range.stored([
                vmulq_laneq_f32::<0>(total(0), multipliers),
                vmulq_laneq_f32::<1>(total(1), multipliers),
                vmulq_laneq_f32::<2>(total(2), multipliers),
                vmulq_laneq_f32::<3>(total(3), multipliers),
            ]);
            let rows = vreinterpretq_u32_u8(vqtbl1q_u8(stored, turn));
            if self.count >= SIDE && out.len() >= 3 * pitch + SIDE {
                store(rows, out, pitch);
            } else {
                store_some(rows, out, pitch, self.count);
            }
            let Some(next) = out.get_mut(SIDE * pitch..) else { return };
            out = next;
        }
    }
}

/// From `[channel, row]` to `[row, channel]`.
const TURN: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

/// For each channel of a tile, the sums of its 4 rows.
#[inline]
#[target_feature(enable = "neon")]
fn sums<const PAIRS: bool>(rows: &[Step<u8>], weights: &[Step<i8>]) -> [int32x4_t; SIDE] {
    let mut parts = [[vdupq_n_s32(0); SIDE]; SIDE];
    for (rows, weights) in rows.iter().zip(weights) {
        let rows = [
            vreinterpretq_s8_u8(load_u8(&rows[0])),
            vreinterpretq_s8_u8(load_u8(&rows[1])),
            vreinterpretq_s8_u8(load_u8(&rows[2])),
            vreinterpretq_s8_u8(load_u8(&rows[3])),
        ];
        for (parts, weights) in parts.iter_mut().zip(weights) {
            let weights = load_i8(weights);
            for (part, row) in parts.iter_mut().zip(rows) {
                let low = vmull_s8(vget_low_s8(row), vget_low_s8(weights));
                *part = if PAIRS {
                    vpadalq_s16(*part, vmlal_high_s8(low, row, weights))
                } else {
                    vpadalq_s16(vpadalq_s16(*part, low), vmull_high_s8(row, weights))
                };
            }
        }
    }
    parts.map(|[a, b, c, d]| vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)))
}

/// Stores a tile's rows, 4 channels each.
#[inline]
#[target_feature(enable = "neon")]
fn store(rows: uint32x4_t, out: &mut [u8], pitch: usize) {
    // One check for all four.
    let out = &mut out[..3 * pitch + SIDE];
    write(out, 0, vgetq_lane_u32::<0>(rows));
    write(out, pitch, vgetq_lane_u32::<1>(rows));
    write(out, 2 * pitch, vgetq_lane_u32::<2>(rows));
    write(out, 3 * pitch, vgetq_lane_u32::<3>(rows));
}

#[inline]
fn write(out: &mut [u8], at: usize, row: u32) {
    out[at..at + SIDE].copy_from_slice(&row.to_le_bytes());
}

/// Stores what there is of a tile at the end of the rows or of the channels.
#[cold]
#[target_feature(enable = "neon")]
fn store_some(rows: uint32x4_t, out: &mut [u8], pitch: usize, channels: usize) {
    let rows = [
        vgetq_lane_u32::<0>(rows),
        vgetq_lane_u32::<1>(rows),
        vgetq_lane_u32::<2>(rows),
        vgetq_lane_u32::<3>(rows),
    ];
    for (row, out) in rows.iter().zip(out.chunks_mut(pitch)) {
        let count = channels.min(SIDE).min(out.len());
        out[..count].copy_from_slice(&row.to_le_bytes()[..count]);
    }
}
