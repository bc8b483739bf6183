//! The signaling server as the box's machine sees it, in virtual time; now and then it is gone.

use edge_core::backoff::Backoff;
use signal_proto::client::{Client, Heard, Output};

/// What the server says when the box comes.
const OPEN: &str = r#"{"type":"OPEN"}"#;
/// First and longest wait after a loss, ms.
const AWAY_MS: (u64, u64) = (500, 1_500);

/// The machine, and whether its server can be reached.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    backoff: Backoff,
    due: u64,
    away_until: u64,
    /// How often the box came, and was heard of.
    pub(crate) opened: u64,
    pub(crate) heartbeats: u64,
}

impl Server {
    pub(crate) fn new(now: u64) -> Self {
        let backoff = Backoff::new(AWAY_MS.0, AWAY_MS.1, 7);
        Self {
            client: Client::new(now),
            backoff,
            due: now,
            away_until: 0,
            opened: 0,
            heartbeats: 0,
        }
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.client.is_registered()
    }

    /// The server goes, and is back at `until`.
    pub(crate) fn lose(&mut self, now: u64, until: u64) {
        self.away_until = until;
        self.client.handle_lost(now, self.backoff.wait_ms());
        self.pass(now);
    }

    /// Lets everything happen that is due.
    pub(crate) fn pass(&mut self, now: u64) {
        while self.due <= now {
            let at = self.due;
            self.client.handle_timeout(at);
            self.drain(at);
        }
        self.client.handle_timeout(now);
        self.drain(now);
    }

    fn drain(&mut self, now: u64) {
        loop {
            match self.client.poll_output() {
                Output::Connect if now < self.away_until => {
                    self.client.handle_lost(now, self.backoff.wait_ms());
                }
                Output::Connect => {
                    self.client.handle_connected(now);
                    self.opened += u64::from(self.client.handle_text(now, OPEN) == Heard::Open);
                    self.backoff.succeeded();
                }
                Output::Drop => self.client.handle_lost(now, self.backoff.wait_ms()),
                Output::Text(_) => self.heartbeats += 1,
                Output::Ping => self.client.handle_alive(now),
                Output::Join => self.client.handle_joined(now, true),
                Output::Timeout(at) => {
                    self.due = at.max(now + 1);
                    return;
                }
            }
        }
    }

    /// What a peer says, as it comes through the server: its payload.
    pub(crate) fn relay(&mut self, now: u64, text: &str) -> Option<String> {
        match self.client.handle_text(now, text) {
            Heard::Peer { payload, .. } => payload.map(str::to_owned),
            _ => None,
        }
    }
}
