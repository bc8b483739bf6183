//! What offers that flood in take from the eye: its frame rate with and without them, in turns.
//!
//! ```text
//! cargo bench -p tests --bench flood                  5 rounds
//! cargo bench -p tests --bench flood -- --rounds N    N rounds
//! ```
//! Phones that nobody knows offer as fast as the signaling server lets them, each time another
//! connection. The box sees pictures that all move, and looks into each of them.

use harness::data::{self, Scratch};
use harness::figures::load;
use harness::program::Program;
use harness::socket::{Socket, frame, resident_kib, source};
use harness::web;
use signal_proto::json;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use str0m::RtcConfig;
use str0m::channel::ChannelConfig;

/// Phones that flood; the server takes 50 messages a second of each.
const PHONES: usize = 16;
/// Between two messages of one phone.
const EACH: Duration = Duration::from_millis(21);
/// Until the box counts only frames of this turn, and how long it is looked at then.
const SETTLE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_secs(8);
/// Pictures a second that the box is shown.
const FPS: u32 = 10;
/// What is left of the frame rate has to be more.
const KEPT: f64 = 0.9;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let rounds = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(5),
        ["--rounds", number] => number.parse().map_err(|_| format!("--rounds {number}: no number")),
        _ => Err(format!("{words:?}: expected --rounds N")),
    };
    match rounds.and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "flood: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// What one turn gave.
#[derive(Debug, Clone, Copy)]
struct Turn {
    fps: f64,
    cpu: f64,
    offers: u64,
}

fn run(rounds: usize) -> Result<bool, String> {
    let model =
        data::model("ssd_mobilenet_v1_coco_quant.tflite").ok_or("no model: set NIGHTJAR_MODELS")?;
    let pictures = data::pictures(".").ok_or("no pictures: set NIGHTJAR_PICTURES")?;
    let signal = Program::start("nightjar-signal", &["--listen", "127.0.0.1:0", "--home"]);
    let folder = Scratch::new("flood");
    let url = format!("http://{}", signal.address("http"));
    let camera = format!("replay:{}?fps={FPS}", pictures.display());
    let [data, model] = [folder.path(), &model].map(|path| path.display().to_string());
    let options = ["--data-dir", &data, "--http", "127.0.0.1:0", "--signal", &url];
    let edge = Program::start(
        "nightjar-edge",
        &[&options[..], &["--camera", &camera, "--model", &model]].concat(),
    );
    let at: SocketAddr = signal.address("http").parse().map_err(|_| "no address")?;
    say(&format!("load average {}; {PHONES} phones, {FPS} pictures a second", load()));
    say("round  fps quiet  fps flooded  kept   offers/s  edge CPU s quiet  flooded  RSS KiB");
    let mut kept = Vec::new();
    for round in 1..=rounds {
        let quiet = look(&edge, None)?;
        let flooded = look(&edge, Some(at))?;
        kept.push(flooded.fps / quiet.fps);
        say(&format!(
            "{round:5}  {:9.2}  {:11.2}  {:.3}  {:8.0}  {:16.2}  {:7.2}  {:7}",
            quiet.fps,
            flooded.fps,
            flooded.fps / quiet.fps,
            flooded.offers as f64 / (SETTLE + LOOK).as_secs_f64(),
            quiet.cpu,
            flooded.cpu,
            resident_kib(edge.pid()),
        ));
    }
    kept.sort_by(f64::total_cmp);
    let median = kept.get(kept.len() / 2).copied().unwrap_or_default();
    say(&format!(
        "the eye keeps {:.1} % of its frames (median); load average {}",
        median * 100.0,
        load()
    ));
    Ok(median >= KEPT)
}

/// Looks at the box for a while, flooded through the server at `flood` or not.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn look(edge: &Program, flood: Option<SocketAddr>) -> Result<Turn, String> {
    let offers = Arc::new(AtomicU64::new(0));
    let end = Arc::new(AtomicBool::new(false));
    let id = text(edge, "peer_id")?;
    let frame = Arc::new(offer(&id));
    let phones: Vec<_> = (0..PHONES)
        .filter_map(|number| {
            let (at, frame) = (flood?, Arc::clone(&frame));
            let (offers, end) = (Arc::clone(&offers), Arc::clone(&end));
            Some(std::thread::spawn(move || pour(at, number, &frame, &offers, &end)))
        })
        .collect();
    std::thread::sleep(SETTLE);
    let (began, cpu) = (Instant::now(), cpu(edge));
    let mut rates = Vec::new();
    while began.elapsed() < LOOK {
        std::thread::sleep(Duration::from_millis(500));
        let rate = text(edge, "cameras").and_then(|cameras| {
            let camera = json::elements(&cameras).next().and_then(|it| json::member(it, "fps"));
            camera.and_then(|fps| fps.parse::<f64>().ok()).ok_or_else(|| "no fps".to_owned())
        });
        rates.push(rate?);
    }
    let cpu = self::cpu(edge) - cpu;
    end.store(true, Ordering::Relaxed);
    for phone in phones {
        phone.join().map_err(|_| "a phone panicked")??;
    }
    let fps = rates.iter().sum::<f64>() / rates.len() as f64;
    Ok(Turn { fps, cpu, offers: offers.load(Ordering::Relaxed) })
}

/// One phone's offers, until the end.
fn pour(
    at: SocketAddr,
    number: usize,
    frame: &[u8],
    offers: &AtomicU64,
    end: &AtomicBool,
) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("a phone: {error}");
    let mut socket =
        Socket::enter(source(30 + number), at, &format!("phone-{number}")).map_err(fail)?;
    let mut frame = frame.to_vec();
    let digits = frame.windows(12).position(|it| it == b"000000000000").ok_or("no digits")?;
    socket.stream().set_read_timeout(Some(EACH)).map_err(fail)?;
    while !end.load(Ordering::Relaxed) {
        let count = offers.fetch_add(1, Ordering::Relaxed);
        frame[digits..digits + 12].copy_from_slice(format!("{count:012}").as_bytes());
        socket.stream().write_all(&frame).map_err(fail)?;
        // Waits, and reads what is answered, or the server would cut us off.
        while socket.fill().is_ok() {
            while socket.next().map_err(fail)?.is_some() {}
        }
    }
    Ok(())
}

/// A whole offer, as a browser's would be, in a client's frame.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn offer(edge: &str) -> Vec<u8> {
    let mut phone = RtcConfig::new().build(Instant::now());
    let mut change = phone.sdp_api();
    change.add_channel_with_config(ChannelConfig {
        label: "nightjar".into(),
        ..ChannelConfig::default()
    });
    let sdp = change.apply().map(|(sdp, _)| sdp.to_sdp_string()).unwrap_or_default();
    let mut text = format!(r#"{{"type":"OFFER","dst":"{edge}","payload":{{"type":"data","#);
    text += r#""connectionId":"000000000000","label":"nightjar","serialization":"raw","#;
    text += r#""sdp":{"type":"offer","sdp":"#;
    json::quote(&sdp, &mut text);
    text += "}}}";
    frame(&text)
}

/// A member of the box's status.
fn text(edge: &Program, name: &str) -> Result<String, String> {
    let status = web::get(edge.address("http"), "/api/v1/status");
    let value = json::member(status.text(), name).ok_or_else(|| format!("no {name} in status"))?;
    Ok(json::string(value).map_or_else(|| value.to_owned(), std::borrow::Cow::into_owned))
}

/// Seconds that the box's threads have been on a CPU.
fn cpu(edge: &Program) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", edge.pid())).into_iter().flatten().flatten();
    let spent = |task: fs::DirEntry| -> Option<f64> {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(spent).sum::<f64>() / 1e9
}
