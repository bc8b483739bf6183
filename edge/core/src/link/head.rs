//! The JSON that opens a request or a response on label `nightjar`.
#![deny(clippy::indexing_slicing)]

use super::wire::HEAD_BYTES;
use crate::rest::json::{self, text, text_or_none};
use core::fmt::{self, Write};
use heapless::String;
use serde::Deserialize;

/// Longest method, bytes.
pub const METHOD_BYTES: usize = 8;
/// Longest path with its query, bytes.
pub const PATH_BYTES: usize = 1024;
/// Longest token, bytes.
pub const TOKEN_BYTES: usize = 64;
/// Longest entity tag, quotes included, bytes.
pub const ETAG_BYTES: usize = 96;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RequestHead {
    /// `GET`, `PUT`, `POST`, `DELETE`, as sent.
    #[serde(deserialize_with = "text")]
    pub method: String<METHOD_BYTES>,
    /// Path and query, as sent.
    #[serde(deserialize_with = "text")]
    pub path: String<PATH_BYTES>,
    /// The token of a paired phone.
    #[serde(default, deserialize_with = "text_or_none")]
    pub token: Option<String<TOKEN_BYTES>>,
    /// The entity tag of what the phone already holds.
    #[serde(default, deserialize_with = "text_or_none")]
    pub if_none_match: Option<String<ETAG_BYTES>>,
    /// Bytes of the request's own body, where it is one that is passed on as it comes.
    #[serde(default)]
    pub length: Option<u32>,
    /// How many bytes of the body the phone already holds; the answer goes on there.
    #[serde(default)]
    pub from: Option<u32>,
    /// The entity tag of the body that those are of; another body comes whole.
    #[serde(default, deserialize_with = "text_or_none")]
    pub if_range: Option<String<ETAG_BYTES>>,
}

impl RequestHead {
    /// Reads a request's head; `None` when it is no such JSON or a field is too long.
    pub fn parse(json: &[u8]) -> Option<Self> {
        read(json)
    }

    /// The rest that is asked for; only what is read can go on where it broke off.
    pub(super) fn range(&self) -> Option<Range> {
        let from = self.from.filter(|_| self.method == "GET")?;
        Some(Range { from, if_range: self.if_range.clone() })
    }
}

/// The wish for the rest of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    from: u32,
    if_range: Option<String<ETAG_BYTES>>,
}

/// What of a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// All of it.
    Whole,
    /// What follows so many bytes, with status 206.
    Rest(u32),
    /// Nothing: it ends before, status 416.
    Beyond,
}

impl Range {
    /// What of the answer with that head is sent (RFC 9110 s13.1.5, s14.2).
    pub(super) fn cut(&self, head: &ResponseHead) -> Cut {
        let other = self.if_range.is_some() && self.if_range != head.etag;
        if head.status != 200 || other {
            Cut::Whole
        } else if self.from > head.length {
            Cut::Beyond
        } else {
            Cut::Rest(self.from)
        }
    }
}

/// Reads bounded JSON; `None` for anything else.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    if json.len() > HEAD_BYTES { None } else { json::parse(json).ok() }
}

/// What opens a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The body's media type.
    pub content_type: &'static str,
    /// Bytes of the body.
    pub length: u32,
    /// The entity tag, quotes included.
    pub etag: Option<String<ETAG_BYTES>>,
}

impl ResponseHead {
    /// Writes the head of label `nightjar` and says how many bytes it took; `None` when
    /// `buf` is too short. With `from`, what is sent are the bytes that follow so many.
    pub fn emit(&self, from: Option<u32>, buf: &mut [u8]) -> Option<usize> {
        let mut out = Pen { buf, used: 0 };
        self.write(from, &mut out).ok()?;
        Some(out.used)
    }

    fn write(&self, from: Option<u32>, out: &mut Pen<'_>) -> fmt::Result {
        let Self { status, content_type, length, .. } = self;
        write!(out, r#"{{"status":{status},"type":"{content_type}","length":{length}"#)?;
        if let Some(from) = from {
            write!(out, r#","from":{from}"#)?;
        }
        if let Some(etag) = &self.etag {
            out.write_str(r#","etag":"#)?;
            write_json_string(out, etag)?;
        }
        out.write_str("}")
    }
}

/// Writes `text` as a JSON string, quotes included.
fn write_json_string(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(out, "\\{letter}")?,
            control if control < ' ' => write!(out, "\\u{:04x}", u32::from(control))?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}

/// Writes text into a slice and fails where it ends.
pub(super) struct Pen<'a> {
    pub(super) buf: &'a mut [u8],
    pub(super) used: usize,
}

impl Write for Pen<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.used + text.len();
        self.buf.get_mut(self.used..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests index what they made")]
mod tests {
    use super::*;
    use std::borrow::ToOwned;
    use std::string::String as Text;

    #[test]
    fn requests_read_with_and_without_their_options() {
        let head = RequestHead::parse(
            br#" {"method":"GET","path":"/api/v1/events?limit=5","x":{"y":[1,"\""]},
                 "if_none_match":"\"a\\u00e9\"","token":null} "#,
        )
        .expect("a head");
        assert_eq!((head.method.as_str(), head.path.as_str()), ("GET", "/api/v1/events?limit=5"));
        assert_eq!(head.token, None);
        assert_eq!(head.if_none_match.as_deref(), Some("\"a\\u00e9\""));
        let head = RequestHead::parse(br#"{"path":"/","method":"DELETE","token":"00ff"}"#);
        assert_eq!(head.expect("a head").token.as_deref(), Some("00ff"));
        let head = RequestHead::parse(
            br#"{"method":"GET","path":"/","from":4294967295,"if_range":"\"e\""}"#,
        );
        let Range { from, if_range } = head.expect("a head").range().expect("a range");
        assert_eq!((from, if_range.as_deref()), (u32::MAX, Some("\"e\"")));
        for whole in [
            &br#"{"method":"GET","path":"/","from":null,"if_range":"\"e\""}"#[..],
            br#"{"method":"PUT","path":"/","from":5}"#,
        ] {
            assert_eq!(RequestHead::parse(whole).expect("a head").range(), None);
        }
        // What a strict reader of JSON may send: surrogate pairs, brackets that nest nothing.
        let path = r"\/api\ud83e\udd89?q=".to_owned() + &"[{".repeat(20);
        let json = std::format!(r#"{{"method":"GET","path":"{path}"}}"#);
        let head = RequestHead::parse(json.as_bytes()).expect("a head");
        assert_eq!(head.path.strip_suffix(&"[{".repeat(20)), Some("/api\u{1f989}?q="));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let deep = [br#"{"method":"GET","path":"/","x":"#.as_slice(), &[b'['; 4000]].concat();
        let path = std::format!(r#"{{"method":"GET","path":"/{}"}}"#, "p".repeat(PATH_BYTES));
        for bad in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            br#"{"method":"GET"}"#,
            br#"{"path":"/"}"#,
            br#"{"method":"PROPPATCHX","path":"/"}"#,
            br#"{"method":5,"path":"/"}"#,
            br#"{"method":"GET","path":"/"} x"#,
            br#"{"method":"GET","path":"/","from":-1}"#,
            br#"{"method":"GET","path":"/","from":1.5}"#,
            br#"{"method":"GET","path":"/","from":4294967296}"#,
            br#"{"method":"GET","path":"/","from":"7"}"#,
            br#"{"method":"GET","path":"\ud800"}"#,
            b"{\"method\":\"GET\",\"path\":\"\xff\"}",
            &deep,
            path.as_bytes(),
        ] {
            assert_eq!(RequestHead::parse(bad), None, "{}", Text::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn cut_and_garbled_heads_never_panic() {
        let whole = br#"{"method":"GET","path":"/a\"\u0041","token":"00","if_none_match":"\"e\"","from":10}"#;
        for end in 0..whole.len() {
            assert_eq!(RequestHead::parse(&whole[..end]), None, "cut at {end}");
        }
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut garbled = *whole;
                garbled[at] = byte;
                let _ = RequestHead::parse(&garbled);
            }
        }
    }

    #[test]
    fn a_rest_is_cut_of_the_same_body_only() {
        let tag = |text: &str| Some(String::try_from(text).expect("short"));
        let head = |status, etag| ResponseHead { status, content_type: "", length: 10, etag };
        let range = |from, if_range| Range { from, if_range };
        for (range, head, cut) in [
            (range(4, None), head(200, tag("\"a\"")), Cut::Rest(4)),
            (range(4, None), head(200, None), Cut::Rest(4)),
            (range(0, tag("\"a\"")), head(200, tag("\"a\"")), Cut::Rest(0)),
            (range(10, tag("\"a\"")), head(200, tag("\"a\"")), Cut::Rest(10)),
            (range(11, tag("\"a\"")), head(200, tag("\"a\"")), Cut::Beyond),
            (range(11, tag("\"a\"")), head(200, tag("\"b\"")), Cut::Whole),
            (range(4, tag("\"a\"")), head(200, tag("\"b\"")), Cut::Whole),
            (range(4, tag("\"a\"")), head(200, None), Cut::Whole),
            (range(4, tag("\"a\"")), head(304, tag("\"a\"")), Cut::Whole),
            (range(4, None), head(404, None), Cut::Whole),
        ] {
            assert_eq!(range.cut(&head), cut, "{range:?} {head:?}");
        }
    }

    #[test]
    fn responses_write_their_head() {
        let mut buf = [0; HEAD_BYTES];
        let mut head = ResponseHead {
            status: 200,
            content_type: "application/json",
            length: 1234,
            etag: None,
        };
        let written = head.emit(None, &mut buf).expect("room");
        let text = core::str::from_utf8(&buf[..written]).expect("text");
        assert_eq!(text, r#"{"status":200,"type":"application/json","length":1234}"#);
        head.etag = Some(String::try_from("\"a\\\n\"").expect("short"));
        let written = head.emit(None, &mut buf).expect("room");
        let text = core::str::from_utf8(&buf[..written]).expect("text");
        assert!(text.ends_with(r#","etag":"\"a\\\u000a\""}"#), "{text}");
        assert_eq!(head.emit(None, &mut buf[..written - 1]), None);
        let written = head.emit(Some(0), &mut buf).expect("room");
        let text = core::str::from_utf8(&buf[..written]).expect("text");
        assert!(text.contains(r#""length":1234,"from":0,"etag":"#), "{text}");
    }
}
