//! The program itself: its options, its log and its end.

use harness::data::Scratch;
use harness::meeting::{Server, offer};
use harness::program::binary;
use harness::web::get;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};
use tungstenite::Message;

/// S23, and what the log does say.
#[test]
fn the_log_knows_nobody() {
    let program = Server::start(&[]).program;
    let at = program.address("http").to_owned();
    let url = format!("ws://{at}/peerjs?key=peerjs&id=private-id&token=private-token");
    let stream = TcpStream::connect(&at).expect("the server listens");
    let (mut socket, _) = tungstenite::client(url, stream).expect("an upgrade");
    for text in [offer("nobody", "\"private-sdp\""), "private-noise".into()] {
        socket.send(Message::text(text)).expect("the server reads");
    }
    get(&at, "/peerjs/private-id/private-token/room/id");
    program.signal("TERM");
    while let Ok(message) = socket.read() {
        drop(message);
    }
    let (status, log) = program.end();
    assert!(status.success() && log.contains("stopping"), "{log}");
    assert!(!log.contains("private") && !log.contains("127.0.0.1"), "{log}");
}

/// At the end, clients are told, and nobody waits long.
#[test]
fn the_end_is_told_and_quick() {
    let server = Server::start(&[]);
    let mut polite = server.enter("polite");
    let _deaf = server.enter("deaf");
    let _visitor = TcpStream::connect(&server.at).expect("the server listens");
    let told = std::thread::spawn(move || polite.hear_close());
    let start = Instant::now();
    assert_eq!(server.program.terminate().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(told.join().expect("a close"), Some(1001));
}

/// One clear line and exit code 2.
#[test]
fn mistakes_are_named() {
    let server = Server::start(&[]);
    let folder = Scratch::new("mistakes");
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").expect("a file can be written");
    let empty = empty.to_str().expect("a plain path");
    let table: [(&[&str], &str); 6] = [
        (&["--listen", &server.at], "--listen 127.0.0.1"),
        (&["--stun", "256.0.0.1:1"], "--stun"),
        (&["--prot", "x"], "unknown option --prot"),
        (&["--metrics", &server.at], "--metrics 127.0.0.1"),
        (&["--tls-cert", empty, "--tls-key", empty], "--tls-cert /"),
        (&["--turn-url", "turn:a", "--turn-secret", "/nowhere/secret"], "/nowhere/secret"),
    ];
    for (args, text) in table {
        let output =
            Command::new(binary("nightjar-signal")).args(args).output().expect("the binary starts");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {log}");
        assert!(log.contains(text) && log.lines().count() == 1, "{args:?}: {log}");
        assert!(output.stdout.is_empty());
    }
    let help = Command::new(binary("nightjar-signal")).arg("--help").output().expect("it starts");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("--listen") && help.contains("--metrics"));
}
