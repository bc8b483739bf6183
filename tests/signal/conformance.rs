//! The conformance list S1 to S26 counted: every number stands in the doc comment of a test in
//! virtual time and of one over real sockets, or below with the reason why not.
//!
//! ```text
//! S1   GET {key}/id: a UUID4 as text        S14  LEAVE with and without dst
//! S2   GET {key}/peers: 401                 S15  room id: by network, 40 hex digits
//! S3   CORS, preflight                      S16  join an object, members an array, leave
//! S4   missing or wrong parameters: ERROR   S17  the texts of 401
//! S5   a new id: OPEN                       S18  a member is gone with its socket
//! S6   another token: ID-TAKEN              S19  forwarded headers, foreign rooms
//! S7   the same token takes over            S20  IPv6 by /64
//! S8   relay keeps four members, forces src S21  bounds of memory, size and rate
//! S9   noise is ignored                     S22  a prefix of the path
//! S10  a queue for who comes late           S23  no description in any log
//! S11  EXPIRE, once, to who understands     S24  npm peerjs, unmodified
//! S12  silence, HEARTBEAT, pings            S25  PyPI peerjs, unmodified
//! S13  too many clients: ERROR              S26  a dead holder gives way
//! ```

use harness::data::repository;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// How many there are.
const LAST: u8 = 26;

/// What a realm without sockets cannot show, and why.
const NOT_IN_VIRTUAL_TIME: &[(u8, &str)] = &[
    (1, "an HTTP route"),
    (2, "an HTTP route"),
    (3, "HTTP headers"),
    (22, "where HTTP routes lie"),
    (24, "foreign clients: npm peerjs, in tests/browser/peerjs.test.mjs"),
    (25, "a foreign client: PyPI peerjs, in tests/signal/python.rs"),
];

/// The numbers in doc comments (`/// S1, S2: ...`) of the files below `folder`.
fn numbers(folder: &str, extension: &str) -> BTreeSet<u8> {
    let mut found = BTreeSet::new();
    let mut folders = vec![repository().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.extend(marks(&path));
            }
        }
    }
    found
}

fn marks(path: &Path) -> BTreeSet<u8> {
    let text = fs::read_to_string(path).expect("a source file reads");
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let line = line.trim_start();
        let said = line.strip_prefix("/// ").or_else(|| line.strip_prefix("// "));
        for word in said.unwrap_or_default().split_inclusive([',', '.', ':', ' ']) {
            let word = word.trim_end();
            let number = word.strip_prefix('S').map(|it| it.trim_end_matches([',', '.', ':']));
            match number.and_then(|it| it.parse().ok()) {
                Some(number) => found.insert(number),
                None if word.is_empty() => continue,
                // A mark stands at the beginning of a line, or not at all.
                None => break,
            };
        }
    }
    found
}

#[test]
fn every_number_of_the_list_has_its_tests() {
    let all: BTreeSet<u8> = (1..=LAST).collect();
    let excused: BTreeSet<u8> = NOT_IN_VIRTUAL_TIME.iter().map(|(number, _)| *number).collect();
    let held = numbers("signal/proto/src", "rs");
    let missing: Vec<_> = all.difference(&held).filter(|it| !excused.contains(it)).collect();
    assert!(missing.is_empty(), "no test in virtual time: S{missing:?}");
    let both: Vec<_> = held.intersection(&excused).collect();
    assert!(both.is_empty(), "excused, yet held: S{both:?}");
    let mut real = numbers("tests/signal", "rs");
    real.extend(numbers("tests/browser", "mjs"));
    let missing: Vec<_> = all.difference(&real).collect();
    assert!(missing.is_empty(), "no test over real sockets: S{missing:?}");
}
