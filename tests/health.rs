//! The box's watch over itself, on the shipped binary with the testing doors: a part that
//! stands still is begun anew alone, then the process; a row of crashes ends in a safe start.
#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]

use harness::data::Scratch;
use harness::meeting::wait_until;
use harness::program::Program;
use harness::web::get;
use signal_proto::json;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

fn start(folder: &Path) -> Program {
    let folder = folder.to_str().expect("a path in UTF-8");
    let args = ["--data-dir", folder, "--http", "127.0.0.1:0", "--camera", "demo:"];
    Program::start("nightjar-edge-faults", &args)
}

/// The parts of status and their ages.
fn ages(edge: &Program) -> Vec<(String, u64)> {
    let status = get(edge.address("http"), "/api/v1/status");
    let parts = json::member(status.text(), "parts").expect("parts");
    let part = |part| {
        let name = json::member(part, "name").and_then(json::string).expect("a name");
        let age = json::member(part, "age_ms").expect("an age").parse().expect("a number");
        (name.into_owned(), age)
    };
    json::elements(parts).map(part).collect()
}

fn stall(edge: &Program, part: &str) {
    let answer = get(edge.address("http"), &format!("/api/v1/test/stall?part={part}"));
    assert_eq!(answer.status, 204, "{part}");
}

fn frames_flow(edge: &Program) -> bool {
    let picture = get(edge.address("http"), "/api/v1/cameras/camera/snapshot");
    picture.status == 200
}

#[test]
fn every_part_shows_its_progress() {
    let folder = Scratch::new("health-ages");
    let edge = start(folder.path());
    wait_until("frames flow", Duration::from_secs(20), || frames_flow(&edge));
    for _ in 0..20 {
        let ages = ages(&edge);
        let names: Vec<_> = ages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["capture", "eye", "store", "net", "http"]);
        assert!(ages.iter().all(|(_, age)| *age < 5_000), "{ages:?}");
    }
    let answer = get(edge.address("http"), "/api/v1/test/stall?part=nobody");
    assert_eq!(answer.status, 400);
}

#[test]
fn an_eye_that_stands_still_is_begun_anew_alone() {
    let folder = Scratch::new("health-eye");
    let edge = start(folder.path());
    wait_until("frames flow", Duration::from_secs(20), || frames_flow(&edge));
    stall(&edge, "eye");
    wait_until("its age grows", Duration::from_secs(30), || {
        ages(&edge).iter().any(|(name, age)| name == "eye" && *age > 5_000)
    });
    assert!(!frames_flow(&edge));
    let words = " s; it is begun anew";
    wait_until(words, Duration::from_secs(90), || edge.log().contains(words));
    wait_until("frames flow again", Duration::from_secs(20), || frames_flow(&edge));
    let (status, log) = edge.end();
    assert!(status.success(), "{log}");
}

#[test]
fn a_door_that_stands_still_is_begun_anew_alone() {
    let folder = Scratch::new("health-http");
    let edge = start(folder.path());
    // The gate, which takes all connections: nobody is answered until it is replaced, maybe not
    // even this request.
    let mut stream = TcpStream::connect(edge.address("http")).expect("it listens");
    let ask = b"GET /api/v1/test/stall?part=http HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(ask).expect("it reads");
    let start = Instant::now();
    let words = " s; it is begun anew";
    wait_until(words, Duration::from_mins(1), || edge.log().contains(words));
    assert!(start.elapsed() > Duration::from_secs(25), "{:?}", start.elapsed());
    assert_eq!(get(edge.address("http"), "/api/v1/status").status, 200);
}

/// The net thread twice: the second time the process ends, and three of these make a safe start.
#[test]
fn what_stands_still_again_ends_the_process() {
    let folder = Scratch::new("health-net");
    let edge = start(folder.path());
    stall(&edge, "net");
    let words = " s; it is begun anew";
    wait_until(words, Duration::from_secs(40), || edge.log().contains(words));
    assert!(ages(&edge).iter().all(|(_, age)| *age < 5_000), "it lives again");
    stall(&edge, "net");
    let (status, log) = edge.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(" s, so this program ends"), "{log}");
    assert_eq!(fs::read_to_string(folder.path().join("crashes")).expect("a file"), "1\n");

    fs::write(folder.path().join("crashes"), "3\n").expect("a file can be written");
    let edge = start(folder.path());
    let status = get(edge.address("http"), "/api/v1/status");
    assert_eq!(json::member(status.text(), "safe"), Some("true"), "{}", status.text());
    assert_eq!(json::member(status.text(), "cameras"), Some("[]"));
    assert_eq!(get(edge.address("http"), "/api/v1/events").status, 200);
    assert!(edge.log().contains("3 crashes in a row"), "{}", edge.log());
    assert!(edge.terminate().success());
    let edge = start(folder.path());
    wait_until("an owner's stop ends the row", Duration::from_secs(20), || frames_flow(&edge));
}
