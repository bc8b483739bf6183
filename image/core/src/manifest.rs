//! What a bundle says of itself: lines of `key=value` in a fixed order, the bytes that are signed.

use crate::version::Version;
use core::fmt;

/// The longest manifest, bytes.
pub const BYTES_MAX: usize = 1024;
/// The longest name of a board, bytes.
pub const BOARD_MAX: usize = 32;
/// The largest part, bytes: a FAT and a squashfs of our sizes stay far below.
const PART_MAX: u64 = 1 << 32;

/// One of a bundle's two parts, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What a boot partition begins with.
    Boot,
    /// What a root partition begins with.
    Root,
}

impl Part {
    /// Both, in a bundle's order.
    pub const ALL: [Self; 2] = [Self::Boot, Self::Root];

    /// Its key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Root => "root",
        }
    }
}

/// A part's size and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// At least 1.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// A bundle's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// The board that it is for.
    pub board: &'a str,
    /// What it brings.
    pub version: Version,
    /// The least version that it may replace.
    pub minimum: Version,
    /// The boot part.
    pub boot: Sum,
    /// The root part.
    pub root: Sum,
}

/// The line that is wrong, and what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// More than [`BYTES_MAX`] bytes.
    Long,
    /// The line of this key is missing, or is not as expected.
    Line(&'static str, &'static str),
    /// Something after the last line.
    Beyond,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => write!(f, "the manifest is longer than {BYTES_MAX} bytes"),
            Self::Line(key, wanted) => write!(f, "the manifest's line {key}= is not {wanted}"),
            Self::Beyond => write!(f, "the manifest goes on after its last line"),
        }
    }
}

const A_BOARD: &str = "a board's name in a-z, 0-9 and -";
const A_VERSION: &str = "a version such as 1.2.3";
const A_SUM: &str = "a size and a SHA-256 in hex";

impl<'a> Manifest<'a> {
    /// Reads a manifest; exactly what [`fmt::Display`] writes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Wrong> {
        if bytes.len() > BYTES_MAX {
            return Err(Wrong::Long);
        }
        let mut rest = bytes;
        let mut line =
            |key: &'static str, wanted| value(&mut rest, key).ok_or(Wrong::Line(key, wanted));
        let board = line("board", A_BOARD)?;
        let board = Some(board).filter(|it| is_board(it)).ok_or(Wrong::Line("board", A_BOARD))?;
        let mut version =
            |key| Version::parse(line(key, A_VERSION)?).ok_or(Wrong::Line(key, A_VERSION));
        let (number, minimum) = (version("version")?, version("minimum")?);
        let mut sum = |key| Sum::parse(line(key, A_SUM)?).ok_or(Wrong::Line(key, A_SUM));
        let (boot, root) = (sum("boot")?, sum("root")?);
        if !rest.is_empty() {
            return Err(Wrong::Beyond);
        }
        Ok(Self { board, version: number, minimum, boot, root })
    }

    /// A part's size and digest.
    pub const fn sum(&self, part: Part) -> Sum {
        match part {
            Part::Boot => self.boot,
            Part::Root => self.root,
        }
    }
}

/// Whether it can be a board's name.
pub fn is_board(name: &str) -> bool {
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    !name.is_empty() && name.len() <= BOARD_MAX && name.bytes().all(plain)
}

/// Takes the line `key=value\n` off the beginning of `rest`.
fn value<'a>(rest: &mut &'a [u8], key: &str) -> Option<&'a str> {
    let end = rest.iter().position(|&it| it == b'\n')?;
    let (line, after) = (rest.get(..end)?, rest.get(end + 1..)?);
    *rest = after;
    core::str::from_utf8(line).ok()?.strip_prefix(key)?.strip_prefix('=')
}

impl Sum {
    /// Reads `SIZE SHA256`.
    pub fn parse(text: &str) -> Option<Self> {
        let (size, sha256) = text.split_once(' ')?;
        let plain = size.bytes().all(|it| it.is_ascii_digit()) && !size.starts_with('0');
        let bytes = plain.then(|| size.parse().ok()).flatten()?;
        let sha256 = unhex(sha256)?;
        (bytes <= PART_MAX).then_some(Self { bytes, sha256 })
    }
}

/// 64 lower-case hex digits.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    (digits.len() == 64).then_some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.bytes)?;
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Manifest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { board, version, minimum, boot, root } = self;
        write!(f, "board={board}\nversion={version}\nminimum={minimum}\nboot={boot}\nroot={root}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    fn manifest() -> Manifest<'static> {
        Manifest {
            board: "qemu-arm64",
            version: Version([0, 2, 0]),
            minimum: Version([0, 1, 0]),
            boot: Sum { bytes: 7, sha256: [0xab; 32] },
            root: Sum { bytes: PART_MAX, sha256: [0x01; 32] },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = manifest().to_string();
        assert!(text.starts_with("board=qemu-arm64\nversion=0.2.0\nminimum=0.1.0\nboot=7 abab"));
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = manifest().to_string();
        for (from, to, key) in [
            ("board=qemu", "bored=qemu", "board"),
            ("=qemu-arm64", "=Qemu", "board"),
            ("=qemu-arm64", "=", "board"),
            ("=0.2.0", "=0.2", "version"),
            ("minimum=0.1.0\n", "", "minimum"),
            ("boot=7", "boot=0", "boot"),
            ("boot=7", "boot=+7", "boot"),
            ("abab", "ABAB", "boot"),
            ("4294967296", "4294967297", "root"),
        ] {
            let odd = text.replacen(from, to, 1);
            let said = Manifest::parse(odd.as_bytes());
            assert!(matches!(said, Err(Wrong::Line(it, _)) if it == key), "{odd}: {said:?}");
        }
        assert_eq!(Manifest::parse((text.clone() + "\n").as_bytes()), Err(Wrong::Beyond));
        assert_eq!(Manifest::parse(&[b'b'; BYTES_MAX + 1]), Err(Wrong::Long));
        assert!(Manifest::parse(text.trim_end().as_bytes()).is_err(), "the last line ends, too");
        let words: String = Wrong::Line("version", A_VERSION).to_string();
        assert_eq!(words, "the manifest's line version= is not a version such as 1.2.3");
    }
}
