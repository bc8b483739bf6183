//! nightjar-edge: reads what its owner decided, starts the threads, and ends them in order.

use edge::api::House;
use edge::camera::{self, Board, Spec};
use edge::clock::Clock;
use edge::config::{self, Command, Config};
use edge::identity::Identity;
use edge::model::Model;
use edge::principal::Door;
use edge::store::{Limits, Store};
use edge::{eye, http, net, notice, say};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The exit code where the box cannot run as it was told to.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let done = match Config::from_args(std::env::args_os().skip(1)) {
        Ok(Command::Run(config)) => run(config),
        Ok(Command::PrintConfig(config)) => print(&config.to_json()),
        Ok(Command::Help) => print(config::HELP),
        Ok(Command::Version) => print(concat!("nightjar-edge ", env!("CARGO_PKG_VERSION"))),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say!("{why}");
            ExitCode::from(REFUSED)
        }
    }
}

/// Runs until SIGTERM or SIGINT; what it refuses is said in one line.
fn run(config: Config) -> Result<(), String> {
    let clock = Clock::start();
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(words("signals"))?;
    let cameras = cameras(&config)?;
    let model = model(&config)?;
    let listener = TcpListener::bind(config.http)
        .map_err(|error| format!("--http {}: {error}", config.http))?;
    let address = listener.local_addr().map_err(words("--http"))?;

    let (bell, notices) = notice::bell();
    let bell = Arc::new(bell);
    let limits = Limits { keep_bytes: config.keep_bytes, keep_days: config.keep_days };
    let store = Store::open(&config.data_dir, limits, clock, Arc::clone(&bell))
        .map_err(words("--data-dir"))?;
    let identity = Identity::load_or_create(&config.data_dir).map_err(words("--data-dir"))?;
    say_what_is_missing(&cameras, model.as_deref());
    let names: Vec<_> = cameras.iter().map(|(name, _)| name.clone()).collect();
    let config = Arc::new(config);
    let house = Arc::new(House {
        config: Arc::clone(&config),
        clock,
        store: Arc::clone(&store),
        board: Arc::new(Board::new(&names)),
        door: Door::new(Arc::clone(&store), config.legacy_clients),
        bell,
        model_name: model.as_ref().map(|model| model.name().to_owned()),
        peer_id: identity.peer_id.clone(),
        sessions: AtomicUsize::new(0),
    });

    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    threads.push(http::serve(listener, Arc::clone(&house), Arc::clone(&stop)));
    let net = net::spawn(net::Setup {
        house: Arc::clone(&house),
        config: Arc::clone(&config),
        clock,
        identity,
        notices,
        stop: Arc::clone(&stop),
    });
    let mut threads = vec![net.map_err(|error| error.to_string())?];
    threads.push(http::serve(listener, Arc::clone(&house), Arc::clone(&stop)));
    for (name, spec) in cameras {
        threads.push(eye::spawn(eye::Setup {
            name,
            spec,
            clock,
            model: model.clone(),
            labels: config.labels.clone(),
            board: Arc::clone(&house.board),
            recorder: store.recorder(),
            stop: Arc::clone(&stop),
        }));
    }
    print(&format!("ready http={address}"))?;
    signals.forever().next();
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        if thread.join().is_err() {
            say!("a thread ended in a panic");
        }
    }
    store.close();
    Ok(())
}

/// The cameras named, else the first V4L2 device, else none.
fn cameras(config: &Config) -> Result<Vec<(String, Spec)>, String> {
    if !config.camera.is_empty() {
        return Spec::parse_all(&config.camera).map_err(words("--camera"));
    }
    let Some(path) = camera::first_v4l2() else { return Ok(Vec::new()) };
    Spec::parse_all(&[format!("v4l2:{}", path.display())]).map_err(words("--camera"))
}

fn model(config: &Config) -> Result<Option<Arc<Model>>, String> {
    let Some(path) = &config.model else { return Ok(None) };
    let labels = config.labels_file.as_deref();
    Model::load(path, labels).map(Some).map_err(words("--model"))
}

/// Said once nothing can be refused any more: a refusal is one line.
fn say_what_is_missing(cameras: &[(String, Spec)], model: Option<&Model>) {
    if cameras.is_empty() {
        say!("no camera is named and no V4L2 device is here");
    }
    if model.is_none() {
        say!("no model: motion is reported, but not what moves");
    }
}

fn words<E: Display>(option: &str) -> impl Fn(E) -> String {
    move |error| format!("{option}: {error}")
}

fn print(text: &str) -> Result<(), String> {
    writeln!(io::stdout().lock(), "{text}").map_err(words("standard output"))
}
