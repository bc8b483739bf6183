//! The bodies of the fuzz targets. Each takes any bytes and must not panic; what reads must
//! read the same again after it was written.
//!
//! `tests/fuzz.rs` runs them on their corpora and on seeded mutations; `tests/fuzz/` is the
//! cargo-fuzz crate over the same bodies.

use edge::journal;
use edge::model::{Error, Model, target};
use edge::peer::gather;
use edge_core::link::head::{RequestHead, ResponseHead};
use edge_core::link::legacy::{self, Legacy};
use edge_core::link::responder::{self, Heard, Responder};
use edge_core::link::wire::{CHUNK_BYTES, Chunk};
use edge_core::nms::DETECTIONS_MAX;
use edge_core::rest::path::Route;
use edge_core::rest::{json as body, query};
use edge_core::time::Instant;
use signal::head::{self, Finder, Head};
use signal_proto::message::Message;
use signal_proto::peer_id::PeerId;
use signal_proto::stun;
use signal_proto::websocket::{self, Decoder, Opcode, Role};
use signal_proto::{client, json};
use std::net::SocketAddr;
use std::panic;
use std::path::Path;
use std::sync::{Arc, Once};

mod card;
mod offer;
mod realm;

pub use card::{autoboot, bundle, saved};
pub use offer::{offer, sdp};
pub use realm::realm;

/// One target.
pub type Body = fn(&[u8]);

/// Every target by name; its corpus is `tests/fuzz/corpus/NAME/`.
pub const TARGETS: &[(&str, Body)] = &[
    ("autoboot", autoboot),
    ("bundle", bundle),
    ("chunk", chunk),
    ("head", head),
    ("link", link),
    ("legacy", legacy),
    ("message", message),
    ("model", model),
    ("offer", offer),
    ("query", query),
    ("realm", realm),
    ("rest", rest),
    ("saved", saved),
    ("sdp", sdp),
    ("signaling", signaling),
    ("stun", stun),
    ("websocket", websocket),
];

/// Outputs that one input may cause at most.
const DRAIN: usize = 10_000;
/// The body of every answer.
static ANSWER: [u8; 40_000] = [7; 40_000];

/// A chunk of label `nightjar` is its bytes.
pub fn chunk(bytes: &[u8]) {
    let Ok(chunk) = Chunk::parse(bytes) else { return };
    let mut buf = vec![0; CHUNK_BYTES];
    let length = chunk.emit(&mut buf).expect("what was read can be written");
    assert_eq!(&buf[..length], bytes);
}

/// A phone that says anything to the machine of label `nightjar`.
pub fn link(bytes: &[u8]) {
    let mut machine = Responder::new(Instant(0));
    let mut now = 0;
    for message in messages(bytes) {
        now += u64::from(message.first().copied().unwrap_or(0)) * 10;
        machine.handle_timeout(Instant(now));
        if let Heard::Piece { ask, last: true, .. } = machine.handle_message(Instant(now), message)
        {
            machine.handle_answer(ask, answer(message.len()));
        }
        if message.len().is_multiple_of(7) {
            machine.handle_push(r#"{"type":"deleted","id":"0000000000000001"}"#);
        }
        if drain(&mut machine) {
            return;
        }
    }
}

/// An answer whose length varies with what was said.
fn answer(seed: usize) -> ResponseHead {
    let length = u32::try_from(seed * 37 % ANSWER.len()).unwrap_or(0);
    let etag = seed.is_multiple_of(2).then(|| "\"e\"".parse().ok()).flatten();
    ResponseHead { status: 200, content_type: "image/jpeg", length, etag }
}

/// Sends all there is to send; `true` when the session ends.
fn drain(machine: &mut Responder) -> bool {
    let mut buf = [0; CHUNK_BYTES];
    for _ in 0..DRAIN {
        machine.handle_buffered(0);
        match machine.poll_output(&mut buf, |_| &ANSWER[..]) {
            responder::Output::Transmit { length, .. } => {
                Chunk::parse(&buf[..length]).expect("what is sent is a chunk");
            }
            responder::Output::Close(_) => return true,
            responder::Output::Timeout(_) => return false,
        }
    }
    panic!("the machine sends without an end");
}

/// A `PeerFetch` client that says anything.
pub fn legacy(bytes: &[u8]) {
    let ordered = bytes.first().is_some_and(|first| first & 1 == 1);
    let mut machine = Legacy::new(Instant(0), ordered, 65_536);
    let mut now = 0;
    for message in messages(bytes) {
        now += u64::from(message.first().copied().unwrap_or(0)) * 20;
        machine.handle_timeout(Instant(now));
        machine.handle_message(Instant(now), message);
        if serve(&mut machine, message.len()) {
            return;
        }
    }
}

/// Does all there is to do; `true` when the session ends.
fn serve(machine: &mut Legacy, seed: usize) -> bool {
    let mut buf = [0; legacy::HEADER_BYTES];
    for _ in 0..DRAIN {
        machine.handle_buffered(0);
        match machine.poll_output(&mut buf) {
            // Some answers never come: those become 504 when time passes.
            legacy::Output::Request { ask, .. } if !seed.is_multiple_of(5) => {
                machine.handle_answer(ask, answer(seed));
            }
            legacy::Output::Text { length } => {
                let text = std::str::from_utf8(&buf[..length]).expect("a header is text");
                json::check(text).expect("a header is JSON");
            }
            legacy::Output::Flooded => return true,
            legacy::Output::Timeout(_) => return false,
            _ => {}
        }
    }
    panic!("the machine has work without an end");
}

/// A message of the signaling protocol, and the heads that share its JSON.
pub fn message(bytes: &[u8]) {
    let _ = RequestHead::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = PeerId::parse(text);
    let mut quoted = String::new();
    json::quote(text, &mut quoted);
    assert_eq!(json::string(&quoted).as_deref(), Some(text), "a quoted text is that text");
    let Ok(message) = Message::parse(text) else { return };
    let written = message.to_text();
    let again = Message::parse(&written).expect("what was written can be read");
    assert_eq!(again, message);
}

/// The head of an HTTP request, found and read however it is cut.
pub fn head(bytes: &[u8]) {
    let whole = find_head(bytes, bytes.len().max(1));
    assert_eq!(whole, find_head(bytes, 1), "cut into bytes");
    assert_eq!(whole, find_head(bytes, 7), "cut into sevens");
    let Ok(Some(end)) = whole else { return };
    assert!(end <= head::HEAD_MAX && bytes[..end].ends_with(b"\r\n\r\n"));
    let Ok(head) = Head::parse(&bytes[..end]) else { return };
    assert!(head.body_bytes <= head::BODY_MAX);
    assert!(head.path.starts_with('/') || head.path == "*");
    let _ = (head.parameter("id"), head.header("host"), head::decode(&head.path));
    let _ = (head.lists("connection", "upgrade"), head.headers("x-forwarded-for").count());
    // What is echoed (a redirect, `ice`) must not begin a line of its own.
    assert!([&head.path, &head.query, &head.host].iter().all(|text| !text.contains(['\r', '\n'])));
}

/// Where the head ends in `bytes`, which come `piece` at a time.
fn find_head(bytes: &[u8], piece: usize) -> Result<Option<usize>, head::Error> {
    let mut finder = Finder::default();
    let mut length = 0;
    while length < bytes.len() {
        length = (length + piece).min(bytes.len());
        if let Some(end) = finder.find(&bytes[..length])? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// A datagram at the STUN port, and as an answer to a question of ours.
pub fn stun(bytes: &[u8]) {
    let transaction = bytes.get(8..20).and_then(|it| it.try_into().ok()).unwrap_or_default();
    let _ = stun::parse_answer(bytes, transaction);
    let Some(request) = stun::Request::parse(bytes) else { return };
    assert!(stun::is_stun(bytes));
    let source = SocketAddr::from(([203, 0, 113, 7], 4096));
    let answer = request.answer(source);
    assert!(answer.len() <= stun::DATAGRAM_MAX.min(bytes.len() + stun::GROWTH_MAX));
    if let Some(told) = stun::parse_answer(&answer, transaction) {
        assert_eq!(told, source, "who asks is told its own address");
    }
}

/// Most work and memory of a network that is run here: a small file may ask for much.
const WORK_MAX: u64 = 2_000_000;
const ARENA_MAX: usize = 4 << 20;

/// A file of a model: what is read also runs, with the words of a refusal in one line.
pub fn model(bytes: &[u8]) {
    static HOOK: Once = Once::new();
    HOOK.call_once(quiet);
    let path = Path::new("m");
    let refused = |error: Error| {
        let words = error.to_string();
        assert!(words.starts_with("m: ") && words.lines().count() == 1, "{words}");
    };
    let small = |it: &edge::model::Network| it.work() <= WORK_MAX && it.arena_bytes() <= ARENA_MAX;
    match edge::model::Network::from_bytes(target(1), path, bytes) {
        Ok(network) if small(&network) => Arc::new(network).arena().run(),
        Ok(_) => {}
        Err(error) => refused(error),
    }
    match Model::from_bytes(path, bytes) {
        Ok(model) if small(model.network()) => {
            let found = Arc::new(model).detector().detect().len();
            assert!(found <= DETECTIONS_MAX);
        }
        Ok(_) => {}
        Err(error) => refused(error),
    }
}

/// Panics that the loader expects, for it catches them, go unsaid.
fn quiet() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !journal::is_hushed() {
            usual(info);
        }
    }));
}

/// A query string of the REST.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(events) = query::Events::parse(text) {
        assert!((1..=query::LIMIT_MAX).contains(&events.limit));
    }
    let _ = query::Events::parse_timeline(text);
    let _ = query::find_number(text, "s");
    if let Some(plain) = query::unescape::<64>(text, true) {
        assert!(plain.len() <= text.len());
    }
}

/// A path and a body of the REST.
pub fn rest(bytes: &[u8]) {
    if body::guard(bytes).is_ok() {
        let _ = body::Flags::parse(bytes);
    }
    if let Ok(name) = body::name(bytes) {
        assert!(body::check_name(&name).as_ref() == Some(&name), "a name stays that name");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(route) = Route::parse(text) {
        assert!(!route.methods().is_empty(), "{text} is answered by some method");
        assert!(route.template().starts_with('/'));
    }
    let _ = body::unescape::<64>(text);
}

/// A signaling server that says anything to the edge.
pub fn signaling(bytes: &[u8]) {
    let mut machine = client::Client::new(0);
    let mut now = 0;
    machine.handle_connected(now);
    for message in messages(bytes) {
        now += u64::from(message.first().copied().unwrap_or(0)) * 100;
        machine.handle_timeout(now);
        if let Ok(text) = std::str::from_utf8(message) {
            let _ = machine.handle_text(now, text);
            // What it says of STUN servers goes to a resolver.
            if let Some((host, _)) = gather::stun_server(text) {
                assert!(!host.is_empty() && text.contains(&host));
            }
        }
        let _ = machine.poll_output();
    }
}

/// Bytes from the other side of a WebSocket: in one piece or byte by byte, they mean the same.
pub fn websocket(bytes: &[u8]) {
    for role in [Role::Client, Role::Server] {
        let whole = frames(role, bytes, bytes.len().max(1));
        assert_eq!(whole, frames(role, bytes, 1), "cut into bytes");
        assert_eq!(whole, frames(role, bytes, 5), "cut into fives");
        for heard in whole.iter().flatten() {
            repeat(role, heard);
        }
    }
}

/// What a decoder makes of `bytes`, `piece` at a time.
fn frames(
    role: Role,
    bytes: &[u8],
    piece: usize,
) -> Vec<Result<websocket::Message, websocket::Error>> {
    let mut decoder = Decoder::new(role);
    let mut heard = Vec::new();
    for mut input in bytes.chunks(piece) {
        loop {
            match decoder.read(&mut input) {
                Ok(Some(message)) => heard.push(Ok(message)),
                Ok(None) => break,
                Err(error) => {
                    heard.push(Err(error));
                    return heard;
                }
            }
        }
    }
    heard
}

/// A message that is written as one frame is read as the same message.
fn repeat(role: Role, message: &websocket::Message) {
    let (opcode, payload) = match message {
        websocket::Message::Text(text) => (Opcode::Text, text.as_bytes()),
        websocket::Message::Binary(bytes) => (Opcode::Binary, &bytes[..]),
        websocket::Message::Ping(bytes) => (Opcode::Ping, &bytes[..]),
        websocket::Message::Pong(bytes) => (Opcode::Pong, &bytes[..]),
        websocket::Message::Close(_) => return,
    };
    let mask = (role == Role::Server).then_some([1, 2, 3, 4]);
    let mut frame = Vec::new();
    websocket::encode(opcode, payload, mask, &mut frame);
    assert_eq!(frames(role, &frame, frame.len()), [Ok(message.clone())]);
}

/// `bytes` cut into messages: each has its length before it, two bytes, big-endian.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (message, rest) = rest.split_at(length);
        bytes = rest;
        Some(message)
    })
}
