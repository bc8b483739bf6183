//! Answers requests on label `nightjar`: many at once, small before bulk, nothing unbounded.
//!
//! ```text
//!  HEAD           LAST            handle_answer          head sent        LAST sent
//!  ----> Collecting ----> Asked ----------------> Heading ---------> Sending ----->  (free)
//!            | bad head, too long, too many          ^
//!            +---------------------------------------+        CANCEL: free from anywhere
//!            | (a HEAD that says that no body follows asks at once)
//!            | (a streamed body is handed on as it comes, within what handle_room granted)
//!            +----> Streaming ----> Asked;  an answer may come before its LAST
//! ```
//! The shell owns every body. It appends the pieces that [`Heard`] lends, asks the API once a
//! request is whole, and lends the answer's bytes back while they are sent. The channel is
//! ordered and reliable; time is an argument. Bulk flows within two bounds: what waits in the
//! channel, and what the phone has not yet taken, once it has said how much that may be.
//! signal/README.md, "The link".

use super::head::{Cut, Range, RequestHead, ResponseHead};
use super::wire::{CHUNK_BYTES, Chunk, HEADER_BYTES, Kind, PIECE_BYTES};
use super::{Ask, NEVER};
use crate::rest::code::{BEYOND_END, MALFORMED, TOO_LARGE, TOO_MANY, error_body};
use crate::rest::path::is_streamed;
use crate::time::Instant;
use heapless::{Deque, String, Vec};

/// Requests that may be open at once; further ones are answered 429.
pub const OPEN_TICKETS: usize = 64;
/// Refusals that may wait to be sent beyond those; a phone that asks on is let go.
const REFUSALS: usize = 64;
/// Most bytes of one request's body; a longer one is answered 413.
pub const BODY_BYTES: usize = 64 * 1024;
/// Of a streamed body so many bytes may come before there is a word of room.
pub const UNASKED_BYTES: u32 = 64 * 1024;
/// Most bytes of all requests' bodies that are being collected; beyond, 503.
pub const COLLECTING_BYTES: usize = 256 * 1024;
/// Bytes that may wait in the channel before everything is held back, until
/// [`Responder::handle_limit`] says otherwise.
pub const WATERMARK_BYTES: usize = super::watermark::FIRST_BYTES;
/// Answers to pings that may wait; further pings are not answered.
const PONGS: usize = 8;
/// Longest push, bytes of JSON; what is longer becomes `missed`.
pub const PUSH_BYTES: usize = crate::rest::body::EVENT_BYTES + 64;
/// Pushes that may wait; one more, and all of them become one `missed`.
pub const PUSHES: usize = 16;
/// Silence after which the box pings, ms; and again after as much.
pub const PING_AFTER_MS: u64 = 10_000;
/// Silence after which the session ends, ms.
pub const DEAD_AFTER_MS: u64 = 30_000;

const MISSED: &str = r#"{"type":"missed"}"#;
const BAD_HEAD: &str = error_body!(MALFORMED, "The head of this request cannot be read.");
const LONG_BODY: &str = error_body!(TOO_LARGE, "The body of a request may hold 64 KiB.");
const BEYOND_ROOM: &str = error_body!(TOO_LARGE, "This body is longer than was said or granted.");
const SHORT_BODY: &str = error_body!(BEYOND_END, "This body ends before the rest asked for.");
const MANY_OPEN: &str = error_body!(TOO_MANY, "At most 64 requests may be open at once.");
const MANY_BODIES: &str = error_body!(TOO_MANY, "Too many requests arrive at once; try again.");

/// What an arriving chunk means to the shell.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack, for one call")]
pub enum Heard<'a> {
    /// Nothing to do.
    Nothing,
    /// A request begins; its body, maybe empty, follows.
    Head {
        /// Which one.
        ask: Ask,
        /// What it asks for.
        head: RequestHead,
        /// Whether its body is to be passed on as it comes, and an answer may come before its
        /// end; of it 64 KiB may come unasked, as of any, and more once there is room.
        streamed: bool,
        /// Whether it is whole and wants its answer: no body follows.
        whole: bool,
    },
    /// A piece of its body, to be appended.
    Piece {
        /// Which one.
        ask: Ask,
        /// The bytes.
        piece: &'a [u8],
        /// Whether the request is whole now and wants its answer.
        last: bool,
    },
    /// Forget this request and its answer.
    Gone {
        /// Which one.
        ask: Ask,
    },
}

/// What the shell does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send the first `length` bytes of the buffer as one binary message.
    Transmit {
        /// Bytes of the chunk.
        length: usize,
        /// The answer whose body has now been sent whole and may be dropped.
        done: Option<Ask>,
    },
    /// End the session; nothing comes after this.
    Close(Reason),
    /// Nothing until then, but for an input.
    Timeout(Instant),
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No chunk for [`DEAD_AFTER_MS`].
    Silent,
    /// More requests than even refusals can keep up with.
    Flooded,
}

#[derive(Debug)]
struct Ticket {
    number: u32,
    ask: Ask,
    state: State,
}

#[derive(Debug)]
enum State {
    Collecting { bytes: usize, range: Option<Range> },
    Streaming(Stream),
    Asked(Option<Range>),
    Heading(Answer),
    Sending { answer: Answer, sent: usize },
}

/// A request's body that is passed on as it comes.
#[derive(Debug)]
struct Stream {
    /// Bytes that came.
    bytes: usize,
    /// Bytes that may come in all.
    room: u32,
    /// The phone is to be told so.
    due: bool,
}

impl State {
    /// Bytes of a request that may lie here before anybody has looked at it.
    fn collecting(&self) -> usize {
        match self {
            Self::Collecting { bytes, .. } => *bytes,
            Self::Streaming(stream) => stream.bytes.min(BODY_BYTES),
            Self::Asked(_) | Self::Heading(_) | Self::Sending { .. } => 0,
        }
    }
}

#[derive(Debug)]
struct Answer {
    head: ResponseHead,
    /// A body of the machine's own; else the shell lends it.
    own: Option<&'static str>,
    /// Bytes of the lent body that are not sent, as the phone has them.
    from: Option<u32>,
}

impl Answer {
    fn refusal(status: u16, body: &'static str) -> Self {
        let length = u32::try_from(body.len()).unwrap_or(0);
        let head = ResponseHead { status, content_type: "application/json", length, etag: None };
        Self { head, own: Some(body), from: None }
    }

    /// The answer, or the rest of it; `None` where it ends before that.
    fn cut(mut head: ResponseHead, range: Option<&Range>) -> Option<Self> {
        let from = match range.map_or(Cut::Whole, |range| range.cut(&head)) {
            Cut::Beyond => return None,
            Cut::Whole => None,
            Cut::Rest(from) => {
                (head.status, head.length) = (206, head.length - from);
                Some(from)
            }
        };
        Some(Self { head, own: None, from })
    }

    fn length(&self) -> usize {
        self.head.length as usize
    }

    /// One chunk carries all of the body.
    fn is_small(&self) -> bool {
        self.length() <= PIECE_BYTES
    }
}

/// How much bulk the phone wants to have on its way; counts wrap.
#[derive(Debug)]
struct Credit {
    /// Bytes; `None` until the phone says so, as older ones never do.
    window: Option<u32>,
    /// Bytes of [`Kind::More`] pieces sent.
    sent: u32,
    /// Of those, how many the phone has taken.
    taken: u32,
}

impl Credit {
    /// The phone has taken `taken` bytes; what counts back, or was never sent, says nothing.
    fn take(&mut self, taken: u32, window: &[u8]) {
        let Some(window) = window.first_chunk() else { return };
        if taken.wrapping_sub(self.taken) <= self.sent.wrapping_sub(self.taken) {
            self.taken = taken;
            self.window = Some(u32::from_be_bytes(*window));
        }
    }

    /// One more piece may be sent. With nothing on its way any window has room for one, or a
    /// small one would hold an answer up for ever.
    fn has_room(&self) -> bool {
        let away = u64::from(self.sent.wrapping_sub(self.taken));
        let fits = |window| away + PIECE_BYTES as u64 <= u64::from(window);
        away == 0 || self.window.is_none_or(fits)
    }

    fn send(&mut self, bytes: usize) {
        self.sent = self.sent.wrapping_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }
}

/// The machine of one channel.
#[derive(Debug)]
pub struct Responder {
    tickets: Vec<Ticket, { OPEN_TICKETS + REFUSALS }>,
    next_ask: u32,
    /// The bulk answer whose turn is next, by its place in `tickets`.
    turn: usize,
    collecting_bytes: usize,
    pongs: Deque<u32, PONGS>,
    pushes: Deque<String<PUSH_BYTES>, PUSHES>,
    missed: bool,
    pushed: u32,
    ping_due: bool,
    pings: u32,
    last_heard: Instant,
    last_ping: Instant,
    /// Bytes that wait in the channel, as far as is known.
    buffered: usize,
    credit: Credit,
    /// Bytes that may.
    limit: usize,
    closing: Option<Reason>,
}

impl Responder {
    /// A machine for a channel that opened `now`.
    pub const fn new(now: Instant) -> Self {
        Self {
            tickets: Vec::new(),
            next_ask: 0,
            turn: 0,
            collecting_bytes: 0,
            pongs: Deque::new(),
            pushes: Deque::new(),
            missed: false,
            pushed: 0,
            ping_due: false,
            pings: 0,
            last_heard: now,
            last_ping: now,
            buffered: 0,
            credit: Credit { window: None, sent: 0, taken: 0 },
            limit: WATERMARK_BYTES,
            closing: None,
        }
    }

    /// When the phone was last heard.
    pub const fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// Takes one message of the channel.
    pub fn handle_message<'a>(&mut self, now: Instant, bytes: &'a [u8]) -> Heard<'a> {
        let Ok(chunk) = Chunk::parse(bytes) else { return Heard::Nothing };
        self.last_heard = now;
        self.ping_due = false;
        match chunk.kind {
            Kind::Head => self.open(chunk.ticket, chunk.piece),
            Kind::More => self.collect(chunk.ticket, chunk.piece, false),
            Kind::Last => self.collect(chunk.ticket, chunk.piece, true),
            Kind::Cancel => self.cancel(chunk.ticket),
            Kind::Ping => {
                let _ = self.pongs.push_back(chunk.ticket);
                Heard::Nothing
            }
            Kind::Credit => {
                self.credit.take(chunk.ticket, chunk.piece);
                Heard::Nothing
            }
            Kind::Pong | Kind::Push => Heard::Nothing,
        }
    }

    /// Takes how many bytes of a streamed body may come in all; never fewer than before.
    pub fn handle_room(&mut self, ask: Ask, bytes: u32) {
        let found = self.tickets.iter_mut().find(|ticket| ticket.ask == ask);
        if let Some(Ticket { state: State::Streaming(stream), .. }) = found
            && bytes > stream.room
        {
            (stream.room, stream.due) = (bytes, true);
        }
    }

    /// Takes the answer to a whole request, or to one whose body is passed on as it comes.
    /// `false`: its body is not wanted, drop it.
    pub fn handle_answer(&mut self, ask: Ask, head: ResponseHead) -> bool {
        let found = self.tickets.iter_mut().find(|ticket| ticket.ask == ask);
        let Some(Ticket { state, .. }) = found else { return false };
        let range = match state {
            State::Asked(range) => range.take(),
            State::Streaming(_) => None,
            State::Collecting { .. } | State::Heading(_) | State::Sending { .. } => return false,
        };
        let cut = Answer::cut(head, range.as_ref());
        let wanted = cut.is_some();
        self.collecting_bytes -= state.collecting();
        *state = State::Heading(cut.unwrap_or_else(|| Answer::refusal(416, SHORT_BODY)));
        wanted
    }

    /// Takes JSON to be pushed to the phone.
    pub fn handle_push(&mut self, json: &str) {
        let taken = String::try_from(json).is_ok_and(|text| self.pushes.push_back(text).is_ok());
        if !taken {
            self.handle_missed();
        }
    }

    /// Something could not be pushed: the phone is told to look for itself.
    pub fn handle_missed(&mut self) {
        self.pushes.clear();
        self.missed = true;
    }

    /// Takes how many bytes wait in the channel now; what is sent is added by itself.
    pub const fn handle_buffered(&mut self, bytes: usize) {
        self.buffered = bytes;
    }

    /// Takes how many bytes may wait there.
    pub const fn handle_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now.since_ms(self.last_heard) >= DEAD_AFTER_MS {
            self.closing = Some(Reason::Silent);
        } else if now >= self.next_ping() {
            self.ping_due = true;
            self.last_ping = now;
        }
    }

    /// The next thing to do. `lend` gives the body of an answer that was taken; one that is
    /// shorter than its head promised breaks off with a CANCEL.
    pub fn poll_output<'b>(
        &mut self,
        buf: &mut [u8; CHUNK_BYTES],
        lend: impl Fn(Ask) -> &'b [u8],
    ) -> Output {
        if let Some(reason) = self.closing {
            return Output::Close(reason);
        }
        if self.buffered < self.limit {
            let sent = self
                .poll_life(buf)
                .or_else(|| self.poll_push(buf))
                .or_else(|| self.poll_room(buf))
                .or_else(|| self.poll_small(buf, &lend))
                .or_else(|| self.poll_bulk(buf, &lend));
            if let Some((length, done)) = sent {
                self.buffered += length;
                return Output::Transmit { length, done };
            }
        }
        Output::Timeout(self.next_ping().min(self.last_heard.plus_ms(DEAD_AFTER_MS)))
    }

    fn next_ping(&self) -> Instant {
        if self.ping_due {
            return NEVER;
        }
        self.last_heard.max(self.last_ping).plus_ms(PING_AFTER_MS)
    }

    // --- what arrives ---

    fn open<'a>(&mut self, number: u32, json: &[u8]) -> Heard<'a> {
        if self.tickets.iter().any(|ticket| ticket.number == number) {
            return Heard::Nothing;
        }
        let ask = Ask(self.next_ask);
        let head = RequestHead::parse(json);
        let streamed = head.as_ref().is_some_and(|head| is_streamed(&head.method, &head.path));
        let length = head.as_ref().and_then(|head| head.length);
        let whole = length == Some(0) && !streamed;
        let state = if self.tickets.len() >= OPEN_TICKETS {
            State::Heading(Answer::refusal(429, MANY_OPEN))
        } else if head.is_none() {
            State::Heading(Answer::refusal(400, BAD_HEAD))
        } else if streamed {
            State::Streaming(Stream { bytes: 0, room: UNASKED_BYTES, due: false })
        } else if length.is_some_and(|length| length as usize > BODY_BYTES) {
            State::Heading(Answer::refusal(413, LONG_BODY))
        } else {
            let range = head.as_ref().and_then(RequestHead::range);
            if whole { State::Asked(range) } else { State::Collecting { bytes: 0, range } }
        };
        let wanted = !matches!(state, State::Heading(_));
        if self.tickets.push(Ticket { number, ask, state }).is_err() {
            self.closing = Some(Reason::Flooded);
            return Heard::Nothing;
        }
        self.next_ask = self.next_ask.wrapping_add(1);
        match head {
            Some(head) if wanted => Heard::Head { ask, head, streamed, whole },
            _ => Heard::Nothing,
        }
    }

    fn collect<'a>(&mut self, number: u32, piece: &'a [u8], last: bool) -> Heard<'a> {
        let room = COLLECTING_BYTES - self.collecting_bytes;
        let found = self.tickets.iter_mut().find(|ticket| ticket.number == number);
        let Some(Ticket { ask, state, .. }) = found else { return Heard::Nothing };
        let (ask, before) = (*ask, state.collecting());
        let (bytes, most, words) = match state {
            State::Collecting { bytes, .. } => (bytes, BODY_BYTES, LONG_BODY),
            State::Streaming(stream) => (&mut stream.bytes, stream.room as usize, BEYOND_ROOM),
            State::Asked(_) | State::Heading(_) | State::Sending { .. } => return Heard::Nothing,
        };
        *bytes += piece.len();
        let refusal = if *bytes > most {
            Some((413, words))
        } else if state.collecting() - before > room {
            Some((503, MANY_BODIES))
        } else {
            None
        };
        self.collecting_bytes -= before;
        if let Some((status, words)) = refusal {
            *state = State::Heading(Answer::refusal(status, words));
            return Heard::Gone { ask };
        }
        if last {
            let whole = State::Asked(None);
            if let State::Collecting { range, .. } = core::mem::replace(state, whole) {
                *state = State::Asked(range);
            }
        }
        self.collecting_bytes += state.collecting();
        Heard::Piece { ask, piece, last }
    }

    fn cancel<'a>(&mut self, number: u32) -> Heard<'a> {
        match self.tickets.iter().position(|ticket| ticket.number == number) {
            Some(at) => Heard::Gone { ask: self.free(at) },
            None => Heard::Nothing,
        }
    }

    fn free(&mut self, at: usize) -> Ask {
        let ticket = self.tickets.remove(at);
        self.collecting_bytes -= ticket.state.collecting();
        if at < self.turn {
            self.turn -= 1;
        }
        ticket.ask
    }

    // --- what leaves, most urgent first ---

    fn poll_life(&mut self, buf: &mut [u8]) -> Option<(usize, Option<Ask>)> {
        let chunk = if let Some(ticket) = self.pongs.pop_front() {
            Chunk { ticket, kind: Kind::Pong, piece: &[] }
        } else if core::mem::take(&mut self.ping_due) {
            self.pings = self.pings.wrapping_add(1);
            Chunk { ticket: self.pings, kind: Kind::Ping, piece: &[] }
        } else {
            return None;
        };
        Some((chunk.emit(buf)?, None))
    }

    fn poll_push(&mut self, buf: &mut [u8]) -> Option<(usize, Option<Ask>)> {
        let next;
        let piece = if core::mem::take(&mut self.missed) {
            MISSED
        } else {
            next = self.pushes.pop_front()?;
            next.as_str()
        };
        let chunk = Chunk { ticket: self.pushed, kind: Kind::Push, piece: piece.as_bytes() };
        self.pushed = self.pushed.wrapping_add(1);
        Some((chunk.emit(buf)?, None))
    }

    /// Tells how much of a body may come.
    fn poll_room(&mut self, buf: &mut [u8]) -> Option<(usize, Option<Ask>)> {
        let (ticket, stream) =
            self.tickets.iter_mut().find_map(|ticket| match &mut ticket.state {
                State::Streaming(stream) if stream.due => Some((ticket.number, stream)),
                _ => None,
            })?;
        stream.due = false;
        let room = stream.room.to_be_bytes();
        Some((Chunk { ticket, kind: Kind::Credit, piece: &room }.emit(buf)?, None))
    }

    fn poll_small<'b>(
        &mut self,
        buf: &mut [u8],
        lend: &impl Fn(Ask) -> &'b [u8],
    ) -> Option<(usize, Option<Ask>)> {
        let at = self.tickets.iter().position(|ticket| match &ticket.state {
            State::Heading(_) => true,
            State::Sending { answer, .. } => answer.is_small(),
            State::Collecting { .. } | State::Streaming(_) | State::Asked(_) => false,
        })?;
        self.send(at, buf, lend)
    }

    fn poll_bulk<'b>(
        &mut self,
        buf: &mut [u8],
        lend: &impl Fn(Ask) -> &'b [u8],
    ) -> Option<(usize, Option<Ask>)> {
        if !self.credit.has_room() {
            return None;
        }
        let sending = |ticket: &Ticket| matches!(ticket.state, State::Sending { .. });
        let (before, after) = self.tickets.split_at(self.turn.min(self.tickets.len()));
        let at = match after.iter().position(sending) {
            Some(at) => before.len() + at,
            None => before.iter().position(sending)?,
        };
        self.turn = at + 1;
        self.send(at, buf, lend)
    }

    /// Sends the next chunk of the answer at that place.
    fn send<'b>(
        &mut self,
        at: usize,
        buf: &mut [u8],
        lend: &impl Fn(Ask) -> &'b [u8],
    ) -> Option<(usize, Option<Ask>)> {
        let Ticket { number, ask, state } = self.tickets.get_mut(at)?;
        let (ticket, ask) = (*number, *ask);
        if let State::Heading(answer) = state {
            let (header, rest) = buf.split_first_chunk_mut::<HEADER_BYTES>()?;
            let length = answer.head.emit(answer.from, rest)?;
            Chunk { ticket, kind: Kind::Head, piece: &[] }.emit(header)?;
            let answer = Answer { head: answer.head.clone(), ..*answer };
            *state = State::Sending { answer, sent: 0 };
            return Some((HEADER_BYTES + length, None));
        }
        let State::Sending { answer, sent } = state else { return None };
        let body = answer.own.map_or_else(|| lend(ask), str::as_bytes);
        let end = answer.length().min(*sent + PIECE_BYTES);
        let last = end == answer.length();
        let from = answer.from.unwrap_or(0) as usize;
        let chunk = match body.get(from + *sent..from + end) {
            None => Chunk { ticket, kind: Kind::Cancel, piece: &[] },
            Some(piece) if last => Chunk { ticket, kind: Kind::Last, piece },
            Some(piece) => Chunk { ticket, kind: Kind::More, piece },
        };
        let length = chunk.emit(buf)?;
        *sent = end;
        if chunk.kind == Kind::More {
            self.credit.send(chunk.piece.len());
        }
        let done = (chunk.kind != Kind::More).then(|| self.free(at));
        Some((length, done))
    }
}

#[cfg(test)]
pub(in crate::link) mod tests;
