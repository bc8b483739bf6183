//! Which source pixels lie under a target pixel, along one axis.

/// One axis of a picture stretched onto one axis of a tensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    source: usize,
    target: usize,
    /// The same without common factors: what the weights are made of.
    ratio: (usize, usize),
}

/// The source pixels under one target pixel: a first and a last with weights of their own,
/// and those between with the same weight each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) last: usize,
    /// Weights of the first, of each between, of the last; 0 for the last where it is the
    /// first.
    weights: [u16; 3],
}

impl Span {
    /// The weight of a source pixel; 0 outside.
    pub(super) fn weight(&self, at: usize) -> u16 {
        let [head, body, tail] = self.weights;
        match at {
            at if at == self.first => head,
            at if at == self.last => tail,
            at if (self.first..self.last).contains(&at) => body,
            _ => 0,
        }
    }

    /// The weights of all source pixels before one.
    pub(super) fn below(&self, at: usize) -> usize {
        let [head, body, tail] = self.weights.map(usize::from);
        let Self { first, last, .. } = *self;
        match at {
            at if at <= first => 0,
            at if at <= last => head + body * (at - first - 1),
            _ if first == last => head,
            _ => head + body * (last - first - 1) + tail,
        }
    }
}

impl Axis {
    pub(super) fn new(source: usize, target: usize) -> Self {
        let common = divisor(source, target);
        Self { source, target, ratio: (source / common, target / common) }
    }

    /// Source pixels.
    pub(super) fn source(self) -> usize {
        self.source
    }

    /// The sum of the weights of any span, at most twice [`super::super::SIDE_MAX`].
    pub(super) fn whole(self) -> usize {
        let (source, target) = self.ratio;
        if source >= target { source } else { 2 * target }
    }

    /// The spans of all target pixels in order.
    pub(super) fn spans(self) -> impl Iterator<Item = Span> {
        self.spans_from(0)
    }

    /// The same from one on.
    pub(super) fn spans_from(self, from: usize) -> impl Iterator<Item = Span> {
        (from..self.target).map(move |at| self.span(at))
    }

    #[expect(clippy::cast_possible_truncation, reason = "sides are at most SIDE_MAX")]
    fn span(self, at: usize) -> Span {
        let (source, target) = self.ratio;
        if source >= target {
            // In units of 1/target of a source pixel, target pixel `at` covers this.
            let (from, to) = (at * source, (at + 1) * source);
            let (first, last) = (from / target, (to - 1) / target);
            if first == last {
                return Span { first, last, weights: [(to - from) as u16, 0, 0] };
            }
            let head = (first + 1) * target - from;
            let tail = to - last * target;
            Span { first, last, weights: [head as u16, target as u16, tail as u16] }
        } else {
            // The centre, in units of 1/(2 target) of a source pixel, from the first centre.
            let centre = ((2 * at + 1) * source).saturating_sub(target);
            let (first, share) = (centre / (2 * target), centre % (2 * target));
            let last = (first + 1).min(self.source - 1);
            if first == last {
                return Span { first, last, weights: [2 * target as u16, 0, 0] };
            }
            Span { first, last, weights: [(2 * target - share) as u16, 0, share as u16] }
        }
    }
}

/// The greatest common divisor.
fn divisor(mut a: usize, mut b: usize) -> usize {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
