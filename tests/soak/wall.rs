//! The program as it ships, at twenty times the rate, with a client that polls: its memory.

use crate::say;
use edge::camera::Frame;
use edge::camera::demo::Demo;
use edge::thumb;
use edge_core::pixels::View;
use edge_core::time::Instant as Ms;
use harness::data::Scratch;
use harness::figures::load;
use harness::program::Program;
use harness::socket::resident_kib;
use harness::web;
use signal_proto::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// 40,000 events a day are 28 a minute; a camera that stirs every 10 s makes six.
const CAMERAS: usize = 5;
/// Pictures a second, those in which something moves, and those in which nothing does.
const FPS: usize = 4;
const MOVING: usize = 8;
const STILL: usize = 34;
/// Sides of a picture, those of what moves, and its upper edge.
const SIDES: (usize, usize) = (WIDTH as usize, HEIGHT as usize);
const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const WALKER: (usize, usize) = (80, 180);
const WALKS_AT: usize = 200;
/// Small, so that retention works all the while.
const KEEP: &str = "32MiB";
/// From one look to the next.
const LOOK: Duration = Duration::from_millis(250);
/// What counts is what comes after a quarter of the time.
const WARM: f64 = 0.25;
/// KiB a minute, and from the first minute after that to the last, KiB.
const SLOPE: f64 = 64.0;
const GROWN: f64 = 2_048.0;

/// Runs for so many minutes; whether memory stayed what it was.
pub(crate) fn run(minutes: u64) -> Result<bool, String> {
    let scratch = Scratch::new("soak-wall");
    let pictures = scratch.path().join("pictures");
    film(&pictures)?;
    let data = scratch.path().join("data").display().to_string();
    let cameras: Vec<String> = (1..=CAMERAS)
        .map(|number| format!("camera{number}=replay:{}?fps={FPS}", pictures.display()))
        .collect();
    let signal = Program::start("nightjar-signal", &["--listen", "127.0.0.1:0", "--home"]);
    let url = format!("http://{}", signal.address("http"));
    let mut args = vec!["--data-dir", &data, "--http", "127.0.0.1:0", "--keep-bytes", KEEP];
    args.extend(["--signal", &url]);
    for camera in &cameras {
        args.extend(["--camera", camera]);
    }
    let edge = Program::start("nightjar-edge", &args);
    say(&format!("nightjar-edge for {minutes} min with {CAMERAS} cameras; load {}", load()));
    let samples = poll(&edge, minutes)?;
    if !edge.terminate().success() {
        return Err("nightjar-edge did not end cleanly".into());
    }
    Ok(judge(&samples))
}

/// Resident memory at a time, and the newest event then.
#[derive(Debug, Clone, Copy)]
struct Sample {
    minute: f64,
    kib: f64,
    newest: u64,
}

/// Asks as an open app does, and looks at the memory each time.
fn poll(edge: &Program, minutes: u64) -> Result<Vec<Sample>, String> {
    let address = edge.address("http").to_owned();
    let began = Instant::now();
    let end = Duration::from_secs(minutes * 60);
    let (mut samples, mut told) = (Vec::new(), 0);
    while began.elapsed() < end {
        std::thread::sleep(LOOK);
        let page = web::get(&address, "/api/v1/events?limit=50");
        let id = newest(page.text());
        if let Some(id) = &id {
            for part in ["thumbnail", "picture"] {
                // It may be gone by now, or never have had one.
                web::get(&address, &format!("/api/v1/events/{id}/{part}"));
            }
        }
        if web::get(&address, "/api/v1/status").status != 200 {
            return Err("status does not answer".into());
        }
        let newest = id.and_then(|id| u64::from_str_radix(&id, 16).ok()).unwrap_or(0);
        let minute = began.elapsed().as_secs_f64() / 60.0;
        let kib = resident_kib(edge.pid()) as f64;
        samples.push(Sample { minute, kib, newest });
        let whole = began.elapsed().as_secs() / 60;
        if whole > told {
            told = whole;
            say(&format!("  minute {told:>3}: {newest:>6} events, {kib:.0} KiB"));
        }
    }
    Ok(samples)
}

fn newest(page: &str) -> Option<String> {
    let first = json::elements(json::member(page, "events")?).next()?;
    json::string(json::member(first, "id")?).map(Into::into)
}

/// Says what memory did, and whether that is little.
fn judge(samples: &[Sample]) -> bool {
    let Some(last) = samples.last() else { return false };
    let from = last.minute * WARM;
    let warm: Vec<Sample> = samples.iter().copied().filter(|one| one.minute >= from).collect();
    let slope = slope(&warm);
    let among = |from: f64, to: f64| {
        let within = warm.iter().filter(|one| (from..=to).contains(&one.minute));
        let mut kib: Vec<f64> = within.map(|one| one.kib).collect();
        kib.sort_by(f64::total_cmp);
        kib.get(kib.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let grown = among(last.minute - 1.0, last.minute) - among(from, from + 1.0);
    say(&format!(
        "{} events in {:.1} min, {:.1} a minute; {} looks; load {}",
        last.newest,
        last.minute,
        last.newest as f64 / last.minute,
        samples.len(),
        load()
    ));
    say(&format!(
        "resident memory after minute {from:.1}: slope {slope:+.1} KiB a minute (at most {SLOPE}), \
         {grown:+.0} KiB from its first minute to the last (at most {GROWN})"
    ));
    slope <= SLOPE && grown <= GROWN
}

/// KiB a minute, by least squares.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|one| one.minute), mean(|one| one.kib));
    let over: f64 = samples.iter().map(|one| (one.minute - x) * (one.kib - y)).sum();
    over / samples.iter().map(|one| (one.minute - x).powi(2)).sum::<f64>()
}

/// A folder of pictures: something white crosses the garden, and then nothing moves for a while.
fn film(folder: &Path) -> Result<(), String> {
    let words = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(words)?;
    let mut demo = Demo::open(Ms(0));
    let garden = demo.next(Ms(0)).ok_or("the demo gives no frame")?;
    let mut empty = vec![0; SIDES.0 * SIDES.1 * 3];
    if !garden.view.sample_into(&mut empty, WIDTH, HEIGHT) {
        return Err("the demo's frame is none".into());
    }
    for number in 0..MOVING + STILL {
        let mut rgb = empty.clone();
        if number < MOVING {
            let left = number * (SIDES.0 - WALKER.0) / MOVING;
            for row in rgb.chunks_mut(SIDES.0 * 3).skip(WALKS_AT).take(WALKER.1) {
                row[left * 3..(left + WALKER.0) * 3].fill(250);
            }
        }
        let view = View::rgb(&rgb, WIDTH, HEIGHT, WIDTH * 3).ok_or("a frame has its sides")?;
        let jpeg = thumb::full(&Frame { view, jpeg: None });
        std::fs::write(folder.join(format!("{number:03}.jpg")), jpeg).map_err(words)?;
    }
    Ok(())
}
