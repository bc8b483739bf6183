//! A session with a box: the phone's side of label `nightjar`, one request at a time, blocking.
//!
//! signal/README.md, "The link"; `link.js` is the browser's side of the same.

use super::server::{Call, Server};
use super::text;
use crate::clock::{Stopwatch, now, random};
use crate::failure::Failure;
use edge_core::link::wire::{CHUNK_BYTES, Chunk, Kind, PIECE_BYTES};
use signal_proto::json;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::DtlsVersion;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// A channel is open by then, or there is no way.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// A box answers a short request by then.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The box says something so often; a longer silence is a lost link.
const SILENT_FOR: Duration = Duration::from_secs(30);
/// How long one step waits for a datagram.
const STEP: Duration = Duration::from_millis(2);
/// Bytes that may wait in the channel before more of a file is read.
const WAITING_BYTES: usize = 64 * 1024;
/// Of a streamed body so many bytes may come unasked.
const UNASKED_BYTES: u64 = 64 * 1024;

/// What a box answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// The session.
pub(super) struct Link {
    rtc: Rtc,
    udp: UdpSocket,
    local: SocketAddr,
    channel: ChannelId,
    is_open: bool,
    is_over: bool,
    heard: VecDeque<Vec<u8>>,
    last_heard: Stopwatch,
    next_ticket: u32,
}

/// The offer that is not answered yet.
struct Offer {
    call: Call,
    pending: Option<SdpPendingOffer>,
    connection: String,
}

fn lost(why: &dyn std::fmt::Display) -> Failure {
    Failure::Trouble(format!("the link to the box was lost: {why}"))
}

impl Link {
    /// Calls the box and opens a channel to it.
    pub(super) fn open(server: &Server, id: &str) -> Result<Self, Failure> {
        let call = server.call()?;
        let bound = call.our_address().and_then(|ip| UdpSocket::bind((ip, 0)));
        let udp = bound.map_err(|error| lost(&error))?;
        let ready = udp.set_read_timeout(Some(STEP)).and_then(|()| udp.local_addr());
        let local = ready.map_err(|error| lost(&error))?;
        let mut rtc = RtcConfig::new().set_dtls_version(DtlsVersion::Auto).build(now());
        let host = Candidate::host(local, Protocol::Udp).map_err(|error| lost(&error))?;
        rtc.add_local_candidate(host);
        let mut change = rtc.sdp_api();
        let config = ChannelConfig { label: "nightjar".into(), ..ChannelConfig::default() };
        let channel = change.add_channel_with_config(config);
        let (sdp, pending) = change.apply().ok_or_else(|| lost(&"there is nothing to offer"))?;
        let connection = format!("dc_{:x}", u128::from_be_bytes(random()));
        let mut offer = Offer { call, pending: Some(pending), connection };
        offer.send(id, &sdp.to_sdp_string()).map_err(|error| lost(&error))?;
        let (heard, last_heard) = (VecDeque::new(), Stopwatch::start());
        let (is_open, is_over, next_ticket) = (false, false, 0);
        let mut link =
            Self { rtc, udp, local, channel, is_open, is_over, heard, last_heard, next_ticket };
        let began = Stopwatch::start();
        while !link.is_open {
            if began.elapsed() > OPEN_WITHIN {
                return Err(lost(&"the box did not answer, or there is no way to it from here"));
            }
            offer.read(&mut link.rtc)?;
            link.step()?;
        }
        Ok(link)
    }

    /// One request with a short body, and its answer.
    pub(super) fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &[u8],
    ) -> Result<Answer, Failure> {
        let ticket = self.begin(method, path, token, "")?;
        self.say(ticket, Kind::Last, body)?;
        let (mut reading, began) = (Reading::default(), Stopwatch::start());
        while began.elapsed() < ANSWER_WITHIN {
            if let Some(answer) = self.hear(ticket, &mut reading)? {
                return Ok(answer);
            }
            self.step()?;
        }
        Err(lost(&"it does not answer"))
    }

    /// One request whose body is a file, which goes as fast as the box takes it.
    pub(super) fn send(
        &mut self,
        path: &str,
        token: Option<&str>,
        file: &mut File,
        total: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Answer, Failure> {
        let ticket = self.begin("PUT", path, token, &format!(r#","length":{total}"#))?;
        let mut reading = Reading { room: UNASKED_BYTES, ..Reading::default() };
        let (mut sent, mut piece) = (0, vec![0; PIECE_BYTES]);
        loop {
            if let Some(answer) = self.hear(ticket, &mut reading)? {
                return Ok(answer);
            }
            let room = reading.room.min(total) - sent;
            let length = usize::try_from(room).map_or(PIECE_BYTES, |room| room.min(PIECE_BYTES));
            if length > 0 && self.buffered() < WAITING_BYTES {
                let piece = &mut piece[..length];
                file.read_exact(piece).map_err(|error| lost(&format!("the file ends: {error}")))?;
                sent += length as u64;
                let kind = if sent == total { Kind::Last } else { Kind::More };
                self.say(ticket, kind, piece)?;
                progress(sent);
            }
            self.step()?;
        }
    }

    fn begin(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        extra: &str,
    ) -> Result<u32, Failure> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let token = token.map(|token| format!(r#","token":"{token}""#)).unwrap_or_default();
        let head = format!(r#"{{"method":"{method}","path":"{path}"{token}{extra}}}"#);
        self.say(ticket, Kind::Head, head.as_bytes())?;
        Ok(ticket)
    }

    fn say(&mut self, ticket: u32, kind: Kind, piece: &[u8]) -> Result<(), Failure> {
        let mut buf = [0; CHUNK_BYTES];
        let chunk = Chunk { ticket, kind, piece }.emit(&mut buf);
        let bytes = chunk.and_then(|length| buf.get(..length)).ok_or_else(|| lost(&"too long"))?;
        let channel = self.rtc.channel(self.channel);
        let written = channel.map(|mut channel| channel.write(true, bytes));
        if matches!(written, Some(Ok(true))) { Ok(()) } else { Err(lost(&"the channel is shut")) }
    }

    fn buffered(&mut self) -> usize {
        self.rtc.channel(self.channel).map_or(0, |mut channel| channel.buffered_amount())
    }

    /// Takes what has come; the answer of `ticket` once it is whole.
    fn hear(&mut self, ticket: u32, reading: &mut Reading) -> Result<Option<Answer>, Failure> {
        while let Some(bytes) = self.heard.pop_front() {
            let Ok(chunk) = Chunk::parse(&bytes) else { continue };
            if chunk.kind == Kind::Ping {
                self.say(chunk.ticket, Kind::Pong, b"")?;
            }
            if chunk.ticket == ticket && reading.take(&chunk)? {
                let Reading { status, body, .. } = std::mem::take(reading);
                return Ok(Some(Answer { status, body }));
            }
        }
        Ok(None)
    }

    /// Lets a moment pass.
    fn step(&mut self) -> Result<(), Failure> {
        self.drain()?;
        let mut buf = [0; 2048];
        if let Ok((length, source)) = self.udp.recv_from(&mut buf) {
            let receive = Receive::new(Protocol::Udp, source, self.local, &buf[..length]);
            if let Ok(receive) = receive {
                let input = Input::Receive(now(), receive);
                self.rtc.handle_input(input).map_err(|error| lost(&error))?;
            }
            self.drain()?;
        }
        self.rtc.handle_input(Input::Timeout(now())).map_err(|error| lost(&error))?;
        if self.is_open && self.last_heard.elapsed() > SILENT_FOR {
            return Err(lost(&"it says nothing"));
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Failure> {
        while self.rtc.is_alive() {
            match self.rtc.poll_output().map_err(|error| lost(&error))? {
                // What the network does not take now is sent again.
                Output::Transmit(it) => drop(self.udp.send_to(&it.contents, it.destination)),
                Output::Timeout(_) => break,
                Output::Event(Event::ChannelOpen(..)) => self.is_open = true,
                Output::Event(Event::ChannelClose(_)) => self.is_over = true,
                Output::Event(Event::ChannelData(data)) => {
                    self.last_heard = Stopwatch::start();
                    self.heard.push_back(data.data);
                }
                Output::Event(_) => {}
            }
        }
        let is_over = self.is_over || !self.rtc.is_alive();
        if is_over && self.heard.is_empty() { Err(lost(&"the box hung up")) } else { Ok(()) }
    }
}

impl Drop for Link {
    /// Says goodbye, so that the box need not wait for us.
    fn drop(&mut self) {
        let _ = self.rtc.close();
        let _ = self.drain();
    }
}

impl Offer {
    fn send(&mut self, id: &str, sdp: &str) -> std::io::Result<()> {
        let mut text = String::from(r#"{"type":"OFFER","dst":"#);
        json::quote(id, &mut text);
        text += r#","payload":{"type":"data","label":"nightjar","reliable":true,"#;
        text += r#""serialization":"raw","connectionId":"#;
        json::quote(&self.connection, &mut text);
        text += r#","sdp":{"type":"offer","sdp":"#;
        json::quote(sdp, &mut text);
        text += "}}}";
        self.call.send(&text)
    }

    /// Takes the box's answer and its candidates.
    fn read(&mut self, rtc: &mut Rtc) -> Result<(), Failure> {
        let Self { call, pending, connection } = self;
        let mut wrong = None;
        let read = call.read(&mut |kind, payload| {
            if text(payload, "connectionId") != *connection {
                return;
            }
            let member = |name| json::member(payload, name).unwrap_or("{}");
            match kind {
                "ANSWER" => {
                    let sdp = text(member("sdp"), "sdp");
                    let answer = SdpAnswer::from_sdp_string(&sdp);
                    if let (Some(pending), Ok(answer)) = (pending.take(), answer) {
                        wrong = rtc.sdp_api().accept_answer(pending, answer).err();
                    }
                }
                "CANDIDATE" => {
                    let line = text(member("candidate"), "candidate");
                    let line = line.strip_prefix("a=").unwrap_or(&line);
                    if let Ok(candidate) = Candidate::from_sdp_string(line) {
                        rtc.add_remote_candidate(candidate);
                    }
                }
                _ => {}
            }
        });
        read.map_err(|error| lost(&error))?;
        wrong.map_or(Ok(()), |error| Err(lost(&error)))
    }
}

/// An answer that is being read.
#[derive(Debug, Default)]
struct Reading {
    status: u16,
    body: Vec<u8>,
    /// Bytes of our body that may come in all.
    room: u64,
}

impl Reading {
    /// Longest body that is kept; a box's words are short.
    const MOST: usize = 1 << 20;

    /// Takes a chunk; whether the answer is whole.
    fn take(&mut self, chunk: &Chunk<'_>) -> Result<bool, Failure> {
        match chunk.kind {
            Kind::Head => {
                let head = str::from_utf8(chunk.piece).unwrap_or("");
                let head = if json::check(head).is_ok() { head } else { "{}" };
                let status = json::member(head, "status").and_then(|it| it.parse().ok());
                self.status = status.ok_or_else(|| lost(&"an answer without a status"))?;
            }
            Kind::More | Kind::Last => {
                if self.body.len() + chunk.piece.len() > Self::MOST {
                    return Err(lost(&"an answer without an end"));
                }
                self.body.extend_from_slice(chunk.piece);
            }
            Kind::Credit => {
                let room = chunk.piece.first_chunk().map_or(0, |room| u32::from_be_bytes(*room));
                self.room = self.room.max(u64::from(room));
            }
            Kind::Cancel => return Err(lost(&"the box broke off")),
            Kind::Ping | Kind::Pong | Kind::Push => {}
        }
        Ok(chunk.kind == Kind::Last)
    }
}
