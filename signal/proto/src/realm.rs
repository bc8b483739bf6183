//! The server's side of signaling, without I/O: who is connected, who gets what, and when
//! patience ends.
//!
//! ```text
//!            id is free, or same token (the old socket closes with 4000)
//!  connect ------------------------------------------------> Registered --close, silence--> gone
//!     |   id is taken: its holder is pinged                      ^
//!     +--> Waiting --holder silent for 2.5 s, or gone------------+
//!             +-----holder lives--> ID-TAKEN, gone
//! ```
//! One mutation (`connect`, `handle_*`), then [`Realm::poll_output`] until it gives nothing;
//! [`Realm::timeout_ms`] says when [`Realm::handle_timeout`] is due. Times are milliseconds of
//! any clock that only goes forward. A message for a peer that is here is handed back at once,
//! still borrowed from what came in: to relay costs the realm no memory.

use crate::absent::{Absent, Kept};
use crate::bucket::{Bucket, Flow};
use crate::message::{Kind, Message};
use crate::network::{Network, Site};
use crate::peer_id::{PeerId, Token};
use crate::room::{About, Member, RoomId, Rooms, Secrets};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

/// How long the holder of a contested id has to show that it lives.
pub const CONTEST_MS: u64 = 2500;

/// Close code: the same peer connected anew, or its id went to one that lives.
pub const REPLACED: u16 = 4000;

/// Most rooms that one client is in: one for each of its networks.
pub const ROOMS_MAX: usize = 2;

/// Limits and habits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// A client that sent no frame for so long is closed.
    pub alive_ms: u64,
    /// A message for an absent peer waits so long.
    pub expire_ms: u64,
    /// EXPIRE goes to every client, not only to those who named their version.
    pub strict_expire: bool,
    /// Most clients at once.
    pub max_clients: usize,
    /// Most clients at once of one IPv4 address or IPv6 /64.
    pub max_per_address: usize,
    /// Messages a second that a client may send for long; four times as many at once.
    pub message_rate: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            alive_ms: 60_000,
            expire_ms: 5_000,
            strict_expire: false,
            max_clients: 5_000,
            max_per_address: 64,
            message_rate: 50,
        }
    }
}

/// A connection, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conn(u64);

/// Somebody who wants in.
#[derive(Debug, Clone)]
pub struct Knock {
    /// Who it says it is.
    pub id: PeerId,
    /// What shows that it is the same as before.
    pub token: Token,
    /// It named its `PeerJS` version, and so understands EXPIRE (protocols of 1.4.7 and later).
    pub has_version: bool,
    /// With whom it shares limits.
    pub site: Site,
    /// With whom it shares a room.
    pub network: Network,
}

/// Why somebody does not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Id, token or key is missing, or is none.
    Missing,
    /// The id has not the form of one.
    BadId,
    /// The token has not the form of one.
    BadToken,
    /// The key is another server's.
    BadKey,
    /// [`Config::max_clients`] are here.
    Full,
    /// [`Config::max_per_address`] are here from there.
    FullAddress,
    /// Somebody lives under this id.
    Taken,
}

impl Refusal {
    /// The message that says so; after it the connection closes.
    pub fn to_text(self) -> String {
        let (kind, payload) = match self {
            Self::Missing => (Kind::Error, "No id, token, or key supplied to websocket server"),
            Self::BadId => (Kind::Error, "Invalid id provided"),
            Self::BadToken => (Kind::Error, "Invalid token provided"),
            Self::BadKey => (Kind::Error, "Invalid key provided"),
            Self::Full => (Kind::Error, "Server has reached its concurrent user limit"),
            Self::FullAddress => (Kind::Error, "Too many connections from this address"),
            Self::Taken => (Kind::IdTaken, "ID is taken"),
        };
        let payload = alloc::format!("{{\"msg\":\"{payload}\"}}");
        Message { payload: Some(&payload), ..Message::bare(kind) }.to_text()
    }
}

/// What is to be done on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this text message.
    Send(Conn, String),
    /// Send a ping frame.
    Ping(Conn),
    /// Send what waits, then a close frame with this code; the realm has forgotten the
    /// connection.
    Close(Conn, u16),
}

/// A message to be sent to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay<'a> {
    /// Whose connection it is for.
    pub to: Conn,
    /// The message, its payload as it came.
    pub message: Message<'a>,
}

/// What has happened so often since the realm began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Messages on their way to a peer, at once or when it came.
    pub relayed: u64,
    /// Messages that waited for an absent peer.
    pub kept: u64,
    /// Messages for an absent peer that found no room.
    pub crowded_out: u64,
    /// Absent peers given up: nothing waits for them any more.
    pub expired: u64,
    /// Newcomers whose id somebody else holds.
    pub taken: u64,
    /// Clients closed for sending too much.
    pub too_fast: u64,
    /// Clients closed for their silence.
    pub silent: u64,
    /// Clients closed in favour of a new connection to their id.
    pub replaced: u64,
}

impl Counts {
    const NONE: Self = Self {
        relayed: 0,
        kept: 0,
        crowded_out: 0,
        expired: 0,
        taken: 0,
        too_fast: 0,
        silent: 0,
        replaced: 0,
    };
}

/// Why a request about rooms is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Nobody is connected under this id.
    Unknown,
    /// The token is not the one it connected with.
    BadToken,
    /// The room is not the caller's.
    Foreign,
}

#[derive(Debug)]
struct Client {
    id: PeerId,
    token: Token,
    has_version: bool,
    site: Site,
    network: Network,
    heard_ms: u64,
    /// When its timer rings; it may have been heard since that was set.
    timer_ms: u64,
    bucket: Bucket,
    rooms: Vec<Network>,
}

/// Who sits under an id, and who claims it.
#[derive(Debug, Clone, Copy)]
struct Seat {
    holder: Conn,
    challenger: Option<Conn>,
    /// When the challenge ends: a challenger that connects anew does not prolong it.
    until_ms: u64,
}

/// Messages that may be sent at once, in seconds of the rate.
const BURST_S: u64 = 4;

/// How many messages of one client, as `rate` a second: in thousandths of one.
const fn flow(rate: u32) -> Flow {
    Flow { token: 1000, each_ms: rate as u64, most: rate as u64 * 1000 * BURST_S }
}

/// What patience is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A sign of life of this client.
    Alive(Conn),
    /// A sign of life of the holder that this challenger waits for.
    Contest(Conn),
    /// Somebody to fetch the messages for this peer.
    Absent(Box<PeerId>),
}

/// Everybody who is connected.
#[derive(Debug)]
pub struct Realm {
    config: Config,
    secrets: Secrets,
    /// Boxed: half the places of a tree that grows at its end stay empty.
    clients: BTreeMap<Conn, Box<Client>>,
    seats: BTreeMap<PeerId, Seat>,
    sites: BTreeMap<Site, usize>,
    absent: Absent,
    rooms: Rooms,
    timers: BTreeSet<(u64, Timer)>,
    outputs: VecDeque<Output>,
    counts: Counts,
    next: u64,
}

impl Realm {
    /// Nobody yet.
    pub const fn new(config: Config, secrets: Secrets) -> Self {
        Self {
            config,
            secrets,
            clients: BTreeMap::new(),
            seats: BTreeMap::new(),
            sites: BTreeMap::new(),
            absent: Absent::new(),
            rooms: Rooms::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            counts: Counts::NONE,
            next: 0,
        }
    }

    /// Lets somebody in, or wait for a contested id; OPEN is sent when it is registered.
    pub fn connect(&mut self, now_ms: u64, knock: Knock) -> Result<Conn, Refusal> {
        let seat = self.seats.get(&knock.id).copied();
        let same = |conn: Option<Conn>| {
            conn.filter(|conn| self.clients.get(conn).is_some_and(|c| c.token == knock.token))
        };
        let holder = same(seat.map(|seat| seat.holder));
        let challenger = same(seat.and_then(|seat| seat.challenger));
        let replaced = holder.or(challenger);
        if seat.is_some_and(|seat| seat.challenger.is_some()) && replaced.is_none() {
            self.counts.taken += 1;
            return Err(Refusal::Taken);
        }
        let freed = replaced.and_then(|conn| self.clients.get(&conn)).map(|client| client.site);
        self.check_limits(knock.site, freed)?;

        let conn = Conn(self.next);
        self.next += 1;
        let rooms = replaced.map_or_else(Vec::new, |old| self.replace(old, knock.network));
        let timer_ms = now_ms.saturating_add(self.config.alive_ms);
        self.timers.insert((timer_ms, Timer::Alive(conn)));
        *self.sites.entry(knock.site).or_default() += 1;
        let id = knock.id.clone();
        let client = Client {
            id: knock.id,
            token: knock.token,
            has_version: knock.has_version,
            site: knock.site,
            network: knock.network,
            heard_ms: now_ms,
            timer_ms,
            bucket: Bucket::full(now_ms, flow(self.config.message_rate)),
            rooms,
        };
        self.clients.insert(conn, Box::new(client));
        match seat {
            Some(seat) if holder.is_none() => {
                let mut until_ms = seat.until_ms;
                if until_ms <= now_ms {
                    until_ms = now_ms + CONTEST_MS;
                    self.outputs.push_back(Output::Ping(seat.holder));
                }
                self.seats.insert(id, Seat { challenger: Some(conn), until_ms, ..seat });
                self.timers.insert((until_ms, Timer::Contest(conn)));
            }
            Some(Seat { challenger: Some(stranger), .. }) => {
                self.refuse(stranger);
                self.register(conn, id);
            }
            _ => self.register(conn, id),
        }
        Ok(conn)
    }

    /// Takes note of any frame from `conn`; false where it sends too many and is closed.
    pub fn handle_frame(&mut self, now_ms: u64, conn: Conn) -> bool {
        let Some(client) = self.clients.get_mut(&conn) else { return false };
        client.heard_ms = now_ms;
        if !client.bucket.take(now_ms, flow(self.config.message_rate)) {
            self.counts.too_fast += 1;
            self.close(conn, 1008);
            return false;
        }
        let seat = self.seats.get_mut(&client.id).filter(|seat| seat.holder == conn);
        let challenger = seat.and_then(|seat| {
            seat.until_ms = 0;
            seat.challenger.take()
        });
        if let Some(challenger) = challenger {
            self.refuse(challenger);
        }
        true
    }

    /// Handles a text message of `conn`, which [`Self::handle_frame`] has passed: what is to be
    /// sent on, if its peer is here. What is no message, or none for us, is ignored.
    #[must_use = "a message for a peer that is here is nowhere else"]
    pub fn handle_message<'a>(
        &mut self,
        now_ms: u64,
        conn: Conn,
        text: &'a str,
    ) -> Option<Relay<'a>> {
        let client = self.clients.get(&conn)?;
        let mut message = Message::parse(text).ok()?;
        if self.holder(&client.id) != Some(conn) || !message.kind.is_relayed() {
            return None;
        }
        let Some(dst) = &message.dst else {
            if message.kind == Kind::Leave {
                self.close(conn, 1000);
            }
            return None;
        };
        let holder = self.holder(dst);
        message.src = Some(client.id.clone());
        match holder {
            Some(to) => {
                self.counts.relayed += 1;
                return Some(Relay { to, message });
            }
            None if message.kind != Kind::Leave => self.keep(now_ms, &message),
            None => {}
        }
        None
    }

    /// The connection has ended.
    pub fn handle_close(&mut self, conn: Conn) {
        self.forget(conn);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        while let Some((due, timer)) = self.timers.first().cloned() {
            if due > now_ms {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Alive(conn) => self.check_alive(now_ms, conn),
                Timer::Contest(conn) => self.end_contest(conn),
                Timer::Absent(dst) => {
                    for src in self.absent.expire(now_ms, &dst) {
                        self.tell_expired(&src, &dst);
                    }
                    match self.absent.due_ms(&dst) {
                        Some(due) => {
                            self.timers.insert((due, Timer::Absent(dst)));
                        }
                        None => self.counts.expired += 1,
                    }
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn timeout_ms(&self) -> Option<u64> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Closes every connection with `code`.
    pub fn close_all(&mut self, code: u16) {
        while let Some((conn, _)) = self.clients.first_key_value() {
            self.close(*conn, code);
        }
    }

    /// The secrets behind the room ids.
    pub const fn secrets(&mut self) -> &mut Secrets {
        &mut self.secrets
    }

    /// What has happened so often.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many rooms have members.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// How many bytes wait for absent peers, bookkeeping included.
    pub const fn absent_bytes(&self) -> usize {
        self.absent.bytes()
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Whether `id` is connected with `token`.
    pub fn authenticate(&self, id: &PeerId, token: &Token) -> Result<Conn, Denied> {
        let conn = self.holder(id).ok_or(Denied::Unknown)?;
        let client = self.clients.get(&conn).ok_or(Denied::Unknown)?;
        if client.token == *token { Ok(conn) } else { Err(Denied::BadToken) }
    }

    /// The id of the room of a request that came from `network`.
    pub fn room_id(&self, network: &Network) -> RoomId {
        self.secrets.room_id(network)
    }

    /// Adds a connected peer to its room; the members with it, unless the room was full.
    pub fn join(
        &mut self,
        conn: Conn,
        room: &RoomId,
        requested_from: Network,
        about: Option<About>,
    ) -> Result<&[Member], Denied> {
        let network = self.own_network(conn, room, requested_from)?;
        let Some(client) = self.clients.get_mut(&conn) else { return Err(Denied::Unknown) };
        if self.rooms.join(network, &client.id, about) && !client.rooms.contains(&network) {
            if client.rooms.len() == ROOMS_MAX {
                let oldest = client.rooms.remove(0);
                self.rooms.leave(&oldest, &client.id);
            }
            client.rooms.push(network);
        }
        Ok(self.rooms.members(&network))
    }

    /// Who is in the caller's room.
    pub fn members(
        &self,
        conn: Conn,
        room: &RoomId,
        requested_from: Network,
    ) -> Result<&[Member], Denied> {
        let network = self.own_network(conn, room, requested_from)?;
        Ok(self.rooms.members(&network))
    }

    /// Takes the caller out of its room; whether it was in.
    pub fn leave(
        &mut self,
        conn: Conn,
        room: &RoomId,
        requested_from: Network,
    ) -> Result<bool, Denied> {
        let network = self.own_network(conn, room, requested_from)?;
        let Some(client) = self.clients.get_mut(&conn) else { return Err(Denied::Unknown) };
        client.rooms.retain(|joined| *joined != network);
        Ok(self.rooms.leave(&network, &client.id))
    }

    /// The network that `room` names, if it is the caller's: that of its request or that of
    /// its socket, for a client may come by IPv4 on one and by IPv6 on the other.
    fn own_network(
        &self,
        conn: Conn,
        room: &RoomId,
        requested_from: Network,
    ) -> Result<Network, Denied> {
        let client = self.clients.get(&conn).ok_or(Denied::Unknown)?;
        [requested_from, client.network]
            .into_iter()
            .find(|network| self.secrets.names(room, network))
            .ok_or(Denied::Foreign)
    }

    fn holder(&self, id: &PeerId) -> Option<Conn> {
        self.seats.get(id).map(|seat| seat.holder)
    }

    /// Whether one more may come from `site`, when one of `freed` goes in return.
    fn check_limits(&self, site: Site, freed: Option<Site>) -> Result<(), Refusal> {
        let gone = usize::from(freed.is_some());
        let gone_here = usize::from(freed == Some(site));
        let here = self.sites.get(&site).copied().unwrap_or(0);
        if self.clients.len() - gone >= self.config.max_clients {
            return Err(Refusal::Full);
        }
        if here - gone_here >= self.config.max_per_address {
            return Err(Refusal::FullAddress);
        }
        Ok(())
    }

    /// Closes the older connection of the same peer, which stays in the room of the network
    /// that it still comes from.
    fn replace(&mut self, old: Conn, network: Network) -> Vec<Network> {
        let mut kept = Vec::new();
        if let Some(client) = self.clients.get_mut(&old) {
            kept.extend(client.rooms.extract_if(.., |joined| *joined == network));
        }
        self.counts.replaced += 1;
        self.outputs.push_back(Output::Close(old, REPLACED));
        self.drop_client(old);
        kept
    }

    /// `conn` holds `id` from now on.
    fn register(&mut self, conn: Conn, id: PeerId) {
        self.outputs.push_back(Output::Send(conn, Message::bare(Kind::Open).to_text()));
        if let Some(due) = self.absent.due_ms(&id) {
            self.timers.remove(&(due, Timer::Absent(Box::new(id.clone()))));
        }
        for text in self.absent.take(&id) {
            self.counts.relayed += 1;
            self.outputs.push_back(Output::Send(conn, text));
        }
        self.seats.insert(id, Seat { holder: conn, challenger: None, until_ms: 0 });
    }

    /// Keeps a message for a peer that is not here yet.
    fn keep(&mut self, now_ms: u64, message: &Message<'_>) {
        let (Some(src), Some(dst)) = (&message.src, &message.dst) else { return };
        let due = now_ms.saturating_add(self.config.expire_ms);
        let kept = self.absent.keep(src, dst, message.to_text(), due);
        match kept {
            Kept::First | Kept::Behind => self.counts.kept += 1,
            Kept::Refused | Kept::RefusedAgain => self.counts.crowded_out += 1,
        }
        match kept {
            Kept::First => {
                self.timers.insert((due, Timer::Absent(Box::new(dst.clone()))));
            }
            Kept::Refused => self.tell_expired(src, dst),
            Kept::Behind | Kept::RefusedAgain => {}
        }
    }

    /// Tells `src` that `dst` is not to be had, if it understands that.
    fn tell_expired(&mut self, src: &PeerId, dst: &PeerId) {
        let Some(conn) = self.holder(src) else { return };
        let understands = self.clients.get(&conn).is_some_and(|client| client.has_version);
        if understands || self.config.strict_expire {
            let (src, dst) = (Some(dst.clone()), Some(src.clone()));
            let text = Message { src, dst, ..Message::bare(Kind::Expire) }.to_text();
            self.outputs.push_back(Output::Send(conn, text));
        }
    }

    fn check_alive(&mut self, now_ms: u64, conn: Conn) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let due = client.heard_ms.saturating_add(self.config.alive_ms);
        if due > now_ms {
            client.timer_ms = due;
            self.timers.insert((due, Timer::Alive(conn)));
        } else {
            self.counts.silent += 1;
            self.close(conn, 1001);
        }
    }

    /// The holder has been silent: its id goes to the challenger, if that still waits.
    fn end_contest(&mut self, challenger: Conn) {
        let Some(client) = self.clients.get(&challenger) else { return };
        let seat = self.seats.get(&client.id).copied();
        if let Some(seat) = seat.filter(|seat| seat.challenger == Some(challenger)) {
            self.counts.replaced += 1;
            self.close(seat.holder, REPLACED);
        }
    }

    fn refuse(&mut self, challenger: Conn) {
        self.counts.taken += 1;
        self.outputs.push_back(Output::Send(challenger, Refusal::Taken.to_text()));
        self.outputs.push_back(Output::Close(challenger, 1008));
        self.drop_client(challenger);
    }

    fn close(&mut self, conn: Conn, code: u16) {
        self.outputs.push_back(Output::Close(conn, code));
        self.forget(conn);
    }

    /// Takes `conn` out of everything; a challenger takes the seat it leaves.
    fn forget(&mut self, conn: Conn) {
        let Some(client) = self.drop_client(conn) else { return };
        let Some(seat) = self.seats.get_mut(&client.id) else { return };
        if seat.challenger == Some(conn) {
            seat.challenger = None;
        } else if seat.holder == conn {
            match seat.challenger {
                Some(challenger) => self.register(challenger, client.id),
                None => {
                    self.seats.remove(&client.id);
                }
            }
        }
    }

    /// Takes `conn` out of the clients, the rooms and the counts, but not off its seat.
    fn drop_client(&mut self, conn: Conn) -> Option<Box<Client>> {
        let client = self.clients.remove(&conn)?;
        self.timers.remove(&(client.timer_ms, Timer::Alive(conn)));
        for network in &client.rooms {
            self.rooms.leave(network, &client.id);
        }
        if let Some(count) = self.sites.get_mut(&client.site) {
            *count -= 1;
            if *count == 0 {
                self.sites.remove(&client.site);
            }
        }
        Some(client)
    }
}

#[cfg(test)]
mod tests;
