//! A card's image as it is read: plain or gzip, checked before anything is overwritten, with its
//! first FAT in memory so that settings can be put into it.

use super::settings::Answers;
use crate::card;
use crate::failure::Failure;
use flate2::read::MultiGzDecoder;
use image_core::layout::{self, SECTOR, Span};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// The file that the settings stand in.
const SETTINGS: &str = "nightjar.toml";
/// The first FAT ends before this byte in every layout of ours.
const HEAD_MOST: u64 = 256 << 20;

/// An image, from its first byte on.
pub(super) struct Source {
    /// Its length, unpacked.
    pub(super) bytes: u64,
    head: Vec<u8>,
    /// How much of the head has been read.
    given: usize,
    /// Partition 1.
    autoboot: Span,
    rest: Box<dyn Read>,
}

impl Source {
    /// Opens it and checks that it is whole. What is packed is unpacked once for that: gzip's
    /// checksum stands at the end.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let read = |error: io::Error| Failure::Trouble(format!("{}: {error}", path.display()));
        let damaged = |why: String| {
            Failure::Trouble(format!("{} is damaged: {why}; get it again", path.display()))
        };
        let foreign =
            || Failure::Trouble(format!("{} is no image of a card of Nightjar", path.display()));
        let (mut bytes, packed) = unpacked(path).map_err(read)?;
        let mut first = [0; SECTOR];
        bytes.read_exact(&mut first).map_err(|_| foreign())?;
        let [autoboot, _, _, extended] =
            layout::primary(&first, card::SIGNATURE).ok_or_else(foreign)?;
        let whole = extended.offset() + extended.bytes();
        let head = autoboot.offset() + autoboot.bytes();
        if head > HEAD_MOST.min(whole) {
            return Err(foreign());
        }
        let has = if packed {
            let copied =
                io::copy(&mut bytes, &mut io::sink()).map_err(|it| damaged(it.to_string()))?;
            copied + SECTOR as u64
        } else {
            path.metadata().map_err(read)?.len()
        };
        if has < whole {
            return Err(damaged(format!("it ends after {has} bytes of {whole}")));
        }
        let (mut rest, _) = unpacked(path).map_err(read)?;
        let mut bytes = Vec::new();
        rest.by_ref().take(head).read_to_end(&mut bytes).map_err(read)?;
        Ok(Self { bytes: whole, head: bytes, given: 0, autoboot, rest })
    }

    /// Puts the settings into the image's own file.
    pub(super) fn put(&mut self, answers: &Answers) -> Result<(), Failure> {
        if answers.are_none() {
            return Ok(());
        }
        let start = usize::try_from(self.autoboot.offset()).unwrap_or(usize::MAX);
        let volume = self.head.get_mut(start..).unwrap_or_default();
        let wrong = |error: io::Error| {
            Failure::Trouble(format!("{SETTINGS} cannot be written into the image: {error}"))
        };
        let before = card::take_file(volume, SETTINGS).map_err(wrong)?;
        let text = answers.put_into(&String::from_utf8_lossy(&before));
        card::put_file(volume, SETTINGS, text.as_bytes()).map_err(wrong)
    }
}

impl Read for Source {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut left = self.head.get(self.given..).unwrap_or_default();
        if left.is_empty() {
            return self.rest.read(to);
        }
        let read = left.read(to)?;
        self.given += read;
        Ok(read)
    }
}

/// A file's bytes; whether they were packed.
fn unpacked(path: &Path) -> io::Result<(Box<dyn Read>, bool)> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic)?;
    let file = BufReader::with_capacity(1 << 20, File::open(path)?);
    if magic == GZIP {
        return Ok((Box::new(MultiGzDecoder::new(file)), true));
    }
    Ok((Box::new(file), false))
}
