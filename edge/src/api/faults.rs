//! Test routes of the cargo feature `faults`, never in a release: slow, failing and sized answers.

use super::{Cache, House, Refusal, Response};
use edge_core::rest::path::Fault;
use edge_core::rest::query::find_number;
use std::time::Duration;

/// Slowest answer, seconds.
const SLOW_S: u64 = 60;
/// Longest answer, bytes.
const BYTES: u64 = 16 * 1024 * 1024;

/// `GET /api/v1/test/slow?s=N`, `panic`, `bytes?n=N`, `stall?part=NAME`.
pub(super) fn answer(house: &House, fault: Fault, query: &str) -> Result<Response, Refusal> {
    let wanted = |key, most| {
        let number = find_number(query, key).filter(|number| *number <= most);
        number.ok_or(Refusal::Field(key, "a number that is not too large"))
    };
    match fault {
        Fault::Slow => {
            std::thread::sleep(Duration::from_secs(wanted("s", SLOW_S)?));
            Ok(Response::json_bytes(b"\"slow\"".into()))
        }
        Fault::Panic => panic!("asked to"),
        Fault::Stall => {
            let part = query.strip_prefix("part=").unwrap_or_default();
            let found = house.vitals.stall(part);
            found.then(Response::empty).ok_or(Refusal::Field("part", "a name in status"))
        }
        Fault::Bytes => {
            let count = usize::try_from(wanted("n", BYTES)?).map_err(|_| Refusal::Internal)?;
            let content_type = "application/octet-stream";
            // Piece by piece: this is what the link's cost is measured with.
            let piece: [u8; 251] = std::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
            let mut body = piece.repeat(count.div_ceil(piece.len()));
            body.truncate(count);
            Ok(Response { status: 200, content_type, etag: None, cache: Cache::Never, body })
        }
    }
}
