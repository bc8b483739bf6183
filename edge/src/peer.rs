//! One session: an `Rtc` that answered a phone's offer, and the machine of its one channel.
//!
//! Without sockets and threads: datagrams, answers of the API and time go in, datagrams and
//! work for the API come out. [`crate::net`] owns the sockets.
//!
//! ```text
//!  answer()           ChannelOpen             silence, eviction, revocation, error
//!  --------> Opening ------------> Speaking ----------------------------------------> Ended
//!               | 20 s                                                                  ^
//!               +-----------------------------------------------------------------------+
//! ```

mod again;
mod dtls;
mod empty;
pub mod gather;
pub mod inflow;
mod mend;
pub mod offer;

use crate::api::Response;
use crate::identity::Identity;
use dtls::Batches;
pub use dtls::Datagrams;
use edge_core::link::Ask;
use edge_core::link::head::{RequestHead, ResponseHead};
use edge_core::link::legacy::{self, Legacy};
use edge_core::link::responder::{self, Heard, Responder};
use edge_core::link::watermark::Watermark;
use edge_core::link::wire::{CHUNK_BYTES, PIECE_BYTES};
use edge_core::time::Instant;
use inflow::{Inlet, Outlet};
use offer::{Label, Offer};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::{ChannelData, ChannelId};
use str0m::config::DtlsVersion;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Rtc, RtcConfig, RtcError};

/// Bytes that one session's channels may hold; our own limits lie below.
const SCTP_BUFFER_BYTES: usize = 512 * 1024;
/// Longest datagram, bytes: what an IPv6 path carries unasked (1280, RFC 8200 s5), less its and
/// UDP's headers.
const DATAGRAM_BYTES: usize = 1232;
/// How often the path's round trip is asked for.
const STATS_EVERY: time::Duration = time::Duration::from_millis(200);
/// A session whose channel is not open by then ends, ms.
pub const OPEN_WITHIN_MS: u64 = 20_000;
/// A session whose path is lost for so long ends, ms.
pub const PATHLESS_MS: u64 = 20_000;
/// Requests of one session that the API works on at once; the others wait their turn.
pub const RUNNING: usize = 8;
/// Bytes of answers that wait to be sent before no further one is kept that takes more than one
/// chunk; its request waits, and is worked on again. So a short answer never waits for long ones.
pub const ANSWERED_BYTES: usize = 4 * 1024 * 1024;
/// Candidates that one session takes from its phone; further ones are ignored.
const CANDIDATES: usize = 32;
/// Addresses of ours that one session knows of STUN servers; further ones are ignored.
const MAPPED: usize = 16;
/// Revoked phones that a session remembers while answers to them may be under way.
const REVOKED: usize = 16;

/// One moment, for us and for libraries that want the standard library's instant.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Ours.
    pub ms: Instant,
    /// Theirs.
    pub std: time::Instant,
}

impl Moment {
    fn std_at(&self, at: Instant) -> time::Instant {
        let far = time::Duration::from_hours(1);
        self.std + time::Duration::from_millis(at.since_ms(self.ms)).min(far)
    }
}

/// A request for the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Which one, within its session.
    pub ask: Ask,
    /// What it asks for.
    pub head: RequestHead,
    /// Its body, whole.
    pub body: Vec<u8>,
    /// Its body, where that is read as it comes.
    pub inflow: Option<Outlet>,
    /// Over which protocol it came.
    pub label: Label,
}

/// The API's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// To which request.
    pub ask: Ask,
    /// What it says.
    pub response: Response,
    /// The paired phone that asked, by its token.
    pub client: Option<u64>,
}

/// What the owner of the sockets does next.
#[derive(Debug)]
pub enum Output {
    /// Send these.
    Transmit(Datagrams),
    /// Have the API answer this.
    Work(Box<Work>),
    /// Nothing until then, but for an input.
    Timeout(time::Instant),
    /// The session is over.
    End,
}

/// Why an offer is not answered.
#[derive(Debug)]
pub struct Refused;

/// One phone's session.
#[derive(Debug)]
pub struct Session {
    rtc: Rtc,
    batches: Batches,
    link: Link,
    watermark: Watermark,
    /// When the session began, of which the watermark counts.
    began: time::Instant,
    mid: String,
    candidates: usize,
    /// Our candidates, each with the address of its socket.
    ours: Vec<(SocketAddr, Candidate)>,
    largest_message: usize,
    client: Option<u64>,
    revoked: VecDeque<u64>,
    /// Where chunks are made.
    chunk: Box<[u8; CHUNK_BYTES]>,
    /// Requests whose body still arrives.
    arriving: BTreeMap<Ask, Work>,
    /// Requests at the API whose body still arrives.
    streaming: BTreeMap<Ask, Inlet>,
    /// Requests that wait for their turn at the API.
    waiting: VecDeque<Work>,
    running: usize,
    /// Requests that are worked on while there is no room for a long answer.
    tried: BTreeMap<Ask, Work>,
    /// Those of them whose answer was long.
    deferred: VecDeque<Work>,
    /// Answers that are being sent.
    bodies: BTreeMap<Ask, Vec<u8>>,
    bodies_bytes: usize,
    pathless: Option<Instant>,
    last_heard: Instant,
    closing: bool,
}

#[derive(Debug)]
enum Link {
    Opening { label: Label, since: Instant },
    Nightjar(ChannelId, Box<Responder>),
    Legacy(ChannelId, Box<Legacy>),
    Ended,
}

/// Whether a drain goes on or has come to a time.
enum Step {
    Again,
    Until(Instant),
    Out(Output),
}

impl Session {
    /// Answers an offer from the sockets at `locals`: the session and the answer's SDP.
    pub fn answer(
        offer: &Offer,
        locals: &[SocketAddr],
        identity: &Identity,
        now: Moment,
    ) -> Result<(Self, String), Refused> {
        let sdp = SdpOffer::from_sdp_string(&offer.sdp).map_err(|_| Refused)?;
        let again = offer.label == Label::HttpProxy;
        let (mut rtc, batches) = dtls::build(config(identity), again, now.std);
        let mut ours = Vec::new();
        for address in locals {
            let candidate = Candidate::host(*address, Protocol::Udp).map_err(|_| Refused)?;
            ours.push((*address, candidate.clone()));
            rtc.add_local_candidate(candidate);
        }
        let answer: SdpAnswer = rtc.sdp_api().accept_offer(sdp).map_err(|_| Refused)?;
        let answer = answer.to_sdp_string();
        // Before its first timeout the ICE agent has no clock: behind a NAT it would wait for
        // ever for the phone's first check.
        rtc.handle_input(Input::Timeout(now.std)).map_err(|_| Refused)?;
        let mid = answer.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap_or("0");
        let session = Self {
            mid: mid.to_owned(),
            rtc,
            batches,
            watermark: Watermark::new(),
            began: now.std,
            link: Link::Opening { label: offer.label, since: now.ms },
            candidates: 0,
            ours,
            largest_message: offer.largest_message(),
            client: None,
            revoked: VecDeque::new(),
            chunk: Box::new([0; CHUNK_BYTES]),
            arriving: BTreeMap::new(),
            streaming: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: 0,
            tried: BTreeMap::new(),
            deferred: VecDeque::new(),
            bodies: BTreeMap::new(),
            bodies_bytes: 0,
            pathless: None,
            last_heard: now.ms,
            closing: false,
        };
        Ok((session, answer))
    }

    /// Takes an offer for a new path (ICE restart, RFC 8445 s9) to the sockets there are now:
    /// the answer's SDP. An offer that is none ends the session.
    pub fn restart(&mut self, sdp: &str, locals: &[SocketAddr], now: Moment) -> Option<String> {
        self.move_to(locals);
        self.candidates = 0;
        let offer = SdpOffer::from_sdp_string(sdp).map_err(|_| Refused);
        let answer =
            offer.and_then(|offer| self.rtc.sdp_api().accept_offer(offer).map_err(|_| Refused));
        let Ok(answer) = answer else {
            self.end();
            return None;
        };
        self.pathless = None;
        let result = self.rtc.handle_input(Input::Timeout(now.std));
        self.end_unless(&result);
        Some(answer.to_sdp_string())
    }

    /// Gives up the candidates of sockets that are gone, and takes up new ones.
    fn move_to(&mut self, locals: &[SocketAddr]) {
        let rtc = &mut self.rtc;
        self.ours.retain(|(base, candidate)| {
            let stays = locals.contains(base);
            if !stays {
                rtc.direct_api().invalidate_candidate(candidate);
            }
            stays
        });
        for address in locals {
            let known = self.ours.iter().any(|(base, _)| base == address);
            let candidate = Candidate::host(*address, Protocol::Udp).ok().filter(|_| !known);
            if let Some(candidate) = candidate {
                self.ours.push((*address, candidate.clone()));
                self.rtc.add_local_candidate(candidate);
            }
        }
    }

    /// The paired phone at the other end; it alone is told what happens.
    pub const fn client(&self) -> Option<u64> {
        self.client
    }

    /// When the phone last said something on the channel.
    pub const fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// The name of the media section, for candidates that follow the answer.
    pub fn mid(&self) -> &str {
        &self.mid
    }

    /// Takes a datagram. What is none of this session's is dropped.
    pub fn handle_datagram(
        &mut self,
        now: Moment,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        self.batches.handle_now(now.std);
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, bytes) else { return };
        let input = Input::Receive(now.std, receive);
        if self.rtc.accepts(&input) {
            let result = self.rtc.handle_input(input);
            self.end_unless(&result);
        }
    }

    /// Keeps a datagram for [`Self::handle_kept`], where it is one of many on the path in use;
    /// `false`: it is to be handled now.
    pub fn keep_datagram(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        self.batches.keep(source, destination, bytes)
    }

    /// Takes the datagrams that were kept.
    pub fn handle_kept(&mut self, now: Moment) {
        if let Some((source, destination, bytes)) = self.batches.last_kept() {
            self.handle_datagram(now, source, destination, &bytes);
        }
    }

    /// Takes a candidate of the phone's. Names that only the phone's network knows, TCP, and
    /// what is no candidate are passed over.
    pub fn handle_candidate(&mut self, line: &str) {
        let line = line.strip_prefix("a=").unwrap_or(line);
        let Ok(candidate) = Candidate::from_sdp_string(line) else { return };
        if candidate.proto() == Protocol::Udp && self.candidates < CANDIDATES {
            self.candidates += 1;
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// Takes what a STUN server sees of the socket at `base`; the candidate for the phone,
    /// where it is a new one.
    pub fn handle_mapped(&mut self, mapped: SocketAddr, base: SocketAddr) -> Option<String> {
        let nowhere = mapped.port() == 0 || mapped.ip().is_unspecified();
        let known = self.ours.iter().filter(|(base, candidate)| candidate.addr() != *base);
        if mapped == base || nowhere || known.count() >= MAPPED {
            return None;
        }
        let candidate = Candidate::server_reflexive(mapped, base, Protocol::Udp).ok()?;
        let line = self.rtc.add_local_candidate(candidate.clone()).map(Candidate::to_sdp_string)?;
        self.ours.push((base, candidate));
        Some(line)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.batches.handle_now(now.std);
        let result = self.rtc.handle_input(Input::Timeout(now.std));
        self.end_unless(&result);
        match &mut self.link {
            Link::Opening { since, .. } if now.ms.since_ms(*since) >= OPEN_WITHIN_MS => {
                self.end();
            }
            Link::Nightjar(_, machine) => machine.handle_timeout(now.ms),
            Link::Legacy(_, machine) => machine.handle_timeout(now.ms),
            Link::Opening { .. } | Link::Ended => {}
        }
        if self.pathless.is_some_and(|since| now.ms.since_ms(since) >= PATHLESS_MS) {
            self.end();
        }
    }

    /// Takes an answer of the API.
    pub fn handle_reply(&mut self, reply: Reply) {
        self.running = self.running.saturating_sub(1);
        if let Some(client) = reply.client {
            self.handle_client(client);
            if self.closing {
                return;
            }
        }
        let Reply { ask, response, .. } = reply;
        let is_long = response.body.len() > PIECE_BYTES && !self.has_room();
        if let Some(work) = self.tried.remove(&ask).filter(|_| is_long) {
            return self.deferred.push_back(work);
        }
        let head = ResponseHead {
            status: response.status,
            content_type: response.content_type,
            length: u32::try_from(response.body.len()).unwrap_or(u32::MAX),
            etag: response.etag.and_then(|etag| etag.parse().ok()),
        };
        let taken = match &mut self.link {
            Link::Nightjar(_, machine) => machine.handle_answer(ask, head),
            Link::Legacy(_, machine) => machine.handle_answer(ask, head),
            Link::Opening { .. } | Link::Ended => false,
        };
        if taken {
            self.bodies_bytes += response.body.len();
            self.bodies.insert(ask, response.body);
        }
    }

    /// Whose token a request bears whose body is still under way.
    pub fn handle_client(&mut self, client: u64) {
        if self.revoked.contains(&client) {
            return self.close();
        }
        self.client = Some(client);
    }

    /// The API has read of a body that is read as it comes: so many bytes of it may come in all.
    pub fn handle_room(&mut self, ask: Ask, bytes: u32) {
        if let Link::Nightjar(_, machine) = &mut self.link {
            machine.handle_room(ask, bytes);
        }
    }

    /// Tells the phone what happened, if it is one that may know.
    pub fn handle_push(&mut self, json: &str) {
        if let (Some(_), Link::Nightjar(_, machine)) = (self.client, &mut self.link) {
            machine.handle_push(json);
        }
    }

    /// Tells the phone that it was not told of something.
    pub fn handle_missed(&mut self) {
        if let (Some(_), Link::Nightjar(_, machine)) = (self.client, &mut self.link) {
            machine.handle_missed();
        }
    }

    /// A phone was revoked: if it is this one, the session ends.
    pub fn handle_revoked(&mut self, client: u64) {
        if self.client == Some(client) {
            return self.close();
        }
        if self.revoked.len() == REVOKED {
            self.revoked.pop_front();
        }
        self.revoked.push_back(client);
    }

    /// Ends the session and tells the phone; drain once more to do so.
    pub fn close(&mut self) {
        if self.rtc.close().is_err() {
            self.rtc.disconnect();
        }
        self.closing = true;
        self.link = Link::Ended;
    }

    /// The next thing to do.
    pub fn poll_output(&mut self, now: Moment) -> Output {
        self.batches.handle_now(now.std);
        loop {
            let due = match self.poll_rtc(now) {
                Step::Again => continue,
                Step::Out(output) => return output,
                Step::Until(due) => due,
            };
            if let Some(work) = self.next_work() {
                return Output::Work(Box::new(work));
            }
            match self.poll_link(now) {
                Step::Again => {}
                Step::Out(output) => return output,
                Step::Until(at) => return Output::Timeout(now.std_at(at.min(due))),
            }
        }
    }

    // --- the transport ---

    fn poll_rtc(&mut self, now: Moment) -> Step {
        if let Some(datagrams) = self.batches.poll(now.ms) {
            return Step::Out(Output::Transmit(datagrams));
        }
        if !self.rtc.is_alive() {
            return Step::Out(Output::End);
        }
        match self.rtc.poll_output() {
            Ok(str0m::Output::Transmit(datagram)) if self.batches.follow(&datagram) => Step::Again,
            Ok(str0m::Output::Transmit(datagram)) => Step::Out(Output::Transmit(datagram.into())),
            Ok(str0m::Output::Timeout(_)) if self.closing && self.batches.due().is_none() => {
                Step::Out(Output::End)
            }
            Ok(str0m::Output::Timeout(at)) => {
                // A started millisecond counts whole, or the last of it would be spent waking.
                let wait = at.saturating_duration_since(now.std).as_micros().div_ceil(1000);
                Step::Until(now.ms.plus_ms(u64::try_from(wait).unwrap_or(u64::MAX)))
                    .no_later_than(self.batches.due())
            }
            Ok(str0m::Output::Event(event)) => {
                self.handle_event(now, &event);
                Step::Again
            }
            Err(_) => Step::Out(Output::End),
        }
    }

    fn handle_event(&mut self, now: Moment, event: &Event) {
        match event {
            Event::ChannelOpen(id, label) => self.open(now, *id, label),
            Event::ChannelData(data) => self.hear(now, data),
            Event::ChannelClose(id) if self.link.is_on(*id) => self.close(),
            Event::IceConnectionStateChange(state) => {
                let lost = *state == IceConnectionState::Disconnected;
                self.pathless = lost.then(|| self.pathless.unwrap_or(now.ms));
            }
            Event::PeerStats(stats) => {
                let path = stats.selected_candidate_pair.as_ref();
                if let Some(trip) = path.and_then(|path| path.current_round_trip_time) {
                    self.watermark.handle_round_trip(micros(trip));
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, now: Moment, id: ChannelId, label: &str) {
        let Link::Opening { label: wanted, .. } = self.link else { return };
        let ordered = self.rtc.channel(id).and_then(|channel| Some(channel.config()?.ordered));
        self.last_heard = now.ms;
        self.link = match (Label::from_word(label), ordered) {
            (Some(label), Some(_)) if label != wanted => return,
            (Some(Label::Nightjar), Some(true)) => {
                Link::Nightjar(id, Box::new(Responder::new(now.ms)))
            }
            (Some(Label::HttpProxy), Some(ordered)) => {
                Link::Legacy(id, Box::new(Legacy::new(now.ms, ordered, self.largest_message)))
            }
            _ => return self.close(),
        };
    }

    fn end_unless(&mut self, result: &Result<(), RtcError>) {
        if result.is_err() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.rtc.disconnect();
        self.link = Link::Ended;
    }

    // --- the channel ---

    fn hear(&mut self, now: Moment, data: &ChannelData) {
        if !self.link.is_on(data.id) {
            return;
        }
        self.last_heard = now.ms;
        match &mut self.link {
            Link::Nightjar(_, machine) => match machine.handle_message(now.ms, &data.data) {
                Heard::Nothing => {}
                Heard::Head { ask, head, streamed, whole } => {
                    let (body, label) = (Vec::new(), Label::Nightjar);
                    let mut work = Work { ask, head, body, inflow: None, label };
                    if streamed {
                        let (inlet, outlet) = inflow::pipe();
                        work.inflow = Some(outlet);
                        self.streaming.insert(ask, inlet);
                        self.waiting.push_back(work);
                    } else if whole {
                        self.waiting.push_back(work);
                    } else {
                        self.arriving.insert(ask, work);
                    }
                }
                Heard::Piece { ask, piece, last } => self.collect(ask, piece, last),
                Heard::Gone { ask } => self.forget(ask),
            },
            Link::Legacy(_, machine) => machine.handle_message(now.ms, &data.data),
            Link::Opening { .. } | Link::Ended => {}
        }
    }

    fn collect(&mut self, ask: Ask, piece: &[u8], last: bool) {
        if let Some(work) = self.arriving.get_mut(&ask) {
            work.body.extend_from_slice(piece);
        }
        if let Some(inlet) = self.streaming.get(&ask) {
            inlet.push(piece);
        }
        if last && let Some(work) = self.arriving.remove(&ask) {
            self.waiting.push_back(work);
        }
        if last && let Some(inlet) = self.streaming.remove(&ask) {
            inlet.finish();
        }
    }

    fn forget(&mut self, ask: Ask) {
        self.arriving.remove(&ask);
        self.streaming.remove(&ask);
        self.waiting.retain(|work| work.ask != ask);
        self.deferred.retain(|work| work.ask != ask);
        self.tried.remove(&ask);
        if let Some(body) = self.bodies.remove(&ask) {
            self.bodies_bytes -= body.len();
        }
    }

    const fn has_room(&self) -> bool {
        self.bodies_bytes < ANSWERED_BYTES
    }

    fn next_work(&mut self) -> Option<Work> {
        if self.running >= RUNNING {
            return None;
        }
        let has_room = self.has_room();
        let deferred = if has_room { self.deferred.pop_front() } else { None };
        let work = deferred.or_else(|| self.waiting.pop_front())?;
        // Only what is read may be worked on twice.
        if !has_room && work.head.method == "GET" {
            self.tried.insert(work.ask, work.clone());
        }
        self.running += 1;
        Some(work)
    }

    fn poll_link(&mut self, now: Moment) -> Step {
        match self.link {
            Link::Opening { since, .. } => Step::Until(since.plus_ms(OPEN_WITHIN_MS)),
            Link::Nightjar(id, _) => self.poll_nightjar(now, id),
            Link::Legacy(id, _) => self.poll_legacy(now, id),
            Link::Ended => Step::Until(Instant(u64::MAX)),
        }
        .no_later_than(self.pathless.map(|since| since.plus_ms(PATHLESS_MS)))
    }

    /// Hands over all that may be handed over: what goes together leaves together.
    fn poll_nightjar(&mut self, now: Moment, id: ChannelId) -> Step {
        let now_us = micros(now.std.saturating_duration_since(self.began));
        let mut wrote = false;
        loop {
            let Link::Nightjar(_, machine) = &mut self.link else { return Step::Again };
            let Some(mut channel) = self.rtc.channel(id) else { return self.broken() };
            let buffered = channel.buffered_amount();
            machine.handle_buffered(buffered);
            machine.handle_limit(self.watermark.handle_buffered(now_us, buffered));
            self.batches.handle_pace(self.watermark.pace_bytes());
            let bodies = &self.bodies;
            let lend = |ask: Ask| bodies.get(&ask).map_or(&[][..], Vec::as_slice);
            match machine.poll_output(&mut self.chunk, lend) {
                responder::Output::Transmit { length, done } => {
                    if !matches!(channel.write(true, &self.chunk[..length]), Ok(true)) {
                        return self.broken();
                    }
                    wrote = true;
                    self.watermark.handle_written(length);
                    if let Some(ask) = done {
                        self.forget(ask);
                    }
                }
                responder::Output::Close(_) => return self.broken(),
                responder::Output::Timeout(_) if wrote => return Step::Again,
                responder::Output::Timeout(at) => return Step::Until(at),
            }
        }
    }

    fn poll_legacy(&mut self, now: Moment, id: ChannelId) -> Step {
        let Link::Legacy(_, machine) = &mut self.link else { return Step::Again };
        let Some(mut channel) = self.rtc.channel(id) else { return self.broken() };
        machine.handle_timeout(now.ms);
        machine.handle_buffered(channel.buffered_amount());
        let mut buf = [0; legacy::HEADER_BYTES];
        let written = match machine.poll_output(&mut buf) {
            legacy::Output::Request { ask, head } => {
                self.bodies.clear();
                self.bodies_bytes = 0;
                let (body, label) = (Vec::new(), Label::HttpProxy);
                let work = Work { ask, head, body, inflow: None, label };
                self.waiting.push_back(work);
                return Step::Again;
            }
            legacy::Output::Text { length } => channel.write(false, &buf[..length]),
            legacy::Output::Words(words) => channel.write(false, words.as_bytes()),
            legacy::Output::Own(words) => channel.write(true, words.as_bytes()),
            legacy::Output::Body(ask) => match self.bodies.get(&ask) {
                Some(body) if !body.is_empty() => channel.write(true, body),
                _ => channel.write(false, empty::MARK),
            },
            legacy::Output::Flooded => return self.broken(),
            legacy::Output::Timeout(at) => return Step::Until(at),
        };
        if matches!(written, Ok(true)) { Step::Again } else { self.broken() }
    }

    fn broken(&mut self) -> Step {
        self.close();
        Step::Again
    }
}

impl Link {
    fn is_on(&self, channel: ChannelId) -> bool {
        match self {
            Self::Nightjar(id, _) | Self::Legacy(id, _) => *id == channel,
            Self::Opening { .. } | Self::Ended => false,
        }
    }
}

impl Step {
    fn no_later_than(self, limit: Option<Instant>) -> Self {
        match (self, limit) {
            (Self::Until(at), Some(limit)) => Self::Until(at.min(limit)),
            (step, _) => step,
        }
    }
}

fn micros(duration: time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn config(identity: &Identity) -> RtcConfig {
    RtcConfig::new()
        .set_dtls_cert(identity.certificate.clone())
        .set_dtls_version(DtlsVersion::Auto)
        .set_sctp_max_buffered_amount(SCTP_BUFFER_BYTES)
        .set_mtu(DATAGRAM_BYTES..=DATAGRAM_BYTES)
        .set_stats_interval(Some(STATS_EVERY))
        .clear_codecs()
}

#[cfg(test)]
mod tests;
