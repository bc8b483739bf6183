//! Where tensors lie: those that live at different times share memory.

use alloc::vec::Vec;
use core::ops::Range;

/// One tensor's wish for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Length, bytes.
    pub(crate) bytes: usize,
    /// The first and the last step during which it must stay as it is.
    pub(crate) alive: [usize; 2],
}

impl Wish {
    fn meets(&self, other: &Self) -> bool {
        self.alive[0] <= other.alive[1] && other.alive[0] <= self.alive[1]
    }
}

/// Places begin at multiples of this, bytes: a cache line.
const ALIGN: usize = 64;

/// A place for each wish, largest first, each at the lowest free offset; and the whole length.
///
/// Places of tensors that are alive at the same time never overlap.
pub(crate) fn place(wishes: &[Wish]) -> (Vec<Range<usize>>, usize) {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by_key(|at| core::cmp::Reverse(wishes[*at].bytes));
    let mut places: Vec<Range<usize>> = alloc::vec![0..0; wishes.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(wishes.len());
    let mut whole = 0;
    for at in order {
        let wish = &wishes[at];
        if wish.bytes == 0 {
            // The smallest come last, so no others follow.
            break;
        }
        let mut taken: Vec<Range<usize>> = placed
            .iter()
            .filter(|other| wishes[**other].meets(wish))
            .map(|other| places[*other].clone())
            .collect();
        taken.sort_by_key(|range| range.start);
        let mut start = 0;
        for range in taken {
            if start + wish.bytes <= range.start {
                break;
            }
            start = start.max(range.end.next_multiple_of(ALIGN));
        }
        places[at] = start..start + wish.bytes;
        whole = whole.max(places[at].end);
        placed.push(at);
    }
    (places, whole)
}

/// An arena cut up for one step: what it writes, what it works in, and the rest to read.
pub(crate) struct Cut<'a> {
    pub(crate) output: &'a mut [u8],
    pub(crate) scratch: &'a mut [u8],
    pub(crate) rest: Rest<'a>,
}

/// What is left of an arena: pieces, each with where it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest<'a>([(usize, &'a [u8]); 3]);

impl<'a> Cut<'a> {
    /// Cuts out two ranges that do not overlap.
    pub(crate) fn new(arena: &'a mut [u8], output: &Range<usize>, scratch: &Range<usize>) -> Self {
        // An empty range may lie within the other; it is moved out of the way.
        let scratch = if scratch.is_empty() { &(output.end..output.end) } else { scratch };
        let output_first = output.start < scratch.start;
        let (low, high) = if output_first { (output, scratch) } else { (scratch, output) };
        let (before, from_low) = arena.split_at_mut(low.start);
        let (first, behind_low) = from_low.split_at_mut(low.len());
        let (between, from_high) = behind_low.split_at_mut(high.start - low.end);
        let (second, behind) = from_high.split_at_mut(high.len());
        let rest = Rest([(0, before), (low.end, between), (high.end, behind)]);
        let (output, scratch) = if output_first { (first, second) } else { (second, first) };
        Self { output, scratch, rest }
    }
}

impl<'a> Rest<'a> {
    /// The bytes of a range that overlaps neither of those cut out.
    pub(crate) fn read(&self, range: &Range<usize>) -> &'a [u8] {
        let inside = |(start, bytes): &(usize, &[u8])| {
            *start <= range.start && range.end <= start + bytes.len()
        };
        let piece = self.0.into_iter().find(inside);
        piece.map_or(&[], |(start, bytes)| &bytes[range.start - start..range.end - start])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;

    #[test]
    fn tensors_in_a_row_take_turns() {
        let chain: Vec<Wish> = [100, 320, 200, 50]
            .into_iter()
            .enumerate()
            .map(|(step, bytes)| Wish { bytes, alive: [step, step + 1] })
            .collect();
        let (places, whole) = place(&chain);
        assert_eq!(whole, 320 + 200, "the two largest neighbours, {places:?}");
    }

    #[test]
    fn the_living_never_overlap() {
        let mut random = Random(7);
        for _ in 0..300 {
            let wishes: Vec<Wish> = (0..=random.below(20))
                .map(|_| {
                    let first = random.below(12);
                    let alive = [first, first + random.below(6)];
                    Wish { bytes: 1 + random.below(90), alive }
                })
                .collect();
            let (places, whole) = place(&wishes);
            for (a, wish) in wishes.iter().enumerate() {
                assert_eq!(places[a].len(), wish.bytes);
                assert!(places[a].end <= whole);
                for b in 0..a {
                    let apart =
                        places[a].end <= places[b].start || places[b].end <= places[a].start;
                    assert!(apart || !wish.meets(&wishes[b]), "{wishes:?} {places:?}");
                }
            }
        }
    }

    #[test]
    fn a_step_reads_all_but_what_it_writes() {
        let mut bytes = [0, 1, 2, 3, 4, 5, 6];
        for (write, work) in [(1..3, 5..6), (5..6, 1..3), (1..3, 3..3), (1..3, 0..0)] {
            let Cut { output, scratch, rest } = Cut::new(&mut bytes, &write, &work);
            assert_eq!((output.len(), scratch.len()), (write.len(), work.len()));
            assert_eq!(usize::from(output[0]), write.start);
            assert_eq!(rest.read(&(3..5)), &[3, 4]);
            assert_eq!(rest.read(&(6..7)), &[6]);
        }
    }
}
