//! Reads golden containers: small graphs, inputs, and what TFLite made of them. The format is
//! described in `tests/infer/golden.py`.

use crate::data::repository;
use std::fs;

/// One graph on one set of inputs.
#[derive(Debug)]
pub struct Case {
    /// Which operator, and what of it.
    pub name: String,
    /// The file.
    pub model: Vec<u8>,
    /// Bytes in the file's own types.
    pub inputs: Vec<Vec<u8>>,
    /// What is expected.
    pub outputs: Vec<Vec<u8>>,
}

/// The cases of every container in a folder of `tests/vectors`, in the order of their names.
pub fn cases(folder: &str) -> Vec<Case> {
    let folder = repository().join("tests/vectors").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the vectors are there")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "golden"))
        .collect();
    files.sort();
    let of = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        container(&name, &fs::read(&path).expect("a container reads"))
    };
    files.into_iter().flat_map(of).collect()
}

fn container(name: &str, bytes: &[u8]) -> Vec<Case> {
    let mut bytes = bytes.strip_prefix(b"NJG1").expect("a container");
    let bytes = &mut bytes;
    let cases = (0..number(bytes)).map(|_| {
        let name = format!("{name}: {}", String::from_utf8_lossy(&counted(bytes)));
        // Who ran it.
        taken(bytes, 1);
        let model = counted(bytes);
        let inputs = (0..number(bytes)).map(|_| counted(bytes)).collect();
        let outputs = (0..number(bytes)).map(|_| counted(bytes)).collect();
        Case { name, model, inputs, outputs }
    });
    let cases = cases.collect();
    assert!(bytes.is_empty(), "{name} ends with its last case");
    cases
}

fn number(bytes: &mut &[u8]) -> u32 {
    let four = taken(bytes, 4);
    u32::from_le_bytes(four.try_into().expect("four bytes"))
}

fn counted(bytes: &mut &[u8]) -> Vec<u8> {
    let length = number(bytes);
    taken(bytes, usize::try_from(length).expect("small")).to_vec()
}

fn taken<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at_checked(length).expect("a whole container");
    *bytes = rest;
    taken
}
