//! A client of few parts, for crowds and floods: a blocking socket from any address of this
//! machine, a `PeerJS` upgrade, and the frames of signal-proto.

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use signal_proto::websocket::{self, Decoder, Message, Opcode, Role};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may keep a client waiting.
const PATIENCE: Duration = Duration::from_mins(1);

/// A mask that hides nothing, so that frames can be changed where they lie.
const MASK: [u8; 4] = [0; 4];

/// The `number`th of the addresses that crowds come from; no two are the same.
pub fn source(number: usize) -> Ipv4Addr {
    let number = u16::try_from(number).expect("few addresses");
    Ipv4Addr::from_bits((127 << 24) + (1 << 16) + u32::from(number) + 1)
}

/// A TCP connection from `from`, which takes many more ports than one address has.
///
/// # Errors
/// Those of the system.
pub fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream> {
    let fd = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    net::bind(&fd, &SocketAddr::from((from, 0)))?;
    net::connect(&fd, &to)?;
    let stream = TcpStream::from(fd);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A client's WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    decoder: Decoder,
    /// What has arrived and is not yet understood.
    arrived: Vec<u8>,
}

impl Socket {
    /// Connects and asks to be `id`; the answer is still to come.
    ///
    /// # Errors
    /// Those of the system.
    pub fn knock(from: Ipv4Addr, to: SocketAddr, id: &str) -> Result<Self> {
        let mut stream = connect(from, to)?;
        let request = format!(
            "GET /peerjs?key=peerjs&id={id}&token=t&version=1.5.5 HTTP/1.1\r\nHost: {to}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        Ok(Self { stream, decoder: Decoder::new(Role::Client), arrived: Vec::new() })
    }

    /// Waits for the answer, and for OPEN.
    ///
    /// # Errors
    /// Where the server says no, or nothing.
    pub fn open(mut self) -> Result<Self> {
        let length = loop {
            if let Some(at) = self.arrived.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let rest = self.arrived.split_off(length);
        let head = std::mem::replace(&mut self.arrived, rest);
        if !head.starts_with(b"HTTP/1.1 101 ") {
            return Err(Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        match self.hear()? {
            Message::Text(text) if text.contains("\"OPEN\"") => Ok(self),
            other => Err(Error::other(format!("{other:?}"))),
        }
    }

    /// Connects as `id`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn enter(from: Ipv4Addr, to: SocketAddr, id: &str) -> Result<Self> {
        Self::knock(from, to, id)?.open()
    }

    /// The next message.
    ///
    /// # Errors
    /// At the end of the connection, and where its frames are wrong.
    pub fn hear(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = self.next()? {
                return Ok(message);
            }
            self.fill()?;
        }
    }

    /// The next of the messages that have arrived.
    ///
    /// # Errors
    /// Where the frames are wrong.
    #[expect(clippy::should_implement_trait, reason = "none is not the end")]
    pub fn next(&mut self) -> Result<Option<Message>> {
        let mut rest = self.arrived.as_slice();
        let message = self.decoder.read(&mut rest).map_err(Error::other)?;
        let taken = self.arrived.len() - rest.len();
        self.arrived.drain(..taken);
        Ok(message)
    }

    /// Reads once.
    ///
    /// # Errors
    /// At the end of the connection.
    pub fn fill(&mut self) -> Result<()> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            length => {
                self.arrived.extend_from_slice(&bytes[..length]);
                Ok(())
            }
        }
    }

    /// Sends a text.
    ///
    /// # Errors
    /// Those of the system.
    pub fn say(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(&frame(text))
    }

    /// The connection below.
    pub const fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

/// A text as a client's frame.
pub fn frame(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    websocket::encode(Opcode::Text, text.as_bytes(), Some(MASK), &mut bytes);
    bytes
}

/// An OFFER to `dst` whose description is `bytes` long.
pub fn offer(dst: &str, bytes: usize) -> String {
    let sdp = "v=0 ".repeat(bytes.div_ceil(4));
    let sdp = &sdp[..bytes];
    format!(
        "{{\"type\":\"OFFER\",\"dst\":\"{dst}\",\"payload\":{{\"type\":\"data\",\"sdp\":\"{sdp}\"}}}}"
    )
}

/// The resident memory of a process, in KiB; 0 where it is gone.
pub fn resident_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
