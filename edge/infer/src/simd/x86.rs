//! What an x86-64 machine has, asked of the processor itself: there is no `std` to ask.

#![expect(unsafe_code, reason = "one question to the processor that only some can answer")]

use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

/// Bits of `xcr0`: registers, or their parts, that the system saves for each thread.
const YMM: u64 = 0b110;
const ZMM: u64 = 0b1110_0000 | YMM;

/// Bits of leaf 1, `ecx`.
const OSXSAVE: u32 = 1 << 27;
/// Bits of leaf 7, `ebx`.
const AVX2: u32 = 1 << 5;
/// AVX-512 F, BW and VL.
const AVX512: u32 = 1 << 16 | 1 << 30 | 1 << 31;
/// Bits of leaf 7, `ecx`.
const VNNI: u32 = 1 << 11;

/// Whether AVX2 is there, and the system lets it be used.
pub(crate) fn has_avx2() -> bool {
    saved() & YMM == YMM && features().0 & AVX2 == AVX2
}

/// Whether AVX-512 F, BW, VL and VNNI are there beside AVX2, and the system lets them be used.
pub(crate) fn has_vnni() -> bool {
    let (ebx, ecx) = features();
    has_avx2() && saved() & ZMM == ZMM && ebx & AVX512 == AVX512 && ecx & VNNI == VNNI
}

/// `ebx` and `ecx` of leaf 7.
fn features() -> (u32, u32) {
    if __cpuid(0).eax < 7 {
        return (0, 0);
    }
    let leaf = __cpuid_count(7, 0);
    (leaf.ebx, leaf.ecx)
}

/// Which registers the system saves.
fn saved() -> u64 {
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return 0;
    }
    // SAFETY: OSXSAVE says that the instruction is there and may be used.
    unsafe { _xgetbv(0) }
}
