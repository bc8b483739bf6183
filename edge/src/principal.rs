//! Who may do what, in one place: principals, tokens, the pairing window.

use crate::store::Store;
use std::sync::Arc;

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

/// Tells principals apart.
#[derive(Debug)]
pub struct Door {
    store: Arc<Store>,
    legacy: bool,
}

impl Door {
    /// A door; `legacy` is `--legacy-clients on`.
    pub fn new(store: Arc<Store>, legacy: bool) -> Self {
        Self { store, legacy }
    }

    /// The principal that shows `token`; notes its use.
    pub fn by_token(&self, token: &str) -> Principal {
        let _ = (&self.store, token);
        Principal::Nobody
    }

    /// The principal of a channel with label `http-proxy`.
    pub fn legacy(&self) -> Principal {
        if self.legacy { Principal::Legacy } else { Principal::Nobody }
    }
}
