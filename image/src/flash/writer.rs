//! Bytes onto a card in pieces, and the same pieces read back.
//!
//! The first piece, with the partition table, is blanked at the start and comes last: a card on
//! which writing was cut short boots nowhere and is not taken for a good one.

use aws_lc_rs::digest::{Digest, SHA256, digest};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// An erase block of most cards. Whole images are a multiple of it.
const PIECE: usize = 4 * 1024 * 1024;
/// What a device wants of an address when it is written around the page cache.
const ALIGN: usize = 4096;

/// What is written and read back.
pub(super) trait Target: Read + Write + Seek {
    /// Returns when all that was written is on it.
    fn settle(&mut self) -> io::Result<()>;
}

impl Target for File {
    fn settle(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// What went wrong, and at which byte.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The image gave no more.
    Image(u64, io::Error),
    /// The card did not take it.
    Write(u64, io::Error),
    /// The card did not give it back.
    Back(u64, io::Error),
    /// The card gave other bytes back.
    Differs(u64),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |at: &u64| at >> 20;
        match self {
            Self::Image(at, error) => {
                write!(
                    f,
                    "the image cannot be read at {} MiB ({error}); nothing good is on the card",
                    mib(at)
                )
            }
            Self::Write(at, error) => {
                write!(f, "it does not take what is written at {} MiB ({error})", mib(at))
            }
            Self::Back(at, error) => {
                write!(f, "what was written cannot be read back at {} MiB ({error})", mib(at))
            }
            Self::Differs(at) => write!(
                f,
                "what was read back at {} MiB is not what was written: it is broken, or smaller than it says",
                mib(at)
            ),
        }
    }
}

/// Writes `bytes` of `source`; the digest of each piece.
pub(super) fn write(
    source: &mut impl Read,
    bytes: u64,
    target: &mut impl Target,
    tick: &mut dyn FnMut(u64),
) -> Result<Vec<Digest>, Wrong> {
    let mut buffer = Buffer::new();
    let mut pieces = Vec::new();
    let mut first = Vec::new();
    for (at, length) in spans(bytes) {
        let piece = buffer.piece(length);
        source.read_exact(piece).map_err(|error| Wrong::Image(at, error))?;
        pieces.push(digest(&SHA256, piece));
        if at == 0 {
            first = piece.to_vec();
            piece.fill(0);
        }
        put(target, at, piece)?;
        tick(at + length as u64);
    }
    let piece = buffer.piece(first.len());
    piece.copy_from_slice(&first);
    target.settle().map_err(|error| Wrong::Write(bytes, error))?;
    put(target, 0, piece)?;
    target.settle().map_err(|error| Wrong::Write(0, error))?;
    Ok(pieces)
}

/// Reads all of it back.
pub(super) fn verify(
    pieces: &[Digest],
    bytes: u64,
    target: &mut impl Target,
    tick: &mut dyn FnMut(u64),
) -> Result<(), Wrong> {
    let mut buffer = Buffer::new();
    for ((at, length), written) in spans(bytes).zip(pieces) {
        let piece = buffer.piece(length);
        let read = target.seek(SeekFrom::Start(at)).and_then(|_| target.read_exact(piece));
        read.map_err(|error| Wrong::Back(at, error))?;
        if digest(&SHA256, piece).as_ref() != written.as_ref() {
            return Err(Wrong::Differs(at));
        }
        tick(at + length as u64);
    }
    Ok(())
}

fn put(target: &mut impl Target, at: u64, piece: &[u8]) -> Result<(), Wrong> {
    let done = target.seek(SeekFrom::Start(at)).and_then(|_| target.write_all(piece));
    done.map_err(|error| Wrong::Write(at, error))
}

/// Where each piece begins, and its length.
fn spans(bytes: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..bytes)
        .step_by(PIECE)
        .map(move |at| (at, usize::try_from(bytes - at).unwrap_or(PIECE).min(PIECE)))
}

/// Room for a piece at an address that a device takes.
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn new() -> Self {
        let bytes = vec![0; PIECE + ALIGN];
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { bytes, start }
    }

    fn piece(&mut self, length: usize) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + length.min(PIECE)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A card in memory that may lie, fill up, or lose its power.
    #[derive(Default)]
    struct Card {
        bytes: Cursor<Vec<u8>>,
        /// Of this byte another is read.
        flipped: Option<usize>,
        /// Takes no more than this.
        room: Option<u64>,
        settled: u32,
    }

    impl Read for Card {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let at = usize::try_from(self.bytes.position()).unwrap();
            let read = self.bytes.read(to)?;
            if let Some(place) =
                self.flipped.and_then(|it| it.checked_sub(at)).filter(|it| *it < read)
            {
                to[place] ^= 1;
            }
            Ok(read)
        }
    }

    impl Write for Card {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            let end = self.bytes.position() + from.len() as u64;
            if self.room.is_some_and(|room| end > room) {
                return Err(io::Error::from_raw_os_error(28));
            }
            self.bytes.write(from)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Card {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.bytes.seek(to)
        }
    }

    impl Target for Card {
        fn settle(&mut self) -> io::Result<()> {
            self.settled += 1;
            Ok(())
        }
    }

    /// Ten MiB in which every piece is another.
    fn image() -> Vec<u8> {
        (0..10u32 << 18).flat_map(|it| it.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
    }

    fn written(card: &mut Card) -> Result<Vec<Digest>, Wrong> {
        let image = image();
        write(&mut image.as_slice(), image.len() as u64, card, &mut |_| {})
    }

    fn read_back(card: &mut Card, pieces: &[Digest]) -> Result<(), Wrong> {
        verify(pieces, 10 << 20, card, &mut |_| {})
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut card = Card::default();
        let mut ticks = Vec::new();
        let image = image();
        let source = &mut image.as_slice();
        let pieces =
            write(source, image.len() as u64, &mut card, &mut |it| ticks.push(it)).unwrap();
        assert!(card.bytes.get_ref() == &image && card.settled == 2);
        assert_eq!(ticks, [4 << 20, 8 << 20, 10 << 20]);
        read_back(&mut card, &pieces).unwrap();
    }

    #[test]
    fn one_flipped_bit_is_found_and_its_place_named() {
        for (at, mib) in [(0, 0), (5 << 20, 4), ((10 << 20) - 1, 8)] {
            let mut card = Card { flipped: Some(at), ..Card::default() };
            let pieces = written(&mut card).unwrap();
            let wrong = read_back(&mut card, &pieces).unwrap_err();
            assert!(wrong.to_string().contains(&format!("read back at {mib} MiB")), "{wrong}");
        }
    }

    #[test]
    fn a_card_that_wraps_around_is_found() {
        let mut card = Card::default();
        let pieces = written(&mut card).unwrap();
        let (low, high) = card.bytes.get_mut().split_at_mut(4 << 20);
        low.copy_from_slice(&high[..4 << 20]);
        assert!(matches!(read_back(&mut card, &pieces), Err(Wrong::Differs(0))));
    }

    #[test]
    fn a_card_cut_short_has_no_partition_table() {
        for room in [4 << 20, 9 << 20] {
            let old = Cursor::new(vec![0xaa; 10 << 20]);
            let mut card = Card { bytes: old, room: Some(room), ..Card::default() };
            assert!(matches!(written(&mut card), Err(Wrong::Write(..))));
            assert!(card.bytes.get_ref()[..PIECE].iter().all(|&it| it == 0));
        }
    }

    #[test]
    fn an_image_that_ends_early_is_said() {
        let mut short = &image()[..5 << 20];
        let wrong = write(&mut short, 10 << 20, &mut Card::default(), &mut |_| {}).unwrap_err();
        assert!(matches!(wrong, Wrong::Image(at, _) if at == 4 << 20), "{wrong}");
        let mut card = Card::default();
        let pieces = written(&mut card).unwrap();
        card.bytes.get_mut().truncate(5 << 20);
        assert!(matches!(read_back(&mut card, &pieces), Err(Wrong::Back(..))));
    }

    #[test]
    fn pieces_stand_where_a_device_takes_them() {
        assert_eq!(Buffer::new().piece(PIECE).as_ptr().align_offset(ALIGN), 0);
    }
}
