//! The box itself: status, cameras, its name, its phones.

use super::{Cache, House, Refusal, Response};
use crate::camera::CameraStatus;
use crate::principal::Principal;
use edge_core::rest::body::{Camera, Card, Paired, Pairing, Part, Phone, Status};
use edge_core::rest::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a snapshot may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(3);

/// `GET /api/v1/status`.
pub(super) fn status(house: &House) -> Result<Response, Refusal> {
    let figures = house.store.figures()?;
    let states = house.board.status();
    let cameras: Vec<_> = states.iter().map(camera).collect();
    let now = house.clock.now();
    let ages = house.vitals.ages(now);
    let parts: Vec<_> = ages.iter().map(|(name, age_ms)| Part { name, age_ms: *age_ms }).collect();
    Response::json(&Status {
        name: &house.name(),
        version: env!("CARGO_PKG_VERSION"),
        peer_id: &house.peer_id,
        model: house.model_name.as_deref(),
        uptime_ms: now.0,
        clock_set: house.clock.unix_ms().is_plausible(),
        cameras: &cameras,
        store: Card {
            events: figures.events,
            bytes: figures.bytes,
            oldest_ms: figures.oldest.map(|at| at.0),
            scrubbed_ms: figures.scrubbed.map(|at| at.0),
            rebuilding: figures.rebuilding,
            quarantined: figures.quarantined,
            commits: figures.commits,
        },
        sessions: house.sessions.load(Ordering::Relaxed),
        rss_bytes: resident_bytes(),
        pairing_open: house.door.is_open(now),
        safe: house.safe,
        parts: &parts,
    })
}

fn camera(state: &CameraStatus) -> Camera<'_> {
    Camera {
        name: &state.name,
        kind: state.kind,
        state: state.state,
        message: &state.message,
        width: state.width,
        height: state.height,
        fps: state.fps,
        last_frame_ms: state.last_frame.map(|at| at.0),
        inferences: state.inferences,
    }
}

/// `GET /api/v1/cameras`.
pub(super) fn cameras(house: &House) -> Result<Response, Refusal> {
    let states = house.board.status();
    let cameras: Vec<_> = states.iter().map(camera).collect();
    Response::json(cameras.as_slice())
}

/// `GET /api/v1/cameras/{name}/snapshot`.
pub(super) fn snapshot(house: &House, name: &str) -> Result<Response, Refusal> {
    if house.board.status().iter().all(|state| state.name != name) {
        return Err(Refusal::NotFound);
    }
    let jpeg = house.board.snapshot(name, SNAPSHOT_WITHIN).ok_or(Refusal::NoPicture)?;
    let (etag, cache) = (None, Cache::Never);
    Ok(Response { status: 200, content_type: "image/jpeg", etag, cache, body: jpeg.to_vec() })
}

/// `PUT /api/v1/device`.
pub(super) fn rename(house: &House, body: &[u8]) -> Result<Response, Refusal> {
    house.store.set_name(&json::name(body)?)?;
    status(house)
}

/// `POST /api/v1/pair`.
pub(super) fn pair(house: &House, body: &[u8]) -> Result<Response, Refusal> {
    let (name, first) = (json::name(body)?, json::may_be_first(body)?);
    let (id, token) = house.door.pair(house.clock.now(), &name, first)?;
    Response::json(&Paired { token: &token, id })
}

/// `POST /api/v1/pairing`.
pub(super) fn open_pairing(house: &House) -> Result<Response, Refusal> {
    let now = house.clock.now();
    let open_ms = house.door.open(now).since_ms(now);
    Response::json(&Pairing { until_ms: house.clock.unix_ms().0.saturating_add(open_ms) })
}

/// `GET /api/v1/clients`.
pub(super) fn clients(house: &House, principal: Principal) -> Result<Response, Refusal> {
    let clients = house.store.clients();
    let phones = clients.iter().map(|client| Phone {
        id: client.id,
        name: &client.name,
        paired_ms: client.paired.0,
        last_used_ms: client.last_used.map(|at| at.0),
        this: principal == Principal::Client(client.id),
    });
    let phones: Vec<Phone<'_>> = phones.collect();
    Response::json(phones.as_slice())
}

/// `DELETE /api/v1/clients/{id}`.
pub(super) fn revoke(house: &House, id: u64) -> Result<Response, Refusal> {
    let known = house.store.revoke(id)?;
    if known { Ok(Response::empty()) } else { Err(Refusal::NotFound) }
}

/// Memory this process holds, as Linux counts it; 0 elsewhere.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
