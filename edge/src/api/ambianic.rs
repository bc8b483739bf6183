//! Ambianic's REST for its own clients, with its quirks repaired: pages neither repeat nor lose
//! events and may be decimals, times are UTC, and no configuration leaves the box.

use super::{House, Refusal, Response, events};
use edge_core::event::EventId;
use edge_core::rest::body::{AmbianicStatus, TIMELINE_BYTES, args_json, timeline_json};
use edge_core::rest::path::File;
use edge_core::rest::{json, query};

/// What `GET /` says: Ambianic's UI looks for its name in it.
pub(super) const GREETING: &str = "\"Nightjar, an Ambianic Edge compatible device\"";

/// `GET /api/status`.
pub(super) fn status(house: &House) -> Result<Response, Refusal> {
    Response::json(&AmbianicStatus {
        status: "OK",
        version: env!("CARGO_PKG_VERSION"),
        display_name: &house.name(),
        notifications_enabled: house.store.notifications(),
    })
}

/// `GET /api/timeline?page=N`.
pub(super) fn timeline(house: &House, query: &str) -> Result<Response, Refusal> {
    let wanted = query::Events::parse_timeline(query)
        .map_err(|error| Refusal::Unprocessable(error.field, error.expected))?;
    let page = house.store.list(&wanted)?;
    let mut body = b"{\"status\":\"success\",\"timeline\":".to_vec();
    events::array(&mut body, &page.events, |event, buf: &mut [u8; TIMELINE_BYTES]| {
        timeline_json(event, buf)
    })?;
    body.push(b'}');
    Ok(Response::json_bytes(body))
}

/// `GET /api/data/{rel_dir}/{file}`.
pub(super) fn data(house: &House, id: EventId, file: File) -> Result<Response, Refusal> {
    match file {
        File::Thumbnail => events::picture(house.store.thumbnail(id)),
        File::Picture => events::picture(house.store.picture(id)),
        File::Args => {
            let event = house.store.get(id)?.ok_or(Refusal::NotFound)?;
            let mut buf = vec![0; TIMELINE_BYTES];
            let length = args_json(&event, &mut buf).ok_or(Refusal::Internal)?;
            buf.truncate(length);
            Ok(Response::json_bytes(buf))
        }
    }
}

/// `GET /api/device/display_name` and `PUT /api/device/display_name/{name}`.
pub(super) fn display_name(house: &House, name: Option<&str>) -> Result<Response, Refusal> {
    let Some(name) = name else { return Response::json(house.name().as_str()) };
    let expected = "a text of 1 to 64 bytes without control characters";
    let name = json::check_name(name).ok_or(Refusal::Unprocessable("name", expected))?;
    house.store.set_name(&name)?;
    Ok(Response::empty())
}

/// `PUT /api/notifications/enable/{true|false}`: remembered, so that a client reads back what
/// it put.
pub(super) fn notifications(house: &House, wanted: Option<bool>) -> Result<Response, Refusal> {
    let wanted = wanted.ok_or(Refusal::Unprocessable("enabled", "true or false"))?;
    house.store.set_notifications(wanted)?;
    Ok(Response::empty())
}
