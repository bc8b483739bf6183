//! One client's WebSocket, from its OPEN to its end.
//!
//! The task of an idle client is small and holds no buffer: bytes are read into one that all
//! share, and a decoder is there only while it has half a message.

use crate::meeting::Meeting;
use crate::outbox::{Outbox, State};
use crate::stream::Stream;
use signal_proto::realm::Conn;
use signal_proto::websocket::{Decoder, Message, Role};
use smol::Timer;
use smol::io::{AsyncRead, AsyncWrite};
use std::cell::{Cell, RefCell};
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

/// How long, and for how many bytes, a client that broke the rules may finish what it is
/// sending, so that it sees the close.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// How long a client that is sent something may take no byte of it.
const STALLED: Duration = Duration::from_secs(30);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
    /// What messages are put together in, one after the other.
    static DESK: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Serves a client that has been let in (or, without a conn, refused) until its end.
pub async fn run(stream: Stream, meeting: &Meeting, conn: Option<Conn>, outbox: Rc<Outbox>) {
    let mut socket = Socket::new(stream, STALLED);
    poll_fn(|cx| socket.poll(cx, meeting, conn, &outbox)).await;
    if let Some(conn) = conn {
        meeting.end(conn);
    }
}

struct Socket {
    stream: Stream,
    /// What has begun of a message, or nothing.
    decoder: Option<Box<Decoder>>,
    flushed: bool,
    /// How long the stream may take no byte, and since when it does.
    patience: Duration,
    stalled: Option<Box<Timer>>,
    /// The client has answered our close, or closed by itself.
    heard_close: bool,
    /// Nothing that still comes can be understood.
    is_deaf: bool,
    closing: Option<Box<Closing>>,
}

/// What a client may still do once it is closed.
struct Closing {
    until: Timer,
    /// Bytes that it may still send.
    left: usize,
    /// Our side of the stream is closed.
    is_shut: bool,
}

impl Socket {
    const fn new(stream: Stream, patience: Duration) -> Self {
        Self {
            stream,
            decoder: None,
            flushed: true,
            patience,
            stalled: None,
            heard_close: false,
            is_deaf: false,
            closing: None,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        meeting: &Meeting,
        conn: Option<Conn>,
        outbox: &Outbox,
    ) -> Poll<()> {
        outbox.wake_by(cx.waker());
        for _ in 0..TURN {
            let Ok((state, is_sent)) = self.write(cx, outbox) else { return Poll::Ready(()) };
            if state != State::Open && self.is_over(cx, is_sent) {
                return Poll::Ready(());
            }
            match self.read(cx, meeting, conn, outbox) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(()),
                Poll::Pending => {
                    // What was read may have filled the outbox.
                    return match self.write(cx, outbox) {
                        Ok((now, _)) if now == state => Poll::Pending,
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

    /// Whether a closed client has had its time. Until then our side is closed and its own is
    /// read: to drop bytes unread is to reset the connection, and the close frame with it.
    fn is_over(&mut self, cx: &mut Context<'_>, is_sent: bool) -> bool {
        let limit = if self.is_deaf { LINGER } else { CLOSING };
        let closing = self.closing.get_or_insert_with(|| {
            let until = Timer::after(limit);
            Box::new(Closing { until, left: LINGER_BYTES, is_shut: false })
        });
        if Pin::new(&mut closing.until).poll(cx).is_ready() || closing.left == 0 {
            return true;
        }
        if is_sent && !closing.is_shut && !self.heard_close {
            match Pin::new(&mut self.stream).poll_close(cx) {
                Poll::Ready(Ok(())) => closing.is_shut = true,
                Poll::Ready(Err(_)) => return true,
                Poll::Pending => {}
            }
        }
        is_sent && self.heard_close
    }

    /// Sends as much as goes: how it goes on, and whether all has been sent. An error where the
    /// connection is at its end.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &Outbox,
    ) -> Result<(State, bool), std::io::Error> {
        let stream = &mut self.stream;
        loop {
            let state = outbox.check()?;
            let written = outbox.send(|bytes| match Pin::new(&mut *stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => (0, Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(length)) => (length, Poll::Ready(Ok(()))),
                other => (0, other.map_ok(drop)),
            });
            let progress = match written {
                Some(progress) => {
                    self.flushed = false;
                    progress
                }
                None if self.flushed => return Ok((state, true)),
                None => {
                    let progress = Pin::new(&mut *stream).poll_flush(cx);
                    self.flushed = matches!(progress, Poll::Ready(Ok(())));
                    progress
                }
            };
            match progress {
                Poll::Ready(result) => {
                    result?;
                    self.stalled = None;
                }
                Poll::Pending => {
                    let start = || Box::new(Timer::after(self.patience));
                    if Pin::new(self.stalled.get_or_insert_with(start)).poll(cx).is_ready() {
                        outbox.note_cut();
                        return Err(std::io::ErrorKind::TimedOut.into());
                    }
                    return Ok((state, false));
                }
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
        if self.stream.poll_readable(cx).is_pending() {
            return Poll::Pending;
        }
        SCRATCH.with_borrow_mut(|scratch| match Pin::new(&mut self.stream).poll_read(cx, scratch) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(false),
            Poll::Ready(Ok(length)) => {
                if let Some(closing) = &mut self.closing {
                    closing.left = closing.left.saturating_sub(length);
                }
                if !self.is_deaf && !self.heard_close {
                    let bytes = scratch.get(..length).unwrap_or_default();
                    let begun = self.decoder.take();
                    let mut decoder = begun.map_or(Decoder::new(Role::Server), |it| *it);
                    let spare = decoder.lend(DESK.take());
                    self.act(&mut decoder, bytes, meeting, conn, outbox);
                    let back = decoder.give_back();
                    DESK.set(if back.capacity() > spare.capacity() { back } else { spare });
                    self.decoder = decoder.is_partial().then(|| Box::new(decoder));
                    outbox.note_begun(self.decoder.as_ref().map_or(0, |begun| begun.held()));
                }
                Poll::Ready(true)
            }
        })
    }

    fn act(
        &mut self,
        decoder: &mut Decoder,
        mut bytes: &[u8],
        meeting: &Meeting,
        conn: Option<Conn>,
        outbox: &Outbox,
    ) {
        loop {
            let message = decoder.read(&mut bytes);
            // A fragment is a frame of its own, an empty one too.
            if let (Some(conn), fragments @ 1..) = (conn, decoder.take_fragments()) {
                count(meeting, conn, fragments);
            }
            let message = match message {
                Ok(None) => return,
                Ok(Some(message)) => message,
                Err(error) => {
                    // Nothing after this can be understood, not even a close.
                    self.is_deaf = true;
                    if conn.is_some() && outbox.check().is_ok_and(|state| state == State::Open) {
                        meeting.metrics().bad_frames.up();
                    }
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
            if !count(meeting, conn, 1) {
                continue;
            }
            match message {
                Message::Ping(payload) => outbox.pong(&payload),
                Message::Text(text) => {
                    meeting.hear(conn, &text);
                    decoder.lend(text.into_bytes());
                }
                // The servers before us read JSON from binary frames too.
                Message::Binary(bytes) => {
                    if let Ok(text) = std::str::from_utf8(&bytes) {
                        meeting.hear(conn, text);
                    }
                    decoder.lend(bytes);
                }
                Message::Pong(_) | Message::Close(_) => {}
            }
        }
    }
}

/// Takes note of frames; false where they are too many and the client is closed.
fn count(meeting: &Meeting, conn: Conn, frames: u32) -> bool {
    meeting.with_realm(|realm, now_ms| (0..frames).all(|_| realm.handle_frame(now_ms, conn)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::outbox::Ledger;
    use signal_proto::realm::{Config, Realm};
    use signal_proto::room::Secrets;
    use smol::Async;
    use std::net::{TcpListener, TcpStream};

    /// Fed for as long as its socket takes all, then left with one message that it does not.
    #[test]
    fn who_takes_no_byte_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _deaf = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut socket =
            Socket::new(Stream::Plain(Async::new(stream).unwrap()), Duration::from_millis(300));
        let meeting =
            Meeting::new(Clock::start(), Realm::new(Config::default(), Secrets::fixed(b"x")));
        let outbox = Rc::new(Ledger::default()).outbox();
        let mut fill = async || {
            loop {
                outbox.text(&"x".repeat(60_000));
                let fed = poll_fn(|cx| match socket.poll(cx, &meeting, None, &outbox) {
                    Poll::Ready(()) => Poll::Ready(false),
                    Poll::Pending if socket.stalled.is_none() => Poll::Ready(true),
                    Poll::Pending => Poll::Pending,
                });
                if !fed.await {
                    break;
                }
            }
        };
        smol::block_on(fill());
        assert!(outbox.check().is_ok(), "not for the bytes that wait, but for the time");
    }
}
