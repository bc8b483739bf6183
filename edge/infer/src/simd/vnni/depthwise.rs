//! Taps times their channels' weights: two taps in one multiplication, 32 channels together.
//!
//! Sums lie as the unpacking instructions leave them: the first four channels of every eight in
//! one register, the others in a second. Narrowing puts them in order again.

use super::{Range, SUMS, mask16, mask32};
use crate::depthwise::{Packed, Taps};
use crate::simd::pair;
use alloc::boxed::Box;
use core::arch::x86_64::{
    __m512, __m512i, _mm256_loadu_si256, _mm256_mask_storeu_epi8, _mm256_maskz_loadu_epi8,
    _mm512_cvtepi16_epi8, _mm512_cvtepu8_epi16, _mm512_dpwssd_epi32, _mm512_load_si512,
    _mm512_maskz_loadu_epi32, _mm512_maskz_loadu_ps, _mm512_packs_epi32, _mm512_permutex2var_epi32,
    _mm512_permutex2var_ps, _mm512_setr_epi32, _mm512_setzero_si512, _mm512_unpackhi_epi16,
    _mm512_unpacklo_epi16,
};

/// Channels of a block.
const BLOCK: usize = 32;

/// One block's weights for two taps.
pub(crate) type Pair = pair::Pair<BLOCK>;

/// The first channels of the blocks, and how many are in use.
fn blocks(channels: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..channels).step_by(BLOCK).map(move |first| (first, (channels - first).min(BLOCK)))
}

/// Packs `[taps, channels]` weights.
pub(crate) fn pack(weights: &[i16], channels: usize) -> Box<[Pair]> {
    Pair::pack(weights, channels, blocks(channels))
}

/// Computes `out`, `[count, channels]`.
pub(crate) fn run(packed: &Packed, pairs: &[Pair], taps: Taps<'_>, out: &mut [u8]) {
    let Some(last) = taps.count.checked_sub(1) else { return };
    let reach = taps.starts.iter().max().map_or(0, |start| start + packed.channels);
    assert!(last * taps.advance + reach <= taps.bytes.len(), "taps are whole");
    assert!(taps.count * packed.channels <= out.len(), "there is room for the result");
    assert!(packed.isa.has_vnni(), "it is packed for VNNI");
    // SAFETY: `packed.isa` has VNNI: only a machine that has it gives that out.
    unsafe { run_blocks(packed, pairs, taps, out) }
}

/// What a block's channels have beside their weights.
#[derive(Debug, Clone, Copy)]
struct Channels {
    /// The first of them, how many are in use, and how many a pixel has in all.
    first: usize,
    used: usize,
    width: usize,
    bias: [__m512i; 2],
    multipliers: [__m512; 2],
    range: Range,
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn run_blocks(packed: &Packed, pairs: &[Pair], taps: Taps<'_>, out: &mut [u8]) {
    let range = Range::new(&packed.requant);
    let pairs = pairs.chunks_exact(packed.taps.div_ceil(2));
    for ((first, used), pairs) in blocks(packed.channels).zip(pairs) {
        let bias = sums_in_halves(&packed.bias[first..first + used]);
        let multipliers = floats_in_halves(&packed.requant.multipliers[first..first + used]);
        let channels = Channels { first, used, width: packed.channels, bias, multipliers, range };
        let nine: Option<(&[usize; 9], &[Pair; 5])> =
            taps.starts.try_into().ok().zip(pairs.try_into().ok());
        match (nine, used) {
            (Some((starts, pairs)), BLOCK) => {
                nine_taps::<true>(&channels, taps, starts, pairs, out);
            }
            (Some((starts, pairs)), _) => nine_taps::<false>(&channels, taps, starts, pairs, out),
            (None, _) => any_taps(&channels, taps, pairs, out),
        }
    }
}

/// One block's channels of all pixels, whatever the number of taps.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn any_taps(channels: &Channels, taps: Taps<'_>, pairs: &[Pair], out: &mut [u8]) {
    for pixel in 0..taps.count {
        let bytes = taps.bytes.as_ptr().wrapping_add(pixel * taps.advance + channels.first);
        let mut sums = channels.bias;
        for (starts, pair) in taps.starts.chunks(2).zip(pairs) {
            let mut both = [_mm512_setzero_si512(); 2];
            for (words, start) in both.iter_mut().zip(starts) {
                // SAFETY: `run` saw that all channels of all taps of all pixels lie within the
                // bytes.
                *words = unsafe { channels.words::<false>(bytes.wrapping_add(*start)) };
            }
            sums = pair.add(sums, both);
        }
        channels.store(pixel, sums, out);
    }
}

/// The same for nine taps: a kernel of 3x3.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn nine_taps<const WHOLE: bool>(
    channels: &Channels,
    taps: Taps<'_>,
    starts: &[usize; 9],
    pairs: &[Pair; 5],
    out: &mut [u8],
) {
    let starts = starts.map(|start| taps.bytes.as_ptr().wrapping_add(start));
    let mut at = channels.first;
    for pixel in 0..taps.count {
        let mut words = [_mm512_setzero_si512(); 10];
        for (words, start) in words.iter_mut().zip(starts) {
            // SAFETY: `run` saw that all channels of all taps of all pixels lie within the
            // bytes.
            *words = unsafe { channels.words::<WHOLE>(start.wrapping_add(at)) };
        }
        let mut sums = channels.bias;
        for (pair, both) in pairs.iter().zip(words.as_chunks().0) {
            sums = pair.add(sums, *both);
        }
        channels.store(pixel, sums, out);
        at += taps.advance;
    }
}

impl Pair {
    /// Adds what two taps' words come to.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn add(&self, [low, high]: [__m512i; 2], [a, b]: [__m512i; 2]) -> [__m512i; 2] {
        [
            _mm512_dpwssd_epi32(low, _mm512_unpacklo_epi16(a, b), load(&self.0[0])),
            _mm512_dpwssd_epi32(high, _mm512_unpackhi_epi16(a, b), load(&self.0[1])),
        ]
    }
}

impl Channels {
    /// The channels' values under one tap, as words; `WHOLE` where a block's are all in use.
    ///
    /// # Safety
    /// The values of all channels that are in use must be readable.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn words<const WHOLE: bool>(&self, values: *const u8) -> __m512i {
        _mm512_cvtepu8_epi16(if WHOLE {
            // SAFETY: as the caller promises.
            unsafe { _mm256_loadu_si256(values.cast()) }
        } else {
            // SAFETY: as the caller promises.
            unsafe { _mm256_maskz_loadu_epi8(mask32(self.used), values.cast()) }
        })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn store(&self, pixel: usize, [low, high]: [__m512i; 2], out: &mut [u8]) {
        let low = self.range.stored(low, self.multipliers[0]);
        let high = self.range.stored(high, self.multipliers[1]);
        let stored = _mm512_cvtepi16_epi8(_mm512_packs_epi32(low, high));
        let out = &mut out[pixel * self.width + self.first..][..self.used];
        // SAFETY: what was cut out above is all that is written.
        unsafe { _mm256_mask_storeu_epi8(out.as_mut_ptr().cast(), mask32(self.used), stored) };
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[i16; BLOCK]) -> __m512i {
    // SAFETY: the words are readable, and lie in a `Pair` as the instruction asks for.
    unsafe { _mm512_load_si512(words.as_ptr().cast()) }
}

/// Which of 32 channels stand in each of two registers, as unpacked sums lie.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves() -> [__m512i; 2] {
    [
        _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),
        _mm512_setr_epi32(4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31),
    ]
}

/// Up to 32 values, as unpacked sums lie.
#[inline]
#[target_feature(enable = "avx512f")]
fn sums_in_halves(values: &[i32]) -> [__m512i; 2] {
    let (low, high) = values.split_at(values.len().min(SUMS));
    // SAFETY: what the mask lets through is readable.
    let low = unsafe { _mm512_maskz_loadu_epi32(mask16(low.len()), low.as_ptr()) };
    // SAFETY: as above.
    let high = unsafe { _mm512_maskz_loadu_epi32(mask16(high.len()), high.as_ptr()) };
    halves().map(|half| _mm512_permutex2var_epi32(low, half, high))
}

/// The same of other values.
#[inline]
#[target_feature(enable = "avx512f")]
fn floats_in_halves(values: &[f32]) -> [__m512; 2] {
    let (low, high) = values.split_at(values.len().min(SUMS));
    // SAFETY: what the mask lets through is readable.
    let low = unsafe { _mm512_maskz_loadu_ps(mask16(low.len()), low.as_ptr()) };
    // SAFETY: as above.
    let high = unsafe { _mm512_maskz_loadu_ps(mask16(high.len()), high.as_ptr()) };
    halves().map(|half| _mm512_permutex2var_ps(low, half, high))
}
