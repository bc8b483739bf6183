//! The keeper's life: one thread that hears of everything and decides what comes next.

use crate::args::Options;
use crate::clock::Clock;
use crate::journal::Journal;
use crate::net::Network;
use crate::servers;
use crate::supervise::{Supervisor, Word};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How often is looked what nobody reports: interfaces, links.
const LOOK_MS: u64 = 2_000;

/// What wakes the keeper.
#[derive(Debug)]
enum Wake {
    Child(Word),
    Stop,
}

impl From<Word> for Wake {
    fn from(word: Word) -> Self {
        Self::Child(word)
    }
}

/// Keeps until SIGTERM.
pub(crate) fn keep(options: &Options) -> io::Result<()> {
    let clock = Clock::start();
    let place = &options.place;
    make_run_dir(options)?;
    let journal = Arc::new(Journal::open(place)?);
    let (wakes, woken) = channel();
    hear_signals(wakes.clone())?;
    if place.is_real() && options.listen.port() < 1024 {
        let first = options.listen.port().to_string();
        if let Err(error) = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", first) {
            journal.say(&format!("nightjar-signal's port: {error}"));
        }
    }
    servers::make_data_dir(place)?;
    let mut children = Supervisor::new(clock, Arc::clone(&journal), wakes);
    children.add(servers::signal(options));
    let edge = children.add(servers::edge(options));
    children.turn();
    let mut network = options.network.then(|| Network::new(place, "nightjar", &journal));
    let mut look_ms = 0;
    while !children.is_over() {
        let now = clock.now_ms();
        if now >= look_ms {
            look_ms = now + LOOK_MS;
            if let Some(network) = &mut network {
                network.look(&mut children, &journal);
            }
        }
        children.turn();
        let wake_ms = children.wake_ms().unwrap_or(u64::MAX).min(look_ms);
        match woken.recv_timeout(Duration::from_millis(wake_ms.saturating_sub(clock.now_ms()))) {
            Ok(Wake::Child(Word::Ended(number, life, how))) => {
                let crashed = children.ended(number, life, &how);
                if crashed && number == edge {
                    if let Err(error) = servers::note_crash(place) {
                        journal.say(&format!("the crash cannot be noted: {error}"));
                    }
                }
            }
            Ok(Wake::Child(Word::Said(..))) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Wake::Stop) => {
                network = None;
                children.stop();
            }
            Err(RecvTimeoutError::Disconnected) => children.stop(),
        }
        children.turn();
    }
    Ok(())
}

/// For the keeper, and for who may ask it.
fn make_run_dir(options: &Options) -> io::Result<()> {
    let dir = options.place.at("/run/nightjar");
    fs::create_dir_all(&dir)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o750))?;
    match crate::people::group(&options.place, "nightjar") {
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
