//! STUN, and what `ice` offers.

use harness::data::Scratch;
use harness::meeting::{Server, text_member};
use harness::web::request;
use signal_proto::json;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// RFC 5769 s2.1, byte for byte.
const RFC_5769_REQUEST: [u8; 108] = [
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
    0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
];

/// STUN on UDP, and the server's own name in what `ice` offers; TURN with a password that
/// anybody with the secret can make again.
#[test]
fn stun_answers_and_ice_offers() {
    let folder = Scratch::new("turn");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "north\n").expect("a file can be written");
    let secret = secret.to_str().expect("a plain path");
    let turn = "turn:turn.example:3478?transport=udp";
    let server =
        Server::start(&["--stun", "127.0.0.1:0", "--turn-url", turn, "--turn-secret", secret]);
    let at: SocketAddr = server.program.address("stun").parse().expect("an address");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
    for noise in [&b"hello"[..], &[0; 20]] {
        socket.send_to(noise, at).expect("a datagram");
    }
    // RFC 5769: the head of its sample request, of a Binding request without attributes ...
    let cookie = [0x21, 0x12, 0xa4, 0x42];
    let transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
    let ask = [&[0x00, 0x01, 0x00, 0x00][..], &cookie, &transaction].concat();
    socket.send_to(&ask, at).expect("a datagram");
    let mut answer = [0; 100];
    let (length, from) = socket.recv_from(&mut answer).expect("an answer");
    // ... and of its sample answer, with XOR-MAPPED-ADDRESS: for 192.0.2.1:32853 that is
    // a1 47 e1 12 a6 43, so the port is masked by 21 12 and the address by the cookie.
    assert_eq!([0xa1 ^ 0x21, 0x47 ^ 0x12], 32853_u16.to_be_bytes());
    assert_eq!([0xe1 ^ 0x21, 0x12 ^ 0x12, 0xa6 ^ 0xa4, 0x43 ^ 0x42], [192, 0, 2, 1]);
    let [high, low] = socket.local_addr().expect("an address").port().to_be_bytes();
    let mapped = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, high ^ 0x21, low ^ 0x12];
    let address = [127 ^ 0x21, 0x12, 0xa4, 1 ^ 0x42];
    let expected =
        [&[0x01, 0x01, 0x00, 0x0c][..], &cookie, &transaction, &mapped, &address].concat();
    assert_eq!((from, &answer[..length]), (at, &expected[..]));

    // Each bit of a later request counts: its FINGERPRINT is right, so PRIORITY, which is no
    // business of ours, is named as what was not understood.
    socket.send_to(&RFC_5769_REQUEST, at).expect("a datagram");
    let (length, _) = socket.recv_from(&mut answer).expect("an answer");
    let refusal = [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, 2, 0, 0x24, 0, 0];
    let expected = [&[0x01, 0x11, 0x00, 0x10][..], &cookie, &transaction, &refusal].concat();
    assert_eq!(answer[..length], expected);

    let ice = request(&server.at, "GET", "/ice", &[("Host", "meet.example:443")], b"");
    let servers = json::member(ice.text(), "iceServers").expect("servers");
    let servers: Vec<_> = json::elements(servers).collect();
    let expected = format!("{{\"urls\":\"stun:meet.example:{}\"}}", at.port());
    assert_eq!(servers[0], expected);
    assert_eq!(text_member(servers[1], "urls"), turn);
    let username = text_member(servers[1], "username");
    let password = harness::turn::password(b"north", username.as_bytes());
    assert_eq!(text_member(servers[1], "credential"), password);
}
