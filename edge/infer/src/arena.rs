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
            start = start.max(range.end);
        }
        places[at] = start..start + wish.bytes;
        whole = whole.max(places[at].end);
        placed.push(at);
    }
    (places, whole)
}

/// One range to read and another to write, which must not overlap.
pub(crate) fn two<'a>(
    bytes: &'a mut [u8],
    read: &Range<usize>,
    write: &Range<usize>,
) -> (&'a [u8], &'a mut [u8]) {
    if read.end <= write.start {
        let (low, high) = bytes.split_at_mut(write.start);
        (&low[read.clone()], &mut high[..write.len()])
    } else {
        let (low, high) = bytes.split_at_mut(read.start);
        (&high[..read.len()], &mut low[write.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;

    #[test]
    fn tensors_in_a_row_take_turns() {
        let chain: Vec<Wish> = [100, 300, 200, 50]
            .into_iter()
            .enumerate()
            .map(|(step, bytes)| Wish { bytes, alive: [step, step + 1] })
            .collect();
        let (places, whole) = place(&chain);
        assert_eq!(whole, 500, "the two largest neighbours, {places:?}");
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
    fn two_ranges_in_either_order() {
        let mut bytes = [0, 1, 2, 3, 4, 5];
        let (read, write) = two(&mut bytes, &(0..2), &(3..6));
        assert_eq!((read, write), (&[0, 1][..], &mut [3, 4, 5][..]));
        let (read, write) = two(&mut bytes, &(4..6), &(1..3));
        assert_eq!((read, write), (&[4, 5][..], &mut [1, 2][..]));
    }
}
