//! What clients tell each other, what waits, and signs of life.

use harness::meeting::{OPEN, Server, offer, relayed};
use std::time::{Duration, Instant};
use tungstenite::Message;

/// S8, S9, S14.
#[test]
fn messages_arrive_as_they_were_sent_and_noise_is_ignored() {
    let server = Server::start(&[]);
    let (mut a, mut b) = (server.enter("a"), server.enter("b"));
    for noise in
        ["not json", "{\"ping\":\"once\"}", "{\"type\":\"NEWS\",\"dst\":\"b\"}", "[[[", "7"]
    {
        a.say(noise);
    }
    a.socket.send(Message::binary(vec![0xff, 0])).expect("the server reads");
    let payload = "{\"sdp\" : {\"sdp\":\"v=0\\r\\n\\u00fc\\/\"},\"n\":1.0e0 }";
    let mixed = format!(
        "{{\"src\":\"liar\",\"x\":{{}},\"payload\":{payload},\"dst\":\"b\",\"type\":\"OFFER\"}}"
    );
    a.say(&mixed);
    assert_eq!(b.hear(), relayed("a", "b", payload));
    a.say("{\"type\":\"LEAVE\",\"dst\":\"b\"}");
    assert_eq!(b.hear(), "{\"type\":\"LEAVE\",\"src\":\"a\",\"dst\":\"b\"}");
    a.say("{\"type\":\"EXPIRE\",\"dst\":\"b\"}");
    a.say("{\"type\":\"LEAVE\",\"dst\":\"no/id\"}");
    a.echo("a");
    b.echo("b");

    let by_post = server.post("/peerjs/a/t/offer", &offer("b", "\"by post\""));
    assert_eq!((by_post.status, by_post.text()), (200, "OK"));
    assert_eq!(b.hear(), relayed("a", "b", "\"by post\""));

    a.say("{\"type\":\"LEAVE\"}");
    a.hear_close();
    assert_eq!(server.get("/peerjs/a/t/room/id").status, 401, "it is not registered any more");
}

/// S10.
#[test]
fn messages_wait_for_who_comes_late() {
    let server = Server::start(&[]);
    let mut a = server.enter("a");
    for number in 0..20 {
        a.say(&offer("late", &number.to_string()));
    }
    a.echo("a");
    let mut late = server.enter("late");
    for number in 0..20 {
        assert_eq!(late.hear(), relayed("a", "late", &number.to_string()));
    }
}

/// S11: only clients that name their version are told, unless all are to be.
#[test]
fn expiry_is_told_to_who_understands_it() {
    for strict in [false, true] {
        let mut options = vec!["--expire-timeout-ms", "400"];
        options.extend(strict.then_some("--strict-expire"));
        let server = Server::start(&options);
        let mut new = server.enter("new");
        let mut old = server.knock("key=peerjs&id=old&token=t");
        assert_eq!(old.hear(), OPEN);
        for number in 0..3 {
            new.say(&offer("nobody", &number.to_string()));
            old.say(&offer("nobody", &number.to_string()));
        }
        let expired =
            |dst: &str| format!("{{\"type\":\"EXPIRE\",\"src\":\"nobody\",\"dst\":\"{dst}\"}}");
        assert_eq!(new.hear(), expired("new"));
        new.echo("new");
        if strict {
            assert_eq!(old.hear(), expired("old"));
        }
        old.echo("old");
    }
}

/// S12.
#[test]
fn silence_is_closed_and_any_frame_is_life() {
    // Wide enough for a machine that does much else.
    let server = Server::start(&["--alive-timeout-ms", "6000"]);
    let mut silent = server.enter("silent");
    let (mut beating, mut pinging) = (server.enter("beating"), server.enter("pinging"));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(8) {
        beating.say("{\"type\":\"HEARTBEAT\"}");
        pinging.socket.send(Message::Ping(b"x".to_vec().into())).expect("the server reads");
        let pong = pinging.socket.read().expect("a pong");
        assert_eq!(pong, Message::Pong(b"x".to_vec().into()));
        std::thread::sleep(Duration::from_millis(200));
    }
    silent.hear_close();
    beating.echo("beating");
    pinging.echo("pinging");
}

/// S11: five seconds for each pair, whoever asked for the same peer before.
#[test]
fn nobody_shortens_what_waits_of_another() {
    let server = Server::start(&["--expire-timeout-ms", "2000"]);
    let (mut a, mut b) = (server.enter("a"), server.enter("b"));
    let expired = |dst: &str| format!("{{\"type\":\"EXPIRE\",\"src\":\"late\",\"dst\":\"{dst}\"}}");
    a.say(&offer("late", "1"));
    a.echo("a");
    std::thread::sleep(Duration::from_millis(1500));
    let second = Instant::now();
    b.say(&offer("late", "2"));
    assert_eq!(a.hear(), expired("a"));
    assert_eq!(b.hear(), expired("b"));
    // The server counts in whole milliseconds.
    assert!(second.elapsed() >= Duration::from_millis(1_998), "{:?}", second.elapsed());
}
