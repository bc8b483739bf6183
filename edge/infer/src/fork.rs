//! Work on disjoint parts of an output, side by side where the caller has threads to lend.

use core::ops::Range;

/// Runs two pieces of work and returns when both are done.
pub trait Fork: Sync {
    /// Runs both, in either order or at once.
    fn join<A: FnOnce() + Send, B: FnOnce() + Send>(&self, a: A, b: B);
}

/// One after the other, on the caller's thread.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Fork for Alone {
    fn join<A: FnOnce() + Send, B: FnOnce() + Send>(&self, a: A, b: B) {
        a();
        b();
    }
}

/// An output of `count` places of one length, and memory to work in.
pub(crate) struct Job<'a> {
    pub(crate) places: Range<usize>,
    pub(crate) output: &'a mut [u8],
    pub(crate) scratch: &'a mut [u8],
}

/// Calls `each` for `ways` parts of a job that together are the whole.
pub(crate) fn split<F: Fork>(
    fork: &F,
    ways: usize,
    job: Job<'_>,
    each: &(impl Fn(Job<'_>) + Sync),
) {
    let Job { places, output, scratch } = job;
    let count = places.len();
    if ways < 2 || count < 2 {
        return each(Job { places, output, scratch });
    }
    let low = ways / 2;
    let first = count * low / ways;
    let middle = places.start + first;
    let (low_output, high_output) = output.split_at_mut(output.len() / count * first);
    let (low_scratch, high_scratch) = scratch.split_at_mut(scratch.len() / ways * low);
    let end = places.end;
    let a = Job { places: places.start..middle, output: low_output, scratch: low_scratch };
    let b = Job { places: middle..end, output: high_output, scratch: high_scratch };
    fork.join(|| split(fork, low, a, each), || split(fork, ways - low, b, each));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn parts_are_the_whole() {
        for ways in 1..6 {
            for count in 1..9 {
                let mut output = vec![0; count * 3];
                let mut scratch = vec![0; ways * 4];
                let job = Job { places: 0..count, output: &mut output, scratch: &mut scratch };
                split(&Alone, ways, job, &|job| {
                    assert!(job.scratch.len() >= 4 || count < ways);
                    let places = job.output.chunks_exact_mut(3);
                    assert_eq!(places.len(), job.places.len());
                    for (place, out) in job.places.zip(places) {
                        out.fill(u8::try_from(place + 1).expect("small"));
                    }
                });
                let expect: Vec<u8> =
                    (1..=count).flat_map(|at| [u8::try_from(at).expect("small"); 3]).collect();
                assert_eq!(output, expect, "{ways} ways, {count} places");
            }
        }
    }
}
