//! The meeting place under eight sockets that say and do anything: what must hold whatever the
//! order, checked from the outside after each step.

use super::{DRAIN, messages};
use signal_proto::json;
use signal_proto::message::{Kind, Message};
use signal_proto::network::{Network, Site};
use signal_proto::peer_id::{PeerId, Token};
use signal_proto::realm::{Config, Conn, Knock, Output, Realm, Refusal};
use signal_proto::room::{About, MEMBERS_MAX, Secrets};
use signal_proto::{absent, websocket};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Sockets, two for each of the ids a to d: they take over from one another, or contend.
const SOCKETS: usize = 8;
/// Most of them at once.
const PER_ADDRESS: usize = 6;

/// A realm and what is known of it outside.
struct World {
    realm: Realm,
    now: u64,
    sockets: [Option<Conn>; SOCKETS],
    /// Whoever is connected, under which id.
    live: BTreeMap<Conn, PeerId>,
    /// Who has heard OPEN.
    open: BTreeSet<Conn>,
    /// The last that was closed or has gone.
    gone: Option<Conn>,
}

/// The first byte of a message picks the socket, the second what it does: a socket that is not
/// connected connects; 0 ends it, 5 to 7 are about its room (modulo 8), all else is said.
pub fn realm(bytes: &[u8]) {
    let config = Config { max_per_address: PER_ADDRESS, ..Config::default() };
    let mut world = World {
        realm: Realm::new(config, Secrets::fixed(b"secret")),
        now: 0,
        sockets: [None; SOCKETS],
        live: BTreeMap::new(),
        open: BTreeSet::new(),
        gone: None,
    };
    for message in messages(bytes) {
        let Some((&[who, what], text)) = message.split_first_chunk::<2>() else { continue };
        world.now += u64::from(what) * 20;
        world.realm.handle_timeout(world.now);
        world.drain(None);
        world.step(usize::from(who) % SOCKETS, what, text);
        world.check();
    }
    world.end();
}

impl World {
    fn step(&mut self, socket: usize, what: u8, text: &[u8]) {
        let Some(conn) = self.sockets[socket].filter(|conn| self.live.contains_key(conn)) else {
            let knock = knock(socket, what);
            let id = knock.id.clone();
            self.sockets[socket] = self.realm.connect(self.now, knock).ok();
            if let Some(conn) = self.sockets[socket] {
                assert!(self.live.insert(conn, id).is_none(), "no connection is used twice");
            }
            return self.drain(None);
        };
        match what % 8 {
            0 => {
                self.live.remove(&conn);
                self.gone = Some(conn);
                self.realm.handle_close(conn);
                self.drain(None);
            }
            5..=7 => self.visit_room(conn, what, text),
            _ => {
                let text = std::str::from_utf8(text).unwrap_or_default();
                if self.realm.handle_frame(self.now, conn) {
                    self.realm.handle_message(self.now, conn, text);
                }
                self.drain(Some(conn));
                self.haunt(text);
            }
        }
    }

    /// Who has been closed or replaced says the same, to no effect.
    fn haunt(&mut self, text: &str) {
        let Some(ghost) = self.gone else { return };
        assert!(!self.realm.handle_frame(self.now, ghost), "its frames count for nothing");
        self.realm.handle_message(self.now, ghost, text);
        self.realm.handle_close(ghost);
        assert_eq!(self.realm.poll_output(), None, "and cause nothing");
    }

    /// Does what the realm wants done, as one does for sockets.
    fn drain(&mut self, speaker: Option<Conn>) {
        let mut welcomed = BTreeMap::new();
        for _ in 0..DRAIN {
            match self.realm.poll_output() {
                None => return,
                Some(Output::Ping(to)) => assert!(self.live.contains_key(&to)),
                Some(Output::Close(to, _)) => {
                    assert!(self.live.remove(&to).is_some(), "nobody is closed twice");
                    self.gone = Some(to);
                }
                Some(Output::Send(to, text)) => {
                    assert!(self.live.contains_key(&to), "nothing is sent after the end");
                    assert!(text.len() <= websocket::MESSAGE_MAX + websocket::RELAY_MAX);
                    json::check(&text).expect("what is sent is JSON");
                    let message = Message::parse(&text).expect("and one of ours");
                    match (message.kind, welcomed.get_mut(&to)) {
                        (Kind::Open, _) => {
                            assert!(self.open.insert(to), "OPEN comes once");
                            welcomed.insert(to, (0, 0));
                        }
                        (kind, Some((count, bytes))) if kind.is_relayed() => {
                            *count += 1;
                            *bytes += text.len();
                            assert!(*count <= absent::MESSAGES_MAX && *bytes <= absent::BYTES_MAX);
                        }
                        (kind, _) if kind.is_relayed() => {
                            let speaker = speaker.expect("nothing is relayed unsaid");
                            assert!(self.open.contains(&speaker), "only who is in is relayed");
                            assert_eq!(message.src.as_ref(), self.live.get(&speaker));
                        }
                        _ => {}
                    }
                }
            }
        }
        panic!("the realm speaks without an end");
    }

    /// Joins, leaves or lists a room of one network or another.
    fn visit_room(&mut self, conn: Conn, what: u8, text: &[u8]) {
        let (realm, from) = (&mut self.realm, network(what));
        let room = realm.room_id(&from);
        let name = String::from_utf8_lossy(text);
        match what % 8 {
            5 => {
                let about = (!name.is_empty()).then(|| About::new(what < 64, &name));
                let members = realm.join(conn, &room, from, about).expect("its own room");
                assert!(!members.is_empty() && members.len() <= MEMBERS_MAX);
            }
            6 => {
                let was_in = realm.leave(conn, &room, from).expect("its own room");
                let again = realm.leave(conn, &room, from).expect("its own room");
                assert!(!again, "once out it is out, in or not before: {was_in}");
            }
            _ => {
                let members = realm.members(conn, &room, from).expect("its own room");
                let is_here = |id: &PeerId| self.live.values().any(|live| live == id);
                assert!(members.iter().all(|it| is_here(&it.id)), "no member without a socket");
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.realm.len(), self.live.len(), "it knows exactly who was not closed");
        assert!(self.live.len() <= PER_ADDRESS);
    }

    /// Everybody goes, and nothing of them stays: no timer, no member, no count.
    fn end(mut self) {
        while let Some((conn, _)) = self.live.pop_first() {
            self.realm.handle_close(conn);
            self.drain(None);
        }
        assert!(self.realm.is_empty());
        for _ in 0..DRAIN {
            let Some(due) = self.realm.timeout_ms() else { break };
            self.now = self.now.max(due);
            self.realm.handle_timeout(self.now);
            assert_eq!(self.realm.poll_output(), None, "there is nobody to tell");
        }
        assert_eq!(self.realm.timeout_ms(), None);
        for socket in 0..PER_ADDRESS {
            let id = PeerId::parse(&format!("z{socket}")).expect("an id");
            let conn = self.realm.connect(self.now, Knock { id, ..knock(0, 0) });
            let conn = conn.expect("every place is free again");
            for from in [network(0), network(255)] {
                let room = self.realm.room_id(&from);
                assert!(self.realm.members(conn, &room, from).expect("its own").is_empty());
            }
        }
        let id = PeerId::parse("z").expect("an id");
        let more = self.realm.connect(self.now, Knock { id, ..knock(0, 0) });
        assert_eq!(more, Err(Refusal::FullAddress), "and no more than there were");
    }
}

fn network(what: u8) -> Network {
    if what < 128 { Network::Home } else { Network::V4(Ipv4Addr::LOCALHOST) }
}

/// An even `what` comes with another token than an odd one.
fn knock(socket: usize, what: u8) -> Knock {
    let id = ["a", "b", "c", "d"].get(socket % 4).and_then(|id| PeerId::parse(id));
    let token = Token::parse(if what.is_multiple_of(2) { "even" } else { "odd" });
    Knock {
        id: id.expect("a letter is an id"),
        token: token.expect("a word is a token"),
        has_version: what.is_multiple_of(3),
        site: Site::of(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        network: network(what),
    }
}
