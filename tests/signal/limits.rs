//! What one client can take, and what it costs the others.

use harness::meeting::{Server, connect_from, offer, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

/// S21.
#[test]
fn sizes_and_rates_are_bounded() {
    let server = Server::start(&[]);
    let mut big = server.enter("big");
    big.echo("big");
    let limit = 64 * 1024;
    let frame = |bytes: usize| offer("big", &format!("\"{}\"", "x".repeat(bytes)));
    let whole = frame(limit - offer("big", "\"\"").len());
    big.say(&whole);
    big.hear();
    big.say(&format!("{whole} "));
    assert_eq!(big.hear_close(), Some(CloseCode::Size.into()));
    // It writes all before it reads: what is discarded unread would reset the connection.
    for bytes in [100_000, 8_000_000] {
        let mut huge = server.enter("huge");
        huge.say(&frame(bytes));
        assert_eq!(huge.hear_close(), Some(CloseCode::Size.into()), "{bytes} bytes");
    }

    let mut fast = server.enter("fast");
    for _ in 0..300 {
        if fast.socket.send(Message::text("{\"type\":\"HEARTBEAT\"}")).is_err() {
            break;
        }
    }
    assert_eq!(fast.hear_close(), Some(1008));

    let mut wrong = server.enter("wrong");
    wrong.socket.get_mut().write_all(&[0x81, 0x01, b'a']).expect("the server reads");
    assert_eq!(wrong.hear_close(), Some(1002), "a client masks");
}

/// S21: each fragment is a frame that counts, or empty ones would be a flood for nothing.
#[test]
fn empty_fragments_are_frames_too() {
    let server = Server::start(&[]);
    let mut flood = server.enter("flood");
    let mut bytes = vec![0x01, 0x80, 0, 0, 0, 0];
    for _ in 0..400 {
        bytes.extend([0x00, 0x80, 0, 0, 0, 0]);
    }
    flood.socket.get_mut().write_all(&bytes).expect("the server reads");
    assert_eq!(flood.hear_close(), Some(1008));
}

/// A client that stops reading costs its own connection, nobody else's.
#[test]
fn a_client_that_does_not_read_is_cut() {
    let server = Server::start(&["--message-rate", "1000"]);
    let (mut talker, _deaf) = (server.enter("talker"), server.enter("deaf"));
    let text = offer("deaf", &format!("\"{}\"", "x".repeat(60_000)));
    wait_until("the deaf one is cut", Duration::from_secs(20), || {
        for _ in 0..20 {
            talker.say(&text);
        }
        server.get("/peerjs/deaf/t/room/id").status == 401
    });
}

/// Whether a request on `stream` is answered, rather than the connection closed.
fn is_answered(stream: &mut TcpStream) -> bool {
    let ask = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut answer = [0; 1024];
    let length = stream.write_all(ask).and_then(|()| stream.read(&mut answer)).unwrap_or(0);
    answer[..length].starts_with(b"HTTP/1.1 200 ")
}

/// One address cannot take every place, and gives up its idle ones first.
#[test]
fn one_address_shuts_nobody_out() {
    let server = Server::start(&[]);
    let (crowd, stranger) = ([127, 0, 0, 2].into(), [127, 0, 0, 3].into());
    let mut idle = connect_from(crowd, &server.at);
    assert!(is_answered(&mut idle));
    let _silent: Vec<_> = (0..255).map(|_| connect_from(crowd, &server.at)).collect();
    assert!(is_answered(&mut connect_from(crowd, &server.at)), "in the idle one's place");
    assert!(!is_answered(&mut idle));
    let _last = connect_from(crowd, &server.at);
    assert!(!is_answered(&mut connect_from(crowd, &server.at)));
    assert!(is_answered(&mut connect_from(stranger, &server.at)));

    let server = Server::start(&["--trusted-proxy", "127.0.0.2"]);
    let _many: Vec<_> = (0..300).map(|_| connect_from(crowd, &server.at)).collect();
    assert!(is_answered(&mut connect_from(crowd, &server.at)), "a proxy brings many");
}

/// Half-open heads, dripping ones too, end after five seconds and hinder nobody.
#[test]
fn slow_heads_are_closed() {
    let server = Server::start(&[]);
    let start = Instant::now();
    let mut slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.at).expect("the server listens");
            stream.write_all(b"GET / HT").expect("the server reads");
            stream
        })
        .collect();
    let mut dripping = slow.pop().expect("200 of them");
    // A further request on a connection that has been answered has no longer.
    let mut further = TcpStream::connect(&server.at).expect("the server listens");
    assert!(is_answered(&mut further));
    further.write_all(b"GET / HT").expect("the server reads");
    wait_until("a dripping head ends", Duration::from_secs(7), || {
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(server.get("/healthz").status, 200, "others are answered");
        dripping.write_all(b"x").is_err()
    });
    assert!(start.elapsed() > Duration::from_secs(4));
    slow.push(further);
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout can be set");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("it is closed");
        assert!(rest.is_empty());
    }
}

/// A body that drips ends five seconds after its head, and whoever asks nothing more after ten.
#[test]
fn slow_bodies_and_idle_connections_are_closed() {
    let server = Server::start(&[]);
    let _client = server.enter("a");
    let mut idle = TcpStream::connect(&server.at).expect("the server listens");
    idle.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    assert!(is_answered(&mut idle));
    let start = Instant::now();
    let mut slow = TcpStream::connect(&server.at).expect("the server listens");
    let head = "POST /peerjs/a/t/offer HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{";
    slow.write_all(head.as_bytes()).expect("the server reads");
    wait_until("a dripping body ends", Duration::from_secs(8), || slow.write_all(b" ").is_err());
    assert!(start.elapsed() > Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(idle.read(&mut [0; 64]).expect("it is closed"), 0);
    let silent = start.elapsed();
    assert!((9..15).contains(&silent.as_secs()), "{silent:?}");
}

/// A client that goes on with a message that was refused is not listened to for ever.
#[test]
fn what_is_discarded_is_bounded() {
    let server = Server::start(&[]);
    let mut huge = server.enter("huge");
    let stream = huge.socket.get_mut();
    let length = 1u64 << 30;
    let head = [&[0x81, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    stream.write_all(&head).expect("the server reads");
    let piece = vec![b'x'; 1 << 20];
    let sent = (1..1024).find(|_| stream.write_all(&piece).is_err());
    // Beside the 16 MiB, what the kernel holds of both ends.
    assert!(sent.is_some_and(|sent| (16..48).contains(&sent)), "{sent:?} MiB");
}
