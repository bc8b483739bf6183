//! The plug is pulled, again and again: what was listed is there afterwards, with its pictures.

use harness::data::Scratch;
use harness::program::Program;
use harness::web;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a start may take to list something new.
const LISTED_WITHIN: Duration = Duration::from_mins(1);

/// Kills of the program, each at another moment: in a long run, and in any other.
const KILLS: u64 = 1000;
const FEW_KILLS: u64 = 50;

/// One page of ids, newest first, and where the next one begins.
fn page(address: &str, before: &str) -> (Vec<String>, Option<String>) {
    let page = web::get(address, &format!("/api/v1/events?limit=200{before}"));
    assert_eq!(page.status, 200, "{}", page.text());
    let page: serde_json::Value = serde_json::from_slice(&page.body).expect("JSON");
    let events = page["events"].as_array().expect("a list");
    let ids = events.iter().map(|event| event["id"].as_str().expect("a text").to_owned());
    (ids.collect(), page["next"].as_str().map(|next| format!("&before={next}")))
}

/// The newest ids, newest first.
fn listed(address: &str) -> Vec<String> {
    page(address, "").0
}

/// All ids, newest first.
fn all_listed(address: &str) -> Vec<String> {
    let (mut ids, mut next) = page(address, "");
    while let Some(before) = next {
        let (more, after) = page(address, &before);
        ids.extend(more);
        next = after;
    }
    ids
}

/// Those of the newest events that have not ended.
fn open_ones(address: &str) -> Vec<String> {
    let page = web::get(address, "/api/v1/events?limit=200");
    let page: serde_json::Value = serde_json::from_slice(&page.body).expect("JSON");
    let events = page["events"].as_array().expect("a list").iter();
    let open = events.filter(|event| event["ended_ms"].is_null());
    open.map(|event| event["id"].as_str().expect("a text").to_owned()).collect()
}

fn jpeg(address: &str, path: &str) -> bool {
    let picture = web::get(address, path);
    picture.status == 200 && picture.body.starts_with(&[0xff, 0xd8])
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a deadline for a program that does not list")]
fn a_kill_at_any_moment_loses_nothing_that_was_listed() {
    let scratch = Scratch::new("kill");
    let data = scratch.path().to_str().expect("a scratch path is UTF-8");
    let mut args = vec!["--data-dir", data, "--http", "127.0.0.1:0"];
    for camera in ["a=demo:", "b=demo:", "c=demo:"] {
        args.extend(["--camera", camera]);
    }
    let mut seen = BTreeSet::new();
    let mut seed = 7_u64;
    let kills = if harness::rounds(KILLS) == KILLS { KILLS } else { FEW_KILLS };
    for round in 0..kills {
        let edge = Program::start("nightjar-edge", &args);
        let address = edge.address("http").to_owned();
        let there: BTreeSet<_> = all_listed(&address).into_iter().collect();
        for id in &seen {
            assert!(there.contains(id), "{id}, listed before, is lost in round {round}");
            for part in ["thumbnail", "picture"] {
                let path = format!("/api/v1/events/{id}/{part}");
                assert!(jpeg(&address, &path), "{path} in round {round}");
            }
        }
        for id in open_ones(&address) {
            assert!(
                !seen.contains(&id),
                "{id}, left open by a kill, is not closed in round {round}"
            );
        }

        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let lives = Duration::from_millis((seed >> 33) % 1500);
        let start = Instant::now();
        let mut first = None;
        loop {
            let now = listed(&address);
            if first.is_none() && now.iter().any(|id| !there.contains(id)) {
                first = Some(Instant::now());
            }
            seen.extend(now);
            if first.is_some_and(|at| at.elapsed() >= lives) {
                break;
            }
            assert!(start.elapsed() < LISTED_WITHIN, "nothing new is listed in round {round}");
        }
        edge.kill();
    }
    assert!(seen.len() >= 5, "{} events", seen.len());
}

#[test]
fn a_clean_stop_leaves_nothing_open_and_nothing_damaged() {
    let scratch = Scratch::new("stop");
    let data = scratch.path().to_str().expect("a scratch path is UTF-8");
    let args = ["--data-dir", data, "--http", "127.0.0.1:0", "--camera", "demo:"];
    let edge = Program::start("nightjar-edge", &args);
    let address = edge.address("http").to_owned();
    while listed(&address).is_empty() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = listed(&address);
    assert_eq!(edge.terminate().code(), Some(0));
    let edge = Program::start(
        "nightjar-edge",
        &["--data-dir", data, "--http", "127.0.0.1:0", "--camera", "replay:/nowhere"],
    );
    let address = edge.address("http").to_owned();
    let events = web::get(&address, "/api/v1/events?kind=object,motion");
    assert!(!events.text().contains("\"ended_ms\":null"), "{}", events.text());
    assert!(before.iter().all(|id| events.text().contains(id)));
    assert!(web::get(&address, "/api/v1/status").text().contains("\"quarantined\":0"));
}
