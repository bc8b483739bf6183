//! Float graphs run on tract, and tract tells whether the quantized engine computes the network.

use edge::model::{Model, Network, target};
use edge_core::decode::Detection;
use harness::data;
use harness::dequantized::dequantized;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MODEL: &str = "ssd_mobilenet_v1_coco_quant.tflite";
const PICTURES: [&str; 3] = ["person", "pets", "background"];

/// The model, and the folder of golden inputs.
fn wanted(test: &str) -> Option<(Vec<u8>, PathBuf)> {
    let [model, list] = data::all(test, [data::model(MODEL), data::golden("ssd_v1.json")])?;
    let folder = list.parent().expect("a folder").to_owned();
    Some((fs::read(model).expect("the model reads"), folder))
}

fn pixels(folder: &Path, picture: &str) -> Vec<u8> {
    fs::read(folder.join(format!("{picture}.input.u8"))).expect("a golden input")
}

/// The names of the heads, boxes and classes of each predictor.
fn heads() -> Vec<String> {
    let kinds = ["BoxEncodingPredictor", "ClassPredictor"];
    let head = |at| kinds.map(|kind| format!("BoxPredictor_{at}/{kind}/BiasAdd"));
    (0..6).flat_map(head).collect()
}

/// The heads of the graph of real numbers, run by tract.
fn real_heads(model: &[u8], pixels: &[u8]) -> Vec<Vec<f32>> {
    let names = heads();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let file = dequantized(model, Some(&names));
    let network = Network::from_bytes(target(2), Path::new("real"), &file);
    let network = Arc::new(network.unwrap_or_else(|error| panic!("{error}")));
    assert!(network.to_string().starts_with("tract, 1 thread"), "{network}");
    let mut arena = network.arena();
    let real = |pixel: &u8| ((f32::from(*pixel) - 127.5) / 127.5).to_le_bytes();
    assert!(arena.write(0, &pixels.iter().flat_map(real).collect::<Vec<_>>()));
    arena.run();
    let reals = |bytes: Vec<u8>| -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)).collect()
    };
    (0..names.len()).map(|at| reals(arena.read(at))).collect()
}

#[test]
fn heads_of_real_numbers_are_tflites() {
    let Some((model, folder)) = wanted("heads_of_real_numbers_are_tflites") else { return };
    let golden = data::repository().join("tests/vectors/infer/float_heads.txt");
    let golden = fs::read_to_string(golden).expect("golden heads");
    let (mut worst, mut compared) = (0.0_f32, 0);
    for picture in &PICTURES[..2] {
        let found = real_heads(&model, &pixels(&folder, picture));
        for line in golden.lines().filter(|line| line.starts_with(picture)) {
            let words: Vec<&str> = line.split(' ').collect();
            let at = heads().iter().position(|name| *name == words[1]).expect("a head");
            assert_eq!(found[at].len().to_string(), words[2]);
            let kept = found[at].iter().step_by(found[at].len().div_ceil(12));
            assert_eq!(kept.len(), words.len() - 3);
            for (ours, expect) in kept.zip(&words[3..]) {
                worst = worst.max((ours - expect.parse::<f32>().expect("a number")).abs());
                compared += 1;
            }
        }
    }
    println!("{compared} numbers, at most {worst} apart");
    assert!(compared > 250 && worst < 1e-3, "{compared} numbers, at most {worst} apart");
}

/// What the quantized engine computes is the network that tract computes, but for the steps it
/// is stored in.
#[test]
fn quantized_heads_are_the_oracles() {
    let Some((model, folder)) = wanted("quantized_heads_are_the_oracles") else { return };
    let quantized = Model::from_bytes(Path::new("ssd"), &model).expect("the model");
    let forms = quantized.network().outputs().to_vec();
    let mut detector = Arc::new(quantized).detector();
    for picture in PICTURES {
        let pixels = pixels(&folder, picture);
        let expect = real_heads(&model, &pixels);
        detector.input().0.copy_from_slice(&pixels);
        detector.run();
        for (at, (form, expect)) in forms.iter().zip(&expect).enumerate() {
            let quant = form.quant().expect("a quantized head");
            let ours = detector.head(at).iter().map(|it| quant.real(*it));
            assert_eq!(ours.len(), expect.len());
            let apart: f32 = ours.zip(expect).map(|(a, b)| (a - b).abs()).sum();
            let (mean, spread) = (apart / expect.len() as f32, spread(expect));
            println!("{picture} head {at}: {mean} apart on average, spread {spread}");
            assert!(mean < 0.06 * spread, "{picture} head {at}: {mean} of {spread}");
        }
    }
}

/// The mean distance from the mean.
fn spread(numbers: &[f32]) -> f32 {
    let mean =
        |numbers: &mut dyn Iterator<Item = f32>, count: usize| numbers.sum::<f32>() / count as f32;
    let middle = mean(&mut numbers.iter().copied(), numbers.len());
    mean(&mut numbers.iter().map(|it| (it - middle).abs()), numbers.len())
}

#[test]
fn a_float_detector_sees_what_the_quantized_one_sees() {
    let name = "a_float_detector_sees_what_the_quantized_one_sees";
    let Some((model, folder)) = wanted(name) else { return };
    let load = |bytes: &[u8]| {
        let model = Model::from_bytes(Path::new("ssd"), bytes);
        Arc::new(model.unwrap_or_else(|error| panic!("{error}")))
    };
    let (quantized, real) = (load(&model), load(&dequantized(&model, None)));
    println!("{}", real.network());
    assert!(real.network().to_string().starts_with("tract"));
    let (mut quantized, mut real) = (quantized.detector(), real.detector());
    let mut seen = 0;
    for picture in PICTURES {
        let pixels = pixels(&folder, picture);
        quantized.input().0.copy_from_slice(&pixels);
        real.input().0.copy_from_slice(&pixels);
        let found = real.detect().to_vec();
        let near = |a: &Detection, b: &Detection| {
            a.class == b.class && (a.score - b.score).abs() < 0.15 && a.bbox.iou(&b.bbox) > 0.7
        };
        for expect in quantized.detect().iter().filter(|it| it.score >= 0.5) {
            seen += 1;
            let there = found.iter().any(|it| near(it, expect));
            assert!(there, "{picture}: no {expect:?} in {found:#?}");
        }
    }
    assert!(seen >= 3, "{seen} seen");
}
