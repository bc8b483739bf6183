//! Updates on the card: carries out what `image_core::update` decides. The supervisor's face.
//!
//! ```text
//! start -> resume (a thread of its own) -> health once a second, begin when a bundle comes
//!                                              | Some(Restart)        | Ok(version)
//!                                              v                      v 2 s later
//!                            end the servers, sync -> restart(..): does not return
//! ```

mod card;
mod incoming;
mod machine;
#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use card::{Card, Machinery};
use image_core::autoboot::Slot;
use image_core::facts::{self, Facts, Tryboot};
use image_core::manifest::{Manifest, Part, unhex};
pub(crate) use image_core::update::Restart;
use image_core::update::{Action, Booted, Config, Done, Machine, Phase, Saved, Signed, Why};
use image_core::version::Version;
use incoming::{Fault, Incoming};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of what is written, so much at most is on its way to the card: memory is small there.
const DIRTY_MAX: u64 = 8 << 20;
/// Of 100 %, what reading and writing is; the rest is reading back.
const WRITTEN: u64 = 80;

/// Why a bundle was not taken; `code` and `message` of the socket's `error`.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// `update` of the socket's `state`.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// `none`, `writing`, `staged`, `trial`, `committed` or `failed`.
    pub(crate) phase: &'static str,
    pub(crate) version: Option<Version>,
    /// Of `writing`.
    pub(crate) percent: u8,
    /// Why it failed, in words for people.
    pub(crate) why: Option<String>,
}

/// The card's updates; every method can be called by any thread at any time.
pub(crate) struct Updater {
    card: Option<Card>,
    key: Option<[u8; 32]>,
    board: String,
    version: Version,
    booted: Booted,
    machine: Mutex<Machine>,
    /// Who carries out actions: one at a time.
    hands: Mutex<()>,
    percent: AtomicU8,
    now_ms: AtomicU64,
}

/// What a bundle being read is to whoever carries out actions.
struct Delivery<'a, 'r> {
    incoming: &'a mut Incoming<'r>,
    progress: &'a mut dyn FnMut(u8),
    /// The last error, for people.
    trouble: Option<String>,
}

impl Updater {
    /// Reads what booted, `autoboot.txt` and the saved state below `root` (`/` on a card); writes
    /// nothing. Where something cannot be read, updates are refused.
    pub(crate) fn start(now_ms: u64, root: &Path) -> Self {
        Self::with(now_ms, root, Box::new(machine::Machine))
    }

    fn with(now_ms: u64, root: &Path, machinery: Box<dyn Machinery>) -> Self {
        let about = |name: &str| {
            fs::read_to_string(root.join("etc/nightjar").join(name)).unwrap_or_default()
        };
        let (facts, version) = (about("facts"), about("version"));
        let board = facts::value(&facts, "BOARD").unwrap_or_default().to_owned();
        let facts = Facts::parse(&facts).ok();
        let card = facts.map(|facts| Card::new(root, &facts, machinery));
        let booted = card.as_ref().map_or(Booted { slot: Slot::A, trial: false }, Card::booted);
        let key = unhex(about("update.pub").trim());
        let version = Version::parse(version.trim()).unwrap_or_default();
        let room = |part| {
            let passive = booted.slot.other();
            card.as_ref().and_then(|card| card.room(passive, part).ok()).unwrap_or(0)
        };
        let saved = card.as_ref().map_or(Ok(None), Card::load);
        let config = Config {
            board: &board,
            version,
            booted,
            can_try: facts.is_some_and(|it| it.tryboot != Tryboot::No),
            has_key: key.is_some(),
            trial_ms: facts.map_or(0, |it| u64::from(it.trial_s) * 1_000),
            room: Part::ALL.map(room),
            autoboot: card.as_ref().and_then(|card| card.autoboot().ok()),
            saved: match saved {
                Ok(None) => Saved::NONE,
                Ok(Some(bytes)) => Saved::parse(&bytes).unwrap_or(Saved::LOST),
                Err(_) => Saved::LOST,
            },
        };
        let machine = Mutex::new(Machine::new(now_ms, &config));
        let (percent, now_ms) = (AtomicU8::new(0), AtomicU64::new(now_ms));
        Self { card, key, board, version, booted, machine, hands: Mutex::new(()), percent, now_ms }
    }

    /// Settles what an earlier run left, once after `start`, in a thread of its own: it may read
    /// both partitions of a slot. What it returns is to be done.
    pub(crate) fn resume(&self, now_ms: u64) -> Option<Restart> {
        self.now_ms.store(now_ms, Ordering::Relaxed);
        let _hands = lock(&self.hands);
        let restart = self.carry_out(None);
        restart.or_else(|| lock(&self.machine).is_ready().then_some(Restart::Trial))
    }

    /// Takes a bundle of `bytes` bytes, to its end: minutes. `progress` hears 0 to 100, each at
    /// most once; `taken` that the bundle is one for this box. After `Ok` the caller answers, and calls [`Self::restart`] 2 s later. After a
    /// refusal the rest of the bundle may not have been read.
    pub(crate) fn begin(
        &self,
        reader: &mut dyn Read,
        bytes: u64,
        taken: &dyn Fn(),
        progress: &mut dyn FnMut(u8),
    ) -> Result<Version, Refused> {
        let Ok(_hands) = self.hands.try_lock() else { return Err(Why::Busy.into()) };
        lock(&self.machine).check()?;
        let mut incoming = Incoming::new(reader, bytes);
        let version = self.judge(&mut incoming)?;
        taken();
        self.percent.store(0, Ordering::Relaxed);
        progress(0);
        let mut delivery = Delivery { incoming: &mut incoming, progress, trouble: None };
        self.carry_out(Some(&mut delivery));
        let machine = lock(&self.machine);
        match machine.saved().phase {
            _ if machine.is_ready() => Ok(version),
            Phase::Failed(why) => Err(refusal(why, delivery.trouble)),
            _ => Err(Why::Card.into()),
        }
    }

    /// Hands the head to the machine, which begins to write or refuses.
    fn judge(&self, incoming: &mut Incoming<'_>) -> Result<Version, Refused> {
        let head = incoming.head().map_err(|fault| match fault {
            Fault::Wrong(wrong) => refusal(Why::Format, Some(wrong.to_string())),
            Fault::Stream(error) | Fault::Card(error) => {
                refusal(Why::Interrupted, Some(error.to_string()))
            }
        })?;
        let key = self.key.unwrap_or_default();
        let verified = UnparsedPublicKey::new(&ED25519, key).verify(head.signed, head.signature);
        let signed = if verified.is_ok() { Signed::Well } else { Signed::Badly };
        let mut machine = lock(&self.machine);
        let judged = machine.handle_bundle(&head.manifest, signed);
        judged.map_err(|why| self.explain(why, &head.manifest, &machine))?;
        Ok(head.manifest.version)
    }

    fn explain(&self, why: Why, manifest: &Manifest<'_>, machine: &Machine) -> Refused {
        let Manifest { board, version, minimum, .. } = manifest;
        let detail = match why {
            Why::Board => Some(format!("it is for {board}, this is {}", self.board)),
            Why::Older => Some(format!("it brings {version}, here {} ran", machine.newest())),
            Why::Minimum => Some(format!("it needs {minimum}, here {} runs", self.version)),
            _ => None,
        };
        refusal(why, detail)
    }

    /// Tells once a second whether all is well: frames flow, the model ran, the store commits,
    /// REST answers. What it returns is to be done.
    pub(crate) fn health(&self, now_ms: u64, good: bool) -> Option<Restart> {
        self.now_ms.store(now_ms, Ordering::Relaxed);
        lock(&self.machine).handle_health(now_ms, good);
        // Who holds them carries out what follows as well.
        let _hands = self.hands.try_lock().ok()?;
        if self.is_trial() { self.carry_out(None) } else { None }
    }

    /// For the socket.
    pub(crate) fn state(&self) -> State {
        let saved = *lock(&self.machine).saved();
        let why = if let Phase::Failed(why) = saved.phase { Some(why.to_string()) } else { None };
        let percent = match saved.phase {
            Phase::Writing => self.percent.load(Ordering::Relaxed),
            _ => 0,
        };
        State { phase: saved.word(), version: saved.update.map(|it| it.version), percent, why }
    }

    /// The slot that runs.
    pub(crate) fn slot(&self) -> Slot {
        self.booted.slot
    }

    /// Whether this run is a trial that is not settled yet.
    pub(crate) fn is_trial(&self) -> bool {
        lock(&self.machine).is_trial()
    }

    /// The version that runs.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Restarts the machine: its servers have ended. Returns only where that fails; the update is
    /// given up then, and the system goes on as it is.
    pub(crate) fn restart(&self, restart: Restart) -> io::Error {
        let Some(card) = &self.card else {
            return io::Error::other("/etc/nightjar/facts is wrong");
        };
        if restart == Restart::Plain {
            return card.restart(false);
        }
        let _hands = lock(&self.hands);
        lock(&self.machine).handle_restart();
        if self.carry_out(None) != Some(Restart::Trial) {
            return io::Error::other("there is no update to try");
        }
        let error = card.restart(true);
        self.tell(Done::Badly);
        self.carry_out(None);
        error
    }

    /// Carries out actions until there is none, or one that is the supervisor's.
    fn carry_out(&self, mut delivery: Option<&mut Delivery<'_, '_>>) -> Option<Restart> {
        loop {
            let action = lock(&self.machine).poll_output()?;
            if let Action::Restart(restart) = action {
                return Some(restart);
            }
            let done = self.act(action, delivery.as_deref_mut());
            self.tell(done);
        }
    }

    fn tell(&self, done: Done) {
        lock(&self.machine).handle_done(self.now_ms.load(Ordering::Relaxed), done);
    }

    fn act(&self, action: Action, mut delivery: Option<&mut Delivery<'_, '_>>) -> Done {
        let Some(card) = &self.card else { return Done::Badly };
        let done = match (action, delivery.as_deref_mut()) {
            (Action::Save, _) => {
                let text = lock(&self.machine).saved().to_string();
                card.save(&text).map(|()| Done::Well)
            }
            (Action::Write(slot, part), Some(delivery)) => self.write(card, (slot, part), delivery),
            (Action::Write(..), None) => Ok(Done::Cut),
            (Action::Sync(slot), _) => card.sync(slot).map(|()| Done::Well),
            (Action::ReadBack(slot, part, bytes), delivery) => {
                self.read_back(card, (slot, part), bytes, delivery)
            }
            (Action::Commit(slot), _) => card.commit(slot).map(|()| Done::Well),
            (Action::Restart(_), _) => Ok(Done::Badly),
        };
        done.unwrap_or_else(|error| {
            if let Some(delivery) = delivery {
                delivery.trouble = Some(error.to_string());
            }
            Done::Badly
        })
    }

    fn write(
        &self,
        card: &Card,
        (slot, part): (Slot, Part),
        delivery: &mut Delivery<'_, '_>,
    ) -> io::Result<Done> {
        let mut file = card.open(slot, part)?;
        let (mut digest, mut dirty) = (Context::new(&SHA256), 0);
        let came = delivery.incoming.part(&mut |data, percent| {
            self.show(percent * WRITTEN / 100, delivery.progress);
            file.write_all(data)?;
            digest.update(data);
            dirty += data.len() as u64;
            if dirty >= DIRTY_MAX {
                file.sync_data()?;
                dirty = 0;
            }
            Ok(())
        });
        match came {
            Ok(()) => Ok(finish(digest)),
            Err(Fault::Card(error)) => Err(error),
            Err(Fault::Stream(error)) => {
                delivery.trouble = Some(error.to_string());
                Ok(Done::Cut)
            }
            Err(Fault::Wrong(wrong)) => {
                delivery.trouble = Some(wrong.to_string());
                Ok(Done::Cut)
            }
        }
    }

    fn read_back(
        &self,
        card: &Card,
        place: (Slot, Part),
        bytes: u64,
        mut delivery: Option<&mut Delivery<'_, '_>>,
    ) -> io::Result<Done> {
        let (mut digest, mut read) = (Context::new(&SHA256), 0);
        card.read_back(place, bytes, &mut |data| {
            digest.update(data);
            read += data.len() as u64;
            if let Some(delivery) = delivery.as_deref_mut() {
                let half = (100 - WRITTEN) / 2;
                let begun = if place.1 == Part::Boot { WRITTEN } else { WRITTEN + half };
                self.show(begun + half * read / bytes.max(1), delivery.progress);
            }
        })?;
        Ok(finish(digest))
    }

    fn show(&self, percent: u64, progress: &mut dyn FnMut(u8)) {
        let percent = u8::try_from(percent.min(100)).unwrap_or(100);
        if self.percent.fetch_max(percent, Ordering::Relaxed) < percent {
            progress(percent);
        }
    }
}

fn finish(digest: Context) -> Done {
    let digest = digest.finish();
    digest.as_ref().try_into().map_or(Done::Badly, Done::Digest)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refusal(why: Why, detail: Option<String>) -> Refused {
    let message = match detail {
        Some(detail) => format!("{why} ({detail})"),
        None => why.to_string(),
    };
    Refused { code: why.code(), message }
}

impl From<Why> for Refused {
    fn from(why: Why) -> Self {
        refusal(why, None)
    }
}
