//! A phone and its session, both as shipped in all that WebRTC is, over a path without loss.

use crate::month::Home;
use edge::api::{self, Request, Response};
use edge::peer::offer::{Label, Offer};
use edge::peer::{Output, Reply, Session, Work};
use edge::principal::Principal;
use edge_core::link::wire::{CHUNK_BYTES, Chunk, Kind};
use edge_core::rest::Method;
use signal_proto::json;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Rtc, RtcConfig};

/// From one end to the other, ms.
const WAY_MS: u64 = 20;
/// A visit that is not over by then hangs, ms.
const OVER_WITHIN_MS: u64 = 120_000;
const NEVER: u64 = u64::MAX;

/// An answer as the phone has it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A link of one phone.
pub(crate) struct Link {
    rtc: Rtc,
    channel: ChannelId,
    session: Session,
    phone: SocketAddr,
    there: SocketAddr,
    flights: VecDeque<(u64, bool, Vec<u8>)>,
    due: [u64; 2],
    began: u64,
    tickets: u32,
    is_open: bool,
    answers: VecDeque<(u32, Answer)>,
    arriving: Option<(u32, Answer)>,
    pub(crate) pushes: u64,
    over: bool,
}

impl Link {
    /// Dials the box through its signaling server; `number` tells links apart.
    pub(crate) fn dial(home: &mut Home, number: u64) -> Result<Self, String> {
        let moment = home.moment();
        let port = 2_000 + u16::try_from(number % 50_000).unwrap_or_default();
        let phone = SocketAddr::from(([10, 8, 0, 2], port));
        let there = SocketAddr::new(home.address(), port);
        let mut rtc = RtcConfig::new().build(moment.std);
        rtc.add_local_candidate(candidate(phone)?);
        let mut change = rtc.sdp_api();
        let config = ChannelConfig { label: "nightjar".into(), ..ChannelConfig::default() };
        let channel = change.add_channel_with_config(config);
        let (sdp, pending) = change.apply().ok_or("no offer")?;
        let payload = offer(&format!("c{number}"), &sdp);
        let text = format!(
            r#"{{"type":"OFFER","src":"phone-{number}","dst":"{}","payload":{payload}}}"#,
            home.peer_id()
        );
        let payload = home.relay(&text).ok_or("the offer did not come through")?;
        let offer = Offer::parse(&payload).ok_or("the offer is none")?;
        if offer.label != Label::Nightjar {
            return Err("another label".into());
        }
        let (session, answer) = Session::answer(&offer, &[there], home.identity(), moment)
            .map_err(|_| "the offer was refused")?;
        accept(&mut rtc, pending, &answer)?;
        let _ = rtc.handle_input(Input::Timeout(moment.std));
        let now = home.now();
        let mut link = Self {
            rtc,
            channel,
            session,
            phone,
            there,
            flights: VecDeque::new(),
            due: [now; 2],
            began: now,
            tickets: 0,
            is_open: false,
            answers: VecDeque::new(),
            arriving: None,
            pushes: 0,
            over: false,
        };
        while !link.is_open {
            link.step(home)?;
        }
        Ok(link)
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(
        &mut self,
        home: &mut Home,
        (method, path): (&str, &str),
        token: Option<&str>,
        body: &[u8],
    ) -> Result<Answer, String> {
        self.tickets += 1;
        let ticket = self.tickets;
        let mut head = format!(r#"{{"method":"{method}","path":"{path}""#);
        if let Some(token) = token {
            let _ = write!(head, r#","token":"{token}""#);
        }
        head.push('}');
        self.send(Chunk { ticket, kind: Kind::Head, piece: head.as_bytes() })?;
        self.send(Chunk { ticket, kind: Kind::Last, piece: body })?;
        loop {
            if let Some((to, answer)) = self.answers.pop_front() {
                return if to == ticket { Ok(answer) } else { Err("another's answer".into()) };
            }
            self.step(home)?;
        }
    }

    /// Tells the phone something unasked.
    pub(crate) fn push(&mut self, json: &str) {
        self.session.handle_push(json);
    }

    /// The box has another address, and the phone asks for a new path.
    pub(crate) fn move_to(&mut self, home: &mut Home) -> Result<(), String> {
        self.there = SocketAddr::new(home.address(), self.there.port());
        let mut change = self.rtc.sdp_api();
        change.ice_restart(true);
        let (sdp, pending) = change.apply().ok_or("no offer for a new path")?;
        let answer = self.session.restart(&sdp.to_sdp_string(), &[self.there], home.moment());
        accept(&mut self.rtc, pending, &answer.ok_or("the new path was refused")?)
    }

    /// Stays for a while.
    pub(crate) fn stay(&mut self, home: &mut Home, ms: u64) -> Result<(), String> {
        let until = home.now() + ms;
        while home.now() < until {
            self.step(home)?;
        }
        Ok(())
    }

    /// Says goodbye, and waits until nothing is left.
    pub(crate) fn close(mut self, home: &mut Home) -> Result<(), String> {
        self.rtc.close().map_err(|error| error.to_string())?;
        while !self.over {
            self.step(home)?;
        }
        Ok(())
    }

    fn send(&mut self, chunk: Chunk<'_>) -> Result<(), String> {
        let mut buf = [0; CHUNK_BYTES];
        let length = chunk.emit(&mut buf).ok_or("a chunk that is too long")?;
        let mut channel = self.rtc.channel(self.channel).ok_or("the channel is gone")?;
        let sent = channel.write(true, &buf[..length]).map_err(|error| error.to_string())?;
        if sent { Ok(()) } else { Err("the channel is full".into()) }
    }

    /// Lets happen what happens next.
    fn step(&mut self, home: &mut Home) -> Result<(), String> {
        self.drain(home)?;
        if self.over {
            return Ok(());
        }
        let next = self.flights.front().map_or(NEVER, |flight| flight.0);
        let next = next.min(self.due[0]).min(self.due[1]);
        home.advance(next.max(home.now() + 1) - home.now());
        if home.now() - self.began > OVER_WITHIN_MS {
            return Err("a visit hangs".into());
        }
        let moment = home.moment();
        while self.flights.front().is_some_and(|flight| flight.0 <= home.now()) {
            let Some((_, to_box, bytes)) = self.flights.pop_front() else { break };
            if to_box {
                self.session.handle_datagram(moment, self.phone, self.there, &bytes);
            } else if self.rtc.is_alive()
                && let Ok(receive) = Receive::new(Protocol::Udp, self.there, self.phone, &bytes)
            {
                let _ = self.rtc.handle_input(Input::Receive(moment.std, receive));
            }
            self.drain(home)?;
        }
        self.session.handle_timeout(moment);
        if self.rtc.is_alive() {
            let _ = self.rtc.handle_input(Input::Timeout(moment.std));
        }
        self.drain(home)
    }

    fn drain(&mut self, home: &mut Home) -> Result<(), String> {
        self.drain_box(home);
        self.drain_phone(home)?;
        self.drain_box(home);
        Ok(())
    }

    fn drain_box(&mut self, home: &mut Home) {
        loop {
            match self.session.poll_output(home.moment()) {
                // What leaves from an address that is gone is lost.
                Output::Transmit(datagrams) if datagrams.source != self.there => {}
                Output::Transmit(datagrams) => {
                    let due = home.now() + WAY_MS;
                    let flights = datagrams.each().map(|bytes| (due, false, bytes.to_vec()));
                    self.flights.extend(flights);
                }
                Output::Work(work) => self.session.handle_reply(answer(home, &work)),
                Output::Timeout(at) => {
                    self.due[0] = home.ms_of(at);
                    return;
                }
                Output::End => {
                    self.over = true;
                    return;
                }
            }
        }
    }

    fn drain_phone(&mut self, home: &Home) -> Result<(), String> {
        if !self.rtc.is_alive() && self.due[1] == NEVER {
            return Ok(());
        }
        loop {
            match self.rtc.poll_output().map_err(|error| error.to_string())? {
                str0m::Output::Transmit(datagram) if datagram.destination != self.there => {}
                str0m::Output::Transmit(datagram) => {
                    let due = home.now() + WAY_MS;
                    self.flights.push_back((due, true, datagram.contents.to_vec()));
                }
                str0m::Output::Timeout(at) => {
                    self.due[1] = if self.rtc.is_alive() { home.ms_of(at) } else { NEVER };
                    return Ok(());
                }
                str0m::Output::Event(Event::ChannelOpen(..)) => self.is_open = true,
                str0m::Output::Event(Event::ChannelData(data)) => self.hear(&data.data)?,
                str0m::Output::Event(_) => {}
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), String> {
        let chunk = Chunk::parse(bytes).map_err(|error| format!("{error:?}"))?;
        match chunk.kind {
            Kind::Head => {
                let head = std::str::from_utf8(chunk.piece).map_err(|error| error.to_string())?;
                let status = json::member(head, "status").and_then(|text| text.parse().ok());
                let status = status.ok_or("an answer without a status")?;
                self.arriving = Some((chunk.ticket, Answer { status, body: Vec::new() }));
            }
            Kind::More | Kind::Last => {
                let mut arriving = self.arriving.take().ok_or("a body without a head")?;
                arriving.1.body.extend_from_slice(chunk.piece);
                if chunk.kind == Kind::Last {
                    self.answers.push_back(arriving);
                } else {
                    self.arriving = Some(arriving);
                }
            }
            Kind::Push => self.pushes += 1,
            Kind::Ping => {
                let pong = Chunk { kind: Kind::Pong, ..chunk };
                self.send(pong)?;
            }
            Kind::Cancel => return Err("an answer broke off".into()),
            Kind::Pong | Kind::Credit => {}
        }
        Ok(())
    }
}

/// What a worker of the net thread does.
fn answer(home: &Home, work: &Work) -> Reply {
    let house = home.house();
    let principal = match &work.head.token {
        Some(token) => house.door.by_token(token),
        None => Principal::Nobody,
    };
    let client = match principal {
        Principal::Client(id) => Some(id),
        _ => None,
    };
    let response = Method::from_word(&work.head.method).map_or_else(
        || Response::refuse(api::Refusal::Method),
        |method| {
            let if_none_match = work.head.if_none_match.as_deref();
            let (target, body) = (work.head.path.as_str(), work.body.as_slice());
            api::answer(house, &principal, &Request { method, target, if_none_match, body })
        },
    );
    Reply { ask: work.ask, response, client }
}

fn accept(rtc: &mut Rtc, pending: SdpPendingOffer, answer: &str) -> Result<(), String> {
    let answer = SdpAnswer::from_sdp_string(answer).map_err(|error| error.to_string())?;
    rtc.sdp_api().accept_answer(pending, answer).map_err(|error| error.to_string())
}

fn candidate(address: SocketAddr) -> Result<Candidate, String> {
    Candidate::host(address, Protocol::Udp).map_err(|error| error.to_string())
}

/// An OFFER's payload, as signal/web's page makes it.
fn offer(connection: &str, sdp: &SdpOffer) -> String {
    let mut text = format!(
        r#"{{"type":"data","connectionId":"{connection}","label":"nightjar","serialization":"raw","sdp":{{"type":"offer","sdp":"#
    );
    json::quote(&sdp.to_sdp_string(), &mut text);
    text.push_str("}}");
    text
}
