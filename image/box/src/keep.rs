//! The keeper's life: one thread that hears of everything and decides what comes next.

use crate::args::Options;
use crate::clock::Clock;
use crate::journal::Journal;
use crate::net::Network;
use crate::servers::MODEL;
use crate::socket::{self, Desk, Live, Wish};
use crate::supervise::{Spec, Supervisor, Word};
use crate::update::{Restart, Updater};
use crate::watchdog::{Shared, Watch};
use crate::{names, people, servers, takeover, time};
use image_core::facts::{self, Facts};
use image_core::health::Report;
use image_core::settings::Settings;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How often is looked what nobody reports: interfaces, links.
const LOOK_MS: u64 = 2_000;
/// A restart comes so long after the answer to who wished it.
const RESTART_MS: u64 = 2_000;

/// What wakes the keeper.
#[derive(Debug)]
enum Wake {
    Child(Word),
    Wish(Wish),
    /// nightjar-signal, as started at that time, has not answered for so long, ms.
    Silent(u64, u64),
    Stop,
}

impl From<Word> for Wake {
    fn from(word: Word) -> Self {
        Self::Child(word)
    }
}

/// What the board is, as far as the keeper asks.
struct Board {
    name: String,
    wifi: bool,
    watchdog_s: u32,
    slowness: u32,
}

/// The keeper.
struct Keep<'a> {
    options: &'a Options,
    clock: Clock,
    journal: Arc<Journal>,
    children: Supervisor<Wake>,
    signal: usize,
    edge: usize,
    /// Who announces the box's name.
    names: Option<usize>,
    network: Option<Network>,
    live: Arc<Mutex<Live>>,
    shared: Arc<Shared>,
    /// How often in a row the edge has crashed, as it was last seen.
    crashes: u32,
    /// When the machine restarts, and how.
    restart: Option<(u64, Restart)>,
}

/// Keeps until SIGTERM, or until the machine is to restart.
pub(crate) fn keep(options: &Options) -> io::Result<()> {
    let clock = Clock::start();
    let place = &options.place;
    make_run_dir(options)?;
    let journal = Arc::new(Journal::open(place)?);
    let (wakes, woken) = channel();
    hear_signals(wakes.clone())?;
    let settings = takeover::take_over(place, &journal);
    if let Err(error) = servers::make_data_dir(place) {
        journal.say(&format!("/data/edge cannot be made ready: {error}"));
    }
    open_port(options, &journal);
    let board = Board::read(options, &journal);
    let mut children = Supervisor::new(clock, Arc::clone(&journal), wakes.clone());
    let signal = children.add(servers::signal(options, &settings));
    let edge = children.add(servers::edge(options, &settings));
    children.turn();

    let hostname = settings.hostname.clone();
    let trouble = takeover::trouble(place);
    for sentence in &trouble {
        journal.say(sentence);
    }
    let live = Arc::new(Mutex::new(Live { hostname, wifi: None, radio: false, trouble }));
    let shared = Arc::new(Shared::default());
    let updater = Arc::new(Updater::start(clock.now_ms(), &place.at("/")));
    let frames = Arc::new(AtomicBool::new(false));
    watch(options, &board, clock, &journal, &shared, &updater, &frames, &wakes)?;
    answer(options, board.name, &updater, &live, frames, &wakes, &journal);
    resume(&updater, clock, &wakes);
    let (mut names, mut network) = (None, None);
    if options.network {
        names = announcer(options, &settings, &journal).map(|it| children.add(it));
        name_and_time(options, &settings, clock, &journal);
        network = Some(Network::new(place, &settings, board.wifi, &live, &journal));
    }
    let (crashes, restart) = (servers::crashes(place), None);
    let keep = Keep {
        options,
        clock,
        journal,
        children,
        signal,
        edge,
        names,
        network,
        live,
        shared,
        crashes,
        restart,
    };
    let restart = keep.run(&woken);
    if let Some(restart) = restart {
        rustix::fs::sync();
        if place.is_real() {
            return Err(updater.restart(restart));
        }
    }
    Ok(())
}

impl Keep<'_> {
    fn run(mut self, woken: &Receiver<Wake>) -> Option<Restart> {
        let (mut look_ms, mut stopping) = (0, false);
        while !self.children.is_over() {
            let now = self.clock.now_ms();
            self.shared.beat_ms.store(now, Ordering::Relaxed);
            if now >= look_ms {
                look_ms = now + LOOK_MS;
                if let (Some(network), false) = (&mut self.network, stopping) {
                    network.look(&mut self.children, &self.journal);
                }
            }
            let due = self.restart.as_ref().is_some_and(|(at_ms, _)| *at_ms <= now);
            if due && !stopping {
                self.journal.say("the machine restarts");
                stopping = true;
                self.stop();
            }
            self.children.turn();
            if let Some(since_ms) = self.children.running_since(self.edge) {
                self.shared.edge_ms.store(since_ms, Ordering::Relaxed);
            }
            if let Some(since_ms) = self.children.running_since(self.signal) {
                self.shared.signal_ms.store(since_ms, Ordering::Relaxed);
            }
            let restart_ms = self.restart.as_ref().filter(|_| !stopping).map(|(at_ms, _)| *at_ms);
            let wake_ms = self.children.wake_ms().into_iter().chain(restart_ms).min();
            let wait_ms =
                wake_ms.unwrap_or(look_ms).min(look_ms).saturating_sub(self.clock.now_ms());
            match woken.recv_timeout(Duration::from_millis(wait_ms)) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    stopping = true;
                    self.stop();
                }
                Ok(wake) => self.wake(wake),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.restart.map(|(_, restart)| restart)
    }

    fn stop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.children.stop();
    }

    fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Child(Word::Ended(number, life, how)) => {
                let crashed = self.children.ended(number, life, &how);
                if crashed
                    && number == self.edge
                    && let Err(error) = servers::note_crash(&self.options.place)
                {
                    self.journal.say(&format!("the crash cannot be noted: {error}"));
                }
                if number == self.edge {
                    let before = self.crashes;
                    self.crashes = servers::crashes(&self.options.place);
                    // Not where it ended otherwise, such as for a port that is taken.
                    if self.crashes == servers::WORN && before < servers::WORN {
                        self.shared.worn.store(true, Ordering::Relaxed);
                    }
                }
            }
            Wake::Child(Word::Said(number, life, _)) if !self.children.lives(number, life) => {}
            Wake::Child(Word::Said(number, _, line)) if Some(number) == self.names => {
                if let Some(name) = names::heard(&line) {
                    self.journal.say(&line);
                    let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
                    name.clone_into(&mut live.hostname);
                }
            }
            Wake::Child(Word::Said(number, _, line)) => {
                if let Some(network) = &mut self.network {
                    network.heard(number, &line, &mut self.children, &self.journal);
                }
            }
            Wake::Wish(Wish::Wifi) => {
                if let Some(network) = &mut self.network {
                    let settings = takeover::kept(&self.options.place);
                    network.change(settings, &mut self.children, &self.journal);
                }
            }
            Wake::Wish(Wish::Restart(restart)) => {
                self.restart.get_or_insert((self.clock.now_ms() + RESTART_MS, restart));
            }
            Wake::Silent(since_ms, silent_ms) => {
                if self.children.running_since(self.signal) == Some(since_ms) {
                    let silent_s = silent_ms / 1_000;
                    self.journal.say(&format!("signal has not answered for {silent_s} s"));
                    self.children.restart(self.signal);
                }
            }
            Wake::Stop => {}
        }
    }
}

impl Board {
    fn read(options: &Options, journal: &Journal) -> Self {
        let text = fs::read_to_string(options.place.at("/etc/nightjar/facts")).unwrap_or_default();
        let name = facts::value(&text, "BOARD").unwrap_or("unknown").to_owned();
        match Facts::parse(&text) {
            Ok(Facts { wifi, watchdog_s, slowness, .. }) => {
                Self { name, wifi, watchdog_s, slowness }
            }
            Err(wrong) => {
                journal.say(&format!("/etc/nightjar/facts: {wrong}"));
                Self { name, wifi: false, watchdog_s: 15, slowness: 1 }
            }
        }
    }
}

/// Who is no root may listen at nightjar-signal's port from now on.
fn open_port(options: &Options, journal: &Journal) {
    if options.place.is_real() && options.listen.port() < 1024 {
        let first = options.listen.port().to_string();
        if let Err(error) = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", first) {
            journal.say(&format!("nightjar-signal's port: {error}"));
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "it ties the threads together, once")]
fn watch(
    options: &Options,
    board: &Board,
    clock: Clock,
    journal: &Arc<Journal>,
    shared: &Arc<Shared>,
    updater: &Arc<Updater>,
    frames: &Arc<AtomicBool>,
    wakes: &Sender<Wake>,
) -> io::Result<()> {
    let place = options.place.clone();
    // A trial has to show what the system before it showed.
    let camera = fs::read_to_string(place.at("/data/box/frames")).is_ok_and(|it| it == "yes\n");
    let model = place.at(MODEL).exists();
    let slowness = u64::from(board.slowness);
    let (updater, frames) = (Arc::clone(updater), Arc::clone(frames));
    let (wakes, silences) = (wakes.clone(), wakes.clone());
    let watch = Watch {
        place,
        clock,
        journal: Arc::clone(journal),
        shared: Arc::clone(shared),
        http: options.http,
        page: servers::loopback(options.listen),
        patience_s: board.watchdog_s,
        slowness: board.slowness,
        tell: Box::new(move |report, page| {
            frames.store(report.is_some_and(Report::frames_flow), Ordering::Relaxed);
            let good = report.is_some_and(|it| it.passes(slowness, camera, model)) && page;
            if let Some(restart) = updater.health(clock.now_ms(), good) {
                let _ = wakes.send(Wake::Wish(Wish::Restart(restart)));
            }
        }),
        silent: Box::new(move |since_ms, silent_ms| {
            let _ = silences.send(Wake::Silent(since_ms, silent_ms));
        }),
    };
    watch.begin()
}

fn answer(
    options: &Options,
    board: String,
    updater: &Arc<Updater>,
    live: &Arc<Mutex<Live>>,
    frames: Arc<AtomicBool>,
    wakes: &Sender<Wake>,
    journal: &Journal,
) {
    let (place, wakes) = (options.place.clone(), Mutex::new(wakes.clone()));
    let desk = Desk {
        place: place.clone(),
        board,
        updater: Arc::clone(updater),
        live: Arc::clone(live),
        wish: Box::new(move |wish| {
            let _ = wakes.lock().unwrap_or_else(PoisonError::into_inner).send(Wake::Wish(wish));
        }),
        update_taken: Box::new(move || {
            let flow = if frames.load(Ordering::Relaxed) { "yes\n" } else { "no\n" };
            let path = place.at("/data/box/frames");
            if fs::read_to_string(&path).is_ok_and(|it| it == flow) {
                return;
            }
            let _ = takeover::replace(&path, flow.as_bytes());
        }),
    };
    if let Err(error) = socket::serve(desk, people::group(&options.place, "nightjar")) {
        journal.say(&format!("box.sock: {error}"));
    }
}

fn resume(updater: &Arc<Updater>, clock: Clock, wakes: &Sender<Wake>) {
    let (updater, wakes) = (Arc::clone(updater), wakes.clone());
    thread::spawn(move || {
        if let Some(restart) = updater.resume(clock.now_ms()) {
            let _ = wakes.send(Wake::Wish(Wish::Restart(restart)));
        }
    });
}

fn announcer(options: &Options, settings: &Settings, journal: &Journal) -> Option<Spec> {
    let spec = names::announcer(&options.place, &settings.hostname, options.listen.port());
    spec.inspect_err(|error| journal.say(&format!("no name is announced: {error}"))).ok()
}

fn name_and_time(options: &Options, settings: &Settings, clock: Clock, journal: &Arc<Journal>) {
    if options.place.is_real() {
        if let Err(error) = rustix::system::sethostname(settings.hostname.as_bytes()) {
            journal.say(&format!("hostname: {error}"));
        }
        time::begin(&options.place, settings.time.clone(), clock, Arc::clone(journal));
    }
}

/// For the keeper, and for who may ask it.
fn make_run_dir(options: &Options) -> io::Result<()> {
    let dir = options.place.at("/run/nightjar");
    fs::create_dir_all(&dir)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o750))?;
    match people::group(&options.place, "nightjar") {
        Some(group) => chown(&dir, None, Some(group)),
        None => Ok(()),
    }
}

fn hear_signals(wakes: Sender<Wake>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            let _ = wakes.send(Wake::Stop);
        }
    })?;
    Ok(())
}
