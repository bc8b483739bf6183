//! From the raw heads of an SSD to candidates: boxes with a class and a score.
//!
//! ```text
//! head n: boxes   [1, rows, columns, anchors * 4]       --table--> y, x, h, w  --anchor--> box
//!         classes [1, rows, columns, anchors * columns] --threshold--> survivors --table--> score
//! ```
//!
//! The graph between quantized heads and `TFLite_Detection_PostProcess` maps one stored byte to
//! one number, so it is two tables of 256 a head, and the score threshold is one integer a
//! head: only survivors are ever turned into real numbers. Heads of `f32` are read as they are.

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

/// What the bytes of a head mean.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are few heads, and no heap here")]
pub enum Values {
    /// One byte a value; the real number of each.
    Table([f32; 256]),
    /// Four bytes a value: `f32`, little-endian.
    Floats,
}

impl Values {
    /// Bytes of a value.
    const fn bytes(&self) -> usize {
        match self {
            Self::Table(_) => 1,
            Self::Floats => 4,
        }
    }

    /// The real numbers of a row.
    fn real<'a>(&'a self, row: &'a [u8]) -> impl Iterator<Item = f32> + 'a {
        row.chunks_exact(self.bytes()).map(move |value| match (self, value) {
            (Self::Table(table), [stored]) => look(table, *stored),
            (_, value) => value.first_chunk().map_or(f32::NAN, |it| f32::from_le_bytes(*it)),
        })
    }
}

/// One head's bytes: boxes `[anchors, 4]`, classes `[anchors, columns]`; of the length that
/// its [`Values`] have.
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
    pub anchor: u32,
    /// The class, 0-based, background not counted.
    pub class: u8,
    /// 0.0..=1.0.
    pub score: f32,
    /// Where, not cut.
    pub bbox: BBox,
}

/// The candidates of one picture.
pub type Candidates = Vec<Candidate, CANDIDATES_MAX>;

/// How one head is read.
#[derive(Debug, Clone)]
struct Head {
    boxes: Values,
    scores: Values,
    /// Lowest stored value of a table of scores that survives; 256: none does.
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

    /// Adds the next head; `false` when there are [`HEADS_MAX`] already. A table of scores
    /// never falls from one stored value to the next.
    pub fn head(&mut self, boxes: Values, scores: Values) -> bool {
        let below = match &scores {
            Values::Table(table) => table.iter().take_while(|it| **it < self.floor()).count(),
            Values::Floats => 0,
        };
        let threshold = u16::try_from(below).unwrap_or(u16::MAX);
        self.heads.push(Head { boxes, scores, threshold }).is_ok()
    }

    /// The lowest score of a candidate.
    fn floor(&self) -> f32 {
        self.options.score_min.max(SCORE_MIN)
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
            let boxes = bytes.boxes.chunks_exact(BOX_NUMBERS * head.boxes.bytes());
            let row_bytes = self.options.columns.max(1) * head.scores.bytes();
            let rows = bytes.classes.chunks_exact(row_bytes);
            for ((numbers, row), (index, anchor)) in boxes.zip(rows).zip(anchors.by_ref()) {
                let background = self.options.background * head.scores.bytes();
                let Some(row) = row.get(background..) else { continue };
                let Some(strongest) = self.strongest(head, row) else { continue };
                let Some(bbox) = self.bbox(head, numbers, anchor) else { continue };
                for (class, score) in self.survivors(head, row, strongest) {
                    let score = score.min(1.0);
                    keep(candidates, Candidate { anchor: index, class, score, bbox });
                }
            }
        }
    }

    /// The strongest score of a row, if it survives.
    fn strongest(&self, head: &Head, row: &[u8]) -> Option<f32> {
        match &head.scores {
            Values::Table(table) => {
                let stored = row.iter().copied().max()?;
                (u16::from(stored) >= head.threshold).then(|| look(table, stored))
            }
            Values::Floats => {
                // A NaN is never the larger one.
                let score = head.scores.real(row).fold(f32::NEG_INFINITY, f32::max);
                (score >= self.floor()).then_some(score)
            }
        }
    }

    /// The classes that one anchor shows: all that survive, or the first of the strongest
    /// score.
    fn survivors<'a>(
        &self,
        head: &'a Head,
        row: &'a [u8],
        strongest: f32,
    ) -> impl Iterator<Item = (u8, f32)> + 'a {
        let many = self.options.many;
        let least = if many { self.floor() } else { strongest };
        let scores = (0..=u8::MAX).zip(head.scores.real(row));
        scores.filter(move |(_, score)| *score >= least).take(if many { usize::MAX } else { 1 })
    }

    fn bbox(&self, head: &Head, numbers: &[u8], anchor: &Anchor) -> Option<BBox> {
        let mut numbers = head.boxes.real(numbers);
        let [y, x, h, w] = [numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?];
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

fn look(table: &[f32; 256], stored: u8) -> f32 {
    #[expect(clippy::indexing_slicing, reason = "a u8 is below 256")]
    table[usize::from(stored)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in steps of 0.05 from 100, scores in 1/256: those of logistic numbers.
    fn tables() -> [Values; 2] {
        let number = |stored: u8| 0.05 * (f32::from(stored) - 100.0);
        let score = |stored| libm::roundf(256.0 / (1.0 + libm::expf(-number(stored)))) / 256.0;
        let table = |value: &dyn Fn(u8) -> f32| {
            let mut table = [0.0; 256];
            (0..=u8::MAX).zip(&mut table).for_each(|(stored, slot)| *slot = value(stored));
            Values::Table(table)
        };
        [table(&number), table(&score)]
    }

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
        let [numbers, scores] = tables();
        assert!(decoder.head(numbers, scores));
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
    fn heads_of_floats_are_read_as_they_are() {
        let mut decoder = Decoder::new(OPTIONS);
        assert!(decoder.head(Values::Floats, Values::Floats));
        let bytes = |floats: &[f32]| -> std::vec::Vec<u8> {
            floats.iter().flat_map(|it| it.to_le_bytes()).collect()
        };
        let boxes = bytes(&[0.0, 1.0, 0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let nan = f32::NAN;
        let classes = [1.0, nan, 0.5, 0.75, 0.9, 0.9, 0.9, 0.9, 1.0, 0.1, 0.2, nan];
        let mut found = Candidates::new();
        let heads = [HeadBytes { boxes: &boxes, classes: &bytes(&classes) }];
        decoder.decode(&[MIDDLE; 3], heads, &mut found);
        let [candidate] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((candidate.anchor, candidate.class, candidate.score), (0, 2, 0.75));
        assert!((candidate.bbox.x0 - 0.34).abs() < 1e-6, "{candidate:?}");
    }
}
