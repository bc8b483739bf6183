//! The part after `?`: filters of a list, read from the query string.
//!
//! Keys this version does not know are left alone, so that a newer phone can ask an older box.
#![deny(clippy::indexing_slicing)]

use crate::event::{CAMERA_BYTES, Event, EventId, Kind, LABEL_BYTES};
use crate::time::UnixMs;
use heapless::{String, Vec};

/// Events on a page when nobody says how many.
pub const LIMIT: usize = 50;
/// Most events on a page.
pub const LIMIT_MAX: usize = 200;
/// Most labels in one filter.
pub const LABELS: usize = 16;
/// Events on a page of Ambianic's timeline.
pub const TIMELINE_LIMIT: usize = 5;

/// A value that is none: which key, and what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// The key.
    pub field: &'static str,
    /// What its value should be.
    pub expected: &'static str,
}

/// Which events to list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// Only events that opened before this one.
    pub before: Option<EventId>,
    /// At most so many, `1..=LIMIT_MAX`.
    pub limit: usize,
    /// So many that fit are passed over first.
    pub skip: usize,
    /// Any of these labels; empty: all.
    pub labels: Vec<String<LABEL_BYTES>, LABELS>,
    /// Any of these kinds; empty: all.
    pub kinds: Vec<Kind, 3>,
    /// Only this camera.
    pub camera: Option<String<CAMERA_BYTES>>,
    /// Only favourites, or only others.
    pub favourite: Option<bool>,
    /// Opened then or later.
    pub from: Option<UnixMs>,
    /// Opened then or earlier.
    pub to: Option<UnixMs>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            before: None,
            limit: LIMIT,
            skip: 0,
            labels: Vec::new(),
            kinds: Vec::new(),
            camera: None,
            favourite: None,
            from: None,
            to: None,
        }
    }
}

impl Events {
    /// Reads a query string, without its `?`.
    pub fn parse(query: &str) -> Result<Self, Error> {
        let mut events = Self::default();
        for (key, value) in pairs(query) {
            match key {
                "before" => {
                    let expected = "16 hexadecimal digits, as in an event's id";
                    let id = EventId::parse(value).ok_or(Error { field: "before", expected })?;
                    events.before = Some(id);
                }
                "limit" => {
                    let field = "limit";
                    let limit = number(field, value)?;
                    let expected = "a number from 1 to 200";
                    let limit = usize::try_from(limit).map_err(|_| Error { field, expected })?;
                    if limit == 0 {
                        return Err(Error { field, expected });
                    }
                    events.limit = limit.min(LIMIT_MAX);
                }
                "label" => events.labels = labels(value)?,
                "kind" => events.kinds = kinds(value)?,
                "camera" => {
                    let expected = "a camera's name of at most 32 bytes";
                    let name = unescape(value, true).ok_or(Error { field: "camera", expected })?;
                    events.camera = Some(name);
                }
                "favourite" => {
                    let expected = "true or false";
                    let field = "favourite";
                    events.favourite = Some(truth(value).ok_or(Error { field, expected })?);
                }
                "from_ms" => events.from = Some(UnixMs(number("from_ms", value)?)),
                "to_ms" => events.to = Some(UnixMs(number("to_ms", value)?)),
                _ => {}
            }
        }
        Ok(events)
    }

    /// The page of Ambianic's timeline that `query` asks for: five events, and pages may be
    /// decimals, for its UI computes them as length / 5 + 1 (protocols.md s4).
    pub fn parse_timeline(query: &str) -> Result<Self, Error> {
        let field = "page";
        let wrong = Error { field, expected: "a number from 1 on" };
        let page = pairs(query).find(|(key, _)| *key == field).map_or("1", |(_, value)| value);
        let page: f64 = page.parse().map_err(|_| wrong)?;
        if !(1.0..=1e9).contains(&page) {
            return Err(wrong);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 5e9 by the check above"
        )]
        let skip = libm::round((page - 1.0) * 5.0) as usize;
        let kinds = Vec::from_iter([Kind::Object, Kind::Motion]);
        Ok(Self { limit: TIMELINE_LIMIT, skip, kinds, ..Self::default() })
    }

    /// Whether this event is asked for; `before`, `limit` and `skip` are the list's affair.
    pub fn fits(&self, event: &Event) -> bool {
        (self.labels.is_empty() || self.labels.contains(&event.label))
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.camera.as_ref().is_none_or(|camera| *camera == event.camera)
            && self.favourite.is_none_or(|favourite| favourite == event.favourite)
            && self.from.is_none_or(|from| event.started >= from)
            && self.to.is_none_or(|to| event.started <= to)
    }
}

/// The value of `key` as a number, for routes with a query of their own.
pub fn find_number(query: &str, key: &str) -> Option<u64> {
    pairs(query).find(|(name, _)| *name == key)?.1.parse().ok()
}

/// `true` or `false`, in any case, or 1 or 0.
pub fn truth(word: &str) -> Option<bool> {
    let is = |text: &str| word.eq_ignore_ascii_case(text);
    if is("true") || is("1") {
        Some(true)
    } else if is("false") || is("0") {
        Some(false)
    } else {
        None
    }
}

/// Undoes percent-encoding once; `+` is a space in a query. `None` for a bad escape, for bytes
/// that are no UTF-8, and for more than `N` bytes.
pub fn unescape<const N: usize>(raw: &str, plus_is_space: bool) -> Option<String<N>> {
    let mut bytes: Vec<u8, N> = Vec::new();
    let mut rest = raw.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let byte = match first {
            b'%' => {
                let (&[high, low], after) = rest.split_first_chunk()?;
                rest = after;
                hex(high)? << 4 | hex(low)?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        };
        bytes.push(byte).ok()?;
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn number(field: &'static str, value: &str) -> Result<u64, Error> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let expected = "a whole number, not negative";
    value.parse().ok().filter(|_| digits).ok_or(Error { field, expected })
}

/// A list in a value: its commas may be encoded too.
fn list(value: &str) -> Option<String<512>> {
    unescape(value, true)
}

fn labels(value: &str) -> Result<Vec<String<LABEL_BYTES>, LABELS>, Error> {
    let wrong = Error { field: "label", expected: "at most 16 labels with commas between" };
    let text = list(value).ok_or(wrong)?;
    let mut labels = Vec::new();
    for label in text.split(',').filter(|label| !label.is_empty()) {
        let label = String::try_from(label).map_err(|_| wrong)?;
        labels.push(label).map_err(|_| wrong)?;
    }
    Ok(labels)
}

fn kinds(value: &str) -> Result<Vec<Kind, 3>, Error> {
    let wrong = Error { field: "kind", expected: "object, motion or health, with commas between" };
    let text = list(value).ok_or(wrong)?;
    let mut kinds = Vec::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let kind = Kind::from_word(word).ok_or(wrong)?;
        if !kinds.contains(&kind) {
            kinds.push(kind).map_err(|_| wrong)?;
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_whole() {
        let query = "before=00000000000000ff&limit=7&label=person,traffic%20light%2Ccar&kind=object\
                     &camera=K%C3%BCche+1&favourite=true&from_ms=5&to_ms=9&_=whatever";
        let events = Events::parse(query).unwrap();
        assert_eq!(events.before, Some(EventId(0xff)));
        assert_eq!(events.limit, 7);
        let labels: std::vec::Vec<_> = events.labels.iter().map(String::as_str).collect();
        assert_eq!(labels, ["person", "traffic light", "car"]);
        assert_eq!(events.kinds.as_slice(), [Kind::Object]);
        assert_eq!(events.camera.as_deref(), Some("Küche 1"));
        assert_eq!((events.from, events.to), (Some(UnixMs(5)), Some(UnixMs(9))));
        assert_eq!(Events::parse(""), Ok(Events::default()));
        assert_eq!(Events::parse("limit=100000").unwrap().limit, LIMIT_MAX);
    }

    #[test]
    fn a_wrong_value_names_its_key() {
        for (query, field) in [
            ("before=12", "before"),
            ("limit=0", "limit"),
            ("limit=-1", "limit"),
            ("limit=", "limit"),
            ("limit=+5", "limit"),
            ("kind=animal", "kind"),
            ("favourite=perhaps", "favourite"),
            ("from_ms=99999999999999999999", "from_ms"),
            ("to_ms=x", "to_ms"),
            ("camera=%", "camera"),
            ("camera=012345678901234567890123456789012", "camera"),
            ("label=%ff", "label"),
            ("label=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "label"),
        ] {
            assert_eq!(Events::parse(query).unwrap_err().field, field, "{query}");
        }
    }

    #[test]
    fn pages_of_the_timeline_may_be_decimals() {
        for (query, skip) in
            [("", 0), ("page=1", 0), ("page=2", 5), ("page=2.2", 6), ("page=3.8", 14)]
        {
            assert_eq!(Events::parse_timeline(query).unwrap().skip, skip, "{query}");
        }
        for bad in ["page=0", "page=-1", "page=NaN", "page=inf", "page=x", "page="] {
            assert_eq!(Events::parse_timeline(bad).unwrap_err().field, "page", "{bad}");
        }
    }
}
