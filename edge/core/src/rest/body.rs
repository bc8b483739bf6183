//! JSON out: fixed shapes written into the caller's buffer.

use crate::event::Event;
use serde::Serialize;

/// Room for any event's JSON, bytes.
pub const EVENT_BYTES: usize = 1024;

/// One event as REST and the link's pushes show it.
#[derive(Serialize)]
struct EventBody<'a> {
    id: Hex,
    kind: &'static str,
    label: &'a str,
    camera: &'a str,
    started_ms: u64,
    ended_ms: Option<u64>,
    score: f32,
    r#box: [f32; 4],
    favourite: bool,
    reviewed: bool,
}

/// An id in its text form.
struct Hex(crate::event::EventId);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Writes one event as JSON; its length in `buf`, or `None` where it does not fit
/// ([`EVENT_BYTES`] always do).
pub fn event_json(event: &Event, buf: &mut [u8]) -> Option<usize> {
    let body = EventBody {
        id: Hex(event.id),
        kind: event.kind.word(),
        label: &event.label,
        camera: &event.camera,
        started_ms: event.started.0,
        ended_ms: event.ended.map(|at| at.0),
        score: event.score,
        r#box: event.bbox.xywh(),
        favourite: event.favourite,
        reviewed: event.reviewed,
    };
    serde_json_core::to_slice(&body, buf).ok()
}
