//! The loopback door: plain HTTP for the owner's own machine, and for nobody else.
//!
//! A page in the owner's browser can make it send requests here; so the Host header must name
//! loopback (a rebinding DNS name does not), a foreign Origin is refused on every method, and
//! no answer carries a CORS header. Browsers also say where a request comes from that has no
//! Origin, as that of an image: `Sec-Fetch-Site`.
//!
//! `tiny_http` has no bounds of its own, so it listens behind the `gate`, on a socket in the
//! data directory that only this user can open.

mod gate;

use crate::api::{self, BODY_BYTES, Cache, House, Refusal, Request, Response, Upload};
use crate::principal::Principal;
use crate::say;
use crate::vitals::Pulse;
use edge_core::rest::{Method, path};
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

/// The socket between the gate and `tiny_http`.
struct Inner {
    listener: UnixListener,
    /// A short path to it however long the folder's is; good while `folder` is open.
    path: PathBuf,
    folder: File,
}

impl Inner {
    /// The folder and all that is in it are ours: who holds the data directory's lock calls.
    /// A door that is begun anew has the next number, for the old one may still hold its own.
    fn bind(data_dir: &Path, number: usize) -> io::Result<Self> {
        let folder = data_dir.join("http");
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::set_permissions(&folder, Permissions::from_mode(0o700))?,
        }
        let folder = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/socket{number}", folder.as_raw_fd()));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path, folder })
    }
}

/// Answers on `listener` until `stop`, or until one of its threads ends: then all end, for
/// half a door looks like a whole one. The data directory has to be locked by the caller.
pub fn serve(
    listener: TcpListener,
    house: Arc<House>,
    pulses: [Arc<Pulse>; 2],
    stop: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    static DOORS: AtomicUsize = AtomicUsize::new(0);
    let number = DOORS.fetch_add(1, Ordering::Relaxed);
    let inner = Inner::bind(&house.config.data_dir, number)?;
    let thread = std::thread::Builder::new().name("http".into());
    thread.spawn(move || {
        if let Err(error) = run(listener, inner, &house, &pulses, &stop) {
            say!("http: {error}");
        }
    })
}

fn run(
    listener: TcpListener,
    inner: Inner,
    house: &House,
    pulses: &[Arc<Pulse>; 2],
    stop: &AtomicBool,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Inner { listener: behind, path, folder } = inner;
    let [taking, answering] = pulses;
    let server = tiny_http::Server::from_listener(behind, None)?;
    let ended = AtomicBool::new(false);
    let over = || stop.load(Ordering::Relaxed) || ended.load(Ordering::Relaxed);
    let work = || {
        let _end = End(&ended);
        while !over() {
            answering.beat(house.clock.now());
            match server.recv_timeout(TICK) {
                Ok(Some(request)) => respond(house, request),
                Ok(None) => {}
                // It takes no further connection.
                Err(error) => return say!("http: {error}"),
            }
        }
    };
    let passed = std::thread::scope(|scope| {
        let _end = End(&ended);
        for number in 0..WORKERS {
            let worker = std::thread::Builder::new().name(format!("http-{number}"));
            worker.spawn_scoped(scope, work)?;
        }
        gate::run(listener, &path, || {
            taking.beat(house.clock.now());
            over()
        })
    });
    // Its end takes a connection to the path, so the folder stays open until then.
    drop(server);
    let _ = fs::remove_file(&path);
    drop(folder);
    Ok(passed?)
}

/// Says, when dropped, that a thread has ended, be it in a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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
    let target = request.url().to_owned();
    if path::is_streamed(method.word(), &target) {
        let length = request.body_length().and_then(|length| u32::try_from(length).ok());
        let asked = Request { method, target: &target, if_none_match: None, body: &[] };
        let upload = Upload { length, bytes: request.as_reader() };
        return api::receive(house, &Principal::Owner, &asked, upload);
    }
    let body = match read_body(request) {
        Ok(body) => body,
        Err(refusal) => return Response::refuse(refusal),
    };
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
    let from_elsewhere = |site: &str| !matches!(site, "same-origin" | "none");
    let is_foreign = headers(request, "origin").any(foreign)
        || headers(request, "sec-fetch-site").any(from_elsewhere);
    if is_foreign { Err(Refusal::Forbidden) } else { Ok(()) }
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
    let mut headers = vec![
        ("Cache-Control", cache),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ];
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
    fn the_inner_socket_is_ours_alone_and_a_stale_one_gives_way() {
        let top = std::env::temp_dir().join(format!("nightjar-inner-{}", std::process::id()));
        // Longer than the 108 bytes that a socket's address holds.
        let data_dir = top.join("d".repeat(120));
        fs::create_dir_all(&data_dir).unwrap();
        for _ in 0..2 {
            let inner = Inner::bind(&data_dir, 3).unwrap();
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&data_dir.join("http")), 0o700);
            assert_eq!(mode(&data_dir.join("http/socket3")), 0o600);
            std::os::unix::net::UnixStream::connect(&inner.path).unwrap();
        }
        fs::remove_dir_all(top).unwrap();
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
