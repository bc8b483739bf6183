//! WebSocket frames (RFC 6455) for either side, without I/O.
//!
//! ```text
//!  0               1               2 .. 9            .. 13
//!  +-+---+--------+-+-------------+-----------------+----------+------- - -
//!  |F|000| opcode |M| length 7    | length 16 or 64 | mask 32  | payload
//!  +-+---+--------+-+-------------+-----------------+----------+------- - -
//! ```
//! Integers are big-endian. A client masks every frame, a server none; a frame that breaks
//! this, a length not in its shortest form, a reserved bit or an unknown opcode ends the
//! connection, and so does text that is no UTF-8, as soon as its first wrong byte arrives.
//! An idle decoder owns no memory. No extension and no subprotocol is spoken.
#![deny(clippy::indexing_slicing)]

use crate::base64;
use alloc::string::String;
use alloc::vec::Vec;
use heapless::Vec as Short;

/// The largest message that a client may send, all its fragments together, in bytes; a larger
/// one closes with 1009.
pub const MESSAGE_MAX: usize = 65_536;

/// How many bytes a server may add to a client's message: it writes the sender's id into what
/// it relays, at most 73 bytes.
pub const RELAY_MAX: usize = 256;

/// The largest payload of a control frame, in bytes (RFC 6455 s5.5).
pub const CONTROL_MAX: usize = 125;

/// What the server's key is joined with (RFC 6455 s1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The payload of a ping or pong.
pub type Control = Short<u8, CONTROL_MAX>;

/// Which side of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We sent the upgrade request: we mask, the other side must not.
    Client,
    /// We answered it: the other side masks, we must not.
    Server,
}

impl Role {
    /// The largest message that we take, in bytes: a client takes every message that another
    /// client may send, with what the server adds.
    pub const fn message_max(self) -> usize {
        match self {
            Self::Client => MESSAGE_MAX + RELAY_MAX,
            Self::Server => MESSAGE_MAX,
        }
    }
}

/// What a frame is (RFC 6455 s5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message that was begun.
    Continue = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end, with an optional code and reason.
    Close = 8,
    /// "Are you there?"
    Ping = 9,
    /// "I am", with the ping's payload.
    Pong = 10,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continue,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// One thing the other side said, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// To be answered by a pong with the same payload.
    Ping(Control),
    /// An answer to a ping, or unasked.
    Pong(Control),
    /// To be answered by a close with the same code, then the connection ends. `None`: the
    /// frame had no code.
    Close(Option<u16>),
}

/// Why the connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The frames break RFC 6455.
    Protocol,
    /// Text, or a close reason, is no UTF-8.
    Utf8,
    /// A message is over [`Role::message_max`].
    TooBig,
}

impl Error {
    /// The close code that tells the other side (RFC 6455 s7.4.1).
    pub const fn code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::Utf8 => 1007,
            Self::TooBig => 1009,
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Protocol => "the frames break RFC 6455",
            Self::Utf8 => "a text is not UTF-8",
            Self::TooBig => "a message is too big",
        })
    }
}

impl core::error::Error for Error {}

/// Turns received bytes into messages.
///
/// ```text
/// Head --14 bytes at most--> Payload --last byte--> Head
///   \------- close frame or error -------> Ended
/// ```
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    state: State,
    /// The message whose fragments are arriving, and whether it is text.
    begun: Option<bool>,
    message: Vec<u8>,
    /// How many bytes of `message` are known to be whole UTF-8 characters.
    valid: usize,
    /// Frames that ended without ending a message, since [`Self::take_fragments`].
    fragments: u32,
    control: Control,
}

#[derive(Debug)]
enum State {
    Head(Short<u8, 14>),
    Payload { head: Head, left: usize, turn: usize },
    Ended(Option<Error>),
}

#[derive(Debug, Clone, Copy)]
struct Head {
    last: bool,
    opcode: Opcode,
    length: u64,
    mask: [u8; 4],
}

impl Decoder {
    /// A decoder for the side that we are.
    pub const fn new(role: Role) -> Self {
        Self {
            role,
            state: State::Head(Short::new()),
            begun: None,
            message: Vec::new(),
            valid: 0,
            fragments: 0,
            control: Short::new(),
        }
    }

    /// How many frames have ended since last asked that were not the end of a message: they
    /// too are frames that a client sends, and may be many where they are empty.
    pub const fn take_fragments(&mut self) -> u32 {
        core::mem::replace(&mut self.fragments, 0)
    }

    /// Takes bytes off the front of `input` until a message is whole or none are left.
    ///
    /// Call until it returns `Ok(None)`. After an error it only repeats the error; after a
    /// close it swallows what follows.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        let result = self.step(input);
        match result {
            Err(error) => self.end(Some(error)),
            Ok(Some(Message::Close(_))) => self.end(None),
            Ok(_) => {}
        }
        result
    }

    /// Lends memory to the next message, so that it costs none of its own; a decoder with a
    /// message under way keeps to what it has, and returns the loan at once.
    pub fn lend(&mut self, mut memory: Vec<u8>) -> Vec<u8> {
        if self.begun.is_some() || matches!(self.state, State::Ended(_)) {
            return memory;
        }
        memory.clear();
        core::mem::replace(&mut self.message, memory)
    }

    /// Gives lent memory back; a message under way keeps what it needs of it.
    pub fn give_back(&mut self) -> Vec<u8> {
        let needed = if self.begun.is_some() { self.message.len() } else { 0 };
        if needed > self.message.capacity() / 2 {
            return Vec::new();
        }
        let own = self.message.get(..needed).unwrap_or_default().to_vec();
        core::mem::replace(&mut self.message, own)
    }

    /// The memory that the decoder owns, in bytes.
    pub const fn held(&self) -> usize {
        self.message.capacity()
    }

    /// Whether a message or frame has begun that is not whole yet.
    pub fn is_partial(&self) -> bool {
        match &self.state {
            State::Head(bytes) => !bytes.is_empty() || self.begun.is_some(),
            State::Payload { .. } => true,
            State::Ended(_) => false,
        }
    }

    fn end(&mut self, error: Option<Error>) {
        self.state = State::Ended(error);
        self.message = Vec::new();
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            match &mut self.state {
                State::Ended(error) => {
                    *input = &[];
                    return error.map_or(Ok(None), Err);
                }
                State::Head(bytes) => {
                    let Some(head) = parse_head(self.role, bytes)? else {
                        let Some(byte) = take(input, 1).first().copied() else {
                            return Ok(None);
                        };
                        bytes.push(byte).expect("a head is whole at 14 bytes");
                        continue;
                    };
                    let left = self.begin(head)?;
                    self.state = State::Payload { head, left, turn: 0 };
                }
                State::Payload { head, left, turn } => {
                    let (head, piece) = (*head, take(input, *left));
                    let start = *turn;
                    *turn = (start + piece.len()) % 4;
                    *left -= piece.len();
                    let whole = *left == 0;
                    self.append(head, start, piece)?;
                    if !whole {
                        return Ok(None);
                    }
                    self.state = State::Head(Short::new());
                    if let Some(message) = self.finish(head)? {
                        return Ok(Some(message));
                    }
                }
            }
        }
    }

    /// Checks a head against what came before it; the length of the payload.
    fn begin(&mut self, head: Head) -> Result<usize, Error> {
        let length = usize::try_from(head.length).map_err(|_| Error::TooBig)?;
        if head.opcode.is_control() {
            self.control.clear();
            return Ok(length);
        }
        match (head.opcode, self.begun) {
            (Opcode::Continue, Some(_)) => {}
            (Opcode::Text | Opcode::Binary, None) => {
                self.begun = Some(head.opcode == Opcode::Text);
                self.valid = 0;
            }
            _ => return Err(Error::Protocol),
        }
        let room = self.role.message_max() - self.message.len();
        if length <= room { Ok(length) } else { Err(Error::TooBig) }
    }

    fn append(&mut self, head: Head, start: usize, piece: &[u8]) -> Result<(), Error> {
        let mut mask = head.mask;
        mask.rotate_left(start);
        if head.opcode.is_control() {
            let keys = mask.into_iter().cycle();
            self.control.extend(piece.iter().zip(keys).map(|(byte, key)| byte ^ key));
            return Ok(());
        }
        let before = self.message.len();
        self.message.extend_from_slice(piece);
        unmask(self.message.get_mut(before..).unwrap_or_default(), mask);
        if self.begun == Some(true) {
            let fresh = self.message.get(self.valid..).unwrap_or_default();
            self.valid += match core::str::from_utf8(fresh) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => return Err(Error::Utf8),
            };
        }
        Ok(())
    }

    fn finish(&mut self, head: Head) -> Result<Option<Message>, Error> {
        Ok(Some(match head.opcode {
            Opcode::Ping => Message::Ping(self.control.clone()),
            Opcode::Pong => Message::Pong(self.control.clone()),
            Opcode::Close => Message::Close(parse_close(&self.control)?),
            Opcode::Continue | Opcode::Text | Opcode::Binary => {
                if !head.last {
                    self.fragments = self.fragments.saturating_add(1);
                    return Ok(None);
                }
                let bytes = core::mem::take(&mut self.message);
                if self.begun.take() == Some(true) {
                    Message::Text(String::from_utf8(bytes).map_err(|_| Error::Utf8)?)
                } else {
                    Message::Binary(bytes)
                }
            }
        }))
    }
}

/// Lays `mask` over `bytes`, four at a time.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_le_bytes(*word) ^ u32::from_le_bytes(mask)).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// Takes at most `most` bytes off the front.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (front, rest) = input.split_at_checked(most).unwrap_or((input, &[]));
    *input = rest;
    front
}

/// The head at the front of `bytes`, or `None` while more of it is to come.
fn parse_head(role: Role, bytes: &[u8]) -> Result<Option<Head>, Error> {
    let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else {
        // A wrong first byte is refused at once.
        let wrong = bytes.first().is_some_and(|first| parse_first(*first).is_none());
        return if wrong { Err(Error::Protocol) } else { Ok(None) };
    };
    let opcode = parse_first(first).ok_or(Error::Protocol)?;
    if (second & 0x80 != 0) != (role == Role::Server) {
        return Err(Error::Protocol);
    }
    // Control frames are whole and short (RFC 6455 s5.5); a longer length is not waited for.
    if opcode.is_control() && (first & 0x80 == 0 || usize::from(second & 0x7f) > CONTROL_MAX) {
        return Err(Error::Protocol);
    }
    let (length, rest) = match second & 0x7f {
        126 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest),
            None => return Ok(None),
        },
        short => (u64::from(short), rest),
    };
    let shortest = match second & 0x7f {
        126 => length > 125,
        127 => length > 0xffff && length >> 63 == 0,
        _ => true,
    };
    if !shortest {
        return Err(Error::Protocol);
    }
    let mask = match (role, rest.first_chunk()) {
        (Role::Client, _) => [0; 4],
        (Role::Server, Some(mask)) => *mask,
        (Role::Server, None) => return Ok(None),
    };
    Ok(Some(Head { last: first & 0x80 != 0, opcode, length, mask }))
}

/// The opcode, unless it is unknown or a reserved bit is set.
const fn parse_first(first: u8) -> Option<Opcode> {
    if first & 0x70 != 0 { None } else { Opcode::from_bits(first & 0x0f) }
}

fn parse_close(payload: &[u8]) -> Result<Option<u16>, Error> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(Error::Protocol)?;
    let code = u16::from_be_bytes(*code);
    if !is_sendable(code) {
        return Err(Error::Protocol);
    }
    core::str::from_utf8(reason).map_err(|_| Error::Utf8)?;
    Ok(Some(code))
}

/// Whether a close frame may carry `code`: registered ones, and 3000 up to 4999
/// (RFC 6455 s7.4.2). 1004, 1005, 1006 and 1015 never travel.
pub const fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The head of one whole, unfragmented frame whose payload of `length` bytes follows; a client
/// gives a `mask` of fresh entropy, a server none.
///
/// # Panics
/// When a control frame's payload is over [`CONTROL_MAX`].
pub fn head(opcode: Opcode, length: usize, mask: Option<[u8; 4]>) -> Short<u8, 14> {
    assert!(!opcode.is_control() || length <= CONTROL_MAX, "a control frame is short");
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut head = Short::new();
    head.extend([0x80 | opcode as u8]);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => head.extend([masked + short]),
        (_, Ok(length)) => {
            head.extend([masked + 126]);
            head.extend(length.to_be_bytes());
        }
        _ => {
            head.extend([masked + 127]);
            head.extend((length as u64).to_be_bytes());
        }
    }
    head.extend(mask.into_iter().flatten());
    head
}

/// Writes one frame, its [`head`] and its payload, to the end of `out`.
///
/// # Panics
/// When a control frame's payload is over [`CONTROL_MAX`].
pub fn encode(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let head = head(opcode, payload.len(), mask);
    out.reserve(head.len() + payload.len());
    out.extend_from_slice(&head);
    let Some(mask) = mask else { return out.extend_from_slice(payload) };
    out.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Writes a close frame with `code` and as much of `reason` as fits.
pub fn encode_close(code: u16, reason: &str, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let mut payload = Control::new();
    payload.extend(code.to_be_bytes());
    for letter in reason.chars() {
        let mut bytes = [0; 4];
        if payload.extend_from_slice(letter.encode_utf8(&mut bytes).as_bytes()).is_err() {
            break;
        }
    }
    encode(Opcode::Close, &payload, mask, out);
}

/// `Sec-WebSocket-Accept` for the client's `Sec-WebSocket-Key` (RFC 6455 s4.2.2).
pub fn accept_key(key: &str) -> String {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(GUID.as_bytes());
    base64::encode(&sha1.digest().bytes())
}

/// Whether `key` has the form of 16 bytes in base64, as a `Sec-WebSocket-Key` must.
pub fn is_key(key: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.strip_suffix("==").is_some_and(|letters| letters.len() == 22 && letters.bytes().all(letter))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests cut their own bytes")]
mod tests {
    use super::*;
    use std::vec;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// Every message of `bytes`, however they are cut, or the error.
    fn read_all(role: Role, bytes: &[u8], cut: usize) -> Result<Vec<Message>, Error> {
        let mut decoder = Decoder::new(role);
        let mut messages = Vec::new();
        for mut piece in bytes.chunks(cut) {
            while let Some(message) = decoder.read(&mut piece)? {
                messages.push(message);
            }
            assert!(piece.is_empty(), "all is read when nothing more comes");
        }
        Ok(messages)
    }

    /// One frame as a client sends it, with any first byte.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(Opcode::Binary, payload, Some(KEY), &mut bytes);
        bytes[0] = first;
        bytes
    }

    fn text(text: &str) -> Message {
        Message::Text(text.into())
    }

    #[test]
    fn lent_memory_is_used_and_given_back() {
        let bytes = frame(0x81, b"hello");
        let mut decoder = Decoder::new(Role::Server);
        let memory = Vec::with_capacity(1000);
        let lent = memory.as_ptr();
        decoder.lend(memory);
        let Ok(Some(Message::Text(text))) = decoder.read(&mut &bytes[..]) else { panic!("a text") };
        assert!(text == "hello" && text.as_ptr() == lent);
        decoder.lend(text.into_bytes());
        assert_eq!(decoder.read(&mut &bytes[..8]), Ok(None));
        assert_eq!(decoder.give_back().capacity(), 1000);
        assert!(decoder.held() < 100, "what is under way keeps no more than it needs");
        decoder.lend(Vec::with_capacity(1000));
        let text = decoder.read(&mut &bytes[8..]).unwrap();
        assert!(text == Some(Message::Text("hello".into())) && decoder.held() == 0);
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        let hello = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(read_all(Role::Client, &hello, 1), Ok(vec![text("Hello")]));
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(read_all(Role::Server, &masked, 1), Ok(vec![text("Hello")]));
        let parts = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
        assert_eq!(read_all(Role::Client, &parts, 2), Ok(vec![text("Hello")]));
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_key("dGhlIHNhbXBsZSBub25jZQ==") && !is_key("dGhlIHNhbXBsZQ=="));
    }

    #[test]
    fn control_frames_may_stand_between_fragments() {
        let mut bytes = frame(0x01, "gr\u{fc}".as_bytes());
        bytes.extend(frame(0x89, b"there?"));
        bytes.extend(frame(0x00, &"\u{df}e".as_bytes()[..1]));
        bytes.extend(frame(0x8a, b""));
        bytes.extend(frame(0x80, &"\u{df}e".as_bytes()[1..]));
        bytes.extend(frame(0x82, &[1, 2]));
        bytes.extend(frame(0x88, &[0x03, 0xe8, b'b', b'y', b'e']));
        bytes.extend(frame(0x81, b"after the close"));
        let expected = vec![
            Message::Ping(Control::from_slice(b"there?").unwrap()),
            Message::Pong(Control::new()),
            text("gr\u{fc}\u{df}e"),
            Message::Binary(vec![1, 2]),
            Message::Close(Some(1000)),
        ];
        for cut in [1, 2, 3, 5, 7, 1000] {
            assert_eq!(read_all(Role::Server, &bytes, cut), Ok(expected.clone()), "cut {cut}");
        }
    }

    #[test]
    fn refuses_what_the_rfc_forbids() {
        let unmasked = vec![0x81, 0x01, b'a'];
        let long = |first: u8, rest: &[u8]| [&[first, 0x80 + 126][..], rest].concat();
        let mut two_begun = frame(0x01, b"a");
        two_begun.extend(frame(0x01, b"b"));
        let table = [
            ("unmasked from a client", unmasked, Error::Protocol),
            ("reserved bit", frame(0xc1, b"a"), Error::Protocol),
            ("opcode 3", frame(0x83, b"a"), Error::Protocol),
            ("opcode 11", frame(0x8b, b"a"), Error::Protocol),
            ("continuation of nothing", frame(0x80, b"a"), Error::Protocol),
            ("a message within a message", two_begun, Error::Protocol),
            ("fragmented ping", frame(0x09, b"a"), Error::Protocol),
            ("long ping", frame(0x89, &[0; 126]), Error::Protocol),
            ("16-bit length of 125", long(0x82, &[0, 125, 0, 0, 0, 0]), Error::Protocol),
            (
                "64-bit length of 65535",
                [&[0x82, 0xff][..], &[0, 0, 0, 0, 0, 0, 255, 255]].concat(),
                Error::Protocol,
            ),
            (
                "negative length",
                [&[0x82, 0xff][..], &[0x80, 0, 0, 0, 0, 0, 0, 0]].concat(),
                Error::Protocol,
            ),
            ("one byte of close", frame(0x88, &[3]), Error::Protocol),
            ("close 1005", frame(0x88, &1005_u16.to_be_bytes()), Error::Protocol),
            ("close 2999", frame(0x88, &2999_u16.to_be_bytes()), Error::Protocol),
            ("close reason", frame(0x88, &[3, 232, 0xff]), Error::Utf8),
            ("latin-1", frame(0x81, b"gr\xfc\xdfe"), Error::Utf8),
            ("half a letter", frame(0x81, b"gr\xc3"), Error::Utf8),
            ("a surrogate", frame(0x81, b"\xed\xa0\x80"), Error::Utf8),
            ("65537 bytes", frame(0x82, &vec![0; MESSAGE_MAX + 1]), Error::TooBig),
        ];
        for (what, bytes, error) in table {
            for cut in [1, 4, 100_000] {
                assert_eq!(read_all(Role::Server, &bytes, cut), Err(error), "{what}");
            }
        }
        assert_eq!(read_all(Role::Client, &frame(0x81, b"a"), 9), Err(Error::Protocol));
    }

    #[test]
    fn the_largest_message_passes_in_any_fragments() {
        let mut bytes = frame(0x02, &[7; 1]);
        bytes.extend(frame(0x80, &vec![7; MESSAGE_MAX - 1]));
        let whole = vec![Message::Binary(vec![7; MESSAGE_MAX])];
        assert_eq!(read_all(Role::Server, &bytes, 1000), Ok(whole));
        let mut bytes = frame(0x02, &[7; 1]);
        bytes.extend(frame(0x80, &vec![7; MESSAGE_MAX]));
        assert_eq!(read_all(Role::Server, &bytes, 1000), Err(Error::TooBig));
        for (length, is_read) in [(MESSAGE_MAX + RELAY_MAX, true), (65_793, false)] {
            let mut bytes = Vec::new();
            encode(Opcode::Binary, &vec![7; length], None, &mut bytes);
            assert_eq!(read_all(Role::Client, &bytes, 1000).is_ok(), is_read, "{length}");
        }
    }

    #[test]
    fn wrong_text_is_refused_before_its_frame_ends() {
        let bytes = frame(0x81, b"\xff and much more that never comes");
        let mut decoder = Decoder::new(Role::Server);
        assert_eq!(decoder.read(&mut &bytes[..7]), Err(Error::Utf8));
        assert_eq!(decoder.read(&mut &bytes[7..]), Err(Error::Utf8), "and stays refused");
    }

    #[test]
    fn the_length_alone_decides_about_too_big() {
        let head = [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];
        assert_eq!(read_all(Role::Server, &head, 1), Err(Error::TooBig));
    }

    #[test]
    fn close_reasons_are_cut_between_letters() {
        let mut bytes = Vec::new();
        encode_close(1008, &"\u{fc}".repeat(100), None, &mut bytes);
        assert_eq!(bytes.len(), 2 + 2 + 122);
        assert_eq!(read_all(Role::Client, &bytes, 9), Ok(vec![Message::Close(Some(1008))]));
    }

    #[test]
    fn no_bytes_make_it_panic_and_idle_owns_nothing() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut bytes = [0_u8; 40];
            for byte in &mut bytes {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                [*byte, ..] = seed.to_be_bytes();
            }
            // Mostly plausible heads, or nothing past the head would ever be tried.
            bytes[0] &= 0x8f;
            bytes[1] |= 0x80;
            let _ = read_all(Role::Server, &bytes, 1 + usize::from(bytes[39] % 7));
        }
        let mut decoder = Decoder::new(Role::Server);
        let bytes = frame(0x81, b"hello");
        assert!(decoder.read(&mut &bytes[..]).unwrap().is_some());
        assert!(decoder.message.capacity() == 0 && !decoder.is_partial());
    }
}
