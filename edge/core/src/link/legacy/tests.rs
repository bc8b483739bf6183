//! The legacy machine against a client that trusts the order of messages, as `PeerFetch` does,
//! over channels that keep the order and channels that do not.

use super::*;
use crate::link::responder::tests::Dice;
use std::format;
use std::string::{String as Text, ToString};
use std::vec;
use std::vec::Vec as List;

const STATUS: &str = r#"{"url":"http://localhost:8778/api/status?","method":"GET"}"#;

fn head(status: u16, length: usize) -> ResponseHead {
    let length = u32::try_from(length).expect("small");
    ResponseHead { status, content_type: "application/json", length, etag: None }
}

/// What one output puts on the wire, in words.
fn said(box_: &mut Legacy) -> Text {
    let mut buf = [0; HEADER_BYTES];
    match box_.poll_output(&mut buf) {
        Output::Text { length } => Text::from_utf8_lossy(&buf[..length]).into_owned(),
        Output::Words(words) => words.to_string(),
        Output::Own(words) => format!("own {words}"),
        Output::Body(ask) => format!("body {}", ask.0),
        Output::Request { head, .. } => format!("{} {}", head.method, head.path),
        Output::Flooded => "flooded".to_string(),
        Output::Timeout(_) => "-".to_string(),
    }
}

#[test]
fn urls_become_paths_and_hosts_mean_nothing() {
    for (url, path) in [
        ("http://localhost:8778/api/status?", "/api/status"),
        ("http://localhost:8778/api/timeline?page=2.2", "/api/timeline?page=2.2"),
        ("https://user:word@10.0.0.1/latest/meta-data", "/latest/meta-data"),
        ("file:///etc/passwd", "/etc/passwd"),
        ("http://localhost:8778", "/"),
        ("http://localhost?x=1", "/?x=1"),
        ("/api/x?u=http://a/b", "/api/x?u=http://a/b"),
        ("api/status", "/api/status"),
        ("", "/"),
        ("http://h/a#b", "/a"),
    ] {
        assert_eq!(local_path(url).as_deref(), Some(path), "{url}");
    }
    assert_eq!(local_path(&"x".repeat(PATH_BYTES)), None);
}

#[test]
fn a_request_is_answered_by_a_header_and_one_body() {
    let mut box_ = Legacy::new(Instant(0), true, BODY_BYTES);
    box_.handle_message(Instant(0), STATUS.as_bytes());
    assert_eq!(said(&mut box_), "GET /api/status");
    assert_eq!(said(&mut box_), "-");
    assert!(box_.handle_answer(Ask(0), head(200, 15)));
    assert_eq!(
        said(&mut box_),
        r#"{"status":200,"content-type":"application/json","content-length":15}"#
    );
    assert_eq!(said(&mut box_), "body 0");
    assert_eq!(said(&mut box_), "-");
    assert!(!box_.handle_answer(Ask(0), head(200, 15)));
}

#[test]
fn no_content_has_no_body_and_nothing_has_an_empty_one() {
    for (status, then) in [(204, "-"), (200, "body 0"), (404, "body 0")] {
        let mut box_ = Legacy::new(Instant(0), true, BODY_BYTES);
        box_.handle_message(Instant(0), STATUS.as_bytes());
        said(&mut box_);
        assert!(box_.handle_answer(Ask(0), head(status, 0)));
        assert!(said(&mut box_).starts_with(&format!("{{\"status\":{status}")));
        assert_eq!(said(&mut box_), then);
        assert_eq!(said(&mut box_), "-");
    }
}

#[test]
fn pings_and_what_cannot_be_read_are_answered_in_turn() {
    let deep = format!("{{\"url\":\"/\",\"json\":{}", "[".repeat(3000));
    let long = format!("{{\"url\":\"/\",\"data\":\"{}\"}}", "x".repeat(REQUEST_BYTES));
    for (request, status, body) in [
        (r#"{"url":"ping?","method":"GET"}"#, 200, "pong"),
        (r#"{"url":"ping"}"#, 200, "pong"),
        ("no json", 400, "own {\"error\":{\"code\":\"malformed\""),
        ("", 400, "own {\"error\""),
        ("\u{0}\u{ff}", 400, "own {\"error\""),
        (r#"{"method":"GET"}"#, 400, "own {\"error\""),
        (&deep, 400, "own {\"error\""),
        (&long, 413, "own {\"error\""),
    ] {
        let mut box_ = Legacy::new(Instant(0), true, BODY_BYTES);
        box_.handle_message(Instant(0), request.as_bytes());
        box_.handle_message(Instant(0), br#"{"url":"/api/x","method":"PATCH","data":{"a":1}}"#);
        let header = said(&mut box_);
        assert!(header.starts_with(&format!("{{\"status\":{status},")), "{request}: {header}");
        assert!(said(&mut box_).starts_with(body), "{request}");
        assert_eq!(said(&mut box_), "-", "{request}: the answer before is in flight");
        box_.handle_buffered(0);
        assert_eq!(said(&mut box_), "PATCH /api/x", "{request}");
    }
}

#[test]
fn answers_that_do_not_fit_one_message_are_413() {
    for (limit, length, fits) in
        [(1 << 30, BODY_BYTES, true), (1 << 30, BODY_BYTES + 1, false), (65_536, 65_537, false)]
    {
        let mut box_ = Legacy::new(Instant(0), true, limit);
        box_.handle_message(Instant(0), STATUS.as_bytes());
        said(&mut box_);
        assert_eq!(box_.handle_answer(Ask(0), head(200, length)), fits);
        let status = if fits { "{\"status\":200" } else { "{\"status\":413" };
        assert!(said(&mut box_).starts_with(status), "{length}");
    }
}

#[test]
fn slow_answers_are_kept_alive_and_late_ones_replaced() {
    let mut box_ = Legacy::new(Instant(0), true, BODY_BYTES);
    box_.handle_message(Instant(0), STATUS.as_bytes());
    said(&mut box_);
    let mut keepalives = 0;
    for at in (0..ANSWER_WITHIN_MS).step_by(100) {
        box_.handle_timeout(Instant(at));
        while said(&mut box_) == WORKING {
            keepalives += 1;
        }
    }
    assert_eq!(keepalives, 14);
    box_.handle_timeout(Instant(ANSWER_WITHIN_MS));
    assert!(said(&mut box_).starts_with("{\"status\":504,"));
    assert!(said(&mut box_).starts_with("own {\"error\":{\"code\":\"late\""));
    assert!(!box_.handle_answer(Ask(0), head(200, 1)), "too late");
    box_.handle_buffered(0);
    box_.handle_message(Instant(20_000), STATUS.as_bytes());
    assert_eq!(said(&mut box_), "GET /api/status");
}

#[test]
fn who_asks_has_the_answer_before() {
    for ordered in [true, false] {
        let mut box_ = Legacy::new(Instant(0), ordered, BODY_BYTES);
        for round in 0..3 {
            box_.handle_message(Instant(0), STATUS.as_bytes());
            box_.handle_buffered(UNACKNOWLEDGED_BYTES + 1);
            assert_eq!(said(&mut box_), "-", "too much is on its way");
            box_.handle_buffered(9);
            assert_eq!(said(&mut box_), "GET /api/status");
            assert!(box_.handle_answer(Ask(round), head(200, 5)));
            assert!(said(&mut box_).starts_with("{\"status\":200"), "round {round}");
            box_.handle_buffered(9 + 70);
            let body = format!("body {round}");
            assert_eq!(said(&mut box_), if ordered { body.as_str() } else { "-" });
            box_.handle_buffered(0);
            assert_eq!(said(&mut box_), if ordered { "-" } else { body.as_str() });
        }
    }
}

#[test]
fn a_flood_ends_the_session() {
    let mut box_ = Legacy::new(Instant(0), true, BODY_BYTES);
    for _ in 0..=QUEUE {
        assert_ne!(said(&mut box_), "flooded");
        box_.handle_message(Instant(0), STATUS.as_bytes());
    }
    box_.handle_message(Instant(0), STATUS.as_bytes());
    assert_eq!(said(&mut box_), "flooded");
}

/// A message towards the client: when it arrives, when the box knows that it did.
struct Flight {
    arrives: u64,
    acknowledged: u64,
    text: bool,
    bytes: Text,
}

/// One run of `count` requests, one after the other; gives the longest answer time, ms.
fn run(seed: u64, ordered: bool, count: u32) -> u64 {
    let mut dice = Dice(seed);
    let mut box_ = Legacy::new(Instant(0), ordered, BODY_BYTES);
    let (mut now, mut slowest, mut asked_at) = (0, 0, 0);
    let mut flights: List<Flight> = vec![];
    let mut answer: Option<(u64, Ask)> = None;
    let mut request: Option<(u64, u32)> = Some((0, 0));
    let mut expect_body = false;
    let mut answered = 0;
    while answered < count {
        if let Some((at, number)) = request
            && at <= now
        {
            let json = format!("{{\"url\":\"http://x/{number}?\",\"method\":\"GET\"}}");
            box_.handle_message(Instant(now), json.as_bytes());
            request = None;
            asked_at = now;
        }
        if let Some((at, ask)) = answer
            && at <= now
        {
            box_.handle_answer(ask, head(200, 5));
            answer = None;
        }
        box_.handle_timeout(Instant(now));
        loop {
            let unacknowledged = flights.iter().filter(|flight| flight.acknowledged > now).count();
            box_.handle_buffered(unacknowledged);
            let mut buf = [0; HEADER_BYTES];
            let (text, bytes) = match box_.poll_output(&mut buf) {
                Output::Request { ask, .. } => {
                    let slow = dice.below(8) == 0;
                    answer = Some((now + dice.below(if slow { 17_000 } else { 1500 }), ask));
                    continue;
                }
                Output::Text { length } => (true, Text::from_utf8_lossy(&buf[..length]).into()),
                Output::Words(words) => (true, words.to_string()),
                Output::Own(words) => (false, words.to_string()),
                Output::Body(_) => (false, "whole".to_string()),
                Output::Flooded => panic!("one request at a time"),
                Output::Timeout(at) => {
                    assert!(at.0 > now, "time goes on");
                    break;
                }
            };
            // A lost packet costs a retransmission timeout of a second.
            let travel = 5 + dice.below(40) + if dice.below(10) == 0 { 1000 } else { 0 };
            let before = flights.iter().map(|flight| flight.arrives).max().unwrap_or(0);
            let arrives = if ordered { before.max(now + travel) } else { now + travel };
            let acknowledged = arrives + 5 + dice.below(200);
            flights.push(Flight { arrives, acknowledged, text, bytes });
        }
        flights.sort_by_key(|flight| flight.arrives);
        let mut keep = vec![];
        for flight in core::mem::take(&mut flights) {
            if flight.arrives > now {
                keep.push(flight);
                continue;
            }
            if !flight.bytes.is_empty() {
                if expect_body {
                    assert!(!flight.text, "seed {seed}: {:?} for a body", flight.bytes);
                    expect_body = false;
                    answered += 1;
                    slowest = slowest.max(now - asked_at);
                    request = Some((now + dice.below(50), answered));
                } else if flight.bytes != WORKING {
                    assert!(flight.text, "seed {seed}: a body before its header");
                    expect_body = true;
                }
            }
            if flight.acknowledged > now {
                keep.push(Flight { bytes: Text::new(), ..flight });
            }
        }
        flights = keep;
        now += 1 + dice.below(10);
    }
    slowest
}

#[test]
fn no_client_ever_takes_one_message_for_another() {
    for seed in 0..30 {
        for ordered in [true, false] {
            let slowest = run(seed, ordered, 40);
            assert!(slowest < 20_000, "seed {seed}: the client gave up after {slowest} ms");
        }
    }
}
