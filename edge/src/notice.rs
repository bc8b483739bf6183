//! What the store and the API tell the sessions: something a phone should hear of now.

use edge_core::event::EventId;
use smol::channel::{Receiver, Sender, bounded};

/// Notices that wait for one listener; when full, the oldest gives way and the listener
/// sees the gap in [`Notice::number`].
pub const WAITING: usize = 256;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An event is listed for the first time, or its card changed.
    Event(EventId),
    /// An event is gone.
    Deleted(EventId),
    /// A paired phone was revoked: its sessions end.
    Revoked(u64),
}

/// One notice; numbers count up by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// Position in the row of notices.
    pub number: u64,
    /// What happened.
    pub what: What,
}

/// Writes notices; one of a kind, shared by reference.
#[derive(Debug)]
pub struct Bell {
    sender: Sender<Notice>,
    next: std::sync::atomic::AtomicU64,
}

/// A bell and its one listener, the net thread.
pub fn bell() -> (Bell, Receiver<Notice>) {
    let (sender, receiver) = bounded(WAITING);
    (Bell { sender, next: 0.into() }, receiver)
}

impl Bell {
    /// Tells the listener; never waits.
    pub fn ring(&self, what: What) {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let _ = self.sender.force_send(Notice { number, what });
    }
}
