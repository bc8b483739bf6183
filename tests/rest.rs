//! The loopback door from the outside: what passes, and what a web page from elsewhere, a
//! rebinding DNS name or too much of anything gets.

use harness::data::Scratch;
use harness::program::Program;
use harness::socket::resident_kib;
use harness::web::{self, Answer};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A box with a demo camera that has listed an event.
struct House {
    edge: Program,
    _scratch: Scratch,
}

impl House {
    fn new(tag: &str) -> Self {
        let scratch = Scratch::new(tag);
        let data = scratch.path().to_str().expect("a scratch path is UTF-8");
        let args = ["--data-dir", data, "--http", "127.0.0.1:0", "--camera", "Yard=demo:"];
        let house = Self { edge: Program::start("nightjar-edge", &args), _scratch: scratch };
        until_event(&house.edge);
        house
    }

    fn address(&self) -> &str {
        self.edge.address("http")
    }

    fn get(&self, path: &str) -> Answer {
        web::get(self.address(), path)
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        web::request(self.address(), method, path, headers, body)
    }
}

/// Waits until it has listed an event: its camera, its eye and its store are at work.
fn until_event(edge: &Program) {
    while !web::get(edge.address("http"), "/api/v1/events").text().contains("\"id\"") {
        thread::sleep(Duration::from_millis(50));
    }
}

fn json(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[test]
fn pages_from_elsewhere_and_rebound_names_read_nothing() {
    let house = House::new("foreign");
    let address = house.address().to_owned();
    let port = address.rsplit_once(':').expect("a port").1;
    let local = format!("localhost:{port}");
    let origin = format!("http://{address}");
    for headers in [
        &[][..],
        &[("Host", local.as_str())],
        &[("Host", "[::1]")],
        &[("Origin", origin.as_str())],
        &[("Sec-Fetch-Site", "none")],
        &[("Sec-Fetch-Site", "same-origin")],
    ] {
        assert_eq!(house.ask("GET", "/api/v1/events", headers, &[]).status, 200, "{headers:?}");
    }
    for headers in [
        &[("Host", "evil.example")][..],
        &[("Host", "localhost.evil.example")],
        &[("Host", "127.0.0.1.evil.example")],
        &[("Host", "192.168.1.7:8778")],
        &[("Origin", "http://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://127.0.0.1:1")],
        // An image, a style or a `no-cors` fetch of another site's page has no Origin.
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
    ] {
        for (method, path) in [
            ("GET", "/api/v1/events"),
            ("GET", "/api/ping"),
            ("POST", "/api/v1/pairing"),
            ("OPTIONS", "/api/v1/events"),
        ] {
            let answer = house.ask(method, path, headers, &[]);
            assert_eq!(answer.status, 403, "{method} {path} {headers:?}");
            assert!(!answer.text().contains("started_ms"));
            assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            let cors = answer.headers.iter().find(|(name, _)| name.starts_with("access-control"));
            assert_eq!(cors, None);
        }
    }
    assert_eq!(house.ask("OPTIONS", "/api/v1/events", &[], &[]).status, 405);
}

/// Opens a connection and says `text`, which may be no whole request.
fn say(address: &str, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the box listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.write_all(text.as_bytes()).expect("the box reads");
    stream
}

/// The status that a connection is answered with, once it is closed; 0 where there is none.
fn status(mut stream: TcpStream) -> u16 {
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert_eq!(text.is_empty(), !text.contains("Connection: close"), "{text}");
    let word = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    word.map_or(0, |word| word.parse().expect("a number"))
}

/// Each of these ended or stopped the process while `tiny_http` read it.
#[test]
fn no_head_harms_the_box() {
    let house = House::new("heads");
    let long = format!("X: {}\r\n", "x".repeat(8 * 1024));
    let many = "X: x\r\n".repeat(65);
    for (lines, expect) in [
        ("Content-Length: 10000000000000\r\n", 413),
        ("Content-Length: 18446744073709551615\r\n", 413),
        ("Content-Length: 99999999999999999999999\r\n", 413),
        ("Content-Length: 65537\r\n", 413),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", 400),
        ("Content-Length: x\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", 400),
        ("Expect: 100-continue\r\nContent-Length: 1\r\n", 400),
        ("Connection: upgrade\r\nUpgrade: websocket\r\n", 400),
        ("Connection: upgrade\r\n", 400),
        ("nonsense\r\n", 400),
        (&long, 431),
        (&many, 431),
        ("Content-Length: 1\r\n", 404),
    ] {
        let request = format!("PUT /x HTTP/1.1\r\nHost: localhost\r\n{lines}\r\nx");
        assert_eq!(status(say(house.address(), &request)), expect, "{lines:.60}");
    }
    assert_eq!(status(say(house.address(), "\u{16}\u{3}\u{1}\u{2}\u{0}")), 400);
    assert_eq!(house.get("/api/v1/status").status, 200);
}

const HALF: &str =
    "PUT /api/v1/device HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6400\r\n\r\n{";

#[test]
#[expect(clippy::disallowed_methods, reason = "measures how long the program took")]
fn half_requests_hold_nobody_up_and_are_told_in_time() {
    let house = House::new("halves");
    let began = Instant::now();
    let bodies: Vec<_> = (0..6).map(|_| say(house.address(), HALF)).collect();
    let heads: Vec<_> = (0..6).map(|_| say(house.address(), "GET /api/v1/st")).collect();
    assert_eq!(house.get("/api/v1/status").status, 200);
    assert!(began.elapsed() < Duration::from_secs(4), "nobody waits for the slow");
    for stream in heads.into_iter().chain(bodies) {
        assert_eq!(status(stream), 408);
    }
    let took = began.elapsed();
    assert!((8..16).contains(&took.as_secs()), "a body has 10 s: {took:?}");
}

#[test]
fn more_than_32_connections_are_told_that_the_box_is_busy() {
    let house = House::new("busy");
    let held: Vec<_> = (0..40).map(|_| say(house.address(), "GET /")).collect();
    assert_eq!(house.get("/api/v1/status").status, 503);
    let told: Vec<_> = held.into_iter().map(status).collect();
    assert!(told.iter().all(|status| [408, 503].contains(status)), "{told:?}");
    // The question that found the house ready may hold a place for a moment longer.
    let served = told.iter().filter(|status| **status == 408).count();
    assert!((31..=32).contains(&served), "{told:?}");
    assert_eq!(house.get("/api/v1/status").status, 200);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures how long the program took")]
fn half_a_request_does_not_delay_the_end() {
    let house = House::new("end");
    let held: Vec<_> = (0..6).map(|_| say(house.address(), HALF)).collect();
    assert_eq!(house.get("/api/v1/status").status, 200);
    let House { edge, _scratch } = house;
    let began = Instant::now();
    assert_eq!(edge.terminate().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(held);
}

#[test]
fn what_is_too_much_or_malformed_is_refused() {
    let house = House::new("refused");
    let long = vec![b' '; 64 * 1024 + 1];
    assert_eq!(house.ask("PUT", "/api/v1/device", &[], &long).status, 413);
    let deep = [b"{\"name\":".to_vec(), vec![b'['; 60_000]].concat();
    let refused = house.ask("PUT", "/api/v1/device", &[], &deep);
    assert_eq!(refused.status, 400);
    assert_eq!(json(&refused)["error"]["code"], "malformed");
    for (method, path, status) in [
        ("GET", "/api/data/../owner.log", 400),
        ("GET", "/api/data/%2e%2e/owner.log", 400),
        ("GET", "/api/v1/events/0", 404),
        ("GET", "/api/v1/events?limit=none", 400),
        ("PATCH", "/api/v1/events", 405),
        ("DELETE", "/api/v1/events", 405),
        ("GET", "/api/config", 404),
        ("GET", "/api/v1/test/panic", 404),
    ] {
        assert_eq!(house.ask(method, path, &[], &[]).status, status, "{method} {path}");
    }
}

#[test]
fn an_event_with_its_pictures_is_read_starred_and_deleted() {
    let house = House::new("event");
    let page = json(&house.get("/api/v1/events?limit=1"));
    let event = &page["events"][0];
    assert_eq!((event["kind"].as_str(), event["camera"].as_str()), (Some("motion"), Some("Yard")));
    let path = format!("/api/v1/events/{}", event["id"].as_str().expect("a text"));
    for part in ["thumbnail", "picture"] {
        let picture = house.get(&format!("{path}/{part}"));
        assert_eq!(picture.header("content-type"), Some("image/jpeg"));
        let cache = picture.header("cache-control").expect("a header");
        assert!(cache.contains("immutable"), "{cache}");
        assert!(picture.header("etag").is_some_and(|tag| tag.starts_with('"')));
    }
    let openapi = house.get("/api/v1/openapi.json");
    let tag = openapi.header("etag").expect("an entity tag").to_owned();
    let again = house.ask("GET", "/api/v1/openapi.json", &[("If-None-Match", &tag)], &[]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(json(&openapi)["openapi"], "3.1.0");
    let starred = house.ask("PUT", &path, &[], br#"{"favourite":true}"#);
    assert_eq!(json(&starred)["favourite"], true);
    assert_eq!(json(&house.get("/api/v1/events?favourite=true"))["events"][0]["id"], event["id"]);
    assert_eq!(house.ask("DELETE", &path, &[], &[]).status, 204);
    assert_eq!(house.get(&path).status, 404);
    let snapshot = house.get("/api/v1/cameras/Yard/snapshot");
    assert_eq!(snapshot.header("content-type"), Some("image/jpeg"), "{}", snapshot.status);
}

/// A box below a new edge, for one connection: its first line, how many bytes came after it of
/// as many as it reads, and whether they ended there.
fn below(
    tag: &str,
    reads: u64,
    says: &'static str,
) -> (Program, Scratch, JoinHandle<(String, u64, bool)>) {
    let scratch = Scratch::new(tag);
    let socket = scratch.path().join("box.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let served = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the edge asks");
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).expect("a line");
        let count = io::copy(&mut (&mut stream).take(reads), &mut io::sink()).expect("bytes");
        stream.get_mut().write_all(says.as_bytes()).expect("the edge listens");
        (line, count, count < reads)
    });
    let data = scratch.path().to_str().expect("a scratch path is UTF-8");
    let socket = socket.to_str().expect("a scratch path is UTF-8");
    let args = ["--data-dir", data, "--http", "127.0.0.1:0", "--camera", "demo:", "--box", socket];
    (Program::start("nightjar-edge", &args), scratch, served)
}

/// The head of a bundle of so many bytes.
fn bundle(edge: &Program, length: u64) -> TcpStream {
    let head = "PUT /api/v1/system/update HTTP/1.1\r\nHost: localhost\r\nContent-Length:";
    say(edge.address("http"), &format!("{head} {length}\r\n\r\n"))
}

#[test]
fn a_bundle_passes_through_little_memory() {
    const LENGTH: u64 = 64 << 20;
    let says = "{\"percent\":99}\n{\"ok\":{\"version\":\"0.2.0\"}}\n";
    let (edge, _scratch, served) = below("bundle", LENGTH, says);
    until_event(&edge);
    let mut stream = bundle(&edge, LENGTH);
    let before = resident_kib(edge.pid());
    let mut most = before;
    let chunk = vec![7; 1 << 20];
    for _ in 0..LENGTH >> 20 {
        stream.write_all(&chunk).expect("the box reads");
        most = most.max(resident_kib(edge.pid()));
    }
    assert_eq!(status(stream), 200);
    assert!(most - before < 8 * 1024, "{before} KiB before, {most} KiB while it passed");
    let asked = format!("{{\"do\":\"update\",\"bytes\":{LENGTH}}}\n");
    assert_eq!(served.join().expect("the box lives"), (asked, LENGTH, false));
}

#[test]
fn a_bundle_is_refused_before_its_end_and_broken_off_with_its_client() {
    let says = "{\"error\":{\"code\":\"older\",\"message\":\"it is older\"}}\n";
    let (edge, _scratch, served) = below("refused", 1000, says);
    let mut stream = bundle(&edge, 100_000_000);
    stream.write_all(&[7; 2000]).expect("the box reads");
    // The edge reads the no with the next bytes that come, until it has hung up.
    while stream.write_all(&[7; 2000]).is_ok() && !served.is_finished() {}
    let _ = stream.write_all(&[7; 2000]);
    assert_eq!(status(stream), 422);
    served.join().expect("the box lives");
    let health = web::get(edge.address("http"), "/healthcheck");
    assert_eq!(health.status, 200);

    let (edge, _scratch, served) = below("broken", 100_000_000, "");
    let mut stream = bundle(&edge, 100_000_000);
    stream.write_all(&[7; 2000]).expect("the box reads");
    drop(stream);
    let (_, count, ended) = served.join().expect("the box lives");
    assert!(ended && count <= 2000, "{count} bytes");
    assert_eq!(web::get(edge.address("http"), "/healthcheck").status, 200);
}
