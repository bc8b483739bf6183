//! Takes out candidates that overlap a stronger one (non-maximum suppression), as TFLite's
//! `TFLite_Detection_PostProcess` does.

use crate::decode::{Candidate, Candidates, Detection};
use crate::geometry::BBox;
use heapless::Vec;

/// Most detections of one picture.
pub const DETECTIONS_MAX: usize = 10;

/// The detections of one picture, strongest first.
pub type Detections = Vec<Detection, DETECTIONS_MAX>;

/// When one candidate takes out another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Overlap (intersection over union) above which the weaker one goes.
    pub iou: f32,
    /// Whether only things of one class take out one another (TFLite's regular NMS), or all
    /// do (its fast one).
    pub within_class: bool,
    /// How many may stay; never more than [`DETECTIONS_MAX`].
    pub most: usize,
}

/// The candidates that stay, strongest first, their boxes cut to the picture. Orders `candidates`; overlap is measured on uncut boxes.
pub fn pick(candidates: &mut Candidates, rules: Rules) -> Detections {
    let order = |a: &Candidate, b: &Candidate| {
        b.score.total_cmp(&a.score).then(a.anchor.cmp(&b.anchor)).then(a.class.cmp(&b.class))
    };
    candidates.sort_unstable_by(order);
    let mut kept: Vec<&Candidate, DETECTIONS_MAX> = Vec::new();
    for candidate in candidates.iter() {
        if kept.len() >= rules.most {
            break;
        }
        let covered = kept.iter().any(|stronger| {
            let rivals = !rules.within_class || stronger.class == candidate.class;
            rivals && overlap(&stronger.bbox, &candidate.bbox) > rules.iou
        });
        if !covered && kept.push(candidate).is_err() {
            break;
        }
    }
    let detection = |candidate: &&Candidate| Detection {
        class: candidate.class,
        score: candidate.score,
        bbox: candidate.bbox.clamped(),
    };
    kept.iter().map(detection).collect()
}

/// As TFLite counts: 0 where either box has no area.
fn overlap(a: &BBox, b: &BBox) -> f32 {
    if a.area() > 0.0 && b.area() > 0.0 { a.iou(b) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec as List;

    /// TFLite's own way: a row of flags, the strongest clears those it covers.
    fn naive(candidates: &[Candidate], rules: Rules) -> List<Detection> {
        let mut sorted = candidates.to_vec();
        sorted.sort_by(|a, b| {
            b.score.partial_cmp(&a.score).expect("no NaN").then(a.anchor.cmp(&b.anchor))
        });
        let mut active = std::vec![true; sorted.len()];
        let mut picked = List::new();
        for i in 0..sorted.len() {
            if !active[i] || picked.len() == rules.most.min(DETECTIONS_MAX) {
                continue;
            }
            let Candidate { class, score, bbox, .. } = sorted[i];
            picked.push(Detection { class, score, bbox: bbox.clamped() });
            for j in i + 1..sorted.len() {
                let rivals = !rules.within_class || sorted[j].class == class;
                if rivals && overlap(&bbox, &sorted[j].bbox) > rules.iou {
                    active[j] = false;
                }
            }
        }
        picked
    }

    #[test]
    fn equals_the_naive_twin() {
        let mut state = 3_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            u16::try_from((state >> 33) % below).expect("small")
        };
        for round in 0..500 {
            let mut candidates = Candidates::new();
            for anchor in 0..random(200) {
                let mut side = |most| f32::from(random(most)) / 20.0 - 0.1;
                let (x0, y0, w, h) = (side(20), side(20), side(12), side(12));
                let bbox = BBox { x0, y0, x1: x0 + w, y1: y0 + h };
                let class = u8::try_from(random(3)).expect("small");
                let score = f32::from(random(200)) / 256.0;
                candidates
                    .push(Candidate { anchor: anchor.into(), class, score, bbox })
                    .expect("room");
            }
            let rules = Rules { iou: 0.6, within_class: round % 2 == 0, most: 7 + round % 5 };
            let expect = naive(&candidates, rules);
            assert_eq!(pick(&mut candidates, rules).as_slice(), expect, "round {round}");
        }
    }
}
