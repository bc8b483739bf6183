//! Rows times chains of weights: tiles of six rows and eight channels.

use super::chains::{Chains, GROUP, PANEL, Panel};
use super::{Range, load, load_floats, load_sums, store_high, store_low};
use crate::matmul::{Packed, Rows};
use core::arch::x86_64::{
    __m256, __m256i, _mm_unpackhi_epi32, _mm_unpacklo_epi32, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256,
};

/// Rows of a tile: their sums, a chain's weights and what is under way fill the registers.
pub(crate) const TILE: usize = 6;

/// Multiplies rows; `out` is `[count, channels]`.
pub(crate) fn multiply(packed: &Packed, chains: &Chains, rows: Rows<'_>, out: &mut [u8]) {
    let Some(last) = rows.count.checked_sub(1) else { return };
    assert!(last * rows.stride + chains.reach() <= rows.bytes.len(), "rows are whole");
    assert!(rows.count * packed.channels <= out.len(), "there is room for the result");
    assert!(packed.isa.has_avx2(), "it is packed for AVX2");
    // SAFETY: `packed.isa` has AVX2: only a machine that has it gives that out.
    unsafe { of_length(packed, chains, rows, out) }
}

#[target_feature(enable = "avx2")]
fn of_length(packed: &Packed, chains: &Chains, rows: Rows<'_>, out: &mut [u8]) {
    match chains.length() {
        1 => block::<1>(packed, chains, rows, out),
        2 => block::<2>(packed, chains, rows, out),
        _ => block::<4>(packed, chains, rows, out),
    }
}

/// A panel's channels.
#[derive(Debug, Clone, Copy)]
struct Channels<'a> {
    panel: Panel<'a>,
    bias: __m256i,
    multipliers: __m256,
    range: Range,
    /// Where they lie in a row of the result, and how many of them are in use.
    first: usize,
    used: usize,
}

#[target_feature(enable = "avx2")]
fn block<const LENGTH: usize>(packed: &Packed, chains: &Chains, rows: Rows<'_>, out: &mut [u8]) {
    let range = Range::new(&packed.requant);
    let bias = packed.bias.as_chunks::<PANEL>().0.iter();
    let factors = bias.zip(packed.requant.multipliers.as_chunks::<PANEL>().0);
    let panels = (0..packed.channels).step_by(PANEL).zip(chains.panels().zip(factors));
    for (first, (panel, (bias, multipliers))) in panels {
        let used = (packed.channels - first).min(PANEL);
        let (bias, multipliers) = (load_sums(bias), load_floats(multipliers));
        let channels = Channels { panel, bias, multipliers, range, first, used };
        if rows.count < TILE {
            for row in 0..rows.count {
                tile::<LENGTH, 1>(channels, rows, row, packed.channels, out);
            }
        } else {
            for row in (0..rows.count).step_by(TILE) {
                // The last tile may lie over the one before it.
                let row = row.min(rows.count - TILE);
                tile::<LENGTH, TILE>(channels, rows, row, packed.channels, out);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn tile<const LENGTH: usize, const COUNT: usize>(
    channels: Channels<'_>,
    rows: Rows<'_>,
    first: usize,
    width: usize,
    out: &mut [u8],
) {
    let mut starts = [rows.bytes.as_ptr().wrapping_add(first * rows.stride); COUNT];
    for at in 1..COUNT {
        starts[at] = starts[at - 1].wrapping_add(rows.stride);
    }
    let sums = sums::<LENGTH, _>(channels, starts);
    let out = &mut out[first * width + channels.first..];
    if channels.used == PANEL {
        channels.store(sums, width, out);
    } else {
        let mut all = [[0; PANEL]; COUNT];
        channels.store(sums, PANEL, all.as_flattened_mut());
        for (all, out) in all.iter().zip(out.chunks_mut(width)) {
            out[..channels.used].copy_from_slice(&all[..channels.used]);
        }
    }
}

impl Channels<'_> {
    /// Stores rows that are `width` apart.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn store<const COUNT: usize>(&self, sums: [__m256i; COUNT], width: usize, out: &mut [u8]) {
        let mut out = out[..(COUNT - 1) * width + PANEL].as_mut_ptr();
        for sums in sums.chunks(4) {
            let of = |at: usize| self.range.nearest(sums[at.min(sums.len() - 1)], self.multipliers);
            let ab = self.range.words(of(0), of(1));
            let cd = if sums.len() > 2 { self.range.words(of(2), of(3)) } else { ab };
            let all = self.range.bytes(ab, cd);
            let (low, high) = (_mm256_castsi256_si128(all), _mm256_extracti128_si256::<1>(all));
            let (ab, cd) = (_mm_unpacklo_epi32(low, high), _mm_unpackhi_epi32(low, high));
            for at in 0..sums.len() {
                let pair = if at < 2 { ab } else { cd };
                if at % 2 == 0 {
                    // SAFETY: what was cut out above holds eight bytes of each row.
                    unsafe { store_low(out, pair) };
                } else {
                    // SAFETY: as above.
                    unsafe { store_high(out, pair) };
                }
                out = out.wrapping_add(width);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sums<const LENGTH: usize, const COUNT: usize>(
    channels: Channels<'_>,
    rows: [*const u8; COUNT],
) -> [__m256i; COUNT] {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [channels.bias; COUNT];
    let chains = channels.panel.weights.as_chunks::<LENGTH>().0.iter();
    for (stored, places) in chains.zip(channels.panel.places.as_chunks::<LENGTH>().0) {
        let mut weights = [_mm256_setzero_si256(); LENGTH];
        for (weights, stored) in weights.iter_mut().zip(stored) {
            *weights = load(&stored.0);
        }
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: places lie within the reach of `Chains`; `multiply` saw that rows do.
            let quads = unsafe { quads(row, places) };
            let mut chain = _mm256_maddubs_epi16(quads[0], weights[0]);
            for at in 1..LENGTH {
                chain = _mm256_add_epi16(chain, _mm256_maddubs_epi16(quads[at], weights[at]));
            }
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(chain, ones));
        }
    }
    sums
}

/// At each place four values of a row, again and again.
///
/// # Safety
/// The row must be four bytes longer than each place.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn quads<const LENGTH: usize>(row: *const u8, places: &[u32; LENGTH]) -> [__m256i; LENGTH] {
    let mut quads = [_mm256_setzero_si256(); LENGTH];
    for (quad, place) in quads.iter_mut().zip(places) {
        let values = row.wrapping_add(*place as usize).cast::<[u8; GROUP]>();
        // SAFETY: as the caller promises.
        *quad = _mm256_set1_epi32(i32::from_le_bytes(unsafe { values.read() }));
    }
    quads
}
