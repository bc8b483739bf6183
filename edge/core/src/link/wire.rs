//! Chunks on the data channel: one header, one piece of one message.
//!
//! ```text
//!  0        4      5
//!  +--------+------+--------- - -
//!  | ticket | kind | piece
//!  +--------+------+--------- - -
//! ```
//! The ticket is big-endian. One data-channel message is one chunk. Golden bytes, shared with
//! the browser's twin: tests/vectors/link.txt. See signal/README.md, "The link".
#![deny(clippy::indexing_slicing)]

/// Bytes before the piece.
pub const HEADER_BYTES: usize = 5;
/// Most bytes of one chunk, header included.
pub const CHUNK_BYTES: usize = 16_384;
/// Most bytes of one piece.
pub const PIECE_BYTES: usize = CHUNK_BYTES - HEADER_BYTES;
/// Most bytes of the JSON in a [`Kind::Head`].
pub const HEAD_BYTES: usize = 4096;
/// Bytes of the piece of a [`Kind::Credit`]: a big-endian number.
pub const CREDIT_BYTES: usize = 4;

/// What a chunk carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Opens a request or a response; the piece is JSON of at most [`HEAD_BYTES`].
    Head,
    /// A piece of the body; more follow.
    More,
    /// The last piece of the body, which may be empty.
    Last,
    /// From the phone: nothing more for this ticket. From the box: this response broke off.
    Cancel,
    /// Are you there? Either side; no piece.
    Ping,
    /// I am. Echoes the ping's ticket; no piece.
    Pong,
    /// From the box, unasked; the ticket counts pushes from 0, the piece is JSON.
    Push,
    /// From the phone: the ticket counts the bytes of [`Kind::More`] pieces that it has taken,
    /// wrapping; the piece says how many more than those may be on their way, 4 bytes.
    Credit,
}

impl Kind {
    /// Every kind, at the place of its number on the wire.
    pub const ALL: [Self; 8] = [
        Self::Head,
        Self::More,
        Self::Last,
        Self::Cancel,
        Self::Ping,
        Self::Pong,
        Self::Push,
        Self::Credit,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The word in the golden vectors.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Head => "HEAD",
            Self::More => "MORE",
            Self::Last => "LAST",
            Self::Cancel => "CANCEL",
            Self::Ping => "PING",
            Self::Pong => "PONG",
            Self::Push => "PUSH",
            Self::Credit => "CREDIT",
        }
    }

    /// Most bytes of the piece that this kind may carry.
    const fn piece_limit(self) -> usize {
        match self {
            Self::Head => HEAD_BYTES,
            Self::More | Self::Last | Self::Push => PIECE_BYTES,
            Self::Cancel | Self::Ping | Self::Pong => 0,
            Self::Credit => CREDIT_BYTES,
        }
    }

    /// Why a piece of that length is none of this kind.
    const fn check(self, length: usize) -> Result<(), Error> {
        if length > self.piece_limit() {
            return Err(Error::TooLong);
        }
        let short = matches!(self, Self::Credit) && length < CREDIT_BYTES;
        if short { Err(Error::Truncated) } else { Ok(()) }
    }
}

/// A chunk, borrowed from the message it arrived in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Which request this belongs to; for pings an echo, for pushes a count.
    pub ticket: u32,
    /// What follows.
    pub kind: Kind,
    /// The bytes.
    pub piece: &'a [u8],
}

/// Why bytes are no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Shorter than the header, or than what this kind carries.
    Truncated,
    /// A kind that this version does not know.
    UnknownKind(u8),
    /// More bytes than this kind may carry.
    TooLong,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Truncated => write!(f, "shorter than a chunk"),
            Self::UnknownKind(kind) => write!(f, "unknown kind of chunk: {kind}"),
            Self::TooLong => write!(f, "a longer piece than its kind allows"),
        }
    }
}

impl core::error::Error for Error {}

impl<'a> Chunk<'a> {
    /// Reads one chunk. Never panics, whatever the bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (&[t0, t1, t2, t3, number], piece) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Error::Truncated)?;
        let kind = Kind::from_number(number).ok_or(Error::UnknownKind(number))?;
        kind.check(piece.len())?;
        Ok(Self { ticket: u32::from_be_bytes([t0, t1, t2, t3]), kind, piece })
    }

    /// Writes the chunk and says how many bytes it took; `None` when `buf` is too short or
    /// the piece none of its kind.
    pub fn emit(&self, buf: &mut [u8]) -> Option<usize> {
        self.kind.check(self.piece.len()).ok()?;
        let (header, rest) = buf.split_first_chunk_mut::<HEADER_BYTES>()?;
        let piece = rest.get_mut(..self.piece.len())?;
        let [t0, t1, t2, t3] = self.ticket.to_be_bytes();
        *header = [t0, t1, t2, t3, self.kind.number()];
        piece.copy_from_slice(self.piece);
        Some(HEADER_BYTES + self.piece.len())
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests index what they made")]
mod tests {
    use super::*;
    use std::vec::Vec;

    const GOLDEN: &str = include_str!("../../../../tests/vectors/link.txt");

    fn hex(text: &str) -> Vec<u8> {
        if text == "-" {
            return Vec::new();
        }
        let digit = |b: u8| u8::try_from(char::from(b).to_digit(16).expect("hex")).expect("small");
        text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn golden_chunks_read_and_write() {
        let mut seen = Vec::new();
        for line in GOLDEN.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["!", bytes] => assert!(Chunk::parse(&hex(bytes)).is_err(), "{line}"),
                [ticket, kind, piece, bytes] => {
                    let (piece, bytes) = (hex(piece), hex(bytes));
                    let chunk = Chunk::parse(&bytes).expect(line);
                    assert_eq!(chunk.ticket, ticket.parse::<u32>().expect("a number"), "{line}");
                    assert_eq!((chunk.kind.word(), chunk.piece), (kind, &piece[..]), "{line}");
                    let mut buf = [0; CHUNK_BYTES];
                    let written = chunk.emit(&mut buf).expect("room");
                    assert_eq!(buf[..written], bytes, "{line}");
                    seen.push(chunk.kind.number());
                }
                _ => panic!("no vector: {line}"),
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7], "every kind has its vector");
    }

    #[test]
    fn pieces_end_where_their_kind_says() {
        for kind in Kind::ALL {
            let limit = kind.piece_limit();
            let whole = [&[0, 0, 0, 1, kind.number()][..], &std::vec![7; limit]].concat();
            let chunk = Chunk::parse(&whole).expect("as long as allowed");
            let mut buf = [0; CHUNK_BYTES];
            assert_eq!(chunk.emit(&mut buf), Some(whole.len()));
            assert_eq!(chunk.emit(&mut buf[..whole.len() - 1]), None, "no room");
            if kind == Kind::Credit {
                assert_eq!(Chunk::parse(&whole[..whole.len() - 1]), Err(Error::Truncated));
                assert_eq!(Chunk { piece: b"", ..chunk }.emit(&mut buf), None);
            }
            let over = [&whole[..], &[7]].concat();
            assert_eq!(Chunk::parse(&over), Err(Error::TooLong), "{kind:?}");
            assert_eq!(Chunk { piece: &over[HEADER_BYTES..], ..chunk }.emit(&mut buf), None);
        }
    }

    #[test]
    fn any_bytes_are_a_chunk_or_an_error() {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut buf = [0; CHUNK_BYTES];
        for round in 0..20_000 {
            let mut bytes = [0_u8; 24];
            for byte in &mut bytes {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = random.to_be_bytes()[0];
            }
            bytes[4] %= 10;
            let bytes = &bytes[..round % 25];
            match Chunk::parse(bytes) {
                Ok(chunk) => {
                    let written = chunk.emit(&mut buf).expect("room");
                    assert_eq!(&buf[..written], bytes);
                }
                Err(Error::Truncated) => {
                    let short = if bytes.get(4) == Some(&7) { 9 } else { HEADER_BYTES };
                    assert!(bytes.len() < short);
                }
                Err(Error::UnknownKind(kind)) => assert!(kind > 7),
                Err(Error::TooLong) => assert!([3, 4, 5, 7].contains(&bytes[4])),
            }
        }
    }
}
