//! JSON out: fixed shapes written by serde-json-core into the caller's buffer.

use crate::event::{Event, EventId};
use crate::time::UnixMs;
use core::fmt;
use serde::{Serialize, Serializer};

/// Room for any event's JSON, bytes.
pub const EVENT_BYTES: usize = 1024;
/// Room for any entry of Ambianic's timeline, bytes.
pub const TIMELINE_BYTES: usize = 2048;

/// Writes `value` as JSON; its length in `buf`, or `None` where it does not fit.
pub fn write<T: Serialize + ?Sized>(value: &T, buf: &mut [u8]) -> Option<usize> {
    serde_json_core::to_slice(value, buf).ok()
}

/// Writes one event as REST and the link's pushes show it; its length in `buf`, or `None`
/// where it does not fit ([`EVENT_BYTES`] always do).
pub fn event_json(event: &Event, buf: &mut [u8]) -> Option<usize> {
    let body = EventBody {
        id: Shown(event.id),
        kind: event.kind.word(),
        label: &event.label,
        camera: &event.camera,
        started_ms: event.started.0,
        ended_ms: event.ended.map(|at| at.0),
        score: event.score,
        r#box: event.bbox.xywh(),
        favourite: event.favourite,
        reviewed: event.reviewed,
        clock_set: event.started.is_plausible(),
    };
    write(&body, buf)
}

#[derive(Serialize)]
struct EventBody<'a> {
    id: Shown<EventId>,
    kind: &'static str,
    label: &'a str,
    camera: &'a str,
    started_ms: u64,
    ended_ms: Option<u64>,
    score: f32,
    r#box: [f32; 4],
    favourite: bool,
    reviewed: bool,
    /// Whether the times are more than an order: the clock had been set.
    clock_set: bool,
}

/// The one form all errors have.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ErrorBody<'a> {
    /// What went wrong.
    pub error: ErrorDetail<'a>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ErrorDetail<'a> {
    /// For programs.
    pub code: &'a str,
    /// For people.
    pub message: &'a str,
    /// The field or key that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'a str>,
}

/// `GET /api/v1/status`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Status<'a> {
    /// The box's name.
    pub name: &'a str,
    /// The program's version.
    pub version: &'a str,
    /// The box's own address at the signaling server.
    pub peer_id: &'a str,
    /// The detector; `null`: motion only.
    pub model: Option<&'a str>,
    /// Since the start.
    pub uptime_ms: u64,
    /// Whether the wall clock has been set.
    pub clock_set: bool,
    /// Each camera's state.
    pub cameras: &'a [Camera<'a>],
    /// The card.
    pub store: Card,
    /// Live sessions.
    pub sessions: usize,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Whether a phone may pair now.
    pub pairing_open: bool,
    /// This start only answers, without cameras: several before it crashed in a row.
    pub safe: bool,
    /// What the box consists of.
    pub parts: &'a [Part<'a>],
}

/// One part of the box.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Part<'a> {
    /// `capture`, `eye`, `store`, `net` or `http`.
    pub name: &'a str,
    /// How long ago it last made progress.
    pub age_ms: u64,
}

/// The store's figures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Card {
    /// Events listed.
    pub events: u64,
    /// Bytes of log.
    pub bytes: u64,
    /// When the oldest event opened.
    pub oldest_ms: Option<u64>,
    /// When the whole log was last read for damage.
    pub scrubbed_ms: Option<u64>,
    /// Whether the index is being made anew: not everything is listed yet.
    pub rebuilding: bool,
    /// Damaged stretches found since the start.
    pub quarantined: u64,
    /// How often the card has taken what was to last since the start.
    pub commits: u64,
}

/// One camera.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Camera<'a> {
    /// Its name.
    pub name: &'a str,
    /// `v4l2`, `replay` or `demo`.
    pub kind: &'a str,
    /// `starting`, `running` or `lost`.
    pub state: &'a str,
    /// What people should know.
    pub message: &'a str,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: f32,
    /// When the last one came.
    pub last_frame_ms: Option<u64>,
    /// How often the detector has looked since the camera's eye began; of a first picture always.
    pub inferences: u64,
}

/// One paired phone.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Phone<'a> {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: &'a str,
    /// When it paired.
    pub paired_ms: u64,
    /// When it last asked for something, to the minute.
    pub last_used_ms: Option<u64>,
    /// Whether it is the one that asks.
    pub this: bool,
}

/// `POST /api/v1/pair`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Paired<'a> {
    /// 32 hexadecimal digits, shown once.
    pub token: &'a str,
    /// The phone's id.
    pub id: u64,
}

/// `POST /api/v1/pairing`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pairing {
    /// Phones may pair until then.
    pub until_ms: u64,
}

/// `GET /api/status`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AmbianicStatus<'a> {
    /// Always `OK`.
    pub status: &'a str,
    /// The program's version.
    pub version: &'a str,
    /// The box's name.
    pub display_name: &'a str,
    /// As last put.
    pub notifications_enabled: bool,
}

/// Writes one entry of Ambianic's timeline; [`TIMELINE_BYTES`] always hold it.
pub fn timeline_json(event: &Event, buf: &mut [u8]) -> Option<usize> {
    let source_code = SourceCode { pathname: "", func_name: "", lineno: 0 };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit f64")]
    let created = event.started.0 as f64 / 1000.0;
    let entry = Entry {
        id: Shown(LongId(event.id)),
        message: "Detection Event",
        created,
        priority: "INFO",
        args: args(event),
        source_code,
        pipeline_context: PipelineContext { unique_pipeline_name: &event.camera },
    };
    write(&entry, buf)
}

/// Writes the `args` of one entry alone, as Ambianic's `json_file_name` gives them.
pub fn args_json(event: &Event, buf: &mut [u8]) -> Option<usize> {
    write(&args(event), buf)
}

fn args(event: &Event) -> Args<'_> {
    let crate::geometry::BBox { x0, y0, x1, y1 } = event.bbox;
    let found = Found {
        label: &event.label,
        confidence: event.score,
        r#box: Corners { xmin: x0, ymin: y0, xmax: x1, ymax: y1 },
    };
    let display = match event.kind {
        crate::event::Kind::Object => "Object Detection",
        crate::event::Kind::Motion => "Motion Detection",
        crate::event::Kind::Health => "Health",
    };
    Args {
        id: Shown(LongId(event.id)),
        datetime: Shown(Iso(event.started)),
        image_file_name: super::path::File::Picture.name(),
        thumbnail_file_name: super::path::File::Thumbnail.name(),
        json_file_name: super::path::File::Args.name(),
        rel_dir: Shown(event.id),
        inference_result: [found],
        inference_meta: Meta { display },
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    id: Shown<LongId>,
    message: &'static str,
    created: f64,
    priority: &'static str,
    args: Args<'a>,
    source_code: SourceCode,
    pipeline_context: PipelineContext<'a>,
}

#[derive(Serialize)]
struct Args<'a> {
    id: Shown<LongId>,
    datetime: Shown<Iso>,
    image_file_name: &'static str,
    thumbnail_file_name: &'static str,
    json_file_name: &'static str,
    rel_dir: Shown<EventId>,
    inference_result: [Found<'a>; 1],
    inference_meta: Meta,
}

#[derive(Serialize)]
struct Found<'a> {
    label: &'a str,
    confidence: f32,
    r#box: Corners,
}

#[derive(Serialize)]
struct Corners {
    xmin: f32,
    ymin: f32,
    xmax: f32,
    ymax: f32,
}

#[derive(Serialize)]
struct Meta {
    display: &'static str,
}

#[derive(Serialize)]
struct SourceCode {
    pathname: &'static str,
    #[serde(rename = "funcName")]
    func_name: &'static str,
    lineno: u32,
}

#[derive(Serialize)]
struct PipelineContext<'a> {
    unique_pipeline_name: &'a str,
}

/// A value as the text it displays as.
struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// An event's id in the 32 digits that Ambianic's ids have.
struct LongId(EventId);

impl fmt::Display for LongId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0.0)
    }
}

/// A time in UTC, without a zone, which is how Ambianic's UI reads it.
struct Iso(UnixMs);

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.0;
        let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
        let (year, month, day) = civil(days);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, milli) = (rest / 1000 % 60, rest % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}000")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
/// The year is counted from 1 March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use crate::geometry::BBox;
    use std::string::ToString;

    fn event() -> Event {
        Event {
            id: EventId(0xbeef),
            kind: Kind::Object,
            label: "person".try_into().unwrap(),
            camera: "Front \"door\"".try_into().unwrap(),
            started: UnixMs(1_710_000_000_123),
            ended: None,
            score: 0.75,
            bbox: BBox { x0: 0.25, y0: 0.5, x1: 0.5, y1: 1.0 },
            favourite: true,
            reviewed: false,
        }
    }

    #[test]
    fn an_event_is_written_as_the_contract_says() {
        let mut buf = [0; EVENT_BYTES];
        let length = event_json(&event(), &mut buf).unwrap();
        let expect = r#"{"id":"000000000000beef","kind":"object","label":"person","camera":"Front \"door\"","started_ms":1710000000123,"ended_ms":null,"score":0.75,"box":[0.25,0.5,0.25,0.5],"favourite":true,"reviewed":false,"clock_set":true}"#;
        assert_eq!(std::str::from_utf8(&buf[..length]), Ok(expect));
    }

    #[test]
    fn ambianics_entry_has_what_its_ui_needs() {
        let mut buf = [0; TIMELINE_BYTES];
        let length = timeline_json(&event(), &mut buf).unwrap();
        let text = std::str::from_utf8(&buf[..length]).unwrap();
        for part in [
            r#""id":"0000000000000000000000000000beef""#,
            r#""created":1710000000.123,"#,
            r#""datetime":"2024-03-09T16:00:00.123000""#,
            r#""rel_dir":"000000000000beef""#,
            r#""inference_result":[{"label":"person","confidence":0.75,"box":{"xmin":0.25,"ymin":0.5,"xmax":0.5,"ymax":1.0}}]"#,
            r#""inference_meta":{"display":"Object Detection"}"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn the_longest_names_fit() {
        let label = "\u{1}".repeat(crate::event::LABEL_BYTES);
        let camera = "\u{1}".repeat(crate::event::CAMERA_BYTES);
        let worst = Event {
            id: EventId(u64::MAX),
            label: label.as_str().try_into().unwrap(),
            camera: camera.as_str().try_into().unwrap(),
            started: UnixMs(u64::MAX),
            ended: Some(UnixMs(u64::MAX)),
            score: -f32::MIN_POSITIVE,
            bbox: BBox { x0: -f32::MAX, y0: f32::MAX, x1: -1.234_567_8e-30, y1: -f32::MAX },
            ..event()
        };
        assert!(event_json(&worst, &mut [0; EVENT_BYTES]).is_some());
        assert!(timeline_json(&worst, &mut [0; TIMELINE_BYTES]).is_some());
    }

    #[test]
    fn days_become_dates() {
        for (days, date) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (789, "1972-02-29"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (47_541, "2100-03-01"),
            (47_540, "2100-02-28"),
        ] {
            let text = Iso(UnixMs(days * 86_400_000)).to_string();
            assert!(text.starts_with(date), "{days}: {text}");
        }
    }
}
