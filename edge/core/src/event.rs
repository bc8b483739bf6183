//! What the user sees: one thing that happened, from its opening to its close.

use crate::geometry::BBox;
use crate::time::UnixMs;
use heapless::String;

/// Longest label, bytes.
pub const LABEL_BYTES: usize = 24;
/// Longest camera name, bytes.
pub const CAMERA_BYTES: usize = 32;

/// Which event: counts up from 1 in the order of opening and is never reused.
///
/// Its text form, in REST paths too, is 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

impl EventId {
    /// Reads the text form; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits { u64::from_str_radix(text, 16).ok().map(Self) } else { None }
    }
}

impl core::fmt::Display for EventId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What made the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A detector recognised something; `label` says what.
    Object,
    /// The picture changed and no detector said why; `label` is `motion`.
    Motion,
    /// The box reports on itself; `label` says what, as in `camera_lost`.
    Health,
}

impl Kind {
    /// The word REST uses.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Motion => "motion",
            Self::Health => "health",
        }
    }

    /// The kind named by REST's word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Object, Self::Motion, Self::Health].into_iter().find(|kind| kind.word() == word)
    }
}

/// One event, as stored and as shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Which one.
    pub id: EventId,
    /// What made it.
    pub kind: Kind,
    /// `person`, `car`, `motion`, `camera_lost`, ...
    pub label: String<LABEL_BYTES>,
    /// The name of the camera that saw it.
    pub camera: String<CAMERA_BYTES>,
    /// When it opened.
    pub started: UnixMs,
    /// When it closed; `None` while it is open.
    pub ended: Option<UnixMs>,
    /// The score it opened with, 0.0..=1.0; 0 where nothing was scored.
    pub score: f32,
    /// Where, in the picture that is stored with it.
    pub bbox: BBox,
    /// Kept by its owner: retention never deletes it.
    pub favourite: bool,
    /// Seen by its owner.
    pub reviewed: bool,
}

impl Event {
    /// The box's report on itself or on a camera, which is over at once: `label` says what, and
    /// is cut to nothing where it is too long, as `camera` is.
    pub fn health(id: EventId, label: &str, camera: &str, started: UnixMs, ended: UnixMs) -> Self {
        Self {
            id,
            kind: Kind::Health,
            label: label.try_into().unwrap_or_default(),
            camera: camera.try_into().unwrap_or_default(),
            started,
            ended: Some(ended),
            score: 0.0,
            bbox: BBox::WHOLE,
            favourite: false,
            reviewed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_id_reads_back_what_it_writes_and_nothing_else() {
        assert_eq!(EventId::parse(&EventId(0xbeef).to_string()), Some(EventId(0xbeef)));
        for bad in ["", "beef", "000000000000BEEF", "+00000000000beef", "000000000000beef0"] {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
    }
}
