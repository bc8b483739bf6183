//! Paths to routes. Total: any text gives a route or a refusal, decoded exactly once.
//!
//! Absent on purpose: files, folders and URLs. A path names an event, a camera or a verb of
//! ours; there is nothing to climb out of.
#![deny(clippy::indexing_slicing)]

use super::Method;
use crate::event::EventId;
use heapless::{String, Vec};

/// Longest path segment once decoded, bytes.
pub const SEGMENT_BYTES: usize = 64;
/// Longest path, bytes.
pub const PATH_BYTES: usize = 1024;
/// More segments than any route has.
const SEGMENTS: usize = 6;

/// One decoded segment.
pub type Segment = String<SEGMENT_BYTES>;

/// Why a path is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Not a path at all: no leading slash, a bad escape, a control byte, `..`.
    Malformed,
    /// A path, but nothing lies there.
    NotFound,
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/`
    Root,
    /// `/healthcheck`
    Healthcheck,
    /// `/api/ping`
    Ping,
    /// `/api/status`: Ambianic's.
    AmbianicStatus,
    /// `/api/timeline` and `/api/timeline.json`
    Timeline,
    /// `/api/data/{rel_dir}/{file}`: a picture of one event, or its `args`.
    Data(EventId, File),
    /// `/api/device/display_name`, with or without a name (which may be empty).
    DisplayName(Option<Segment>),
    /// `/api/notifications/enable/{true|false}`; `None` for another word.
    Notifications(Option<bool>),
    /// `/api/notifications/test`
    NotificationsTest,
    /// `/api/integrations/ifttt/api_key/{key}`
    Ifttt,
    /// `/api/v1/openapi.json`
    OpenApi,
    /// `/api/v1/status`
    Status,
    /// `/api/v1/events`
    Events,
    /// `/api/v1/events/{id}`
    Event(EventId),
    /// `/api/v1/events/{id}/thumbnail`
    Thumbnail(EventId),
    /// `/api/v1/events/{id}/picture`
    Picture(EventId),
    /// `/api/v1/cameras`
    Cameras,
    /// `/api/v1/cameras/{name}/snapshot`
    Snapshot(Segment),
    /// `/api/v1/device`
    Device,
    /// `/api/v1/pair`
    Pair,
    /// `/api/v1/pairing`
    Pairing,
    /// `/api/v1/clients`
    Clients,
    /// `/api/v1/clients/{id}`
    Client(u64),
    /// `/api/v1/system`
    System,
    /// `/api/v1/system/update`
    Update,
    /// `/api/v1/system/wifi`
    Wifi,
    /// `/api/v1/system/reset`
    Reset,
    /// `/api/v1/system/restart`
    Restart,
    /// `/api/v1/test/slow`, `panic`, `bytes`: only with the shell's feature `faults`.
    Test(Fault),
}

/// A file of `/api/data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `thumbnail.jpg`
    Thumbnail,
    /// `picture.jpg`
    Picture,
    /// `event.json`
    Args,
}

/// What a test route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers after `s` seconds.
    Slow,
    /// Panics.
    Panic,
    /// Answers with `n` bytes.
    Bytes,
    /// Has a part stand still.
    Stall,
}

impl File {
    /// The name in the path.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Thumbnail => "thumbnail.jpg",
            Self::Picture => "picture.jpg",
            Self::Args => "event.json",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Thumbnail, Self::Picture, Self::Args].into_iter().find(|file| file.name() == name)
    }
}

impl Route {
    /// Reads a path without its query. Never panics, whatever the text.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let rest = path.strip_prefix('/').ok_or(Error::Malformed)?;
        if path.len() > PATH_BYTES {
            return Err(Error::NotFound);
        }
        let mut decoded: Vec<Segment, SEGMENTS> = Vec::new();
        for raw in rest.split('/') {
            decoded.push(decode(raw)?).map_err(|_| Error::NotFound)?;
        }
        let segments: Vec<&str, SEGMENTS> = decoded.iter().map(String::as_str).collect();
        match segments.as_slice() {
            [""] => Some(Self::Root),
            ["healthcheck"] => Some(Self::Healthcheck),
            ["api", "v1", rest @ ..] => Self::parse_v1(rest),
            ["api", rest @ ..] => Self::parse_ambianic(rest),
            _ => None,
        }
        .ok_or(Error::NotFound)
    }

    fn parse_v1(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            ["openapi.json"] => Self::OpenApi,
            ["status"] => Self::Status,
            ["events"] => Self::Events,
            ["events", id] => Self::Event(EventId::parse(id)?),
            ["events", id, "thumbnail"] => Self::Thumbnail(EventId::parse(id)?),
            ["events", id, "picture"] => Self::Picture(EventId::parse(id)?),
            ["cameras"] => Self::Cameras,
            ["cameras", name, "snapshot"] => Self::Snapshot(Segment::try_from(*name).ok()?),
            ["device"] => Self::Device,
            ["pair"] => Self::Pair,
            ["pairing"] => Self::Pairing,
            ["clients"] => Self::Clients,
            ["clients", id] => Self::Client(number(id)?),
            ["system"] => Self::System,
            ["system", "update"] => Self::Update,
            ["system", "wifi"] => Self::Wifi,
            ["system", "reset"] => Self::Reset,
            ["system", "restart"] => Self::Restart,
            ["test", "slow"] => Self::Test(Fault::Slow),
            ["test", "panic"] => Self::Test(Fault::Panic),
            ["test", "bytes"] => Self::Test(Fault::Bytes),
            ["test", "stall"] => Self::Test(Fault::Stall),
            _ => return None,
        })
    }

    fn parse_ambianic(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            ["ping"] => Self::Ping,
            ["status"] => Self::AmbianicStatus,
            ["timeline" | "timeline.json"] => Self::Timeline,
            ["data", id, file] => Self::Data(EventId::parse(id)?, File::from_name(file)?),
            ["device", "display_name"] => Self::DisplayName(None),
            ["device", "display_name", name] => Self::DisplayName(Segment::try_from(*name).ok()),
            ["notifications", "test"] => Self::NotificationsTest,
            ["notifications", "enable", word] => Self::Notifications(super::query::truth(word)),
            ["integrations", "ifttt", "api_key", _] => Self::Ifttt,
            _ => return None,
        })
    }

    /// The route as `openapi.json` writes it.
    pub const fn template(&self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Healthcheck => "/healthcheck",
            Self::Ping => "/api/ping",
            Self::AmbianicStatus => "/api/status",
            Self::Timeline => "/api/timeline",
            Self::Data(..) => "/api/data/{rel_dir}/{file}",
            Self::DisplayName(None) => "/api/device/display_name",
            Self::DisplayName(Some(_)) => "/api/device/display_name/{name}",
            Self::Notifications(_) => "/api/notifications/enable/{enabled}",
            Self::NotificationsTest => "/api/notifications/test",
            Self::Ifttt => "/api/integrations/ifttt/api_key/{key}",
            Self::OpenApi => "/api/v1/openapi.json",
            Self::Status => "/api/v1/status",
            Self::Events => "/api/v1/events",
            Self::Event(_) => "/api/v1/events/{id}",
            Self::Thumbnail(_) => "/api/v1/events/{id}/thumbnail",
            Self::Picture(_) => "/api/v1/events/{id}/picture",
            Self::Cameras => "/api/v1/cameras",
            Self::Snapshot(_) => "/api/v1/cameras/{name}/snapshot",
            Self::Device => "/api/v1/device",
            Self::Pair => "/api/v1/pair",
            Self::Pairing => "/api/v1/pairing",
            Self::Clients => "/api/v1/clients",
            Self::Client(_) => "/api/v1/clients/{id}",
            Self::System => "/api/v1/system",
            Self::Update => "/api/v1/system/update",
            Self::Wifi => "/api/v1/system/wifi",
            Self::Reset => "/api/v1/system/reset",
            Self::Restart => "/api/v1/system/restart",
            Self::Test(Fault::Slow) => "/api/v1/test/slow",
            Self::Test(Fault::Panic) => "/api/v1/test/panic",
            Self::Test(Fault::Bytes) => "/api/v1/test/bytes",
            Self::Test(Fault::Stall) => "/api/v1/test/stall",
        }
    }

    /// What may be done with it.
    pub const fn methods(&self) -> &'static [Method] {
        match self {
            Self::DisplayName(Some(_))
            | Self::Notifications(_)
            | Self::Ifttt
            | Self::Device
            | Self::Update
            | Self::Wifi => &[Method::Put],
            Self::Event(_) => &[Method::Get, Method::Put, Method::Delete],
            Self::Pair | Self::Pairing | Self::Reset | Self::Restart => &[Method::Post],
            Self::Client(_) => &[Method::Delete],
            _ => &[Method::Get],
        }
    }
}

/// Whether the body of such a request is passed on as it comes, and may be long.
pub fn is_streamed(method: &str, target: &str) -> bool {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    method == Method::Put.word() && Route::parse(path) == Ok(Route::Update)
}

/// A decimal number without sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Decodes one segment, once.
fn decode(raw: &str) -> Result<Segment, Error> {
    let decoded: Segment = super::query::unescape(raw, false).ok_or(Error::Malformed)?;
    let climbs = matches!(decoded.as_str(), "." | "..");
    let sly = decoded.chars().any(|c| c.is_control() || c == '/' || c == '\\');
    if climbs || sly { Err(Error::Malformed) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_routes() {
        let id = EventId(0xab);
        let name = |text| Segment::try_from(text).unwrap();
        for (path, route) in [
            ("/", Route::Root),
            ("/api/timeline.json", Route::Timeline),
            ("/api/data/00000000000000ab/thumbnail.jpg", Route::Data(id, File::Thumbnail)),
            ("/api/device/display_name/", Route::DisplayName(Some(name("")))),
            ("/api/device/display_name/Front%20door", Route::DisplayName(Some(name("Front door")))),
            ("/api/notifications/enable/True", Route::Notifications(Some(true))),
            ("/api/notifications/enable/maybe", Route::Notifications(None)),
            ("/api/v1/events/00000000000000ab", Route::Event(id)),
            ("/api/v1/%65vents", Route::Events),
            ("/api/v1/cameras/K%C3%BCche/snapshot", Route::Snapshot(name("Küche"))),
            ("/api/v1/cameras/100%25/snapshot", Route::Snapshot(name("100%"))),
            ("/api/v1/cameras/%2525/snapshot", Route::Snapshot(name("%25"))),
            ("/api/v1/clients/12", Route::Client(12)),
            ("/api/v1/system", Route::System),
            ("/api/v1/system/update", Route::Update),
        ] {
            assert_eq!(Route::parse(path), Ok(route), "{path}");
        }
        assert!(is_streamed("PUT", "/api/v1/system/updat%65?x"));
        assert!(!is_streamed("GET", "/api/v1/system/update"));
        assert!(!is_streamed("PUT", "/api/v1/system/wifi"));
    }

    #[test]
    fn other_paths_are_refused() {
        use Error::{Malformed, NotFound};
        for (path, error) in [
            ("", Malformed),
            ("api/v1/events", Malformed),
            ("http://10.0.0.1/api/v1/events", Malformed),
            ("/api/data/../secret", Malformed),
            ("/api/data/%2e%2e/secret", Malformed),
            ("/api/data/..%2fsecret/thumbnail.jpg", Malformed),
            ("/api/v1/events%00", Malformed),
            ("/api/v1/events%0d%0a", Malformed),
            ("/api/v1/events%", Malformed),
            ("/api/v1/events%zz", Malformed),
            ("/api/v1/%ff", Malformed),
            ("//api/v1/events", NotFound),
            ("/api/v1/events/", NotFound),
            ("/api/v1/events/ab", NotFound),
            ("/api/v1/clients/01", NotFound),
            ("/api/v1/clients/-1", NotFound),
            ("/a/b/c/d/e/f/g", NotFound),
        ] {
            assert_eq!(Route::parse(path), Err(error), "{path}");
        }
    }

    #[test]
    fn no_bytes_panic() {
        let mut seed = 1_u64;
        let alphabet = b"/apiv1evnts%2.ef0\0\\\xc3";
        for _ in 0..20_000 {
            let mut text = std::vec::Vec::from(*b"/api/");
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = usize::try_from(seed >> 40).unwrap() % alphabet.len();
                text.push(*alphabet.get(at).unwrap());
            }
            let _ = Route::parse(&std::string::String::from_utf8_lossy(&text));
        }
    }
}
