//! A bundle as it comes: head first, then its two parts, in pieces of any size.
//!
//! ```text
//! magic, length -> manifest, signature -> Head -> Data(Boot).. End(Boot) -> Data(Root).. End(Root)
//! ```

use crate::manifest::{self, Manifest, Part};
use core::fmt;

/// What every bundle begins with.
pub const MAGIC: [u8; 9] = *b"NIGHTJAR\x01";
/// Bytes of an Ed25519 signature.
pub const SIGNATURE: usize = 64;
/// Bytes of the magic and the manifest's length.
pub const PREFIX: usize = MAGIC.len() + 2;
/// The longest head, bytes.
pub const HEAD_MAX: usize = PREFIX + manifest::BYTES_MAX + SIGNATURE;

/// Why this is no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It does not begin with [`MAGIC`].
    Magic,
    /// Its manifest.
    Manifest(manifest::Wrong),
    /// Something after the root part.
    Beyond,
    /// It ends early.
    Short,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => write!(f, "it is no Nightjar bundle of a form that is known here"),
            Self::Manifest(wrong) => wrong.fmt(f),
            Self::Beyond => write!(f, "it is longer than its manifest says"),
            Self::Short => write!(f, "it is shorter than its manifest says"),
        }
    }
}

/// A piece of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'b> {
    /// The head is there: [`Reader::head`].
    Head,
    /// The next bytes of a part.
    Data(Part, &'b [u8]),
    /// A part is complete.
    End(Part),
}

/// A head: what is signed, what it says, and the signature.
#[derive(Debug, Clone, Copy)]
pub struct Head<'r> {
    /// The manifest's bytes.
    pub signed: &'r [u8],
    /// The manifest.
    pub manifest: Manifest<'r>,
    /// Ed25519 over `signed`.
    pub signature: &'r [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Part { part: Part, left: u64 },
    Done,
}

/// Takes a bundle apart.
#[derive(Debug, Clone)]
pub struct Reader {
    head: [u8; HEAD_MAX],
    have: usize,
    root_bytes: u64,
    stage: Stage,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// At a bundle's beginning.
    pub const fn new() -> Self {
        Self { head: [0; HEAD_MAX], have: 0, root_bytes: 0, stage: Stage::Head }
    }

    /// Takes the next piece off `input`; `None` when it is used up.
    pub fn read<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Piece<'b>>, Wrong> {
        match self.stage {
            Stage::Head => Ok(self.read_head(input)?.then_some(Piece::Head)),
            Stage::Part { part, left: 0 } => {
                self.stage = match part {
                    Part::Boot => Stage::Part { part: Part::Root, left: self.root_bytes },
                    Part::Root => Stage::Done,
                };
                Ok(Some(Piece::End(part)))
            }
            Stage::Part { part, left } => {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let data = take(input, length);
                self.stage = Stage::Part { part, left: left - length as u64 };
                Ok((!data.is_empty()).then_some(Piece::Data(part, data)))
            }
            Stage::Done if input.is_empty() => Ok(None),
            Stage::Done => Err(Wrong::Beyond),
        }
    }

    /// `true` once the head is complete.
    fn read_head(&mut self, input: &mut &[u8]) -> Result<bool, Wrong> {
        while self.have < self.head_bytes()? {
            let missing = self.head_bytes()? - self.have;
            let bytes = take(input, missing.min(input.len()));
            if bytes.is_empty() {
                return Ok(false);
            }
            let end = self.have + bytes.len();
            if let Some(place) = self.head.get_mut(self.have..end) {
                place.copy_from_slice(bytes);
            }
            self.have = end;
        }
        let manifest = Manifest::parse(self.signed()).map_err(Wrong::Manifest)?;
        let (boot, root) = (manifest.boot.bytes, manifest.root.bytes);
        self.root_bytes = root;
        self.stage = Stage::Part { part: Part::Boot, left: boot };
        Ok(true)
    }

    /// The head's length, as far as it is known.
    fn head_bytes(&self) -> Result<usize, Wrong> {
        let known = MAGIC.len().min(self.have);
        if self.head.get(..known) != MAGIC.get(..known) {
            return Err(Wrong::Magic);
        }
        if self.have < PREFIX {
            return Ok(PREFIX);
        }
        let length = self.manifest_bytes();
        if length > manifest::BYTES_MAX {
            return Err(Wrong::Manifest(manifest::Wrong::Long));
        }
        Ok(PREFIX + length + SIGNATURE)
    }

    fn manifest_bytes(&self) -> usize {
        match self.head.get(MAGIC.len()..PREFIX) {
            Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
            _ => 0,
        }
    }

    fn signed(&self) -> &[u8] {
        self.head.get(PREFIX..PREFIX + self.manifest_bytes()).unwrap_or_default()
    }

    /// The head, once it is there.
    pub fn head(&self) -> Option<Head<'_>> {
        if self.stage == Stage::Head {
            return None;
        }
        let signed = self.signed();
        let from = PREFIX + signed.len();
        let signature = self.head.get(from..from + SIGNATURE)?;
        Some(Head { signed, manifest: Manifest::parse(signed).ok()?, signature })
    }

    /// What it means that nothing more comes.
    pub fn finish(&self) -> Result<(), Wrong> {
        if self.stage == Stage::Done { Ok(()) } else { Err(Wrong::Short) }
    }
}

/// Takes `length` bytes off `input`, which has them.
fn take<'b>(input: &mut &'b [u8], length: usize) -> &'b [u8] {
    let (taken, rest) = input.split_at_checked(length).unwrap_or((*input, &[]));
    *input = rest;
    taken
}

/// What stands before a manifest of so many bytes; `None` where it is too long.
pub fn prefix(manifest: &[u8]) -> Option<[u8; PREFIX]> {
    let length =
        u16::try_from(manifest.len()).ok().filter(|_| manifest.len() <= manifest::BYTES_MAX)?;
    let mut bytes = [0; PREFIX];
    let (magic, number) = bytes.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    number.copy_from_slice(&length.to_le_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Sum;
    use crate::version::Version;
    use std::string::ToString;
    use std::vec::Vec;

    const BOOT: &[u8] = b"boot part";
    const ROOT: &[u8] = b"the root part";

    fn bundle() -> Vec<u8> {
        let sum = |part: &[u8]| Sum { bytes: part.len() as u64, sha256: [9; 32] };
        let manifest = Manifest {
            board: "here",
            version: Version([2, 0, 0]),
            minimum: Version([1, 0, 0]),
            boot: sum(BOOT),
            root: sum(ROOT),
        };
        let text = manifest.to_string();
        let head = prefix(text.as_bytes()).unwrap();
        [&head[..], text.as_bytes(), &[5; SIGNATURE], BOOT, ROOT].concat()
    }

    /// Both parts as they were read in pieces of `size`, or what was wrong.
    fn read(bundle: &[u8], size: usize) -> Result<[Vec<u8>; 2], Wrong> {
        let (mut reader, mut parts, mut ended) = (Reader::new(), [Vec::new(), Vec::new()], 0);
        for mut input in bundle.chunks(size).chain([&[][..]]) {
            while let Some(piece) = reader.read(&mut input)? {
                match piece {
                    Piece::Head => {
                        let head = reader.head().unwrap();
                        assert_eq!(
                            (head.manifest.board, head.signature),
                            ("here", &[5; SIGNATURE][..])
                        );
                    }
                    Piece::Data(part, data) => parts[part as usize].extend(data),
                    Piece::End(part) => {
                        assert_eq!(part, Part::ALL[ended]);
                        ended += 1;
                    }
                }
            }
            assert!(input.is_empty());
        }
        reader.finish().map(|()| parts)
    }

    #[test]
    fn it_is_the_same_however_it_is_cut() {
        let bundle = bundle();
        for size in 1..=bundle.len() {
            assert_eq!(read(&bundle, size), Ok([BOOT.to_vec(), ROOT.to_vec()]), "pieces of {size}");
        }
    }

    #[test]
    fn every_shorter_one_is_short_and_a_longer_one_too_long() {
        let bundle = bundle();
        for length in 0..bundle.len() {
            assert_eq!(read(&bundle[..length], 7), Err(Wrong::Short), "{length} bytes");
        }
        assert_eq!(read(&[&bundle[..], b"x"].concat(), 7), Err(Wrong::Beyond));
    }

    #[test]
    fn another_form_is_refused_at_its_first_byte() {
        let mut other = bundle();
        other[8] = 2;
        assert_eq!(read(&other, 1), Err(Wrong::Magic));
        assert_eq!(read(b"PK", 1), Err(Wrong::Magic));
        let mut long = bundle();
        long[10] = 0xff;
        assert_eq!(read(&long, 64), Err(Wrong::Manifest(manifest::Wrong::Long)));
        assert_eq!(prefix(&[b'x'; manifest::BYTES_MAX + 1]), None);
    }
}
