//! The detector on real pictures: heads to the bit, detections as TFLite's.

use edge::model::{Detector, Kind, Model};
use edge_core::decode::Detection;
use edge_core::geometry::BBox;
use edge_core::pixels::View;
use edge_infer::{Isa, Target};
use harness::data;
use std::path::Path;
use std::sync::Arc;

const MODEL: &str = "ssd_mobilenet_v1_coco_quant.tflite";
const GOLDEN: &str = "ssd_v1.json";

fn load(path: &Path) -> Arc<Model> {
    Model::load(path, None).unwrap_or_else(|error| panic!("{error}"))
}

/// Every kernel set of the machine on one thread, and the best on two.
fn targets() -> impl Iterator<Item = Target> {
    Isa::all().map(|isa| Target { isa, ways: 1 }).chain([edge::model::target(2)])
}

/// What TFLite's own post-processing found.
#[derive(Debug)]
struct Expected {
    label: String,
    class: u64,
    score: f32,
    bbox: BBox,
}

/// Each picture's name without its ending, and what it shows.
fn golden(path: &Path) -> Vec<(String, Vec<Expected>)> {
    let text = std::fs::read(path).expect("the golden file reads");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
    let number = |value: &serde_json::Value| value.as_f64().expect("a number").to_string();
    let real = |value: &serde_json::Value| number(value).parse::<f32>().expect("a number");
    let expected = |value: &serde_json::Value| {
        let side = |at: usize| real(&value["ymin_xmin_ymax_xmax"][at]);
        let bbox = BBox { x0: side(1), y0: side(0), x1: side(3), y1: side(2) };
        Expected {
            label: value["label"].as_str().expect("a label").into(),
            class: value["class_index"].as_u64().expect("a class"),
            score: real(&value["score"]),
            bbox: bbox.clamped(),
        }
    };
    let images = json["images"].as_object().expect("images");
    let stem = |name: &String| name.trim_end_matches(".jpg").to_owned();
    images
        .iter()
        .map(|(name, list)| {
            (stem(name), list.as_array().expect("a list").iter().map(expected).collect())
        })
        .collect()
}

/// What was found beside the expected things; each of those that has `floor` must be there.
///
/// What TFLite scored just below the floor may stand just above it here: only what stands
/// 0.05 above counts as more.
fn beside(
    name: &str,
    model: &Model,
    found: &[Detection],
    expected: &[Expected],
    floor: f32,
) -> Vec<Detection> {
    let mut left = found.to_vec();
    for expect in expected.iter().filter(|expect| expect.score >= floor) {
        let same = |detection: &Detection| {
            u64::from(detection.class) == expect.class
                && (detection.score - expect.score).abs() <= 0.05
                && detection.bbox.iou(&expect.bbox) > 0.9
        };
        let at = left.iter().position(same);
        let at = at.unwrap_or_else(|| panic!("{name}: no {expect:?} in {found:#?}"));
        assert_eq!(model.label(left[at].class), expect.label);
        left.remove(at);
    }
    left.retain(|detection| detection.score >= floor + 0.05);
    left
}

#[test]
fn heads_equal_xnnpack_to_the_bit() {
    let wanted = [data::model(MODEL), data::golden(GOLDEN)];
    let Some([model, list]) = data::all("heads_equal_xnnpack_to_the_bit", wanted) else { return };
    let pictures = golden(&list);
    assert_eq!(pictures.len(), 10);
    for target in targets() {
        let loaded = Model::load_for(target, &model, None);
        let mut detector = loaded.unwrap_or_else(|error| panic!("{error}")).detector();
        for (name, _) in &pictures {
            run(&mut detector, &list.with_file_name(format!("{name}.input.u8")));
            let heads = std::fs::read(list.with_file_name(format!("{name}.heads.u8")));
            let expect = heads.expect("golden heads");
            // The golden file has all box heads first, then all class heads.
            let order = (0..detector.heads()).step_by(2).chain((1..detector.heads()).step_by(2));
            let ours: Vec<u8> = order.flat_map(|head| detector.head(head).to_vec()).collect();
            assert_eq!(ours.len(), expect.len());
            let differ = ours.iter().zip(&expect).filter(|(a, b)| a != b).count();
            assert_eq!(differ, 0, "{name}, {target:?}: {differ} of {} bytes differ", ours.len());
        }
    }
}

#[test]
fn cameras_share_the_networks_threads() {
    let wanted = [data::model(MODEL), data::golden(GOLDEN)];
    let Some([path, list]) = data::all("cameras_share_the_networks_threads", wanted) else {
        return;
    };
    let model = Model::load_for(edge::model::target(3), &path, None).expect("the model");
    let pictures = golden(&list);
    let look = |at: usize| {
        let mut detector = model.detector();
        for (name, _) in pictures.iter().skip(at).chain(&pictures).take(5) {
            run(&mut detector, &list.with_file_name(format!("{name}.input.u8")));
            let heads = std::fs::read(list.with_file_name(format!("{name}.heads.u8")));
            assert!(heads.expect("golden heads").starts_with(detector.head(0)), "{name}");
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|at| drop(scope.spawn(move || look(at)))));
}

#[test]
fn detections_are_tflites() {
    let wanted = [data::model(MODEL), data::golden(GOLDEN)];
    let Some([model, list]) = data::all("detections_are_tflites", wanted) else { return };
    let model = load(&model);
    let mut detector = model.detector();
    for (name, expected) in golden(&list) {
        let found = run(&mut detector, &list.with_file_name(format!("{name}.input.u8")));
        let more = beside(&name, &model, &found, &expected, 0.3);
        assert!(more.is_empty(), "{name}: TFLite does not show {more:?}");
    }
}

#[test]
fn the_clear_ones_are_found_in_the_pictures_themselves() {
    let wanted = [data::model(MODEL), data::golden(GOLDEN), data::pictures(".")];
    let name = "the_clear_ones_are_found_in_the_pictures_themselves";
    let Some([model, list, pictures]) = data::all(name, wanted) else { return };
    let model = load(&model);
    let mut detector = model.detector();
    for (name, expected) in golden(&list) {
        let (rgb, width, height) = decode(&pictures.join(format!("{name}.jpg")));
        let view = View::rgb(&rgb, width, height, width * 3).expect("a whole picture");
        let (input, w, h) = detector.input();
        assert!(view.sample_into(input, w, h));
        let found = detector.detect().to_vec();
        // Another sampler shifts scores a little, so that of two anchors on one thing the
        // other may win; it is still on a thing that TFLite shows.
        let more = beside(&name, &model, &found, &expected, 0.6);
        let known = |detection: &Detection| {
            let same = |expect: &Expected| u64::from(detection.class) == expect.class;
            expected.iter().any(|expect| same(expect) && detection.bbox.iou(&expect.bbox) > 0.5)
        };
        assert!(more.iter().all(known), "{name}: TFLite does not show {more:?}");
    }
}

#[test]
fn other_models_are_refused_by_name() {
    for (file, words) in [
        ("mobilenet_v2_1.0_224_quant.tflite", "is no SSD detector"),
        ("movenet_lightning_ptq.tflite", "is no SSD detector"),
        ("person_detect.tflite", "is no SSD detector"),
        ("blazeface_front_128.tflite", "is no SSD detector"),
        ("coco_labels.txt", "not a TFLite file"),
    ] {
        let wanted = [data::model(file)];
        let Some([path]) = data::all("other_models_are_refused_by_name", wanted) else { return };
        let error = Model::load(&path, None).expect_err("it is no detector").to_string();
        println!("{error}");
        assert!(error.contains(file) && error.contains(words), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn labels_come_from_their_file_where_one_is_named() {
    let wanted = [data::model(MODEL), data::model("coco_labels.txt")];
    let name = "labels_come_from_their_file_where_one_is_named";
    let Some([model, labels]) = data::all(name, wanted) else { return };
    let (own, read) = (load(&model), Model::load(&model, Some(&labels)).expect("labels"));
    assert!((0..=u8::MAX).all(|class| own.label(class) == read.label(class)));
    assert_eq!(own.name(), "ssd_mobilenet_v1_coco_quant");
    let error = Model::load(&model, Some(&model)).expect_err("a model is no list of labels");
    assert_eq!(error.kind, Kind::Labels);
}

/// Cut at any length and with any bytes changed, a model is read or refused: no panic, and
/// what is read also runs.
#[test]
fn damaged_models_are_read_or_refused() {
    let Some([model]) = data::all("damaged_models_are_read_or_refused", [data::model(MODEL)])
    else {
        return;
    };
    let whole = std::fs::read(&model).expect("the model reads");
    let mut state = 0x1234_5678_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let mut counts = [0, 0, 0];
    // Structure lies at both ends, weights between: most changes go to the ends.
    let ends = 60_000;
    let rounds = harness::rounds(10_000);
    for round in 0..rounds {
        let mut bytes = whole.clone();
        if round % 10 == 0 {
            bytes.truncate(random(whole.len()));
        }
        for _ in 0..=random(4) {
            let at = match random(8) {
                0 => random(bytes.len().max(1)),
                1..4 => random(ends.min(bytes.len().max(1))),
                _ => bytes.len().saturating_sub(1 + random(ends)),
            };
            let bit = random(8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        match Model::from_bytes(&model, &bytes) {
            Ok(read) => {
                counts[0] += 1;
                if counts[0] % 50 == 0 {
                    Arc::new(read).detector().detect();
                }
            }
            Err(error) if error.kind == Kind::NotTflite => counts[1] += 1,
            Err(_) => counts[2] += 1,
        }
    }
    let [read, no_file, unsupported] = counts;
    println!("of {rounds}: {read} read, {no_file} not TFLite, {unsupported} refused by name");
    assert!(read > 0 && no_file > 0 && unsupported > 0, "{counts:?}");
}

fn run(detector: &mut Detector, input: &Path) -> Vec<Detection> {
    let (tensor, width, height) = detector.input();
    assert_eq!((width, height), (300, 300));
    tensor.copy_from_slice(&std::fs::read(input).expect("a golden input"));
    detector.detect().to_vec()
}

fn decode(path: &Path) -> (Vec<u8>, u32, u32) {
    use zune_jpeg::zune_core::bytestream::ZCursor;
    let bytes = std::fs::read(path).expect("the picture reads");
    let mut decoder = zune_jpeg::JpegDecoder::new(ZCursor::new(bytes));
    let rgb = decoder.decode().expect("the picture decodes");
    let (width, height) = decoder.dimensions().expect("it has sides");
    let side = |side| u32::try_from(side).expect("a small side");
    (rgb, side(width), side(height))
}
