//! nightjar-edge: reads what its owner decided, starts the threads, and ends them in order.

use edge::api::House;
use edge::camera::{self, Board, Spec};
use edge::clock::Clock;
use edge::config::{self, Command, Config};
use edge::identity::Identity;
use edge::model::{self, Model};
use edge::principal::Door;
use edge::signaling::Dialer;
use edge::store::{Limits, Store};
use edge::{eye, http, journal, net, notice, say};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The exit code where a part died: whoever started us may start us anew.
const DIED: u8 = 1;
/// The exit code where the box cannot run as it was told to.
const REFUSED: u8 = 2;
/// How often is looked whether every part lives.
const LOOK: Duration = Duration::from_secs(1);
/// How often is looked whether a part has ended.
const TICK: Duration = Duration::from_millis(10);
/// When the parts have to have ended, ms after the stop: first those that write, then the
/// store, then those that only read. What is late then is left behind; in all, below 5 s.
const EYES_MS: u64 = 1_500;
const STORE_MS: u64 = 4_000;
const DOORS_MS: u64 = 4_300;

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
    let cameras = cameras(&config)?;
    let dialer = Dialer::of(&config).map_err(|error| error.to_string())?;
    let model = model(&config)?;
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
    let http = http::serve(listener, Arc::clone(&house), Arc::clone(&stop))
        .map_err(|error| format!("--data-dir: no socket can be made there: {error}"))?;
    let net = net::spawn(net::Setup {
        house: Arc::clone(&house),
        config: Arc::clone(&config),
        dialer,
        clock,
        identity,
        notices,
        stop: Arc::clone(&stop),
    });
    let net = net.map_err(words("the net thread cannot start"))?;
    say_what_is_there(&cameras, model.as_deref());
    let eyes = cameras.into_iter().map(|(name, spec)| {
        let words = format!("camera {name}");
        let setup = eye::Setup {
            name,
            spec,
            clock,
            model: model.clone(),
            labels: config.labels.clone(),
            board: Arc::clone(&house.board),
            recorder: store.recorder(),
            stop: Arc::clone(&stop),
        };
        Part { name: words, thread: eye::spawn(setup) }
    });
    let eyes = eyes.collect();
    let doors = vec![Part::new("net", net), Part::new("http", http)];
    let parts = Parts { eyes, doors, store };
    print(&format!("ready http={address}"))?;
    let died = parts.watch(&signals);
    stop.store(true, Ordering::Relaxed);
    parts.end(clock);
    Ok(match died {
        None => ExitCode::SUCCESS,
        Some(name) => {
            say!("{name} died, so this program ends");
            ExitCode::from(DIED)
        }
    })
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

/// A thread that has to live as long as the process.
struct Part {
    name: String,
    thread: JoinHandle<()>,
}

impl Part {
    fn new(name: &str, thread: JoinHandle<()>) -> Self {
        Self { name: name.to_owned(), thread }
    }
}

/// What runs.
struct Parts {
    eyes: Vec<Part>,
    doors: Vec<Part>,
    store: Arc<Store>,
}

impl Parts {
    /// Waits for the end; the name of the part that died, if that is why.
    fn watch(&self, signals: &Receiver<()>) -> Option<String> {
        loop {
            match signals.recv_timeout(LOOK) {
                Ok(()) => return None,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Some("signals".into()),
            }
            if let Some(name) = self.dead() {
                return Some(name);
            }
        }
    }

    fn dead(&self) -> Option<String> {
        let mut parts = self.eyes.iter().chain(&self.doors);
        let dead = parts.find(|part| part.thread.is_finished()).map(|part| part.name.clone());
        dead.or_else(|| (!self.store.is_alive()).then(|| "the store's writer".into()))
    }

    /// Ends everything in order, and nobody waits for ever: an eye may hang in its device, a
    /// door in a client, the store in its card.
    fn end(self, clock: Clock) {
        let stopped = clock.now();
        let wait = |parts: &[Part], limit_ms| {
            for part in parts {
                while !part.thread.is_finished() && clock.now().since_ms(stopped) < limit_ms {
                    thread::sleep(TICK);
                }
                if !part.thread.is_finished() {
                    say!("{} does not end and is left behind", part.name);
                }
            }
        };
        wait(&self.eyes, EYES_MS);
        let store = self.store;
        let close = move || {
            if !store.close() {
                say!("the store's writer had died");
            }
        };
        let closing = thread::Builder::new().name("close".into()).spawn(close);
        if let Ok(thread) = closing {
            wait(&[Part::new("the store", thread)], STORE_MS);
        }
        wait(&self.doors, DOORS_MS);
    }
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
fn say_what_is_there(cameras: &[(String, Spec)], model: Option<&Model>) {
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
