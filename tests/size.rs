//! How much code the inference engine adds to the shipped edge.

use harness::data::left_out;
use harness::program::binary;
use std::process::Command;

/// What the engine may take, bytes: a C++ library for the same takes millions.
const ENGINE_MAX: u64 = 400_000;

#[test]
fn the_engine_is_small() {
    let listed = Command::new("nm").arg("--print-size").arg(binary("nightjar-edge")).output();
    let Ok(listed) = listed else { return left_out("the_engine_is_small", "no nm (binutils)") };
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let size = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (size, kind, name) = (words.next()?, words.next()?, words.next()?);
        let ours = matches!(kind, "t" | "T" | "r" | "R") && name.contains("edge_infer");
        ours.then(|| u64::from_str_radix(size, 16).ok()).flatten()
    };
    let sizes: Vec<u64> = text.lines().filter_map(size).collect();
    let whole: u64 = sizes.iter().sum();
    println!("edge-infer in nightjar-edge: {whole} bytes in {} symbols", sizes.len());
    assert!(sizes.len() > 10, "its symbols are there: {} of {}", sizes.len(), text.len());
    assert!(whole < ENGINE_MAX, "{whole} bytes of code, at most {ENGINE_MAX} are wanted");
}
