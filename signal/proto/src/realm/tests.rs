//! The realm in virtual time. S1 and so on are the conformance list that `PeerJS` servers are
//! held to; tests/signal/conformance.rs counts them.

use super::*;
use crate::room::{OVERLAP_MS, ROTATE_MS};
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

/// S8, S9, S14.
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

/// S7.
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

/// S6.
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

/// S26: the holder is silent, as after a power cut.
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

/// S10.
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

/// S11.
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

/// S21: the bound on what waits.
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

/// S12.
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

/// S21: the bound on what is said.
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

/// S13.
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

/// S16, S17, S18, S19.
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

/// S4, S5: a refusal says why in the words that `PeerJS` clients know, else it is OPEN.
#[test]
fn every_refusal_has_its_words() {
    let error = |why: &str| format!("{{\"type\":\"ERROR\",\"payload\":{{\"msg\":\"{why}\"}}}}");
    let table = [
        (Refusal::Missing, error("No id, token, or key supplied to websocket server")),
        (Refusal::BadKey, error("Invalid key provided")),
        (Refusal::BadId, error("Invalid id provided")),
        (Refusal::BadToken, error("Invalid token provided")),
        (Refusal::Full, error("Server has reached its concurrent user limit")),
        (Refusal::FullAddress, error("Too many connections from this address")),
        (Refusal::Taken, TAKEN.into()),
    ];
    for (refusal, text) in table {
        assert_eq!(refusal.to_text(), text);
    }
    let mut world = World::new(Config::default());
    let conn = world.enter("a");
    assert_eq!(world.heard(conn), [OPEN]);
}

/// S7: what the old socket had sent before it was closed, and what was read only after, goes
/// nowhere; nor does what it sent end the new one.
#[test]
fn frames_in_flight_of_a_replaced_socket_go_nowhere() {
    let mut world = World::new(Config::default());
    let (old, b) = (world.enter("a"), world.enter("b"));
    let new = world.enter("a");
    for text in [&offer("b", 1), &offer("nobody", 1), "{\"type\":\"LEAVE\"}"] {
        assert!(!world.realm.handle_frame(world.now, old));
        assert_eq!(world.realm.handle_message(world.now, old, text), None);
    }
    world.realm.handle_close(old);
    world.pass(10_000);
    assert_eq!((world.heard(b), world.heard(new)), (vec![OPEN.into()], vec![OPEN.into()]));
    assert_eq!((world.heard(old), world.realm.len()), (vec![OPEN.into(), "close 4000".into()], 2));
}

/// S26: nor does one that leaves and comes again; a sign of life in between ends the contest.
#[test]
fn a_challenger_that_comes_again_waits_no_longer() {
    for lives in [false, true] {
        let mut world = World::new(Config::default());
        let holder = world.enter("a");
        let first = world.try_enter("a", "new", "192.0.2.1", VERSION).unwrap();
        world.pass(2000);
        world.realm.handle_close(first);
        if lives {
            world.say(holder, "{\"type\":\"HEARTBEAT\"}");
        }
        let second = world.try_enter("a", "new", "192.0.2.1", VERSION).unwrap();
        world.pass(CONTEST_MS - 2000);
        let heard = world.heard(second);
        assert_eq!(heard, if lives { vec![] } else { vec![OPEN.to_string()] }, "lives: {lives}");
        world.pass(2000);
        assert_eq!(world.realm.len(), 1, "one has the id in the end");
    }
}

/// S26: a challenger that connects anew all the while does not prolong the dead holder's time.
#[test]
fn an_impatient_challenger_waits_no_longer() {
    let mut world = World::new(Config::default());
    let dead = world.enter("a");
    for _ in 0..5 {
        world.try_enter("a", "new", "192.0.2.1", VERSION).unwrap();
        world.pass(490);
    }
    let last = world.try_enter("a", "new", "192.0.2.1", VERSION).unwrap();
    world.pass(50);
    assert_eq!(world.heard(last), [OPEN], "after {CONTEST_MS} ms in all");
    assert_eq!(world.heard(dead), [OPEN, "ping", "close 4000"], "asked once");
}

/// S26: who has gone holds nothing: its id is free for any token, at once.
#[test]
fn an_id_is_free_when_its_socket_is_gone() {
    let mut world = World::new(Config::default());
    for end in ["closed", "left"] {
        let conn = world.enter("a");
        match end {
            "left" => world.say(conn, "{\"type\":\"LEAVE\"}"),
            _ => world.realm.handle_close(conn),
        }
        let next = world.try_enter("a", "another token", "198.51.100.1", VERSION).unwrap();
        assert_eq!(world.heard(next), [OPEN], "{end}");
        world.say(conn, &offer("a", 1));
        assert!(world.heard(next).is_empty(), "who has {end} relays nothing");
        world.realm.handle_close(next);
    }
}

/// S11: each pair has its own 5 s, whoever else asked for the same peer before.
#[test]
fn nobody_shortens_what_waits_of_another() {
    let mut world = World::new(Config::default());
    let (a, b) = (world.enter("a"), world.enter("b"));
    world.say(a, &offer("late", 1));
    world.pass(4_900);
    world.say(b, &offer("late", 2));
    world.say(a, &offer("late", 3));
    world.pass(100);
    assert_eq!(world.heard(a), [OPEN.into(), expired("late", "a")], "once for both");
    assert_eq!(world.heard(b), [OPEN]);
    world.pass(4_799);
    let late = world.enter("late");
    assert_eq!(world.heard(late), [OPEN.into(), relayed("b", "late", 2)]);
    world.pass(60_000);
    assert!(world.realm.timers.is_empty(), "all were silent for so long");
    assert!(world.seen.iter().all(|(_, it)| !matches!(it, Output::Send(..))), "and nothing else");
}

/// S15, S20: one id for one network, another for any other, as long as the secret is the same.
#[test]
fn a_room_is_named_after_its_network_and_a_secret() {
    let room = |secret: &[u8], address: &str| {
        let network = crate::network::Grouping::default().network(address.parse().unwrap());
        Realm::new(Config::default(), Secrets::fixed(secret)).room_id(&network)
    };
    let home = room(b"x", "203.0.113.7");
    assert_eq!(home, room(b"x", "::ffff:203.0.113.7"));
    assert_eq!(room(b"x", "2001:db8:1:2::3"), room(b"x", "2001:db8:1:2:ffff::9"));
    let others = [(b"x", "203.0.113.8"), (b"y", "203.0.113.7"), (b"x", "2001:db8:1:2::3")];
    assert!(others.into_iter().all(|(secret, address)| room(secret, address) != home));
    assert_ne!(room(b"x", "2001:db8:1:2::3"), room(b"x", "2001:db8:1:3::3"));
    assert_eq!(home.to_string().len(), 40);
}

/// S19: an Ambianic edge asks for its room and joins it every 3 s and gives up everything where
/// that fails once. Through two midnights and many takeovers it never does.
#[test]
fn rooms_never_fail_somebody_who_is_registered() {
    let mut world = World::new(Config::default());
    world.realm = Realm::new(Config::default(), Secrets::random(0, [0; 32]));
    let (edge, token) = (id("edge"), Token::parse("t").unwrap());
    world.enter("edge");
    let phone = world.try_enter("phone", "p", "192.0.2.1", VERSION).unwrap();
    let mut asked = world.realm.room_id(&home());
    let mut names = vec![asked];
    for step in 1.. {
        // Every 3 s around midnight; far from it, 50 s are enough to see.
        let after_midnight = (world.now + 60_000) % ROTATE_MS;
        world.pass(if after_midnight < OVERLAP_MS + 120_000 { 3_000 } else { 50_000 });
        if world.now > 2 * ROTATE_MS + 2 * OVERLAP_MS {
            break;
        }
        let fresh = [u8::try_from(names.len()).unwrap(); 32];
        let (now, realm) = (world.now, &mut world.realm);
        realm.secrets().rotate(now, fresh);
        assert!(realm.handle_frame(now, phone));
        if step % 140 == 0 {
            world.enter("edge");
        }
        let realm = &mut world.realm;
        let conn = realm.authenticate(&edge, &token).unwrap();
        assert!(realm.handle_frame(now, conn));
        // What it was told the last time, as well as what it is told now.
        let told = realm.room_id(&home());
        for room in [asked, told] {
            assert!(realm.join(conn, &room, home(), None).unwrap().iter().any(|m| m.id == edge));
            assert!(!realm.members(phone, &room, home()).unwrap().is_empty(), "nobody moved");
        }
        if told != asked {
            names.push(told);
        }
        asked = told;
        world.seen.clear();
    }
    assert_eq!(names.len(), 3, "two midnights");
    let conn = world.realm.authenticate(&edge, &token).unwrap();
    let old = world.realm.leave(conn, &names[0], home());
    assert_eq!(old, Err(Denied::Foreign), "the first name is long forgotten");
    assert_eq!(world.realm.leave(conn, &names[2], home()), Ok(true));
}

/// S21: the 65th is told who is there, and is not.
#[test]
fn a_room_holds_64() {
    let config = Config { max_per_address: 100, ..Config::default() };
    let mut world = World::new(config);
    let room = world.realm.room_id(&home());
    let conns: Vec<_> = (0..65).map(|number| world.enter(&format!("p{number}"))).collect();
    for conn in &conns {
        let members = world.realm.join(*conn, &room, home(), None).unwrap().len();
        assert!(members <= 64);
    }
    let last = conns[64];
    let is_in = |world: &World| {
        world.realm.members(last, &room, home()).unwrap().iter().any(|it| it.id == id("p64"))
    };
    assert!(!is_in(&world));
    assert_eq!(world.realm.leave(last, &room, home()), Ok(false));
    world.realm.handle_close(conns[3]);
    assert!(world.realm.join(last, &room, home(), None).is_ok() && is_in(&world));
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
