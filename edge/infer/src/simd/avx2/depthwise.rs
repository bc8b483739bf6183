//! Taps times their channels' weights: two taps in one multiplication, 16 channels together.
//!
//! Sums lie as the unpacking instructions leave them: channels 0..4 and 8..12 of a block in one
//! register, the others in a second. Narrowing puts them in order again.

use super::{Range, load_floats, load_sums, load_words, store, store_low};
use crate::depthwise::{Packed, Taps};
use crate::simd::pair;
use alloc::boxed::Box;
use core::arch::x86_64::{
    __m256, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_add_epi32, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cvtepu8_epi16, _mm256_madd_epi16,
    _mm256_permute2x128_si256, _mm256_permute4x64_epi64, _mm256_setzero_si256,
    _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

/// Channels of a block, and of a narrow one.
const BLOCK: usize = 16;
const NARROW: usize = 8;

/// One block's weights for two taps.
pub(crate) type Pair = pair::Pair<BLOCK>;

/// Whether there are channels enough for a block.
pub(crate) fn fits(channels: usize) -> bool {
    channels >= NARROW
}

/// The first channels of the blocks, and their length; the last block may lie over the one
/// before it.
fn blocks(channels: usize) -> impl Iterator<Item = (usize, usize)> {
    let length = if channels < BLOCK { NARROW } else { BLOCK };
    (0..channels).step_by(length).map(move |first| (first.min(channels - length), length))
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
    assert!(packed.isa.has_avx2(), "it is packed for AVX2");
    // SAFETY: `packed.isa` has AVX2: only a machine that has it gives that out.
    unsafe { run_blocks(packed, pairs, taps, out) }
}

/// What a block's channels have beside their weights.
#[derive(Debug, Clone, Copy)]
struct Channels {
    /// The first of them, and how many a pixel has in all.
    first: usize,
    width: usize,
    bias: [__m256i; 2],
    multipliers: [__m256; 2],
    range: Range,
}

#[target_feature(enable = "avx2")]
fn run_blocks(packed: &Packed, pairs: &[Pair], taps: Taps<'_>, out: &mut [u8]) {
    let range = Range::new(&packed.requant);
    let pairs = pairs.chunks_exact(packed.taps.div_ceil(2));
    for ((first, length), pairs) in blocks(packed.channels).zip(pairs) {
        let bias = packed.bias[first..first + length].as_chunks().0;
        let [low, high] = [&bias[0], bias.last().unwrap_or(&bias[0])].map(|b| load_sums(b));
        let bias = in_halves(low, high);
        let multipliers = packed.requant.multipliers[first..first + length].as_chunks().0;
        let multipliers = [&multipliers[0], multipliers.last().unwrap_or(&multipliers[0])];
        let [low, high] = multipliers.map(|m| _mm256_castps_si256(load_floats(m)));
        let multipliers = in_halves(low, high).map(|half| _mm256_castsi256_ps(half));
        let channels = Channels { first, width: packed.channels, bias, multipliers, range };
        let nine: Option<(&[usize; 9], &[Pair; 5])> =
            taps.starts.try_into().ok().zip(pairs.try_into().ok());
        match (nine, length) {
            (Some((starts, pairs)), BLOCK) => nine_taps::<true>(channels, taps, starts, pairs, out),
            (Some((starts, pairs)), _) => nine_taps::<false>(channels, taps, starts, pairs, out),
            (None, BLOCK) => any_taps::<true>(channels, taps, pairs, out),
            (None, _) => any_taps::<false>(channels, taps, pairs, out),
        }
    }
}

/// Eight channels and eight more, as unpacked sums lie.
#[inline]
#[target_feature(enable = "avx2")]
fn in_halves(low: __m256i, high: __m256i) -> [__m256i; 2] {
    [_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high)]
}

/// One block's channels of all pixels, whatever the number of taps.
#[target_feature(enable = "avx2")]
fn any_taps<const WIDE: bool>(channels: Channels, taps: Taps<'_>, pairs: &[Pair], out: &mut [u8]) {
    for pixel in 0..taps.count {
        let bytes = taps.bytes.as_ptr().wrapping_add(pixel * taps.advance + channels.first);
        let mut sums = channels.bias;
        for (starts, pair) in taps.starts.chunks(2).zip(pairs) {
            let mut both = [_mm256_setzero_si256(); 2];
            for (words, start) in both.iter_mut().zip(starts) {
                // SAFETY: `run` saw that all channels of all taps of all pixels lie within the
                // bytes.
                *words = unsafe { words_at::<WIDE>(bytes.wrapping_add(*start)) };
            }
            sums = pair.add(sums, both);
        }
        channels.store::<WIDE>(pixel, sums, out);
    }
}

/// The same for nine taps: a kernel of 3x3.
#[target_feature(enable = "avx2")]
fn nine_taps<const WIDE: bool>(
    channels: Channels,
    taps: Taps<'_>,
    starts: &[usize; 9],
    pairs: &[Pair; 5],
    out: &mut [u8],
) {
    let starts = starts.map(|start| taps.bytes.as_ptr().wrapping_add(start));
    let mut at = channels.first;
    for pixel in 0..taps.count {
        let mut words = [_mm256_setzero_si256(); 10];
        for (words, start) in words.iter_mut().zip(starts) {
            // SAFETY: `run` saw that all channels of all taps of all pixels lie within the
            // bytes.
            *words = unsafe { words_at::<WIDE>(start.wrapping_add(at)) };
        }
        let mut sums = channels.bias;
        for (pair, both) in pairs.iter().zip(words.as_chunks().0) {
            sums = pair.add(sums, *both);
        }
        channels.store::<WIDE>(pixel, sums, out);
        at += taps.advance;
    }
}

impl Pair {
    /// Adds what two taps' words come to.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&self, sums: [__m256i; 2], [a, b]: [__m256i; 2]) -> [__m256i; 2] {
        let low = _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), load_words(&self.0[0]));
        let high = _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), load_words(&self.0[1]));
        [_mm256_add_epi32(sums[0], low), _mm256_add_epi32(sums[1], high)]
    }
}

impl Channels {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn store<const WIDE: bool>(&self, pixel: usize, [low, high]: [__m256i; 2], out: &mut [u8]) {
        let low = self.range.nearest(low, self.multipliers[0]);
        let words = self.range.words(low, self.range.nearest(high, self.multipliers[1]));
        let bytes = self.range.bytes(words, words);
        let length = if WIDE { BLOCK } else { NARROW };
        let out = out[pixel * self.width + self.first..][..length].as_mut_ptr();
        if WIDE {
            let ordered = _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b_10_00>(bytes));
            // SAFETY: what was cut out above holds a block.
            unsafe { store(out, ordered) };
        } else {
            let low = _mm256_castsi256_si128(bytes);
            // SAFETY: as above.
            unsafe { store_low(out, low) };
        }
    }
}

/// A block's values under one tap, as words.
///
/// # Safety
/// As many values as a block has must be readable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn words_at<const WIDE: bool>(values: *const u8) -> __m256i {
    let values = values.cast();
    _mm256_cvtepu8_epi16(if WIDE {
        // SAFETY: as the caller promises.
        unsafe { _mm_loadu_si128(values) }
    } else {
        // SAFETY: as the caller promises.
        unsafe { _mm_loadl_epi64(values) }
    })
}
