//! To relay a message costs the meeting place one allocation: the frame that its receiver is
//! sent. An idle client costs none, and holds no memory of what it has sent or heard.

use harness::heap::{Counting, asked_here, held_here};
use signal::clock::Clock;
use signal::meeting::Meeting;
use signal::socket;
use signal::stream::Stream;
use signal_proto::network::{Grouping, Site};
use signal_proto::peer_id::{PeerId, Token};
use signal_proto::realm::{Config, Conn, Knock, Realm};
use signal_proto::room::Secrets;
use signal_proto::websocket::{self, Opcode};
use smol::Async;
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::rc::Rc;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MESSAGES: u64 = 10_000;

/// What is asked once and not for every message: the tasks' first wakers, the shared buffers.
const ONCE: u64 = 100;

/// A socket of the server and the client at its other end.
fn pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let client = TcpStream::connect(listener.local_addr().expect("its address")).expect("it is");
    client.set_nodelay(true).expect("it can be set");
    let (server, _) = listener.accept().expect("the client");
    (Stream::Plain(Async::new(server).expect("a socket")), client)
}

fn connect(meeting: &Meeting, id: &str) -> (Conn, Rc<signal::outbox::Outbox>) {
    let address: IpAddr = [192, 0, 2, 1].into();
    let knock = Knock {
        id: PeerId::parse(id).expect("an id"),
        token: Token::parse("t").expect("a token"),
        has_version: true,
        site: Site::of(address),
        network: Grouping::default().network(address),
    };
    meeting.connect(knock).expect("it is let in")
}

/// A client's frame with an OFFER of `bytes` to `dst`, and the text that `dst` hears.
fn offer(dst: &str, bytes: usize) -> (Vec<u8>, String) {
    let payload = "x".repeat(bytes);
    let text = format!("{{\"type\":\"OFFER\",\"dst\":\"{dst}\",\"payload\":\"{payload}\"}}");
    let heard = text.replacen("\"dst\"", "\"src\":\"a\",\"dst\"", 1);
    let mut frame = Vec::new();
    websocket::encode(Opcode::Text, text.as_bytes(), Some([1, 2, 3, 4]), &mut frame);
    (frame, heard)
}

/// Serves "a" and "b" on this thread while another one sends from a to b, each message once the
/// one before has arrived; what both asked of the heap, and what this thread still holds of it
/// once they are idle. Not counted is what smol's reactor asks for each look at what is ready: a
/// list of whom to wake.
fn serve(messages: u64, bytes: usize) -> (u64, i64) {
    let limits = Config { message_rate: u32::MAX / 4000, ..Config::default() };
    let meeting = Meeting::new(Clock::start(), Realm::new(limits, Secrets::fixed(b"x")));
    let ((a, mut from_a), (b, mut to_b)) = (pair(), pair());
    let ((conn_a, out_a), (conn_b, out_b)) = (connect(&meeting, "a"), connect(&meeting, "b"));
    let (done, all_done) = smol::channel::bounded(1);
    let talk = std::thread::spawn(move || {
        let (frame, text) = offer("b", bytes);
        let mut open = [0; 17];
        to_b.read_exact(&mut open).expect("OPEN");
        assert!(open.ends_with(b"{\"type\":\"OPEN\"}"));
        let head = websocket::head(Opcode::Text, text.len(), None);
        let mut heard = vec![0; head.len() + text.len()];
        for _ in 0..messages {
            from_a.write_all(&frame).expect("the server reads");
            to_b.read_exact(&mut heard).expect("the server relays");
            assert!(heard.starts_with(&head) && heard.ends_with(text.as_bytes()));
        }
        let _ = done.try_send(());
        // Kept open until the server has been looked at.
        (from_a, to_b)
    });
    let both = smol::future::zip(
        socket::run(a, &meeting, Some(conn_a), out_a),
        socket::run(b, &meeting, Some(conn_b), out_b),
    );
    let mut both = Box::pin(both);
    let (mut asked, held) = (0, held_here());
    let counted = poll_fn(|cx| {
        let before = asked_here();
        let ended = both.as_mut().poll(cx).map(drop);
        asked += asked_here() - before;
        ended
    });
    let all_done = async {
        let _ = all_done.recv().await;
    };
    smol::block_on(smol::future::or(counted, all_done));
    assert_eq!(meeting.ledger().held(), 0, "nothing waits");
    let held = held_here() - held;
    drop(talk.join().expect("all were relayed"));
    smol::block_on(both);
    (asked, held)
}

#[test]
fn a_relayed_message_costs_one_allocation() {
    let (asked, _) = serve(MESSAGES, 1500);
    println!("{asked} allocations for {MESSAGES} relayed messages of 1.5 kB");
    assert!(asked >= MESSAGES, "the counter counts");
    assert!(asked <= MESSAGES + ONCE, "{asked} allocations for {MESSAGES} messages");
}

#[test]
fn idle_clients_hold_no_buffers() {
    let (_, small) = serve(3, 10);
    let (_, large) = serve(50, 60_000);
    println!("held by two idle clients: {small} bytes after small messages, {large} after large");
    // What all clients share grows once, to one message and one turn's reading.
    assert!(large - small < 100_000, "{small} and {large} bytes");
    let (_, again) = serve(50, 60_000);
    assert!(again < 1024, "{again} bytes once all that is shared is there");
}
