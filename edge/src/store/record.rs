//! One record of a log: a header, then bytes that mean what its kind says.
//!
//! ```text
//!  0        4      5          13       17
//!  +--------+------+----------+--------+------- - -
//!  | length | kind | id       | CRC32C | bytes
//!  +--------+------+----------+--------+------- - -
//! ```
//! All integers are big-endian. `length` counts the bytes after the header; the CRC is over the
//! first 13 bytes and over what follows it.
#![deny(clippy::indexing_slicing)]

use edge_core::event::{Event, EventId, Kind};
use edge_core::geometry::BBox;
use edge_core::time::UnixMs;

/// Bytes before a record's own.
pub(super) const HEADER_BYTES: usize = 17;
/// Bytes of the header that the CRC covers.
const COVERED_BYTES: usize = 13;
/// Most bytes after the header: a whole frame's JPEG fits, a segment always does.
pub(super) const RECORD_BYTES: usize = 3 * 1024 * 1024;

/// What a record is. Numbers below 16 lie in the segment log, the others in the owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// The whole state of an event, without what the owner said.
    Event = 1,
    /// Its small JPEG.
    Thumbnail = 2,
    /// Its whole JPEG.
    Picture = 3,
    /// The event is gone; no bytes.
    Gone = 4,
    /// Still alive: the wall clock in milliseconds, 8 bytes; the id is 0.
    Beat = 5,
    /// Favourite (bit 0) and reviewed (bit 1) of an event, 1 byte.
    Marks = 16,
    /// The box's name, UTF-8; the id is 0.
    Name = 17,
    /// A paired phone by its id.
    Client = 18,
    /// A phone that is paired no longer; no bytes.
    Revoked = 19,
    /// Whether Ambianic's notifications are wanted, 1 byte; the id is 0.
    Notifications = 20,
    /// When the whole log was last read, and the damaged stretches known then, 8 bytes each.
    Scrub = 21,
    /// The day that retention goes by, as milliseconds, 8 bytes.
    Day = 22,
}

impl Tag {
    fn from_byte(byte: u8) -> Option<Self> {
        use Tag::{
            Beat, Client, Day, Event, Gone, Marks, Name, Notifications, Picture, Revoked, Scrub,
            Thumbnail,
        };
        let log = [Event, Thumbnail, Picture, Gone, Beat];
        let owner = [Marks, Name, Client, Revoked, Notifications, Scrub, Day];
        let mut all = log.into_iter().chain(owner);
        all.find(|tag| *tag as u8 == byte)
    }
}

/// A record, borrowed from the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) tag: Tag,
    pub(super) id: u64,
    pub(super) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Its length with the header.
    pub(super) fn len(&self) -> usize {
        HEADER_BYTES + self.bytes.len()
    }

    /// Appends it to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.bytes.len()).expect("RECORD_BYTES was checked");
        let start = out.len();
        out.extend_from_slice(&length.to_be_bytes());
        out.push(self.tag as u8);
        out.extend_from_slice(&self.id.to_be_bytes());
        let crc = crc32c::crc32c(out.get(start..).unwrap_or_default());
        let crc = crc32c::crc32c_append(crc, self.bytes);
        out.extend_from_slice(&crc.to_be_bytes());
        out.extend_from_slice(self.bytes);
    }

    /// Reads the record that `bytes` begin with; `None` where they are none, or damaged.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&[l0, l1, l2, l3, tag, ref id @ .., c0, c1, c2, c3], rest) =
            bytes.split_first_chunk::<HEADER_BYTES>()?;
        let tag = Tag::from_byte(tag)?;
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).ok()?;
        if length > RECORD_BYTES {
            return None;
        }
        let content = rest.get(..length)?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(bytes.get(..COVERED_BYTES)?), content);
        let id = u64::from_be_bytes(*id);
        (crc == u32::from_be_bytes([c0, c1, c2, c3])).then_some(Self { tag, id, bytes: content })
    }
}

/// What lies where in a run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole record at this offset.
    Record(usize, Record<'a>),
    /// Bytes that are none, up to a later whole record.
    Damage(usize),
    /// From here on nothing is whole: a torn tail, where the log ends.
    Torn(usize),
}

/// Walks over the records in `bytes` from `at` on. A damaged stretch costs the records in it
/// and no others.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    fn parse_at(&self, at: usize) -> Option<Record<'a>> {
        Record::parse(self.bytes.get(at..)?)
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let at = self.at;
        if at >= self.bytes.len() {
            return None;
        }
        if let Some(record) = self.parse_at(at) {
            self.at += record.len();
            return Some(Found::Record(at, record));
        }
        let next = (at + 1..self.bytes.len()).find(|&later| self.parse_at(later).is_some());
        self.at = next.unwrap_or(self.bytes.len());
        Some(next.map_or(Found::Torn(at), |_| Found::Damage(at)))
    }
}

/// The bytes of an [`Tag::Event`] record: flags, kind, start, end, score, box, label, camera.
pub(super) fn write_event(event: &Event, out: &mut Vec<u8>) {
    let kind: u8 = match event.kind {
        Kind::Object => 0,
        Kind::Motion => 1,
        Kind::Health => 2,
    };
    out.push(u8::from(event.ended.is_some()));
    out.push(kind);
    out.extend_from_slice(&event.started.0.to_be_bytes());
    out.extend_from_slice(&event.ended.unwrap_or_default().0.to_be_bytes());
    let BBox { x0, y0, x1, y1 } = event.bbox;
    for number in [event.score, x0, y0, x1, y1] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    for text in [event.label.as_bytes(), event.camera.as_bytes()] {
        out.push(u8::try_from(text.len()).expect("labels and names are short"));
        out.extend_from_slice(text);
    }
}

/// Reads what [`write_event`] wrote.
pub(super) fn parse_event(id: u64, bytes: &[u8]) -> Option<Event> {
    let mut take = Take(bytes);
    let ended = take.bytes::<1>()? == [1];
    let kind = match take.bytes::<1>()? {
        [0] => Kind::Object,
        [1] => Kind::Motion,
        [2] => Kind::Health,
        _ => return None,
    };
    let started = UnixMs(take.number()?);
    let end = UnixMs(take.number()?);
    let mut float = || take.bytes().map(f32::from_be_bytes);
    let score = float()?;
    let bbox = BBox { x0: float()?, y0: float()?, x1: float()?, y1: float()? };
    Some(Event {
        id: EventId(id),
        kind,
        label: take.text()?.try_into().ok()?,
        camera: take.text()?.try_into().ok()?,
        started,
        ended: ended.then_some(end),
        score,
        bbox,
        favourite: false,
        reviewed: false,
    })
}

/// The time a record speaks of.
pub(super) fn time_of(record: &Record<'_>) -> Option<UnixMs> {
    match record.tag {
        Tag::Event => {
            let event = parse_event(record.id, record.bytes)?;
            Some(event.ended.unwrap_or(event.started))
        }
        Tag::Beat => Take(record.bytes).number().map(UnixMs),
        _ => None,
    }
}

/// Takes fields from the front of bytes.
#[derive(Debug)]
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    /// The next `N` bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    /// The next eight bytes as a number.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }

    /// A text of at most 255 bytes after its length.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let [length] = self.bytes()?;
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    fn record(bytes: &[u8]) -> Record<'_> {
        Record { tag: Tag::Thumbnail, id: 7, bytes }
    }

    fn event() -> Event {
        Event {
            id: EventId(9),
            kind: Kind::Object,
            label: "person".try_into().unwrap(),
            camera: "Küche".try_into().unwrap(),
            started: UnixMs(1),
            ended: None,
            score: 0.75,
            bbox: BBox::WHOLE,
            favourite: false,
            reviewed: false,
        }
    }

    #[test]
    fn an_event_reads_back_and_a_cut_one_does_not() {
        for ended in [None, Some(UnixMs(0)), Some(UnixMs(77))] {
            let event = Event { ended, ..event() };
            let mut bytes = Vec::new();
            write_event(&event, &mut bytes);
            assert_eq!(parse_event(9, &bytes), Some(event));
            for end in 0..bytes.len() {
                assert_eq!(parse_event(9, &bytes[..end]), None, "cut at {end}");
            }
        }
    }

    #[test]
    fn a_record_reads_back_and_any_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        record(b"picture").write(&mut bytes);
        assert_eq!(Record::parse(&bytes), Some(record(b"picture")));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::parse(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for end in 0..bytes.len() {
            assert_eq!(Record::parse(&bytes[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn damage_costs_its_record_and_no_other() {
        let mut bytes = Vec::new();
        for text in ["one", "two", "three"] {
            record(text.as_bytes()).write(&mut bytes);
        }
        let second = HEADER_BYTES + 3;
        bytes[second + HEADER_BYTES] ^= 1;
        let third = second + HEADER_BYTES + 3;
        let found: Vec<_> = Walk::new(&bytes, 0).collect();
        let expect = [
            Found::Record(0, record(b"one")),
            Found::Damage(second),
            Found::Record(third, record(b"three")),
        ];
        assert_eq!(found, expect);
        bytes.truncate(bytes.len() - 1);
        assert_eq!(Walk::new(&bytes, 0).last(), Some(Found::Torn(second)));
    }
}
