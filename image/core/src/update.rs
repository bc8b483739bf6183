//! An update's way from a stream of bytes to the system that boots, without I/O.
//!
//! ```text
//!           handle_bundle            written, synced, read back
//!  Idle -----------------> Writing ---------------------------> Staged --handle_restart--+
//!   ^                         |                                   ^                      | attempts + 1,
//!   |                         | anything else                     | read back again:     | saved; then
//!   |                         v                                   | never tried, < 2     v
//!   +--------------------- Failed <-------------------------------+----- Restart(Trial): the old slot
//!   |                         ^                                                          | the new slot
//!   |                         | no health in time, or nightjar-box restarted             v
//!   |                         +------------ Restart(Plain) <-------------------------- Trial
//!   |                                                                                    | healthy for TRIAL_S
//!   +---------------------- Committed <------------ autoboot.txt: two digits in one sector
//! ```
//!
//! `handle_*` changes the state, then [`Machine::poll_output`] is drained: each action is given
//! once, and the next one not before [`Machine::handle_done`] told how it went. So what has to be
//! on the card first is there first. Only the slot that neither runs nor boots is written; a
//! trial is wished for only after the attempt is saved; and whatever happens in a trial but the
//! commit ends in the slot that `autoboot.txt` names.

mod saved;
#[cfg(test)]
mod tests;
mod why;

pub use saved::{BYTES_MAX, Phase, Saved, Update};
pub use why::Why;

use crate::autoboot::{Autoboot, Slot};
use crate::manifest::{BOARD_MAX, Manifest, Part, Sum};
use crate::version::Version;
use heapless::String;

/// Trials that are asked for before an update that never came up is given up.
pub const ATTEMPTS_MAX: u8 = 2;
/// In so many windows a trial has to find one of unbroken health ...
const WINDOWS: u64 = 5;
/// ... but it has at least this long.
const PATIENCE_MS: u64 = 180_000;
/// Health that nobody told of for this long is broken.
const GAP_MS: u64 = 10_000;

/// What booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booted {
    /// The slot that runs.
    pub slot: Slot,
    /// Whether a wish led there.
    pub trial: bool,
}

/// What a machine has to know.
#[derive(Debug, Clone, Copy)]
pub struct Config<'a> {
    /// The board's name.
    pub board: &'a str,
    /// The version that runs.
    pub version: Version,
    /// What booted.
    pub booted: Booted,
    /// Whether the board can try a slot once.
    pub can_try: bool,
    /// Whether the system that runs has a public key.
    pub has_key: bool,
    /// Unbroken health that commits, milliseconds.
    pub trial_ms: u64,
    /// What fits into a boot and a root partition, bytes.
    pub room: [u64; 2],
    /// `autoboot.txt`; `None` where it cannot be read or understood.
    pub autoboot: Option<Autoboot>,
    /// What an earlier run saved.
    pub saved: Saved,
}

/// How a signature was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// By the key that this system trusts.
    Well,
    /// Not so.
    Badly,
}

/// Which way a restart leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Into the other slot, once.
    Trial,
    /// Into the slot that `autoboot.txt` names.
    Plain,
}

/// What is to be done; [`Machine::handle_done`] tells how it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Replace the state file by [`Machine::saved`], on the card when it is done.
    Save,
    /// Write the bundle's next part to the beginning of its partition. Done with its digest.
    Write(Slot, Part),
    /// Bring what was written onto the card.
    Sync(Slot),
    /// Read so many bytes of a partition from the card, not from memory. Done with their digest.
    ReadBack(Slot, Part, u64),
    /// Rewrite `autoboot.txt`: from now on this slot boots.
    Commit(Slot),
    /// Restart the machine.
    Restart(Restart),
}

/// How an action went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Well.
    Well,
    /// Well, and this is the SHA-256 of what was written or read.
    Digest([u8; 32]),
    /// It cannot be done, or only in part.
    Badly,
    /// The bundle ended or was given up before its end.
    Cut,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Idle,
    Save(After),
    Write(Part),
    Sync,
    ReadBack(Part),
    /// Staged; waits for [`Machine::handle_restart`].
    Ready,
    /// On trial; waits for health.
    Watch,
    Commit,
    Restart(Restart),
}

/// What comes after the state is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Idle,
    Write,
    Ready,
    Watch,
    Restart(Restart),
}

/// All decisions about updates on one card, from one start of nightjar-box to its end.
#[derive(Debug)]
pub struct Machine {
    board: String<BOARD_MAX>,
    version: Version,
    booted: Booted,
    can_try: bool,
    has_key: bool,
    trial_ms: u64,
    room: [u64; 2],
    autoboot: Option<Autoboot>,
    saved: Saved,
    step: Step,
    /// The action of `step` was given out.
    given: bool,
    started_ms: u64,
    healthy_since_ms: Option<u64>,
    told_ms: u64,
}

impl Machine {
    /// Judges what an earlier run left; what follows from it is in [`Self::poll_output`].
    pub fn new(now_ms: u64, config: &Config<'_>) -> Self {
        let mut machine = Self {
            board: String::try_from(config.board).unwrap_or_default(),
            version: config.version,
            booted: config.booted,
            can_try: config.can_try,
            has_key: config.has_key,
            trial_ms: config.trial_ms,
            room: config.room,
            autoboot: config.autoboot,
            saved: config.saved,
            step: Step::Idle,
            given: false,
            started_ms: now_ms,
            healthy_since_ms: None,
            told_ms: now_ms,
        };
        if machine.is_home() {
            machine.settle();
        } else if config.booted.trial {
            machine.start_trial();
        }
        machine
    }

    /// Whether the slot that runs is the one that boots; without `autoboot.txt` the firmware's
    /// word is all there is.
    fn is_home(&self) -> bool {
        self.autoboot.map_or(!self.booted.trial, |it| it.slot() == self.booted.slot)
    }

    fn start_trial(&mut self) {
        let meant = |it: Update| it.slot == self.booted.slot && it.version == self.version;
        match self.saved.phase {
            Phase::Staged { attempts: 1.. } if self.saved.update.is_some_and(meant) => {
                self.save(Phase::Trial, After::Watch);
            }
            // nightjar-box ended in its trial and was started anew.
            Phase::Trial => self.give_up(Why::Restarted, After::Restart(Restart::Plain)),
            _ => self.give_up(Why::Unexpected, After::Restart(Restart::Plain)),
        }
    }

    /// In the slot that boots.
    fn settle(&mut self) {
        let here = self.saved.update.is_some_and(|it| it.slot == self.booted.slot);
        match self.saved.phase {
            Phase::None | Phase::Committed | Phase::Failed(_) => {}
            Phase::Writing => self.give_up(Why::Interrupted, After::Idle),
            // The commit was on the card before the power went; or its owner's hand led here.
            Phase::Trial | Phase::Staged { .. } if here => self.note_commit(),
            Phase::Trial => self.give_up(Why::Restarted, After::Idle),
            Phase::Staged { attempts: ATTEMPTS_MAX.. } => {
                self.give_up(Why::NotStarted, After::Idle);
            }
            Phase::Staged { .. } if !self.can_try => self.give_up(Why::Unsupported, After::Idle),
            Phase::Staged { .. } if !self.leads_elsewhere() => {
                self.give_up(Why::Autoboot, After::Idle);
            }
            Phase::Staged { .. } => self.step(Step::ReadBack(Part::Boot)),
        }
    }

    /// Whether the slot that runs boots, and a trial leads into the other one.
    fn leads_elsewhere(&self) -> bool {
        self.is_home() && self.autoboot.is_some_and(|it| it.check_trial().is_ok())
    }

    /// Whether a bundle would be looked at; asked before the first byte.
    pub fn check(&self) -> Result<(), Why> {
        if !self.can_try {
            return Err(Why::Unsupported);
        }
        if !self.has_key {
            return Err(Why::NoKey);
        }
        if self.is_trial() {
            return Err(Why::Trial);
        }
        if self.step != Step::Idle {
            return Err(Why::Busy);
        }
        if self.leads_elsewhere() { Ok(()) } else { Err(Why::Autoboot) }
    }

    /// A bundle's head. A refusal leaves everything as it was.
    pub fn handle_bundle(&mut self, manifest: &Manifest<'_>, signed: Signed) -> Result<(), Why> {
        self.check()?;
        if signed != Signed::Well {
            return Err(Why::Signature);
        }
        if manifest.board != self.board {
            return Err(Why::Board);
        }
        if manifest.version <= self.newest() {
            return Err(Why::Older);
        }
        if manifest.minimum > self.version {
            return Err(Why::Minimum);
        }
        let [boot, root] = self.room;
        if manifest.boot.bytes > boot || manifest.root.bytes > root {
            return Err(Why::Large);
        }
        let Manifest { version, boot, root, .. } = *manifest;
        let slot = self.booted.slot.other();
        self.saved.update = Some(Update { version, slot, boot, root });
        self.save(Phase::Writing, After::Write);
        Ok(())
    }

    /// The version that an update has to exceed.
    pub fn newest(&self) -> Version {
        self.saved.committed.map_or(self.version, |it| it.max(self.version))
    }

    /// The servers have ended: a staged update may be tried.
    pub fn handle_restart(&mut self) {
        if let (Step::Ready, Phase::Staged { attempts }) = (self.step, self.saved.phase) {
            let phase = Phase::Staged { attempts: attempts.saturating_add(1) };
            self.save(phase, After::Restart(Restart::Trial));
        }
    }

    /// Whether all is well, once a second.
    pub fn handle_health(&mut self, now_ms: u64, good: bool) {
        let gap = now_ms.saturating_sub(self.told_ms) > GAP_MS;
        self.told_ms = now_ms;
        self.healthy_since_ms = match self.healthy_since_ms {
            _ if !good => None,
            Some(since) if !gap => Some(since),
            _ => Some(now_ms),
        };
        let healthy_ms = self.healthy_since_ms.map_or(0, |it| now_ms.saturating_sub(it));
        if self.step == Step::Watch
            && self.healthy_since_ms.is_some()
            && healthy_ms >= self.trial_ms
        {
            self.step(Step::Commit);
        }
        self.handle_timeout(now_ms);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let patience_ms = self.trial_ms.saturating_mul(WINDOWS).max(PATIENCE_MS);
        if self.step == Step::Watch && now_ms.saturating_sub(self.started_ms) >= patience_ms {
            self.give_up(Why::Unhealthy, After::Restart(Restart::Plain));
        }
    }

    /// The next action, once.
    pub fn poll_output(&mut self) -> Option<Action> {
        if core::mem::replace(&mut self.given, true) {
            return None;
        }
        let update = self.saved.update;
        let slot = update.map_or(self.booted.slot.other(), |it| it.slot);
        match self.step {
            Step::Idle | Step::Ready | Step::Watch => None,
            Step::Save(_) => Some(Action::Save),
            Step::Write(part) => Some(Action::Write(slot, part)),
            Step::Sync => Some(Action::Sync(slot)),
            Step::ReadBack(part) => Some(Action::ReadBack(slot, part, self.sum(part)?.bytes)),
            Step::Commit => Some(Action::Commit(slot)),
            Step::Restart(restart) => Some(Action::Restart(restart)),
        }
    }

    /// How the last action went. Of a restart only that it failed is ever told.
    pub fn handle_done(&mut self, now_ms: u64, done: Done) {
        match self.step {
            Step::Idle | Step::Ready | Step::Watch => {}
            Step::Save(after) if done == Done::Well => self.handle_saved(now_ms, after),
            Step::Save(after) => self.handle_unsaved(after),
            Step::Write(part) => self.handle_written(part, done),
            Step::Sync if done == Done::Well => self.step(Step::ReadBack(Part::Boot)),
            Step::ReadBack(part) if self.is_sum(part, done) => match part {
                Part::Boot => self.step(Step::ReadBack(Part::Root)),
                Part::Root => self.handle_read_back(),
            },
            Step::Commit if done == Done::Well => self.note_commit(),
            // The sector may be old or new: the next start finds out which.
            Step::Commit => self.step(Step::Restart(Restart::Plain)),
            Step::Sync | Step::ReadBack(_) | Step::Restart(Restart::Trial) => {
                self.give_up(Why::Card, After::Idle);
            }
            Step::Restart(Restart::Plain) => self.step(Step::Idle),
        }
    }

    fn handle_saved(&mut self, now_ms: u64, after: After) {
        (self.started_ms, self.told_ms, self.healthy_since_ms) = (now_ms, now_ms, None);
        self.step(match after {
            After::Idle => Step::Idle,
            After::Write => Step::Write(Part::Boot),
            After::Ready => Step::Ready,
            After::Watch => Step::Watch,
            After::Restart(restart) => Step::Restart(restart),
        });
    }

    fn handle_written(&mut self, part: Part, done: Done) {
        match (done, part) {
            (Done::Digest(_), Part::Boot) if self.is_sum(part, done) => {
                self.step(Step::Write(Part::Root));
            }
            (Done::Digest(_), Part::Root) if self.is_sum(part, done) => self.step(Step::Sync),
            (Done::Digest(_), _) => self.give_up(Why::Damaged, After::Idle),
            (Done::Cut, _) => self.give_up(Why::Interrupted, After::Idle),
            _ => self.give_up(Why::Card, After::Idle),
        }
    }

    /// Both parts are on the card as they should be, for the first time or still.
    fn handle_read_back(&mut self) {
        match self.saved.phase {
            Phase::Staged { .. } => self.step(Step::Ready),
            _ => self.save(Phase::Staged { attempts: 0 }, After::Ready),
        }
    }

    /// The data partition does not take the state. Nothing new begins then.
    fn handle_unsaved(&mut self, after: After) {
        match after {
            // A trial whose beginning is not known could be tried again without an end.
            After::Watch | After::Restart(Restart::Plain) => {
                self.step(Step::Restart(Restart::Plain));
            }
            After::Write | After::Ready | After::Restart(Restart::Trial) => {
                self.give_up(Why::Card, After::Idle);
            }
            After::Idle => self.step(Step::Idle),
        }
    }

    fn note_commit(&mut self) {
        let version = self.saved.update.map_or(self.version, |it| it.version);
        self.saved.committed = Some(self.newest().max(version));
        if let Some(now) = self.autoboot
            && let Ok(after) = now.committed(self.booted.slot)
        {
            self.autoboot = Some(after);
        }
        self.save(Phase::Committed, After::Idle);
    }

    fn give_up(&mut self, why: Why, after: After) {
        self.save(Phase::Failed(why), after);
    }

    fn save(&mut self, phase: Phase, after: After) {
        self.saved.phase = phase;
        self.step(Step::Save(after));
    }

    fn step(&mut self, step: Step) {
        (self.step, self.given) = (step, false);
    }

    fn sum(&self, part: Part) -> Option<Sum> {
        let update = self.saved.update?;
        Some(if part == Part::Boot { update.boot } else { update.root })
    }

    fn is_sum(&self, part: Part, done: Done) -> bool {
        self.sum(part).is_some_and(|sum| done == Done::Digest(sum.sha256))
    }

    /// What is to be saved, and what is told of.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// Whether this run is a trial that is not settled.
    pub fn is_trial(&self) -> bool {
        self.booted.trial && !self.is_home()
    }

    /// Whether an update waits for a restart.
    pub fn is_ready(&self) -> bool {
        self.step == Step::Ready
    }
}
