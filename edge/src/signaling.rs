//! The socket to the signaling server: TCP or TLS, small HTTP requests, one WebSocket.
//!
//! What is said over it and when is decided by [`signal_proto::client`].

use crate::clock::{Clock, entropy};
use crate::config::{Config, Server};
use crate::say;
use edge_core::backoff::Backoff;
use futures_rustls::TlsConnector;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use signal_proto::client::{CONNECT_WITHIN_MS, Client, Heard, Output};
use signal_proto::message::Kind;
use signal_proto::peer_id::PeerId;
use signal_proto::websocket::{self, Decoder, Message, Opcode, Role};
use signal_proto::{base64, http, json};
use smol::channel::{Receiver, Sender, bounded};
use smol::future::FutureExt as _;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// One HTTP request and its answer may take this long.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// One frame may take this long to leave.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Largest answer to an HTTP request, bytes, head included.
const ANSWER_BYTES: usize = 64 * 1024;
/// First and longest wait before a server that cannot be reached is called again, ms. A phone
/// waits with us for it to be back; who is not answered costs a server nothing.
const AWAY_MS: (u64, u64) = (500, 1500);
/// The same before a server that refused us is, or one that is none for us, ms.
const REFUSED_MS: (u64, u64) = (1000, 30_000);
/// ICE servers taken from the signaling server's list.
const ICE_SERVERS: usize = 16;

/// Why there can be no signaling: one clear line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// The `Host` header.
fn authority(Server { host, port, .. }: &Server) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Anything that bytes go through.
trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Opens connections to one server.
#[derive(Clone)]
pub struct Dialer {
    server: Server,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

impl Dialer {
    /// The dialer of `--signal` and `--signal-ca`, for which both have to be right. Without a
    /// CA it trusts the well-known roots, else only the certificates in that file (PEM).
    pub fn of(config: &Config) -> Result<Option<Self>, Error> {
        let ca = config.signal_ca.as_deref();
        let named = ca.map(|ca| connector(Some(ca))).transpose()?;
        let Some(url) = &config.signal else { return Ok(None) };
        let wrong = || Error(format!("--signal: {url:?} is wrong, expected {}", Server::EXPECTED));
        let server = Server::parse(url).ok_or_else(wrong)?;
        if !server.tls {
            return Ok(Some(Self { server, tls: None }));
        }
        ServerName::try_from(server.host.as_str()).map_err(|_| wrong())?;
        let tls = named.map_or_else(|| connector(None), Ok)?;
        Ok(Some(Self { server, tls: Some(tls) }))
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let Server { host, port, .. } = &self.server;
        let addresses = smol::net::resolve((host.as_str(), *port)).await?;
        let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            let tcp = smol::net::TcpStream::connect(address);
            match within(REQUEST_WITHIN / 2, tcp).await {
                Ok(tcp) => {
                    tcp.set_nodelay(true)?;
                    return self.secure(tcp).await;
                }
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    async fn secure(&self, tcp: smol::net::TcpStream) -> io::Result<Box<dyn Stream>> {
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(self.server.host.clone())
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(Box::new(tls.connect(name, tcp).await?))
    }

    /// One request on a connection of its own: status and body.
    async fn request(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
        within(REQUEST_WITHIN, async {
            let mut stream = self.connect().await?;
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                authority(&self.server),
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            let mut bytes = Vec::new();
            stream.take(ANSWER_BYTES as u64).read_to_end(&mut bytes).await.or_else(|error| {
                // A TLS server may close without a farewell; the length below tells.
                if error.kind() == io::ErrorKind::UnexpectedEof { Ok(0) } else { Err(error) }
            })?;
            answer(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
        })
        .await
    }

    /// Opens the WebSocket of `id`: the stream, and what already came after the upgrade.
    async fn upgrade(&self, id: &str, token: &str) -> io::Result<(Box<dyn Stream>, Vec<u8>)> {
        let Server { path, key, .. } = &self.server;
        let mut stream = self.connect().await?;
        let nonce = websocket_key();
        let head = format!(
            "GET {path}peerjs?key={key}&id={id}&token={token} HTTP/1.1\r\nHost: {}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {nonce}\r\n\r\n",
            authority(&self.server)
        );
        stream.write_all(head.as_bytes()).await?;
        let mut bytes = Vec::new();
        let mut buf = [0; 2048];
        loop {
            let count = stream.read(&mut buf).await?;
            bytes.extend_from_slice(&buf[..count]);
            match upgraded(&bytes, &nonce)? {
                Some(head) => return Ok((stream, bytes.split_off(head))),
                None if count > 0 && bytes.len() < ANSWER_BYTES => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// The room of our network is asked for and joined, by our name.
    async fn join(&self, id: &str, token: &str, name: &str) -> io::Result<()> {
        let Server { path, key, .. } = &self.server;
        let room = format!("{path}{key}/{id}/{token}/room");
        let (status, body) = self.request("GET", &format!("{room}/id"), "").await?;
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        json::check(&body).map_err(|_| bad())?;
        let room_id = json::member(&body, "roomId").and_then(json::string).ok_or_else(bad)?;
        if status != 200 || !room_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(bad());
        }
        let mut member = String::from(r#"{"role":"edge","name":"#);
        json::quote(name, &mut member);
        member.push('}');
        let (status, _) = self.request("POST", &format!("{room}/{room_id}/join"), &member).await?;
        if status == 200 { Ok(()) } else { Err(bad()) }
    }

    /// The STUN servers that the signaling server knows.
    async fn ice(&self) -> io::Result<Vec<String>> {
        let (status, body) = self.request("GET", &format!("{}ice", self.server.path), "").await?;
        if status != 200 || json::check(&body).is_err() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(ice_urls(&body))
    }
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, Error> {
    let mut roots = rustls::RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let fail = |what: &dyn std::fmt::Display| {
                Error(format!("--signal-ca {}: {what}", path.display()))
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| fail(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| fail(&error))?;
                roots.add(certificate).map_err(|error| fail(&error))?;
            }
            if roots.is_empty() {
                return Err(fail(&"holds no certificate in PEM"));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Sixteen random bytes in base64. `Sec-WebSocket-Key` asks for no more than that.
fn websocket_key() -> String {
    base64::encode(&entropy::<16>())
}

/// Status and body of a whole answer.
fn answer(bytes: &[u8]) -> Option<(u16, String)> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut slots);
    let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
    let status = head.code?;
    let header = |name: &str| {
        let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        str::from_utf8(found.value).ok()
    };
    let is_chunked = header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
    let body = http::body(bytes.get(length..)?, is_chunked, header("content-length"))?;
    Some((status, String::from_utf8(body).ok()?))
}

/// The length of the head that upgrades; `None` while more bytes are needed.
fn upgraded(bytes: &[u8], nonce: &str) -> io::Result<Option<usize>> {
    let refused = || io::Error::from(io::ErrorKind::InvalidData);
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut slots);
    let httparse::Status::Complete(length) = head.parse(bytes).map_err(|_| refused())? else {
        return Ok(None);
    };
    let accept = websocket::accept_key(nonce);
    let proven = head.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("sec-websocket-accept")
            && header.value == accept.as_bytes()
    });
    if head.code == Some(101) && proven { Ok(Some(length)) } else { Err(refused()) }
}

/// Every URL in `{"iceServers":[{"urls":...}]}`; older servers write `url`.
fn ice_urls(body: &str) -> Vec<String> {
    let servers = json::member(body, "iceServers").unwrap_or("[]");
    let mut urls = Vec::new();
    for server in json::elements(servers) {
        let Some(value) = json::member(server, "urls").or_else(|| json::member(server, "url"))
        else {
            continue;
        };
        match json::string(value) {
            Some(url) => urls.push(url.into_owned()),
            None => urls.extend(
                json::elements(value).filter_map(json::string).map(std::borrow::Cow::into_owned),
            ),
        }
    }
    urls.truncate(ICE_SERVERS);
    urls
}

/// What signaling tells the net thread.
#[derive(Debug)]
pub enum Told {
    /// A peer speaks.
    Peer {
        /// OFFER, CANDIDATE, ...
        kind: Kind,
        /// Which peer.
        src: PeerId,
        /// JSON.
        payload: String,
    },
    /// The signaling server's ICE servers.
    Ice(Vec<String>),
}

/// The task that keeps this box known to the signaling server.
pub struct Signaling {
    /// To which server.
    pub dialer: Dialer,
    /// Time.
    pub clock: Clock,
    /// This box's peer id.
    pub id: String,
    /// The token that goes with it.
    pub token: String,
    /// The name to join the room with; may read the store.
    pub name: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether to ask for ICE servers.
    pub wants_ice: bool,
    /// Where to tell what was heard.
    pub told: Sender<Told>,
    /// Texts for the server; while there is no connection they are dropped.
    pub outbox: Receiver<String>,
    /// The network changed: connect anew.
    pub changed: Receiver<()>,
}

impl std::fmt::Debug for Signaling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signaling").finish_non_exhaustive()
    }
}

/// An open WebSocket.
struct Socket {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    /// Bytes that came with the upgrade's answer.
    early: Vec<u8>,
}

enum Wake {
    Bytes(io::Result<usize>),
    Send(String),
    Joined(bool),
    Ice(Vec<String>),
    Changed,
    Time,
}

/// How long to wait before the next call.
struct Waits {
    away: Backoff,
    refused: Backoff,
    /// What is to be waited for now.
    reason: Reason,
}

#[derive(Clone, Copy)]
enum Reason {
    Away,
    Refused,
    /// Another network: what went before means nothing.
    Changed,
}

impl Waits {
    fn new(seed: u64) -> Self {
        Self {
            away: Backoff::new(AWAY_MS.0, AWAY_MS.1, seed),
            refused: Backoff::new(REFUSED_MS.0, REFUSED_MS.1, seed),
            reason: Reason::Away,
        }
    }

    fn next_ms(&mut self) -> u64 {
        match std::mem::replace(&mut self.reason, Reason::Away) {
            Reason::Away => self.away.wait_ms(),
            Reason::Refused => self.refused.wait_ms(),
            Reason::Changed => 0,
        }
    }

    /// A call came to nothing: nobody was there, or somebody who is no server for us, by what it
    /// says in TLS or HTTP.
    fn failed(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData {
            self.reason = Reason::Refused;
        }
    }

    fn succeeded(&mut self) {
        self.away.succeeded();
        self.refused.succeeded();
    }
}

/// What the background requests of one run report to.
struct Reports {
    joined: (Sender<bool>, Receiver<bool>),
    ice: (Sender<Vec<String>>, Receiver<Vec<String>>),
    /// The ICE servers of this connection are known.
    ice_known: Cell<bool>,
}

impl Signaling {
    /// Runs until it is dropped.
    pub async fn run(self, executor: &smol::LocalExecutor<'_>) {
        let mut client = Client::new(self.now());
        let mut waits = Waits::new(u64::from_be_bytes(entropy()));
        let reports =
            Reports { joined: bounded(1), ice: bounded(1), ice_known: Cell::new(!self.wants_ice) };
        let mut socket: Option<Socket> = None;
        // Not known at first: then both outcomes are news.
        let mut reachable = None;
        loop {
            let lost = match client.poll_output() {
                Output::Connect => match self.connect().await {
                    Ok(open) => {
                        client.handle_connected(self.now());
                        socket = Some(open);
                        false
                    }
                    Err(error) => {
                        waits.failed(&error);
                        true
                    }
                },
                Output::Drop => true,
                Output::Text(text) => self.send(&mut socket, Opcode::Text, text.as_bytes()).await,
                Output::Ping => self.send(&mut socket, Opcode::Ping, &[]).await,
                Output::Join => {
                    self.spawn_join(executor, &reports);
                    false
                }
                Output::Timeout(at) => {
                    let wake = self.wait(socket.as_mut(), &reports, at).await;
                    reports.ice_known.set(reports.ice_known.get() || matches!(wake, Wake::Ice(_)));
                    self.awake(wake, &mut client, &mut socket, &mut waits).await
                }
            };
            client.handle_timeout(self.now());
            if client.is_registered() && !lost && reachable.replace(true) != Some(true) {
                say!("signaling: connected");
            }
            if lost {
                socket = None;
                reports.ice_known.set(!self.wants_ice);
                client.handle_lost(self.now(), waits.next_ms());
                if reachable.replace(false) != Some(false) {
                    say!("signaling: no connection; trying on");
                }
            }
        }
    }

    fn now(&self) -> u64 {
        self.clock.now().0
    }

    async fn connect(&self) -> io::Result<Socket> {
        let limit = Duration::from_millis(CONNECT_WITHIN_MS);
        let (stream, early) = within(limit, self.dialer.upgrade(&self.id, &self.token)).await?;
        Ok(Socket { stream, decoder: Decoder::new(Role::Client), early })
    }

    /// Sends one frame; whether the connection is lost.
    async fn send(&self, socket: &mut Option<Socket>, opcode: Opcode, payload: &[u8]) -> bool {
        let Some(socket) = socket else { return false };
        let mut frame = Vec::new();
        websocket::encode(opcode, payload, Some(entropy()), &mut frame);
        let write = async {
            socket.stream.write_all(&frame).await?;
            socket.stream.flush().await
        };
        within(WRITE_WITHIN, write).await.is_err()
    }

    fn spawn_join(&self, executor: &smol::LocalExecutor<'_>, reports: &Reports) {
        let (dialer, id, token) = (self.dialer.clone(), self.id.clone(), self.token.clone());
        let (name, wants_ice) = (Arc::clone(&self.name), !reports.ice_known.get());
        let (joined, ice) = (reports.joined.0.clone(), reports.ice.0.clone());
        let task = async move {
            // Before the room: who finds us there is told from the first on how we are reached.
            if wants_ice && let Ok(urls) = dialer.ice().await {
                let _ = ice.send(urls).await;
            }
            let name = smol::unblock(move || name()).await;
            let ok = dialer.join(&id, &token, &name).await.is_ok();
            let _ = joined.send(ok).await;
        };
        // Joins follow each other by seconds and end by themselves: no queue of tasks grows.
        smol::LocalExecutor::spawn(executor, task).detach();
    }

    /// Waits for whatever comes first.
    async fn wait(&self, socket: Option<&mut Socket>, reports: &Reports, until: u64) -> Wake {
        let pause = Duration::from_millis(until.saturating_sub(self.now()).min(60_000));
        let time = async {
            smol::Timer::after(pause).await;
            Wake::Time
        };
        let sends = async { self.outbox.recv().await.map_or(Wake::Time, Wake::Send) };
        let joined = async { reports.joined.1.recv().await.map_or(Wake::Time, Wake::Joined) };
        let ice = async { reports.ice.1.recv().await.map_or(Wake::Time, Wake::Ice) };
        let changed = async { self.changed.recv().await.map_or(Wake::Time, |()| Wake::Changed) };
        let bytes = async {
            let Some(socket) = socket else { return std::future::pending().await };
            if !socket.early.is_empty() {
                return Wake::Bytes(Ok(0));
            }
            let mut buf = vec![0; 4096];
            let read = socket.stream.read(&mut buf).await;
            let count = match read {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                other => other,
            };
            if let Ok(count) = &count {
                socket.early.extend_from_slice(&buf[..*count]);
            }
            Wake::Bytes(count)
        };
        bytes.or(sends).or(joined).or(ice).or(changed).or(time).await
    }

    /// Takes what woke us; whether the connection is lost.
    async fn awake(
        &self,
        wake: Wake,
        client: &mut Client,
        socket: &mut Option<Socket>,
        waits: &mut Waits,
    ) -> bool {
        match wake {
            Wake::Bytes(Ok(_)) => self.read(client, socket, waits).await,
            Wake::Bytes(Err(_)) => true,
            Wake::Send(text) => {
                client.is_registered() && self.send(socket, Opcode::Text, text.as_bytes()).await
            }
            Wake::Joined(ok) => {
                client.handle_joined(self.now(), ok);
                false
            }
            Wake::Ice(urls) => {
                let _ = self.told.send(Told::Ice(urls)).await;
                false
            }
            Wake::Changed => {
                // Neither the connection nor a long wait means anything now.
                waits.succeeded();
                waits.reason = Reason::Changed;
                true
            }
            Wake::Time => false,
        }
    }

    /// Reads the frames that have arrived; whether the connection is lost.
    async fn read(
        &self,
        client: &mut Client,
        socket: &mut Option<Socket>,
        waits: &mut Waits,
    ) -> bool {
        let Some(open) = socket.as_mut() else { return false };
        let bytes = std::mem::take(&mut open.early);
        let mut input = &bytes[..];
        client.handle_alive(self.now());
        loop {
            let Some(open) = socket.as_mut() else { return false };
            match open.decoder.read(&mut input) {
                Ok(None) => return false,
                Ok(Some(Message::Text(text))) => self.hear(client, &text, waits).await,
                Ok(Some(Message::Ping(payload))) => {
                    if self.send(socket, Opcode::Pong, &payload).await {
                        return true;
                    }
                }
                Ok(Some(Message::Pong(_) | Message::Binary(_))) => {}
                Ok(Some(Message::Close(_))) | Err(_) => return true,
            }
        }
    }

    async fn hear(&self, client: &mut Client, text: &str, waits: &mut Waits) {
        match client.handle_text(self.now(), text) {
            Heard::Open => waits.succeeded(),
            Heard::IdTaken => {
                waits.reason = Reason::Refused;
                say!("signaling: another connection holds this box's id");
            }
            Heard::Refused => {
                waits.reason = Reason::Refused;
                say!("signaling: the server refuses this box");
            }
            Heard::Peer { kind, src, payload } => {
                let payload = payload.unwrap_or_default().to_owned();
                let _ = self.told.send(Told::Peer { kind, src, payload }).await;
            }
            Heard::Nothing => {}
        }
    }
}

/// The future's outcome, or `TimedOut` once `limit` has passed.
async fn within<T>(limit: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        smol::Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    future.or(late).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn answers_with_and_without_chunks() {
        for (bytes, expect) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}more", Some((200, "{}"))),
            ("HTTP/1.1 404 No\r\n\r\nwhy", Some((404, "why"))),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n \r\n0\r\n\r\n",
                Some((200, "{} ")),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", None),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}", None),
            ("HTTP/1.1 200", None),
            ("nonsense\r\n\r\n", None),
        ] {
            let expect = expect.map(|(status, body)| (status, body.to_owned()));
            assert_eq!(answer(bytes.as_bytes()), expect, "{bytes}");
        }
    }

    #[test]
    fn an_upgrade_needs_its_proof() {
        let nonce = websocket_key();
        assert!(websocket::is_key(&nonce), "{nonce}");
        let accept = websocket::accept_key(&nonce);
        let good = format!("HTTP/1.1 101 S\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
        let read = |text: &str, nonce: &str| upgraded(text.as_bytes(), nonce).ok();
        assert_eq!(read(&good, &nonce), Some(Some(good.len())));
        assert_eq!(read(&good[..30], &nonce), Some(None));
        assert_eq!(read(&good.replace("101", "200"), &nonce), None);
        assert_eq!(read(&good, &websocket_key()), None);
    }

    #[test]
    fn ice_servers_in_their_forms() {
        let body = r#"{"iceServers":[{"urls":"stun:a"},{"urls":["stun:b","turn:c"]},{"url":"stun:d"},{}]}"#;
        assert_eq!(ice_urls(body), ["stun:a", "stun:b", "turn:c", "stun:d"]);
        assert!(ice_urls("{}").is_empty());
    }

    /// The way to a server, with nobody to tell.
    fn signaling(url: &str) -> Signaling {
        let server = Server::parse(url).expect("a URL");
        let tls = server.tls.then(|| connector(None).expect("roots"));
        Signaling {
            dialer: Dialer { server, tls },
            clock: Clock::start(),
            id: "box".into(),
            token: "t".into(),
            name: Arc::new(String::new),
            wants_ice: false,
            told: bounded(1).0,
            outbox: bounded(1).1,
            changed: bounded(1).1,
        }
    }

    /// How long the tenth wait is after what `answer` says to each call of a `scheme`.
    fn tenth_wait_ms(scheme: &str, answer: Option<&'static str>) -> u64 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let url = format!("{scheme}://{}", listener.local_addr().expect("bound"));
        let server = std::thread::spawn(move || {
            let answers = answer.into_iter().cycle().take(10);
            for (answer, mut stream) in answers.zip(listener.incoming().map_while(Result::ok)) {
                let _ = stream.read(&mut [0; 16 * 1024]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        if answer.is_none() {
            server.join().expect("it is gone");
        }
        let (signaling, mut waits) = (signaling(&url), Waits::new(1));
        let calls = (0..10).map(|_| {
            let error = smol::block_on(signaling.connect()).err().expect("it is no server");
            waits.failed(&error);
            waits.next_ms()
        });
        calls.last().expect("ten")
    }

    #[test]
    fn who_is_no_server_for_us_is_left_in_peace() {
        let bad = "HTTP/1.1 502 Bad Gateway\r\n\r\n";
        for (scheme, answer, patient) in [
            ("http", Some(bad), true),
            ("http", Some("nonsense\r\n\r\n"), true),
            ("https", Some(bad), true),
            ("http", Some(""), false),
            ("http", None, false),
        ] {
            let waited = tenth_wait_ms(scheme, answer) > AWAY_MS.1;
            assert_eq!(waited, patient, "{scheme} {answer:?}");
        }
    }

    #[test]
    fn another_network_ends_a_wait_and_a_connection() {
        let signaling = signaling("http://127.0.0.1:1");
        let mut waits = Waits::new(1);
        let mut client = Client::new(0);
        client.handle_lost(0, REFUSED_MS.1);
        let mut socket = None;
        let woken = signaling.awake(Wake::Changed, &mut client, &mut socket, &mut waits);
        assert!(smol::block_on(woken), "it is lost, and so waits anew");
        assert_eq!(waits.next_ms(), 0, "but not now");
        let woken = signaling.hear(&mut client, r#"{"type":"ERROR"}"#, &mut waits);
        smol::block_on(woken);
        assert!((0..10).map(|_| waits.next_ms()).max() <= Some(AWAY_MS.1), "once is once");
        for _ in 0..10 {
            waits.reason = Reason::Refused;
            waits.next_ms();
        }
        waits.reason = Reason::Refused;
        assert!(waits.next_ms() >= REFUSED_MS.1 / 2, "who refuses is left in peace");
    }
}
