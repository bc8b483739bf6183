//! The meeting place as clients meet it: the shipped binary, real sockets, and tungstenite as
//! the other side. S1 and so on are the conformance list that `PeerJS` servers are held to.
#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]

use harness::data::Scratch;
use harness::program::{Program, binary};
use harness::web::{Answer, get, request};
use signal_proto::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

const OPEN: &str = "{\"type\":\"OPEN\"}";

/// A running server; each test has its own.
struct Server {
    program: Program,
    at: String,
    path: &'static str,
}

impl Server {
    fn start(options: &[&str]) -> Self {
        let mut args = vec!["--listen", "127.0.0.1:0"];
        args.extend(options);
        let program = Program::start("nightjar-signal", &args);
        let at = program.address("http").to_owned();
        Self { program, at, path: "/" }
    }

    /// Connects with token "t" and waits for OPEN.
    fn enter(&self, id: &str) -> Client {
        let mut client = self.knock(&format!("key=peerjs&id={id}&token=t&version=1.5.5"));
        assert_eq!(client.hear(), OPEN);
        client
    }

    fn knock(&self, query: &str) -> Client {
        self.knock_from(query, None)
    }

    /// Connects by way of a proxy that says where the client is.
    fn knock_from(&self, query: &str, forwarded: Option<&str>) -> Client {
        use tungstenite::client::IntoClientRequest;
        let stream = TcpStream::connect(&self.at).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        let url = format!("ws://{}{}peerjs?{query}", self.at, self.path);
        let mut request = url.into_client_request().expect("a URL");
        if let Some(address) = forwarded {
            let value = address.parse().expect("a header value");
            request.headers_mut().insert("x-forwarded-for", value);
        }
        let (socket, _) = tungstenite::client(request, stream).expect("an upgrade");
        Client { socket }
    }

    fn get(&self, path: &str) -> Answer {
        get(&self.at, path)
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        request(&self.at, "POST", path, &[], body.as_bytes())
    }

    /// `GET` or `POST` of a room route by `id` with token "t", from `forwarded` if given.
    fn room(&self, method: &str, id: &str, rest: &str, forwarded: Option<&str>) -> Answer {
        let path = format!("{}peerjs/{id}/t/room/{rest}?ts=1", self.path);
        let headers: Vec<_> = forwarded.map(|at| ("X-Forwarded-For", at)).into_iter().collect();
        request(&self.at, method, &path, &headers, b"")
    }

    fn room_id(&self, id: &str, forwarded: Option<&str>) -> String {
        let answer = self.room("GET", id, "id", forwarded);
        assert_eq!(answer.status, 200, "{}", answer.text());
        text_member(answer.text(), "roomId")
    }

    /// Sends bytes and reads all that comes until the server closes.
    fn raw(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(&self.at).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        stream.write_all(bytes.as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers and closes");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

struct Client {
    socket: WebSocket<TcpStream>,
}

impl Client {
    fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the server reads");
    }

    /// The next text message.
    fn hear(&mut self) -> String {
        loop {
            match self.socket.read().expect("the server speaks") {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a text, not {other:?}"),
            }
        }
    }

    /// The code of the close frame that comes next.
    fn hear_close(&mut self) -> Option<u16> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("a close, not {other:?}"),
            }
        }
    }

    /// Says something to itself and hears it: what came before has been handled.
    fn echo(&mut self, id: &str) {
        self.say(&format!("{{\"type\":\"OFFER\",\"dst\":\"{id}\",\"payload\":\"echo\"}}"));
        let back = format!(
            "{{\"type\":\"OFFER\",\"src\":\"{id}\",\"dst\":\"{id}\",\"payload\":\"echo\"}}"
        );
        assert_eq!(self.hear(), back);
    }
}

fn text_member(text: &str, name: &str) -> String {
    assert_eq!(json::check(text), Ok(()), "{text}");
    let value = json::member(text, name).and_then(json::string);
    value.unwrap_or_else(|| panic!("no {name} in {text}")).into_owned()
}

fn offer(dst: &str, payload: &str) -> String {
    format!("{{\"type\":\"OFFER\",\"dst\":\"{dst}\",\"payload\":{payload}}}")
}

fn relayed(src: &str, dst: &str, payload: &str) -> String {
    format!("{{\"type\":\"OFFER\",\"src\":\"{src}\",\"dst\":\"{dst}\",\"payload\":{payload}}}")
}

fn wait_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < within, "{what} within {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

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

/// S4, S13: whoever is refused hears why, and that it is over.
#[test]
fn a_refused_client_hears_why() {
    let server = Server::start(&["--max-clients", "2"]);
    let missing = "No id, token, or key supplied to websocket server";
    let long = format!("key=peerjs&id={}&token=t", "a".repeat(65));
    let table = [
        ("", missing),
        ("key=peerjs&id=a", missing),
        ("key=peerjs&token=t", missing),
        ("id=a&token=t", missing),
        ("key=other&id=a&token=t", "Invalid key provided"),
        ("key=peerjs&id=a%2Fb&token=t", "Invalid id provided"),
        (long.as_str(), "Invalid id provided"),
        ("key=peerjs&id=a&token=a%0Ab", "Invalid token provided"),
    ];
    for (query, why) in table {
        let mut client = server.knock(query);
        let text = client.hear();
        assert_eq!(text_member(&text, "type"), "ERROR");
        let payload = json::member(&text, "payload").expect("a payload");
        assert_eq!(text_member(payload, "msg"), why, "{query}");
        client.hear_close();
    }
    let (_a, _b) = (server.enter("a"), server.enter("b"));
    let mut third = server.knock("key=peerjs&id=c&token=t");
    assert!(third.hear().contains("Server has reached its concurrent user limit"));
    third.hear_close();
}

/// S5, S6, S7.
#[test]
fn an_id_belongs_to_the_token_that_lives() {
    let server = Server::start(&[]);
    let mut first = server.enter("a");
    // Its pong is sent while it reads: the refusal comes to a thread of its own.
    let mut stranger = server.knock("key=peerjs&id=a&token=other");
    let refused = std::thread::spawn(move || {
        let text = stranger.hear();
        stranger.hear_close();
        text
    });
    let mut friend = server.enter("b");
    let start = Instant::now();
    while !refused.is_finished() {
        friend.say(&offer("a", "1"));
        assert_eq!(first.hear(), relayed("b", "a", "1"), "the holder is unharmed");
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(30));
    }
    let text = refused.join().expect("a refusal");
    assert_eq!(text, "{\"type\":\"ID-TAKEN\",\"payload\":{\"msg\":\"ID is taken\"}}");

    let mut second = server.enter("a");
    assert_eq!(first.hear_close(), Some(4000));
    friend.say(&offer("a", "2"));
    assert_eq!(second.hear(), relayed("b", "a", "2"));
}

/// S26: a holder that went silent (link down, power cut) loses its id to a new token.
#[test]
fn a_silent_holder_gives_way_within_five_seconds() {
    let server = Server::start(&[]);
    let mut silent = server.enter("a");
    let start = Instant::now();
    let mut next = server.knock("key=peerjs&id=a&token=new");
    assert_eq!(next.hear(), OPEN);
    let took = start.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(5), "{took:?}");
    let _ = silent.socket.read();
}

/// S8, S9, S14.
#[test]
fn messages_arrive_as_they_were_sent_and_noise_is_ignored() {
    let server = Server::start(&[]);
    let (mut a, mut b) = (server.enter("a"), server.enter("b"));
    for noise in
        ["not json", "{\"ping\":\"once\"}", "{\"type\":\"NEWS\",\"dst\":\"b\"}", "[[[", "7"]
    {
        a.say(noise);
    }
    a.socket.send(Message::binary(vec![0xff, 0])).expect("the server reads");
    let payload = "{\"sdp\" : {\"sdp\":\"v=0\\r\\n\\u00fc\\/\"},\"n\":1.0e0 }";
    let mixed = format!(
        "{{\"src\":\"liar\",\"x\":{{}},\"payload\":{payload},\"dst\":\"b\",\"type\":\"OFFER\"}}"
    );
    a.say(&mixed);
    assert_eq!(b.hear(), relayed("a", "b", payload));
    a.say("{\"type\":\"LEAVE\",\"dst\":\"b\"}");
    assert_eq!(b.hear(), "{\"type\":\"LEAVE\",\"src\":\"a\",\"dst\":\"b\"}");
    a.say("{\"type\":\"EXPIRE\",\"dst\":\"b\"}");
    a.say("{\"type\":\"LEAVE\",\"dst\":\"no/id\"}");
    a.echo("a");
    b.echo("b");

    let by_post = server.post("/peerjs/a/t/offer", &offer("b", "\"by post\""));
    assert_eq!((by_post.status, by_post.text()), (200, "OK"));
    assert_eq!(b.hear(), relayed("a", "b", "\"by post\""));

    a.say("{\"type\":\"LEAVE\"}");
    a.hear_close();
    assert_eq!(server.get("/peerjs/a/t/room/id").status, 401, "it is not registered any more");
}

/// S10.
#[test]
fn messages_wait_for_who_comes_late() {
    let server = Server::start(&[]);
    let mut a = server.enter("a");
    for number in 0..20 {
        a.say(&offer("late", &number.to_string()));
    }
    a.echo("a");
    let mut late = server.enter("late");
    for number in 0..20 {
        assert_eq!(late.hear(), relayed("a", "late", &number.to_string()));
    }
}

/// S11: only clients that name their version are told, unless all are to be.
#[test]
fn expiry_is_told_to_who_understands_it() {
    for strict in [false, true] {
        let mut options = vec!["--expire-timeout-ms", "400"];
        options.extend(strict.then_some("--strict-expire"));
        let server = Server::start(&options);
        let mut new = server.enter("new");
        let mut old = server.knock("key=peerjs&id=old&token=t");
        assert_eq!(old.hear(), OPEN);
        for number in 0..3 {
            new.say(&offer("nobody", &number.to_string()));
            old.say(&offer("nobody", &number.to_string()));
        }
        let expired =
            |dst: &str| format!("{{\"type\":\"EXPIRE\",\"src\":\"nobody\",\"dst\":\"{dst}\"}}");
        assert_eq!(new.hear(), expired("new"));
        new.echo("new");
        if strict {
            assert_eq!(old.hear(), expired("old"));
        }
        old.echo("old");
    }
}

/// S12.
#[test]
fn silence_is_closed_and_any_frame_is_life() {
    // Wide enough for a machine that does much else.
    let server = Server::start(&["--alive-timeout-ms", "6000"]);
    let mut silent = server.enter("silent");
    let (mut beating, mut pinging) = (server.enter("beating"), server.enter("pinging"));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(8) {
        beating.say("{\"type\":\"HEARTBEAT\"}");
        pinging.socket.send(Message::Ping(b"x".to_vec().into())).expect("the server reads");
        let pong = pinging.socket.read().expect("a pong");
        assert_eq!(pong, Message::Pong(b"x".to_vec().into()));
        std::thread::sleep(Duration::from_millis(200));
    }
    silent.hear_close();
    beating.echo("beating");
    pinging.echo("pinging");
}

/// S15, S16, S18, S19, S20.
#[test]
fn rooms_are_networks() {
    let server = Server::start(&["--trusted-proxy", "127.0.0.0/8"]);
    let (home, away) = (Some("203.0.113.7"), Some("198.51.100.9"));
    let query = |id: &str| format!("key=peerjs&id={id}&token=t");
    let mut a = server.knock_from(&query("a"), home);
    let mut edge = server.knock_from(&query("edge"), home);
    let mut far = server.knock_from(&query("far"), away);
    for client in [&mut a, &mut edge, &mut far] {
        assert_eq!(client.hear(), OPEN);
    }
    let (room, other) = (server.room_id("a", home), server.room_id("far", away));
    assert!(room.len() == 40 && room.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(server.room_id("edge", home), room);
    assert_ne!(room, other);

    let join = |id: &str, from| server.room("POST", id, &format!("{room}/join"), from);
    assert_eq!(join("a", home).text(), "{\"clientsIds\":[\"a\"]}");
    let path = format!("/peerjs/edge/t/room/{room}/join");
    let headers = [("X-Forwarded-For", "203.0.113.7"), ("Content-Type", "application/json")];
    let body = "{\"role\":\"edge\",\"name\":\"Front \\\"door\\\"\"}";
    let joined = request(&server.at, "POST", &path, &headers, body.as_bytes());
    assert_eq!(joined.text(), "{\"clientsIds\":[\"a\",\"edge\"]}");
    assert_eq!(join("edge", home).text(), "{\"clientsIds\":[\"a\",\"edge\"]}");
    let members = |id, from| server.room("GET", id, &format!("{room}/members"), from);
    assert_eq!(members("a", home).text(), "[\"a\",\"edge\"]");
    let devices = server.room("GET", "a", &format!("{room}/devices"), home);
    assert_eq!(devices.text(), "[{\"id\":\"edge\",\"name\":\"Front \\\"door\\\"\"}]");

    // A stranger is told the same whether the room exists or not.
    let refused = [members("far", away), join("far", away)];
    let unknown = server.room("GET", "far", &format!("{}/members", "0".repeat(40)), away);
    for answer in refused {
        assert_eq!((answer.status, answer.text()), (403, unknown.text()));
    }
    assert_eq!(members("far", Some("203.0.113.7, 198.51.100.9")).status, 403, "right-most counts");

    let leave = || server.room("POST", "a", &format!("{room}/leave"), home);
    assert_eq!(leave().text(), "{\"wasInRoom\":true}");
    assert_eq!(leave().text(), "{\"wasInRoom\":false}");
    join("a", home);
    drop(edge);
    wait_until("a member goes with its socket", Duration::from_secs(3), || {
        members("a", home).text() == "[\"a\"]"
    });

    let network = |from| server.room_id("a", Some(from));
    assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:2:ffff::9"));
    assert_ne!(network("2001:db8:1:2::3"), network("2001:db8:1:3::3"));
    assert_eq!(network("::ffff:203.0.113.7"), room);
}

/// S15, S19 without a trusted proxy: nothing a client says moves it to another network.
#[test]
fn a_client_cannot_choose_its_network() {
    let server = Server::start(&["--room-secret", "00112233445566778899aabbccddeeff"]);
    let _a = server.enter("a");
    let room = server.room_id("a", None);
    for name in ["X-Forwarded-For", "X-Client-IP", "CF-Connecting-IP", "X-Real-IP", "Forwarded"] {
        let answer =
            request(&server.at, "GET", "/peerjs/a/t/room/id", &[(name, "203.0.113.7")], b"");
        assert_eq!(text_member(answer.text(), "roomId"), room, "{name}");
    }
    let again = Server::start(&["--room-secret", "00112233445566778899aabbccddeeff"]);
    let other = Server::start(&[]);
    let (_b, _c) = (again.enter("b"), other.enter("c"));
    assert_eq!(again.room_id("b", None), room, "a given secret outlives a restart");
    assert_ne!(other.room_id("c", None), room);
}

/// Decision 6: a home's own addresses share a room only where the server stands in that home.
#[test]
fn a_home_is_one_room() {
    for (home, expected) in [(true, true), (false, false)] {
        let mut options = vec!["--trusted-proxy", "127.0.0.1"];
        options.extend(home.then_some("--home"));
        let server = Server::start(&options);
        let _a = server.enter("a");
        let rooms: Vec<_> = ["192.168.1.5", "10.0.0.9", "fd00::1", "169.254.1.1"]
            .into_iter()
            .map(|from| server.room_id("a", Some(from)))
            .collect();
        assert_eq!(rooms.iter().all(|room| *room == rooms[0]), expected);
        assert_ne!(server.room_id("a", Some("203.0.113.7")), rooms[0]);
    }
    // A proxy beside the server that nobody told it of: whoever comes through it is a stranger.
    let server = Server::start(&["--home"]);
    let _a = server.enter("a");
    let home = server.room_id("a", None);
    let _far = server.knock_from("key=peerjs&id=far&token=t", Some("203.0.113.7"));
    let far = server.room_id("far", Some("203.0.113.7"));
    assert_ne!(far, home);
    let near = server.room_id("far", Some("192.168.1.5"));
    assert_eq!(near, far, "what it says of them is not believed");
    let stolen = server.room("POST", "far", &format!("{home}/join"), Some("203.0.113.7"));
    assert_eq!(stolen.status, 403);
}

/// S21.
#[test]
fn sizes_and_rates_are_bounded() {
    let server = Server::start(&[]);
    let mut big = server.enter("big");
    big.echo("big");
    let limit = 64 * 1024;
    let frame = |bytes: usize| offer("big", &format!("\"{}\"", "x".repeat(bytes)));
    let whole = frame(limit - offer("big", "\"\"").len());
    big.say(&whole);
    big.hear();
    big.say(&format!("{whole} "));
    assert_eq!(big.hear_close(), Some(CloseCode::Size.into()));
    // It writes all before it reads: what is discarded unread would reset the connection.
    for bytes in [100_000, 8_000_000] {
        let mut huge = server.enter("huge");
        huge.say(&frame(bytes));
        assert_eq!(huge.hear_close(), Some(CloseCode::Size.into()), "{bytes} bytes");
    }

    let mut fast = server.enter("fast");
    for _ in 0..300 {
        if fast.socket.send(Message::text("{\"type\":\"HEARTBEAT\"}")).is_err() {
            break;
        }
    }
    assert_eq!(fast.hear_close(), Some(1008));

    let mut wrong = server.enter("wrong");
    wrong.socket.get_mut().write_all(&[0x81, 0x01, b'a']).expect("the server reads");
    assert_eq!(wrong.hear_close(), Some(1002), "a client masks");
}

/// S21: the 65th is answered, but is not in.
#[test]
fn a_room_is_bounded() {
    let server = Server::start(&["--max-per-address", "100"]);
    let clients: Vec<_> =
        (0..65).map(|n| (format!("c{n}"), server.enter(&format!("c{n}")))).collect();
    let room = server.room_id("c0", None);
    let mut last = String::new();
    for (id, _) in &clients {
        let answer = server.room("POST", id, &format!("{room}/join"), None);
        assert_eq!(answer.status, 200);
        answer.text().clone_into(&mut last);
    }
    let ids: Vec<_> = json::elements(json::member(&last, "clientsIds").expect("ids")).collect();
    assert!(ids.len() == 64 && ids.contains(&"\"c63\"") && !ids.contains(&"\"c64\""));
}

/// A client that stops reading costs its own connection, nobody else's.
#[test]
fn a_client_that_does_not_read_is_cut() {
    let server = Server::start(&["--message-rate", "1000"]);
    let (mut talker, _deaf) = (server.enter("talker"), server.enter("deaf"));
    let text = offer("deaf", &format!("\"{}\"", "x".repeat(60_000)));
    wait_until("the deaf one is cut", Duration::from_secs(20), || {
        for _ in 0..20 {
            talker.say(&text);
        }
        server.get("/peerjs/deaf/t/room/id").status == 401
    });
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

/// S23, and what the log does say.
#[test]
fn the_log_knows_nobody() {
    let mut child = Command::new(binary("nightjar-signal"))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut line = Vec::new();
    let mut stdout = child.stdout.take().expect("piped");
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).expect("a ready line");
        line.push(byte[0]);
    }
    let line = String::from_utf8(line).expect("text");
    let at = line.trim().strip_prefix("ready http=").expect("a ready line").to_owned();
    let url = format!("ws://{at}/peerjs?key=peerjs&id=private-id&token=private-token");
    let stream = TcpStream::connect(&at).expect("the server listens");
    let (mut socket, _) = tungstenite::client(url, stream).expect("an upgrade");
    for text in [offer("nobody", "\"private-sdp\""), "private-noise".into()] {
        socket.send(Message::text(text)).expect("the server reads");
    }
    get(&at, "/peerjs/private-id/private-token/room/id");
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().expect("kill works");
    while let Ok(message) = socket.read() {
        drop(message);
    }
    let output = child.wait_with_output().expect("the server ends");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && log.contains("stopping"), "{log}");
    assert!(!log.contains("private") && !log.contains("127.0.0.1"), "{log}");
}

/// At the end, clients are told, and nobody waits long.
#[test]
fn the_end_is_told_and_quick() {
    let server = Server::start(&[]);
    let mut polite = server.enter("polite");
    let _deaf = server.enter("deaf");
    let _visitor = TcpStream::connect(&server.at).expect("the server listens");
    let told = std::thread::spawn(move || polite.hear_close());
    let start = Instant::now();
    assert_eq!(server.program.terminate().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(told.join().expect("a close"), Some(1001));
}

/// What could be read in two ways is refused, and the connection ends.
#[test]
fn http_is_read_strictly() {
    let server = Server::start(&[]);
    let table = [
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "400"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "413"),
        ("POST /peerjs/a/t/room/x/join HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", "413"),
        ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
        ("GET /peerjs?key=peerjs HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
    ];
    for (text, status) in table {
        let answer = server.raw(text);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text:?}: {answer}");
        assert!(answer.contains("Connection: close"), "{text:?}");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(9000));
    assert!(server.raw(&long).starts_with("HTTP/1.1 431 "));
    let two = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\nConnection: \
               close\r\n\r\n";
    assert_eq!(server.raw(two).matches("HTTP/1.1 200 ").count(), 2, "one after the other");
    let early = "GET /peerjs HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert!(server.raw(&format!("{early}frames")).starts_with("HTTP/1.1 400 "));
    assert!(server.raw(&early.replace(": 13", ": 8")).starts_with("HTTP/1.1 426 "));
}

/// Connects from an address of one's own choice.
fn connect_from(local: [u8; 4], at: &str) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&fd, &SocketAddr::from((local, 0))).expect("all of 127.0.0.0/8 is ours");
    let at: SocketAddr = at.parse().expect("an address");
    connect(&fd, &at).expect("the server listens");
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    stream
}

/// Whether a request on `stream` is answered, rather than the connection closed.
fn is_answered(stream: &mut TcpStream) -> bool {
    let ask = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut answer = [0; 1024];
    let length = stream.write_all(ask).and_then(|()| stream.read(&mut answer)).unwrap_or(0);
    answer[..length].starts_with(b"HTTP/1.1 200 ")
}

/// One address cannot take every place, and gives up its idle ones first.
#[test]
fn one_address_shuts_nobody_out() {
    let server = Server::start(&[]);
    let (crowd, stranger) = ([127, 0, 0, 2], [127, 0, 0, 3]);
    let mut idle = connect_from(crowd, &server.at);
    assert!(is_answered(&mut idle));
    let _silent: Vec<_> = (0..255).map(|_| connect_from(crowd, &server.at)).collect();
    assert!(is_answered(&mut connect_from(crowd, &server.at)), "in the idle one's place");
    assert!(!is_answered(&mut idle));
    let _last = connect_from(crowd, &server.at);
    assert!(!is_answered(&mut connect_from(crowd, &server.at)));
    assert!(is_answered(&mut connect_from(stranger, &server.at)));

    let server = Server::start(&["--trusted-proxy", "127.0.0.2"]);
    let _many: Vec<_> = (0..300).map(|_| connect_from(crowd, &server.at)).collect();
    assert!(is_answered(&mut connect_from(crowd, &server.at)), "a proxy brings many");
}

/// Half-open heads, dripping ones too, end after five seconds and hinder nobody.
#[test]
fn slow_heads_are_closed() {
    let server = Server::start(&[]);
    let start = Instant::now();
    let mut slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.at).expect("the server listens");
            stream.write_all(b"GET / HT").expect("the server reads");
            stream
        })
        .collect();
    let mut dripping = slow.pop().expect("200 of them");
    wait_until("a dripping head ends", Duration::from_secs(7), || {
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(server.get("/healthz").status, 200, "others are answered");
        dripping.write_all(b"x").is_err()
    });
    assert!(start.elapsed() > Duration::from_secs(4));
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(3))).expect("a timeout can be set");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("it is closed");
        assert!(rest.is_empty());
    }
}

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

/// RFC 5769 s2.1, byte for byte.
const RFC_5769_REQUEST: [u8; 108] = [
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
    0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
];

/// STUN on UDP, and the server's own name in what `ice` offers; TURN with a password that
/// anybody with the secret can make again.
#[test]
fn stun_answers_and_ice_offers() {
    let folder = Scratch::new("turn");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "north\n").expect("a file can be written");
    let secret = secret.to_str().expect("a plain path");
    let turn = "turn:turn.example:3478?transport=udp";
    let server =
        Server::start(&["--stun", "127.0.0.1:0", "--turn-url", turn, "--turn-secret", secret]);
    let at: SocketAddr = server.program.address("stun").parse().expect("an address");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
    for noise in [&b"hello"[..], &[0; 20]] {
        socket.send_to(noise, at).expect("a datagram");
    }
    // RFC 5769: the head of its sample request, of a Binding request without attributes ...
    let cookie = [0x21, 0x12, 0xa4, 0x42];
    let transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
    let ask = [&[0x00, 0x01, 0x00, 0x00][..], &cookie, &transaction].concat();
    socket.send_to(&ask, at).expect("a datagram");
    let mut answer = [0; 100];
    let (length, from) = socket.recv_from(&mut answer).expect("an answer");
    // ... and of its sample answer, with XOR-MAPPED-ADDRESS: for 192.0.2.1:32853 that is
    // a1 47 e1 12 a6 43, so the port is masked by 21 12 and the address by the cookie.
    assert_eq!([0xa1 ^ 0x21, 0x47 ^ 0x12], 32853_u16.to_be_bytes());
    assert_eq!([0xe1 ^ 0x21, 0x12 ^ 0x12, 0xa6 ^ 0xa4, 0x43 ^ 0x42], [192, 0, 2, 1]);
    let [high, low] = socket.local_addr().expect("an address").port().to_be_bytes();
    let mapped = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, high ^ 0x21, low ^ 0x12];
    let address = [127 ^ 0x21, 0x12, 0xa4, 1 ^ 0x42];
    let expected =
        [&[0x01, 0x01, 0x00, 0x0c][..], &cookie, &transaction, &mapped, &address].concat();
    assert_eq!((from, &answer[..length]), (at, &expected[..]));

    // Each bit of a later request counts: its FINGERPRINT is right, so PRIORITY, which is no
    // business of ours, is named as what was not understood.
    socket.send_to(&RFC_5769_REQUEST, at).expect("a datagram");
    let (length, _) = socket.recv_from(&mut answer).expect("an answer");
    let refusal = [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, 2, 0, 0x24, 0, 0];
    let expected = [&[0x01, 0x11, 0x00, 0x10][..], &cookie, &transaction, &refusal].concat();
    assert_eq!(answer[..length], expected);

    let ice = request(&server.at, "GET", "/ice", &[("Host", "meet.example:443")], b"");
    let servers = json::member(ice.text(), "iceServers").expect("servers");
    let servers: Vec<_> = json::elements(servers).collect();
    let expected = format!("{{\"urls\":\"stun:meet.example:{}\"}}", at.port());
    assert_eq!(servers[0], expected);
    assert_eq!(text_member(servers[1], "urls"), turn);
    let username = text_member(servers[1], "username");
    let password = harness::turn::password(b"north", username.as_bytes());
    assert_eq!(text_member(servers[1], "credential"), password);
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

/// One clear line and exit code 2.
#[test]
fn mistakes_are_named() {
    let server = Server::start(&[]);
    let folder = Scratch::new("mistakes");
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").expect("a file can be written");
    let empty = empty.to_str().expect("a plain path");
    let table: [(&[&str], &str); 6] = [
        (&["--listen", &server.at], "--listen 127.0.0.1"),
        (&["--stun", "256.0.0.1:1"], "--stun"),
        (&["--prot", "x"], "unknown option --prot"),
        (&["--metrics", &server.at], "--metrics 127.0.0.1"),
        (&["--tls-cert", empty, "--tls-key", empty], "no certificate"),
        (&["--turn-url", "turn:a", "--turn-secret", "/nowhere/secret"], "/nowhere/secret"),
    ];
    for (args, text) in table {
        let output =
            Command::new(binary("nightjar-signal")).args(args).output().expect("the binary starts");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {log}");
        assert!(log.contains(text) && log.lines().count() == 1, "{args:?}: {log}");
        assert!(output.stdout.is_empty());
    }
    let help = Command::new(binary("nightjar-signal")).arg("--help").output().expect("it starts");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("--listen") && help.contains("--metrics"));
}
