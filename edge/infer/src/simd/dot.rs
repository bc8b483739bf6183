//! Rows times packed weights on aarch64 cores with the dot product (A76): 16 products of bytes
//! in one instruction.
//!
//! ```text
//! a tile: 8 rows x 8 channels; 16 registers, each with the sums of 4 channels for one row
//! a step: 4 values of each row (less 128) and of each channel's weights, i8;
//!         every register of weights is multiplied with each row's 4 values
//! ```
#![expect(unsafe_code, reason = "an instruction that has no stable intrinsic")]

use super::Set;
use super::neon::{
    self, Range, load_f32, load_i8, load_i32, load_u8, load_u32, scaled, store_i32, store_u8,
};
use crate::matmul::{BLOCK, Packed, Rows};
use core::arch::aarch64::{
    float32x4_t, int8x16_t, int32x4_t, uint8x16_t, vaddq_s32, vdupq_n_s32, vdupq_n_u8, vdupq_n_u32,
    veorq_u8, vgetq_lane_u64, vmulq_n_s32, vpadalq_u16, vpaddlq_u8, vreinterpretq_s8_u8,
    vreinterpretq_s32_u32, vreinterpretq_u8_u32, vreinterpretq_u8_u64, vreinterpretq_u32_u8,
    vreinterpretq_u64_u8, vreinterpretq_u64_u32, vtrn1q_u32, vtrn1q_u64, vtrn2q_u32, vtrn2q_u64,
};
use core::arch::asm;

/// Rows of a tile, and channels.
const SIDE: usize = 8;
/// Values in one step.
const STEP: usize = 4;

/// One step of a tile's rows, or of its weights: two registers.
type Step<T> = [[T; 16]; 2];

/// Whether this machine has the dot product.
pub(crate) fn is_there() -> bool {
    neon::is_there() && cfg!(target_os = "linux") && features() >> 44 & 0xf != 0
}

/// `ID_AA64ISAR0_EL1`: four bits for each group of instructions, from bit 44 on those of the
/// dot product (Arm Architecture Reference Manual, among its system registers).
fn features() -> u64 {
    let features;
    // SAFETY: programs may not read this register, but Linux has done it for them since 4.11
    // (its Documentation/arch/arm64/cpu-feature-registers.rst); elsewhere this is not called.
    unsafe {
        asm!(
            "mrs {}, ID_AA64ISAR0_EL1",
            out(reg) features,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    features
}

/// Memory that [`multiply`] works in.
pub(crate) fn scratch_bytes(packed: &Packed, count: usize) -> usize {
    count.min(BLOCK).next_multiple_of(SIDE) * packed.row_bytes()
}

/// Multiplies rows; `out` is `[count, channels]`.
pub(crate) fn multiply(
    packed: &Packed,
    weights: &[i8],
    rows: Rows<'_>,
    scratch: &mut [u8],
    out: &mut [u8],
) {
    assert!(packed.isa.set() == Set::Dot, "it is packed for the dot product");
    // SAFETY: the packed weights' `Isa` is proof that the machine has the dot product.
    unsafe { blocks(packed, weights, rows, scratch, out) }
}

#[target_feature(enable = "neon,dotprod")]
fn blocks(packed: &Packed, weights: &[i8], rows: Rows<'_>, scratch: &mut [u8], out: &mut [u8]) {
    let weights = weights.as_chunks().0.as_chunks().0;
    let steps = scratch.as_chunks_mut().0.as_chunks_mut::<2>().0;
    let blocks = out.chunks_mut(BLOCK * packed.channels);
    for (first, out) in (0..rows.count).step_by(BLOCK).zip(blocks) {
        let count = out.len() / packed.channels;
        let bytes = &rows.bytes[first * rows.stride..];
        let own = lay_out(packed, Rows { bytes, count, ..rows }, steps);
        panels(packed, weights, &steps[..count.div_ceil(SIDE) * packed.groups], &own, out);
    }
}

/// Writes rows, less 128, in the order in which tiles read them; what each adds to all its sums.
#[target_feature(enable = "neon")]
fn lay_out(packed: &Packed, rows: Rows<'_>, steps: &mut [Step<u8>]) -> [i32; BLOCK] {
    let mut own = [0; BLOCK];
    for (at, own) in (0..rows.count).step_by(4).zip(own.as_chunks_mut::<4>().0) {
        let tile = &mut steps[at / SIDE * packed.groups..][..packed.groups];
        // Beyond the last row, that one again: what comes of it is not stored.
        let row = |next: usize| {
            let at = (at + next).min(rows.count - 1);
            &rows.bytes[at * rows.stride..][..packed.row_bytes()]
        };
        let sums = lay_out_four([row(0), row(1), row(2), row(3)], at / 4 % 2, tile);
        store_i32(vmulq_n_s32(sums, packed.correction), own);
    }
    own
}

/// Lays out one half of a tile; the sums of its rows.
#[inline]
#[target_feature(enable = "neon")]
fn lay_out_four(rows: [&[u8]; 4], half: usize, tile: &mut [Step<u8>]) -> int32x4_t {
    let (whole, rest) = tile.as_chunks_mut::<4>();
    let mut sums = vdupq_n_u32(0);
    let mut place = |values: uint8x16_t, step: &mut Step<u8>| {
        sums = vpadalq_u16(sums, vpaddlq_u8(values));
        store_u8(veorq_u8(values, vdupq_n_u8(0x80)), &mut step[half]);
    };
    let [a, b, c, d] = rows.map(|row| row.as_chunks::<16>());
    for (((a, b), (c, d)), steps) in a.0.iter().zip(b.0).zip(c.0.iter().zip(d.0)).zip(whole) {
        let turned = turned([load_u8(a), load_u8(b), load_u8(c), load_u8(d)]);
        for (values, step) in turned.into_iter().zip(steps) {
            place(values, step);
        }
    }
    let [a, b, c, d] = [a, b, c, d].map(|(_, last)| last.as_chunks::<STEP>().0);
    for (((a, b), (c, d)), step) in a.iter().zip(b).zip(c.iter().zip(d)).zip(rest) {
        let words = [*a, *b, *c, *d].map(u32::from_le_bytes);
        place(vreinterpretq_u8_u32(load_u32(&words)), step);
    }
    vreinterpretq_s32_u32(sums)
}

/// A matrix of 4 rows and 4 columns, 4 bytes in each place, with both exchanged.
#[inline]
#[target_feature(enable = "neon")]
fn turned(rows: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| vreinterpretq_u32_u8(rows[at]));
    let [low, high] = [vtrn1q_u32(a, b), vtrn1q_u32(c, d)].map(|v| vreinterpretq_u64_u32(v));
    let [odd_low, odd_high] =
        [vtrn2q_u32(a, b), vtrn2q_u32(c, d)].map(|v| vreinterpretq_u64_u32(v));
    [
        vreinterpretq_u8_u64(vtrn1q_u64(low, high)),
        vreinterpretq_u8_u64(vtrn1q_u64(odd_low, odd_high)),
        vreinterpretq_u8_u64(vtrn2q_u64(low, high)),
        vreinterpretq_u8_u64(vtrn2q_u64(odd_low, odd_high)),
    ]
}

/// Multiplies a block of rows with one panel of weights after the other.
#[target_feature(enable = "neon,dotprod")]
fn panels(
    packed: &Packed,
    weights: &[Step<i8>],
    steps: &[Step<u8>],
    own: &[i32; BLOCK],
    out: &mut [u8],
) {
    let range = Range::new(&packed.requant);
    let weights = weights.chunks_exact(packed.groups);
    let bias = packed.bias.as_chunks().0.as_chunks::<2>().0;
    let multipliers = packed.requant.multipliers.as_chunks().0.as_chunks::<2>().0;
    let firsts = (0..packed.channels).step_by(SIDE);
    for (first, (weights, (bias, multipliers))) in
        firsts.zip(weights.zip(bias.iter().zip(multipliers)))
    {
        let panel = Panel { weights, bias, multipliers, count: packed.channels - first };
        panel.multiply(&range, steps, own, &mut out[first..], packed.channels);
    }
}

/// The weights of 8 channels.
struct Panel<'a> {
    weights: &'a [Step<i8>],
    bias: &'a [[i32; 4]; 2],
    multipliers: &'a [[f32; 4]; 2],
    /// Channels from its first on.
    count: usize,
}

impl Panel<'_> {
    /// `out` begins with the first row's first channel; rows are `pitch` apart.
    #[inline(never)]
    #[target_feature(enable = "neon,dotprod")]
    fn multiply(
        &self,
        range: &Range,
        steps: &[Step<u8>],
        own: &[i32; BLOCK],
        mut out: &mut [u8],
        pitch: usize,
    ) {
        let bias = [load_i32(&self.bias[0]), load_i32(&self.bias[1])];
        let by = [load_f32(&self.multipliers[0]), load_f32(&self.multipliers[1])];
        for (tile, own) in steps.chunks_exact(self.weights.len()).zip(own.as_chunks::<SIDE>().0) {
            let sums = sums(tile, self.weights, bias, own);
            if self.count >= SIDE && out.len() >= (SIDE - 1) * pitch + SIDE {
                store(&sums, by, range, out, pitch);
            } else {
                store_some(&sums, by, range, out, pitch, self.count);
            }
            let Some(next) = out.get_mut(SIDE * pitch..) else { return };
            out = next;
        }
    }
}

/// For each row of a tile, the sums of its 8 channels.
type Sums = [[int32x4_t; 2]; SIDE];

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sums(rows: &[Step<u8>], weights: &[Step<i8>], bias: [int32x4_t; 2], own: &[i32; SIDE]) -> Sums {
    let mut sums = [bias; SIDE];
    for (sums, own) in sums.iter_mut().zip(own) {
        let own = vdupq_n_s32(*own);
        *sums = [vaddq_s32(sums[0], own), vaddq_s32(sums[1], own)];
    }
    let (pairs_of_rows, last_rows) = rows.as_chunks::<2>();
    let (pairs_of_weights, last_weights) = weights.as_chunks::<2>();
    for (rows, weights) in pairs_of_rows.iter().zip(pairs_of_weights) {
        step(&mut sums, &rows[0], &weights[0]);
        step(&mut sums, &rows[1], &weights[1]);
    }
    for (rows, weights) in last_rows.iter().zip(last_weights) {
        step(&mut sums, rows, weights);
    }
    sums
}

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn step(sums: &mut Sums, rows: &Step<u8>, weights: &Step<i8>) {
    let weights = [load_i8(&weights[0]), load_i8(&weights[1])];
    for (rows, sums) in rows.iter().zip(sums.as_chunks_mut::<4>().0) {
        let rows = vreinterpretq_s8_u8(load_u8(rows));
        for at in 0..2 {
            dot::<0>(&mut sums[0][at], weights[at], rows);
            dot::<1>(&mut sums[1][at], weights[at], rows);
            dot::<2>(&mut sums[2][at], weights[at], rows);
            dot::<3>(&mut sums[3][at], weights[at], rows);
        }
    }
}

/// Adds the products of 4 channels' weights and one row's 4 values.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const ROW: i32>(sums: &mut int32x4_t, weights: int8x16_t, rows: int8x16_t) {
    // SAFETY: one instruction, which the callers' feature promises, and which only reads and
    // writes these registers.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[{row}]",
            inout(vreg) *sums,
            in(vreg) weights,
            in(vreg) rows,
            row = const ROW,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
}

/// Two rows' bytes.
#[inline]
#[target_feature(enable = "neon")]
fn stored(sums: &[[int32x4_t; 2]], by: [float32x4_t; 2], range: &Range) -> [u64; 2] {
    let stored = range.stored([
        scaled(sums[0][0], by[0]),
        scaled(sums[0][1], by[1]),
        scaled(sums[1][0], by[0]),
        scaled(sums[1][1], by[1]),
    ]);
    let rows = vreinterpretq_u64_u8(stored);
    [vgetq_lane_u64::<0>(rows), vgetq_lane_u64::<1>(rows)]
}

/// Stores a tile's rows, 8 channels each.
#[inline]
#[target_feature(enable = "neon")]
fn store(sums: &Sums, by: [float32x4_t; 2], range: &Range, out: &mut [u8], pitch: usize) {
    // One check for all of them.
    let out = &mut out[..(SIDE - 1) * pitch + SIDE];
    for at in [0, 2, 4, 6] {
        let rows = stored(&sums[at..at + 2], by, range);
        write(out, at * pitch, rows[0]);
        write(out, (at + 1) * pitch, rows[1]);
    }
}

#[inline]
fn write(out: &mut [u8], at: usize, row: u64) {
    out[at..at + 8].copy_from_slice(&row.to_le_bytes());
}

/// Stores what there is of a tile at the end of the rows or of the channels.
#[cold]
#[target_feature(enable = "neon")]
fn store_some(
    sums: &Sums,
    by: [float32x4_t; 2],
    range: &Range,
    out: &mut [u8],
    pitch: usize,
    channels: usize,
) {
    let rows =
        sums.as_chunks().0.iter().flat_map(|two: &[[int32x4_t; 2]; 2]| stored(two, by, range));
    for (row, out) in rows.zip(out.chunks_mut(pitch)) {
        let count = channels.min(SIDE).min(out.len());
        out[..count].copy_from_slice(&row.to_le_bytes()[..count]);
    }
}
