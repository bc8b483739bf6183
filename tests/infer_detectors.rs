//! Small detectors of each family, beside what TFLite's own post-processing finds.

use edge::model::{Detector, Model};
use edge_core::geometry::BBox;
use edge_infer::{Isa, Target};
use harness::vectors::{Case, cases};
use std::path::Path;
use std::sync::Arc;
use tract_tflite::tflite::{self, SubGraph};

/// A detection as TFLite tells it, its box cut to the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    class: f32,
    score: f32,
    bbox: BBox,
}

/// Boxes, classes, scores, and how many.
fn expected(case: &Case) -> Vec<Found> {
    let [boxes, classes, scores, count] = [0, 1, 2, 3].map(|at| reals(&case.outputs[at]));
    let rows = boxes.as_chunks().0.iter().zip(classes).zip(scores);
    let found = rows.map(|(([y0, x0, y1, x1], class), score)| {
        let bbox = BBox { x0: *x0, y0: *y0, x1: *x1, y1: *y1 };
        Found { class, score, bbox: bbox.clamped() }
    });
    let all: Vec<_> = found.collect();
    all.into_iter()
        .zip(0_u8..)
        .take_while(|(_, at)| f32::from(*at) < count[0])
        .map(|it| it.0)
        .collect()
}

fn reals(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)).collect()
}

/// The picture in the file's own type, as pixels.
fn pixels(input: &[u8], count: usize) -> Vec<u8> {
    if input.len() == count {
        return input.to_vec();
    }
    let near = |real: f32| (0..=u8::MAX).find(|it| (f32::from(*it) - 127.5) / 127.5 >= real);
    reals(input).into_iter().map(|real| near(real).expect("a pixel")).collect()
}

fn find(case: &Case, detector: &mut Detector) -> Vec<Found> {
    let (input, ..) = detector.input();
    let pixels = pixels(&case.inputs[0], input.len());
    input.copy_from_slice(&pixels);
    let found = detector.detect().iter();
    found.map(|it| Found { class: it.class.into(), score: it.score, bbox: it.bbox }).collect()
}

fn near(a: &Found, b: &Found, tolerance: f32) -> bool {
    let sides = |it: &Found| [it.bbox.x0, it.bbox.y0, it.bbox.x1, it.bbox.y1];
    let far = sides(a).into_iter().zip(sides(b)).any(|(a, b)| (a - b).abs() > tolerance);
    a.class.total_cmp(&b.class).is_eq() && (a.score - b.score).abs() <= tolerance && !far
}

#[test]
fn every_family_finds_what_tflite_finds() {
    let cases = cases("detectors");
    assert_eq!(cases.len(), 8);
    for case in &cases {
        let (family, _) = case.name.split_once(':').expect("a family");
        // Heads of two levels where tables can tell the rest, else one of all anchors.
        let (heads, tolerance) = match family {
            "uint8" | "int8" => (4, 1e-6),
            "softmax" => (2, 1e-6),
            "float32" => (2, 1e-4),
            other => panic!("{other}"),
        };
        for target in Isa::all().flat_map(|isa| [1, 2].map(|ways| Target { isa, ways })) {
            let model = Model::from_bytes_for(target, Path::new(&case.name), &case.model);
            let model = Arc::new(model.unwrap_or_else(|error| panic!("{error}")));
            let mut detector = model.detector();
            assert_eq!(detector.heads(), heads, "{}", case.name);
            let (found, expect) = (find(case, &mut detector), expected(case));
            let same = found.len() == expect.len()
                && found.iter().zip(&expect).all(|(a, b)| near(a, b, tolerance));
            assert!(same, "{} on {}: {found:#?} is not {expect:#?}", case.name, model.network());
        }
    }
}

/// The file with the first of its outputs alone in its list.
fn with_one_output(model: &[u8]) -> Vec<u8> {
    let graph = tflite::root_as_model(model).expect("a TFLite file").subgraphs().expect("one");
    let graph = graph.get(0)._tab;
    let field = graph.loc() + usize::from(graph.vtable().get(SubGraph::VT_OUTPUTS));
    let word = |at: usize| u32::from_le_bytes(*model[at..].first_chunk().expect("four bytes"));
    let list = field + usize::try_from(word(field)).expect("an offset");
    assert_eq!(word(list), 4, "boxes, classes, scores, count");
    let mut short = model.to_vec();
    short[list..list + 4].copy_from_slice(&1_u32.to_le_bytes());
    short
}

/// tract is given a list of heads, for which there must be room.
#[test]
fn a_detector_may_list_fewer_outputs_than_it_has_heads() {
    for case in cases("detectors") {
        let found = [case.model.clone(), with_one_output(&case.model)].map(|bytes| {
            let model = Model::from_bytes(Path::new(&case.name), &bytes);
            let model = Arc::new(model.unwrap_or_else(|error| panic!("{error}")));
            find(&case, &mut model.detector())
        });
        assert!(!found[0].is_empty() && found[0] == found[1], "{}: {found:#?}", case.name);
    }
}
