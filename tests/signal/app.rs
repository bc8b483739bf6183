//! The web app, and TLS under everything.

use harness::data::Scratch;
use harness::meeting::{OPEN, Server, offer};
use harness::web::request;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::Message;

/// The app: types, policy, `ETag`, and a stamped service worker.
#[test]
fn the_app_is_served_with_care() {
    let server = Server::start(&[]);
    let page = request(&server.at, "GET", "/", &[("Accept", "text/html")], b"");
    assert!(page.text().contains("<!doctype html>"));
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; \
        img-src 'self' blob: data:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    assert_eq!(page.header("content-security-policy"), Some(policy));
    assert_eq!(server.get("/sw.js").header("content-security-policy"), Some(policy));
    for (path, kind) in [
        ("/link.js", "text/javascript; charset=utf-8"),
        ("/sw.js", "text/javascript; charset=utf-8"),
        ("/manifest.webmanifest", "application/manifest+json"),
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let etag = answer.header("etag").expect("an ETag");
        let again = request(&server.at, "GET", path, &[("If-None-Match", etag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0));
        let stale = request(&server.at, "GET", path, &[("If-None-Match", "\"x\"")], b"");
        assert_eq!(stale.status, 200);
        assert!(!answer.text().contains("__VERSION__"));
    }
    let head = request(&server.at, "HEAD", "/link.js", &[], b"");
    assert!(head.body.is_empty() && head.header("content-length") != Some("0"));
    assert_eq!(server.get("/../Cargo.toml").status, 404);
    assert_eq!(server.get("/js/../link.js").status, 404);
}

/// HTTPS with a certificate from files.
#[test]
fn tls_carries_the_same_routes() {
    let folder = Scratch::new("tls");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("a file can be written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file can be written");
    let path = |path: &std::path::Path| path.to_str().expect("a plain path").to_owned();
    let server = Server::start(&["--tls-cert", &path(&cert), "--tls-key", &path(&key)]);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connect = || {
        let name = "localhost".try_into().expect("a name");
        let client = rustls::ClientConnection::new(config.clone().into(), name).expect("a client");
        let stream = TcpStream::connect(&server.at).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        rustls::StreamOwned::new(client, stream)
    };
    let mut stream = connect();
    let ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(ask).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a whole answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");

    let url = "ws://localhost/peerjs?key=peerjs&id=a&token=t";
    let (mut socket, _) = tungstenite::client(url, connect()).expect("an upgrade");
    assert_eq!(socket.read().expect("OPEN"), Message::text(OPEN));
    let big = offer("a", &format!("\"{}\"", "x".repeat(60_000)));
    socket.send(Message::text(big)).expect("the server reads");
    assert!(socket.read().expect("an echo").len() > 60_000);
    assert!(server.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n").find("HTTP/1.1").is_none());
}
