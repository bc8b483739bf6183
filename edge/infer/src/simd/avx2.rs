//! AVX2: 256 bits, and instructions that multiply bytes or words and add pairs.
#![expect(
    unsafe_code,
    reason = "loads and stores of registers, and calls of code for a processor that is there"
)]

mod chains;
pub(crate) mod depthwise;
pub(crate) mod matmul;

pub(crate) use chains::Chains;

use crate::requant::Requant;
use core::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_castsi128_pd, _mm_storeh_pd, _mm_storel_epi64, _mm_storeu_si128,
    _mm256_adds_epi16, _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_max_epu8, _mm256_min_ps, _mm256_mul_ps, _mm256_packs_epi32, _mm256_packus_epi16,
    _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_ps,
};

/// Sums of a register.
const SUMS: usize = 8;

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[i8; 32]) -> __m256i {
    // SAFETY: the array is readable, and the instruction asks for no alignment.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_words(values: &[i16; 16]) -> __m256i {
    // SAFETY: the array is readable, and the instruction asks for no alignment.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_sums(values: &[i32; SUMS]) -> __m256i {
    // SAFETY: the array is readable, and the instruction asks for no alignment.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_floats(values: &[f32; SUMS]) -> __m256 {
    // SAFETY: the array is readable, and the instruction asks for no alignment.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

/// Stores 16 bytes.
///
/// # Safety
/// They must be writable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(out: *mut u8, bytes: __m128i) {
    // SAFETY: as the caller promises; the instruction asks for no alignment.
    unsafe { _mm_storeu_si128(out.cast(), bytes) }
}

/// Stores the lower eight bytes.
///
/// # Safety
/// Eight bytes must be writable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_low(out: *mut u8, bytes: __m128i) {
    // SAFETY: as the caller promises; the instruction asks for no alignment.
    unsafe { _mm_storel_epi64(out.cast(), bytes) }
}

/// Stores the upper eight bytes.
///
/// # Safety
/// Eight bytes must be writable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_high(out: *mut u8, bytes: __m128i) {
    let bytes = _mm_castsi128_pd(bytes);
    // SAFETY: as the caller promises; the instruction asks for no alignment.
    unsafe { _mm_storeh_pd(out.cast(), bytes) }
}

/// What all channels share of [`Requant`].
#[derive(Debug, Clone, Copy)]
struct Range {
    zero_point: __m256i,
    /// The lowest stored value.
    low: __m256i,
    /// The highest, zero point taken off.
    high: __m256,
}

impl Range {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(requant: &Requant) -> Self {
        let zero_point = i16::try_from(requant.zero_point).unwrap_or_default();
        Self {
            zero_point: _mm256_set1_epi16(zero_point),
            low: _mm256_set1_epi8(requant.stored(f32::MIN).cast_signed()),
            high: _mm256_set1_ps(requant.high),
        }
    }

    /// The integer nearest to each sum times its multiplier, halves to even; what is too low
    /// is caught by the narrowing that follows.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn nearest(self, sums: __m256i, multipliers: __m256) -> __m256i {
        let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), multipliers);
        _mm256_cvtps_epi32(_mm256_min_ps(value, self.high))
    }

    /// Words with the zero point: four of `a` and four of `b`, then the other four of each.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn words(self, a: __m256i, b: __m256i) -> __m256i {
        _mm256_adds_epi16(_mm256_packs_epi32(a, b), self.zero_point)
    }

    /// Stored values: eight of `a` and eight of `b`, then the other eight of each.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn bytes(self, a: __m256i, b: __m256i) -> __m256i {
        _mm256_max_epu8(_mm256_packus_epi16(a, b), self.low)
    }
}
