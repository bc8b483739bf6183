//! Two operands of different shapes, element by element.

use crate::error::Error;
use crate::tensor::{RANK_MAX, Shape};

/// How two operands meet: axes of the output, neighbours that both walk alike joined.
#[derive(Debug, Clone)]
pub(crate) struct Broadcast {
    /// Outermost first; unused ones in front, of length 1.
    axes: [Axis; RANK_MAX],
}

/// An axis of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    length: usize,
    /// Elements of each operand from one place to the next; 0 where it stays.
    strides: [usize; 2],
}

impl Axis {
    const NONE: Self = Self { length: 1, strides: [0, 0] };

    /// This axis and the one inside it as one, where both operands allow it.
    fn join(self, inner: Self) -> Option<Self> {
        let whole = [0, 1].map(|at| inner.strides[at] * inner.length);
        let joined = Self { length: self.length * inner.length, strides: inner.strides };
        (self.strides == whole).then_some(joined)
    }
}

impl Broadcast {
    /// For two shapes whose sides are equal or 1; and the shape of the result.
    pub(crate) fn new(a: Shape, b: Shape) -> Result<(Self, Shape), Error> {
        let sides = [a.aligned(), b.aligned()];
        let mut axes = [Axis::NONE; RANK_MAX];
        let mut output = [1; RANK_MAX];
        let mut steps = [1, 1];
        // `at` is the outermost axis so far; all behind it are joined as far as they can be.
        let mut at = RANK_MAX - 1;
        for place in (0..RANK_MAX).rev() {
            let pair = sides.map(|sides| sides[place]);
            let length = pair[0].max(pair[1]);
            if pair.iter().any(|side| *side != length && *side != 1) {
                return Err(Error::Mismatch);
            }
            output[place] = length;
            let strides = [0, 1].map(|of| if pair[of] == 1 { 0 } else { steps[of] });
            steps = [0, 1].map(|of| steps[of] * pair[of]);
            let axis = Axis { length, strides };
            if length == 1 {
                continue;
            }
            if axes[at] == Axis::NONE {
                axes[at] = axis;
            } else if let Some(joined) = axis.join(axes[at]) {
                axes[at] = joined;
            } else {
                at -= 1;
                axes[at] = axis;
            }
        }
        let rank = a.sides().len().max(b.sides().len());
        Ok((Self { axes }, Shape::new(&output[RANK_MAX - rank..])?))
    }

    /// Each element of the output is `f` of the two that meet there.
    pub(crate) fn apply<T: Copy>(&self, a: &[T], b: &[T], out: &mut [T], f: &impl Fn(T, T) -> T) {
        descend(&self.axes, a, b, out, f);
    }
}

fn descend<T: Copy>(axes: &[Axis], a: &[T], b: &[T], out: &mut [T], f: &impl Fn(T, T) -> T) {
    let [axis, inner @ ..] = axes else { return };
    if inner.is_empty() {
        return run(*axis, a, b, out, f);
    }
    let Axis { length, strides } = *axis;
    for (at, out) in out.chunks_exact_mut((out.len() / length).max(1)).enumerate() {
        descend(inner, &a[at * strides[0]..], &b[at * strides[1]..], out, f);
    }
}

/// The innermost axis: each operand goes along, or stays.
fn run<T: Copy>(axis: Axis, a: &[T], b: &[T], out: &mut [T], f: &impl Fn(T, T) -> T) {
    match axis.strides {
        [0, 0] => out.fill(f(a[0], b[0])),
        [0, _] => out.iter_mut().zip(b).for_each(|(out, b)| *out = f(a[0], *b)),
        [_, 0] => out.iter_mut().zip(a).for_each(|(out, a)| *out = f(*a, b[0])),
        _ => out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = f(*a, *b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;
    use std::vec::Vec;

    fn shape(sides: &[usize]) -> Shape {
        Shape::new(sides).expect("small")
    }

    /// The element of `sides` that meets place number `at` of `output`, the slow way.
    fn meets(mut at: usize, output: [usize; RANK_MAX], sides: [usize; RANK_MAX]) -> usize {
        let (mut element, mut step) = (0, 1);
        for place in (0..RANK_MAX).rev() {
            let position = at % output[place];
            at /= output[place];
            element += if sides[place] == 1 { 0 } else { position * step };
            step *= sides[place];
        }
        element
    }

    #[test]
    fn random_shapes_meet_as_the_slow_way_says() {
        let mut random = Random(5);
        for _ in 0..500 {
            let rank = random.below(RANK_MAX + 1);
            let whole: Vec<usize> = (0..rank).map(|_| 1 + random.below(4)).collect();
            let operand = |random: &mut Random| -> Vec<usize> {
                let from = random.below(rank + 1);
                let side = |side: &usize| if random.below(3) == 0 { 1 } else { *side };
                whole[from..].iter().map(side).collect()
            };
            let [a, b] = [operand(&mut random), operand(&mut random)].map(|it| shape(&it));
            let (broadcast, output) = Broadcast::new(a, b).expect("they fit");
            let [left, right]: [Vec<usize>; 2] = [a, b].map(|it| (0..it.count()).collect());
            let mut out = std::vec![0; output.count()];
            broadcast.apply(&left, &right, &mut out, &|a, b| a * 10_000 + b);
            for (at, out) in out.iter().enumerate() {
                let [a, b] = [a, b].map(|it| meets(at, output.aligned(), it.aligned()));
                assert_eq!(*out, a * 10_000 + b, "{a:?} {b:?} at {at}");
            }
        }
    }

    #[test]
    fn equal_shapes_are_one_run() {
        let (broadcast, output) =
            Broadcast::new(shape(&[2, 1, 3, 4]), shape(&[2, 1, 3, 4])).expect("they fit");
        assert_eq!(output, shape(&[2, 1, 3, 4]));
        let last = broadcast.axes[RANK_MAX - 1];
        assert_eq!(last, Axis { length: 24, strides: [1, 1] });
        assert_eq!(broadcast.axes[..RANK_MAX - 1], [Axis::NONE; RANK_MAX - 1]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let refused = Broadcast::new(shape(&[2, 3]), shape(&[2]));
        assert_eq!(refused.err(), Some(Error::Mismatch));
    }
}
