//! The body of an HTTP answer whose connection has ended (RFC 9112 section 6.3).
#![deny(clippy::indexing_slicing)]

use alloc::vec::Vec;

/// The body in `bytes`, all that came after the head: chunk by chunk, or of `length` as
/// Content-Length says it, or all of it. `None` where it is not whole.
pub fn body(bytes: &[u8], is_chunked: bool, length: Option<&str>) -> Option<Vec<u8>> {
    if is_chunked {
        return unchunk(bytes);
    }
    let bytes = match length {
        Some(length) => bytes.get(..length.trim().parse().ok()?)?,
        None => bytes,
    };
    Some(bytes.to_vec())
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(rest) else {
            return None;
        };
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            return Some(body);
        }
        let end = line.checked_add(size)?;
        body.extend_from_slice(rest.get(line..end)?);
        rest = rest.get(end.checked_add(2)?..)?;
    }
}
