//! Whole models on real pictures, to the byte, with every kernel set.

use edge::model::Network;
use edge_infer::{Isa, Target};
use harness::data;
use harness::pixels::input;
use sha1_smol::Sha1;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

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
