//! The only REST: a request and a principal in, a response out. Both doors, the loopback
//! listener and the data channel, call [`answer`].

use crate::camera::Board;
use crate::clock::Clock;
use crate::config::Config;
use crate::notice::Bell;
use crate::principal::{Door, Principal};
use crate::store::Store;
use edge_core::rest::Method;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Longest request body, bytes; more is answered 413 at the doors.
pub const BODY_BYTES: usize = 64 * 1024;

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
    /// Tells sessions what changed.
    pub bell: Arc<Bell>,
    /// The detector's name; `None` without one.
    pub model_name: Option<String>,
    /// This box's own address at the signaling server.
    pub peer_id: String,
    /// Live sessions over the data channel, counted by the net thread.
    pub sessions: AtomicUsize,
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

/// How long a client may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Not at all.
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

/// Answers one request. May block up to three seconds (a snapshot). Callers isolate panics.
pub fn answer(house: &House, principal: &Principal, request: &Request<'_>) -> Response {
    let _ = (house, principal, request);
    Response::error(404, "not_found", "nothing lies here")
}

impl Response {
    /// An error in the one form all errors have.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}}}");
        let body = body.into_bytes();
        Self { status, content_type: "application/json", etag: None, cache: Cache::Never, body }
    }
}
