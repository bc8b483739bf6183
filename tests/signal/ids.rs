//! Whose an id is.

use harness::meeting::{
    OPEN, Server, connect_from, in_namespace, ip, offer, relayed, text_member, wait_until,
};
use signal_proto::json;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tungstenite::Message;

/// S4, S13: whoever is refused hears why, and that it is over.
#[test]
fn a_refused_client_hears_why() {
    let server = Server::start(&["--max-clients", "2"]);
    let missing = "No id, token, or key supplied to websocket server";
    let long = format!("key=peerjs&id={}&token=t", "a".repeat(65));
    let table = [
        ("", missing),
        ("key=peerjs&id=a", missing),
        ("key=peerjs&token=t", missing),
        ("id=a&token=t", missing),
        ("key=other&id=a&token=t", "Invalid key provided"),
        ("key=peerjs&id=a%2Fb&token=t", "Invalid id provided"),
        (long.as_str(), "Invalid id provided"),
        ("key=peerjs&id=a&token=a%0Ab", "Invalid token provided"),
    ];
    for (query, why) in table {
        let mut client = server.knock(query);
        let text = client.hear();
        assert_eq!(text_member(&text, "type"), "ERROR");
        let payload = json::member(&text, "payload").expect("a payload");
        assert_eq!(text_member(payload, "msg"), why, "{query}");
        client.hear_close();
    }
    let (_a, _b) = (server.enter("a"), server.enter("b"));
    let mut third = server.knock("key=peerjs&id=c&token=t");
    assert!(third.hear().contains("Server has reached its concurrent user limit"));
    third.hear_close();
}

/// S5, S6, S7.
#[test]
fn an_id_belongs_to_the_token_that_lives() {
    let server = Server::start(&[]);
    let mut first = server.enter("a");
    // Its pong is sent while it reads: the refusal comes to a thread of its own.
    let mut stranger = server.knock("key=peerjs&id=a&token=other");
    let refused = std::thread::spawn(move || {
        let text = stranger.hear();
        stranger.hear_close();
        text
    });
    let mut friend = server.enter("b");
    let start = Instant::now();
    while !refused.is_finished() {
        friend.say(&offer("a", "1"));
        assert_eq!(first.hear(), relayed("b", "a", "1"), "the holder is unharmed");
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(30));
    }
    let text = refused.join().expect("a refusal");
    assert_eq!(text, "{\"type\":\"ID-TAKEN\",\"payload\":{\"msg\":\"ID is taken\"}}");

    let mut second = server.enter("a");
    assert_eq!(first.hear_close(), Some(4000));
    friend.say(&offer("a", "2"));
    assert_eq!(second.hear(), relayed("b", "a", "2"));
}

/// S26: a holder that went silent (link down, power cut) loses its id to a new token.
#[test]
fn a_silent_holder_gives_way_within_five_seconds() {
    let server = Server::start(&[]);
    let mut silent = server.enter("a");
    let start = Instant::now();
    let mut next = server.knock("key=peerjs&id=a&token=new");
    assert_eq!(next.hear(), OPEN);
    let took = start.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(5), "{took:?}");
    let _ = silent.socket.read();
}

/// S7: what the old socket says while it is replaced, and after, reaches nobody; what is said
/// in its id's name is the new one's.
#[test]
fn a_replaced_socket_says_nothing_more() {
    let server = Server::start(&["--message-rate", "1000"]);
    let (mut old, mut friend) = (server.enter("a"), server.enter("b"));
    old.say(&offer("b", "\"before\""));
    assert_eq!(friend.hear(), relayed("a", "b", "\"before\""));
    let mut new = server.enter("a");
    // It has not read its close yet: all of this is in flight.
    for _ in 0..50 {
        let _ = old.socket.send(Message::text(offer("b", "\"after\"")));
    }
    let _ = old.socket.send(Message::text("{\"type\":\"LEAVE\"}"));
    assert_eq!(old.hear_close(), Some(4000));
    friend.echo("b");
    new.say(&offer("b", "\"new\""));
    assert_eq!(friend.hear(), relayed("a", "b", "\"new\""));
    drop(old);
    assert_eq!(server.post("/peerjs/a/t/offer", &offer("b", "\"post\"")).status, 200);
    assert_eq!(friend.hear(), relayed("a", "b", "\"post\""));
    friend.say(&offer("a", "1"));
    assert_eq!(new.hear(), relayed("b", "a", "1"));
}

/// S26, S14: an id is free once its socket is closed, however it went, or has left.
#[test]
fn an_id_is_free_when_its_socket_is_gone() {
    let server = Server::start(&[]);
    for end in ["cut", "closed", "left"] {
        let mut old = server.enter("a");
        match end {
            "cut" => drop(old),
            "closed" => {
                old.socket.close(None).expect("the server reads");
                assert_eq!(old.hear_close(), Some(1000));
            }
            _ => {
                old.say("{\"type\":\"LEAVE\"}");
                assert_eq!(old.hear_close(), Some(1000));
            }
        }
        let start = Instant::now();
        let mut next = server.knock("key=peerjs&id=a&token=new");
        assert_eq!(next.hear(), OPEN, "{end}");
        assert!(start.elapsed() < Duration::from_secs(1), "{end}: at once");
        next.say("{\"type\":\"LEAVE\"}");
        next.hear_close();
    }
}

/// Where a copy of a test that is to be a client finds the server.
const AT: &str = "NIGHTJAR_TEST_AT";

/// A child that is stopped and ended with its test.
struct Puppet(Child);

impl Puppet {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {name} works");
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// S6, S26: the kernel of a process that hangs still acknowledges everything. It is the ping
/// that tells: answered, the id stays; unanswered, it goes within 3 s.
#[test]
fn a_stopped_process_loses_its_id() {
    if let Ok(at) = std::env::var(AT) {
        let (mut socket, _) =
            tungstenite::connect(format!("ws://{at}/peerjs?key=peerjs&id=a&token=t"))
                .expect("an upgrade");
        while socket.read().is_ok() {}
        return;
    }
    let server = Server::start(&[]);
    let puppet = Command::new(std::env::current_exe().expect("a test knows its own path"))
        .args(["ids::a_stopped_process_loses_its_id", "--exact"])
        .env(AT, &server.at)
        .spawn();
    let puppet = Puppet(puppet.expect("a test can be started"));
    wait_until("the other process is in", Duration::from_secs(10), || {
        server.get("/peerjs/a/t/room/id").status == 200
    });
    let mut stranger = server.knock("key=peerjs&id=a&token=new");
    assert!(stranger.hear().contains("ID-TAKEN"), "it lives");
    stranger.hear_close();

    puppet.signal("-STOP");
    let start = Instant::now();
    let mut next = server.knock("key=peerjs&id=a&token=new");
    assert_eq!(next.hear(), OPEN);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    puppet.signal("-CONT");
    next.echo("a");
}

/// S26: a machine that lost its power or its link says nothing at all, nor does its network.
#[test]
fn a_vanished_machine_loses_its_id() {
    if !in_namespace("ids::a_vanished_machine_loses_its_id") {
        return;
    }
    let server = Server::start_at("10.77.0.1:0", &[]);
    let edge = connect_from([10, 77, 0, 2].into(), &server.at);
    let mut edge = server.knock_on(edge, "key=peerjs&id=a&token=t", None);
    assert_eq!(edge.hear(), OPEN);
    let mut friend = server.enter("b");
    ip("address delete 10.77.0.2/24 dev v1");
    let start = Instant::now();
    let mut next = server.knock("key=peerjs&id=a&token=new");
    assert_eq!(next.hear(), OPEN);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    friend.say(&offer("a", "1"));
    assert_eq!(next.hear(), relayed("b", "a", "1"));
    // Back on the net, what the old one says in its id's name reaches nobody.
    ip("address add 10.77.0.2/24 dev v1");
    let _ = edge.socket.send(Message::text(offer("b", "\"ghost\"")));
    wait_until("the old socket ends", Duration::from_secs(10), || edge.socket.read().is_err());
    friend.echo("b");
}
