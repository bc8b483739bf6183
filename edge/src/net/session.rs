//! The task of one session: its sockets, its timer, its inbox.

use super::places::{Places, Standing};
use super::{moment, together, workers};
use crate::clock::Clock;
use crate::peer::gather::{self, SERVERS};
use crate::peer::{Output, Reply, Session, offer};
use edge_core::link::Ask;
use edge_core::time::Instant;
use signal_proto::client::relay;
use signal_proto::message::Kind;
use signal_proto::peer_id::PeerId;
use signal_proto::stun::{self, Transaction};
use smol::channel::{Receiver, Sender, bounded};
use smol::future::FutureExt as _;
use smol::{Async, Timer};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// Notes that wait for a session. A push that does not fit is told as missed; a candidate
/// that does not fit is dropped; the workers wait.
const INBOX: usize = 64;
/// Datagrams read in one go before others get their turn.
const BURST: usize = 32;
/// Longest datagram read, bytes.
const DATAGRAM_BYTES: usize = 2048;

/// With the feature `faults`: what a phone asks for to have its session panic.
#[cfg(feature = "faults")]
const PANIC: &str = "/api/v1/test/panic?of=session";

/// What a session is told by the rest of the net thread and by the workers.
#[derive(Debug, Clone)]
pub(super) enum Note {
    /// A candidate of the phone's.
    Candidate(String),
    /// An offer for a new path: its number, if the phone counts, and its SDP.
    Restart(Option<u32>, String),
    /// STUN servers to ask, beside those of before.
    Servers(Vec<SocketAddr>),
    /// An answer of the API.
    Reply(Reply),
    /// The phone whose request's body is being read.
    Client(u64),
    /// So many bytes of a request's body may come in all.
    Room(Ask, u32),
    /// JSON for the phone.
    Push(Arc<str>),
    /// Something was not told.
    Missed,
    /// A phone was revoked.
    Revoked(u64),
    /// Look at the handle.
    Look,
}

/// What the net thread keeps of a session.
#[derive(Debug)]
pub(super) struct Handle {
    inbox: Sender<Note>,
    since: Instant,
    legacy: bool,
    last_heard: Cell<Instant>,
    client: Cell<Option<u64>>,
    missed: Cell<bool>,
    ending: Cell<bool>,
}

impl Handle {
    /// Of an offer that came `now`; `legacy` if its label alone lets it in.
    pub(super) fn new(now: Instant, legacy: bool) -> (Rc<Self>, Receiver<Note>) {
        let (inbox, notes) = bounded(INBOX);
        let handle = Self {
            inbox,
            since: now,
            legacy,
            last_heard: Cell::new(now),
            client: Cell::new(None),
            missed: Cell::new(false),
            ending: Cell::new(false),
        };
        (Rc::new(handle), notes)
    }

    /// Tells the session; never waits.
    pub(super) fn tell(&self, note: Note) {
        let important = matches!(note, Note::Revoked(_));
        let told = matches!(note, Note::Push(_) | Note::Missed);
        if self.inbox.try_send(note).is_err() {
            // A revocation that does not fit must not be lost: then this session ends too.
            self.ending.set(self.ending.get() || important);
            self.missed.set(self.missed.get() || told);
        }
    }

    /// Has the session say goodbye and end.
    pub(super) fn end(&self) {
        self.ending.set(true);
        // Where the inbox is full, the session is awake anyway.
        let _ = self.inbox.try_send(Note::Look);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    pub(super) fn last_heard(&self) -> Instant {
        self.last_heard.get()
    }

    pub(super) fn hear(&self, at: Instant) {
        self.last_heard.set(at);
    }

    /// When its offer came.
    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn client(&self) -> Option<u64> {
        self.client.get()
    }

    pub(super) fn set_client(&self, client: u64) {
        self.client.set(Some(client));
    }

    pub(super) fn standing(&self) -> Standing {
        match self.client() {
            Some(_) => Standing::Client,
            None if self.legacy => Standing::Legacy,
            None => Standing::Stranger,
        }
    }

    pub(super) fn sender(&self) -> Sender<Note> {
        self.inbox.clone()
    }
}

/// A UDP socket on one of our addresses.
#[derive(Debug)]
pub(super) struct Socket {
    io: Async<UdpSocket>,
    /// Address and port.
    pub(super) local: SocketAddr,
}

/// Opens a socket on a free port of that address.
pub(super) fn bind(ip: IpAddr) -> io::Result<Socket> {
    let io = Async::<UdpSocket>::bind((ip, 0))?;
    let local = io.get_ref().local_addr()?;
    Ok(Socket { io, local })
}

/// Everything one session runs with.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) session: Session,
    pub(super) sockets: Vec<Socket>,
    pub(super) handle: Rc<Handle>,
    pub(super) inbox: Receiver<Note>,
    pub(super) places: Rc<Places>,
    pub(super) clock: Clock,
    pub(super) pool: Sender<workers::Job>,
    pub(super) outbox: Sender<String>,
    pub(super) peer: PeerId,
    pub(super) connection: String,
    /// Of this session's STUN requests.
    pub(super) transaction: Transaction,
}

/// A STUN server that is being asked.
struct Asked {
    server: SocketAddr,
    since: Instant,
    times: u64,
}

enum Wake {
    Readable(usize),
    Note(Note),
    Time,
}

impl Task {
    /// Runs until the session is over.
    pub(super) async fn run(mut self) {
        let mut servers = Vec::new();
        let mut turn = 0;
        let mut alarm = Alarm::new();
        while let Some(mut until) = self.drain() {
            self.handle.hear(self.session.last_heard());
            match self.session.client() {
                Some(client) if self.handle.client() != Some(client) => {
                    self.places.prove(&self.handle, client);
                }
                _ => {}
            }
            if let Some(at) = self.ask_servers(&mut servers) {
                until = until.min(self.clock.std_instant(at));
            }
            match wait(&self.sockets, &self.inbox, turn, alarm.set(until)).await {
                Wake::Readable(at) => {
                    turn = at + 1;
                    self.read(at, &servers);
                    smol::future::yield_now().await;
                }
                Wake::Note(Note::Servers(found)) => self.add_servers(&found, &mut servers),
                Wake::Note(Note::Restart(number, sdp)) => {
                    self.restart(number, &sdp, &mut servers);
                }
                Wake::Note(note) => self.take(note),
                Wake::Time => alarm = Alarm::new(),
            }
            // What arrives without a pause must not hold up what is due.
            if self.clock.std_now() >= until {
                self.session.handle_timeout(moment(self.clock));
            }
            if self.handle.missed.take() {
                self.session.handle_missed();
            }
            if self.handle.ending.get() {
                self.session.close();
            }
        }
    }

    /// Does what the session wants done; when it wants to be woken, `None` once it is over.
    fn drain(&mut self) -> Option<std::time::Instant> {
        loop {
            match self.session.poll_output(moment(self.clock)) {
                Output::Transmit(datagrams) => {
                    let socket = self.sockets.iter().find(|s| s.local == datagrams.source);
                    if let Some(socket) = socket {
                        together::send(socket.io.get_ref(), &datagrams);
                    }
                }
                Output::Work(work) => {
                    #[cfg(feature = "faults")]
                    assert_ne!(work.head.path, PANIC, "asked to");
                    if let Err(reply) = workers::submit(&self.pool, &self.handle, *work) {
                        self.session.handle_reply(reply);
                    }
                }
                Output::Timeout(at) => return Some(at),
                Output::End => return None,
            }
        }
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Candidate(line) => self.session.handle_candidate(&line),
            Note::Reply(reply) => self.session.handle_reply(reply),
            Note::Client(client) => self.session.handle_client(client),
            Note::Room(ask, bytes) => self.session.handle_room(ask, bytes),
            Note::Push(json) => self.session.handle_push(&json),
            Note::Missed => self.session.handle_missed(),
            Note::Revoked(client) => self.session.handle_revoked(client),
            Note::Servers(_) | Note::Restart(..) | Note::Look => {}
        }
    }

    /// The phone looks for a new path: over the addresses that we have now.
    fn restart(&mut self, number: Option<u32>, sdp: &str, servers: &mut [Asked]) {
        let ips = gather::local();
        self.sockets.retain(|socket| ips.contains(&socket.local.ip()));
        for ip in ips {
            if self.sockets.iter().all(|socket| socket.local.ip() != ip) {
                self.sockets.extend(bind(ip));
            }
        }
        let locals: Vec<SocketAddr> = self.sockets.iter().map(|socket| socket.local).collect();
        if let Some(sdp) = self.session.restart(sdp, &locals, moment(self.clock)) {
            let payload = offer::answer_to(number, &self.connection, &sdp);
            let _ = self.outbox.try_send(relay(Kind::Answer, &self.peer, &payload));
        }
        let since = self.clock.now();
        for asked in servers {
            (asked.since, asked.times) = (since, 0);
        }
    }

    /// Reads what has arrived at that socket, up to a burst.
    fn read(&mut self, at: usize, servers: &[Asked]) {
        let mut buf = [0; DATAGRAM_BYTES];
        for _ in 0..BURST {
            let Some(Socket { io, local }) = self.sockets.get(at) else { break };
            // An error of a datagram sent before (ICMP) is reported here; it says nothing new.
            let Ok((length, source)) = io.get_ref().recv_from(&mut buf) else { break };
            let (local, bytes) = (*local, &buf[..length]);
            let asked = servers.iter().any(|asked| asked.server == source);
            let mapped = if asked { stun::parse_answer(bytes, self.transaction) } else { None };
            if let Some(mapped) = mapped {
                self.trickle(mapped, local);
            } else if self.session.keep_datagram(source, local, bytes) {
                continue;
            } else {
                self.session.handle_datagram(moment(self.clock), source, local, bytes);
            }
            if self.drain().is_none() {
                return;
            }
        }
        self.session.handle_kept(moment(self.clock));
    }

    fn trickle(&mut self, mapped: SocketAddr, base: SocketAddr) {
        if let Some(line) = self.session.handle_mapped(mapped, base) {
            let payload = offer::trickle(&self.connection, self.session.mid(), &line);
            let _ = self.outbox.try_send(relay(Kind::Candidate, &self.peer, &payload));
        }
    }

    fn add_servers(&self, found: &[SocketAddr], servers: &mut Vec<Asked>) {
        let since = self.clock.now();
        for server in found {
            let known = servers.iter().any(|asked| asked.server == *server);
            if !known && servers.len() < SERVERS {
                servers.push(Asked { server: *server, since, times: 0 });
            }
        }
    }

    /// Asks the STUN servers whose time it is; when it is time again.
    fn ask_servers(&self, servers: &mut [Asked]) -> Option<Instant> {
        let now = self.clock.now();
        let request = stun::request(self.transaction);
        let mut next = None;
        for Asked { server, since, times } in servers {
            let due = |times| since.plus_ms(gather::ask_at_ms(times));
            if now >= due(*times) {
                let ours = |socket: &&Socket| socket.local.is_ipv4() == server.is_ipv4();
                for socket in self.sockets.iter().filter(ours) {
                    let _ = socket.io.get_ref().send_to(&request, *server);
                }
            }
            // What was slept through is not made up for.
            while now >= due(*times) {
                *times += 1;
            }
            next = Some(next.map_or(due(*times), |next: Instant| next.min(due(*times))));
        }
        next
    }
}

/// A timer that is left as it is while it goes off early enough: to set it wakes another thread.
struct Alarm {
    timer: Timer,
    at: Option<std::time::Instant>,
}

impl Alarm {
    fn new() -> Self {
        Self { timer: Timer::never(), at: None }
    }

    /// Goes off then, or earlier.
    fn set(&mut self, until: std::time::Instant) -> &mut Timer {
        if self.at.is_none_or(|at| until < at) {
            self.at = Some(until);
            self.timer.set_at(until);
        }
        &mut self.timer
    }
}

async fn wait(sockets: &[Socket], inbox: &Receiver<Note>, turn: usize, alarm: &mut Timer) -> Wake {
    let note = async {
        match inbox.recv().await {
            Ok(note) => Wake::Note(note),
            Err(_) => std::future::pending().await,
        }
    };
    let readable = poll_fn(|context| {
        let count = sockets.len();
        for at in (0..count).map(|step| (turn + step) % count) {
            if sockets[at].io.poll_readable(context).is_ready() {
                return Poll::Ready(Wake::Readable(at));
            }
        }
        Poll::Pending
    });
    let time = async {
        alarm.await;
        Wake::Time
    };
    note.or(readable).or(time).await
}

#[cfg(test)]
mod tests;
