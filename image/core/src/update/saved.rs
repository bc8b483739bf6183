//! What is saved of an update: lines of `key=value`, replaced whole.
//!
//! ```text
//! state=staged
//! version=0.2.0
//! slot=b
//! attempts=1
//! boot=SIZE SHA256
//! root=SIZE SHA256
//! committed=0.1.0
//! ```
//! A key that is not known is passed over: a newer system may have written it, and an older one
//! may run again. What is needed in a state and missing makes the whole unreadable.

use super::why::Why;
use crate::autoboot::Slot;
use crate::manifest::Sum;
use crate::version::Version;
use core::fmt;

/// No file is longer, bytes.
pub const BYTES_MAX: usize = 1024;

/// How far an update came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There was none.
    None,
    /// Its parts are being written.
    Writing,
    /// It is on the card, whole; it was wished for so many times.
    Staged {
        /// Trials that were asked for.
        attempts: u8,
    },
    /// It runs, or ran, on trial.
    Trial,
    /// It is what boots.
    Committed,
    /// It was given up.
    Failed(Why),
}

/// The update that the state is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// What it brings.
    pub version: Version,
    /// Where it is written.
    pub slot: Slot,
    /// Its boot part.
    pub boot: Sum,
    /// Its root part.
    pub root: Sum,
}

/// The whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// How far it came.
    pub phase: Phase,
    /// The update; there is one in every phase but `None` and some failures.
    pub update: Option<Update>,
    /// The highest version that was ever committed here.
    pub committed: Option<Version>,
}

impl Saved {
    /// Before the first update.
    pub const NONE: Self = Self { phase: Phase::None, update: None, committed: None };
    /// In place of a file that cannot be read.
    pub const LOST: Self = Self { phase: Phase::Failed(Why::Lost), ..Self::NONE };

    /// Reads the file.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(bytes).ok().filter(|it| it.len() <= BYTES_MAX)?;
        // The last line is whole, too.
        let text = text.strip_suffix('\n')?;
        let value = |key| {
            let lines = text.split('\n').filter_map(|line| line.split_once('='));
            lines.filter(|(name, _)| *name == key).map(|(_, value)| value).next()
        };
        let committed = match value("committed") {
            Some(text) => Some(Version::parse(text)?),
            None => None,
        };
        let update = match value("version") {
            Some(version) => Some(Update {
                version: Version::parse(version)?,
                slot: slot(value("slot")?)?,
                boot: Sum::parse(value("boot")?)?,
                root: Sum::parse(value("root")?)?,
            }),
            None => None,
        };
        let phase = match value("state")? {
            "none" => Phase::None,
            "writing" => Phase::Writing,
            "staged" => Phase::Staged { attempts: value("attempts")?.parse().ok()? },
            "trial" => Phase::Trial,
            "committed" => Phase::Committed,
            "failed" => Phase::Failed(Why::from_code(value("why")?).unwrap_or(Why::Lost)),
            _ => return None,
        };
        let needed = !matches!(phase, Phase::None | Phase::Failed(_));
        (update.is_some() || !needed).then_some(Self { phase, update, committed })
    }

    /// The phase's word.
    pub const fn word(&self) -> &'static str {
        match self.phase {
            Phase::None => "none",
            Phase::Writing => "writing",
            Phase::Staged { .. } => "staged",
            Phase::Trial => "trial",
            Phase::Committed => "committed",
            Phase::Failed(_) => "failed",
        }
    }
}

fn slot(text: &str) -> Option<Slot> {
    [Slot::A, Slot::B].into_iter().find(|it| it.letter() == text)
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "state={}", self.word())?;
        match self.phase {
            Phase::Failed(why) => writeln!(f, "why={}", why.code())?,
            Phase::Staged { attempts } => writeln!(f, "attempts={attempts}")?,
            _ => {}
        }
        if let Some(Update { version, slot, boot, root }) = &self.update {
            writeln!(f, "version={version}\nslot={}\nboot={boot}\nroot={root}", slot.letter())?;
        }
        self.committed.map_or(Ok(()), |version| writeln!(f, "committed={version}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    fn update() -> Update {
        let sum = Sum { bytes: 5, sha256: [0x5a; 32] };
        Update { version: Version([0, 2, 0]), slot: Slot::B, boot: sum, root: sum }
    }

    #[test]
    fn what_is_written_is_read() {
        let failures = Why::ALL.map(Phase::Failed);
        let phases = [
            Phase::None,
            Phase::Writing,
            Phase::Staged { attempts: 2 },
            Phase::Trial,
            Phase::Committed,
        ];
        for phase in phases.into_iter().chain(failures) {
            for committed in [None, Some(Version([0, 1, 0]))] {
                let saved = Saved { phase, update: Some(update()), committed };
                let text = saved.to_string();
                assert!(text.len() <= BYTES_MAX);
                assert_eq!(Saved::parse(text.as_bytes()), Some(saved), "{text}");
                let cut = text.trim_end();
                assert_eq!(Saved::parse(cut.as_bytes()), None, "a cut last line");
            }
        }
        for saved in [Saved::NONE, Saved::LOST] {
            assert_eq!(Saved::parse(saved.to_string().as_bytes()), Some(saved));
        }
        let codes: Vec<_> = Why::ALL.map(Why::code).into();
        assert!(codes.iter().all(|code| codes.iter().filter(|it| *it == code).count() == 1));
    }

    #[test]
    fn what_is_missing_makes_it_unreadable_and_more_does_not() {
        let whole =
            Saved { phase: Phase::Trial, update: Some(update()), committed: None }.to_string();
        let newer = whole.clone() + "colour=green\nno equals sign\n";
        assert_eq!(Saved::parse(newer.as_bytes()), Saved::parse(whole.as_bytes()));
        for gone in ["state=trial\n", "version=0.2.0\n", "slot=b\n", "boot=5"] {
            assert_eq!(Saved::parse(whole.replacen(gone, "", 1).as_bytes()), None, "{gone}");
        }
        assert_eq!(Saved::parse(b"state=staged\n"), None);
        assert_eq!(Saved::parse(b"\xff\n"), None);
        let why = Saved::parse(b"state=failed\nwhy=bad moon\n").map(|it| it.phase);
        assert_eq!(why, Some(Phase::Failed(Why::Lost)), "a newer system's reason");
    }
}
