//! The only REST: a request and a principal in, a response out. Both doors, the loopback
//! listener and the data channel, call [`answer`].

mod ambianic;
mod device;
mod events;
#[cfg(feature = "faults")]
mod faults;
mod system;

use crate::box_socket::BoxSocket;
use crate::camera::Board;
use crate::clock::Clock;
use crate::config::Config;
use crate::notice::Bell;
use crate::principal::{self, Denied, Door, Principal};
use crate::store::{self, Picture, Store};
use crate::vitals::Vitals;
use edge_core::rest::body::{self, ErrorBody, ErrorDetail};
use edge_core::rest::{Method, Route, code, json, path, query, system as box_fields};
use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Longest request body that is taken whole, bytes; more is answered 413 at the doors.
pub const BODY_BYTES: usize = 64 * 1024;
/// Longest JSON of one shape, bytes; lists of events are longer, piece by piece.
const JSON_BYTES: usize = 64 * 1024;
/// REST's own description.
const OPENAPI: &str = include_str!("../../openapi.json");

/// Everything an answer may need.
#[derive(Debug)]
pub struct House {
    /// What the process was started with.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Clock,
    /// Events, pictures, clients, the name.
    pub store: Arc<Store>,
    /// The cameras' state and pictures of now.
    pub board: Arc<Board>,
    /// Who knocks.
    pub door: Door,
    /// What has this program's privileges to give; `None` where it runs on its own.
    pub below: Option<BoxSocket>,
    /// Tells sessions what changed.
    pub bell: Arc<Bell>,
    /// When each part last made progress.
    pub vitals: Vitals,
    /// This start only answers: others before it crashed in a row.
    pub safe: bool,
    /// The detector's name; `None` without one.
    pub model_name: Option<String>,
    /// This box's own address at the signaling server.
    pub peer_id: String,
    /// Live sessions over the data channel, counted by the net thread.
    pub sessions: AtomicUsize,
}

impl House {
    /// The box's name: what a phone called it, else what the configuration says.
    pub fn name(&self) -> String {
        let configured = || self.config.name.clone();
        self.store.name().or_else(configured).unwrap_or_else(|| "Nightjar".into())
    }
}

/// A request as both doors hand it in.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What to do.
    pub method: Method,
    /// Path and query as sent: `/api/v1/events?limit=50`.
    pub target: &'a str,
    /// The `If-None-Match` header.
    pub if_none_match: Option<&'a str>,
    /// The body, at most [`BODY_BYTES`].
    pub body: &'a [u8],
}

/// A body that is passed on as it comes ([`path::is_streamed`]).
pub struct Upload<'a> {
    /// Its bytes, where the client says how many.
    pub length: Option<u32>,
    /// Where they come from; waits for them within bounds.
    pub bytes: &'a mut dyn Read,
}

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("length", &self.length).finish_non_exhaustive()
    }
}

/// How long a client may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Not without asking again.
    Never,
    /// A second: the picture of an event that is still open.
    Moment,
    /// For good: these bytes never change.
    Forever,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The media type; empty where there is no body.
    pub content_type: &'static str,
    /// The entity tag, quoted, where the answer has one.
    pub etag: Option<String>,
    /// How long it may be kept.
    pub cache: Cache,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request is not done. Its status, code and words: one table, `Refusal::table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The target or the body is not what it should be.
    Malformed(&'static str),
    /// A field or key is wrong: its name, what was expected.
    Field(&'static str, &'static str),
    /// As `Field`, where Ambianic's clients know 422.
    Unprocessable(&'static str, &'static str),
    /// Somebody unknown asks.
    NotPaired,
    /// Nobody may pair now.
    PairingClosed,
    /// No phone is paired yet, and this is none.
    NotFirst,
    /// This principal may not do that.
    Forbidden,
    /// Nothing lies there.
    NotFound,
    /// It lies there, but this cannot be done with it.
    Method,
    /// As many phones are paired as can be.
    TooManyClients,
    /// This program runs on its own, without a box below it.
    NoBox,
    /// The box below does not answer.
    BoxAway,
    /// An update is under way.
    Busy,
    /// A bundle without its length.
    NoLength,
    /// The body is too long.
    TooLarge,
    /// A request's handler panicked, or its answer did not fit.
    Internal,
    /// This box does not do that.
    Unsupported(&'static str),
    /// The card does not answer.
    Store,
    /// The camera has no picture to give.
    NoPicture,
}

impl Refusal {
    /// Status, code, words for people, and the field.
    const fn table(self) -> (u16, &'static str, &'static str, Option<&'static str>) {
        match self {
            Self::Malformed(words) => (400, code::MALFORMED, words, None),
            Self::Field(field, expected) => (400, "bad_field", expected, Some(field)),
            Self::Unprocessable(field, expected) => (422, "bad_field", expected, Some(field)),
            Self::NotPaired => (401, "not_paired", "pair with this box first", None),
            Self::PairingClosed => {
                (403, "pairing_closed", "a paired phone has to open pairing first", None)
            }
            Self::NotFirst => (403, "no_phone_yet", "pair a phone with this box first", None),
            Self::Forbidden => (403, "forbidden", "this client may not do that", None),
            Self::NotFound => (404, "not_found", "nothing lies here", None),
            Self::Method => (405, "method_not_allowed", "this cannot be done here", None),
            Self::TooManyClients => (409, "too_many_clients", "revoke another phone first", None),
            Self::NoBox => (404, "no_box", "this is no box that could do that", None),
            Self::BoxAway => {
                (503, "box_unavailable", "the box's own program does not answer", None)
            }
            Self::Busy => (409, "busy", "an update is under way", None),
            Self::NoLength => {
                (411, "no_length", "expected a bundle and its length in bytes", Some("length"))
            }
            Self::TooLarge => (
                413,
                code::TOO_LARGE,
                "the body is longer than 64 KiB, a bundle than 256 MiB",
                None,
            ),
            Self::Internal => (500, "internal", "the box failed at this request", None),
            Self::Unsupported(words) => (501, "unsupported", words, None),
            Self::Store => (503, "store_unavailable", "the card does not answer", None),
            Self::NoPicture => (503, "no_picture", "the camera gives no picture now", None),
        }
    }
}

impl From<store::Error> for Refusal {
    fn from(_: store::Error) -> Self {
        Self::Store
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotPaired => Self::NotPaired,
            Denied::Forbidden => Self::Forbidden,
            Denied::PairingClosed => Self::PairingClosed,
            Denied::NotFirst => Self::NotFirst,
            Denied::TooManyClients => Self::TooManyClients,
            Denied::Store => Self::Store,
        }
    }
}

impl From<path::Error> for Refusal {
    fn from(error: path::Error) -> Self {
        match error {
            path::Error::Malformed => Self::Malformed("the path is malformed"),
            path::Error::NotFound => Self::NotFound,
        }
    }
}

impl From<query::Error> for Refusal {
    fn from(error: query::Error) -> Self {
        Self::Field(error.field, error.expected)
    }
}

impl From<json::Error> for Refusal {
    fn from(error: json::Error) -> Self {
        match error {
            json::Error::Malformed => Self::Malformed("the body is no JSON object"),
            json::Error::TooDeep => Self::Malformed("the body nests deeper than 16"),
            json::Error::Field("name") => {
                Self::Field("name", "a text of 1 to 64 bytes without control characters")
            }
            json::Error::Field("ssid") => Self::Field("ssid", box_fields::SSID),
            json::Error::Field("passphrase") => Self::Field("passphrase", box_fields::PASSPHRASE),
            json::Error::Field("country") => Self::Field("country", box_fields::COUNTRY),
            json::Error::Field("confirm") => Self::Field("confirm", box_fields::CONFIRM),
            json::Error::Field(field) => Self::Field(field, "true or false"),
        }
    }
}

impl Response {
    /// An error in the one form all errors have.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::failure(status, ErrorDetail { code, message, field: None })
    }

    /// The answer to a request that is not done.
    pub fn refuse(refusal: Refusal) -> Self {
        let (status, code, message, field) = refusal.table();
        Self::failure(status, ErrorDetail { code, message, field })
    }

    fn failure(status: u16, error: ErrorDetail<'_>) -> Self {
        let mut body = vec![0; 1024];
        let length = body::write(&ErrorBody { error }, &mut body).unwrap_or(0);
        body.truncate(length);
        Self { status, ..Self::json_bytes(body) }
    }

    fn json_bytes(body: Vec<u8>) -> Self {
        let content_type = "application/json";
        Self { status: 200, content_type, etag: None, cache: Cache::Never, body }
    }

    /// A value as JSON.
    fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, Refusal> {
        let mut body = vec![0; JSON_BYTES];
        let length = body::write(value, &mut body).ok_or(Refusal::Internal)?;
        body.truncate(length);
        Ok(Self::json_bytes(body))
    }

    fn empty() -> Self {
        Self { status: 204, content_type: "", ..Self::json_bytes(Vec::new()) }
    }

    fn picture(picture: Picture) -> Self {
        let cache = if picture.settled { Cache::Forever } else { Cache::Moment };
        let etag = Some(picture.etag);
        Self { status: 200, content_type: "image/jpeg", etag, cache, body: picture.bytes }
    }

    /// This answer, or 304 where the client has it already.
    fn unless_held(mut self, request: &Request<'_>) -> Self {
        if request.method != Method::Get || self.status != 200 {
            return self;
        }
        let tag = self.etag.take().unwrap_or_else(|| {
            format!("\"{:08x}-{:x}\"", crc32c::crc32c(&self.body), self.body.len())
        });
        let held = request.if_none_match.is_some_and(|tags| {
            let mut tags = tags.split(',').map(|one| one.trim().trim_start_matches("W/"));
            tags.any(|one| one == "*" || one == tag)
        });
        if held {
            (self.status, self.content_type) = (304, "");
            self.body.clear();
        }
        self.etag = Some(tag);
        self
    }
}

/// Answers one request. May block up to three seconds (a snapshot). Callers isolate panics.
pub fn answer(house: &House, principal: &Principal, request: &Request<'_>) -> Response {
    let mut body = request.body;
    let length = u32::try_from(body.len()).ok();
    receive(house, principal, request, Upload { length, bytes: &mut body })
}

/// Answers one request whose body is passed on as it comes; `body` is empty. Blocks as long as
/// that takes, or as whoever sends it is waited for.
pub fn receive(
    house: &House,
    principal: &Principal,
    request: &Request<'_>,
    upload: Upload<'_>,
) -> Response {
    let answered = dispatch(house, *principal, request, upload);
    answered.unwrap_or_else(Response::refuse).unless_held(request)
}

fn dispatch(
    house: &House,
    principal: Principal,
    request: &Request<'_>,
    upload: Upload<'_>,
) -> Result<Response, Refusal> {
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let route = Route::parse(path)?;
    if matches!(route, Route::Test(_)) && cfg!(not(feature = "faults")) {
        return Err(Refusal::NotFound);
    }
    principal::check(principal, &route)?;
    if !route.methods().contains(&request.method) {
        return Err(Refusal::Method);
    }
    let Request { method, body, .. } = *request;
    match route {
        Route::Root => Ok(Response::json_bytes(ambianic::GREETING.into())),
        Route::Ping => Ok(Response::json_bytes(b"\"pong\"".into())),
        Route::Healthcheck => Ok(Response::json_bytes(b"{\"status\":\"OK\"}".into())),
        Route::AmbianicStatus => ambianic::status(house),
        Route::Timeline => ambianic::timeline(house, query),
        Route::Data(id, file) => ambianic::data(house, id, file),
        Route::DisplayName(name) => ambianic::display_name(house, name.as_deref()),
        Route::Notifications(wanted) => ambianic::notifications(house, wanted),
        Route::NotificationsTest => Ok(Response::json_bytes(b"null".into())),
        Route::Ifttt => Err(Refusal::Unsupported("this box sends nothing to IFTTT")),
        Route::OpenApi => Ok(Response::json_bytes(OPENAPI.into())),
        Route::Status => device::status(house),
        Route::Events => events::list(house, query),
        Route::Event(id) => events::one(house, id, method, body),
        Route::Thumbnail(id) => events::picture(house.store.thumbnail(id)),
        Route::Picture(id) => events::picture(house.store.picture(id)),
        Route::Cameras => device::cameras(house),
        Route::Snapshot(name) => device::snapshot(house, &name),
        Route::Device => device::rename(house, body),
        Route::Pair => device::pair(house, body),
        Route::Pairing => device::open_pairing(house),
        Route::Clients => device::clients(house, principal),
        Route::Client(id) => device::revoke(house, id),
        Route::System => system::state(house),
        Route::Update => system::update(house, upload),
        Route::Wifi => system::wifi(house, body),
        Route::Reset => system::reset(house, body),
        Route::Restart => system::restart(house),
        #[cfg(feature = "faults")]
        Route::Test(fault) => faults::answer(house, fault, query),
        #[cfg(not(feature = "faults"))]
        Route::Test(_) => Err(Refusal::NotFound),
    }
}

#[cfg(test)]
mod tests;
