//! One client's WebSocket, from its OPEN to its end.
//!
//! The task of an idle client holds no buffer: bytes are read into one that all share, and
//! what is half a frame waits in the decoder.

use crate::meeting::Meeting;
use crate::outbox::{Outbox, State};
use crate::stream::Stream;
use signal_proto::realm::Conn;
use signal_proto::websocket::{Decoder, Message, Role};
use smol::Timer;
use smol::io::{AsyncRead, AsyncWrite};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes read at once.
const READ: usize = 16 * 1024;

/// Reads before other clients have their turn.
const TURN: usize = 8;

/// How long a closed client may take to read what waits and to answer the close.
const CLOSING: Duration = Duration::from_secs(2);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// Serves a client that has been let in (or, without a conn, refused) until its end.
pub async fn run(stream: Stream, meeting: &Meeting, conn: Option<Conn>, outbox: Rc<Outbox>) {
    let mut socket = Socket {
        stream,
        decoder: Decoder::new(Role::Server),
        writing: Vec::new(),
        written: 0,
        flushed: true,
        heard_close: false,
        closing: None,
    };
    poll_fn(|cx| socket.poll(cx, meeting, conn, &outbox)).await;
    if let Some(conn) = conn {
        meeting.end(conn);
    }
}

struct Socket {
    stream: Stream,
    decoder: Decoder,
    writing: Vec<u8>,
    written: usize,
    flushed: bool,
    heard_close: bool,
    closing: Option<Timer>,
}

impl Socket {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        meeting: &Meeting,
        conn: Option<Conn>,
        outbox: &Outbox,
    ) -> Poll<()> {
        outbox.wake_by(cx.waker());
        for _ in 0..TURN {
            let Ok(state) = self.write(cx, outbox) else { return Poll::Ready(()) };
            if state != State::Open {
                let timer = self.closing.get_or_insert_with(|| Timer::after(CLOSING));
                let sent = self.written == self.writing.len() && self.flushed;
                if Pin::new(timer).poll(cx).is_ready() || sent && self.heard_close {
                    return Poll::Ready(());
                }
            }
            match self.read(cx, meeting, conn, outbox) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(()),
                Poll::Pending => {
                    // What was read may have filled the outbox.
                    return match self.write(cx, outbox) {
                        Ok(now) if now == state => Poll::Pending,
                        Ok(_) => {
                            cx.waker().wake_by_ref();
                            Poll::Pending
                        }
                        Err(_) => Poll::Ready(()),
                    };
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends as much as goes; an error where the connection is at its end.
    fn write(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Result<State, std::io::Error> {
        loop {
            let rest = self.writing.get(self.written..).unwrap_or_default();
            if rest.is_empty() {
                let (fresh, state) = outbox.take();
                outbox.check()?;
                if fresh.is_empty() {
                    self.writing = fresh;
                    self.written = 0;
                    if !self.flushed {
                        match Pin::new(&mut self.stream).poll_flush(cx) {
                            Poll::Ready(result) => result?,
                            Poll::Pending => return Ok(state),
                        }
                        self.flushed = true;
                    }
                    return Ok(state);
                }
                (self.writing, self.written, self.flushed) = (fresh, 0, false);
                continue;
            }
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(std::io::ErrorKind::WriteZero.into()),
                Poll::Ready(result) => self.written += result?,
                Poll::Pending => return outbox.check(),
            }
        }
    }

    /// Reads once and acts on it; false where the connection is at its end.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        meeting: &Meeting,
        conn: Option<Conn>,
        outbox: &Outbox,
    ) -> Poll<bool> {
        SCRATCH.with_borrow_mut(|scratch| match Pin::new(&mut self.stream).poll_read(cx, scratch) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(false),
            Poll::Ready(Ok(length)) => {
                let bytes = scratch.get(..length).unwrap_or_default();
                self.act(bytes, meeting, conn, outbox);
                Poll::Ready(true)
            }
        })
    }

    fn act(&mut self, mut bytes: &[u8], meeting: &Meeting, conn: Option<Conn>, outbox: &Outbox) {
        loop {
            let message = match self.decoder.read(&mut bytes) {
                Ok(None) => return,
                Ok(Some(message)) => message,
                Err(error) => {
                    // Nothing after this can be understood, not even a close.
                    self.heard_close = true;
                    outbox.close(error.code());
                    return conn.into_iter().for_each(|conn| meeting.end(conn));
                }
            };
            if let Message::Close(code) = message {
                self.heard_close = true;
                outbox.close(code.unwrap_or(1000));
                return conn.into_iter().for_each(|conn| meeting.end(conn));
            }
            let Some(conn) = conn else { continue };
            if !meeting.with_realm(|realm, now_ms| realm.handle_frame(now_ms, conn)) {
                continue;
            }
            match message {
                Message::Ping(payload) => outbox.pong(&payload),
                Message::Text(text) => say(meeting, conn, &text),
                // The servers before us read JSON from binary frames too.
                Message::Binary(bytes) => {
                    if let Ok(text) = std::str::from_utf8(&bytes) {
                        say(meeting, conn, text);
                    }
                }
                Message::Pong(_) | Message::Close(_) => {}
            }
        }
    }
}

fn say(meeting: &Meeting, conn: Conn, text: &str) {
    meeting.with_realm(|realm, now_ms| realm.handle_message(now_ms, conn, text));
}
