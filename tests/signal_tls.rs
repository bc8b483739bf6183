//! The meeting place behind TLS: certificates from files and from a CA, their change while all
//! runs, and what the shipped edge makes of both.

#[path = "signal_tls/https.rs"]
mod https;
#[path = "signal_tls/pebble.rs"]
mod pebble;

use harness::data::{Scratch, left_out};
use harness::meeting::connect_from;
use harness::program::{Program, binary};
use harness::web;
use https::{Stream, Trust, wait_until};
use pebble::Place;
use signal::clock::Clock;
use signal::config::{Tls as Source, TlsFiles};
use signal::tls::Tls;
use signal_proto::json;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tungstenite::{Message, WebSocket};

const HSTS: &str = "Strict-Transport-Security: max-age=15552000";

fn text(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

/// A certificate for localhost that vouches for itself, in two files.
struct Files {
    cert: PathBuf,
    key: PathBuf,
    _folder: Scratch,
}

impl Files {
    fn new() -> Self {
        let folder = Scratch::new("tls");
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let files = Self { cert, key, _folder: folder };
        files.renew();
        files
    }

    /// Another certificate; who is to be believed now.
    fn renew(&self) -> Trust {
        self.renew_for("localhost")
    }

    fn renew_for(&self, name: &str) -> Trust {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]);
        let made = made.expect("a certificate");
        fs::write(&self.cert, made.cert.pem()).expect("a file can be written");
        fs::write(&self.key, made.signing_key.serialize_pem()).expect("a file can be written");
        self.trust()
    }

    fn trust(&self) -> Trust {
        Trust::in_pem(&fs::read(&self.cert).expect("a file can be read"))
    }

    fn start(&self, options: &[&str]) -> Program {
        let (cert, key) = (text(&self.cert), text(&self.key));
        let args = ["--listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
        Program::start("nightjar-signal", &[&args[..], options].concat())
    }
}

fn hang_up(program: &Program) {
    let sent = Command::new("kill").args(["-HUP", &program.pid().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill -HUP works");
}

/// A client with a WebSocket over TLS.
struct Client(WebSocket<Stream>);

impl Client {
    fn enter(trust: &Trust, at: &str, id: &str) -> Self {
        let stream = trust.connect(at, "localhost").expect("a handshake");
        let url = format!("ws://localhost/peerjs?key=peerjs&id={id}&token=t");
        let (socket, _) = tungstenite::client(url, stream).expect("an upgrade");
        let mut client = Self(socket);
        assert_eq!(client.hear(), "{\"type\":\"OPEN\"}");
        client
    }

    fn hear(&mut self) -> String {
        match self.0.read().expect("the server speaks") {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("a text, not {other:?}"),
        }
    }

    /// Says something to itself and hears it.
    fn echo(&mut self, id: &str) {
        let said =
            format!("{{\"type\":\"OFFER\",\"src\":\"{id}\",\"dst\":\"{id}\",\"payload\":1}}");
        self.0.send(Message::text(said.clone())).expect("the server reads");
        assert_eq!(self.hear(), said);
    }
}

/// The shipped edge registers by `wss` and joins the room of who asks.
fn edge_registers(trust: &Trust, at: &str, ca: &Path) {
    let data = Scratch::new("tls-edge");
    let port = at.rsplit(':').next().expect("a port");
    let (folder, url) = (text(data.path()), format!("https://localhost:{port}"));
    let edge = Program::start(
        "nightjar-edge",
        &[
            "--data-dir",
            &folder,
            "--http",
            "127.0.0.1:0",
            "--signal",
            &url,
            "--signal-ca",
            &text(ca),
        ],
    );
    let status = web::get(edge.address("http"), "/api/v1/status");
    let id = json::member(status.text(), "peer_id").and_then(json::string).expect("an id");
    let _phone = Client::enter(trust, at, "phone");
    let get = |path: &str| trust.get(at, "localhost", &format!("/peerjs/phone/t/room/{path}")).1;
    let answer = get("id");
    let room = json::member(&answer, "roomId").and_then(json::string).expect("a room");
    let join = format!("/peerjs/phone/t/room/{room}/join");
    let post = format!("POST {join} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert!(trust.ask(at, "localhost", &post).0.contains("200 OK"));
    wait_until("the edge is in the room", || get(&format!("{room}/devices")).contains(&*id));
}

#[test]
fn a_changed_certificate_is_for_new_handshakes() {
    let files = Files::new();
    let old = files.trust();
    let server = files.start(&[]);
    let at = server.address("http");
    let first = old.shown(at).expect("a handshake");
    let mut client = Client::enter(&old, at, "a");

    let new = files.renew();
    assert_eq!(old.shown(at).expect("a handshake"), first, "nobody has said so yet");
    hang_up(&server);
    wait_until("the new one is shown", || new.shown(at).is_ok());
    assert!(old.shown(at).is_err());
    client.echo("a");

    let good = fs::read(&files.key).expect("a file can be read");
    for broken in ["", "no key"] {
        fs::write(&files.key, broken).expect("a file can be written");
        hang_up(&server);
    }
    wait_until("it says so", || server.log().matches("the old one stays: ").count() >= 1);
    let log = server.log();
    assert!(log.contains(&text(&files.key)) && log.matches("read again").count() == 1, "{log}");
    new.shown(at).expect("the old one stays");
    fs::write(&files.key, good).expect("a file can be written");
    hang_up(&server);
    wait_until("it is whole again", || server.log().matches("read again").count() == 2);
    client.echo("a");
    assert!(server.terminate().success());
}

/// What the program does once a minute, done at once.
#[test]
fn a_change_of_the_files_is_seen() {
    let files = Files::new();
    let source = TlsFiles { cert: files.cert.clone(), key: files.key.clone() };
    let tls = Tls::new(&Source::Files(source), Clock::start()).expect("a certificate");
    assert!(tls.names("localhost") && tls.names("LOCALHOST") && !tls.names("other.example"));
    files.renew_for("other.example");
    assert!(tls.names("localhost"), "not looked at yet");
    tls.look();
    assert!(tls.names("other.example") && !tls.names("localhost"));
    fs::write(&files.key, "torn").expect("a file can be written");
    tls.look();
    fs::remove_file(&files.cert).expect("a file can be removed");
    tls.look();
    assert!(tls.names("other.example"), "the old one stays");
    files.renew_for("127.0.0.1");
    tls.look();
    assert!(tls.names("127.0.0.1") && !tls.names("127.0.0.2") && !tls.names(""));
}

#[test]
fn browsers_are_told_to_stay_with_https() {
    let files = Files::new();
    let (trust, server) = (files.trust(), files.start(&[]));
    let at = server.address("http");
    for path in ["/", "/healthz", "/ice", "/peerjs/id", "/nothing/here", "/link.js", "/peerjs"] {
        let head = trust.get(at, "localhost", path).0;
        assert!(head.lines().filter(|line| *line == HSTS).count() == 1, "{path}: {head}");
    }
    let malformed = trust.ask(at, "localhost", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").0;
    assert!(malformed.contains(HSTS) && malformed.contains("400"), "{malformed}");
    let plain = Program::start("nightjar-signal", &["--listen", "127.0.0.1:0"]);
    let answer = web::get(plain.address("http"), "/");
    assert_eq!(answer.header("strict-transport-security"), None);
}

#[test]
fn http_is_pointed_to_https_of_this_server_only() {
    let files = Files::new();
    let server = files.start(&["--redirect", "127.0.0.1:0"]);
    let (https, http) = (server.address("http"), server.address("redirect"));
    let port = https.rsplit(':').next().expect("a port");
    for method in ["GET", "HEAD"] {
        let host = [("Host", "localhost:80")];
        let answer = web::request(http, method, "/a%20b?c=d", &host, b"");
        let there = format!("https://localhost:{port}/a%20b?c=d");
        assert_eq!((answer.status, answer.header("location")), (308, Some(&*there)));
        assert!(answer.body.is_empty() && answer.header("strict-transport-security").is_none());
    }
    let host = |host| [("Host", host)];
    for stranger in ["evil.example", "localhost.evil.example", "127.0.0.1"] {
        let answer = web::request(http, "GET", "/", &host(stranger), b"");
        assert_eq!((answer.status, answer.header("location")), (421, None), "{stranger}");
    }
    let answer = web::request(http, "POST", "/peerjs/a/t/offer", &host("localhost"), b"{}");
    assert_eq!((answer.status, answer.header("location")), (405, None));
    let long = format!("/{}", "a".repeat(9000));
    assert_eq!(web::request(http, "GET", &long, &host("localhost"), b"").status, 431);
    assert_eq!(web::request(http, "GET", "/", &host("a b"), b"").status, 400);
}

/// 64 of one address, 512 in all; beyond, a newcomer is closed unheard.
#[test]
fn the_redirect_holds_few_connections() {
    let files = Files::new();
    let server = files.start(&["--redirect", "127.0.0.1:0"]);
    let http = server.address("redirect");
    let is_heard = |last: u8| {
        let mut stream = connect_from([127, 0, 0, last].into(), http);
        let ask = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut answer = String::new();
        let _ = stream.write_all(ask).and_then(|()| stream.read_to_string(&mut answer));
        answer.starts_with("HTTP/1.1 308 ")
    };
    let crowd = |last: u8| (0..64).map(move |_| connect_from([127, 0, 0, last].into(), http));
    let mut silent: Vec<_> = crowd(2).collect();
    assert!(!is_heard(2) && is_heard(3), "one address has its share");
    silent.extend((3..10).flat_map(crowd));
    assert_eq!(silent.len(), 512);
    assert!(!is_heard(10), "all places are taken");
    drop(silent);
    wait_until("there is room again", || is_heard(10));
}

#[test]
fn an_edge_registers_through_tls_from_files() {
    let files = Files::new();
    let server = files.start(&[]);
    edge_registers(&files.trust(), server.address("http"), &files.cert);
}

/// A server that asks a CA for localhost.
fn ordered(place: &Place, ca: &str, state: &Path, options: &[&str]) -> Program {
    let (state, directory) = (text(state), place.directory());
    let args = [
        "--domain",
        "localhost",
        "--state-dir",
        &state,
        "--acme-directory",
        &directory,
        "--acme-ca",
        ca,
    ];
    Program::start("nightjar-signal", &[&args[..], options].concat())
}

fn port_of(server: &Program) -> String {
    server.address("http").rsplit(':').next().expect("a port").to_owned()
}

/// The CA is away at first; what it gave outlives a restart, and is no second time asked for.
#[test]
fn a_certificate_is_obtained_and_kept() {
    if !pebble::is_there() {
        return left_out("a_certificate_is_obtained_and_kept", "no pebble");
    }
    let (place, folder) = (Place::new(), Scratch::new("acme"));
    let (ca, state) = (place.ca(), folder.path().join("state"));
    let any = ["--listen", "127.0.0.1:0", "--redirect", "127.0.0.1:0"];
    let server = ordered(&place, &ca, &state, &any);
    let (at, port) = (server.address("http").to_owned(), port_of(&server));
    wait_until("it says that the CA is away", || server.log().contains("cannot be asked"));
    let nobody = Trust::in_pem(&fs::read(&ca).expect("a file can be read"));
    let refused = nobody.shown(&at).expect_err("there is no certificate yet");
    assert!(refused.to_string().contains("alert"), "a clean end: {refused}");
    let host = [("Host", "LOCALHOST:80")];
    let moved = web::request(server.address("redirect"), "GET", "/x", &host, b"");
    assert_eq!(moved.header("location"), Some("https://LOCALHOST/x"), "the rest goes on");

    let running = place.start(&port, 3600);
    let root = running.root();
    let trust = Trust::in_pem(root.as_bytes());
    wait_until("a certificate", || trust.shown(&at).is_ok());
    let first = trust.shown(&at).expect("a handshake");
    assert!(trust.get(&at, "localhost", "/healthz").0.contains(HSTS));
    wait_until("it is kept", || fs::read_dir(&state).is_ok_and(|files| files.count() == 2));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in fs::read_dir(&state).expect("a folder") {
        assert_eq!(mode(&file.expect("a file").path()), 0o600);
    }
    let root_file = folder.path().join("root.pem");
    fs::write(&root_file, &root).expect("a file can be written");
    edge_registers(&trust, &at, &root_file);
    let log = server.log();
    assert_eq!(log.matches("trying again").count(), 1, "{log}");
    assert!(log.contains("obtained, valid until") && !log.contains("127."), "{log}");
    assert!(server.terminate().success());

    let again = ordered(&place, &ca, &state, &["--listen", &at]);
    assert_eq!(trust.shown(&at).expect("at once"), first);
    assert!(again.log().contains("kept, valid until"));
    assert!(again.terminate().success());
    assert_eq!(running.orders(), 1);
    drop(running);
    // And it does not even ask: nobody is there.
    let again = ordered(&place, &ca, &state, &["--listen", &at]);
    assert_eq!(trust.shown(&at).expect("at once"), first);
    Client::enter(&trust, &at, "a").echo("a");
    assert!(!again.log().contains("trying again"));
}

/// For 12 s each: the next one comes after 8, and open connections do not notice.
#[test]
fn a_certificate_is_renewed_in_time() {
    if !pebble::is_there() {
        return left_out("a_certificate_is_renewed_in_time", "no pebble");
    }
    let (place, folder) = (Place::new(), Scratch::new("acme"));
    let server = ordered(&place, &place.ca(), folder.path(), &["--listen", "127.0.0.1:0"]);
    let at = server.address("http");
    let running = place.start(&port_of(&server), 12);
    let trust = Trust::in_pem(running.root().as_bytes());
    let mut first = Vec::new();
    wait_until("a certificate", || trust.shown(at).map(|shown| first = shown).is_ok());
    let mut client = Client::enter(&trust, at, "a");
    wait_until("the next", || trust.shown(at).is_ok_and(|shown| shown != first));
    client.echo("a");
    assert!(running.orders() >= 2);
}

/// Who cannot be believed is not, and what a CA refuses is said, without an address.
#[test]
fn what_fails_is_said() {
    if !pebble::is_there() {
        return left_out("what_fails_is_said", "no pebble");
    }
    let (place, folder) = (Place::new(), Scratch::new("acme"));
    let running = place.start("1", 3600);
    let any = ["--listen", "127.0.0.1:0"];
    let other = Files::new();
    let server = ordered(&place, &text(&other.cert), &folder.path().join("a"), &any);
    wait_until("it says so", || server.log().contains("invalid peer certificate"));
    assert_eq!(running.orders(), 0);
    assert!(server.terminate().success());

    let server = ordered(&place, &place.ca(), &folder.path().join("b"), &any);
    wait_until("it says so", || server.log().contains("port 443 of this domain"));
    let log = server.log();
    assert!(!log.contains("127."), "{log}");
    let trust = Trust::in_pem(running.root().as_bytes());
    assert!(trust.shown(server.address("http")).is_err());
    assert!(server.terminate().success());
}

/// One clear line and exit code 2.
#[test]
fn mistakes_are_named() {
    let folder = Scratch::new("acme");
    let (empty, state) = (text(&folder.path().join("empty")), text(&folder.path().join("state")));
    fs::write(&empty, "").expect("a file can be written");
    let domain = ["--listen", "127.0.0.1:0", "--domain", "a.example", "--state-dir"];
    let table: [(&[&str], &str); 4] = [
        (&[&empty], "--state-dir"),
        (&[&state, "--acme-directory", "http://ca.example/"], "expected https://HOST/"),
        (&[&state, "--acme-ca", &empty], "no certificate in PEM"),
        (&[&state, "--redirect", "1.2.3.4:1"], "--redirect 1.2.3.4:1"),
    ];
    for (options, said) in table {
        let args = [&domain[..], options].concat();
        let output = Command::new(binary("nightjar-signal")).args(args).output();
        let output = output.expect("the binary starts");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {log}");
        assert!(log.contains(said) && log.lines().count() == 1, "{options:?}: {log}");
    }
}
