//! Answers `PeerFetch` clients on label `http-proxy`: one request, then its header as text and
//! one binary body; nothing on the wire says which answer belongs to which request.
//!
//! ```text
//!          request             handle_answer, 15 s         header sent       body sent
//!   Idle ----------> Waiting ------------------> Heading -------------> Body --------> Idle
//!     |              202 from 1 s on               ^ | 204                              ^
//!     +--- ping, unreadable, too long -------------+ +----------------------------------+
//! ```
//! Older clients open the channel unordered, where SCTP may deliver a body before its header.
//! There each message is handed over only once everything before it is acknowledged, so that
//! no two messages are ever in flight together; anywhere, the next request begins once the
//! client has the answer before, which it acknowledges, or says by asking again. Every request
//! is answered within 15 s, as the client gives up for good at 20 s. signal/README.md, "The
//! link".

use super::head::{METHOD_BYTES, PATH_BYTES, Pen, RequestHead, ResponseHead, read};
use super::{Ask, NEVER};
use crate::rest::code::{MALFORMED, TOO_LARGE, error_body};
use crate::rest::json::{text, text_or_none};
use crate::time::Instant;
use core::fmt::Write;
use heapless::{Deque, String};
use serde::Deserialize;

/// Requests that may wait for the one before; clients that follow the protocol send none.
pub const QUEUE: usize = 8;
/// Longest request, bytes of JSON.
pub const REQUEST_BYTES: usize = super::wire::HEAD_BYTES;
/// Longest body, bytes: what browsers' offers permit in one message.
pub const BODY_BYTES: usize = 262_144;
/// The first `still working` after this, and the next after as much, ms.
pub const KEEPALIVE_MS: u64 = 1000;
/// A request that is not answered by then is answered 504, ms.
pub const ANSWER_WITHIN_MS: u64 = 15_000;
/// Most bytes without an acknowledgement with which a next request begins; with the largest
/// answer they fit the channel.
const UNACKNOWLEDGED_BYTES: usize = 65_536;
/// Room for any header's text, bytes.
pub const HEADER_BYTES: usize = 192;

const WORKING: &str = r#"{"status":202}"#;
const PONG: &str = "pong";
const UNREADABLE: &str = error_body!(MALFORMED, "This request cannot be read.");
const LONG_REQUEST: &str = error_body!(TOO_LARGE, "A request may hold 4096 bytes.");
const LONG_BODY: &str = error_body!(TOO_LARGE, "The answer does not fit one message.");
const LATE: &str = error_body!("late", "The answer took too long.");

/// What the shell does next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack, for one call")]
pub enum Output {
    /// Have the API answer this, which has no body. Earlier answers are not wanted any more.
    Request {
        /// Which one.
        ask: Ask,
        /// What it asks for.
        head: RequestHead,
    },
    /// Send the first `length` bytes of the buffer as one text message.
    Text {
        /// Bytes of text.
        length: usize,
    },
    /// Send this as one text message.
    Words(&'static str),
    /// Send this as one binary message.
    Own(&'static str),
    /// Send the body of this answer, which may be empty, as one binary message.
    Body(Ask),
    /// End the session: more requests than anybody sends who reads the answers.
    Flooded,
    /// Nothing until then, but for an input.
    Timeout(Instant),
}

/// A request as the wire has it; other members are ignored.
#[derive(Deserialize)]
struct Wire {
    #[serde(deserialize_with = "text")]
    url: String<PATH_BYTES>,
    #[serde(default, deserialize_with = "text_or_none")]
    method: Option<String<METHOD_BYTES>>,
}

#[derive(Debug)]
struct Pending {
    arrived: Instant,
    wish: Wish,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "eight of them, in place, without an allocator")]
enum Wish {
    Answer(RequestHead),
    Pong,
    Refusal(u16, &'static str),
}

#[derive(Debug)]
enum State {
    Idle,
    Waiting { ask: Ask, arrived: Instant, keepalive: Instant },
    Heading(ResponseHead, Body),
    Body(Body),
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Lent(Ask),
    Own(&'static str),
    Pong,
}

/// The machine of one channel.
#[derive(Debug)]
pub struct Legacy {
    ordered: bool,
    body_limit: usize,
    queue: Deque<Pending, QUEUE>,
    flooded: bool,
    state: State,
    next_ask: u32,
    now: Instant,
    /// Bytes of ours in flight, more than none once something was handed over.
    unacknowledged: usize,
    /// The client has asked since we said the last thing: it has all that we said, though the
    /// acknowledgement may be lost.
    has_all: bool,
}

impl Legacy {
    /// A machine for a channel that opened `now`. `largest_message` is what the other side's
    /// offer permits, bytes.
    pub fn new(now: Instant, ordered: bool, largest_message: usize) -> Self {
        Self {
            ordered,
            body_limit: largest_message.min(BODY_BYTES),
            queue: Deque::new(),
            flooded: false,
            state: State::Idle,
            next_ask: 0,
            now,
            unacknowledged: 0,
            has_all: false,
        }
    }

    /// Takes one message of the channel.
    pub fn handle_message(&mut self, now: Instant, bytes: &[u8]) {
        self.now = now;
        self.has_all |= matches!(self.state, State::Idle) && self.queue.is_empty();
        let pending = Pending { arrived: now, wish: wish(bytes) };
        self.flooded |= self.queue.push_back(pending).is_err();
    }

    /// Takes the answer to a request. `false`: it is not wanted any more or too long, drop it.
    pub fn handle_answer(&mut self, ask: Ask, head: ResponseHead) -> bool {
        match self.state {
            State::Waiting { ask: waiting, .. } if waiting == ask => {}
            _ => return false,
        }
        let fits = head.length as usize <= self.body_limit;
        self.state =
            if fits { State::Heading(head, Body::Lent(ask)) } else { refused(413, LONG_BODY) };
        fits
    }

    /// Takes how many bytes of ours wait for an acknowledgement.
    pub const fn handle_buffered(&mut self, bytes: usize) {
        self.unacknowledged = bytes;
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
    }

    /// The next thing to do; what is to be sent must be sent before the next input.
    pub fn poll_output(&mut self, buf: &mut [u8; HEADER_BYTES]) -> Output {
        if self.flooded {
            return Output::Flooded;
        }
        self.next_request()
            .or_else(|| self.still_working())
            .or_else(|| self.header(buf))
            .or_else(|| self.body())
            .unwrap_or_else(|| Output::Timeout(self.due()))
    }

    /// Whether one more message may be handed over now.
    const fn is_free(&self) -> bool {
        self.ordered || self.unacknowledged == 0 || self.has_all
    }

    /// A message of ours is handed over.
    const fn said(&mut self) {
        self.unacknowledged = self.unacknowledged.saturating_add(1);
        self.has_all = false;
    }

    fn next_request(&mut self) -> Option<Output> {
        // On an ordered channel this alone bounds what is in flight: one answer.
        let most = if self.has_all { UNACKNOWLEDGED_BYTES } else { 0 };
        let is_done = self.unacknowledged <= most;
        if !matches!(self.state, State::Idle) || !is_done {
            return None;
        }
        let Pending { arrived, wish } = self.queue.pop_front()?;
        match wish {
            Wish::Answer(head) => {
                let ask = Ask(self.next_ask);
                self.next_ask = self.next_ask.wrapping_add(1);
                let keepalive = arrived.plus_ms(KEEPALIVE_MS);
                self.state = State::Waiting { ask, arrived, keepalive };
                return Some(Output::Request { ask, head });
            }
            Wish::Pong => {
                let head =
                    ResponseHead { status: 200, content_type: "text/plain", length: 4, etag: None };
                self.state = State::Heading(head, Body::Pong);
            }
            Wish::Refusal(status, words) => self.state = refused(status, words),
        }
        None
    }

    fn still_working(&mut self) -> Option<Output> {
        let (now, free) = (self.now, self.is_free());
        let State::Waiting { arrived, keepalive, .. } = &mut self.state else { return None };
        if now.since_ms(*arrived) >= ANSWER_WITHIN_MS {
            self.state = refused(504, LATE);
            return None;
        }
        if now < *keepalive || !free {
            return None;
        }
        *keepalive = now.plus_ms(KEEPALIVE_MS);
        self.said();
        Some(Output::Words(WORKING))
    }

    fn header(&mut self, buf: &mut [u8]) -> Option<Output> {
        if !self.is_free() {
            return None;
        }
        let State::Heading(head, body) = &self.state else { return None };
        let (mut out, body, status) = (Pen { buf, used: 0 }, *body, head.status);
        write_header(&mut out, head).ok()?;
        self.state = if status == 204 { State::Idle } else { State::Body(body) };
        self.said();
        Some(Output::Text { length: out.used })
    }

    fn body(&mut self) -> Option<Output> {
        if !self.is_free() {
            return None;
        }
        let State::Body(body) = self.state else { return None };
        self.state = State::Idle;
        self.said();
        Some(match body {
            Body::Lent(ask) => Output::Body(ask),
            Body::Own(words) => Output::Own(words),
            Body::Pong => Output::Words(PONG),
        })
    }

    /// When time alone changes something.
    fn due(&self) -> Instant {
        match self.state {
            State::Waiting { arrived, keepalive, .. } => {
                let late = arrived.plus_ms(ANSWER_WITHIN_MS);
                if self.is_free() { keepalive.min(late) } else { late }
            }
            State::Idle | State::Heading(..) | State::Body(_) => NEVER,
        }
    }
}

fn refused(status: u16, words: &'static str) -> State {
    let length = u32::try_from(words.len()).unwrap_or(0);
    let head = ResponseHead { status, content_type: "application/json", length, etag: None };
    State::Heading(head, Body::Own(words))
}

fn write_header(out: &mut Pen<'_>, head: &ResponseHead) -> core::fmt::Result {
    let ResponseHead { status, content_type, length, .. } = head;
    write!(
        out,
        r#"{{"status":{status},"content-type":"{content_type}","content-length":{length}}}"#
    )
}

/// What a message asks for; every message gets an answer.
fn wish(bytes: &[u8]) -> Wish {
    if bytes.len() > REQUEST_BYTES {
        return Wish::Refusal(413, LONG_REQUEST);
    }
    let Some(Wire { url, method }) = read(bytes) else {
        return Wish::Refusal(400, UNREADABLE);
    };
    if url.starts_with("ping") {
        return Wish::Pong;
    }
    let method = method.unwrap_or_else(|| String::try_from("GET").unwrap_or_default());
    match local_path(&url) {
        Some(path) => Wish::Answer(RequestHead {
            method,
            path,
            token: None,
            if_none_match: None,
            length: None,
            from: None,
            if_range: None,
        }),
        None => Wish::Refusal(400, UNREADABLE),
    }
}

/// Path and query of a URL, whatever its scheme and host: both are the client's picture of
/// us, never a place to go to. An empty query is left out.
fn local_path(url: &str) -> Option<String<PATH_BYTES>> {
    let is_scheme =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let path = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => {
            rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or("")
        }
        _ => url,
    };
    let path = path.split('#').next().unwrap_or(path);
    let path = path.strip_suffix('?').unwrap_or(path);
    let mut local = String::new();
    if !path.starts_with('/') {
        local.push('/').ok()?;
    }
    local.push_str(path).ok()?;
    Some(local)
}

#[cfg(test)]
mod tests;
