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
/// Programs that are killed at once, each with a store of its own: a round mostly waits for the
/// first event of its cameras.
const STORES: u64 = 5;

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
fn a_kill_at_any_moment_loses_nothing_that_was_listed() {
    let kills = if harness::rounds(KILLS) == KILLS { KILLS } else { FEW_KILLS };
    std::thread::scope(|scope| {
        for store in 0..STORES {
            scope.spawn(move || kill_one(store, kills.div_ceil(STORES)));
        }
    });
}

/// Kills one store's program, again and again.
fn kill_one(store: u64, kills: u64) {
    let scratch = Scratch::new(&format!("kill-{store}"));
    let data = scratch.path().to_str().expect("a scratch path is UTF-8");
    let mut args = vec!["--data-dir", data, "--http", "127.0.0.1:0"];
    for camera in ["a=demo:", "b=demo:", "c=demo:"] {
        args.extend(["--camera", camera]);
    }
    let mut seen = BTreeSet::new();
    let mut seed = 7 + store;
    for kill in 0..kills {
        let round = format!("round {kill} of store {store}");
        let edge = Program::start("nightjar-edge", &args);
        let address = edge.address("http").to_owned();
        let there: BTreeSet<_> = all_listed(&address).into_iter().collect();
        check_seen(&address, &seen, &there, &round);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let lives = Duration::from_millis((seed >> 33) % 1500);
        live(&address, &there, &mut seen, lives, &round);
        edge.kill();
    }
    assert!(seen.len() >= 5, "{} events", seen.len());
}

/// What was listed before is there, with its pictures, and closed.
fn check_seen(address: &str, seen: &BTreeSet<String>, there: &BTreeSet<String>, round: &str) {
    for id in seen {
        assert!(there.contains(id), "{id}, listed before, is lost in {round}");
        for part in ["thumbnail", "picture"] {
            let path = format!("/api/v1/events/{id}/{part}");
            assert!(jpeg(address, &path), "{path} in {round}");
        }
    }
    for id in open_ones(address) {
        assert!(!seen.contains(&id), "{id}, left open by a kill, is not closed in {round}");
    }
}

/// Notes what is listed until `lives` after something new is.
#[expect(clippy::disallowed_methods, reason = "a deadline for a program that does not list")]
fn live(
    address: &str,
    there: &BTreeSet<String>,
    seen: &mut BTreeSet<String>,
    lives: Duration,
    round: &str,
) {
    let start = Instant::now();
    let mut first = None;
    while first.is_none_or(|at: Instant| at.elapsed() < lives) {
        let now = listed(address);
        if first.is_none() && now.iter().any(|id| !there.contains(id)) {
            first = Some(Instant::now());
        }
        seen.extend(now);
        assert!(
            first.is_some() || start.elapsed() < LISTED_WITHIN,
            "nothing new is listed in {round}"
        );
    }
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
