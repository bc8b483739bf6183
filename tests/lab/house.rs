//! What the box of the lab answers: bodies that follow from their names, and what it was told.

use crate::network::Dice;
use edge::api::{Cache, Response};
use edge::peer::Work;
use sha1_smol::Sha1;
use std::collections::BTreeMap;

/// Longest body of a request, bytes, as the specification has it.
pub(crate) const BODY_BYTES: usize = 64 * 1024;
/// Bytes by which a body is longer in each version.
const LONGER: usize = 977;

/// The API, and its memory.
#[derive(Debug, Default)]
pub(crate) struct House {
    /// Of every tagged body: so many times they have changed.
    pub(crate) version: u32,
    /// What was put, by path: how often, and what.
    pub(crate) put: BTreeMap<String, (u32, String)>,
    sums: BTreeMap<(String, u32), String>,
}

impl House {
    /// `/tagged/NAME/SIZE`, `/plain/NAME/SIZE`, `/status/NAME/STATUS`; PUT anywhere.
    pub(crate) fn answer(&mut self, work: &Work) -> Response {
        let path = work.head.path.as_str();
        if work.head.method == "PUT" {
            let sum = sha1(&work.body);
            let body = sum.clone().into_bytes();
            self.put.entry(path.to_owned()).or_insert((0, sum)).0 += 1;
            return response(200, None, body);
        }
        match kind(path) {
            "tagged" => response(200, Some(etag(self.version)), body(path, self.version)),
            "status" => response(u16::try_from(size(path)).expect("a status"), None, Vec::new()),
            _ => response(200, None, body(path, 0)),
        }
    }

    /// The sum of what that path held with that entity tag.
    pub(crate) fn sum(&mut self, path: &str, etag: Option<&str>) -> Option<&str> {
        let version = match etag {
            Some(etag) => etag.trim_matches('"').strip_prefix('v')?.parse().ok()?,
            None => 0,
        };
        if version > self.version {
            return None;
        }
        let key = (path.to_owned(), version);
        Some(self.sums.entry(key).or_insert_with(|| sha1(&body(path, version))))
    }
}

fn response(status: u16, etag: Option<String>, body: Vec<u8>) -> Response {
    Response { status, content_type: "x/y", etag, cache: Cache::Never, body }
}

fn etag(version: u32) -> String {
    format!("\"v{version}\"")
}

pub(crate) fn sha1(bytes: &[u8]) -> String {
    Sha1::from(bytes).digest().to_string()
}

/// The first word of a path.
pub(crate) fn kind(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

/// The number at its end.
pub(crate) fn size(path: &str) -> usize {
    path.rsplit('/').next().and_then(|word| word.parse().ok()).expect("a size")
}

fn body(path: &str, version: u32) -> Vec<u8> {
    let length = size(path) + LONGER * version as usize;
    pattern(path.bytes().fold(u64::from(version), |sum, byte| sum * 31 + u64::from(byte)), length)
}

/// As many bytes as wanted, the same for the same seed.
pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&dice.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
