//! The fuzz targets on a stable toolchain: their corpora, and mutations of them from fixed
//! seeds. `tests/fuzz/` runs the same bodies under libFuzzer.

use harness::data::repository;
use harness::fuzz::TARGETS;
use harness::rounds;
use std::fs;

/// Mutations of each target's corpus in a whole run.
const MUTATIONS: u64 = 2_000_000;
/// Targets whose inputs cost more, and by how much fewer they get: an offer that is answered
/// begins a whole session.
const COSTLY: &[(&str, u64)] = &[("sdp", 20)];
/// The longest input that mutation makes, bytes.
const LONGEST: usize = 70_000;
/// Values that parsers stumble over.
const ODD: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xff\xff",
    b"\x7f\xff",
    b"{",
    b"}",
    b"[",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b",",
    b":",
    b"%",
    b"%00",
    b"&",
    b"=",
    b"..",
    b"/",
    b"\r\n",
    b"null",
    b"-1",
    b"1e309",
    b"\xf0\x9f\xa6\x89",
    b"\xc0",
];

/// xorshift64*: the same inputs on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).map_or(0, |it| it % bound.max(1))
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = repository().join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .flatten()
        .map(|it| it.path())
        .collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).expect("a corpus file can be read")).collect()
}

/// A few changes at random places.
fn mutate(input: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 => input.truncate(at),
            1 => input.insert(at, u8::try_from(random.below(256)).unwrap_or(0)),
            2 => drop(input.splice(at..at, ODD[random.below(ODD.len())].iter().copied())),
            3 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                drop(input.splice(at.., other[from..].iter().copied()));
            }
            4 if at < input.len() => drop(input.remove(at)),
            5 if at < input.len() => {
                let piece = input[at..].to_vec();
                input.extend(piece);
            }
            _ if at < input.len() => input[at] ^= 1 << random.below(8),
            _ => {}
        }
        input.truncate(LONGEST);
    }
}

/// Runs one target; a panic names the input.
fn hold(name: &str, body: harness::fuzz::Body, input: &[u8]) {
    let stood = std::panic::catch_unwind(|| body(input)).is_ok();
    assert!(
        stood,
        "{name} does not stand {} bytes: {:?}",
        input.len(),
        String::from_utf8_lossy(input)
    );
}

#[test]
fn every_target_stands_its_corpus() {
    for (name, body) in TARGETS {
        let seeds = corpus(name);
        assert!(!seeds.is_empty(), "{name} has a corpus");
        let ones = (0..32).map(|length| vec![0xff; length]);
        for input in seeds.into_iter().chain(ones) {
            hold(name, *body, &input);
        }
    }
}

#[test]
fn every_target_stands_seeded_mutations() {
    std::thread::scope(|scope| {
        for (name, body) in TARGETS {
            scope.spawn(move || {
                let seeds = corpus(name);
                let mut random = Random(0x6e69_6768_746a_6172);
                let costly = COSTLY.iter().find(|(costly, _)| costly == name);
                for _ in 0..rounds(MUTATIONS / costly.map_or(1, |it| it.1)) {
                    let mut input = seeds[random.below(seeds.len())].clone();
                    mutate(&mut input, &seeds, &mut random);
                    hold(name, *body, &input);
                }
            });
        }
    });
}

#[test]
fn every_target_is_a_cargo_fuzz_target() {
    let manifest =
        fs::read_to_string(repository().join("tests/fuzz/Cargo.toml")).expect("a manifest");
    for (name, _) in TARGETS {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name} in tests/fuzz/Cargo.toml"
        );
        let file = repository().join(format!("tests/fuzz/targets/{name}.rs"));
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            text.contains(&format!("harness::fuzz::{name}(")),
            "{} calls its body",
            file.display()
        );
    }
}
