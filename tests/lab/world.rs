//! One run: page, phone's transport, network, box, and what must hold of them.

use crate::house::{self, House, sha1};
use crate::network::{Dice, Flight, Network};
use crate::page::{Page, Said};
use crate::plan::{Act, Plan, Wish};
use edge::api::Response;
use edge::clock::Clock;
use edge::identity::Identity;
use edge::peer::inflow::WINDOW_BYTES;
use edge::peer::offer::{Label, Offer};
use edge::peer::{Moment, Output, Reply, Session, Work};
use edge_core::link::wire::{CHUNK_BYTES, Chunk, Kind, PIECE_BYTES};
use edge_core::time::Instant;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{self, Duration};
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::DtlsVersion;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Rtc, RtcConfig};

/// What the phone waits for an answer and for a channel, as signal/web/js/link/rtc.js does, ms.
const ANSWER_WITHIN_MS: u64 = 10_000;
const OPEN_WITHIN_MS: u64 = 15_000;
/// Where the page's `bufferedamountlow` comes, as in signal/web/link.js, bytes.
const LOW_BYTES: usize = 16 * 1024;
/// A run that is not over by then hangs, ms.
const OVER_WITHIN_MS: u64 = 15 * 60_000;
/// What a phone that is gone leaves behind is gone by then, ms.
const GONE_WITHIN_MS: u64 = 60_000;
/// Lines that are told of a run that fails.
const TOLD: usize = 80;
const NEVER: u64 = u64::MAX;

/// What runs came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) runs: u64,
    pub(crate) asked: u64,
    pub(crate) right: u64,
    pub(crate) lost: u64,
    pub(crate) cancelled: u64,
    pub(crate) rests: u64,
    pub(crate) pushes: u64,
    pub(crate) links: u64,
    pub(crate) datagrams: u64,
    pub(crate) virtual_ms: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.asked += other.asked;
        self.right += other.right;
        self.lost += other.lost;
        self.cancelled += other.cancelled;
        self.rests += other.rests;
        self.pushes += other.pushes;
        self.links += other.links;
        self.datagrams += other.datagrams;
        self.virtual_ms += other.virtual_ms;
    }
}

struct Phone {
    link: u16,
    rtc: Rtc,
    channel: ChannelId,
    since: u64,
    is_open: bool,
    due: u64,
}

/// A request whose body is read as it comes.
struct Upload {
    link: u16,
    work: Work,
    body: Vec<u8>,
    due: u64,
}

struct Seat {
    link: u16,
    session: Session,
    due: u64,
}

/// One run.
pub(crate) struct World<'a> {
    page: &'a mut Page,
    identity: &'a Identity,
    /// Tell all of it at once; else the end of it where the run fails.
    loud: bool,
    told: RefCell<VecDeque<String>>,
    start: time::Instant,
    now: u64,
    dice: Dice,
    plan: Plan,
    network: Network,
    house: House,
    box_up_at: u64,
    seats: Vec<Seat>,
    replies: Vec<(u64, u16, Reply)>,
    uploads: Vec<Upload>,
    phone: Option<Phone>,
    dial_at: u64,
    page_due: u64,
    /// The page is frozen until then; 0 while it is awake.
    asleep_until: u64,
    /// What the frozen page will hear when it wakes: that a channel opened, or a message.
    inbox: Vec<Option<Vec<u8>>>,
    /// And that its link has ended.
    torn: bool,
    /// The page was told something and has not been drained since.
    page_knows: bool,
    /// Bytes that wait in the phone's channel, when the page last heard of them.
    buffered: usize,
    /// Asked and not yet answered, by the page's id.
    open: BTreeMap<u32, Wish>,
    /// To be asked once there is a link.
    waiting: VecDeque<Wish>,
    next_id: u32,
    next_push: u64,
    last_push: u64,
    tally: Tally,
}

impl<'a> World<'a> {
    pub(crate) fn new(seed: u64, page: &'a mut Page, identity: &'a Identity, loud: bool) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x5851_F42D_4C95_7F2D));
        let plan = Plan::new(&mut dice);
        let network = Network::new(Dice(dice.next()), plan.heals_at);
        page.reload();
        Self {
            page,
            identity,
            loud,
            told: RefCell::default(),
            start: Clock::start().std_now(),
            now: 0,
            dice,
            plan,
            network,
            house: House::default(),
            box_up_at: 0,
            seats: Vec::new(),
            replies: Vec::new(),
            uploads: Vec::new(),
            phone: None,
            dial_at: 0,
            page_due: NEVER,
            asleep_until: 0,
            inbox: Vec::new(),
            torn: false,
            page_knows: false,
            buffered: 0,
            open: BTreeMap::new(),
            waiting: VecDeque::new(),
            next_id: 0,
            next_push: 0,
            last_push: 0,
            tally: Tally { runs: 1, ..Tally::default() },
        }
    }

    /// Runs until everything asked has come to its end, and nothing is left of it.
    pub(crate) fn run(&mut self) -> Tally {
        while !(self.plan.acts.is_empty() && self.open.is_empty() && self.waiting.is_empty()) {
            assert!(self.now < OVER_WITHIN_MS, "hung: {:?} {:?}", self.open, self.waiting);
            self.step();
        }
        self.phone = None;
        (self.dial_at, self.page_due, self.asleep_until) = (NEVER, NEVER, 0);
        let gone = self.now;
        while !self.seats.is_empty() {
            assert!(self.now - gone < GONE_WITHIN_MS, "{} sessions are left", self.seats.len());
            self.step();
        }
        for (path, (times, _)) in &self.house.put {
            assert_eq!(*times, 1, "{path} was put more than once");
        }
        self.tally.datagrams = self.network.sent;
        self.tally.virtual_ms = self.now;
        self.tally
    }

    fn note(&self, words: impl FnOnce() -> String) {
        let line = format!("{:>7} {}", self.now, words());
        if self.loud {
            return eprintln!("{line}");
        }
        let mut told = self.told.borrow_mut();
        if told.len() == TOLD {
            told.pop_front();
        }
        told.push_back(line);
    }

    fn moment(&self) -> Moment {
        let std = self.start + Duration::from_millis(self.now);
        Moment { ms: Instant(self.now), std }
    }

    /// When that is, in ms of ours; a started one counts whole.
    fn ms_of(&self, at: time::Instant) -> u64 {
        let wait = at.saturating_duration_since(self.start).as_micros().div_ceil(1000);
        u64::try_from(wait).unwrap_or(NEVER)
    }

    /// Lets happen what happens next.
    fn step(&mut self) {
        let seats = self.seats.iter().map(|seat| seat.due);
        let replies = self.replies.iter().map(|reply| reply.0);
        let uploads = self.uploads.iter().map(|upload| upload.due);
        let next = seats
            .chain(replies)
            .chain(uploads)
            .chain(self.network.next())
            .chain(self.plan.acts.front().map(|act| act.0))
            .chain(self.phone.as_ref().map(|phone| phone.due))
            .chain(match self.asleep_until {
                0 => [self.page_due, self.dial_at],
                until => [until, NEVER],
            })
            .min()
            .unwrap_or(NEVER);
        assert_ne!(next, NEVER, "something is always due");
        self.now = next.max(self.now + 1);
        while let Some(flight) = self.network.arrive(self.now) {
            self.land(&flight);
        }
        self.time_at_box();
        self.time_at_phone();
        while self.plan.acts.front().is_some_and(|act| act.0 <= self.now) {
            let (_, act) = self.plan.acts.pop_front().expect("just seen");
            self.act(act);
        }
    }

    fn land(&mut self, flight: &Flight) {
        let Flight { to_box, link, bytes } = flight;
        let (phone, there) = (phone_at(*link), box_at(*link));
        let moment = self.moment();
        if *to_box {
            let seat = self.seats.iter_mut().position(|seat| seat.link == *link);
            if let Some(at) = seat {
                self.seats[at].session.handle_datagram(moment, phone, there, bytes);
                self.drain_seat(at);
            }
        } else if let Some(its) = self.phone.as_mut().filter(|its| its.link == *link && !self.torn)
        {
            let receive = Receive::new(Protocol::Udp, there, phone, bytes).expect("a datagram");
            let taken = its.rtc.handle_input(Input::Receive(moment.std, receive));
            if taken.is_err() {
                self.hang_up("the transport broke");
            }
            self.settle();
        }
    }

    /// Whoever reads a streamed body takes its time.
    fn read_uploads(&mut self) {
        while let Some(at) = self.uploads.iter().position(|upload| upload.due <= self.now) {
            let mut upload = self.uploads.swap_remove(at);
            let length = upload.work.head.length.expect("a streamed body has a length");
            let outlet = upload.work.inflow.clone().expect("it is streamed");
            let (mut buf, mut room) = (vec![0; 1 + self.dice.index(100_000)], None);
            let read = outlet.try_read(length, &mut buf, |bytes| room = Some(bytes));
            let seat = self.seats.iter().position(|seat| seat.link == upload.link);
            if let (Some(room), Some(at)) = (room, seat) {
                let ahead = room as usize - upload.body.len();
                assert!(ahead <= WINDOW_BYTES as usize, "{ahead} bytes of room");
                self.seats[at].session.handle_room(upload.work.ask, room);
                self.drain_seat(at);
            }
            upload.due = self.now + 1 + self.dice.below(100);
            match read {
                None => self.uploads.push(upload),
                Some(Ok(count)) if count > 0 => {
                    upload.body.extend_from_slice(&buf[..count]);
                    self.uploads.push(upload);
                }
                whole => {
                    let Upload { link, work, body, due } = upload;
                    let ask = work.ask;
                    let whole = whole.is_some_and(|read| read.is_ok());
                    let work = Work { body, inflow: None, ..work };
                    let response = if whole {
                        self.house.answer(&work)
                    } else {
                        Response::error(400, "malformed", "the bundle breaks off")
                    };
                    self.replies.push((due, link, Reply { ask, response, client: Some(1) }));
                }
            }
        }
    }

    fn time_at_box(&mut self) {
        self.read_uploads();
        while let Some(at) = self.replies.iter().position(|reply| reply.0 <= self.now) {
            let (_, link, reply) = self.replies.swap_remove(at);
            if let Some(at) = self.seats.iter().position(|seat| seat.link == link) {
                self.seats[at].session.handle_reply(reply);
                self.drain_seat(at);
            }
        }
        let moment = self.moment();
        for at in (0..self.seats.len()).rev() {
            if self.seats[at].due <= self.now {
                self.seats[at].session.handle_timeout(moment);
                self.drain_seat(at);
            }
        }
    }

    fn time_at_phone(&mut self) {
        let now = self.moment().std;
        let is_due = |phone: &&mut Phone| phone.due <= self.now && !self.torn;
        if let Some(phone) = self.phone.as_mut().filter(is_due)
            && phone.rtc.handle_input(Input::Timeout(now)).is_err()
        {
            self.hang_up("the transport broke");
        }
        if self.asleep_until > self.now {
            return self.settle();
        }
        if self.asleep_until > 0 {
            self.wake();
        }
        if self.page_due <= self.now {
            self.page.time(self.now);
            self.page_knows = true;
        }
        let late = |phone: &Phone| !phone.is_open && self.now >= phone.since + OPEN_WITHIN_MS;
        if self.phone.as_ref().is_some_and(late) {
            self.hang_up("no channel in time");
        }
        if self.dial_at <= self.now {
            self.dial();
        }
        self.settle();
    }

    /// What came while the page was frozen, and its timers, in either order.
    fn wake(&mut self) {
        self.note(|| "awake".to_owned());
        self.asleep_until = 0;
        if self.page_due <= self.now && self.dice.percent(50) {
            self.page.time(self.now);
            (self.page_due, self.page_knows) = (NEVER, true);
        }
        for heard in std::mem::take(&mut self.inbox) {
            match heard {
                None => self.page.open(self.now, self.plan.window),
                Some(bytes) => self.page.chunk(self.now, &bytes),
            }
            self.page_knows = true;
        }
        if std::mem::take(&mut self.torn) {
            self.hang_up("the link ended while the page was frozen");
        }
    }

    fn act(&mut self, act: Act) {
        self.note(|| format!("{act:?}").chars().take(120).collect());
        match act {
            Act::Ask(wish) => {
                self.waiting.push_back(wish);
                self.settle();
            }
            Act::Cancel if !self.open.is_empty() && self.asleep_until == 0 => {
                let at = self.dice.index(self.open.len());
                let id = *self.open.keys().nth(at).expect("below their number");
                self.open.remove(&id);
                self.tally.cancelled += 1;
                self.page.cancel(id);
                self.page_knows = true;
                self.settle();
            }
            Act::Cancel => {}
            Act::Outage(ms) => self.network.break_down(self.now, ms),
            Act::RestartBox(ms) => {
                self.seats.clear();
                self.replies.clear();
                self.box_up_at = self.now + ms;
            }
            Act::Reload { politely } => {
                if politely {
                    self.close_phone();
                }
                self.phone = None;
                self.inbox.clear();
                (self.asleep_until, self.torn) = (0, false);
                self.open.clear();
                self.page.reload();
                (self.page_due, self.page_knows) = (NEVER, false);
                self.dial_at = self.now + 300;
            }
            Act::Freeze(ms) => self.asleep_until = self.asleep_until.max(self.now + ms),
            Act::Change => self.house.version += 1,
            Act::Push => {
                self.next_push += 1;
                let json = format!(r#"{{"type":"deleted","id":"{}"}}"#, self.next_push);
                for at in (0..self.seats.len()).rev() {
                    self.seats[at].session.handle_push(&json);
                    self.drain_seat(at);
                }
            }
        }
    }

    // --- the box ---

    fn drain_seat(&mut self, at: usize) {
        loop {
            let moment = self.moment();
            let Seat { link, session, .. } = &mut self.seats[at];
            let link = *link;
            match session.poll_output(moment) {
                Output::Transmit(datagrams) => {
                    for bytes in datagrams.each().map(<[u8]>::to_vec) {
                        self.network.send(self.now, Flight { to_box: false, link, bytes });
                    }
                }
                Output::Work(work) if work.inflow.is_some() => {
                    let due = self.now + 1 + self.dice.below(100);
                    self.uploads.push(Upload { link, work: *work, body: Vec::new(), due });
                }
                Output::Work(work) => {
                    let response = self.house.answer(&work);
                    let slow = if self.dice.percent(10) { 4000 } else { 100 };
                    let reply = Reply { ask: work.ask, response, client: Some(1) };
                    self.replies.push((self.now + self.dice.below(slow), link, reply));
                }
                Output::Timeout(until) => {
                    self.seats[at].due = self.ms_of(until);
                    return;
                }
                Output::End => {
                    self.note(|| format!("session {link} ends"));
                    self.seats.remove(at);
                    return;
                }
            }
        }
    }

    // --- the phone ---

    fn dial(&mut self) {
        (self.dial_at, self.buffered) = (NEVER, 0);
        self.tally.links += 1;
        let link = u16::try_from(self.tally.links).expect("few");
        if self.network.is_down(self.now) || self.now < self.box_up_at {
            self.note(|| format!("link {link}: nobody answers"));
            self.dial_at = self.now + ANSWER_WITHIN_MS;
            return;
        }
        let moment = self.moment();
        let mut rtc = RtcConfig::new()
            .set_dtls_version(DtlsVersion::Auto)
            .set_sctp_max_buffered_amount(4 << 20)
            .build(moment.std);
        let host = Candidate::host(phone_at(link), Protocol::Udp).expect("a candidate");
        rtc.add_local_candidate(host);
        let mut change = rtc.sdp_api();
        let config = ChannelConfig { label: "nightjar".into(), ..ChannelConfig::default() };
        let channel = change.add_channel_with_config(config);
        let (sdp, pending): (SdpOffer, _) = change.apply().expect("an offer");
        let (connection, sdp) = (format!("c{link}"), sdp.to_sdp_string());
        let offer = Offer { connection, label: Label::Nightjar, sdp, restart: false };
        let (session, answer) = Session::answer(&offer, &[box_at(link)], self.identity, moment)
            .expect("an offer that can be answered");
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an SDP");
        rtc.sdp_api().accept_answer(pending, answer).expect("accepted");
        let _ = rtc.handle_input(Input::Timeout(moment.std));
        self.note(|| format!("link {link}: dialled"));
        self.seats.push(Seat { link, session, due: self.now });
        let (since, is_open, due) = (self.now, false, self.now);
        self.phone = Some(Phone { link, rtc, channel, since, is_open, due });
    }

    /// Page and transport tell one another what they know, until nothing new comes of it.
    fn settle(&mut self) {
        loop {
            self.drain_phone();
            if self.asleep_until > 0 {
                return;
            }
            let was_high = self.phone.is_some() && self.buffered >= LOW_BYTES;
            let low = was_high && self.waiting_bytes() < LOW_BYTES;
            if !std::mem::take(&mut self.page_knows) && !low && !self.ask() {
                return;
            }
            self.drain_page();
        }
    }

    fn drain_phone(&mut self) {
        while let Some(phone) = self.phone.as_mut().filter(|_| !self.torn) {
            let link = phone.link;
            match phone.rtc.poll_output() {
                Ok(str0m::Output::Transmit(datagram)) => {
                    let bytes = datagram.contents.to_vec();
                    self.network.send(self.now, Flight { to_box: true, link, bytes });
                }
                Ok(str0m::Output::Timeout(_)) if !phone.rtc.is_alive() => {
                    self.hang_up("the box ended the connection");
                }
                Ok(str0m::Output::Timeout(at)) => {
                    let due = self.ms_of(at);
                    self.phone.as_mut().expect("just seen").due = due;
                    return;
                }
                Ok(str0m::Output::Event(Event::ChannelOpen(..))) => {
                    phone.is_open = true;
                    self.note(|| format!("link {link}: open"));
                    self.hear(None);
                }
                Ok(str0m::Output::Event(Event::ChannelData(data))) => {
                    self.note(|| format!("  > {}", shown(&data.data)));
                    self.hear(Some(data.data));
                }
                Ok(str0m::Output::Event(Event::ChannelClose(_))) | Err(_) => {
                    self.hang_up("the box closed the channel");
                }
                Ok(str0m::Output::Event(_)) => {}
            }
        }
    }

    /// That the channel is open, or a message of it, at the page.
    fn hear(&mut self, heard: Option<Vec<u8>>) {
        self.page_knows = true;
        match heard {
            heard if self.asleep_until > 0 => {
                self.inbox.push(heard);
                let bulk = self.inbox.iter().flatten().filter_map(|bytes| Chunk::parse(bytes).ok());
                let bulk = bulk.filter(|chunk| chunk.kind == Kind::More);
                let bytes: usize = bulk.map(|chunk| chunk.piece.len()).sum();
                let most = (self.plan.window as usize).max(PIECE_BYTES);
                assert!(!self.plan.is_new() || bytes <= most, "{bytes} bytes of bulk wait");
            }
            None => self.page.open(self.now, self.plan.window),
            Some(bytes) => self.page.chunk(self.now, &bytes),
        }
    }

    fn waiting_bytes(&mut self) -> usize {
        let Some(phone) = self.phone.as_mut().filter(|phone| phone.is_open) else { return 0 };
        let channel = phone.channel;
        phone.rtc.channel(channel).map_or(0, |mut channel| channel.buffered_amount())
    }

    /// The page gives the link up, if it had one, and tries again after a while.
    fn hang_up(&mut self, why: &str) {
        if self.asleep_until > 0 {
            self.torn = true;
            self.phone.iter_mut().for_each(|phone| phone.due = NEVER);
            return;
        }
        self.note(|| format!("hung up: {why}"));
        let was_open = self.phone.as_ref().is_some_and(|phone| phone.is_open);
        self.close_phone();
        self.dial_at = self.now + 300 + self.dice.below(2000);
        self.page_due = NEVER;
        if was_open {
            self.page.die();
            self.page_knows = true;
        }
    }

    /// As `RTCPeerConnection.close()` does: a last word, if it gets through.
    fn close_phone(&mut self) {
        let Some(Phone { mut rtc, link, .. }) = self.phone.take() else { return };
        if rtc.close().is_err() {
            return;
        }
        while let Ok(str0m::Output::Transmit(datagram)) = rtc.poll_output() {
            let bytes = datagram.contents.to_vec();
            self.network.send(self.now, Flight { to_box: true, link, bytes });
        }
    }

    // --- the page ---

    /// Asks all that waits, where there is a link; whether there was anything.
    fn ask(&mut self) -> bool {
        if !self.phone.as_ref().is_some_and(|phone| phone.is_open) || self.waiting.is_empty() {
            return false;
        }
        while let Some(wish) = self.waiting.pop_front() {
            self.next_id += 1;
            self.tally.asked += 1;
            self.note(|| format!("ask {} {} {}", self.next_id, wish.method, wish.path));
            self.page.ask(self.now, self.next_id, wish.method, &wish.path, &wish.body);
            self.open.insert(self.next_id, wish);
        }
        true
    }

    fn drain_page(&mut self) {
        let waiting = self.waiting_bytes();
        let (said, until) = self.page.poll(self.now, waiting);
        self.page_due = until.map_or(NEVER, |at| at.max(self.now + 1));
        self.buffered = waiting;
        let mut dead = false;
        for said in said {
            match said {
                Said::Transmit(bytes) => self.say(&bytes),
                Said::Response { id, status, etag, length, sha1 } => {
                    self.note(|| format!("response {id} {status} {etag:?} {length} {sha1}"));
                    let wish = self.open.remove(&id).expect("a request is answered once");
                    self.check(&wish, status, etag.as_deref(), length, &sha1);
                    self.tally.right += 1;
                }
                Said::Failed { id, reason } => self.failed(id, &reason),
                Said::Push(json) => self.pushed(&json),
                Said::Dead => dead = true,
                Said::Other => {}
            }
        }
        if dead && self.phone.is_some() {
            self.note(|| "the page gave the link up".to_owned());
            self.close_phone();
            self.page_due = NEVER;
            self.dial_at = self.now + 300 + self.dice.below(2000);
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.buffered += bytes.len();
        self.note(|| format!("<   {}", shown(bytes)));
        let Some(bytes) = self.as_heard(bytes) else { return };
        let Some(phone) = &mut self.phone else { return };
        // Where the transport has just ended, a browser's `send` throws, and the link ends.
        let Some(mut channel) = phone.rtc.channel(phone.channel) else {
            return self.hang_up("the channel is gone");
        };
        assert!(channel.write(true, &bytes).expect("an open channel"), "room");
    }

    /// What is left of a chunk where one side does not know credit and rests.
    fn as_heard(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let chunk = Chunk::parse(bytes).expect("the page sends chunks");
        let is_rest =
            chunk.kind == Kind::Head && chunk.piece.windows(7).any(|it| it == b"\"from\":");
        self.tally.rests += u64::from(is_rest);
        if self.plan.is_new() {
            return Some(bytes.to_vec());
        }
        if chunk.kind == Kind::Credit {
            return None;
        }
        if !is_rest {
            return Some(bytes.to_vec());
        }
        let mut head: serde_json::Value = serde_json::from_slice(chunk.piece).expect("JSON");
        let members = head.as_object_mut().expect("an object");
        members.retain(|name, _| name != "from" && name != "if_range");
        let piece = head.to_string();
        let mut buf = [0; CHUNK_BYTES];
        let length = Chunk { piece: piece.as_bytes(), ..chunk }.emit(&mut buf).expect("room");
        Some(buf[..length].to_vec())
    }

    fn check(&mut self, wish: &Wish, status: u16, etag: Option<&str>, length: usize, sum: &str) {
        let Wish { method, path, body, .. } = wish;
        if *method == "PUT" {
            let streamed = path.starts_with("/api/v1/system/update");
            let fits = body.len() <= house::BODY_BYTES || streamed;
            assert_eq!(status, if fits { 200 } else { 413 }, "{path}");
            let put = self.house.put.get(path);
            let expected = fits.then(|| (1, sha1(body)));
            assert_eq!(put, expected.as_ref(), "{path}");
            assert!(!fits || sum == sha1(sha1(body).as_bytes()), "{path}: not its answer");
            return;
        }
        if house::kind(path) == "status" {
            assert_eq!((usize::from(status), length), (house::size(path), 0), "{path}");
            return;
        }
        assert_eq!(status, 200, "{path}");
        assert_eq!(etag.is_some(), house::kind(path) == "tagged", "{path}: {etag:?}");
        let wanted = self.house.sum(path, etag);
        assert_eq!(Some(sum), wanted, "{path} {etag:?}: {length} bytes that are not its body");
    }

    fn failed(&mut self, id: u32, reason: &str) {
        self.note(|| format!("failed {id} {reason}"));
        let mut wish = self.open.remove(&id).expect("a request fails once");
        assert_eq!(reason, "the link was lost", "{wish:?}");
        if wish.again > 0 {
            wish.again -= 1;
            self.waiting.push_back(wish);
        } else {
            self.tally.lost += 1;
        }
    }

    fn pushed(&mut self, json: &str) {
        self.note(|| format!("push {json}"));
        if json.contains("missed") {
            return;
        }
        let push: serde_json::Value = serde_json::from_str(json).expect("JSON");
        let id = push["id"].as_str().and_then(|id| id.parse::<u64>().ok()).expect("an id");
        assert!(id > self.last_push, "{id} was told after {}", self.last_push);
        self.last_push = id;
        self.tally.pushes += 1;
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told = self.told.borrow();
            eprintln!("{}", told.iter().map(String::as_str).collect::<Vec<_>>().join("\n"));
        }
    }
}

fn phone_at(link: u16) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, 2], 2000 + link))
}

fn box_at(link: u16) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, 1], 20_000 + link))
}

/// A chunk in a few words.
fn shown(bytes: &[u8]) -> String {
    let Ok(Chunk { ticket, kind, piece }) = Chunk::parse(bytes) else {
        return format!("{bytes:?}");
    };
    match kind {
        Kind::Head | Kind::Push => format!("{kind:?} {ticket} {}", String::from_utf8_lossy(piece)),
        _ => format!("{kind:?} {ticket} {} bytes", piece.len()),
    }
}
