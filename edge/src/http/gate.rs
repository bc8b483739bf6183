//! The gate before `tiny_http`: takes connections, reads each request whole within bounds of
//! size and time, and only then hands it on (ADR 6 says what happens without it).
//!
//! ```text
//! browser --TCP--> gate: head <= 8 KiB in 5 s, body <= 64 KiB in 10 s --Unix socket--> tiny_http
//!         <-------- answer, taken within 30 s, and closed <---------------------------
//! ```
//! A bundle (256 MiB at most) is passed on as it comes, with a pause of at most 30 s.
//! One request a connection. What is handed on is written anew from what was understood, so
//! that both readers understand the same.
#![deny(clippy::indexing_slicing)]

use super::translate;
use crate::api::{BODY_BYTES, Refusal, Response};
use crate::say;
use edge_core::rest::{path, system::BUNDLE_BYTES};
use smol::LocalExecutor;
use smol::future::FutureExt as _;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;
use smol::net::unix::UnixStream;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::{Shutdown, TcpListener};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Connections at once; further ones are answered 503.
const PLACES: usize = 32;
/// Connections that are being told so at once; further ones are closed without a word.
const TURNED_AWAY: usize = 32;
/// Longest head, bytes; more is answered 431.
const HEAD_BYTES: usize = 8 * 1024;
/// Most headers; more are answered 431.
const HEADERS: usize = 64;
/// Bytes read at once.
const READ_BYTES: usize = 4 * 1024;
/// Of an answer, this many bytes are taken from its worker at once: any picture whole, so that
/// a slow reader holds no worker.
const ANSWER_BYTES: u64 = 4 * 1024 * 1024;
/// The head has to be there so soon.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Head and body have to be there so soon.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// An answer has to begin so soon; the slowest is a test's, of 60 s.
const BEGIN_WITHIN: Duration = Duration::from_secs(70);
/// More of a bundle has to come and to be taken so soon.
const STALLED: Duration = Duration::from_secs(30);
/// A bundle has to be there, checked and answered so soon.
const BUNDLE_WITHIN: Duration = Duration::from_hours(1);
/// The whole answer has to be taken so soon.
const TAKE_WITHIN: Duration = Duration::from_secs(30);
/// A refusal has to be taken, and then the rest of its request come to an end, so soon.
const LINGER: Duration = Duration::from_secs(1);
/// How often is looked whether it is over, and the pause after a failed accept.
const TICK: Duration = Duration::from_millis(200);

/// Headers that are said anew or concern this one connection.
const OWN: [&str; 6] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer"];

/// Takes connections until `over` says so.
pub(super) fn run(listener: TcpListener, inner: &Path, over: impl Fn() -> bool) -> io::Result<()> {
    let listener = smol::net::TcpListener::try_from(listener)?;
    let inner: Rc<Path> = inner.into();
    let taken = Rc::new(Cell::new(0));
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        while !over() {
            let accepted = async { Some(listener.accept().await) };
            let tick = async {
                smol::Timer::after(TICK).await;
                None
            };
            match accepted.or(tick).await {
                Some(Ok((stream, _))) => {
                    let place = Place::take(&taken);
                    let inner = Rc::clone(&inner);
                    if place.number < PLACES + TURNED_AWAY {
                        let task = async move { serve(stream, &inner, place).await };
                        executor.spawn(isolated(task)).detach();
                    }
                }
                // No more files, say: it may pass.
                Some(Err(_)) => drop(smol::Timer::after(TICK).await),
                None => {}
            }
        }
        Ok(())
    }))
}

/// A panic ends this connection alone.
async fn isolated(task: impl Future<Output = ()>) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        say!("http: a connection ended in a panic");
    }
}

/// A connection's place; given back when dropped.
struct Place {
    taken: Rc<Cell<usize>>,
    /// How many were taken before.
    number: usize,
}

impl Place {
    fn take(taken: &Rc<Cell<usize>>) -> Self {
        let number = taken.get();
        taken.set(number + 1);
        Self { taken: Rc::clone(taken), number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.set(self.taken.get() - 1);
    }
}

/// Why a request is not handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turned {
    /// Nobody is there any more.
    Gone,
    Malformed(&'static str),
    TooLarge,
    HeadTooLarge,
    TooSlow,
    Busy,
    Failed,
}

impl Turned {
    fn answer(self) -> Option<Response> {
        Some(match self {
            Self::Gone => return None,
            Self::Malformed(words) => Response::refuse(Refusal::Malformed(words)),
            Self::TooLarge => Response::refuse(Refusal::TooLarge),
            Self::Failed => Response::refuse(Refusal::Internal),
            Self::HeadTooLarge => {
                Response::error(431, "head_too_large", "expected at most 8 KiB and 64 headers")
            }
            Self::TooSlow => Response::error(408, "too_slow", "the request did not come in time"),
            Self::Busy => Response::error(503, "busy", "too many connections at once; try again"),
        })
    }
}

/// One connection, from its request to its end.
async fn serve(mut stream: TcpStream, inner: &Path, place: Place) {
    let answered = async {
        if place.number >= PLACES {
            return Err(Turned::Busy);
        }
        let request = within(REQUEST_WITHIN, read(&mut stream)).await.ok_or(Turned::TooSlow)??;
        pass(&mut stream, inner, &request).await
    };
    if let Err(turned) = answered.await {
        let Some(response) = turned.answer() else { return };
        let bytes = write(response);
        let told = stream.write_all(&bytes);
        if !matches!(within(LINGER, told).await, Some(Ok(()))) {
            return;
        }
    }
    // Closed with bytes unread, the connection would be reset and its answer lost.
    let _ = stream.shutdown(Shutdown::Write);
    let drain = async {
        let mut buf = vec![0; READ_BYTES];
        while matches!(stream.read(&mut buf).await, Ok(count) if count > 0) {}
    };
    within(LINGER, drain).await;
}

/// `None` when it is late.
async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        smol::Timer::after(limit).await;
        None
    };
    async { Some(future.await) }.or(late).await
}

/// A refusal in bytes.
fn write(response: Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    let version = tiny_http::HTTPVersion(1, 1);
    // Writing to memory does not fail.
    let _ = translate(response).raw_print(&mut bytes, version, &[], false, None);
    say_close(&mut bytes);
    bytes
}

/// Adds what `tiny_http` leaves out: that this connection ends here.
fn say_close(answer: &mut Vec<u8>) {
    let line = answer.windows(2).position(|end| end == b"\r\n");
    if let Some(line) = line {
        answer.splice(line..line, *b"\r\nConnection: close");
    }
}

/// A request in the words it is handed on with.
struct Read {
    text: Vec<u8>,
    /// Bytes of its body that are passed on as they come.
    left: usize,
}

/// Reads one request, but for a body that is passed on as it comes.
async fn read(stream: &mut TcpStream) -> Result<Read, Turned> {
    let mut bytes = Vec::new();
    let head = async {
        loop {
            more(stream, &mut bytes).await?;
            if let Some(head) = parse(&bytes)? {
                return Ok(head);
            }
        }
    };
    let Head { mut text, length, body, streamed } =
        within(HEAD_WITHIN, head).await.ok_or(Turned::TooSlow)??;
    let end = length + body;
    while bytes.len() < end && !streamed {
        more(stream, &mut bytes).await?;
    }
    let here = bytes.get(length..end.min(bytes.len())).unwrap_or_default();
    text.extend_from_slice(here);
    Ok(Read { text, left: body - here.len() })
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), Turned> {
    let before = bytes.len();
    bytes.resize(before + READ_BYTES, 0);
    let count = stream.read(bytes.get_mut(before..).unwrap_or_default()).await;
    bytes.truncate(before + count.as_ref().map_or(0, |count| *count));
    match count {
        Ok(0) if bytes.is_empty() => Err(Turned::Gone),
        Ok(0) => Err(Turned::Malformed("the request breaks off")),
        Ok(_) => Ok(()),
        Err(_) => Err(Turned::Gone),
    }
}

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// As it is handed on.
    text: Vec<u8>,
    /// As it was read, bytes.
    length: usize,
    /// Bytes of the body that follows.
    body: usize,
    /// Whether that is passed on as it comes.
    streamed: bool,
}

/// Reads a head; `None` while it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<Head>, Turned> {
    let mut slots = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut slots);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Turned::HeadTooLarge);
        }
        Err(_) => return Err(Turned::Malformed("expected a request of HTTP/1.1")),
    };
    if length > HEAD_BYTES {
        return Err(Turned::HeadTooLarge);
    }
    let (Some(method), Some(path)) = (request.method, request.path) else { return Ok(None) };
    let streamed = path::is_streamed(method, path);
    let most = if streamed { BUNDLE_BYTES as usize } else { BODY_BYTES };
    let mut text = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
    let mut body = None;
    for header in request.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("transfer-encoding") || is("expect") || is("upgrade") {
            return Err(Turned::Malformed("this box reads no such transfer"));
        }
        let value = header.value.to_ascii_lowercase();
        if is("connection") && value.windows(7).any(|word| word == b"upgrade") {
            return Err(Turned::Malformed("this box upgrades no connection"));
        }
        if is("content-length") && body.replace(content_length(header.value, most)?).is_some() {
            return Err(Turned::Malformed("expected one Content-Length"));
        }
        if !OWN.into_iter().any(is) {
            text.extend_from_slice(header.name.as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(header.value);
            text.extend_from_slice(b"\r\n");
        }
    }
    let body = body.unwrap_or(0);
    text.extend_from_slice(
        format!("Content-Length: {body}\r\nConnection: close\r\n\r\n").as_bytes(),
    );
    if text.is_ascii() {
        Ok(Some(Head { text, length, body, streamed }))
    } else {
        Err(Turned::Malformed("expected a head in ASCII"))
    }
}

/// The length of a body that is not too long.
fn content_length(value: &[u8], most: usize) -> Result<usize, Turned> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Turned::Malformed("expected digits for Content-Length"));
    }
    let length = str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
    length.filter(|length| *length <= most).ok_or(Turned::TooLarge)
}

/// Hands a request on and its answer back.
async fn pass(stream: &mut TcpStream, inner: &Path, request: &Read) -> Result<(), Turned> {
    let mut inner = UnixStream::connect(inner).await.map_err(|_| Turned::Busy)?;
    let mut answer = Vec::new();
    let limit = if request.left > 0 { BUNDLE_WITHIN } else { BEGIN_WITHIN };
    let asked = async {
        inner.write_all(&request.text).await?;
        if request.left > 0 {
            let begun = begin(stream, &inner, request.left).await?;
            answer.extend_from_slice(&begun);
        }
        (&mut inner).take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        io::Result::Ok(answer.len())
    };
    match within(limit, asked).await {
        Some(Ok(count)) if count > 0 => {}
        _ => return Err(Turned::Failed),
    }
    say_close(&mut answer);
    let copy = async {
        while !answer.is_empty() {
            stream.write_all(&answer).await?;
            answer.clear();
            (&mut inner).take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        }
        io::Result::Ok(())
    };
    within(TAKE_WITHIN, copy).await.and_then(Result::ok).ok_or(Turned::Gone)
}

/// Passes a body on until there is an answer: its first bytes. The answer may come before the
/// body's end; then the rest is not taken, and neither is it where the client hangs up.
async fn begin(stream: &TcpStream, inner: &UnixStream, left: usize) -> io::Result<Vec<u8>> {
    let answer = async {
        let mut begun = vec![0; READ_BYTES];
        let count = inner.clone().read(&mut begun).await?;
        begun.truncate(count);
        Ok(begun)
    };
    let body = async {
        let copy = copy(stream.clone(), inner.clone(), left).await;
        if !matches!(copy, Some(Ok(()))) {
            let _ = inner.shutdown(Shutdown::Write);
        }
        std::future::pending().await
    };
    let begun = answer.or(body).await;
    // Whoever answered waits for the rest or for its end.
    let _ = inner.shutdown(Shutdown::Write);
    begun
}

/// `None` where no more comes, or is taken, for too long.
async fn copy(mut from: TcpStream, mut to: UnixStream, mut left: usize) -> Option<io::Result<()>> {
    let mut buf = vec![0; READ_BYTES];
    while left > 0 {
        let most = left.min(READ_BYTES);
        let step = async {
            let some = buf.get_mut(..most).unwrap_or_default();
            let count = from.read(some).await?;
            to.write_all(some.get(..count).unwrap_or_default()).await?;
            io::Result::Ok(count)
        };
        match within(STALLED, step).await? {
            Ok(0) => return Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => left -= count,
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(()))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests index what they made")]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_handed_on_as_it_was_understood() {
        let head = "PUT /x?y=1 HTTP/1.0\r\nhost:  localhost \r\ncontent-length: 007\r\n\
                    Connection: keep-alive\r\nOrigin: null\r\nOrigin: a\r\n\r\n";
        let text = "PUT /x?y=1 HTTP/1.1\r\nhost: localhost\r\nOrigin: null\r\nOrigin: a\r\n\
                    Content-Length: 7\r\nConnection: close\r\n\r\n";
        let bytes = [head, "1234567GET"].concat();
        let (text, length) = (text.into(), head.len());
        let expect = Head { text, length, body: 7, streamed: false };
        assert_eq!(parse(bytes.as_bytes()), Ok(Some(expect)));
        for end in 0..head.len() {
            assert_eq!(parse(&bytes.as_bytes()[..end]), Ok(None), "cut at {end}");
        }
    }

    #[test]
    fn what_tiny_http_cannot_bear_is_refused() {
        let malformed =
            |answer: Result<Option<Head>, Turned>| matches!(answer, Err(Turned::Malformed(_)));
        for line in [
            "Content-Length: -1",
            "Content-Length: +1",
            "Content-Length:",
            "Content-Length: 1, 1",
            "Content-Length: 1\r\nContent-Length: 1",
            "Transfer-Encoding: chunked",
            "expect: 100-continue",
            "Upgrade: h2c",
            "Connection: keep-alive, Upgrade",
            "X: \u{e9}",
            "no colon",
            "X: 1\r\n folded",
        ] {
            let head = format!("PUT / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n");
            assert!(malformed(parse(head.as_bytes())), "{line}");
        }
        for length in ["65537", "10000000000000", "18446744073709551615", "99999999999999999999"] {
            let head = format!("PUT / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(parse(head.as_bytes()), Err(Turned::TooLarge), "{length}");
        }
        for line in ["", "GET /", "GET / HTTP/3.0", "GET / extra HTTP/1.1", "\u{16}\u{3}\u{1}"] {
            let head = format!("{line}\r\nHost: localhost\r\n\r\n");
            let refused = parse(head.as_bytes());
            assert!(malformed(refused), "{line:?}");
        }
    }

    #[test]
    fn only_a_bundle_is_long_and_passed_on_as_it_comes() {
        let head = |line: &str, length| {
            parse(format!("{line} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n").as_bytes())
        };
        let bundle = head("PUT /api/v1/system/update", BUNDLE_BYTES);
        let Ok(Some(Head { body, streamed: true, .. })) = bundle else { panic!("{bundle:?}") };
        assert_eq!(body, BUNDLE_BYTES as usize);
        for (line, length) in [
            ("PUT /api/v1/system/update", BUNDLE_BYTES + 1),
            ("POST /api/v1/system/update", 65_537),
            ("PUT /api/v1/system/wifi", 65_537),
        ] {
            assert_eq!(head(line, length), Err(Turned::TooLarge), "{line}");
        }
    }

    #[test]
    fn a_head_has_its_bounds() {
        let many = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(matches!(parse(many(HEADERS).as_bytes()), Ok(Some(_))));
        assert_eq!(parse(many(HEADERS + 1).as_bytes()), Err(Turned::HeadTooLarge));
        let long = |length: usize| {
            let frame = "GET / HTTP/1.1\r\na: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(length - frame))
        };
        assert!(matches!(parse(long(HEAD_BYTES).as_bytes()), Ok(Some(_))));
        assert_eq!(parse(long(HEAD_BYTES + 1).as_bytes()), Err(Turned::HeadTooLarge));
        assert_eq!(
            parse(&long(HEAD_BYTES + 9).as_bytes()[..HEAD_BYTES]),
            Err(Turned::HeadTooLarge)
        );
    }
}
