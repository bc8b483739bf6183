//! nightjar-edge: reads what its owner decided, starts the threads, and ends them in order.

use edge::api::House;
use edge::camera::{self, Board, Spec};
use edge::clock::Clock;
use edge::config::{self, Command, Config};
use edge::crashes::{Crashes, SAFE};
use edge::gap::Gap;
use edge::identity::Identity;
use edge::model::{self, Model};
use edge::parts::{Part, Parts};
use edge::principal::Door;
use edge::signaling::Dialer;
use edge::store::{Limits, Store};
use edge::vitals::{Pulse, Vitals};
use edge::{eye, http, journal, net, notice, say};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// The exit code where a part died: whoever started us may start us anew.
const DIED: u8 = 1;
/// The exit code where the box cannot run as it was told to.
const REFUSED: u8 = 2;
/// How often is looked whether every part lives.
const LOOK: Duration = Duration::from_secs(1);
/// How long the card may take to note a crash.
const NOTE: Duration = Duration::from_secs(2);
/// How long the parts may go without progress: a slow processor's longest inference, a request
/// that waits for the card, a burst of datagrams are far below.
const EYE_LIMIT_MS: u64 = 60_000;
const HTTP_LIMIT_MS: u64 = 30_000;
const NET_LIMIT_MS: u64 = 10_000;

fn main() -> ExitCode {
    journal::hook_panics();
    let done = match Config::from_args(std::env::args_os().skip(1)) {
        Ok(Command::Run(config)) => run(config),
        Ok(Command::PrintConfig(config)) => printed(&config.to_json()),
        Ok(Command::Help) => printed(config::HELP),
        Ok(Command::Version) => printed(concat!("nightjar-edge ", env!("CARGO_PKG_VERSION"))),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            say!("{why}");
            ExitCode::from(REFUSED)
        }
    }
}

/// Runs until SIGTERM or SIGINT; what it refuses is said in one line.
fn run(config: Config) -> Result<ExitCode, String> {
    let clock = Clock::start();
    let signals = signals().map_err(words("signals"))?;
    let mut crashes = Crashes::read(&config.data_dir);
    let safe = crashes.is_safe();
    let cameras = if safe { Vec::new() } else { cameras(&config)? };
    let dialer = Dialer::of(&config).map_err(|error| error.to_string())?;
    let model = if safe { None } else { model(&config)? };
    let listener = http::listen(config.http).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(words("--http"))?;

    let (bell, notices) = notice::bell();
    let bell = Arc::new(bell);
    let limits = Limits { keep_bytes: config.keep_bytes, keep_days: config.keep_days };
    let store = Store::open(&config.data_dir, limits, clock, Arc::clone(&bell))
        .map_err(words("--data-dir"))?;
    let identity = Identity::load_or_create(&config.data_dir).map_err(words("--data-dir"))?;
    let names: Vec<_> = cameras.iter().map(|(name, _)| name.clone()).collect();
    let config = Arc::new(config);
    let pulses = Pulses::new(names.len(), &store);
    let house = Arc::new(House {
        config: Arc::clone(&config),
        clock,
        store: Arc::clone(&store),
        board: Arc::new(Board::new(&names)),
        door: Door::new(Arc::clone(&store), config.legacy_clients),
        bell,
        vitals: pulses.vitals(),
        safe,
        model_name: model.as_ref().map(|model| model.name().to_owned()),
        peer_id: identity.peer_id.clone(),
        sessions: AtomicUsize::new(0),
    });

    let setup = net::Setup {
        house: Arc::clone(&house),
        config: Arc::clone(&config),
        dialer,
        clock,
        identity,
        notices,
        pulse: Arc::clone(&pulses.net),
        stop: Arc::default(),
    };
    let doors = vec![net_part(setup, &pulses)?, http_part(listener, &house, &pulses)?];
    say_what_is_there(safe, &cameras, model.as_deref());
    let eyes = cameras.into_iter().zip(&pulses.eyes).map(|((name, spec), [taking, looking])| {
        eye_part(eye::Setup {
            name,
            spec,
            clock,
            model: model.clone(),
            labels: config.labels.clone(),
            board: Arc::clone(&house.board),
            recorder: store.recorder(),
            taking: Arc::clone(taking),
            looking: Arc::clone(looking),
            again: false,
            stop: Arc::default(),
        })
    });
    let eyes: Result<_, _> = eyes.collect();
    let mut gap = Gap::before(&store);
    let recorder = store.recorder();
    let mut parts = Parts::new(eyes?, doors, store);
    gap.look(clock, &recorder);
    print(&format!("ready http={address}"))?;
    let why = watch(&signals, || {
        let now = clock.now();
        gap.look(clock, &recorder);
        parts.look(now).or_else(|| crashes.look(now))
    });
    drop(recorder);
    parts.end(clock);
    let Some(why) = why else {
        crashes.forget();
        return Ok(ExitCode::SUCCESS);
    };
    say!("{why}, so this program ends");
    note(crashes);
    Ok(ExitCode::from(DIED))
}

/// Notes a crash, but waits no longer for a card that stands still.
fn note(mut crashes: Crashes) {
    let (tell, told) = sync_channel(1);
    let noting = thread::Builder::new().name("crashes".into());
    let noting = noting.spawn(move || {
        let _ = tell.send(crashes.note());
    });
    let noted = match noting.map(|_| told.recv_timeout(NOTE)) {
        Ok(Ok(noted)) => noted,
        Ok(Err(_)) => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(error),
    };
    if let Err(error) = noted {
        say!("--data-dir: the crash cannot be noted: {error}");
    }
}

/// Everybody's pulse.
struct Pulses {
    /// Of each camera: taking frames and looking at them.
    eyes: Vec<[Arc<Pulse>; 2]>,
    net: Arc<Pulse>,
    http: [Arc<Pulse>; 2],
    store: Arc<Pulse>,
}

impl Pulses {
    fn new(cameras: usize, store: &Store) -> Self {
        Self {
            eyes: (0..cameras).map(|_| Default::default()).collect(),
            net: Arc::default(),
            http: Default::default(),
            store: Arc::clone(store.pulse()),
        }
    }

    /// As status shows them.
    fn vitals(&self) -> Vitals {
        let mut vitals = Vitals::default();
        for [taking, looking] in &self.eyes {
            vitals.add("capture", taking);
            vitals.add("eye", looking);
        }
        vitals.add("store", &self.store);
        vitals.add("net", &self.net);
        self.http.iter().for_each(|pulse| vitals.add("http", pulse));
        vitals
    }
}

fn net_part(setup: net::Setup, pulses: &Pulses) -> Result<Part, String> {
    let (clock, pulse) = (setup.clock, [Arc::clone(&pulses.net)]);
    let begin = move |stop| net::spawn(net::Setup { stop, ..setup.clone() });
    Part::begin("net", NET_LIMIT_MS, &pulse, clock.now(), Box::new(begin))
        .map_err(words("the net thread cannot start"))
}

fn http_part(listener: TcpListener, house: &Arc<House>, pulses: &Pulses) -> Result<Part, String> {
    let (house, pulses, now) = (Arc::clone(house), pulses.http.clone(), house.clock.now());
    let ours = pulses.clone();
    let begin =
        move |stop| http::serve(listener.try_clone()?, Arc::clone(&house), pulses.clone(), stop);
    Part::begin("http", HTTP_LIMIT_MS, &ours, now, Box::new(begin))
        .map_err(|error| format!("--data-dir: no socket can be made there: {error}"))
}

fn eye_part(setup: eye::Setup) -> Result<Part, String> {
    let name = format!("camera {}", setup.name);
    let pulses = [Arc::clone(&setup.taking), Arc::clone(&setup.looking)];
    let now = setup.clock.now();
    let begun = Cell::new(false);
    let begin =
        move |stop| eye::spawn(eye::Setup { stop, again: begun.replace(true), ..setup.clone() });
    Part::begin(&name, EYE_LIMIT_MS, &pulses, now, Box::new(begin))
        .map_err(words("the camera's thread cannot start"))
}

/// Waits for the end, looking around once a second: `None` when its owner wants it, else why it
/// has to be.
fn watch(signals: &Receiver<()>, mut look: impl FnMut() -> Option<String>) -> Option<String> {
    loop {
        match signals.recv_timeout(LOOK) {
            Ok(()) => return None,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Some("the signals' thread died".into()),
        }
        if let Some(why) = look() {
            return Some(why);
        }
    }
}

/// Where the first SIGTERM or SIGINT is told. The same one again ends the process at once.
fn signals() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (tell, told) = sync_channel(1);
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut seen = Vec::new();
        for signal in signals.forever() {
            if seen.contains(&signal) {
                signal_hook::low_level::exit(0);
            }
            seen.push(signal);
            let _ = tell.try_send(());
        }
    })?;
    Ok(told)
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
    let target = model::target(config.threads);
    Model::load_for(target, path, labels).map(Some).map_err(|error| {
        let option = if labels == Some(&error.path) { "--labels" } else { "--model" };
        format!("{option}: {error}")
    })
}

/// Said once nothing can be refused any more: a refusal is one line.
fn say_what_is_there(safe: bool, cameras: &[(String, Spec)], model: Option<&Model>) {
    if safe {
        return say!("{SAFE} crashes in a row: this start is a safe one, without cameras");
    }
    if cameras.is_empty() {
        say!("no camera is named and no V4L2 device is here");
    }
    match model {
        Some(model) => say!("model {}: {}", model.name(), model.network()),
        None => say!("no model: motion is reported, but not what moves"),
    }
}

fn words<E: Display>(option: &str) -> impl Fn(E) -> String {
    move |error| format!("{option}: {error}")
}

fn printed(text: &str) -> Result<ExitCode, String> {
    print(text).map(|()| ExitCode::SUCCESS)
}

fn print(text: &str) -> Result<(), String> {
    writeln!(io::stdout().lock(), "{text}").map_err(words("standard output"))
}
