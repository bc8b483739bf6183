//! What waits to be sent to one client, and to all of them, beside what each has begun to say.
//!
//! Bounds: [`BYTES_MAX`] for a client; one that lets more pile up does not read, and is cut.
//! [`ALL_BYTES_MAX`] for all clients together; beyond it the one who is furthest behind is cut.

use signal_proto::message::Message;
use signal_proto::websocket::{self, Opcode};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::task::Waker;

/// Most bytes that wait for a client to read them.
pub const BYTES_MAX: usize = 256 * 1024;

/// Most memory that holds what waits for anybody, or is half said, in bytes.
pub const ALL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Every outbox, and how much they hold together.
#[derive(Debug, Default)]
pub struct Ledger {
    held: Cell<usize>,
    cut: Cell<u64>,
    outboxes: RefCell<BTreeMap<u64, Weak<Outbox>>>,
    next: Cell<u64>,
}

/// Frames for one client; the realm's side fills it, the socket's side empties it.
#[derive(Debug)]
pub struct Outbox {
    ledger: Rc<Ledger>,
    number: u64,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: VecDeque<u8>,
    /// The memory of the message that the client has begun.
    begun: usize,
    /// The memory of both, as the ledger knows it.
    held: usize,
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

impl Ledger {
    /// An outbox for one more client.
    pub fn outbox(self: &Rc<Self>) -> Rc<Outbox> {
        let number = self.next.get();
        self.next.set(number + 1);
        let inner = RefCell::default();
        let outbox = Rc::new(Outbox { ledger: Rc::clone(self), number, inner });
        self.outboxes.borrow_mut().insert(number, Rc::downgrade(&outbox));
        outbox
    }

    /// The memory that holds what waits for anybody, in bytes.
    pub const fn held(&self) -> usize {
        self.held.get()
    }

    /// How many clients were cut, so far, for what they did not read.
    pub const fn cut(&self) -> u64 {
        self.cut.get()
    }

    /// Cuts who is furthest behind, until the rest is within bounds.
    fn settle(&self) {
        while self.held.get() > ALL_BYTES_MAX {
            let outboxes = self.outboxes.borrow();
            let all = outboxes.values().filter_map(Weak::upgrade);
            let Some(last) = all.max_by_key(|outbox| outbox.inner.borrow().held) else { return };
            last.cut();
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.ledger.outboxes.borrow_mut().remove(&self.number);
        self.ledger.held.set(self.ledger.held.get() - self.inner.get_mut().held);
    }
}

impl Outbox {
    /// Adds a message that is relayed, written once and here: it costs no memory but its frame's.
    pub fn relay(&self, message: &Message<'_>) {
        self.add(Opcode::Text, message.length(), |bytes| {
            message.pieces(|piece| bytes.extend(piece.as_bytes()));
        });
    }

    /// Adds a text message.
    pub fn text(&self, text: &str) {
        self.add_whole(Opcode::Text, text.as_bytes());
    }

    /// Adds a ping.
    pub fn ping(&self) {
        self.add_whole(Opcode::Ping, &[]);
    }

    /// Adds the answer to a ping.
    pub fn pong(&self, payload: &[u8]) {
        self.add_whole(Opcode::Pong, payload);
    }

    /// Adds a close frame; nothing is added after it.
    pub fn close(&self, code: u16) {
        self.add_whole(Opcode::Close, &code.to_be_bytes());
        let mut inner = self.inner.borrow_mut();
        if inner.state == State::Open {
            inner.state = State::Closing;
        }
    }

    /// Ends the connection at once, for the client does not read; what waits is lost.
    pub fn cut(&self) {
        self.note_cut();
        let mut inner = self.inner.borrow_mut();
        inner.state = State::Cut;
        inner.bytes = VecDeque::new();
        inner.begun = 0;
        self.count(&mut inner);
        inner.wake();
    }

    /// Takes note of the memory that the beginning of a client's message holds.
    pub fn note_begun(&self, bytes: usize) {
        let mut inner = self.inner.borrow_mut();
        if inner.state == State::Cut || inner.begun == bytes {
            return;
        }
        inner.begun = bytes;
        self.count(&mut inner);
        drop(inner);
        self.ledger.settle();
    }

    /// Counts a client that does not read.
    pub fn note_cut(&self) {
        self.ledger.cut.set(self.ledger.cut.get() + 1);
    }

    /// Lets `send` take bytes off the front; `None` where nothing waits.
    pub fn send<T>(&self, send: impl FnOnce(&[u8]) -> (usize, T)) -> Option<T> {
        let mut inner = self.inner.borrow_mut();
        let (front, _) = inner.bytes.as_slices();
        if front.is_empty() {
            return None;
        }
        let (sent, result) = send(front);
        inner.bytes.drain(..sent);
        if inner.bytes.is_empty() {
            // An idle client holds no memory.
            inner.bytes = VecDeque::new();
            self.count(&mut inner);
        }
        Some(result)
    }

    /// How it goes on; an error where it is cut.
    pub fn check(&self) -> Result<State, std::io::Error> {
        match self.inner.borrow().state {
            State::Cut => Err(std::io::ErrorKind::TimedOut.into()),
            state => Ok(state),
        }
    }

    /// Whom to wake when there is more.
    pub fn wake_by(&self, waker: &Waker) {
        let mut inner = self.inner.borrow_mut();
        match &mut inner.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn add_whole(&self, opcode: Opcode, payload: &[u8]) {
        self.add(opcode, payload.len(), |bytes| bytes.extend(payload));
    }

    /// Adds a frame whose payload of `length` bytes `write` appends.
    fn add(&self, opcode: Opcode, length: usize, write: impl FnOnce(&mut VecDeque<u8>)) {
        let mut inner = self.inner.borrow_mut();
        if inner.state != State::Open {
            return;
        }
        let head = websocket::head(opcode, length, None);
        if inner.bytes.len() + head.len() + length > BYTES_MAX {
            drop(inner);
            return self.cut();
        }
        inner.bytes.reserve(head.len() + length);
        inner.bytes.extend(&head);
        write(&mut inner.bytes);
        self.count(&mut inner);
        inner.wake();
        drop(inner);
        self.ledger.settle();
    }

    fn count(&self, inner: &mut Inner) {
        let held = inner.bytes.capacity() + inner.begun;
        self.ledger.held.set(self.ledger.held.get() - inner.held + held);
        inner.held = held;
    }
}

impl Inner {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that waits, taken a few bytes at a time.
    fn take(outbox: &Outbox) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = outbox.send(|bytes| (bytes.len().min(3), bytes.to_vec())) {
            all.extend(piece.into_iter().take(3));
        }
        all
    }

    #[test]
    fn nothing_follows_a_close() {
        let ledger = Rc::new(Ledger::default());
        let outbox = ledger.outbox();
        outbox.text("a");
        outbox.close(1000);
        outbox.text("b");
        outbox.close(1001);
        assert_eq!(take(&outbox), [0x81, 1, b'a', 0x88, 2, 3, 232]);
        assert_eq!((outbox.check().unwrap(), ledger.held()), (State::Closing, 0));
    }

    #[test]
    fn who_does_not_read_is_cut() {
        let ledger = Rc::new(Ledger::default());
        let outbox = ledger.outbox();
        for _ in 0..4 {
            outbox.text(&"x".repeat(60_000));
        }
        assert!(outbox.check().is_ok() && ledger.held() >= 240_000);
        outbox.send(|bytes| (bytes.len().min(100), ()));
        outbox.text(&"x".repeat(60_000));
        assert!(outbox.check().is_err());
        assert_eq!((take(&outbox), ledger.held(), ledger.cut()), (vec![], 0, 1));
    }

    #[test]
    fn a_relayed_message_is_its_text_in_a_frame() {
        let ledger = Rc::new(Ledger::default());
        for length in [0, 100, 126, 60_000, 66_000] {
            let payload = format!("\"{}\"", "x".repeat(length));
            let text = format!("{{\"type\":\"OFFER\",\"payload\":{payload}}}");
            let message = Message::parse(&text).unwrap();
            let (one, other) = (ledger.outbox(), ledger.outbox());
            one.relay(&message);
            other.text(&text);
            assert_eq!(take(&one), take(&other));
        }
        assert_eq!(ledger.held(), 0);
    }

    #[test]
    fn who_says_half_of_much_is_cut() {
        let ledger = Rc::new(Ledger::default());
        let all: Vec<_> = (0..=ALL_BYTES_MAX >> 16).map(|_| ledger.outbox()).collect();
        let all_begin = |bytes| {
            for outbox in &all {
                outbox.note_begun(bytes);
            }
        };
        all_begin(1 << 16);
        assert_eq!((ledger.held(), ledger.cut()), (ALL_BYTES_MAX, 1));
        all_begin(0);
        assert_eq!(ledger.held(), 0);
    }

    #[test]
    fn all_together_are_bounded_and_the_last_is_cut() {
        let ledger = Rc::new(Ledger::default());
        let slow = ledger.outbox();
        for _ in 0..4 {
            slow.text(&"x".repeat(60_000));
        }
        let mut others = Vec::new();
        while slow.check().is_ok() {
            let other = ledger.outbox();
            other.text(&"x".repeat(60_000));
            assert!(ledger.held() <= ALL_BYTES_MAX);
            others.push(other);
        }
        assert!(others.len() > 500, "{}", others.len());
        assert!(others.iter().all(|other| other.check().is_ok()), "they are less behind");
        drop((slow, others));
        assert_eq!((ledger.held(), ledger.outboxes.borrow().len()), (0, 0));
    }
}
