//! The browser's machine and the box's session, as shipped, with WebRTC between them, in virtual
//! time over a seeded network: 0 to 20 % loss, reordering, round trips of 50 to 500 ms, outages
//! up to 30 s, pages loaded anew and boxes that lose their power, old pages and old boxes.
//!
//! Every request ends once: with its own body, told by its hash, or with a clear error; no body
//! is joined of two; nothing is put twice; nothing is left behind. A run is its seed:
//! `NIGHTJAR_SEED=N cargo test --release -p tests --test lab -- --nocapture` runs one and tells
//! all of it, `A..B` runs some. What is asked, what breaks, and the fate of each link's n-th
//! datagram follow from it; keys and the timers of the DTLS handshake are drawn anew.
#![expect(clippy::disallowed_methods, reason = "a long run says how long it took")]
#![expect(clippy::print_stderr, reason = "runs are told where they are asked for, or fail")]

mod house;
mod network;
mod page;
mod plan;
mod world;

use edge::identity::Identity;
use harness::{data, rounds};
use page::Page;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use world::{Tally, World};

/// Runs, whole.
const RUNS: u64 = 10_000;

fn identity() -> Identity {
    let provider = str0m::crypto::from_feature_flags().dtls_provider;
    let certificate = provider.generate_certificate().expect("a certificate");
    Identity { peer_id: String::new(), token: String::new(), certificate }
}

#[test]
fn every_request_ends_once_and_right() {
    let Some(page) = Page::start() else {
        return data::left_out("the lab", "no node");
    };
    let wanted = std::env::var("NIGHTJAR_SEED").unwrap_or_default();
    if let Ok(seed) = wanted.parse() {
        let mut page = page;
        eprintln!("{:?}", World::new(seed, &mut page, &identity(), true).run());
        return;
    }
    drop(page);
    let some = wanted.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    let seeds: Range<u64> = some.unwrap_or(0..rounds(RUNS));
    let began = Instant::now();
    let (next, total, failed) = (AtomicU64::new(seeds.start), Mutex::default(), Mutex::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(seeds.end, &next, &total, &failed));
        }
    });
    let total: Tally = total.into_inner().expect("counted");
    let failed: Vec<u64> = failed.into_inner().expect("counted");
    eprintln!("{total:?} in {} s", began.elapsed().as_secs());
    assert!(failed.is_empty(), "NIGHTJAR_SEED for each that failed: {failed:?}");
    assert!(total.right > 5 * total.runs && total.rests > 0 && total.pushes > 0, "{total:?}");
}

/// Runs one seed after the other, until none is left.
fn work(end: u64, next: &AtomicU64, total: &Mutex<Tally>, failed: &Mutex<Vec<u64>>) {
    let identity = identity();
    let mut page = Page::start().expect("there is node");
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let run = || World::new(seed, &mut page, &identity, false).run();
        let ran = catch_unwind(AssertUnwindSafe(run));
        if let Ok(tally) = ran {
            total.lock().expect("counted").add(tally);
        } else {
            failed.lock().expect("counted").push(seed);
            page = Page::start().expect("there is node");
        }
    }
}
