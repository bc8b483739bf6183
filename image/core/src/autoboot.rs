//! `autoboot.txt`: which slot boots, and which one is tried once. One sector, whose rewriting is
//! the act that commits an update.
//!
//! It is read as a Pi's firmware reads it, line by line: what stands below `[all]` or before any
//! filter holds always, what stands below `[tryboot]` in a trial, and the last value counts. A
//! person may have written into it: comments, blanks and other keys stay as they are, for to
//! commit is to exchange two digits in place.

use core::fmt;
use core::ops::Range;

/// The firmware reads no longer file (`autoboot.txt`, Raspberry Pi's documentation); one sector.
pub const BYTES_MAX: usize = 512;

/// One of the two systems on a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Partitions 2 and 5.
    A,
    /// Partitions 3 and 6.
    B,
}

impl Slot {
    /// The slot of a boot partition.
    pub const fn from_partition(nr: u32) -> Option<Self> {
        match nr {
            2 => Some(Self::A),
            3 => Some(Self::B),
            _ => None,
        }
    }

    /// Its boot partition.
    pub const fn boot(self) -> u8 {
        match self {
            Self::A => 2,
            Self::B => 3,
        }
    }

    /// Its root partition.
    pub const fn root(self) -> u8 {
        self.boot() + 3
    }

    /// `a` or `b`.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The file, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autoboot {
    text: [u8; BYTES_MAX],
    length: usize,
    usual: Choice,
    trial: Choice,
    switches: bool,
}

/// A slot and where its digit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choice {
    slot: Slot,
    at: usize,
}

/// What is wrong with the file; lines count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// More than one sector.
    Long,
    /// No `boot_partition` that holds always.
    Missing,
    /// A line that is neither a filter nor `key=value`.
    Line(usize),
    /// A `boot_partition` that is neither 2 nor 3.
    Partition(usize),
    /// A choice below a filter that is not `[all]`, `[none]` or `[tryboot]`.
    Filter(usize),
    /// It can be booted, but has no other slot to try: `[tryboot]` or `tryboot_a_b=1` is missing.
    NoTrial,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => write!(f, "it is longer than {BYTES_MAX} bytes"),
            Self::Missing => write!(f, "boot_partition is missing below [all]"),
            Self::Line(nr) => write!(f, "line {nr} is neither [filter] nor key=value"),
            Self::Partition(nr) => write!(f, "line {nr}: boot_partition is neither 2 nor 3"),
            Self::Filter(nr) => {
                write!(f, "line {nr} chooses below a filter that is not [all], [none] or [tryboot]")
            }
            Self::NoTrial => write!(
                f,
                "tryboot_a_b=1 below [all], or the other slot's boot_partition below [tryboot], is missing"
            ),
        }
    }
}

/// Under which condition a line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    All,
    None,
    Tryboot,
    Unknown,
}

impl Autoboot {
    /// A new card's, which boots `slot`.
    pub fn new(slot: Slot) -> Self {
        const TEXT: &[u8] =
            b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";
        let mut text = [0; BYTES_MAX];
        for (to, from) in text.iter_mut().zip(TEXT) {
            *to = *from;
        }
        let (usual, trial) = (Choice { slot: Slot::A, at: 35 }, Choice { slot: Slot::B, at: 62 });
        let made = Self { text, length: TEXT.len(), usual, trial, switches: true };
        if slot == Slot::A { made } else { made.exchanged() }
    }

    /// Reads the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, Wrong> {
        let mut text = [0; BYTES_MAX];
        text.get_mut(..bytes.len()).ok_or(Wrong::Long)?.copy_from_slice(bytes);
        let (mut filter, mut switches) = (Filter::All, false);
        let (mut usual, mut trial) = (None, None);
        for (nr, span) in lines(bytes) {
            let line = bytes.get(span.clone()).unwrap_or_default();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if let Some(name) = line.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]")) {
                filter = Filter::parse(name);
                continue;
            }
            let equals = line.iter().position(|&it| it == b'=').ok_or(Wrong::Line(nr))?;
            let (key, value) = line.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            match (key.trim_ascii(), filter) {
                (b"boot_partition" | b"tryboot_a_b", Filter::Unknown) => {
                    return Err(Wrong::Filter(nr));
                }
                (b"boot_partition", Filter::All | Filter::Tryboot) => {
                    let slot = match value.trim_ascii() {
                        b"2" => Slot::A,
                        b"3" => Slot::B,
                        _ => return Err(Wrong::Partition(nr)),
                    };
                    let blanks = value.len() - value.trim_ascii_start().len();
                    let choice = Some(Choice { slot, at: span.start + equals + 1 + blanks });
                    if filter == Filter::All {
                        usual = choice;
                    }
                    trial = choice;
                }
                (b"tryboot_a_b", Filter::All) => switches = value.trim_ascii() == b"1",
                _ => {}
            }
        }
        let usual = usual.ok_or(Wrong::Missing)?;
        Ok(Self { text, length: bytes.len(), usual, trial: trial.unwrap_or(usual), switches })
    }

    /// The boot partition of every start without a wish, 2 or 3.
    pub const fn partition(&self) -> u8 {
        self.usual.slot.boot()
    }

    /// The boot partition of a trial, 2 or 3.
    pub const fn trial(&self) -> u8 {
        self.trial.slot.boot()
    }

    /// The slot of every start without a wish.
    pub const fn slot(&self) -> Slot {
        self.usual.slot
    }

    /// Whether a trial boots the other slot.
    pub fn check_trial(&self) -> Result<(), Wrong> {
        let apart = self.trial.slot != self.usual.slot;
        if self.switches && apart { Ok(()) } else { Err(Wrong::NoTrial) }
    }

    /// The same, as it boots `slot` from now on and tries the other one: as long as before, and
    /// all but two digits as before.
    pub fn committed(&self, slot: Slot) -> Result<Self, Wrong> {
        self.check_trial()?;
        Ok(if slot == self.usual.slot { *self } else { self.exchanged() })
    }

    fn exchanged(mut self) -> Self {
        core::mem::swap(&mut self.usual.slot, &mut self.trial.slot);
        for choice in [self.usual, self.trial] {
            if let Some(digit) = self.text.get_mut(choice.at) {
                *digit = b'0' + choice.slot.boot();
            }
        }
        self
    }

    /// The file's bytes.
    pub fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }
}

impl Filter {
    fn parse(name: &[u8]) -> Self {
        match name.trim_ascii() {
            it if it.eq_ignore_ascii_case(b"all") => Self::All,
            it if it.eq_ignore_ascii_case(b"none") => Self::None,
            it if it.eq_ignore_ascii_case(b"tryboot") => Self::Tryboot,
            _ => Self::Unknown,
        }
    }
}

/// Where each line stands, without the blanks around it, and its number; an editor's byte order
/// mark is no part of the first.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut nr = 0;
    core::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|it| !it.is_empty())?;
        let length = rest.iter().position(|&it| it == b'\n').unwrap_or(rest.len());
        let line = rest.get(..length)?;
        let start = at + length - line.trim_ascii_start().len();
        at += length + 1;
        nr += 1;
        Some((nr, start..start + line.trim_ascii().len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_new_cards_file_is_what_the_card_says() {
        let card = include_str!("../../card.md");
        for slot in [Slot::A, Slot::B] {
            let made = Autoboot::new(slot);
            assert_eq!(Autoboot::parse(made.text()), Ok(made));
            assert_eq!(
                (made.slot(), made.partition(), made.trial()),
                (slot, slot.boot(), slot.other().boot())
            );
            assert_eq!(made.check_trial(), Ok(()));
        }
        let text = std::str::from_utf8(Autoboot::new(Slot::A).text()).unwrap().to_string();
        assert!(card.contains(&text), "{text}");
        assert_eq!(Autoboot::new(Slot::A).committed(Slot::B), Ok(Autoboot::new(Slot::B)));
        assert_eq!(Autoboot::new(Slot::A).committed(Slot::A), Ok(Autoboot::new(Slot::A)));
    }

    #[test]
    fn what_a_person_wrote_stays_but_two_digits() {
        let text = b"\xef\xbb\xbf# mine\r\n  boot_partition = 2 \r\ntryboot_a_b=1\r\n\r\n[TryBoot]\r\nboot_partition=3\r\n[none]\r\nboot_partition=7";
        let read = Autoboot::parse(text).unwrap();
        assert_eq!((read.partition(), read.trial()), (2, 3));
        let after = read.committed(Slot::B).unwrap();
        let want = b"\xef\xbb\xbf# mine\r\n  boot_partition = 3 \r\ntryboot_a_b=1\r\n\r\n[TryBoot]\r\nboot_partition=2\r\n[none]\r\nboot_partition=7";
        assert_eq!(after.text(), want);
        assert_eq!(Autoboot::parse(want), Ok(after));
        assert_eq!(after.committed(Slot::A), Ok(read));
    }

    #[test]
    fn the_last_value_counts() {
        let read = Autoboot::parse(
            b"boot_partition=2\n[tryboot]\nboot_partition=3\n[all]\nboot_partition=3\n",
        );
        assert_eq!(
            read.map(|it| (it.partition(), it.trial())),
            Ok((3, 3)),
            "[all] holds in a trial, too"
        );
    }

    #[test]
    fn a_board_that_cannot_try_still_boots() {
        let read = Autoboot::parse(b"boot_partition=2").unwrap();
        assert_eq!((read.partition(), read.trial()), (2, 2));
        assert_eq!(read.committed(Slot::B), Err(Wrong::NoTrial));
        let off =
            Autoboot::parse(b"tryboot_a_b=0\nboot_partition=2\n[tryboot]\nboot_partition=3\n");
        assert_eq!(off.unwrap().check_trial(), Err(Wrong::NoTrial));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, wrong) in [
            (&[b'#'; 513][..], Wrong::Long),
            (b"", Wrong::Missing),
            (b"[tryboot]\nboot_partition=3\n", Wrong::Missing),
            (b"[all]\nboot 2", Wrong::Line(2)),
            (b"[all]\nboot_partition=1", Wrong::Partition(2)),
            (b"boot_partition=02", Wrong::Partition(1)),
            (b"\n[pi4]\nboot_partition=2", Wrong::Filter(3)),
            (b"boot_partition=2\n[all", Wrong::Line(2)),
        ] {
            assert_eq!(
                Autoboot::parse(text),
                Err(wrong),
                "{:?}",
                std::string::String::from_utf8_lossy(text)
            );
        }
        assert_eq!(Wrong::Partition(4).to_string(), "line 4: boot_partition is neither 2 nor 3");
    }
}
