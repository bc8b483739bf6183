//! The meeting place as a client meets it: the shipped binary, real sockets, and tungstenite as
//! the other side.

#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]

use crate::data::{left_out, repository};
use crate::program::Program;
use crate::web::{Answer, get, request, request_on};
use signal_proto::json;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

/// What a registered client hears first.
pub const OPEN: &str = "{\"type\":\"OPEN\"}";

/// A running server; each test has its own.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub program: Program,
    /// Address and port of HTTP.
    pub at: String,
    /// `--path`.
    pub path: &'static str,
}

impl Server {
    /// Starts it on a free port of loopback.
    pub fn start(options: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", options)
    }

    /// Starts it on an address of one's own choice.
    pub fn start_at(listen: &str, options: &[&str]) -> Self {
        let mut args = vec!["--listen", listen];
        args.extend(options);
        let program = Program::start("nightjar-signal", &args);
        let at = program.address("http").to_owned();
        Self { program, at, path: "/" }
    }

    /// Connects with token "t" and waits for OPEN.
    pub fn enter(&self, id: &str) -> Client {
        let mut client = self.knock(&format!("key=peerjs&id={id}&token=t&version=1.5.5"));
        assert_eq!(client.hear(), OPEN);
        client
    }

    /// Asks to be let in with this query.
    pub fn knock(&self, query: &str) -> Client {
        self.knock_from(query, None)
    }

    /// Connects by way of a proxy that says where the client is.
    pub fn knock_from(&self, query: &str, forwarded: Option<&str>) -> Client {
        let stream = TcpStream::connect(&self.at).expect("the server listens");
        self.knock_on(stream, query, forwarded)
    }

    /// Asks for an upgrade on a connection of one's own.
    pub fn knock_on(&self, stream: TcpStream, query: &str, forwarded: Option<&str>) -> Client {
        use tungstenite::client::IntoClientRequest;
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

    /// `GET path`.
    pub fn get(&self, path: &str) -> Answer {
        get(&self.at, path)
    }

    /// `POST path`.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        request(&self.at, "POST", path, &[], body.as_bytes())
    }

    /// `GET` or `POST` of a room route by `id` with token "t", from `forwarded` if given.
    pub fn room(&self, method: &str, id: &str, rest: &str, forwarded: Option<&str>) -> Answer {
        let path = format!("{}peerjs/{id}/t/room/{rest}?ts=1", self.path);
        let headers: Vec<_> = forwarded.map(|at| ("X-Forwarded-For", at)).into_iter().collect();
        request(&self.at, method, &path, &headers, b"")
    }

    /// The id of the room of a request of `id` with token "t" that comes from `local`.
    pub fn room_id_at(&self, id: &str, local: IpAddr) -> String {
        let path = format!("{}peerjs/{id}/t/room/id", self.path);
        let answer = request_on(connect_from(local, &self.at), &self.at, "GET", &path, &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        text_member(answer.text(), "roomId")
    }

    /// The id of the room of `id`'s request, from `forwarded` if given.
    pub fn room_id(&self, id: &str, forwarded: Option<&str>) -> String {
        let answer = self.room("GET", id, "id", forwarded);
        assert_eq!(answer.status, 200, "{}", answer.text());
        text_member(answer.text(), "roomId")
    }

    /// Sends bytes and reads all that comes until the server closes.
    pub fn raw(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(&self.at).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        stream.write_all(bytes.as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers and closes");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A client's WebSocket.
#[derive(Debug)]
pub struct Client {
    /// Somebody else's end.
    pub socket: WebSocket<TcpStream>,
}

impl Client {
    /// Sends a text message.
    pub fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the server reads");
    }

    /// The next text message.
    pub fn hear(&mut self) -> String {
        loop {
            match self.socket.read().expect("the server speaks") {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a text, not {other:?}"),
            }
        }
    }

    /// The code of the close frame that comes next.
    pub fn hear_close(&mut self) -> Option<u16> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("a close, not {other:?}"),
            }
        }
    }

    /// Says something to itself and hears it: what came before has been handled.
    pub fn echo(&mut self, id: &str) {
        self.say(&format!("{{\"type\":\"OFFER\",\"dst\":\"{id}\",\"payload\":\"echo\"}}"));
        let back = format!(
            "{{\"type\":\"OFFER\",\"src\":\"{id}\",\"dst\":\"{id}\",\"payload\":\"echo\"}}"
        );
        assert_eq!(self.hear(), back);
    }
}

/// The text in member `name` of a JSON object.
pub fn text_member(text: &str, name: &str) -> String {
    assert_eq!(json::check(text), Ok(()), "{text}");
    let value = json::member(text, name).and_then(json::string);
    value.unwrap_or_else(|| panic!("no {name} in {text}")).into_owned()
}

/// An OFFER as a client sends it.
pub fn offer(dst: &str, payload: &str) -> String {
    format!("{{\"type\":\"OFFER\",\"dst\":\"{dst}\",\"payload\":{payload}}}")
}

/// The same OFFER as the other client gets it.
pub fn relayed(src: &str, dst: &str, payload: &str) -> String {
    format!("{{\"type\":\"OFFER\",\"src\":\"{src}\",\"dst\":\"{dst}\",\"payload\":{payload}}}")
}

/// Looks again and again until it holds.
pub fn wait_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < within, "{what} within {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Connects from an address of one's own choice.
pub fn connect_from(local: IpAddr, at: &str) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket(family, SocketType::STREAM, None).expect("a socket");
    bind(&fd, &SocketAddr::from((local, 0))).expect("an address of this machine");
    let at: SocketAddr = at.parse().expect("an address");
    connect(&fd, &at).expect("the server listens");
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    stream
}

/// Where the copy of a test that [`in_namespace`] starts finds that it is the copy.
const INSIDE: &str = "NIGHTJAR_TEST_INSIDE";

/// Runs `test`, which must call this first, once more in a network namespace of its own: true
/// in there; false outside, once it has run or where there is no namespace to be had.
pub fn in_namespace(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let namespace = repository().join("tests/namespace");
    if !Command::new(&namespace).arg("true").status().is_ok_and(|status| status.success()) {
        left_out(test, "no network namespace");
        return false;
    }
    let status = Command::new(namespace)
        .arg(std::env::current_exe().expect("a test knows its own path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{test} holds in a namespace");
    false
}

/// Changes the namespace that a test runs in: `ip ARGS...`, words parted by spaces.
pub fn ip(args: &str) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let status = Command::new("ip").args(args.split(' ')).env("PATH", path).status();
    assert!(status.is_ok_and(|status| status.success()), "ip {args}");
}
