//! Weights in an order in which `vpmaddubsw` cannot saturate, nor 16-bit sums overflow.
//!
//! The instruction multiplies `u8` values with `i8` weights and adds two products in 16 bits.
//! As the weights are known, the reach of such sums is: 255 times the positive weights, and
//! 255 times the negative ones. Where both stay within 128 times 255, a whole chain of groups
//! of four values can be summed in 16 bits, for any input, before it is widened.
//!
//! ```text
//! panel of 8 channels = chain, chain, ...      chain = group, group, ... (1, 2 or 4)
//! group = 4 values of a row from `place` on    times [channel][4] weights
//! ```
//! Groups are chained in whatever order lets them fit. What does not fit of a weight (its part
//! above the limit) goes to a later group with the same place: the sum over all is the sum with
//! the true weights, the zero point already taken off.

use crate::error::Error;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Channels of a panel.
pub(crate) const PANEL: usize = 8;
/// Values of a row that are taken together.
pub(crate) const GROUP: usize = 4;
/// Weights of a group.
pub(crate) const BYTES: usize = PANEL * GROUP;
/// The most that positive weights of one 16-bit sum may come to, and the least that negative
/// ones may: times 255 it fits 16 bits.
const LIMIT: i16 = 128;
/// Groups that are looked through for one that fits.
const WINDOW: usize = 32;
/// Groups of a chain that are tried.
const LENGTHS: [usize; 3] = [4, 2, 1];

/// The weights of a group, in a line of the cache: a load that lies over two is two loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(32))]
pub(crate) struct Weights(pub(crate) [i8; BYTES]);

/// The chains of a matrix.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chains {
    /// Groups of a chain: one of [`LENGTHS`].
    length: usize,
    /// Bytes of a row that places lie in.
    reach: usize,
    /// Where each panel's groups end.
    ends: Box<[usize]>,
    /// Where in a row each group's values begin; at least [`GROUP`] before the reach.
    places: Box<[u32]>,
    /// `[group][channel][value]`.
    weights: Box<[Weights]>,
}

/// The chains of one panel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel<'a> {
    pub(crate) places: &'a [u32],
    pub(crate) weights: &'a [Weights],
}

impl Chains {
    /// Chains `[channels, depth]` weights less their zero point.
    pub(crate) fn new(weights: &[i8], zero_point: i8, depth: usize) -> Result<Self, Error> {
        let depth = u32::try_from(depth).map_err(|_| Error::TooLarge)?;
        let groups = groups(weights, depth);
        let mut best: Option<Self> = None;
        for length in LENGTHS {
            // Were every chain full, and nothing put off to a later one.
            let least = groups / length * price(length);
            if best.as_ref().is_none_or(|best| best.price() > least) {
                let chains = Self::of_length(length, weights, zero_point, depth);
                let better =
                    |chains: &Self| best.as_ref().is_none_or(|best| chains.price() < best.price());
                best = chains.filter(better).or(best);
            }
        }
        best.ok_or(Error::TooLarge)
    }

    /// Chains of one length; none where large weights put off too many groups.
    fn of_length(length: usize, weights: &[i8], zero_point: i8, depth: u32) -> Option<Self> {
        // Two weights come to 510 at most, five times the limit or less; and the last chain of a
        // panel is filled up.
        let times = if length == 1 { 5 } else { 2 };
        let panels = weights.chunks(depth as usize * PANEL);
        let most = times * groups(weights, depth) + length * panels.len();
        let mut draft = Draft { length, most, places: Vec::new(), weights: Vec::new() };
        let mut ends = Vec::new();
        for rows in panels {
            draft.panel(waiting(rows, zero_point, depth))?;
            ends.push(draft.places.len());
        }
        let (places, weights) = (draft.places.into(), draft.weights.into());
        let reach = (depth as usize).next_multiple_of(GROUP);
        Some(Self { length, reach, ends: ends.into(), places, weights })
    }

    fn price(&self) -> usize {
        self.places.len() / self.length * price(self.length)
    }

    /// What they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.ends) + size_of_val(&*self.places) + size_of_val(&*self.weights)
    }

    /// Groups of a chain.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Bytes that a row must have.
    pub(crate) fn reach(&self) -> usize {
        self.reach
    }

    /// The panels in order.
    pub(crate) fn panels(&self) -> impl Iterator<Item = Panel<'_>> {
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| Panel {
            places: &self.places[start..*end],
            weights: &self.weights[start..*end],
        })
    }
}

/// What a chain costs, in quarters of a cycle of a processor with two multipliers and four
/// adders: a multiplication and an addition for each group, and both once more to widen.
const fn price(length: usize) -> usize {
    length * 3 + 2
}

/// A group that waits for its place in a chain.
#[derive(Debug, Clone)]
struct Group {
    place: u32,
    /// `[channel][value]`: what is not yet in a chain.
    weights: [i16; BYTES],
    load: Load,
}

impl Group {
    fn new(place: u32, weights: [i16; BYTES]) -> Self {
        Self { place, weights, load: Load::of(&weights) }
    }
}

/// What positive and negative weights of each 16-bit sum come to.
#[derive(Debug, Clone, Copy)]
struct Load {
    above: [i16; BYTES / 2],
    below: [i16; BYTES / 2],
}

impl Load {
    const NONE: Self = Self { above: [0; BYTES / 2], below: [0; BYTES / 2] };

    fn of(weights: &[i16; BYTES]) -> Self {
        let mut load = Self::NONE;
        let sums = load.above.iter_mut().zip(&mut load.below);
        for (&[a, b], (above, below)) in weights.as_chunks().0.iter().zip(sums) {
            // 128 is no `i8`: where one is, the group does not fit as it is.
            *above = a.max(0) + b.max(0) + i16::from(a == LIMIT || b == LIMIT);
            *below = a.min(0) + b.min(0);
        }
        load
    }

    /// Whether both together stay within the limit; straight, so that compilers see vectors.
    fn has_room_for(&self, more: &Self) -> bool {
        let (mut most, mut least) = (0, 0);
        for at in 0..BYTES / 2 {
            most = most.max(self.above[at] + more.above[at]);
            least = least.min(self.below[at] + more.below[at]);
        }
        most <= LIMIT && least >= -LIMIT
    }

    /// Takes what fits of a group's weights, and leaves the rest.
    fn take(&mut self, group: &Group) -> (Weights, [i16; BYTES]) {
        let (mut taken, mut left) = ([0; BYTES], group.weights);
        for (at, (left, taken)) in left.iter_mut().zip(&mut taken).enumerate() {
            let (above, below) = (&mut self.above[at / 2], &mut self.below[at / 2]);
            let part = (*left).clamp(-LIMIT - *below, LIMIT - *above);
            *taken = i8::try_from(part).unwrap_or(i8::MAX);
            *left -= i16::from(*taken);
            *above += i16::from(*taken).max(0);
            *below += i16::from(*taken).min(0);
        }
        (Weights(taken), left)
    }

    /// Takes a group that there is room for.
    fn take_all(&mut self, group: &Group) -> Weights {
        for at in 0..BYTES / 2 {
            self.above[at] += group.load.above[at];
            self.below[at] += group.load.below[at];
        }
        Weights(group.weights.map(|weight| weight.to_le_bytes()[0].cast_signed()))
    }
}

/// Chains under way.
#[derive(Debug)]
struct Draft {
    length: usize,
    /// Groups in all that are worth it.
    most: usize,
    places: Vec<u32>,
    weights: Vec<Weights>,
}

impl Draft {
    /// Chains one panel's groups, if it comes to few enough. Each chain takes something of the
    /// first that waits, so this ends.
    fn panel(&mut self, mut waiting: VecDeque<Group>) -> Option<()> {
        while !waiting.is_empty() {
            if self.places.len() + self.length > self.most {
                return None;
            }
            let mut load = Load::NONE;
            for _ in 0..self.length {
                let mut window = waiting.iter().take(WINDOW);
                let fit = window.position(|group| load.has_room_for(&group.load));
                let group = waiting.remove(fit.unwrap_or(0));
                let group = group.unwrap_or_else(|| Group::new(0, [0; BYTES]));
                self.places.push(group.place);
                if fit.is_some() {
                    self.weights.push(load.take_all(&group));
                } else {
                    let (taken, left) = load.take(&group);
                    self.weights.push(taken);
                    if left != [0; BYTES] {
                        waiting.push_back(Group::new(group.place, left));
                    }
                }
            }
        }
        Some(())
    }
}

/// Groups in all, before any is put off.
fn groups(weights: &[i8], depth: u32) -> usize {
    let depth = depth as usize;
    weights.chunks(depth * PANEL).len() * depth.div_ceil(GROUP)
}

/// The groups of a panel's rows, less those that count for nothing.
fn waiting(rows: &[i8], zero_point: i8, depth: u32) -> VecDeque<Group> {
    let group = |place: u32| {
        let mut weights = [0; BYTES];
        for (row, weights) in rows.chunks(depth as usize).zip(weights.chunks_exact_mut(GROUP)) {
            for (stored, weight) in row[place as usize..].iter().zip(weights) {
                *weight = i16::from(*stored) - i16::from(zero_point);
            }
        }
        Group::new(place, weights)
    };
    let groups = (0..depth).step_by(GROUP).map(group);
    groups.filter(|group| group.weights != [0; BYTES]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use std::vec;

    /// All the chains' weights, put where they belong, and whether every 16-bit sum fits.
    fn unchained(chains: &Chains, channels: usize, depth: usize) -> (Vec<i32>, bool) {
        let (mut weights, mut fits) = (vec![0; channels * depth], true);
        for (at, panel) in chains.panels().enumerate() {
            let groups = panel.places.iter().zip(panel.weights);
            for (place, Weights(group)) in groups.clone() {
                for (cell, weight) in group.iter().enumerate().filter(|(_, weight)| **weight != 0) {
                    let channel = at * PANEL + cell / GROUP;
                    weights[channel * depth + *place as usize + cell % GROUP] += i32::from(*weight);
                }
            }
            for chain in panel.weights.chunks_exact(chains.length()) {
                for pair in 0..BYTES / 2 {
                    let of = |group: &Weights| [group.0[pair * 2], group.0[pair * 2 + 1]];
                    let all = chain.iter().flat_map(of).map(i32::from);
                    let (above, below) = all.partition::<Vec<_>, _>(|weight| *weight > 0);
                    let [above, below] = [above, below].map(|part| part.iter().sum::<i32>() * 255);
                    fits &= above <= i32::from(i16::MAX) && below >= i32::from(i16::MIN);
                }
            }
            fits &= panel.places.iter().all(|place| *place as usize + GROUP <= chains.reach());
        }
        (weights, fits)
    }

    #[test]
    fn chains_hold_the_weights_and_cannot_overflow() {
        let mut random = Random(3);
        for spread in [1, 5, 20, 60, 128] {
            for _ in 0..40 {
                let (channels, depth) = (1 + random.below(30), 1 + random.below(70));
                let zero_point = random.byte().cast_signed();
                let weight = |random: &mut Random| match random.below(8) {
                    0 => random.byte().cast_signed(),
                    _ => zero_point.saturating_add_unsigned(random.byte() % spread),
                };
                let stored: Vec<i8> = (0..channels * depth).map(|_| weight(&mut random)).collect();
                let real = |stored: &i8| i32::from(*stored) - i32::from(zero_point);
                let expect: Vec<i32> = stored.iter().map(real).collect();
                for length in LENGTHS {
                    let depth_small = u32::try_from(depth).expect("small");
                    let chains = Chains::of_length(length, &stored, zero_point, depth_small);
                    let Some(chains) = chains else {
                        assert!(length > 1, "{stored:?} less {zero_point}");
                        continue;
                    };
                    let (weights, fits) = unchained(&chains, channels, depth);
                    assert!(fits, "{stored:?} less {zero_point}, chains of {length}");
                    assert_eq!(weights, expect, "chains of {length}");
                }
            }
        }
    }

    #[test]
    fn longer_chains_where_weights_are_small() {
        let length = |weights: &[i8]| Chains::new(weights, 0, 64).expect("small").length();
        assert_eq!(length(&[10; 64 * 16]), 4);
        assert_eq!(length(&[30; 64 * 16]), 2);
        assert_eq!(length(&[127; 64 * 16]), 1);
    }

    #[test]
    fn the_largest_weights_take_no_more_than_they_must() {
        for (weight, zero_point) in [(127, -128), (-128, 127)] {
            let (channels, depth) = (11, 3001);
            let weights = vec![weight; channels * depth];
            let chains = Chains::new(&weights, zero_point, depth).expect("they fit");
            let (got, fits) = unchained(&chains, channels, depth);
            assert!(fits);
            assert!(got.iter().all(|got| *got == i32::from(weight) - i32::from(zero_point)));
            let padded = channels.next_multiple_of(PANEL) * depth;
            assert!(chains.bytes() < 6 * padded, "{} of {padded}", chains.bytes());
        }
    }
}
