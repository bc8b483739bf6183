//! From the raw heads of an SSD to candidates: boxes with a class and a score.
//!
//! ```text
//! head n: boxes   [1, rows, columns, anchors * 4]       u8  --table--> y, x, h, w  --anchor--> box
//!         classes [1, rows, columns, anchors * columns] u8  --threshold--> survivors --table--> score
//! ```
//!
//! The graph between the heads and `TFLite_Detection_PostProcess` is a CONCATENATION that
//! requantizes and a LOGISTIC. Both map one stored byte to one stored byte, so they are two
//! tables of 256 a head, and the score threshold is one integer a head: only survivors are
//! ever turned into real numbers.

#![deny(clippy::indexing_slicing)]

use crate::geometry::BBox;
use heapless::Vec;

/// Lowest score that becomes a candidate, 0.0..=1.0.
pub const SCORE_MIN: f32 = 0.25;
/// Most heads of one detector.
pub const HEADS_MAX: usize = 8;
/// Candidates before overlaps are taken out; when full, the weakest gives way.
pub const CANDIDATES_MAX: usize = 256;
/// Numbers of one box in a head: y, x, height, width.
const BOX_NUMBERS: usize = 4;

/// Something recognised in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Index into the labels, 0-based, background not counted.
    pub class: u8,
    /// 0.0..=1.0.
    pub score: f32,
    /// Where; cut to the picture.
    pub bbox: BBox,
}

/// What stored bytes mean: `real = scale * (stored - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quant {
    /// The step from one stored value to the next.
    pub scale: f32,
    /// The stored value that means 0.
    pub zero_point: u8,
}

impl Quant {
    fn real(self, stored: u8) -> f32 {
        self.scale * f32::from(i16::from(stored) - i16::from(self.zero_point))
    }

    /// As TFLite's reference kernels store: halves away from 0, clamped to 0..=255.
    fn stored(self, steps: f32) -> u8 {
        let value = libm::roundf(steps) + f32::from(self.zero_point);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let stored = value.clamp(0.0, 255.0) as u8;
        stored
    }

    /// A byte of `self` as CONCATENATION stores it in `to`.
    fn requantized(self, stored: u8, to: Self) -> u8 {
        if self == to {
            return stored;
        }
        let scale = self.scale * (1.0 / to.scale);
        to.stored(f32::from(stored) * scale - f32::from(self.zero_point) * scale)
    }

    /// A byte of `self` as LOGISTIC stores it in `to`.
    fn logistic(self, stored: u8, to: Self) -> u8 {
        let value = 1.0 / (1.0 + libm::expf(-self.real(stored)));
        to.stored(value * (1.0 / to.scale))
    }
}

/// A prior box, as shares of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor {
    /// Centre, down.
    pub y: f32,
    /// Centre, across.
    pub x: f32,
    /// Height.
    pub h: f32,
    /// Width.
    pub w: f32,
}

/// How the graph stores its numbers on the way from one head to the post-processing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Storage {
    /// The box head.
    pub boxes: Quant,
    /// The class head.
    pub classes: Quant,
    /// The concatenation of all box heads.
    pub all_boxes: Quant,
    /// The concatenation of all class heads.
    pub all_classes: Quant,
    /// The scores: LOGISTIC's output.
    pub scores: Quant,
}

/// One head's bytes: boxes `[anchors, 4]`, classes `[anchors, columns]`.
#[derive(Debug, Clone, Copy)]
pub struct HeadBytes<'a> {
    /// Of the box head.
    pub boxes: &'a [u8],
    /// Of the class head.
    pub classes: &'a [u8],
}

/// What the post-processing operator's options say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Divisors of the box numbers: y, x, height, width.
    pub scales: [f32; 4],
    /// Columns of a class head.
    pub columns: usize,
    /// The first columns that are no class (1: background).
    pub background: usize,
    /// Lowest score, beside [`SCORE_MIN`].
    pub score_min: f32,
    /// Whether one anchor may be several things (TFLite's regular NMS), or is the strongest
    /// only (its fast one).
    pub many: bool,
}

/// A candidate, before overlaps are taken out; its box may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Which anchor, counted over all heads: of equal scores the first anchor wins.
    pub anchor: u16,
    /// The class, 0-based, background not counted.
    pub class: u8,
    /// 0.0..=1.0.
    pub score: f32,
    /// Where, not cut.
    pub bbox: BBox,
}

/// The candidates of one picture.
pub type Candidates = Vec<Candidate, CANDIDATES_MAX>;

/// One head's tables.
#[derive(Debug, Clone)]
struct Head {
    numbers: [f32; 256],
    scores: [f32; 256],
    /// Lowest stored value of the class head that survives; 256: none does.
    threshold: u16,
}

/// Reads heads into candidates.
#[derive(Debug, Clone)]
pub struct Decoder {
    options: Options,
    heads: Vec<Head, HEADS_MAX>,
}

impl Decoder {
    /// A decoder without heads.
    pub fn new(options: Options) -> Self {
        Self { options, heads: Vec::new() }
    }

    /// Adds the next head; `false` when there are [`HEADS_MAX`] already.
    pub fn head(&mut self, storage: &Storage) -> bool {
        let number = |stored| {
            let stored = storage.boxes.requantized(stored, storage.all_boxes);
            storage.all_boxes.real(stored)
        };
        let score = |stored| {
            let stored = storage.classes.requantized(stored, storage.all_classes);
            storage.scores.real(storage.all_classes.logistic(stored, storage.scores))
        };
        let floor = self.options.score_min.max(SCORE_MIN);
        let scores = table(score);
        let below = scores.iter().take_while(|score| **score < floor).count();
        let threshold = u16::try_from(below).unwrap_or(u16::MAX);
        self.heads.push(Head { numbers: table(number), scores, threshold }).is_ok()
    }

    /// Fills `candidates` from the heads' bytes, in the order of [`Decoder::head`]; `anchors`
    /// are those of all heads, one after the other. What does not fit together is left out.
    pub fn decode<'a>(
        &self,
        anchors: &[Anchor],
        heads: impl IntoIterator<Item = HeadBytes<'a>>,
        candidates: &mut Candidates,
    ) {
        candidates.clear();
        let mut anchors = (0..).zip(anchors);
        for (head, bytes) in self.heads.iter().zip(heads) {
            let (boxes, _) = bytes.boxes.as_chunks::<BOX_NUMBERS>();
            let rows = bytes.classes.chunks_exact(self.options.columns.max(1));
            for ((numbers, row), (index, anchor)) in boxes.iter().zip(rows).zip(anchors.by_ref()) {
                let Some(row) = row.get(self.options.background..) else { continue };
                let strongest = row.iter().copied().max().unwrap_or(0);
                if u16::from(strongest) < head.threshold {
                    continue;
                }
                let Some(bbox) = self.bbox(head, *numbers, anchor) else { continue };
                for (class, score) in self.survivors(head, row, strongest) {
                    keep(candidates, Candidate { anchor: index, class, score, bbox });
                }
            }
        }
    }

    /// The classes that one anchor shows: all that reach the threshold, or the first of the
    /// strongest score.
    fn survivors<'a>(
        &self,
        head: &'a Head,
        row: &'a [u8],
        strongest: u8,
    ) -> impl Iterator<Item = (u8, f32)> + 'a {
        let best = look(&head.scores, strongest);
        let wanted = move |stored: u8, score: f32, many: bool| {
            if many { u16::from(stored) >= head.threshold } else { score.total_cmp(&best).is_eq() }
        };
        let many = self.options.many;
        (0..=u8::MAX)
            .zip(row)
            .map(|(class, stored)| (class, *stored, look(&head.scores, *stored)))
            .filter(move |(_, stored, score)| wanted(*stored, *score, many))
            .map(|(class, _, score)| (class, score))
            .take(if many { usize::MAX } else { 1 })
    }

    fn bbox(&self, head: &Head, numbers: [u8; BOX_NUMBERS], anchor: &Anchor) -> Option<BBox> {
        let [y, x, h, w] = numbers.map(|stored| look(&head.numbers, stored));
        let [y_scale, x_scale, h_scale, w_scale] = self.options.scales;
        let (y, x) = (y / y_scale * anchor.h + anchor.y, x / x_scale * anchor.w + anchor.x);
        let half_h = 0.5 * libm::expf(h / h_scale) * anchor.h;
        let half_w = 0.5 * libm::expf(w / w_scale) * anchor.w;
        let bbox = BBox { x0: x - half_w, y0: y - half_h, x1: x + half_w, y1: y + half_h };
        let sound = [bbox.x0, bbox.y0, bbox.x1, bbox.y1].iter().all(|side| side.is_finite());
        sound.then_some(bbox)
    }
}

fn keep(candidates: &mut Candidates, candidate: Candidate) {
    let Err(candidate) = candidates.push(candidate) else { return };
    let weakest = candidates.iter_mut().min_by(|a, b| a.score.total_cmp(&b.score));
    if let Some(weakest) = weakest.filter(|weakest| weakest.score < candidate.score) {
        *weakest = candidate;
    }
}

fn table(value: impl Fn(u8) -> f32) -> [f32; 256] {
    let mut table = [0.0; 256];
    for (stored, slot) in (0..=u8::MAX).zip(&mut table) {
        *slot = value(stored);
    }
    table
}

fn look(table: &[f32; 256], stored: u8) -> f32 {
    #[expect(clippy::indexing_slicing, reason = "a u8 is below 256")]
    table[usize::from(stored)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Quant = Quant { scale: 0.05, zero_point: 100 };
    const SCORES: Quant = Quant { scale: 1.0 / 256.0, zero_point: 0 };
    const STORAGE: Storage =
        Storage { boxes: STEP, classes: STEP, all_boxes: STEP, all_classes: STEP, scores: SCORES };
    const OPTIONS: Options = Options {
        scales: [10.0, 10.0, 5.0, 5.0],
        columns: 4,
        background: 1,
        score_min: 0.0,
        many: false,
    };
    const MIDDLE: Anchor = Anchor { y: 0.5, x: 0.5, h: 0.2, w: 0.4 };

    fn decode(options: Options, boxes: &[u8], classes: &[u8], anchors: usize) -> Candidates {
        let mut decoder = Decoder::new(options);
        assert!(decoder.head(&STORAGE));
        let mut candidates = Candidates::new();
        let anchors = std::vec![MIDDLE; anchors];
        decoder.decode(&anchors, [HeadBytes { boxes, classes }], &mut candidates);
        candidates
    }

    #[test]
    fn one_anchor_one_thing() {
        // Background 255 does not count; 140 is logistic(2.0) = 0.8808, stored as 225/256.
        let found = decode(OPTIONS, &[100, 120, 100, 100], &[255, 90, 140, 140], 1);
        let [candidate] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((candidate.class, candidate.score), (1, 225.0 / 256.0));
        // x moved by 1.0 / 10 of the anchor's width.
        let expect = BBox { x0: 0.34, y0: 0.4, x1: 0.74, y1: 0.6 };
        let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
        let BBox { x0, y0, x1, y1 } = candidate.bbox;
        assert!(near(x0, expect.x0) && near(y0, expect.y0), "{candidate:?}");
        assert!(near(x1, expect.x1) && near(y1, expect.y1), "{candidate:?}");
    }

    #[test]
    fn many_things_at_one_anchor_where_the_file_says_so() {
        let many = Options { many: true, ..OPTIONS };
        let found = decode(many, &[100; 4], &[255, 60, 140, 130], 1);
        let classes: std::vec::Vec<u8> = found.iter().map(|candidate| candidate.class).collect();
        assert_eq!(classes, [1, 2], "60 is 0.12, below the threshold");
    }

    #[test]
    fn when_full_the_weakest_gives_way() {
        let anchors = CANDIDATES_MAX + 2;
        let boxes = std::vec![100; anchors * 4];
        let mut classes = std::vec![100; anchors * 4];
        for (at, byte) in classes.iter_mut().skip(1).step_by(4).enumerate() {
            *byte = if at < 2 { 110 } else { 160 };
        }
        let found = decode(OPTIONS, &boxes, &classes, anchors);
        assert_eq!(found.len(), CANDIDATES_MAX);
        assert!(found.iter().all(|candidate| candidate.score > 0.9));
    }

    #[test]
    fn lengths_that_do_not_fit_end_quietly() {
        for (boxes, classes, anchors) in [(3, 4, 1), (8, 4, 2), (8, 7, 2), (8, 8, 1), (0, 0, 0)] {
            let found = decode(OPTIONS, &std::vec![100; boxes], &std::vec![200; classes], anchors);
            assert!(found.len() <= 1, "{boxes} {classes} {anchors}");
        }
        let no_columns = Options { columns: 0, ..OPTIONS };
        assert!(decode(no_columns, &[100; 4], &[200; 4], 1).is_empty());
    }

    #[test]
    fn concatenation_requantizes_as_the_graph_does() {
        let from = Quant { scale: 0.031_456_824, zero_point: 138 };
        let to = Quant { scale: 0.079_027_88, zero_point: 191 };
        for (stored, expect) in [(0, 136), (138, 191), (255, 238)] {
            assert_eq!(from.requantized(stored, to), expect, "{stored}");
        }
        assert_eq!(to.requantized(17, to), 17);
    }
}
