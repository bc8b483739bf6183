//! The loopback door: plain HTTP for the owner's own machine, and for nobody else.
//!
//! A page in the owner's browser can make it send requests here; so the Host header must name
//! loopback (a rebinding DNS name does not), a foreign Origin is refused on every method, and
//! no answer carries a CORS header.

use crate::api::{self, BODY_BYTES, Cache, House, Refusal, Request, Response};
use crate::principal::Principal;
use crate::say;
use edge_core::rest::Method;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Threads that answer; a snapshot holds one for up to three seconds.
const WORKERS: usize = 4;
/// How often a worker looks whether it should end.
const TICK: Duration = Duration::from_millis(200);

/// Why there is no listener: one clear line.
#[derive(Debug)]
pub struct Error {
    address: SocketAddr,
    source: Option<io::Error>,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.address;
        match &self.source {
            None => {
                write!(f, "--http {address}: expected a loopback address, as in 127.0.0.1:8778")
            }
            Some(source) if source.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "--http {address}: the port is in use by another program")
            }
            Some(source) => write!(f, "--http {address}: {source}"),
        }
    }
}

impl std::error::Error for Error {}

/// Takes the port; only on loopback.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        return Err(Error { address, source: None });
    }
    TcpListener::bind(address).map_err(|source| Error { address, source: Some(source) })
}

/// Answers on `listener` until `stop`. The thread ends soon after it, with the answers that
/// were in work.
pub fn serve(listener: TcpListener, house: Arc<House>, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let server = match tiny_http::Server::from_listener(listener, None) {
            Ok(server) => server,
            Err(error) => return say!("http: {error}"),
        };
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                if let Ok(Some(request)) = server.recv_timeout(TICK) {
                    respond(&house, request);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(work);
            }
        });
    })
}

/// Answers one request; a panic in its handler costs this request alone.
fn respond(house: &House, mut request: tiny_http::Request) {
    let answered = catch_unwind(AssertUnwindSafe(|| answer(house, &mut request)));
    let response = answered.unwrap_or_else(|_| {
        say!("http: a request's handler panicked");
        Response::refuse(Refusal::Internal)
    });
    let _ = request.respond(translate(response));
}

fn answer(house: &House, request: &mut tiny_http::Request) -> Response {
    if let Err(refusal) = check_sender(request) {
        return Response::refuse(refusal);
    }
    let word = request.method().as_str();
    let method = if word == "HEAD" { Some(Method::Get) } else { Method::from_word(word) };
    let Some(method) = method else { return Response::refuse(Refusal::Method) };
    let body = match read_body(request) {
        Ok(body) => body,
        Err(refusal) => return Response::refuse(refusal),
    };
    let target = request.url().to_owned();
    let if_none_match = header(request, "if-none-match");
    let request = Request { method, target: &target, if_none_match, body: &body };
    api::answer(house, &Principal::Owner, &request)
}

/// Whether the request comes from this machine's own programs or pages.
fn check_sender(request: &tiny_http::Request) -> Result<(), Refusal> {
    let mut hosts = headers(request, "host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::Malformed("expected one Host header"));
    };
    if !is_loopback(host) {
        return Err(Refusal::Forbidden);
    }
    // A page of this very listener, were there one, would be the only rightful origin.
    let foreign = |origin: &str| {
        let named = origin.strip_prefix("http://");
        named.is_none_or(|named| !named.eq_ignore_ascii_case(host))
    };
    if headers(request, "origin").any(foreign) { Err(Refusal::Forbidden) } else { Ok(()) }
}

/// Whether an authority, with any port or none, names loopback.
fn is_loopback(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            let fits = port.strip_prefix(':').map_or(port.is_empty(), is_port);
            return fits && address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
        }
        None => match authority.split_once(':') {
            Some((name, port)) if is_port(port) => name,
            Some(_) => return false,
            None => authority,
        },
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Reads the body, at most [`BODY_BYTES`].
fn read_body(request: &mut tiny_http::Request) -> Result<Vec<u8>, Refusal> {
    if request.body_length().is_some_and(|length| length > BODY_BYTES) {
        return Err(Refusal::TooLarge);
    }
    let mut body = Vec::new();
    let limit = BODY_BYTES as u64 + 1;
    let read = request.as_reader().take(limit).read_to_end(&mut body);
    read.map_err(|_| Refusal::Malformed("the body breaks off"))?;
    if body.len() > BODY_BYTES { Err(Refusal::TooLarge) } else { Ok(body) }
}

fn header<'a>(request: &'a tiny_http::Request, name: &'static str) -> Option<&'a str> {
    headers(request, name).next()
}

fn headers<'a>(
    request: &'a tiny_http::Request,
    name: &'static str,
) -> impl Iterator<Item = &'a str> {
    let named = request.headers().iter().filter(move |header| header.field.equiv(name));
    named.map(|header| header.value.as_str())
}

/// The response in the words of `tiny_http`.
fn translate(response: Response) -> tiny_http::Response<io::Cursor<Vec<u8>>> {
    let length = response.body.len();
    let cache = match response.cache {
        Cache::Never => "no-cache",
        Cache::Moment => "private, max-age=1, immutable",
        Cache::Forever => "private, max-age=31536000, immutable",
    };
    let mut headers = vec![("Cache-Control", cache), ("X-Content-Type-Options", "nosniff")];
    if !response.content_type.is_empty() {
        headers.push(("Content-Type", response.content_type));
    }
    if let Some(etag) = &response.etag {
        headers.push(("ETag", etag));
    }
    let headers = headers.into_iter().filter_map(|(name, value)| {
        tiny_http::Header::from_bytes(name.as_bytes(), value.as_bytes()).ok()
    });
    let headers = headers.collect();
    let status = tiny_http::StatusCode(response.status);
    let body = io::Cursor::new(response.body);
    tiny_http::Response::new(status, headers, body, Some(length), None)
        .with_chunked_threshold(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass() {
        for good in [
            "localhost",
            "LOCALHOST:8778",
            "127.0.0.1",
            "127.0.0.1:8778",
            "127.9.8.7:1",
            "[::1]",
            "[::1]:8778",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:",
            "localhost:80:80",
            "localhost:+80",
            "localhost:99999",
            "192.168.1.5:8778",
            "0.0.0.0:8778",
            "[::2]",
            "[::1",
            "[::1]x",
            "::1",
            "user@localhost",
            "localhost/",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn a_listener_is_loopback_and_a_port_has_one_owner() {
        let public = listen("0.0.0.0:0".parse().unwrap()).unwrap_err().to_string();
        assert!(public.contains("--http 0.0.0.0:0: expected a loopback address"), "{public}");
        let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let second = listen(address).unwrap_err().to_string();
        assert!(second.contains("in use"), "{second}");
    }
}
