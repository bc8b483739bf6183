//! Depthwise weights of two taps, in the order in which x86-64's unpacking instructions leave the
//! taps' values.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// The weights of a block's channels for two taps: of every eight channels the first four in one
/// register, the others in a second; in lines of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Pair<const BLOCK: usize>(pub(super) [[i16; BLOCK]; 2]);

impl<const BLOCK: usize> Pair<BLOCK> {
    /// Packs `[taps, channels]` weights: `[block][pair of taps]`, zeros where there is no channel
    /// or no second tap; of each block the first channel, and how many.
    pub(super) fn pack(
        weights: &[i16],
        channels: usize,
        blocks: impl Iterator<Item = (usize, usize)>,
    ) -> Box<[Self]> {
        let pairs = weights.chunks(channels * 2);
        let mut packed = Vec::with_capacity(blocks.size_hint().0 * pairs.len());
        for (first, count) in blocks {
            let of_block = |taps: &[i16]| {
                Self::new(taps.chunks_exact(channels).map(|tap| &tap[first..][..count]))
            };
            packed.extend(pairs.clone().map(of_block));
        }
        packed.into()
    }

    /// The pair of two taps' weights, or of the last one's.
    fn new<'a>(taps: impl Iterator<Item = &'a [i16]>) -> Self {
        let mut halves = [[0; BLOCK]; 2];
        for (tap, weights) in taps.enumerate() {
            for (channel, weight) in weights.iter().enumerate() {
                let (half, eight) = (channel / 4 % 2, channel / 8);
                halves[half][(eight * 4 + channel % 4) * 2 + tap] = *weight;
            }
        }
        Self(halves)
    }
}
