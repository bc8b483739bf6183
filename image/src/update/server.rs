//! The signaling server as the tool meets it: which boxes are there, and a socket for one offer.

use super::text;
use crate::clock::{Stopwatch, random};
use crate::failure::Failure;
use signal_proto::base64;
use signal_proto::json;
use signal_proto::websocket::{self, Decoder, Message, Opcode, Role};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;
use uuid::Builder;

/// How long each step towards the server may take.
const WITHIN: Duration = Duration::from_secs(8);
/// Longest answer that is read, bytes.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Where it is.
#[derive(Debug)]
pub(super) struct Server {
    /// HOST:PORT, or HOST.
    host: String,
    /// Ends in a slash.
    path: String,
    key: String,
}

impl Server {
    /// Reads `http://HOST[:PORT]{path}[?key=peerjs]`.
    pub(super) fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::Usage(format!(
                "{url:?} is no address of a box's own server: http://nightjar.local is one"
            ))
        };
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://"));
        let rest = rest.ok_or_else(wrong)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = place.split_once('/').unwrap_or((place, ""));
        let is_plain = |text: &str| text.bytes().all(|it| it.is_ascii_graphic());
        if host.is_empty() || host.contains('@') || !is_plain(rest) {
            return Err(wrong());
        }
        let key = query.split('&').find_map(|pair| pair.strip_prefix("key="));
        let path = path.trim_matches('/');
        let path = if path.is_empty() { "/".into() } else { format!("/{path}/") };
        Ok(Self { host: host.into(), path, key: key.unwrap_or("peerjs").into() })
    }

    fn away(&self, why: &dyn std::fmt::Display) -> Failure {
        let Self { host, .. } = self;
        Failure::Trouble(format!(
            "the signaling server at {host} cannot be reached ({why}); name the box's address: \
             --signal http://ADDRESS"
        ))
    }

    /// Ids and names of the boxes in this network.
    pub(super) fn boxes(&self) -> Result<Vec<(String, String)>, Failure> {
        let call = self.call()?;
        let room = self.get(&call, "id")?;
        let room = text(&room, "roomId");
        if room.is_empty() {
            return Err(self.away(&"it knows no rooms"));
        }
        let devices = self.get(&call, &format!("{room}/devices"))?;
        let devices = json::elements(&devices).map(|it| (text(it, "id"), text(it, "name")));
        Ok(devices.filter(|(id, _)| !id.is_empty()).collect())
    }

    /// What a route of the room answers.
    fn get(&self, call: &Call, route: &str) -> Result<String, Failure> {
        let (Self { host, path, key }, Call { id, token, .. }) = (self, call);
        let url = format!("http://{host}{path}{key}/{id}/{token}/room/{route}");
        let agent = ureq::Agent::config_builder().timeout_global(Some(WITHIN)).build().new_agent();
        let mut answer = agent.get(&url).call().map_err(|error| self.away(&error))?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_string();
        let body = body.map_err(|error| self.away(&error))?;
        json::check(&body).map_err(|_| self.away(&"it answered no JSON"))?;
        Ok(body)
    }

    /// Registers there.
    pub(super) fn call(&self) -> Result<Call, Failure> {
        let id = Builder::from_random_bytes(random()).into_uuid().to_string();
        let token = Builder::from_random_bytes(random()).into_uuid().simple().to_string();
        let stream = self.connect().map_err(|error| self.away(&error))?;
        let mut call =
            Call { stream, decoder: Decoder::new(Role::Client), id, token, is_open: false };
        call.upgrade(self).map_err(|error| self.away(&error))?;
        let began = Stopwatch::start();
        while !call.is_open {
            if began.elapsed() > WITHIN {
                return Err(self.away(&"it did not let us in"));
            }
            call.read(&mut |_, _| {}).map_err(|error| self.away(&error))?;
        }
        Ok(call)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let with_port =
            self.host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let place = if with_port { self.host.clone() } else { format!("{}:80", self.host) };
        let mut last = ErrorKind::NotFound.into();
        for address in place.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, WITHIN) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A registered client.
#[derive(Debug)]
pub(super) struct Call {
    stream: TcpStream,
    decoder: Decoder,
    id: String,
    token: String,
    is_open: bool,
}

impl Call {
    fn upgrade(&mut self, server: &Server) -> std::io::Result<()> {
        let (Server { host, path, key }, Self { id, token, .. }) = (server, &*self);
        let nonce = base64::encode(&random());
        let head = format!(
            "GET {path}peerjs?key={key}&id={id}&token={token}&version=nightjar HTTP/1.1\r\n\
             Host: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n"
        );
        self.stream.set_read_timeout(Some(WITHIN))?;
        self.stream.set_write_timeout(Some(WITHIN))?;
        self.stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            answer.extend(byte);
            if answer.len() > 8192 {
                return Err(std::io::Error::other("its answer has no end"));
            }
        }
        if !answer.starts_with(b"HTTP/1.1 101") {
            return Err(std::io::Error::other("it is no signaling server"));
        }
        self.stream.set_read_timeout(Some(Duration::from_millis(5)))
    }

    /// The address from which the server is reached: where the box reaches us, in one network.
    pub(super) fn our_address(&self) -> std::io::Result<IpAddr> {
        Ok(self.stream.local_addr()?.ip())
    }

    /// Sends JSON.
    pub(super) fn send(&mut self, text: &str) -> std::io::Result<()> {
        let mut frame = Vec::new();
        let [a, b, c, d, ..] = random();
        websocket::encode(Opcode::Text, text.as_bytes(), Some([a, b, c, d]), &mut frame);
        self.stream.write_all(&frame)
    }

    /// Waits a moment for what comes; `hear` gets each message's type and payload.
    pub(super) fn read(&mut self, hear: &mut dyn FnMut(&str, &str)) -> std::io::Result<()> {
        let mut buf = [0; 4096];
        let length = match self.stream.read(&mut buf) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(error) => return Err(error),
        };
        let mut input = &buf[..length];
        let wrong = |_| std::io::Error::other("it speaks no WebSocket");
        while let Some(message) = self.decoder.read(&mut input).map_err(wrong)? {
            let Message::Text(said) = message else { continue };
            if json::check(&said).is_err() {
                continue;
            }
            let kind = text(&said, "type");
            self.is_open |= kind == "OPEN";
            hear(&kind, json::member(&said, "payload").unwrap_or("{}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (url, host, path, key) in [
            ("http://nightjar.local", "nightjar.local", "/", "peerjs"),
            ("http://10.0.0.2:9000/a/b/?x=1&key=k", "10.0.0.2:9000", "/a/b/", "k"),
            ("ws://[::1]:80/", "[::1]:80", "/", "peerjs"),
        ] {
            let server = Server::parse(url).unwrap_or_else(|_| panic!("{url}"));
            assert_eq!((&*server.host, &*server.path, &*server.key), (host, path, key));
        }
        for url in ["", "nightjar.local", "https://a", "http://", "http://a b", "http://u@a"] {
            assert!(matches!(Server::parse(url), Err(Failure::Usage(_))), "{url}");
        }
    }
}
