//! The loopback door from the outside: what passes, and what a web page from elsewhere, a
//! rebinding DNS name or too much of anything gets.

use harness::data::Scratch;
use harness::program::Program;
use harness::web::{self, Answer};
use std::time::Duration;

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
        while !house.get("/api/v1/events").text().contains("\"id\"") {
            std::thread::sleep(Duration::from_millis(50));
        }
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
    for headers in
        [&[][..], &[("Host", local.as_str())], &[("Host", "[::1]")], &[("Origin", origin.as_str())]]
    {
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
            let cors = answer.headers.iter().find(|(name, _)| name.starts_with("access-control"));
            assert_eq!(cors, None);
        }
    }
    assert_eq!(house.ask("OPTIONS", "/api/v1/events", &[], &[]).status, 405);
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
