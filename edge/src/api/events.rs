//! Events: lists, one, its pictures, what its owner does with it.

use super::{House, Refusal, Response};
use crate::store::{self, Picture};
use edge_core::event::{Event, EventId};
use edge_core::rest::body::{EVENT_BYTES, event_json};
use edge_core::rest::{Method, json, query};

/// `GET /api/v1/events`.
pub(super) fn list(house: &House, query: &str) -> Result<Response, Refusal> {
    let page = house.store.list(&query::Events::parse(query)?)?;
    let mut body = b"{\"events\":".to_vec();
    array(&mut body, &page.events, |event, buf: &mut [u8; EVENT_BYTES]| event_json(event, buf))?;
    match page.next {
        Some(id) => body.extend_from_slice(format!(",\"next\":\"{id}\"}}").as_bytes()),
        None => body.extend_from_slice(b",\"next\":null}"),
    }
    Ok(Response::json_bytes(body))
}

/// Writes events as a JSON array, each through a buffer of `N` bytes.
pub(super) fn array<const N: usize>(
    body: &mut Vec<u8>,
    events: &[Event],
    write: impl Fn(&Event, &mut [u8; N]) -> Option<usize>,
) -> Result<(), Refusal> {
    let mut buf = [0; N];
    body.push(b'[');
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        let length = write(event, &mut buf).ok_or(Refusal::Internal)?;
        body.extend_from_slice(&buf[..length]);
    }
    body.push(b']');
    Ok(())
}

/// `GET`, `PUT` and `DELETE /api/v1/events/{id}`.
pub(super) fn one(
    house: &House,
    id: EventId,
    method: Method,
    body: &[u8],
) -> Result<Response, Refusal> {
    let event = match method {
        Method::Delete => {
            let there = house.store.delete(id)?;
            return if there { Ok(Response::empty()) } else { Err(Refusal::NotFound) };
        }
        Method::Put => {
            let json::Flags { favourite, reviewed } = json::Flags::parse(body)?;
            house.store.set(id, favourite, reviewed)?
        }
        Method::Get | Method::Post => house.store.get(id)?,
    };
    let mut buf = vec![0; EVENT_BYTES];
    let length = event_json(&event.ok_or(Refusal::NotFound)?, &mut buf).ok_or(Refusal::Internal)?;
    buf.truncate(length);
    Ok(Response::json_bytes(buf))
}

/// A picture that was looked up.
pub(super) fn picture(picture: Result<Option<Picture>, store::Error>) -> Result<Response, Refusal> {
    picture?.map(Response::picture).ok_or(Refusal::NotFound)
}
