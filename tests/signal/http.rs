//! Small routes, and HTTP read strictly.

use harness::meeting::{OPEN, Server, text_member};
use harness::web::request;

/// S1, S2, S3, S17.
#[test]
fn small_routes_answer_as_peerjs_servers_do() {
    let server = Server::start(&[]);
    let id = server.get("/anykey/id?ts=1");
    assert_eq!((id.status, id.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = id.text();
    let shape: String = text.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
    assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    assert_eq!(text.as_bytes().get(14), Some(&b'4'), "version 4");
    assert_ne!(text, server.get("/peerjs/id").text());
    assert_eq!(server.get("/peerjs/peers").status, 401);

    let root = server.get("/");
    assert_eq!(root.header("content-type"), Some("application/json"));
    for name in ["name", "description", "website"] {
        text_member(root.text(), name);
    }
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/nothing/here").status, 404);
    assert_eq!(server.get("/ice").text(), "{\"iceServers\":[]}");
    assert!(root.header("date").is_some_and(|date| date.ends_with(" GMT")));

    let origin = [("Origin", "https://app.example")];
    for path in ["/peerjs/id", "/ice", "/", "/peerjs/a/t/room/id", "/link.js"] {
        let answer = request(&server.at, "GET", path, &origin, b"");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        let answer = request(&server.at, "OPTIONS", path, &origin, b"");
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        let methods = answer.header("access-control-allow-methods");
        assert_eq!(methods, Some("GET,HEAD,PUT,PATCH,POST,DELETE"));
    }

    let _client = server.enter("a");
    // Pages of any origin may read what the room routes say, refusals too.
    let room = server.room_id("a", None);
    for (method, id, rest, status) in [
        ("POST", "a", format!("{room}/join"), 200),
        ("GET", "a", format!("{room}/members"), 200),
        ("GET", "a", format!("{room}/devices"), 200),
        ("POST", "a", format!("{room}/leave"), 200),
        ("GET", "a", format!("{}/members", "0".repeat(40)), 403),
        ("GET", "nobody", "id".into(), 401),
    ] {
        let answer = server.room(method, id, &rest, None);
        assert_eq!(answer.status, status, "{rest}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{rest}");
    }

    let refusals = [
        ("/wrong/a/t/room/id", "Invalid key provided"),
        ("/peerjs/a/u/room/id", "Invalid token provided"),
        ("/peerjs/b/t/room/id", "Unauthorized"),
        ("/peerjs/no%2Fid/t/room/id", "Unauthorized"),
    ];
    for (path, text) in refusals {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.text()), (401, text), "{path}");
    }
}

/// S22.
#[test]
fn every_route_lies_below_the_prefix() {
    let mut server = Server::start(&["--path", "/meet/here", "--key", "other"]);
    server.path = "/meet/here/";
    assert_eq!(server.get("/meet/here/other/id").text().len(), 36);
    for (path, location) in
        [("/meet/here", "/meet/here/"), ("/meet/here?room=a&b=%20", "/meet/here/?room=a&b=%20")]
    {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.header("location")), (308, Some(location)));
    }
    let moved = server.raw("GET /meet/here HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(moved.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{moved}");
    assert_eq!(server.get("/peerjs/id").status, 404);
    let mut client = server.knock("key=other&id=a&token=t");
    assert_eq!(client.hear(), OPEN);
    let page = request(&server.at, "GET", "/meet/here/", &[("Accept", "text/html,*/*")], b"");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(server.get("/meet/here/link.js").status, 200);
    assert_eq!(server.get("/meet/here/other/a/t/room/id").status, 200);
}

/// A request that follows what is refused, and must never be answered.
const SMUGGLED: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// First lines that are none.
const LINES: &[&str] = &[
    "GET  / HTTP/1.1",
    "GET /  HTTP/1.1",
    "GET / HTTP/1.1 ",
    " GET / HTTP/1.1",
    "GET\t/ HTTP/1.1",
    "GET / HTTP/1.2",
    "GET / HTTP/2.0",
    "GET / HTTP/11",
    "GET / http/1.1",
    "GET /",
    "GET",
    "PRI * HTTP/2.0",
    "GET http://a/ HTTP/1.1",
    "GET a HTTP/1.1",
    "GET * HTTP/1.1",
    "GET ?x HTTP/1.1",
    "GET //a@b:c#d HTTP/1.1",
    "GET /a#b HTTP/1.1",
    "GET /?a#b HTTP/1.1",
    "GET /\u{fc} HTTP/1.1",
    "GET /\u{7f} HTTP/1.1",
    "G(T / HTTP/1.1",
    "\u{fc} / HTTP/1.1",
    "GET / HTTP/1.1\r\nHost: b",
    "GET / HTTP/1.1\r\nHost",
    "GET / HTTP/1.1\r\nX",
];

/// Headers that make a POST no request, or two.
const HEADERS: &[&str] = &[
    // Lines and names.
    "X: b\nY: c",
    "X: b\rY: c",
    "X: b\r\n folded",
    "X: b\r\n\tfolded",
    " X: b",
    "X : b",
    "X\t: b",
    ": b",
    "X y: b",
    "X(: b",
    "X\u{fc}: b",
    "X: \0",
    "X: a\u{1}b",
    "X: \u{7f}",
    "=: \u{8}",
    "Host: b",
    "host: a",
    "Host:",
    "@: x\r\r\n",
    // How long the body is.
    "Content-Length: 3\r\nContent-Length: 3",
    "Content-Length: 0\r\ncontent-length: 3",
    "Content-Length: 3, 3",
    "Content-Length: 3;",
    "Content-Length: 3 3",
    "Content-Length: +3",
    "Content-Length: -1",
    "Content-Length: 0x3",
    "Content-Length: 3.0",
    "Content-Length: \"3\"",
    "Content-Length:",
    "Content-Length: a",
    "Content-Length: \u{b2}",
    "Content-Length : 3",
    "Content-Length\0: 3",
    "Content-Length: 1_0",
    "Content-Length: 3\u{b}",
    // How it is coded.
    "Content-Length: 3\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Content-Length: 3\r\nTransfer-Encoding: identity",
    "Content-Length: 3\r\nTransfer-Encoding:",
    "Content-Length: 3\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding: chunked\u{b}",
    " Transfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
];

/// What could be read in two ways, or is no HTTP, is refused with one answer, and the
/// connection ends.
#[test]
fn nothing_is_smuggled() {
    let server = Server::start(&[]);
    for line in LINES {
        refused(&server, &format!("{line}\r\nHost: a\r\n\r\n"), "400");
    }
    for header in HEADERS {
        refused(&server, &format!("POST / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"), "400");
    }
    // Clear, but nothing that any client of ours sends.
    for header in [
        "Transfer-Encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "Transfer-Encoding: x",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding:",
    ] {
        refused(&server, &format!("POST / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"), "411");
        refused(&server, &format!("GET / HTTP/1.0\r\n{header}\r\n\r\n"), "411");
    }
    for host in [
        "a b", "a,b", "user@a", "a/b", "a:b", "a:", "a:99999", "a:+80", "[a]", "[::1", "::1",
        "\u{fc}",
    ] {
        refused(&server, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), "400");
    }
    let methods = ["get", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"];
    for method in methods {
        refused(&server, &format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"), "405");
    }
    refused(&server, "\0\r\n\r\n", "400");
    refused(&server, "\u{16}\u{3}\u{1}\0", "400");
}

/// `text` and a request behind it get one answer with this status, then the end.
fn refused(server: &Server, text: &str, status: &str) {
    let answer = server.raw(&format!("{text}{SMUGGLED}"));
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text:?}: {answer:?}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{text:?}: {answer}");
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{text:?}: {answer}");
}

/// Bodies end where they say; what follows is the next request, unless the first was the last.
#[test]
fn requests_follow_one_another() {
    let server = Server::start(&[]);
    let last = SMUGGLED.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let body = |header: &str, body: &str| {
        format!("POST /peerjs/a/t/offer HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n{body}")
    };
    let table = [
        (format!("{SMUGGLED}{last}"), 2),
        (format!("\r\n{SMUGGLED}\r\n{last}"), 2),
        (format!("{last}{SMUGGLED}"), 1),
        (format!("{}{last}", body("Content-Length: 3", "abc")), 2),
        (format!("{}{last}", body("Content-Length: 0003", "abc")), 2),
        (format!("{}{last}", body(&format!("Content-Length: {}", SMUGGLED.len()), SMUGGLED)), 2),
        (format!("{}{last}", body("Connection: close\r\nContent-Length: 3", "abc")), 1),
        (format!("GET /healthz HTTP/1.0\r\n\r\n{SMUGGLED}"), 1),
        (format!("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n{SMUGGLED}"), 1),
    ];
    for (text, count) in table {
        let answer = server.raw(&text);
        assert_eq!(answer.matches("HTTP/1.1 ").count(), count, "{text:?}: {answer}");
    }
    let long = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    refused(&server, long, "413");
    let long = "POST /peerjs/a/t/room/x/join HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n";
    refused(&server, long, "413");
    let long = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n";
    refused(&server, long, "413");
}

/// S21: 8 KiB and 64 lines are a head, a byte or a line more is none.
#[test]
fn heads_are_bounded() {
    let server = Server::start(&[]);
    let head = |bytes: usize| {
        let rest = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: \r\n\r\n".len();
        format!(
            "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {}\r\n\r\n",
            "y".repeat(bytes - rest)
        )
    };
    assert!(server.raw(&head(8192)).starts_with("HTTP/1.1 200 "));
    refused(&server, &head(8193), "431");
    refused(&server, &format!("GET /{}", "x".repeat(9000)), "431");
    let lines = |count: usize| {
        let more = "x: y\r\n".repeat(count - 2);
        format!("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{more}\r\n")
    };
    assert!(server.raw(&lines(64)).starts_with("HTTP/1.1 200 "));
    refused(&server, &lines(65), "431");
}

/// An upgrade is asked for as RFC 6455 s4.2.1 has it, or there is none.
#[test]
fn upgrades_are_asked_for_properly() {
    let server = Server::start(&[]);
    let whole = "GET /peerjs HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: \
                 WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                 dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // Refused for want of an id, but on a WebSocket.
    let answer = server.raw(whole);
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(!answer.contains("Sec-WebSocket-Extensions"));
    let table = [
        ("Connection: keep-alive, Upgrade\r\n", "", "400"),
        ("keep-alive, Upgrade", "keep-alive", "400"),
        ("Upgrade: WebSocket\r\n", "", "426"),
        ("WebSocket", "h2c", "426"),
        ("Version: 13", "Version: 8", "426"),
        ("Version: 13", "Version: 13, 8", "426"),
        ("Sec-WebSocket-Version: 13\r\n", "", "400"),
        ("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13", "400"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "", "400"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", "400"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ===", "400"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25*ZQ==", "400"),
        ("Key: dG", "Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dG", "400"),
        ("Host: a", "Host: a\r\nContent-Length: 3", "400"),
        ("HTTP/1.1\r\nHost: a", "HTTP/1.0\r\nHost: a", "400"),
    ];
    for (good, bad, status) in table {
        let text = whole.replacen(good, bad, 1);
        assert_ne!(text, whole);
        let answer = server.raw(&text);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text:?}: {answer}");
    }
    assert!(server.raw(&format!("{whole}frames")).starts_with("HTTP/1.1 400 "));
    assert!(server.raw(&whole.replacen("GET", "POST", 1)).starts_with("HTTP/1.1 404 "));
    let plain = server.raw("GET /peerjs?key=peerjs HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(plain.starts_with("HTTP/1.1 426 ") && plain.contains("Sec-WebSocket-Version: 13"));
}
