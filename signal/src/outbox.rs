//! What waits to be sent to one client.
//!
//! Bound: [`BYTES_MAX`]; a client that lets more pile up does not read, and is cut.

use signal_proto::websocket::{self, Opcode};
use std::cell::RefCell;
use std::task::Waker;

/// Most bytes that wait for a client to read them.
pub const BYTES_MAX: usize = 256 * 1024;

/// Frames for one client; the realm's side fills it, the socket's side empties it.
#[derive(Debug, Default)]
pub struct Outbox(RefCell<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    state: State,
    waker: Option<Waker>,
}

/// Whether the connection goes on.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    #[default]
    Open,
    /// A close frame is the last that is sent.
    Closing,
    /// It ends at once.
    Cut,
}

impl Outbox {
    /// Adds a text message.
    pub fn text(&self, text: &str) {
        self.add(|out| websocket::encode(Opcode::Text, text.as_bytes(), None, out));
    }

    /// Adds a ping.
    pub fn ping(&self) {
        self.add(|out| websocket::encode(Opcode::Ping, &[], None, out));
    }

    /// Adds the answer to a ping.
    pub fn pong(&self, payload: &[u8]) {
        self.add(|out| websocket::encode(Opcode::Pong, payload, None, out));
    }

    /// Adds a close frame; nothing is added after it.
    pub fn close(&self, code: u16) {
        self.add(|out| websocket::encode_close(code, "", None, out));
        let mut inner = self.0.borrow_mut();
        if inner.state == State::Open {
            inner.state = State::Closing;
        }
    }

    /// Everything that waits, and how it goes on after it.
    pub fn take(&self) -> (Vec<u8>, State) {
        let mut inner = self.0.borrow_mut();
        (std::mem::take(&mut inner.bytes), inner.state)
    }

    /// How it goes on, while earlier bytes are still being sent; an error where it is cut.
    pub fn check(&self) -> Result<State, std::io::Error> {
        match self.0.borrow().state {
            State::Cut => Err(std::io::ErrorKind::TimedOut.into()),
            state => Ok(state),
        }
    }

    /// Whom to wake when there is more.
    pub fn wake_by(&self, waker: &Waker) {
        let mut inner = self.0.borrow_mut();
        match &mut inner.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.0.borrow_mut();
        if inner.state != State::Open {
            return;
        }
        write(&mut inner.bytes);
        if inner.bytes.len() > BYTES_MAX {
            inner.state = State::Cut;
            inner.bytes = Vec::new();
        }
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_a_close() {
        let outbox = Outbox::default();
        outbox.text("a");
        outbox.close(1000);
        outbox.text("b");
        outbox.close(1001);
        assert_eq!(outbox.take(), (vec![0x81, 1, b'a', 0x88, 2, 3, 232], State::Closing));
        assert_eq!(outbox.take(), (vec![], State::Closing));
    }

    #[test]
    fn who_does_not_read_is_cut() {
        let outbox = Outbox::default();
        for _ in 0..5 {
            outbox.text(&"x".repeat(60_000));
        }
        assert_eq!(outbox.take(), (vec![], State::Cut));
    }
}
