//! Whole models on real pictures, to the byte, with every kernel set.

use edge::model::Network;
use edge_infer::{Element, Isa, Target, Tensor};
use harness::data;
use sha1_smol::Sha1;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Sides of the golden tensors.
const SIDE: usize = 300;

/// What TFLite made of a picture, as `tests/infer/models.py` wrote it.
#[derive(Debug)]
struct Line {
    model: String,
    picture: String,
    output: usize,
    length: usize,
    digest: String,
}

fn lines() -> Vec<Line> {
    let path = data::repository().join("tests/vectors/infer/models.txt");
    let text = fs::read_to_string(path).expect("the golden outputs read");
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [model, picture, output, length, digest, ..] = *words else { panic!("{line}") };
        Line {
            model: model.into(),
            picture: picture.into(),
            output: output.parse().expect("a number"),
            length: length.parse().expect("a number"),
            digest: digest.into(),
        }
    };
    text.lines().map(line).collect()
}

/// A picture in the file's own type: the nearest pixel for each place, grey by whole numbers,
/// real numbers from -1 to 1.
fn input(picture: &[u8], form: Tensor) -> Vec<u8> {
    let [rows, columns, channels] = form.shape.as_picture().expect("a picture");
    let mut bytes = Vec::new();
    for at in 0..rows * columns {
        let (row, column) = (at / columns * SIDE / rows, at % columns * SIDE / columns);
        let pixel = &picture[(row * SIDE + column) * 3..][..3];
        let [r, g, b] = [0, 1, 2].map(|at| u32::from(pixel[at]));
        let grey = u8::try_from((77 * r + 150 * g + 29 * b) >> 8).expect("a byte");
        let grey = [grey];
        for value in if channels == 1 { &grey } else { pixel } {
            match form.element {
                Element::U8(_) => bytes.push(*value),
                Element::I8(_) => bytes.push(value ^ 0x80),
                _ => bytes.extend(((f32::from(*value) - 127.5) / 127.5).to_le_bytes()),
            }
        }
    }
    bytes
}

/// The outputs of one model for one picture.
fn outputs(network: &Arc<Network>, picture: &Path) -> Vec<Vec<u8>> {
    let pixels = fs::read(picture).expect("a golden input");
    let mut arena = network.arena();
    assert!(arena.write(0, &input(&pixels, network.inputs()[0])));
    arena.run();
    (0..network.outputs().len()).map(|at| arena.read(at)).collect()
}

#[test]
fn whole_models_equal_tflite_to_the_byte() {
    let name = "whole_models_equal_tflite_to_the_byte";
    let lines = lines();
    let models: BTreeSet<&str> = lines.iter().map(|line| line.model.as_str()).collect();
    assert_eq!(models.len(), 4);
    for model in models {
        let wanted = [data::model(&format!("{model}.tflite")), data::golden("ssd_v1.json")];
        let Some([path, golden]) = data::all(name, wanted) else { return };
        for target in Isa::all().flat_map(|isa| [1, 2].map(|ways| Target { isa, ways })) {
            let network = Network::load(target, &path).unwrap_or_else(|error| panic!("{error}"));
            println!("{model}: {network}");
            let mine: Vec<&Line> = lines.iter().filter(|line| line.model == model).collect();
            let pictures: BTreeSet<&str> = mine.iter().map(|line| &*line.picture).collect();
            for picture in pictures {
                let found =
                    outputs(&network, &golden.with_file_name(format!("{picture}.input.u8")));
                for line in mine.iter().filter(|line| line.picture == picture) {
                    let output = &found[line.output];
                    let digest = Sha1::from(output).digest().to_string();
                    let is = (output.len(), digest.as_str());
                    assert_eq!(is, (line.length, &*line.digest), "{line:?}, {network}");
                }
            }
        }
    }
}
