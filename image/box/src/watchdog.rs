//! The watch: asks both servers how they are, feeds the hardware's watchdog while all is well with
//! nightjar-edge, has a silent nightjar-signal begin anew, and tells the updates.

use crate::clock::Clock;
use crate::journal::Journal;
use crate::place::Place;
use crate::servers;
use crate::status;
use crate::takeover;
use image_core::health::{Judge, Listener, Report};
use image_core::reboots::Reboots;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The keeper's own thread may be busy for so long, ms.
const KEEPER_MS: u64 = 10_000;
/// A restart may take so long, ms; the edge's own stop takes 5 s.
const ENDING_MS: u64 = 60_000;
/// A run as long as this ends itself even where that cannot be noted: not above three in an hour.
const UNNOTED_S: u64 = 1_200;
/// An answer may take so long; both together less than the watchdog's patience.
const WITHIN: Duration = Duration::from_secs(2);
const PAGE_WITHIN: Duration = Duration::from_secs(1);

/// What the keeper's thread and the watch tell one another.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// When nightjar-edge was last started, ms.
    pub(crate) edge_ms: AtomicU64,
    /// When nightjar-signal was, ms.
    pub(crate) signal_ms: AtomicU64,
    /// When the keeper's thread last came by, ms.
    pub(crate) beat_ms: AtomicU64,
    /// nightjar-edge has ended by itself as often as may be before the machine is begun anew.
    pub(crate) worn: AtomicBool,
    /// All ends: no judgement any more.
    pub(crate) stopping: AtomicBool,
}

/// Hears what nightjar-edge said of itself, and whether nightjar-signal answers.
pub(crate) type Tell = Box<dyn Fn(Option<&Report<'_>>, bool) + Send>;

/// What the watch needs.
pub(crate) struct Watch {
    pub(crate) place: Place,
    pub(crate) clock: Clock,
    pub(crate) journal: Arc<Journal>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) http: SocketAddr,
    /// Where nightjar-signal answers, on loopback.
    pub(crate) page: SocketAddr,
    /// The watchdog's patience, s.
    pub(crate) patience_s: u32,
    pub(crate) slowness: u32,
    /// Called about once a second.
    pub(crate) tell: Tell,
    /// Hears that nightjar-signal, as started at that time, has not answered for so long, ms.
    pub(crate) silent: Box<dyn Fn(u64, u64) + Send>,
}

impl Watch {
    /// Watches until the process ends.
    pub(crate) fn begin(self) -> io::Result<()> {
        thread::Builder::new().name("watch".into()).spawn(move || self.run())?;
        Ok(())
    }

    fn run(self) {
        let mut dog = Dog::open(&self.place, self.patience_s, &self.journal);
        let slowness = u64::from(self.slowness);
        let mut judge = Judge::new(self.clock.now_ms(), slowness);
        let mut mode = Mode::Fed;
        let mut listener = Listener::new(slowness);
        let (mut ending_since, mut worn) = (None, false);
        loop {
            let answered = self.ask_page(&mut listener);
            let answer = status::get(self.http, "/api/v1/status", WITHIN * self.slowness);
            let now = self.clock.now_ms();
            let report = answer.as_ref().ok().and_then(|it| Report::parse(it));
            judge.started(self.shared.edge_ms.load(Ordering::Relaxed));
            judge.asked(now, report.as_ref());
            (self.tell)(report.as_ref(), answered);
            let verdict = judge.verdict(now).and_then(|()| self.keeper_lives(now, slowness));
            let ending = self.shared.stopping.load(Ordering::Relaxed);
            let since = *ending_since.get_or_insert(now);
            ending_since = ending_since.filter(|_| ending);
            worn |= self.shared.worn.swap(false, Ordering::Relaxed);
            mode = match verdict {
                // What does not end by itself, the watchdog ends.
                _ if ending && now.saturating_sub(since) > ENDING_MS * slowness => Mode::Starved,
                _ if worn && !ending => self.deprive(mode, "nightjar-edge ended twice in a row"),
                Err(why) if !ending => self.note(mode, self.deprive(mode, &why)),
                _ => Mode::Fed,
            };
            worn &= mode == Mode::Starved;
            if mode != Mode::Starved {
                dog.feed();
            }
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// Whether nightjar-signal answers.
    fn ask_page(&self, listener: &mut Listener) -> bool {
        let started_ms = self.shared.signal_ms.load(Ordering::Relaxed);
        let answered = status::get(self.page, "/healthz", PAGE_WITHIN * self.slowness).is_ok();
        let now = self.clock.now_ms();
        listener.asked(now, started_ms, answered);
        if let Some(silent_ms) = listener.silent(now) {
            (self.silent)(started_ms, silent_ms);
        }
        answered
    }

    fn keeper_lives(&self, now: u64, slowness: u64) -> Result<(), String> {
        let silent = now.saturating_sub(self.shared.beat_ms.load(Ordering::Relaxed));
        if silent > KEEPER_MS * slowness { Err("the keeper stands still".into()) } else { Ok(()) }
    }

    /// Where this run is given up for what nightjar-edge does: so many in a row end in a safe start,
    /// as where it ends by itself.
    fn note(&self, before: Mode, mode: Mode) -> Mode {
        if before != Mode::Starved
            && mode == Mode::Starved
            && let Err(error) = servers::note_crash(&self.place)
        {
            self.journal.say(&format!("the edge will not know of it: {error}"));
        }
        mode
    }

    /// All is not well: the watchdog ends this run, but not more often than it may.
    fn deprive(&self, mode: Mode, why: &str) -> Mode {
        if mode == Mode::Starved {
            return mode;
        }
        let (path, boot) = (self.place.at("/data/box/reboots"), boot_id(&self.place));
        let mut reboots = Reboots::parse(&fs::read_to_string(&path).unwrap_or_default());
        let uptime_s = uptime_s(&self.place).unwrap_or(self.clock.now_ms() / 1_000);
        let spare = |reason: &str| {
            if mode == Mode::Fed {
                self.journal.say(&format!("not well: {why}; not started anew yet: {reason}"));
            }
            Mode::Spared
        };
        if !reboots.may(&boot, uptime_s) {
            return spare("too often of late");
        }
        reboots.note(&boot, uptime_s);
        match takeover::replace(&path, reboots.to_text().as_bytes()) {
            Err(error) if uptime_s < UNNOTED_S => return spare(&error.to_string()),
            // A data partition that takes nothing may be whole again after its check at the start.
            _ => self.journal.say(&format!("not well: {why}; the watchdog is not fed")),
        }
        Mode::Starved
    }
}

/// What becomes of the watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// All is well.
    Fed,
    /// It is to end this run.
    Starved,
    /// It was, but this has happened too often of late.
    Spared,
}

/// This boot's own name.
fn boot_id(place: &Place) -> String {
    let id = fs::read_to_string(place.at("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
    let id: String = id.chars().filter(char::is_ascii_hexdigit).collect();
    if id.is_empty() { "unknown".into() } else { id }
}

fn uptime_s(place: &Place) -> Option<u64> {
    fs::read_to_string(place.at("/proc/uptime")).ok()?.split('.').next()?.parse().ok()
}

/// The hardware.
struct Dog(Option<File>);

impl Dog {
    fn open(place: &Place, patience_s: u32, journal: &Journal) -> Self {
        match File::options().write(true).open(place.at("/dev/watchdog")) {
            Ok(file) => {
                if let Err(error) = set_timeout(&file, patience_s) {
                    journal.say(&format!("the watchdog keeps its own patience: {error}"));
                }
                Self(Some(file))
            }
            Err(error) => {
                journal.say(&format!("there is no watchdog: {error}"));
                Self(None)
            }
        }
    }

    fn feed(&mut self) {
        if let Some(file) = &mut self.0 {
            // Anything but the letter V, which would end the watch.
            let _ = file.write_all(b"1");
        }
    }
}

/// `WDIOC_SETTIMEOUT` of `linux/watchdog.h`.
const SET_TIMEOUT: Opcode = opcode::read_write::<i32>(b'W', 6);

#[expect(unsafe_code, reason = "there is no other way to ask the kernel")]
fn set_timeout(watchdog: &File, seconds: u32) -> io::Result<()> {
    let mut seconds = i32::try_from(seconds).map_err(io::Error::other)?;
    // SAFETY: it reads and writes an int, which `seconds` is ...
    let updater = unsafe { Updater::<SET_TIMEOUT, i32>::new(&mut seconds) };
    // SAFETY: ... for the length of the call.
    Ok(unsafe { ioctl(watchdog, updater) }?)
}
