//! NEON as every aarch64 core has it: loads, stores, and sums that become bytes.
#![expect(unsafe_code, reason = "loads and stores through pointers, and written instructions")]

pub(crate) mod depthwise;
pub(crate) mod matmul;

use crate::requant::Requant;
use core::arch::aarch64::{
    float32x4_t, int8x16_t, int16x8_t, int32x4_t, uint8x8_t, uint8x16_t, vcombine_s16, vcombine_u8,
    vcvtnq_s32_f32, vcvtq_f32_s32, vdupq_n_s16, vdupq_n_u8, vget_low_u8, vld1_u8, vld1q_f32,
    vld1q_s8, vld1q_s16, vld1q_s32, vld1q_u8, vmax_u8, vmaxq_u8, vmin_u8, vminq_u8, vmulq_f32,
    vqaddq_s16, vqmovn_s32, vqmovun_s16, vst1_u8, vst1q_u8,
};
use core::arch::asm;

/// Whether this machine has NEON, with the order of bytes that the kernels are written for.
pub(crate) const fn is_there() -> bool {
    cfg!(all(target_feature = "neon", target_endian = "little"))
}

/// What a sum goes through once it is multiplied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    zero_point: int16x8_t,
    low: uint8x16_t,
    high: uint8x16_t,
}

impl Range {
    #[target_feature(enable = "neon")]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the zero point is a u8's, and so are both ends with it added"
    )]
    pub(super) fn new(requant: &Requant) -> Self {
        let stored = |value: f32| (value as i32 + requant.zero_point) as u8;
        Self {
            zero_point: vdupq_n_s16(requant.zero_point as i16),
            low: vdupq_n_u8(stored(requant.low)),
            high: vdupq_n_u8(stored(requant.high)),
        }
    }

    /// Multiplied sums as stored bytes.
    ///
    /// Rounded before they are clamped, as scalar's are not: both ends are integers and every
    /// narrowing saturates, so the order makes no difference.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn stored(&self, scaled: [float32x4_t; 4]) -> uint8x16_t {
        let [a, b, c, d] = scaled;
        let stored = vcombine_u8(self.narrowed(a, b), self.narrowed(c, d));
        vminq_u8(vmaxq_u8(stored, self.low), self.high)
    }

    /// The same of half as many.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn stored_half(&self, [a, b]: [float32x4_t; 2]) -> uint8x8_t {
        let (low, high) = (vget_low_u8(self.low), vget_low_u8(self.high));
        vmin_u8(vmax_u8(self.narrowed(a, b), low), high)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn narrowed(&self, low: float32x4_t, high: float32x4_t) -> uint8x8_t {
        let (low, high) = (vcvtnq_s32_f32(low), vcvtnq_s32_f32(high));
        let both = vcombine_s16(vqmovn_s32(low), vqmovn_s32(high));
        vqmovun_s16(vqaddq_s16(both, self.zero_point))
    }
}

/// Sums times their multipliers.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn scaled(sums: int32x4_t, multipliers: float32x4_t) -> float32x4_t {
    vmulq_f32(vcvtq_f32_s32(sums), multipliers)
}

macro_rules! loads {
    ($($name:ident: $load:ident([$element:ty; $count:literal]) -> $vector:ty;)*) => {$(
        #[inline]
        #[target_feature(enable = "neon")]
        pub(super) fn $name(from: &[$element; $count]) -> $vector {
            // SAFETY: the array is exactly what the vector holds, and needs no alignment.
            unsafe { $load(from.as_ptr()) }
        }
    )*};
}

loads! {
    load_u8: vld1q_u8([u8; 16]) -> uint8x16_t;
    load_half_u8: vld1_u8([u8; 8]) -> uint8x8_t;
    load_i8: vld1q_s8([i8; 16]) -> int8x16_t;
    load_i16: vld1q_s16([i16; 8]) -> int16x8_t;
    load_i32: vld1q_s32([i32; 4]) -> int32x4_t;
    load_f32: vld1q_f32([f32; 4]) -> float32x4_t;
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn store_u8(values: uint8x16_t, to: &mut [u8; 16]) {
    // SAFETY: the array is exactly what the vector holds, and needs no alignment.
    unsafe { vst1q_u8(to.as_mut_ptr(), values) }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn store_half_u8(values: uint8x8_t, to: &mut [u8; 8]) {
    // SAFETY: the array is exactly what the vector holds, and needs no alignment.
    unsafe { vst1_u8(to.as_mut_ptr(), values) }
}

macro_rules! multiplies {
    ($($name:ident, $instruction:literal;)*) => {$(
        /// Adds products of 16-bit values.
        ///
        /// Written out: the compiler takes the intrinsic apart, widens the weights ahead of
        /// the loop, and needs twice the instructions within.
        #[inline]
        #[target_feature(enable = "neon")]
        pub(super) fn $name(mut sum: int32x4_t, a: int16x8_t, b: int16x8_t) -> int32x4_t {
            // SAFETY: one instruction of NEON, which reads and writes these registers alone.
            unsafe {
                asm!(
                    $instruction,
                    inout(vreg) sum,
                    in(vreg) a,
                    in(vreg) b,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            sum
        }
    )*};
}

multiplies! {
    multiply_low, "smlal {0:v}.4s, {1:v}.4h, {2:v}.4h";
    multiply_high, "smlal2 {0:v}.4s, {1:v}.8h, {2:v}.8h";
}
