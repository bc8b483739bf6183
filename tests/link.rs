//! The link end to end: the shipped signaling server, the shipped edge, and a phone made of
//! str0m that pairs, reads, is revoked, and meets both programs' restarts.

use edge::clock::Clock;
use edge::peer::gather;
use edge_core::link::wire::{CHUNK_BYTES, Chunk, Kind};
use harness::data::Scratch;
use harness::program::Program;
use harness::socket::resident_kib;
use harness::web;
use signal_proto::json;
use signal_proto::websocket::{self, Decoder, Message, Opcode, Role};
use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::DtlsVersion;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// How long anything here may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the box's memory may grow by while phones come and go, in KiB: less than a session.
const GROWN_KIB: u64 = 2048;

/// A signaling server and a box that is registered there.
struct Home {
    signal: Option<Program>,
    edge: Program,
    _data: Scratch,
}

impl Home {
    fn new(options: &[&str]) -> Self {
        Self::of("nightjar-edge", options)
    }

    /// Of that binary.
    fn of(edge: &str, options: &[&str]) -> Self {
        let signal = Program::start("nightjar-signal", &["--listen", "127.0.0.1:0", "--home"]);
        let data = Scratch::new("link");
        let url = format!("http://{}", signal.address("http"));
        let folder = data.path().to_str().expect("a path in UTF-8");
        let args = ["--data-dir", folder, "--http", "127.0.0.1:0", "--signal", &url];
        let edge = Program::start(edge, &[&args[..], options].concat());
        Self { signal: Some(signal), edge, _data: data }
    }

    fn signal(&self) -> &str {
        self.signal.as_ref().expect("it runs").address("http")
    }

    fn peer_id(&self) -> String {
        let status = web::get(self.edge.address("http"), "/api/v1/status");
        member(status.text(), "peer_id")
    }

    fn sessions(&self) -> usize {
        let status = web::get(self.edge.address("http"), "/api/v1/status");
        member(status.text(), "sessions").parse().expect("a number")
    }

    /// Waits until there is no session, at most until then (ms).
    fn until_empty(&self, clock: &Clock, late: u64) {
        while self.sessions() > 0 {
            assert!(clock.now().0 < late, "a session is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the box has no more than so many files open: its loopback's connections
    /// come and go.
    fn until_closed(&self, clock: &Clock, files: usize) {
        let late = clock.now().0 + 5_000;
        while self.descriptors() > files {
            assert!(clock.now().0 < late, "{} descriptors, not {files}", self.descriptors());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Files that the box has open.
    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.edge.pid());
        std::fs::read_dir(folder).expect("it runs").count()
    }

    fn phone(&self, label: &str, ordered: bool) -> Phone {
        Phone::connect(self.signal(), &self.peer_id(), label, ordered)
    }
}

fn member(text: &str, name: &str) -> String {
    json::check(text).expect("JSON");
    let value = json::member(text, name).unwrap_or_else(|| panic!("no {name} in {text}"));
    json::string(value).map_or_else(|| value.to_owned(), std::borrow::Cow::into_owned)
}

/// A phone: its socket to the signaling server, its `Rtc`, and what it has heard.
struct Phone {
    socket: TcpStream,
    decoder: Decoder,
    edge: String,
    rtc: Rtc,
    udp: UdpSocket,
    pending: Option<SdpPendingOffer>,
    channel: ChannelId,
    clock: Clock,
    is_open: bool,
    is_closed: bool,
    heard: VecDeque<(bool, Vec<u8>)>,
    /// Lines of the box's candidates that followed its answer.
    candidates: Vec<String>,
    /// Connections that the box says it knows nothing of.
    unknown: Vec<String>,
    next_ticket: u32,
    /// The offer, and when it was last sent.
    offered: (String, Instant),
}

impl Phone {
    fn connect(signal: &str, edge: &str, label: &str, ordered: bool) -> Self {
        let mut phone = Self::offer(signal, edge, label, ordered);
        phone.until("the channel opens", |phone| phone.is_open);
        phone
    }

    fn offer(signal: &str, edge: &str, label: &str, ordered: bool) -> Self {
        let clock = Clock::start();
        let (socket, decoder) = websocket(signal);
        let ip = gather::local().into_iter().next().expect("an address");
        let udp = UdpSocket::bind((ip, 0)).expect("a socket");
        udp.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout can be set");
        let mut rtc = RtcConfig::new().set_dtls_version(DtlsVersion::Auto).build(clock.std_now());
        let local = udp.local_addr().expect("a bound socket");
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).expect("a candidate"));
        let mut change = rtc.sdp_api();
        let config = ChannelConfig { label: label.into(), ordered, ..ChannelConfig::default() };
        let channel = change.add_channel_with_config(config);
        let (sdp, pending) = change.apply().expect("an offer");
        let mut phone = Self {
            socket,
            decoder,
            edge: edge.to_owned(),
            rtc,
            udp,
            pending: Some(pending),
            channel,
            clock,
            is_open: false,
            is_closed: false,
            heard: VecDeque::new(),
            candidates: Vec::new(),
            unknown: Vec::new(),
            next_ticket: 0,
            offered: (String::new(), clock.std_now()),
        };
        phone.say_offer(label, "c1", false, &sdp.to_sdp_string());
        phone
    }

    fn say_offer(&mut self, label: &str, connection: &str, restart: bool, sdp: &str) {
        let edge = &self.edge;
        let mut text = format!(
            r#"{{"type":"OFFER","dst":"{edge}","payload":{{"type":"data",
            "connectionId":"{connection}","restart":{restart},"#
        );
        text += r#""reliable":true,"serialization":"raw","label":"#;
        json::quote(label, &mut text);
        text += r#","sdp":{"type":"offer","sdp":"#;
        json::quote(sdp, &mut text);
        text += "}}}";
        self.signal(&text);
        self.offered = (text, self.clock.std_now());
    }

    /// Sends an offer again that nobody answers: many at once are more than the box takes.
    fn repeat(&mut self) {
        let now = self.clock.std_now();
        if self.pending.is_some() && now - self.offered.1 > Duration::from_secs(1) {
            let text = self.offered.0.clone();
            // A signaling server that is gone takes none.
            let _ = self.write(&text);
            self.offered.1 = now;
        }
    }

    /// Goes on from another port, as a phone in another network would: its path is broken and
    /// it asks for a new one.
    fn roam(&mut self) {
        let ip = self.udp.local_addr().expect("a bound socket").ip();
        self.udp = UdpSocket::bind((ip, 0)).expect("a socket");
        self.udp.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout can be set");
        let local = self.udp.local_addr().expect("a bound socket");
        self.rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).expect("a candidate"));
        let mut change = self.rtc.sdp_api();
        change.ice_restart(true);
        let (sdp, pending) = change.apply().expect("an offer");
        self.pending = Some(pending);
        self.say_offer("nightjar", "c1", true, &sdp.to_sdp_string());
        self.until("the box answers", |phone| phone.pending.is_none());
    }

    /// Says goodbye.
    fn close(mut self) {
        self.rtc.close().expect("it lives");
        self.drain();
    }

    fn signal(&mut self, text: &str) {
        self.write(text).expect("the signaling server reads");
    }

    fn write(&mut self, text: &str) -> std::io::Result<()> {
        let mut frame = Vec::new();
        websocket::encode(Opcode::Text, text.as_bytes(), Some([1, 2, 3, 4]), &mut frame);
        self.socket.write_all(&frame)
    }

    /// Lets everything happen until `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let late = self.clock.std_now() + PATIENCE;
        while !done(self) {
            assert!(self.clock.std_now() < late, "{what}: not in time");
            self.step();
        }
    }

    fn step(&mut self) {
        self.repeat();
        self.read_signal();
        self.drain();
        let mut buf = [0; 2048];
        let local = self.udp.local_addr().expect("a bound socket");
        if let Ok((length, source)) = self.udp.recv_from(&mut buf) {
            let now = self.clock.std_now();
            if let Ok(receive) = Receive::new(Protocol::Udp, source, local, &buf[..length]) {
                self.rtc.handle_input(Input::Receive(now, receive)).expect("the phone lives");
            }
        }
        self.drain();
        let now: Instant = self.clock.std_now();
        self.rtc.handle_input(Input::Timeout(now)).expect("the phone lives");
    }

    fn drain(&mut self) {
        while self.rtc.is_alive() {
            match self.rtc.poll_output().expect("the phone lives") {
                Output::Transmit(datagram) => {
                    // From a port that it has left nothing goes out.
                    if self.udp.local_addr().is_ok_and(|local| local == datagram.source) {
                        let _ = self.udp.send_to(&datagram.contents, datagram.destination);
                    }
                }
                Output::Timeout(_) => return,
                Output::Event(Event::ChannelOpen(..)) => self.is_open = true,
                Output::Event(Event::ChannelClose(_)) => self.is_closed = true,
                Output::Event(Event::ChannelData(data)) => {
                    self.heard.push_back((data.binary, data.data));
                }
                Output::Event(_) => {}
            }
        }
        self.is_closed = true;
    }

    fn read_signal(&mut self) {
        let mut buf = [0; 4096];
        self.socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        let length = match self.socket.read(&mut buf) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            // A signaling server that goes away leaves the channel as it is.
            Err(_) => 0,
        };
        let mut input = &buf[..length];
        while let Ok(Some(message)) = self.decoder.read(&mut input) {
            if let Message::Text(text) = message {
                self.hear_signal(&text);
            }
        }
    }

    fn hear_signal(&mut self, text: &str) {
        let kind = member(text, "type");
        let payload = json::member(text, "payload").unwrap_or("{}");
        if kind == "CANDIDATE" {
            assert_eq!(member(payload, "connectionId"), "c1");
            let candidate = json::member(payload, "candidate").expect("a candidate");
            self.candidates.push(member(candidate, "candidate"));
        }
        if kind == "LEAVE" {
            self.unknown.push(member(payload, "connectionId"));
        }
        if kind == "ANSWER" {
            assert_eq!(member(text, "src"), self.edge);
            assert_eq!(member(payload, "connectionId"), "c1");
            let sdp = member(json::member(payload, "sdp").expect("an answer"), "sdp");
            let answer = SdpAnswer::from_sdp_string(&sdp).expect("an SDP");
            let pending = self.pending.take().expect("one answer");
            self.rtc.sdp_api().accept_answer(pending, answer).expect("accepted");
        }
    }

    fn say(&mut self, binary: bool, bytes: &[u8]) {
        let mut channel = self.rtc.channel(self.channel).expect("an open channel");
        assert!(channel.write(binary, bytes).expect("an open channel"), "room");
    }

    fn say_chunk(&mut self, ticket: u32, kind: Kind, piece: &[u8]) {
        let mut buf = [0; CHUNK_BYTES];
        let length = Chunk { ticket, kind, piece }.emit(&mut buf).expect("room");
        self.say(true, &buf[..length]);
    }

    /// Asks on label `nightjar`; gives the ticket.
    fn ask(&mut self, method: &str, path: &str, extra: &str, body: &str) -> u32 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let head = format!(r#"{{"method":"{method}","path":"{path}"{extra}}}"#);
        self.say_chunk(ticket, Kind::Head, head.as_bytes());
        self.say_chunk(ticket, Kind::Last, body.as_bytes());
        ticket
    }

    /// The answers to these tickets: head and body.
    fn answers(&mut self, tickets: &[u32]) -> BTreeMap<u32, (String, Vec<u8>)> {
        let mut open: BTreeMap<u32, (String, Vec<u8>)> = BTreeMap::new();
        let mut whole = BTreeMap::new();
        while whole.len() < tickets.len() {
            self.until("an answer", |phone| !phone.heard.is_empty());
            let (_, bytes) = self.heard.pop_front().expect("just seen");
            let chunk = Chunk::parse(&bytes).expect("a chunk");
            match chunk.kind {
                Kind::Head => {
                    let head = String::from_utf8(chunk.piece.to_vec()).expect("text");
                    open.insert(chunk.ticket, (head, Vec::new()));
                }
                Kind::More | Kind::Last => {
                    let answer = open.get_mut(&chunk.ticket).expect("a head first");
                    answer.1.extend_from_slice(chunk.piece);
                    if chunk.kind == Kind::Last {
                        whole.extend(open.remove_entry(&chunk.ticket));
                    }
                }
                _ => {}
            }
        }
        whole
    }

    /// One request and its answer: status and body.
    fn fetch(&mut self, method: &str, path: &str, extra: &str, body: &str) -> (u16, String) {
        let ticket = self.ask(method, path, extra, body);
        let (head, body) = self.answers(&[ticket]).remove(&ticket).expect("just heard");
        let status = member(&head, "status").parse().expect("a status");
        (status, String::from_utf8(body).expect("text"))
    }

    /// One request of a `PeerFetch` client and its answer: status and body.
    fn fetch_legacy(&mut self, path: &str) -> (u16, String) {
        self.say(false, format!(r#"{{"url":"http://localhost{path}"}}"#).as_bytes());
        let (binary, header) = self.next();
        assert!(!binary, "a header first");
        let (binary, body) = self.next();
        assert!(binary, "then a body");
        (member(&header, "status").parse().expect("a status"), body)
    }

    fn next(&mut self) -> (bool, String) {
        self.until("a message", |phone| !phone.heard.is_empty());
        let (binary, bytes) = self.heard.pop_front().expect("just seen");
        (binary, String::from_utf8(bytes).expect("text"))
    }
}

/// A registered WebSocket at the signaling server.
fn websocket(signal: &str) -> (TcpStream, Decoder) {
    let id = uuid();
    let mut socket = TcpStream::connect(signal).expect("the signaling server listens");
    let head = format!(
        "GET /peerjs?key=peerjs&id={id}&token=t HTTP/1.1\r\nHost: {signal}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the server answers");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    (socket, Decoder::new(Role::Client))
}

fn uuid() -> String {
    format!("{:032x}", u128::from_be_bytes(edge::clock::entropy()))
}

#[test]
fn a_phone_pairs_reads_and_is_revoked() {
    let home = Home::new(&[]);
    let mut phone = home.phone("nightjar", true);
    assert_eq!(phone.fetch("GET", "/api/ping", "", "").0, 200);
    let (status, body) = phone.fetch("GET", "/api/v1/events", "", "");
    assert_eq!((status, body.contains("not_paired")), (401, true), "{body}");
    let (status, _) = phone.fetch("PATCH", "/api/v1/status", "", "");
    assert_eq!(status, 405);
    let (status, body) = phone.fetch("POST", "/api/v1/pair", "", r#"{"name":"Test phone"}"#);
    assert_eq!(status, 200, "{body}");
    let token = format!(r#","token":"{}""#, member(&body, "token"));
    let tickets: Vec<u32> =
        (0..60).map(|_| phone.ask("GET", "/api/v1/status", &token, "")).collect();
    for (head, body) in phone.answers(&tickets).values() {
        assert_eq!(member(head, "status"), "200");
        let body = str::from_utf8(body).expect("text");
        assert_eq!(
            (member(body, "sessions"), member(body, "peer_id")),
            ("1".into(), home.peer_id())
        );
    }
    let (status, body) = phone.fetch("GET", "/api/v1/clients", &token, "");
    assert_eq!((status, body.contains("Test phone")), (200, true), "{body}");
    let list = body.get(body.find('[').expect("a list")..).expect("a list");
    let list = list.get(..=list.rfind(']').expect("a list")).expect("a list");
    let client = member(json::elements(list).next().expect("a client"), "id");
    let loopback = home.edge.address("http");
    let gone = web::request(loopback, "DELETE", &format!("/api/v1/clients/{client}"), &[], &[]);
    assert_eq!(gone.status, 204);
    let revoked = phone.clock.std_now();
    phone.until("the session ends", |phone| phone.is_closed);
    assert!(phone.clock.std_now() - revoked < Duration::from_secs(1), "within a second");
}

#[test]
fn peer_fetch_clients_are_let_in_only_where_the_owner_says_so() {
    for (option, expect) in [("on", 200), ("off", 401)] {
        let home = Home::new(&["--legacy-clients", option]);
        let mut phone = home.phone("http-proxy", false);
        phone.say(false, br#"{"url":"ping?","method":"GET"}"#);
        assert_eq!((phone.next().0, phone.next().1.as_str()), (false, "pong"));
        for (path, status) in [("", 200), ("api/status?", 200), ("api/timeline?page=1", expect)] {
            let url = format!("http://localhost:8778/{path}");
            phone.say(false, format!(r#"{{"url":"{url}","method":"GET"}}"#).as_bytes());
            let (binary, header) = phone.next();
            assert_eq!((binary, member(&header, "status")), (false, status.to_string()), "{path}");
            assert!(phone.next().0, "a binary body");
        }
    }
}

#[test]
fn the_link_outlives_the_signaling_server_and_the_box_returns_to_it() {
    let mut home = Home::new(&[]);
    let address: SocketAddr = home.signal().parse().expect("an address");
    let mut phone = home.phone("nightjar", true);
    home.signal.take().expect("it runs").kill();
    assert_eq!(phone.fetch("GET", "/api/ping", "", "").0, 200);
    let address = address.to_string();
    let args = ["--listen", &address, "--home"];
    home.signal = Some(Program::start("nightjar-signal", &args));
    // The box returns after a while; until then the server tells nobody of our offer.
    let late = phone.clock.std_now() + PATIENCE;
    loop {
        let mut second = Phone::offer(home.signal(), &home.peer_id(), "nightjar", true);
        let give_up = second.clock.std_now() + Duration::from_secs(3);
        while !second.is_open && second.clock.std_now() < give_up {
            second.step();
        }
        if second.is_open {
            break;
        }
        assert!(phone.clock.std_now() < late, "the box did not return");
    }
    assert_eq!(phone.fetch("GET", "/api/ping", "", "").0, 200);
}

#[test]
fn a_body_that_broke_off_goes_on_on_the_next_link() {
    let home = Home::new(&[]);
    let (mut phone, token) = paired(&home);
    let path = "/api/v1/openapi.json";
    let ticket = phone.ask("GET", path, &token, "");
    let (head, whole) = phone.answers(&[ticket]).remove(&ticket).expect("just heard");
    let etag = json::member(&head, "etag").expect("an entity tag").to_owned();
    drop(phone);
    let mut next = home.phone("nightjar", true);
    for (from, tag, status) in [
        (5000, etag.as_str(), "206"),
        (5000, r#""\"another\"""#, "200"),
        (whole.len() + 1, etag.as_str(), "416"),
    ] {
        let rest = format!(r#"{token},"from":{from},"if_range":{tag}"#);
        let ticket = next.ask("GET", path, &rest, "");
        let (head, body) = next.answers(&[ticket]).remove(&ticket).expect("just heard");
        assert_eq!(member(&head, "status"), status, "{head}");
        match status {
            "206" => assert!(member(&head, "from") == "5000" && body == whole[5000..]),
            "200" => assert!(body == whole),
            _ => assert!(body.starts_with(b"{\"error\"")),
        }
    }
}

/// A phone that pairs and shows its token; and that, as further members of a head.
fn paired(home: &Home) -> (Phone, String) {
    let mut phone = home.phone("nightjar", true);
    web::request(home.edge.address("http"), "POST", "/api/v1/pairing", &[], &[]);
    let (status, body) = phone.fetch("POST", "/api/v1/pair", "", r#"{"name":"Test phone"}"#);
    assert_eq!(status, 200, "{body}");
    let token = format!(r#","token":"{}""#, member(&body, "token"));
    assert_eq!(phone.fetch("GET", "/api/v1/status", &token, "").0, 200);
    (phone, token)
}

#[test]
fn strangers_take_no_place_from_a_paired_phone() {
    let home = Home::new(&["--max-sessions", "1"]);
    let (mut phone, token) = paired(&home);
    let mut first = home.phone("nightjar", true);
    let mut second = home.phone("nightjar", true);
    assert_eq!(first.fetch("GET", "/api/ping", "", "").0, 200);
    let mut third = home.phone("nightjar", true);
    first.until("the oldest stranger gives way", |phone| phone.is_closed);
    for stranger in [&mut second, &mut third] {
        assert_eq!(stranger.fetch("GET", "/api/ping", "", "").0, 200);
    }
    assert_eq!(phone.fetch("GET", "/api/v1/status", &token, "").0, 200);
    assert_eq!(third.fetch("GET", "/api/v1/status", &token, "").0, 200);
    phone.until("the longest silent phone gives way to a proven one", |phone| phone.is_closed);
    assert_eq!(third.fetch("GET", "/api/v1/status", &token, "").0, 200);
}

#[test]
fn a_stranger_that_shows_no_token_is_let_go() {
    let home = Home::new(&[]);
    let (mut phone, token) = paired(&home);
    let mut stranger = home.phone("nightjar", true);
    let late = stranger.clock.std_now() + Duration::from_secs(35);
    let mut said = stranger.clock.std_now();
    while !stranger.is_closed {
        assert!(stranger.clock.std_now() < late, "pings are no proof");
        if stranger.clock.std_now() - said > Duration::from_secs(1) {
            said = stranger.clock.std_now();
            stranger.say_chunk(0, Kind::Ping, b"");
            phone.say_chunk(0, Kind::Ping, b"");
        }
        stranger.step();
        phone.step();
    }
    assert_eq!(phone.fetch("GET", "/api/v1/status", &token, "").0, 200);
}

#[test]
fn an_event_reaches_a_paired_phone_by_itself() {
    let home = Home::new(&["--camera", "demo:"]);
    let (mut phone, token) = paired(&home);
    let late = phone.clock.std_now() + Duration::from_mins(1);
    let event = loop {
        assert!(phone.clock.std_now() < late, "no event");
        phone.step();
        let Some((_, bytes)) = phone.heard.pop_front() else { continue };
        let chunk = Chunk::parse(&bytes).expect("a chunk");
        let text = String::from_utf8(chunk.piece.to_vec()).expect("text");
        if chunk.kind == Kind::Push && member(&text, "type") == "event" {
            break json::member(&text, "event").expect("an event").to_owned();
        }
    };
    let id = member(&event, "id");
    let (status, body) = phone.fetch("GET", &format!("/api/v1/events/{id}"), &token, "");
    assert_eq!((status, member(&body, "camera")), (200, member(&event, "camera")), "{body}");
}

#[test]
fn a_panic_in_a_request_ends_that_request_only() {
    let home = Home::of("nightjar-edge-faults", &["--legacy-clients", "on"]);
    let (mut phone, token) = paired(&home);
    let (status, body) = phone.fetch("GET", "/api/v1/test/panic", &token, "");
    let error = json::member(&body, "error").expect("an error").to_owned();
    assert_eq!((status, member(&error, "code").as_str()), (500, "internal"), "{body}");
    assert_eq!(phone.fetch("GET", "/api/v1/status", &token, "").0, 200);
    let mut old = home.phone("http-proxy", false);
    let (status, body) = old.fetch_legacy("/api/v1/test/panic");
    let error = json::member(&body, "error").expect("an error").to_owned();
    assert_eq!((status, member(&error, "code").as_str()), (500, "internal"), "{body}");
    assert_eq!(old.fetch_legacy("/api/v1/status").0, 200);
    let loopback = home.edge.address("http");
    assert_eq!(web::get(loopback, "/api/v1/test/panic").status, 500);
    assert_eq!(phone.fetch("GET", "/api/v1/status", &token, "").0, 200);
}

#[test]
fn a_panic_in_a_session_ends_that_session_alone() {
    let home = Home::of("nightjar-edge-faults", &[]);
    let (mut phone, token) = paired(&home);
    let mut other = home.phone("nightjar", true);
    assert_eq!(home.sessions(), 2);
    other.ask("GET", "/api/v1/test/panic?of=session", "", "");
    let late = phone.clock.std_now() + PATIENCE;
    while home.sessions() > 1 {
        assert!(phone.clock.std_now() < late, "the session is still there");
        other.step();
    }
    assert!(home.edge.log().contains("a session ended in a panic"), "{}", home.edge.log());
    assert_eq!(phone.fetch("GET", "/api/v1/status", &token, "").0, 200);
    assert_eq!(home.phone("nightjar", true).fetch("GET", "/api/ping", "", "").0, 200);
}

#[test]
fn a_broken_path_is_found_anew_by_the_same_session() {
    let home = Home::new(&[]);
    let (mut phone, token) = paired(&home);
    for _ in 0..3 {
        phone.roam();
        let asked = phone.clock.std_now();
        assert_eq!(phone.fetch("GET", "/api/v1/status", &token, "").0, 200);
        println!("an answer on a new path after {:?}", phone.clock.std_now() - asked);
    }
    assert_eq!(home.sessions(), 1, "it is the same session");
    phone.say_offer("nightjar", "c9", true, "v=0");
    phone.until("the box knows no such connection", |phone| phone.unknown == ["c9"]);
    assert_eq!(phone.fetch("GET", "/api/v1/status", &token, "").0, 200);
}

#[test]
fn a_killed_phone_leaves_nothing_within_a_minute() {
    let home = Home::new(&[]);
    home.phone("nightjar", true).close();
    let clock = Clock::start();
    home.until_empty(&clock, 60_000);
    let before = home.descriptors();
    drop(home.phone("nightjar", true));
    let killed = clock.now();
    assert!(home.descriptors() > before);
    home.until_empty(&clock, killed.0 + 60_000);
    println!("a killed phone's session was gone after {} ms", clock.now().since_ms(killed));
    home.until_closed(&clock, before);
}

#[test]
fn connecting_and_closing_leaves_memory_and_descriptors_where_they_were() {
    let home = Home::new(&[]);
    let clock = Clock::start();
    let cycles = harness::rounds(1000);
    let mut before = None;
    for cycle in 0..cycles {
        let mut phone = home.phone("nightjar", true);
        assert_eq!(phone.fetch("GET", "/api/ping", "", "").0, 200);
        phone.close();
        home.until_empty(&clock, u64::MAX);
        // What is kept for ever is there after some.
        if cycle == cycles / 4 {
            before = Some((home.descriptors(), resident_kib(home.edge.pid())));
        }
    }
    let (files, kib) = before.expect("some cycles");
    let grown = resident_kib(home.edge.pid()).saturating_sub(kib);
    println!("{cycles} cycles: {grown} KiB more of {kib} KiB, {files} descriptors");
    home.until_closed(&clock, files);
    assert!(grown <= GROWN_KIB, "{grown} KiB more");
}

#[test]
fn an_answer_waits_for_no_stun_server() {
    let ip = gather::local().into_iter().find(IpAddr::is_ipv4).expect("an IPv4 address");
    let silent = UdpSocket::bind((ip, 0)).expect("a socket");
    let silent = format!("stun:{}", silent.local_addr().expect("a bound socket"));
    let home = Home::new(&["--ice", &silent, "--ice", "stun:nobody.invalid"]);
    home.phone("nightjar", true).close();
    let took = (0..3).map(|_| {
        let mut phone = Phone::offer(home.signal(), &home.peer_id(), "nightjar", true);
        let asked = phone.clock.std_now();
        phone.until("an answer", |phone| phone.pending.is_none());
        phone.clock.std_now() - asked
    });
    let quickest = took.min().expect("three");
    println!("answered after {quickest:?}");
    assert!(quickest < Duration::from_millis(500), "{quickest:?}");
}

#[test]
fn slow_answers_are_announced_and_late_ones_given_up() {
    let home = Home::of("nightjar-edge-faults", &["--legacy-clients", "on"]);
    let mut phone = home.phone("http-proxy", false);
    for (seconds, least, status) in [(3, 2, 200), (16, 13, 504)] {
        let url = format!("/api/v1/test/slow?s={seconds}");
        phone.say(false, format!(r#"{{"url":"{url}"}}"#).as_bytes());
        let mut working = 0;
        let header = loop {
            match phone.next() {
                (false, text) if text == r#"{"status":202}"# => working += 1,
                (false, text) => break text,
                (true, body) => panic!("a body before its header: {body}"),
            }
        };
        assert_eq!(member(&header, "status"), status.to_string(), "{url}");
        assert!(working >= least, "{url}: {working}");
        assert!(phone.next().0, "a binary body");
    }
    assert_eq!(phone.fetch_legacy("/api/v1/status").0, 200);
}

/// A STUN server on `ip` that sees everybody at 203.0.113.7:7777 (RFC 5737).
fn stun_server(ip: IpAddr) -> SocketAddr {
    let socket = UdpSocket::bind((ip, 0)).expect("a socket");
    let address = socket.local_addr().expect("a bound socket");
    std::thread::spawn(move || {
        let mut buf = [0; 64];
        while let Ok((20, source)) = socket.recv_from(&mut buf) {
            let mapped = [0, 0x20, 0, 8, 0, 1, 0x3f, 0x73, 0xea, 0x12, 0xd5, 0x45];
            let answer = [&[1, 1, 0, 12][..], &buf[4..20], &mapped].concat();
            let _ = socket.send_to(&answer, source);
        }
    });
    address
}

#[test]
fn what_a_stun_server_sees_follows_the_answer() {
    let locals = gather::local();
    let ip = *locals.iter().find(|ip| ip.is_ipv4()).expect("an IPv4 address");
    let server = stun_server(ip);
    let home = Home::new(&["--ice", &format!("stun:{server}")]);
    let mut phone = home.phone("nightjar", true);
    phone.until("a candidate", |phone| !phone.candidates.is_empty());
    let line = &phone.candidates[0];
    assert!(line.contains("203.0.113.7 7777 typ srflx raddr"), "{line}");
    assert_eq!(phone.fetch("GET", "/api/ping", "", "").0, 200);
}

#[test]
fn signaling_over_tls_wants_the_right_name_and_the_right_signer() {
    let data = Scratch::new("link-tls");
    let write = |name: &str, text: &str| {
        let path = data.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a path in UTF-8").to_owned()
    };
    let issue = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).expect("made");
    let (good, other) = (issue("127.0.0.1"), issue("127.0.0.1"));
    let cert = write("cert.pem", &good.cert.pem());
    let key = write("key.pem", &good.signing_key.serialize_pem());
    let stranger = write("stranger.pem", &other.cert.pem());
    let args = ["--listen", "127.0.0.1:0", "--home", "--tls-cert", &cert, "--tls-key", &key];
    let signal = Program::start("nightjar-signal", &args);
    let port = signal.address("http").rsplit(':').next().expect("a port").to_owned();
    for (host, ca, expect) in
        [("127.0.0.1", &cert, true), ("127.0.0.1", &stranger, false), ("localhost", &cert, false)]
    {
        let folder = data.path().join(format!("{host}-{expect}-{}", ca == &cert));
        std::fs::create_dir_all(&folder).expect("made");
        let folder = folder.to_str().expect("a path in UTF-8");
        let url = format!("wss://{host}:{port}/");
        let args = ["--data-dir", folder, "--http", "127.0.0.1:0"];
        let edge = Program::start(
            "nightjar-edge",
            &[&args[..], &["--signal", &url, "--signal-ca", ca]].concat(),
        );
        let status = web::get(edge.address("http"), "/api/v1/status");
        let id = member(status.text(), "peer_id");
        let joined = joins(good.cert.der(), &port, &id, if expect { 20 } else { 3 });
        assert_eq!(joined, expect, "{host}");
    }
}

/// Whether the box `id` is registered at the TLS server within so many seconds: then the
/// server refuses its id to others.
fn joins(root: &[u8], port: &str, id: &str, seconds: u64) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.to_vec().into()).expect("a certificate");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = std::sync::Arc::new(config);
    let clock = Clock::start();
    while clock.now().0 < seconds * 1000 {
        let name = "127.0.0.1".try_into().expect("a name");
        let mut tls = rustls::ClientConnection::new(config.clone(), name).expect("a client");
        let mut tcp = TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens");
        let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
        let head = format!(
            "GET /peerjs/{id}/none/room/id HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        // A registered id with another token is told apart from an unknown one.
        if answer.contains("Invalid token provided") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

#[test]
fn a_box_keeps_its_id_and_names_a_wrong_signaling_url() {
    let data = Scratch::new("link-id");
    let folder = data.path().to_str().expect("a path in UTF-8");
    let args = ["--data-dir", folder, "--http", "127.0.0.1:0"];
    let ids: Vec<String> = (0..2)
        .map(|_| {
            let edge = Program::start("nightjar-edge", &args);
            let status = web::get(edge.address("http"), "/api/v1/status");
            assert!(edge.terminate().success());
            member(status.text(), "peer_id")
        })
        .collect();
    assert_eq!(ids[0], ids[1]);
    let mut wrong = std::process::Command::new(harness::program::binary("nightjar-edge"));
    wrong.args(args).args(["--signal", "signal.example:9000"]);
    let outcome = harness::program::outcome(&mut wrong);
    let words = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(2), "{words}");
    assert!(words.contains("signal: "), "{words}");
}
