//! STUN and `ice` from the outside: both families on one socket, other people's STUN clients,
//! silence where nobody may gain by an answer, and a name that works where one asks from.
#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]

use harness::data::{Scratch, left_out};
use harness::program::{Program, outcome};
use harness::web::{Answer, request};
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest wait for an answer that must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers to one source at once, and a second (README, Limits).
const BURST: usize = 100;
const RATE: usize = 20;

/// A server that answers STUN there; the port.
fn start(stun: &str, more: &[&str]) -> (Program, u16) {
    let args = [&["--listen", "127.0.0.1:0", "--stun", stun][..], more].concat();
    let server = Program::start("nightjar-signal", &args);
    let at: SocketAddr = server.address("stun").parse().expect("an address");
    (server, at.port())
}

/// A client's socket at `address`, towards the server.
fn client(address: &str, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).expect("an address of loopback");
    let server = if address.contains(':') { "::1" } else { "127.0.0.1" };
    socket.connect((server, port)).expect("a route over loopback");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    socket
}

/// A Binding request: `number` is its transaction.
fn question(number: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(attributes.len()).expect("short").to_be_bytes();
    [&[0, 1][..], &length, &[0x21, 0x12, 0xa4, 0x42], &[number; 12], attributes].concat()
}

fn hear(socket: &UdpSocket) -> Vec<u8> {
    let mut buf = [0; 600];
    let length = socket.recv(&mut buf).expect("an answer");
    buf[..length].to_vec()
}

/// The success answer to question `number` for `source` (RFC 8489 s14.2).
fn mapped(number: u8, source: SocketAddr) -> Vec<u8> {
    let mask = [&[0x21, 0x12, 0xa4, 0x42][..], &[number; 12]].concat();
    let masked = |bytes: &[u8]| bytes.iter().zip(&mask).map(|(a, b)| a ^ b).collect::<Vec<_>>();
    let (family, address) = match source {
        SocketAddr::V4(v4) => (1, v4.ip().octets().to_vec()),
        SocketAddr::V6(v6) => (2, v6.ip().octets().to_vec()),
    };
    let (port, address) = (masked(&source.port().to_be_bytes()), masked(&address));
    let value = u8::try_from(address.len() + 4).expect("short");
    let head = [&[1, 1, 0, value + 4][..], &mask[..4], &[number; 12]].concat();
    [&head[..], &[0, 0x20, 0, value, 0, family], &port, &address].concat()
}

/// One socket for both families; who asks by IPv4 is told an IPv4 address.
#[test]
fn both_families_are_told_what_they_are_seen_as() {
    let (_server, port) = start("[::]:0", &[]);
    for (number, address) in [(1, "127.0.0.1"), (2, "::1")] {
        let socket = client(address, port);
        let ask = question(number, &[]);
        socket.send(&ask).expect("it goes out");
        let answer = hear(&socket);
        assert_eq!(answer, mapped(number, socket.local_addr().expect("bound")), "{address}");
        assert!(answer.len() <= ask.len() + 24);
    }
}

/// What is no whole Binding request is met with silence: the next answer is the next question's.
#[test]
fn noise_is_not_answered() {
    let (_server, port) = start("127.0.0.1:0", &[]);
    let socket = client("127.0.0.1", port);
    let name = [0x80, 0x22, 0, 4, b'n', b'a', b'm', b'e'];
    let mut noise = vec![
        Vec::new(),
        vec![0; 20],
        vec![0xff; 548],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        question(1, &name)[..24].to_vec(),
        question(1, &[0x80, 0x22, 0, 9, b'n', b'a', b'm', b'e']),
        question(1, &[0x80, 0x22, 0, 4]),
        question(1, &[0x80, 0x28, 0, 4, 1, 2, 3, 4]),
        [&question(1, &[])[..], &[0; 4]].concat(),
    ];
    for kind in [[0x00, 0x11], [0x01, 0x01], [0x01, 0x11], [0x00, 0x03], [0x40, 0x01]] {
        noise.push([&kind[..], &question(1, &name)[2..]].concat());
    }
    let mut older = question(1, &[]);
    older[4] = 0;
    noise.push(older);
    for datagram in noise {
        socket.send(&datagram).expect("it goes out");
    }
    socket.send(&question(2, &name)).expect("it goes out");
    assert_eq!(hear(&socket), mapped(2, socket.local_addr().expect("bound")));
    // CHANGE-REQUEST would have us answer from elsewhere: refused by name, within the bound.
    let ask = question(3, &[0, 3, 0, 4, 0, 0, 0, 6]);
    socket.send(&ask).expect("it goes out");
    let answer = hear(&socket);
    assert_eq!(answer[..2], [1, 0x11]);
    assert_eq!(answer[20..], [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, 2, 0, 3, 0, 0]);
    assert!(answer.len() <= ask.len() + 24);
}

/// One source has its share, whatever its ports, and takes nothing from another's.
#[test]
fn one_source_has_its_share() {
    let (_server, port) = start("127.0.0.1:0", &[]);
    let greedy: Vec<_> = (0..8).map(|_| client("127.0.0.2", port)).collect();
    let stranger = client("127.0.0.3", port);
    let start = Instant::now();
    for round in 0..25 {
        for socket in &greedy {
            socket.send(&question(9, &[])).expect("it goes out");
        }
        // The server takes one after the other: an answer here says that it is through with them.
        stranger.send(&question(round, &[])).expect("it goes out");
        assert_eq!(hear(&stranger), mapped(round, stranger.local_addr().expect("bound")));
    }
    let regained = usize::try_from(start.elapsed().as_millis()).expect("short") * RATE / 1000 + 1;
    let answers = |socket: &UdpSocket| {
        socket.set_nonblocking(true).expect("it can be");
        std::iter::from_fn(|| socket.recv(&mut [0; 64]).ok()).count()
    };
    let answers: usize = greedy.iter().map(answers).sum();
    assert!((BURST..=BURST + regained).contains(&answers), "{answers} of 200");
}

/// Somebody else's client (coturn's), by both families. `tests/run` installs it, or says so.
#[test]
fn a_strangers_client_understands() {
    let client = |address: &str, port: u16| {
        let port = port.to_string();
        outcome(Command::new("turnutils_stunclient").args(["-p", &port, address]))
    };
    if Command::new("turnutils_stunclient").output().is_err() {
        return left_out("a_strangers_client_understands", "no turnutils_stunclient (coturn)");
    }
    let (_server, port) = start("[::]:0", &[]);
    for address in ["127.0.0.1", "::1"] {
        let said = client(address, port);
        let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        assert!(said.contains(&format!("UDP reflexive addr: {address}:")), "{said}");
    }
}

fn ice(server: &Program, host: &str, more: &[(&str, &str)]) -> Answer {
    let headers = [&[("Host", host)][..], more].concat();
    request(server.address("http"), "GET", "/signal/ice", &headers, b"")
}

/// The name is the one that the caller used, and nobody else's word counts for it.
#[test]
fn ice_names_the_server_as_the_caller_does() {
    let options = ["--path", "signal", "--trusted-proxy", "127.0.0.0/8"];
    let (server, port) = start("127.0.0.1:0", &options);
    for (host, name) in [
        ("meet.example", "meet.example"),
        ("meet.example:8443", "meet.example"),
        ("192.0.2.7:9000", "192.0.2.7"),
        ("[2001:db8::1]:9000", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ] {
        let forged = [("X-Forwarded-Host", "evil.example"), ("Forwarded", "host=evil.example")];
        let answer = ice(&server, host, &forged);
        let expected = format!("{{\"iceServers\":[{{\"urls\":\"stun:{name}:{port}\"}}]}}");
        assert_eq!((answer.status, answer.text()), (200, expected.as_str()));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(ice(&server, "a\"b", &[]).status, 400);
}

/// A TURN login says until when, and which network asks without saying which that is.
#[test]
fn turn_logins_differ_by_network_and_end() {
    let folder = Scratch::new("turn-login");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "north\n").expect("a file can be written");
    let secret = secret.to_str().expect("a plain path");
    let options = ["--path", "signal", "--turn-url", "turns:t.example", "--turn-secret", secret];
    let trusting = ["--trusted-proxy", "127.0.0.1"];
    let (server, _) = start("127.0.0.1:0", &[&options[..], &trusting].concat());
    let login = |client: &str| {
        let answer = ice(&server, "a", &[("X-Forwarded-For", client)]);
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let turn = &answer["iceServers"][1];
        assert_eq!(turn["urls"], "turns:t.example");
        let username = turn["username"].as_str().expect("a name").to_owned();
        let password = harness::turn::password(b"north", username.as_bytes());
        assert_eq!(turn["credential"], password.as_str());
        let (until, mark) = username.split_once(':').expect("a time and a mark");
        (until.parse::<u64>().expect("seconds"), mark.to_owned())
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later");
    let (until, mark) = login("192.0.2.1");
    let hours = Duration::from_secs(until).abs_diff(now + Duration::from_hours(8));
    assert!(hours < Duration::from_mins(1));
    assert!(mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(login("192.0.2.1").1, mark, "it is counted by");
    assert_eq!(login("::ffff:192.0.2.1").1, mark);
    assert_ne!(login("192.0.2.2").1, mark);
    assert_eq!(login("2001:db8::1").1, login("2001:db8::2").1);
    assert_ne!(login("2001:db8::1").1, login("2001:db8:0:1::1").1);
}
