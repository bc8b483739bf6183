//! Rows times panels of 16 channels: tiles of eight rows and two panels.

use super::{Range, SUMS, mask, mask16};
use crate::matmul::{Packed, Rows};
use alloc::boxed::Box;
use core::arch::x86_64::{
    __m512, __m512i, _mm_mask_storeu_epi8, _mm512_add_epi32, _mm512_add_epi64,
    _mm512_cvtepi32_epi8, _mm512_dpbusd_epi32, _mm512_load_si512, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_maskz_loadu_epi8, _mm512_reduce_add_epi64, _mm512_sad_epu8,
    _mm512_set1_epi32, _mm512_setzero_si512,
};

/// Channels of a panel.
pub(crate) const PANEL: usize = SUMS;
/// Values of a row that are taken together.
pub(crate) const GROUP: usize = 4;
/// Rows of a tile.
pub(crate) const TILE: usize = 8;

/// A panel's weights for one group, in a line of the cache: a load that lies over two is two
/// loads.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Line([i8; PANEL * GROUP]);

/// Puts packed weights into lines.
pub(crate) fn lines(weights: &[i8]) -> Box<[Line]> {
    weights.as_chunks().0.iter().copied().map(Line).collect()
}

/// Memory for what the sum of each row adds to its channels.
pub(crate) fn scratch_bytes(count: usize) -> usize {
    count * size_of::<i32>()
}

/// Multiplies rows; `out` is `[count, channels]`.
pub(crate) fn multiply(
    packed: &Packed,
    lines: &[Line],
    rows: Rows<'_>,
    scratch: &mut [u8],
    out: &mut [u8],
) {
    let Some(last) = rows.count.checked_sub(1) else { return };
    assert!(last * rows.stride + packed.row_bytes() <= rows.bytes.len(), "rows are whole");
    assert!(rows.count * packed.channels <= out.len(), "there is room for the result");
    assert!(packed.isa.has_vnni(), "it is packed for VNNI");
    // SAFETY: `packed.isa` has VNNI: only a machine that has it gives that out.
    unsafe { block(packed, lines, rows, scratch.as_chunks_mut().0, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn block(packed: &Packed, lines: &[Line], rows: Rows<'_>, own: &mut [[u8; 4]], out: &mut [u8]) {
    for (row, own) in (0..rows.count).zip(&mut *own) {
        let values = &rows.bytes[row * rows.stride..][..packed.row_bytes()];
        *own = packed.correction.wrapping_mul(sum(values)).to_le_bytes();
    }
    let tiles = Tiles { packed, lines, rows, own, range: Range::new(&packed.requant) };
    let panels = packed.channels.div_ceil(PANEL);
    for panel in (0..panels).step_by(2) {
        if panel + 1 < panels {
            tiles.panels::<2>(panel, out);
        } else {
            tiles.panels::<1>(panel, out);
        }
    }
}

/// The sum of a row's values.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sum(row: &[u8]) -> i32 {
    let mut sums = _mm512_setzero_si512();
    for values in row.chunks(64) {
        let mask = mask(values.len());
        // SAFETY: nothing beyond the values is read.
        let values = unsafe { _mm512_maskz_loadu_epi8(mask, values.as_ptr().cast()) };
        sums = _mm512_add_epi64(sums, _mm512_sad_epu8(values, _mm512_setzero_si512()));
    }
    let [a, b, c, d, ..] = _mm512_reduce_add_epi64(sums).to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

#[derive(Debug, Clone, Copy)]
struct Tiles<'a> {
    packed: &'a Packed,
    lines: &'a [Line],
    rows: Rows<'a>,
    /// What the sum of each row adds to its channels.
    own: &'a [[u8; 4]],
    range: Range,
}

impl Tiles<'_> {
    /// All rows of some panels.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn panels<const PANELS: usize>(&self, first: usize, out: &mut [u8]) {
        if self.rows.count < TILE {
            for row in 0..self.rows.count {
                self.tile::<1, PANELS>(row, first, out);
            }
        } else {
            for row in (0..self.rows.count).step_by(TILE) {
                // The last tile may lie over the one before it.
                self.tile::<TILE, PANELS>(row.min(self.rows.count - TILE), first, out);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn tile<const ROWS: usize, const PANELS: usize>(
        &self,
        row: usize,
        panel: usize,
        out: &mut [u8],
    ) {
        let sums = self.sums::<ROWS, PANELS>(row, panel);
        let channels = self.packed.channels;
        for at in 0..PANELS {
            let first = (panel + at) * PANEL;
            let Some(multipliers) = self.packed.requant.multipliers[first..].first_chunk() else {
                return;
            };
            let (multipliers, used) = (load_floats(multipliers), (channels - first).min(PANEL));
            for (row, sums) in (row..).zip(&sums) {
                let stored = self.range.stored(sums[at], multipliers);
                let out = &mut out[row * channels + first..][..used];
                let (mask, stored) = (mask16(used), _mm512_cvtepi32_epi8(stored));
                // SAFETY: what was cut out above is all that is written.
                unsafe { _mm_mask_storeu_epi8(out.as_mut_ptr().cast(), mask, stored) };
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn sums<const ROWS: usize, const PANELS: usize>(
        &self,
        row: usize,
        panel: usize,
    ) -> [[__m512i; PANELS]; ROWS] {
        let Packed { bias, groups, .. } = self.packed;
        let mut sums = [[_mm512_setzero_si512(); PANELS]; ROWS];
        let mut weights = [&self.lines[..0]; PANELS];
        for at in 0..PANELS {
            let Some(bias) = bias[(panel + at) * PANEL..].first_chunk() else { return sums };
            weights[at] = &self.lines[(panel + at) * groups..][..*groups];
            for (sums, own) in sums.iter_mut().zip(&self.own[row..]) {
                let own = _mm512_set1_epi32(i32::from_le_bytes(*own));
                sums[at] = _mm512_add_epi32(load_sums(bias), own);
            }
        }
        let mut rows = [self.rows.bytes.as_ptr().wrapping_add(row * self.rows.stride); ROWS];
        for at in 1..ROWS {
            rows[at] = rows[at - 1].wrapping_add(self.rows.stride);
        }
        for group in 0..*groups {
            let mut lines = [_mm512_setzero_si512(); PANELS];
            for (line, weights) in lines.iter_mut().zip(weights) {
                *line = load(&weights[group]);
            }
            for (sums, row) in sums.iter_mut().zip(rows) {
                // SAFETY: a row has so many groups, as `multiply` saw.
                let values = unsafe { quad(row.wrapping_add(group * GROUP)) };
                for (sum, line) in sums.iter_mut().zip(lines) {
                    *sum = _mm512_dpbusd_epi32(*sum, values, line);
                }
            }
        }
        sums
    }
}

/// Four values, again and again.
///
/// # Safety
/// They must be readable.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn quad(values: *const u8) -> __m512i {
    // SAFETY: as the caller promises.
    _mm512_set1_epi32(i32::from_le_bytes(unsafe { values.cast::<[u8; GROUP]>().read() }))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> __m512i {
    // SAFETY: the line is readable, and lies as the instruction asks for.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_sums(values: &[i32; SUMS]) -> __m512i {
    // SAFETY: the array is readable, and the instruction asks for no alignment.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_floats(values: &[f32; SUMS]) -> __m512 {
    // SAFETY: the array is readable, and the instruction asks for no alignment.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}
