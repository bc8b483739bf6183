//! The meeting place as its operator meets it: figures, reload, log, and the end, on the shipped
//! binary over real sockets.
#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]

use harness::data::Scratch;
use harness::meeting::{self, Client, OPEN, Server, wait_until};
use harness::web::{get, request};
use signal_proto::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tungstenite::Message;

/// Connects with token "t" and no version, so that no EXPIRE comes; waits for OPEN.
fn enter(server: &Server, id: &str) -> Client {
    let mut client = server.knock(&format!("key=peerjs&id={id}&token=t"));
    assert_eq!(client.hear(), OPEN);
    client
}

fn offer(client: &mut Client, dst: &str, bytes: usize) {
    client.say(&meeting::offer(dst, &format!("\"{}\"", "x".repeat(bytes))));
}

/// Waits until the log says `words`.
fn wait_for(server: &Server, words: &str) {
    wait_until(words, Duration::from_secs(10), || server.program.log().contains(words));
}

/// The figures, by name and labels.
struct Figures(BTreeMap<String, f64>);

impl Figures {
    fn of(server: &Server) -> Self {
        let answer = get(server.program.address("metrics"), "/metrics");
        assert_eq!(answer.status, 200);
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(kind));
        Self(read_strictly(answer.text()).unwrap_or_else(|wrong| panic!("{wrong}")))
    }

    /// A figure of ours, as the whole number that all of them are.
    fn get(&self, name: &str) -> u64 {
        let whole = format!("nightjar_signal_{name}");
        let value = self.0.get(&whole).unwrap_or_else(|| panic!("no {whole} in {:?}", self.0));
        format!("{value:.0}").parse().expect("a whole number")
    }
}

/// Prometheus' text format 0.0.4, as strictly as its specification allows: every family has HELP
/// and TYPE once and in front of its samples, which are not scattered; no sample comes twice.
fn read_strictly(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let mut samples = BTreeMap::new();
    let mut families = BTreeSet::new();
    let (mut help, mut family) = (String::new(), (String::new(), String::new()));
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    for line in text.lines() {
        let wrong = |why: &str| Err(format!("{why}: {line:?}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let Some((name, words)) = rest.split_once(' ') else { return wrong("no words") };
            if !is_name(name) || words.is_empty() || words.contains('\\') {
                return wrong("HELP");
            }
            name.clone_into(&mut help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { return wrong("no type") };
            if name != help || !families.insert(name.to_owned()) {
                return wrong("HELP and TYPE do not belong together, or came before");
            }
            if !matches!(kind, "counter" | "gauge") {
                return wrong("a type that we do not use");
            }
            family = (name.to_owned(), kind.to_owned());
        } else {
            let Some((id, value)) = line.rsplit_once(' ') else { return wrong("no value") };
            let name = id.split('{').next().unwrap_or_default();
            if name != family.0 || !labels_are_plain(&id[name.len()..]) {
                return wrong("a sample outside its family, or its labels");
            }
            if (family.1 == "counter") != name.ends_with("_total") {
                return wrong("counters, and no others, end in _total");
            }
            let Ok(number) = value.parse::<f64>() else { return wrong("no number") };
            if number < 0.0 || samples.insert(id.to_owned(), number).is_some() {
                return wrong("below 0, or twice");
            }
        }
    }
    Ok(samples)
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// Nothing, or `{name="value",...}` with values of plain letters.
fn labels_are_plain(labels: &str) -> bool {
    if labels.is_empty() {
        return true;
    }
    let inside = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| {
        inside.split(',').all(|label| {
            let pair = label.split_once("=\"").and_then(|(name, rest)| {
                Some((name, rest.strip_suffix('"')?)).filter(|(name, _)| is_name(name))
            });
            pair.is_some_and(|(_, value)| {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                !value.is_empty() && value.bytes().all(plain)
            })
        })
    })
}

#[test]
fn the_reader_of_figures_is_strict() {
    let good = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"y\"} 1\na_total 2\n";
    assert_eq!(read_strictly(good).map(|samples| samples.len()), Ok(2));
    for (from, to) in [
        ("a_total 2\n", "a_total 2"),
        ("a_total 2", "a_total{x=\"y\"} 2"),
        ("a_total 2", "b_total 2"),
        ("a_total 2", "a_total two"),
        ("a_total 2", "a_total{x=y} 2"),
        ("# HELP a_total Some.\n", ""),
        (" counter", " gauge"),
        ("_total", ""),
        ("a_total 2\n", "a_total 2\n\n"),
    ] {
        assert!(read_strictly(&good.replace(from, to)).is_err(), "{from:?} -> {to:?}");
    }
}

#[test]
fn the_operators_listener_answers_that_and_nothing_else() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let at = server.program.address("metrics");
    for path in ["/", "/healthz", "/peerjs/id", "/metrics/", "/metrics/x"] {
        assert_eq!(get(at, path).status, 404, "{path}");
    }
    assert_eq!(request(at, "POST", "/metrics", &[], b"").status, 404);
    assert_eq!(request(at, "POST", "/metrics", &[], b"body").status, 413);
    assert_eq!(get(&server.at, "/metrics").status, 404, "not at the clients' door");
    let head = request(at, "HEAD", "/metrics", &[], b"");
    assert!(head.status == 200 && head.body.is_empty());
    let mut slow: Vec<_> = (0..80).map(|_| TcpStream::connect(at).expect("it listens")).collect();
    for stream in &mut slow {
        stream.set_read_timeout(Some(Duration::from_secs(9))).expect("a timeout can be set");
        assert_eq!(stream.read(&mut [0; 9]).unwrap_or(0), 0, "closed: for its time, or at once");
    }
    let figures = Figures::of(&server);
    assert!(figures.get("build_info{version=\"0.1.0\"}") == 1);
    assert!(figures.0["process_resident_memory_bytes"] > 1e6);
    // Where Prometheus' own judge is installed, it has no objection either.
    let judge = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    if let Ok(mut judge) = judge {
        let page = get(at, "/metrics").body;
        judge.stdin.take().expect("piped").write_all(&page).expect("it reads");
        let output = judge.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn figures_move_with_clients_and_messages() {
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--message-rate", "100"]);
    let at = &server.at;
    let now = || Figures::of(&server);
    let expect = |name: &str, value: u64| {
        wait_until(name, Duration::from_secs(10), || now().get(name) == value);
    };
    let (mut a, mut b) = (enter(&server, "secret-a"), enter(&server, "secret-b"));
    assert_eq!((now().get("clients"), now().get("connections{kind=\"websocket\"}")), (2, 2));
    assert_eq!(now().get("connections_total{kind=\"websocket\"}"), 2);
    assert!(now().get("connections_total{kind=\"http\"}") >= 2, "they came by HTTP");
    offer(&mut a, "secret-b", 10);
    b.hear();
    assert_eq!(now().get("relayed_messages_total"), 1);
    offer(&mut a, "secret-late", 1000);
    a.echo("secret-a");
    assert!(now().get("queued_bytes{queue=\"absent_peers\"}") > 1000);
    let mut late = enter(&server, "secret-late");
    late.hear();
    let figures = now();
    assert_eq!((figures.get("kept_messages_total"), figures.get("relayed_messages_total")), (1, 3));
    assert_eq!(figures.get("queued_bytes{queue=\"absent_peers\"}"), 0);
    for _ in 0..80 {
        offer(&mut a, "secret-nobody", 1);
    }
    a.echo("secret-a");
    assert_eq!(now().get("refusals_total{reason=\"queue_full\"}"), 16);
    expect("expired_peers_total", 1);

    let answer = get(at, "/peerjs/secret-a/t/room/id");
    let room = json::member(answer.text(), "roomId").and_then(json::string).expect("a room");
    request(at, "POST", &format!("/peerjs/secret-a/t/room/{room}/join"), &[], b"");
    assert_eq!(now().get("rooms"), 1);
    get(at, "/peerjs/secret-a/wrong/room/id");
    assert_eq!(now().get("refusals_total{reason=\"denied\"}"), 1);
    let mut crooked = TcpStream::connect(at).expect("the server listens");
    crooked.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("the server reads");
    expect("refusals_total{reason=\"bad_request\"}", 1);
    for (query, reason) in [
        ("key=peerjs&id=x", "missing"),
        ("key=other&id=x&token=t", "bad_key"),
        ("key=peerjs&id=a%2Fb&token=t", "bad_id"),
        ("key=peerjs&id=x&token=%0A", "bad_token"),
    ] {
        server.knock(query).hear();
        assert_eq!(now().get(&format!("refusals_total{{reason=\"{reason}\"}}")), 1);
    }
    let mut stranger = server.knock("key=peerjs&id=secret-b&token=other");
    b.echo("secret-b");
    assert!(stranger.hear().contains("ID-TAKEN"));
    assert_eq!(now().get("refusals_total{reason=\"taken\"}"), 1);
    let mut again = enter(&server, "secret-late");
    assert_eq!(late.hear_close(), Some(4000));
    assert_eq!(now().get("closed_clients_total{reason=\"replaced\"}"), 1);
    again.socket.get_mut().write_all(&[0x81, 0x01, b'a']).expect("the server reads");
    assert_eq!(again.hear_close(), Some(1002));
    assert_eq!(now().get("closed_clients_total{reason=\"bad_frames\"}"), 1);
    let mut fast = enter(&server, "secret-fast");
    for _ in 0..500 {
        if fast.socket.send(Message::text("{\"type\":\"HEARTBEAT\"}")).is_err() {
            break;
        }
    }
    assert_eq!(fast.hear_close(), Some(1008));
    assert_eq!(now().get("closed_clients_total{reason=\"too_fast\"}"), 1);

    let page = get(server.program.address("metrics"), "/metrics");
    assert!(!page.text().contains("secret") && !page.text().contains("127.0.0.1"));
    drop((a, b, late, again, fast, stranger));
    expect("clients", 0);
    expect("rooms", 0);
}

/// Who finds no place, and who says nothing.
#[test]
fn figures_tell_who_was_turned_away() {
    let any = ["--metrics", "127.0.0.1:0", "--alive-timeout-ms", "700"];
    let server = Server::start(&[&any[..], &["--max-clients", "2"]].concat());
    let now = |server: &Server, name: &str| Figures::of(server).get(name);
    let (_a, _b) = (enter(&server, "a"), enter(&server, "b"));
    server.knock("key=peerjs&id=c&token=t").hear();
    assert_eq!(now(&server, "refusals_total{reason=\"full\"}"), 1);
    let silent = "closed_clients_total{reason=\"silent\"}";
    wait_until(silent, Duration::from_secs(10), || now(&server, silent) == 2);

    let server = Server::start(&[&any[..2], &["--max-per-address", "1"]].concat());
    let _a = enter(&server, "a");
    server.knock("key=peerjs&id=b&token=t").hear();
    assert_eq!(now(&server, "refusals_total{reason=\"full_address\"}"), 1);
    let crowd = [127, 0, 0, 2].into();
    let _crowd: Vec<_> = (0..257).map(|_| meeting::connect_from(crowd, &server.at)).collect();
    let no_room = "refusals_total{reason=\"no_room\"}";
    wait_until(no_room, Duration::from_secs(10), || now(&server, no_room) == 1);
}

#[test]
fn figures_show_who_does_not_read() {
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--message-rate", "1000"]);
    let (mut talker, _deaf) = (enter(&server, "talker"), enter(&server, "deaf"));
    let unread = || Figures::of(&server).get("queued_bytes{queue=\"slow_readers\"}");
    wait_until("something is unread", Duration::from_secs(20), || {
        offer(&mut talker, "deaf", 60_000);
        unread() > 60_000
    });
    let cut = "closed_clients_total{reason=\"slow_reader\"}";
    wait_until("the deaf one is cut", Duration::from_secs(20), || {
        offer(&mut talker, "deaf", 60_000);
        Figures::of(&server).get(cut) == 1
    });
    wait_until("nothing is held for it", Duration::from_secs(5), || unread() == 0);
}

#[test]
fn figures_of_stun_and_tls_move() {
    let folder = Scratch::new("figures");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.to_str().expect("a plain path").to_owned()
    };
    let cert = file("cert.pem", made.cert.pem());
    let key = file("key.pem", made.signing_key.serialize_pem());
    let any = "127.0.0.1:0";
    let server =
        Server::start(&["--metrics", any, "--stun", any, "--tls-cert", &cert, "--tls-key", &key]);
    let expect = |name: &str, value: u64| {
        wait_until(name, Duration::from_secs(10), || Figures::of(&server).get(name) >= value);
    };
    let socket = UdpSocket::bind(any).expect("a socket");
    socket.connect(server.program.address("stun")).expect("it can be connected");
    let mut ask = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    ask.extend([7; 12]);
    for _ in 0..150 {
        socket.send(&ask).expect("it is sent");
    }
    socket.send(b"no request").expect("it is sent");
    expect("stun_answers_total", 100);
    expect("stun_drops_total{reason=\"too_fast\"}", 1);
    expect("stun_drops_total{reason=\"malformed\"}", 1);

    let mut plain = TcpStream::connect(&server.at).expect("the server listens");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the server reads");
    expect("tls_handshake_failures_total", 1);
}

/// With as many descriptors as it has (and a gap that closed ones left), hardly anybody else gets
/// one, until it may have more.
#[test]
fn want_of_descriptors_is_a_pause() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let pid = server.program.pid().to_string();
    let limit = |soft: usize| {
        let set = Command::new("prlimit")
            .args([format!("--pid={pid}"), format!("--nofile={soft}:")])
            .status();
        assert!(set.is_ok_and(|status| status.success()), "prlimit works");
    };
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
    limit(open);
    let mut waiting = TcpStream::connect(&server.at).expect("the kernel accepts");
    wait_for(&server, "no connection can be accepted");
    limit(open + 50);
    assert_eq!(health(&mut waiting), "HTTP/1.1 200 OK");
    wait_until("the end of the pause is said", Duration::from_secs(10), || {
        assert_eq!(get(&server.at, "/healthz").status, 200);
        server.program.log().contains("accepting connections again")
    });
    let page = get(server.program.address("metrics"), "/metrics");
    assert!(page.text().contains("accept_pauses_total 1\n"), "{}", page.text());
}

#[test]
fn a_secret_is_read_again_when_asked() {
    let folder = Scratch::new("reload");
    let path = folder.path().join("secret");
    let write = |text: &str| std::fs::write(&path, text).expect("a file can be written");
    write("north\n");
    let file = path.to_str().expect("a plain path");
    let server = Server::start(&["--turn-url", "turn:turn.example", "--turn-secret", file]);
    let at = server.at.clone();
    let holds = |secret: &str| {
        let ice = get(&at, "/ice");
        let servers = json::member(ice.text(), "iceServers").expect("servers");
        let turn = json::elements(servers).next().expect("a server");
        let word = |name| json::member(turn, name).and_then(json::string).expect("a member");
        let password = harness::turn::password(secret.as_bytes(), word("username").as_bytes());
        word("credential") == password
    };
    assert!(holds("north"));
    write("south\n");
    assert!(holds("north"), "not before it is asked");
    server.program.signal("HUP");
    wait_for(&server, "TURN secret: read again");
    assert!(holds("south"));
    write(" \n");
    server.program.signal("HUP");
    wait_for(&server, "no secret in it");
    assert!(holds("south"), "what was there stays");
    write("east");
    server.program.signal("HUP");
    wait_until("the third", Duration::from_secs(10), || holds("east"));
    let (status, log) = server.program.end();
    let lines: Vec<_> = log.lines().collect();
    assert!(status.success());
    assert_eq!(lines.len(), 4, "one line a reload, and one for the end: {lines:?}");
    assert!(lines[1].contains(file), "{lines:?}");

    let plain = Server::start(&[]);
    plain.program.signal("HUP");
    assert_eq!(get(&plain.at, "/healthz").status, 200);
}

/// S23: with every option that could make it talk, the log has changes of state and nobody in it.
#[test]
fn the_log_knows_nobody() {
    let folder = Scratch::new("talk");
    let path = folder.path().join("secret");
    std::fs::write(&path, "private-secret").expect("a file can be written");
    let file = path.to_str().expect("a plain path");
    let any = "127.0.0.1:0";
    let options = ["--stun", any, "--metrics", any, "--turn-url", "turn:private.example"];
    for trusting in [true, false] {
        let mut args = options.to_vec();
        args.extend(["--turn-secret", file, "--home", "--alive-timeout-ms", "700"]);
        args.extend(["--max-clients", "1", "--room-secret", "aabb"]);
        args.extend(if trusting { &["--trusted-proxy", "127.0.0.1"][..] } else { &[] });
        let server = Server::start(&args);
        let at = &server.at;
        let mut client = enter(&server, "private-id");
        let _refused = server.knock("key=peerjs&id=private-two&token=private-token");
        client.say("private-noise");
        offer(&mut client, "private-absent", 10);
        for path in ["/peerjs/private-id/t/room/id", "/ice", "/private", "/"] {
            request(at, "GET", path, &[("X-Forwarded-For", "203.0.113.7, 2001:db8::7")], b"");
        }
        let mut crooked = TcpStream::connect(at).expect("the server listens");
        crooked.write_all(b"private\n\n").expect("the server reads");
        get(server.program.address("metrics"), "/metrics");
        get(server.program.address("metrics"), "/private");
        let socket = UdpSocket::bind(any).expect("a socket");
        socket.send_to(b"private", server.program.address("stun")).expect("it is sent");
        server.program.signal("HUP");
        wait_for(&server, "read again");
        assert_eq!(client.hear_close(), Some(1001), "it has been silent");
        let (status, log) = server.program.end();
        let lines: Vec<_> = log.lines().collect();
        assert!(status.success());
        for word in ["private", "127.0.0.1", "203.0.113", "2001:db8", "aabb"] {
            assert!(!log.contains(word), "{word} in {log}");
        }
        let expected: &[&str] = if trusting {
            &["TURN secret: read again", "stopping"]
        } else {
            &["one network without --trusted-proxy", "TURN secret: read again", "stopping"]
        };
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        assert!(lines.iter().zip(expected).all(|(line, end)| line.ends_with(end)), "{lines:?}");
    }
}

/// Sends `GET /healthz` on a connection that stays; the status line.
fn health(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("the server reads");
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn health_is_over_when_the_end_begins() {
    let server = Server::start(&[]);
    let at = server.at.clone();
    let mut probe = TcpStream::connect(&at).expect("the server listens");
    assert_eq!(health(&mut probe), "HTTP/1.1 200 OK");
    // Who does not answer the close is waited for.
    let (mut polite, _deaf) = (enter(&server, "polite"), enter(&server, "deaf"));
    server.program.signal("TERM");
    assert_eq!(polite.hear_close(), Some(1001));
    assert_eq!(health(&mut probe), "HTTP/1.1 503 Service Unavailable");
    assert_eq!(server.program.terminate().code(), Some(0));
}

/// A thousand clients, some of whom do not read: all are told, and it is over in three seconds.
#[test]
fn a_thousand_clients_hear_of_the_end() {
    const CLIENTS: usize = 1000;
    const DEAF: usize = 5;
    // Theirs and ours.
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the hard limit is allowed");

    let most = ["--max-per-address", "2000", "--message-rate", "1000"];
    let server = Server::start(&[&most[..], &["--metrics", "127.0.0.1:0"]].concat());
    let mut talker = enter(&server, "talker");
    let deaf: Vec<_> = (0..DEAF).map(|n| enter(&server, &format!("deaf{n}"))).collect();
    let mut clients: Vec<_> =
        (0..CLIENTS - DEAF - 1).map(|n| enter(&server, &format!("c{n}"))).collect();
    let unread = || Figures::of(&server).get("queued_bytes{queue=\"slow_readers\"}");
    for n in 0..DEAF {
        let before = unread();
        wait_until("a deaf client is full", Duration::from_secs(20), || {
            offer(&mut talker, &format!("deaf{n}"), 60_000);
            talker.echo("talker");
            unread() >= before + 60_000
        });
    }
    assert_eq!(Figures::of(&server).get("clients"), CLIENTS as u64);
    let start = Instant::now();
    assert_eq!(server.program.terminate().code(), Some(0));
    let took = start.elapsed();
    println!("{CLIENTS} clients, {DEAF} of them full: the end took {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    clients.push(talker);
    for client in &mut clients {
        assert_eq!(client.hear_close(), Some(1001));
    }
    drop(deaf);
}
