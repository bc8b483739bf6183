//! Why an update is not taken, or did not come to be: one word for programs, one line for people.

use core::fmt;

/// Why. The first are refusals and leave everything as it was; the second are saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The board cannot try a system once.
    Unsupported,
    /// The system that runs has no public key.
    NoKey,
    /// An update is under way.
    Busy,
    /// The system that runs is on trial.
    Trial,
    /// `autoboot.txt` does not lead to the slot that runs, or to no other one.
    Autoboot,
    /// It is no bundle.
    Format,
    /// Signed by another key, or changed since.
    Signature,
    /// For another board.
    Board,
    /// Not above the version that runs, or not above one that was committed.
    Older,
    /// It may not replace a version as old as the one that runs.
    Minimum,
    /// A part is larger than its partition.
    Large,

    /// The bundle ended early, or the box restarted while it was written.
    Interrupted,
    /// A part's digest is not the manifest's.
    Damaged,
    /// The card does not take it, or gives back something else.
    Card,
    /// The new system never came as far as nightjar-box.
    NotStarted,
    /// The box restarted before the new system had been healthy for long enough.
    Restarted,
    /// The new system was not healthy for long enough within its time.
    Unhealthy,
    /// A slot was tried that nothing was staged in.
    Unexpected,
    /// What was saved of the last update cannot be read.
    Lost,
}

use Why::{
    Autoboot, Board, Busy, Card, Damaged, Format, Interrupted, Large, Lost, Minimum, NoKey,
    NotStarted, Older, Restarted, Signature, Trial, Unexpected, Unhealthy, Unsupported,
};

impl Why {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Unsupported,
        NoKey,
        Busy,
        Trial,
        Autoboot,
        Format,
        Signature,
        Board,
        Older,
        Minimum,
        Large,
        Interrupted,
        Damaged,
        Card,
        NotStarted,
        Restarted,
        Unhealthy,
        Unexpected,
        Lost,
    ];

    /// For programs.
    pub const fn code(self) -> &'static str {
        match self {
            Unsupported => "unsupported",
            NoKey => "no-key",
            Busy => "busy",
            Trial => "trial",
            Autoboot => "autoboot",
            Format => "format",
            Signature => "signature",
            Board => "board",
            Older => "older",
            Minimum => "minimum",
            Large => "large",
            Interrupted => "interrupted",
            Damaged => "damaged",
            Card => "card",
            NotStarted => "not-started",
            Restarted => "restarted",
            Unhealthy => "unhealthy",
            Unexpected => "unexpected",
            Lost => "lost",
        }
    }

    /// The one of this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.code() == code)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsupported => "this board cannot try a new system: write the card anew",
            NoKey => "this system has no public key, so it takes no updates: write the card anew",
            Busy => "an update is under way",
            Trial => "this system is on trial itself; when it has stood that, it can be updated",
            Autoboot => "autoboot.txt on the card's first partition is not as it was written",
            Format => "this is no update for Nightjar",
            Signature => "the update is not signed by the key that this system trusts",
            Board => "the update is for another board",
            Older => "the update is not newer than what runs, or ran, here",
            Minimum => "the update needs a newer system than this one first",
            Large => "the update is larger than this card's partitions",
            Interrupted => "the update did not arrive whole",
            Damaged => "the update was damaged on its way",
            Card => "the card did not keep the update",
            NotStarted => "the new system did not start; the old one runs",
            Restarted => "the new system restarted before it had proved itself; the old one runs",
            Unhealthy => "the new system did not work for long enough; the old one runs",
            Unexpected => "a system was tried that was not meant to be; the old one runs",
            Lost => "what was known of the last update is lost",
        })
    }
}
