//! The realm in virtual time.

use super::*;
use std::format;
use std::net::IpAddr;
use std::string::ToString;
use std::vec;

const VERSION: bool = true;

/// A realm, its clock, and what came out of it.
struct World {
    realm: Realm,
    now: u64,
    seen: Vec<(u64, Output)>,
}

fn id(text: &str) -> PeerId {
    PeerId::parse(text).unwrap()
}

fn knock(name: &str, token: &str, address: &str, has_version: bool) -> Knock {
    let address: IpAddr = address.parse().unwrap();
    let network = crate::network::Grouping::default().network(address);
    let token = Token::parse(token).unwrap();
    Knock { id: id(name), token, has_version, site: Site::of(address), network }
}

fn home() -> Network {
    Network::V4([192, 0, 2, 1].into())
}

impl World {
    fn new(config: Config) -> Self {
        Self { realm: Realm::new(config, Secrets::fixed(b"x")), now: 0, seen: Vec::new() }
    }

    /// Connects from the usual address with the token "t".
    fn enter(&mut self, name: &str) -> Conn {
        let conn = self.try_enter(name, "t", "192.0.2.1", VERSION).unwrap();
        self.drain();
        conn
    }

    fn try_enter(
        &mut self,
        name: &str,
        token: &str,
        address: &str,
        has_version: bool,
    ) -> Result<Conn, Refusal> {
        let result = self.realm.connect(self.now, knock(name, token, address, has_version));
        self.drain();
        result
    }

    fn say(&mut self, conn: Conn, text: &str) {
        if self.realm.handle_frame(self.now, conn)
            && let Some(Relay { to, message }) = self.realm.handle_message(self.now, conn, text)
        {
            self.seen.push((self.now, Output::Send(to, message.to_text())));
        }
        self.drain();
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(due) = self.realm.timeout_ms().filter(|due| *due <= end) {
            self.now = due;
            self.realm.handle_timeout(due);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(output) = self.realm.poll_output() {
            self.seen.push((self.now, output));
        }
    }

    /// What came out for `conn` since last asked: texts, "ping", "close CODE".
    fn heard(&mut self, conn: Conn) -> Vec<String> {
        let mine = |entry: &mut (u64, Output)| match &entry.1 {
            Output::Send(to, _) | Output::Ping(to) | Output::Close(to, _) => *to == conn,
        };
        let word = |(_, output)| match output {
            Output::Send(_, text) => text,
            Output::Ping(_) => "ping".to_string(),
            Output::Close(_, code) => format!("close {code}"),
        };
        self.seen.extract_if(.., mine).map(word).collect()
    }
}

const OPEN: &str = "{\"type\":\"OPEN\"}";
const TAKEN: &str = "{\"type\":\"ID-TAKEN\",\"payload\":{\"msg\":\"ID is taken\"}}";

fn offer(dst: &str, number: usize) -> String {
    format!(
        "{{\"type\":\"OFFER\",\"src\":\"liar\",\"dst\":\"{dst}\",\"payload\":{{\"n\": {number}}}}}"
    )
}

fn relayed(src: &str, dst: &str, number: usize) -> String {
    format!(
        "{{\"type\":\"OFFER\",\"src\":\"{src}\",\"dst\":\"{dst}\",\"payload\":{{\"n\": {number}}}}}"
    )
}

fn expired(absent: &str, sender: &str) -> String {
    format!("{{\"type\":\"EXPIRE\",\"src\":\"{absent}\",\"dst\":\"{sender}\"}}")
}

#[test]
fn relays_with_the_true_source_and_nothing_else() {
    let mut world = World::new(Config::default());
    let (a, b) = (world.enter("a"), world.enter("b"));
    assert_eq!((world.heard(a), world.heard(b)), (vec![OPEN.into()], vec![OPEN.into()]));
    for noise in [
        "not json",
        "{\"ping\":\"once\"}",
        "{\"type\":\"HEARTBEAT\"}",
        "[]",
        "{\"type\":\"EXPIRE\",\"dst\":\"b\"}",
        "{\"type\":\"OPEN\",\"dst\":\"b\"}",
        "{\"type\":\"OFFER\"}",
        "{\"type\":\"NEWS\",\"dst\":\"b\"}",
    ] {
        world.say(a, noise);
    }
    world.say(a, &offer("b", 1));
    world.say(a, "{\"type\":\"LEAVE\",\"dst\":\"b\"}");
    let leave = "{\"type\":\"LEAVE\",\"src\":\"a\",\"dst\":\"b\"}";
    assert_eq!(world.heard(b), [relayed("a", "b", 1), leave.into()]);
    for dst in ["\"no/id\"", "7", "{}"] {
        world.say(a, &format!("{{\"type\":\"LEAVE\",\"dst\":{dst}}}"));
    }
    assert_eq!(world.heard(a), Vec::<String>::new(), "for somebody else, if for anybody");
    world.say(a, "{\"type\":\"LEAVE\",\"dst\":null}");
    assert_eq!(world.heard(a), ["close 1000"]);
    assert_eq!(world.realm.len(), 1);
}

#[test]
fn the_same_token_takes_over_at_once() {
    let mut world = World::new(Config { max_per_address: 2, ..Config::default() });
    let (old, b) = (world.enter("a"), world.enter("b"));
    let room = world.realm.room_id(&home());
    assert_eq!(world.realm.join(old, &room, home(), None).unwrap().len(), 1);
    let new = world.enter("a");
    assert_eq!(world.heard(old), [OPEN, "close 4000"]);
    world.say(old, &offer("b", 1));
    world.say(b, &offer("a", 2));
    assert_eq!(world.heard(b), [OPEN], "the old socket relays nothing");
    assert_eq!(world.heard(new), [OPEN.into(), relayed("b", "a", 2)]);
    world.realm.handle_close(old);
    assert_eq!(world.realm.members(new, &room, home()).unwrap().len(), 1, "and stays in its room");
    let moved = world.try_enter("a", "t", "198.51.100.1", VERSION).unwrap();
    assert_eq!(world.realm.members(b, &room, home()).unwrap().len(), 0, "until it moves");
    world.realm.handle_close(moved);
    world.realm.handle_close(b);
    assert!(world.realm.is_empty() && world.realm.timers.is_empty());
    assert!(world.realm.sites.is_empty() && world.realm.seats.is_empty());
}

#[test]
fn a_living_holder_keeps_its_id() {
    let mut world = World::new(Config::default());
    let holder = world.enter("a");
    let stranger = world.try_enter("a", "other", "192.0.2.1", VERSION).unwrap();
    assert_eq!(world.heard(holder), [OPEN, "ping"]);
    world.say(stranger, &offer("a", 1));
    assert_eq!(world.try_enter("a", "third", "192.0.2.1", VERSION), Err(Refusal::Taken));
    world.pass(200);
    assert!(world.heard(stranger).is_empty());
    assert!(world.realm.handle_frame(world.now, holder), "its pong");
    world.drain();
    assert_eq!(world.heard(stranger), [TAKEN, "close 1008"]);
    world.pass(10_000);
    assert!(world.heard(holder).is_empty(), "unharmed");
    assert_eq!(world.realm.len(), 1);
}

#[test]
fn a_dead_holder_loses_its_id_to_a_new_token() {
    let mut world = World::new(Config::default());
    let dead = world.enter("a");
    let first = world.try_enter("a", "new", "192.0.2.1", VERSION).unwrap();
    let second = world.try_enter("a", "new", "192.0.2.1", VERSION).unwrap();
    assert_eq!(world.heard(first), ["close 4000"], "it came again while it waited");
    let other = world.enter("b");
    world.say(other, &offer("a", 1));
    world.pass(CONTEST_MS - 1);
    assert!(world.heard(second).is_empty());
    world.pass(1);
    assert_eq!(world.heard(second), [OPEN]);
    assert_eq!(world.heard(dead).last().map(String::as_str), Some("close 4000"));
    world.say(other, &offer("a", 2));
    assert_eq!(world.heard(second), [relayed("b", "a", 2)]);
}

#[test]
fn a_challenger_follows_a_holder_that_leaves_or_its_own_return() {
    let mut world = World::new(Config::default());
    let holder = world.enter("a");
    let challenger = world.try_enter("a", "new", "192.0.2.1", VERSION).unwrap();
    world.realm.handle_close(holder);
    world.drain();
    assert_eq!(world.heard(challenger), [OPEN]);
    let stranger = world.try_enter("a", "else", "192.0.2.1", VERSION).unwrap();
    let again = world.try_enter("a", "new", "192.0.2.1", VERSION).unwrap();
    assert_eq!(world.heard(stranger), [TAKEN, "close 1008"], "the holder came back: it lives");
    assert_eq!(world.heard(again), [OPEN]);
    let gone = world.try_enter("a", "else", "192.0.2.1", VERSION).unwrap();
    world.realm.handle_close(gone);
    world.pass(CONTEST_MS);
    assert_eq!(world.heard(again), ["ping"], "nobody claims it any more");
}

#[test]
fn messages_wait_for_who_comes_in_time() {
    let mut world = World::new(Config::default());
    let a = world.enter("a");
    for number in 0..3 {
        world.say(a, &offer("late", number));
    }
    world.say(a, "{\"type\":\"LEAVE\",\"dst\":\"late\"}");
    world.pass(4_900);
    let late = world.enter("late");
    let expected: Vec<_> =
        [OPEN.to_string()].into_iter().chain((0..3).map(|n| relayed("a", "late", n))).collect();
    assert_eq!(world.heard(late), expected);
    world.realm.handle_close(late);
    world.say(a, &offer("late", 4));
    world.pass(4_000);
    let late = world.enter("late");
    assert_eq!(world.heard(late), [OPEN.to_string(), relayed("a", "late", 4)], "a time of its own");
    world.pass(60_000);
    assert_eq!(world.heard(a).iter().filter(|text| text.contains("EXPIRE")).count(), 0);
}

#[test]
fn expire_is_told_once_and_only_to_who_understands_it() {
    for strict in [false, true] {
        let mut world = World::new(Config { strict_expire: strict, ..Config::default() });
        let new = world.enter("new");
        let old = world.try_enter("old", "t", "192.0.2.1", false).unwrap();
        for number in 0..5 {
            world.say(new, &offer("nobody", number));
            world.say(old, &offer("nobody", number));
            world.pass(100);
        }
        world.pass(4_499);
        assert_eq!((world.heard(new), world.heard(old)), (vec![OPEN.into()], vec![OPEN.into()]));
        world.pass(1);
        assert_eq!(world.heard(new), [expired("nobody", "new")]);
        let told = world.heard(old);
        assert_eq!(told, if strict { vec![expired("nobody", "old")] } else { vec![] });
        world.pass(10_000);
        assert!(world.heard(new).is_empty() && world.realm.absent.bytes() == 0);
    }
}

#[test]
fn a_full_queue_tells_its_sender_at_once() {
    let mut world = World::new(Config { message_rate: 1000, ..Config::default() });
    let a = world.enter("a");
    for number in 0..70 {
        world.say(a, &offer("nobody", number));
    }
    assert_eq!(world.heard(a), [OPEN.into(), expired("nobody", "a")]);
    let late = world.enter("nobody");
    assert_eq!(world.heard(late).len(), 1 + crate::absent::MESSAGES_MAX);
}

#[test]
fn silence_ends_and_any_frame_is_life() {
    let mut world = World::new(Config::default());
    let (silent, living) = (world.enter("silent"), world.enter("living"));
    for _ in 0..20 {
        world.pass(5_000);
        assert!(world.realm.handle_frame(world.now, living));
    }
    assert_eq!(world.heard(living), [OPEN]);
    let closed = world.seen.iter().find(|(_, output)| matches!(output, Output::Close(..)));
    assert_eq!(closed, Some(&(60_000, Output::Close(silent, 1001))));
    world.pass(59_999);
    assert_eq!(world.realm.len(), 1);
    world.pass(1);
    assert!(world.realm.is_empty() && world.realm.timeout_ms().is_none());
}

#[test]
fn too_many_messages_close_with_1008() {
    let mut world = World::new(Config::default());
    let a = world.enter("a");
    for _ in 0..200 {
        assert!(world.realm.handle_frame(world.now, a), "the burst is four seconds' worth");
    }
    assert!(!world.realm.handle_frame(world.now, a));
    world.drain();
    assert_eq!(world.heard(a), [OPEN, "close 1008"]);
    let b = world.enter("b");
    for _ in 0..50 * 60 {
        world.pass(20);
        assert!(world.realm.handle_frame(world.now, b), "the rate itself lasts");
    }
}

#[test]
fn limits_count_what_is_here() {
    let config = Config { max_clients: 3, max_per_address: 2, ..Config::default() };
    let mut world = World::new(config);
    let a = world.enter("a");
    world.enter("b");
    assert_eq!(world.try_enter("c", "t", "192.0.2.1", true), Err(Refusal::FullAddress));
    world.try_enter("c", "t", "2001:db8::1", true).unwrap();
    assert_eq!(world.try_enter("d", "t", "2001:db8::2", true), Err(Refusal::Full));
    assert!(world.try_enter("b", "t", "192.0.2.1", true).is_ok(), "a return is no growth");
    world.realm.handle_close(a);
    assert!(world.try_enter("d", "t", "192.0.2.1", true).is_ok());
}

#[test]
fn rooms_are_for_their_own_network() {
    let mut world = World::new(Config::default());
    let a = world.enter("a");
    let far = world.try_enter("far", "t", "198.51.100.1", VERSION).unwrap();
    let (realm, there) = (&mut world.realm, Network::V4([198, 51, 100, 1].into()));
    let (room, other) = (realm.room_id(&home()), realm.room_id(&there));
    let names = |members: &[Member]| {
        members.iter().map(|member| member.id.as_str().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(realm.join(a, &other, home(), None).unwrap_err(), Denied::Foreign);
    assert_eq!(realm.members(a, &other, home()).unwrap_err(), Denied::Foreign);
    assert_eq!(names(realm.join(a, &room, home(), None).unwrap()), ["a"]);
    assert_eq!(names(realm.join(far, &other, there, None).unwrap()), ["far"]);
    assert!(realm.join(a, &room, there, None).is_ok(), "by its socket's network");
    assert_eq!(
        names(realm.join(a, &other, there, None).unwrap()),
        ["far", "a"],
        "by its request's"
    );
    assert_eq!(realm.leave(a, &other, there), Ok(true));
    assert_eq!(realm.leave(a, &other, there), Ok(false));
    realm.handle_close(a);
    assert!(realm.rooms.members(&home()).is_empty());
    assert_eq!(realm.members(a, &room, home()).unwrap_err(), Denied::Unknown);
    let token = |text| Token::parse(text).unwrap();
    assert_eq!(realm.authenticate(&id("far"), &token("t")), Ok(far));
    assert_eq!(realm.authenticate(&id("far"), &token("u")), Err(Denied::BadToken));
    assert_eq!(realm.authenticate(&id("a"), &token("t")), Err(Denied::Unknown));
}

#[test]
fn the_end_tells_everybody() {
    let mut world = World::new(Config::default());
    let conns = [world.enter("a"), world.enter("b")];
    world.realm.close_all(1001);
    world.drain();
    for conn in conns {
        assert_eq!(world.heard(conn), [OPEN, "close 1001"]);
    }
    assert!(world.realm.is_empty());
}

/// Whatever happens in whatever order, nothing is left behind.
#[test]
fn no_order_of_things_leaves_anything_behind() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 20) % below
    };
    let config = Config { max_clients: 12, max_per_address: 6, ..Config::default() };
    let mut world = World::new(config);
    let mut conns: Vec<Conn> = Vec::new();
    for _ in 0..30_000 {
        let pick = usize::try_from(random(16)).unwrap();
        let conn = conns.get(pick).copied();
        match random(8) {
            0..=2 => {
                let name = format!("p{}", random(6));
                let token = format!("t{}", random(3));
                let address = format!("192.0.2.{}", random(4));
                let result = world.try_enter(&name, &token, &address, random(2) == 0);
                conns.extend(result);
            }
            3 => {
                if let Some(conn) = conn {
                    world.realm.handle_close(conn);
                    conns.swap_remove(pick);
                }
            }
            4..=5 => {
                if let Some(conn) = conn {
                    world.say(conn, &offer(&format!("p{}", random(8)), pick));
                }
            }
            6 => {
                if let Some(conn) = conn {
                    let room = world.realm.room_id(&home());
                    let _ = world.realm.join(conn, &room, home(), None);
                }
            }
            _ => world.pass(random(3_000)),
        }
        world.drain();
        for (_, output) in world.seen.drain(..) {
            if let Output::Close(closed, _) = output {
                conns.retain(|conn| *conn != closed);
            }
        }
        let realm = &world.realm;
        assert_eq!(realm.len(), conns.len(), "the realm knows exactly who was not closed");
        assert_eq!(realm.sites.values().sum::<usize>(), conns.len());
        assert!(realm.sites.values().all(|count| *count <= 6));
        let seated: usize =
            realm.seats.values().map(|seat| 1 + usize::from(seat.challenger.is_some())).sum();
        assert_eq!(seated, conns.len(), "everybody holds or claims one seat");
    }
    world.pass(200_000);
    let realm = &world.realm;
    assert!(realm.is_empty() && realm.rooms.is_empty() && realm.seats.is_empty());
    assert!(realm.sites.is_empty() && realm.timers.is_empty() && realm.absent.bytes() == 0);
}

#[test]
fn the_largest_message_reaches_a_client() {
    use crate::websocket::{self, Decoder, MESSAGE_MAX, Opcode, Role};
    let mut world = World::new(Config::default());
    let (a, b) = (world.enter(&"a".repeat(64)), world.enter("b"));
    world.heard(b);
    let frame = "{\"type\":\"OFFER\",\"dst\":\"b\",\"payload\":\"\"}";
    let payload = "x".repeat(MESSAGE_MAX - frame.len());
    let text = frame.replace("\"\"}", &format!("\"{payload}\"}}"));
    assert_eq!(text.len(), MESSAGE_MAX);
    let mut bytes = Vec::new();
    websocket::encode(Opcode::Text, text.as_bytes(), Some([1, 2, 3, 4]), &mut bytes);
    let sent = Decoder::new(Role::Server).read(&mut &bytes[..]);
    assert_eq!(sent, Ok(Some(websocket::Message::Text(text.clone()))));
    world.say(a, &text);
    let relayed = world.heard(b).pop().unwrap();
    assert!(relayed.len() > MESSAGE_MAX);
    bytes.clear();
    websocket::encode(Opcode::Text, relayed.as_bytes(), None, &mut bytes);
    let heard = Decoder::new(Role::Client).read(&mut &bytes[..]);
    assert_eq!(heard, Ok(Some(websocket::Message::Text(relayed))));
}
