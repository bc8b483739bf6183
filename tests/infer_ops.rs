//! Every operator and small graph of the golden vectors, to the bit, with every kernel set.

use edge::model::Network;
use edge_infer::{Isa, Target};
use harness::vectors::{Case, cases};
use std::path::Path;
use std::sync::Arc;

/// What differs from the golden outputs, in words.
fn failure(case: &Case, target: Target) -> Option<String> {
    let network = match Network::from_bytes(target, Path::new(&case.name), &case.model) {
        Ok(network) => Arc::new(network),
        Err(error) => return Some(error.to_string()),
    };
    let mut arena = network.arena();
    for (at, input) in case.inputs.iter().enumerate() {
        if !arena.write(at, input) {
            return Some(format!("input {at} of {} bytes is not taken", input.len()));
        }
    }
    arena.run();
    let outputs: Vec<_> = (0..network.outputs().len()).map(|at| arena.read(at)).collect();
    let lengths = |list: &[Vec<u8>]| list.iter().map(Vec::len).collect::<Vec<_>>();
    if lengths(&outputs) != lengths(&case.outputs) {
        return Some(format!("outputs of {:?} bytes", lengths(&outputs)));
    }
    let pairs = outputs.iter().flatten().zip(case.outputs.iter().flatten());
    let differ = pairs.clone().filter(|(a, b)| a != b).count();
    (differ > 0).then(|| format!("{differ} of {} bytes differ", pairs.count()))
}

#[test]
fn every_case_equals_tflite_to_the_bit() {
    let cases = cases("infer");
    assert!(cases.len() > 250, "{} cases", cases.len());
    let mut failures = Vec::new();
    for isa in Isa::all() {
        for ways in [1, 3] {
            let target = Target { isa, ways };
            let failed = |case| {
                let words = failure(case, target)?;
                Some(format!("{} on {}, {ways} ways: {words}", case.name, isa.name()))
            };
            failures.extend(cases.iter().filter_map(failed));
        }
    }
    let (count, list) = (failures.len(), failures.join("\n  "));
    assert!(failures.is_empty(), "{count} of {} cases fail:\n  {list}", cases.len());
}
