//! Updates on the card: carries out what `image_core::update` decides. The supervisor's face.
//!
//! ```text
//! start -> resume (a thread of its own) -> health once a second, begin when a bundle comes
//!                                              | Some(Restart)        | Ok(version)
//!                                              v                      v 2 s later
//!                            end the servers, sync -> restart(..): does not return
//! ```

use image_core::autoboot::Slot;
use image_core::version::Version;
use std::io::{self, Read};
use std::path::Path;

/// A restart that the supervisor is to prepare: end the servers, then [`Updater::restart`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Into the other slot, once.
    Trial,
    /// Into the slot that `autoboot.txt` names.
    Plain,
}

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
#[derive(Debug)]
pub(crate) struct Updater {
    state: State,
    slot: Slot,
    trial: bool,
    version: Version,
}

impl Updater {
    /// Reads what booted, `autoboot.txt` and the saved state below `root` (`/` on a card); writes
    /// nothing. Where something cannot be read, updates are refused in these words.
    pub(crate) fn start(_now_ms: u64, _root: &Path) -> Self {
        let state = State { phase: "none", version: None, percent: 0, why: None };
        Self { state, slot: Slot::A, trial: false, version: Version::default() }
    }

    /// Settles what an earlier run left, once after `start`, in a thread of its own: it may read
    /// both partitions of a slot. What it returns is to be done.
    pub(crate) fn resume(&self, _now_ms: u64) -> Option<Restart> {
        self.trial.then_some(Restart::Plain)
    }

    /// Takes a bundle of `bytes` bytes, to its end: minutes. `progress` hears 0 to 100, each at
    /// most once. After `Ok` the caller answers, and calls [`Self::restart`] 2 s later.
    pub(crate) fn begin(
        &self,
        _reader: &mut dyn Read,
        _bytes: u64,
        _progress: &mut dyn FnMut(u8),
    ) -> Result<Version, Refused> {
        let _ = self.version;
        Err(Refused { code: "unsupported", message: "updates are not there yet".into() })
    }

    /// Tells once a second whether all is well: frames flow, the model ran, the store commits,
    /// REST answers. What it returns is to be done.
    pub(crate) fn health(&self, _now_ms: u64, _good: bool) -> Option<Restart> {
        self.trial.then_some(Restart::Plain)
    }

    /// For the socket.
    pub(crate) fn state(&self) -> State {
        self.state.clone()
    }

    /// The slot that runs.
    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    /// Whether this run is a trial that is not settled yet.
    pub(crate) fn is_trial(&self) -> bool {
        self.trial
    }

    /// The version that runs.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Restarts the machine: its servers have ended. Returns only where that fails.
    pub(crate) fn restart(&self, _restart: Restart) -> io::Error {
        io::Error::other(self.state.phase)
    }
}
