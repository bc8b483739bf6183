//! AVX-512 with VNNI: 512 bits, and instructions that multiply bytes or words, add the products
//! of four or two, and add that to a sum. None of it saturates.
//!
//! Masks take the place of tails: what is masked out is neither read nor written.
#![expect(
    unsafe_code,
    reason = "loads and stores of registers, and calls of code for a processor that is there"
)]

pub(crate) mod depthwise;
pub(crate) mod matmul;

use crate::requant::Requant;
use core::arch::x86_64::{
    __m512, __m512i, _mm512_add_epi32, _mm512_cvtepi32_ps, _mm512_cvtps_epi32, _mm512_max_ps,
    _mm512_min_ps, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps,
};

/// Sums of a register.
const SUMS: usize = 16;

/// The lowest `count` bits, of up to 64.
const fn mask(count: usize) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
}

/// The same of up to 16.
const fn mask16(count: usize) -> u16 {
    if count < 16 { (1 << count) - 1 } else { u16::MAX }
}

/// The same of up to 32.
const fn mask32(count: usize) -> u32 {
    if count < 32 { (1 << count) - 1 } else { u32::MAX }
}

/// What all channels share of [`Requant`].
#[derive(Debug, Clone, Copy)]
struct Range {
    zero_point: __m512i,
    low: __m512,
    high: __m512,
}

impl Range {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(requant: &Requant) -> Self {
        Self {
            zero_point: _mm512_set1_epi32(requant.zero_point),
            low: _mm512_set1_ps(requant.low),
            high: _mm512_set1_ps(requant.high),
        }
    }

    /// The stored value of each sum, still 32 bits wide; the conversion rounds half to even.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn stored(self, sums: __m512i, multipliers: __m512) -> __m512i {
        let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), multipliers);
        let value = _mm512_min_ps(_mm512_max_ps(value, self.low), self.high);
        _mm512_add_epi32(_mm512_cvtps_epi32(value), self.zero_point)
    }
}
