//! Who may do what, in one place: principals, tokens, the pairing window.

use crate::clock;
use crate::store::{self, Store};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use edge_core::pair::{CLIENTS, Window};
use edge_core::rest::Route;
use edge_core::time::Instant;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a token, before they are written as hexadecimal digits.
const TOKEN_BYTES: usize = 16;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// The owner's own machine, over loopback.
    Owner,
    /// A paired phone, by its id.
    Client(u64),
    /// A client of label `http-proxy`, where the configuration lets it in.
    Legacy,
    /// Anybody else.
    Nobody,
}

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Unknown: not paired.
    NotPaired,
    /// Known, but not for this.
    Forbidden,
    /// Nobody may pair now.
    PairingClosed,
    /// No phone is paired yet, and this is none.
    NotFirst,
    /// As many phones are paired as can be.
    TooManyClients,
    /// The card does not answer.
    Store,
}

impl From<store::Error> for Denied {
    fn from(_: store::Error) -> Self {
        Self::Store
    }
}

/// Whether `principal` may use `route` at all.
pub(crate) fn check(principal: Principal, route: &Route) -> Result<(), Denied> {
    let public = matches!(route, Route::Root | Route::Ping | Route::AmbianicStatus);
    let pairs = matches!(route, Route::Pair);
    let rules = matches!(
        route,
        Route::Pairing
            | Route::Clients
            | Route::Client(_)
            | Route::System
            | Route::Update
            | Route::Wifi
            | Route::Reset
            | Route::Restart
    );
    match principal {
        Principal::Legacy if rules => Err(Denied::Forbidden),
        Principal::Owner | Principal::Client(_) | Principal::Legacy => Ok(()),
        Principal::Nobody if public || pairs => Ok(()),
        Principal::Nobody => Err(Denied::NotPaired),
    }
}

/// Tells principals apart.
#[derive(Debug)]
pub struct Door {
    store: Arc<Store>,
    legacy: bool,
    window: Mutex<Window>,
    /// Held while a phone pairs, so that one after the other does.
    pairing: Mutex<()>,
}

impl Door {
    /// A door; `legacy` is `--legacy-clients on`. Pairing is open where no phone ever paired.
    pub fn new(store: Arc<Store>, legacy: bool) -> Self {
        let window = Mutex::new(Window::new(store.ever_paired()));
        Self { store, legacy, window, pairing: Mutex::new(()) }
    }

    /// The principal that shows `token`; notes its use.
    pub fn by_token(&self, token: &str) -> Principal {
        if token.len() != 2 * TOKEN_BYTES {
            return Principal::Nobody;
        }
        let shown = hash(token);
        let known = self
            .store
            .find_client(|client| verify_slices_are_equal(&client.token_hash, &shown).is_ok());
        let Some(id) = known else { return Principal::Nobody };
        self.store.touch(id);
        Principal::Client(id)
    }

    /// The principal of a channel with label `http-proxy`.
    pub fn legacy(&self) -> Principal {
        if self.legacy { Principal::Legacy } else { Principal::Nobody }
    }

    /// Whether a phone may pair now.
    pub fn is_open(&self, now: Instant) -> bool {
        self.window().is_open(now)
    }

    /// Opens pairing; until when.
    pub(crate) fn open(&self, now: Instant) -> Instant {
        self.window().open(now)
    }

    /// Pairs a phone: its id and its token, which only the phone keeps. What may not be the
    /// `first` is no phone, and does not take the first one's place.
    pub(crate) fn pair(
        &self,
        now: Instant,
        name: &str,
        first: bool,
    ) -> Result<(u64, String), Denied> {
        // The window itself is not held while the card writes: status asks for it.
        let _one = self.pairing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_open(now) {
            return Err(Denied::PairingClosed);
        }
        if !first && *self.window() == Window::First {
            return Err(Denied::NotFirst);
        }
        if self.store.clients().len() >= CLIENTS {
            return Err(Denied::TooManyClients);
        }
        let mut token = String::with_capacity(2 * TOKEN_BYTES);
        for byte in clock::entropy::<TOKEN_BYTES>() {
            write!(token, "{byte:02x}").expect("a String takes any text");
        }
        let id = self.store.add_client(name, hash(&token))?;
        self.window().paired();
        Ok((id, token))
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(token: &str) -> [u8; 32] {
    let digest = digest(&SHA256, token.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
