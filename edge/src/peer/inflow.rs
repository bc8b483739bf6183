//! A body that is read while it arrives: a bounded pipe from a session to whoever reads it.
//!
//! ```text
//! phone --MORE--> Inlet::push --> at most the room granted --> Outlet::read --> the box's socket
//!       <--CREDIT-- grant <---------------------------------------+
//! ```
//! Nobody grants room but who reads; so a phone that may not do what it asks fills nothing.

use edge_core::link::responder::UNASKED_BYTES;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that may be on their way or lie here beyond those that were read.
pub const WINDOW_BYTES: u32 = 256 * 1024;
/// A phone that sends nothing for so long has given up.
const STALLED: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Bytes read so far.
    read: u32,
    /// Bytes that may come in all, as the phone was told.
    room: u32,
    /// `Some(true)`: all came. `Some(false)`: it broke off.
    end: Option<bool>,
}

impl State {
    /// Reads what is here; `None` where more may come.
    fn take(&mut self, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let count = io::Read::read(&mut self.bytes, buf).unwrap_or(0);
        self.read = self.read.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        match (count, self.end) {
            (0, None) => None,
            (0, Some(false)) => Some(Err(ErrorKind::UnexpectedEof.into())),
            _ => Some(Ok(count)),
        }
    }
}

#[derive(Debug, Default)]
struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, whole: bool) {
        self.state().end.get_or_insert(whole);
        self.changed.notify_all();
    }
}

/// The session's end. Dropped before [`Inlet::finish`], the body broke off.
#[derive(Debug)]
pub struct Inlet(Arc<Pipe>);

/// The reader's end.
#[derive(Debug, Clone)]
pub struct Outlet(Arc<Pipe>);

/// A new pipe. The first 64 KiB of a body come unasked, as of any.
pub fn pipe() -> (Inlet, Outlet) {
    let pipe = Arc::new(Pipe::default());
    pipe.state().room = UNASKED_BYTES;
    (Inlet(Arc::clone(&pipe)), Outlet(pipe))
}

impl Inlet {
    /// Takes the next piece. The link's machine has held it against the room.
    pub fn push(&self, piece: &[u8]) {
        self.0.state().bytes.extend(piece);
        self.0.changed.notify_all();
    }

    /// The body is whole.
    pub fn finish(self) {
        self.0.end(true);
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.0.end(false);
    }
}

impl Outlet {
    /// Reads what has come of a body of `length` bytes, waiting for the first of it; nothing at
    /// its end. `grant` is told each time the phone may send more: how many bytes in all.
    pub fn read(&self, length: u32, buf: &mut [u8], grant: impl FnOnce(u32)) -> io::Result<usize> {
        if let Some(room) = self.grow(length) {
            grant(room);
        }
        let state = self.0.state();
        let waits = |state: &mut State| state.bytes.is_empty() && state.end.is_none();
        let waited = self.0.changed.wait_timeout_while(state, STALLED, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.take(buf).unwrap_or(Err(ErrorKind::TimedOut.into()))
    }

    /// As [`Outlet::read`], but does not wait: `None` where nothing has come.
    pub fn try_read(
        &self,
        length: u32,
        buf: &mut [u8],
        grant: impl FnOnce(u32),
    ) -> Option<io::Result<usize>> {
        if let Some(room) = self.grow(length) {
            grant(room);
        }
        self.0.state().take(buf)
    }

    /// The room that the phone is to be told of, in steps of a quarter of the window.
    fn grow(&self, length: u32) -> Option<u32> {
        let mut state = self.0.state();
        let room = state.read.saturating_add(WINDOW_BYTES).min(length);
        let step = if room == length { 1 } else { WINDOW_BYTES / 4 };
        if room < state.room.saturating_add(step) {
            return None;
        }
        state.room = room;
        Some(room)
    }
}

impl PartialEq for Outlet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Outlet {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read_and_room_grows_by_quarters() {
        let (inlet, outlet) = pipe();
        let (length, mut buf, mut granted) = (1_000_000, vec![0; 40_000], Vec::new());
        let (mut sent, mut got) = (0, Vec::new());
        while got.len() < length as usize {
            let room = granted.last().copied().unwrap_or(65_536_u32);
            while sent < room.min(length) {
                let piece = (room - sent).min(16_379);
                let bytes = (sent..sent + piece).map(|at| u8::try_from(at % 251).unwrap());
                inlet.push(&bytes.collect::<Vec<_>>());
                sent += piece;
            }
            let held = outlet.0.state().bytes.len();
            assert!(held <= WINDOW_BYTES as usize, "{held} bytes lie here");
            let count = outlet.read(length, &mut buf, |room| granted.push(room)).unwrap();
            got.extend_from_slice(&buf[..count]);
        }
        assert!(got.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
        assert_eq!((granted[0], granted.last()), (WINDOW_BYTES, Some(&length)));
        assert!(granted.len() <= 16, "{granted:?}");
        inlet.finish();
        assert_eq!(outlet.read(length, &mut buf, |_| panic!("all is granted")).unwrap(), 0);
    }

    #[test]
    fn a_body_that_breaks_off_is_none() {
        let (inlet, outlet) = pipe();
        inlet.push(b"half");
        drop(inlet);
        let mut buf = [0; 9];
        assert_eq!(outlet.read(9, &mut buf, |_| ()).unwrap(), 4);
        let broken = outlet.read(9, &mut buf, |_| ()).unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::UnexpectedEof);
    }
}
