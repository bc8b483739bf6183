//! JSON in: refused when it nests too deep, strings unescaped with their surrogate pairs.
//!
//! serde-json-core recurses on fields it skips (16,000 opening brackets end a 512 KiB stack),
//! leaves escapes in borrowed strings, and knows no surrogate pairs; hence these guards.
#![deny(clippy::indexing_slicing)]

use heapless::String;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json_core::str::EscapedStr;

/// Deepest nesting that is parsed.
pub const DEPTH: usize = 16;
/// Longest name of a device or a phone, bytes.
pub const NAME_BYTES: usize = 64;

/// A name people gave.
pub type Name = String<NAME_BYTES>;

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Not JSON, or not an object.
    Malformed,
    /// Nested deeper than [`DEPTH`].
    TooDeep,
    /// A field that is missing, or whose value is of the wrong kind.
    Field(&'static str),
}

/// What `PUT /api/v1/events/{id}` changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Flags {
    /// Keep it.
    #[serde(default)]
    pub favourite: Option<bool>,
    /// Seen it.
    #[serde(default)]
    pub reviewed: Option<bool>,
}

impl Flags {
    /// Reads `{"favourite":true,"reviewed":false}`, either or both.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Favourite {
            #[serde(default, rename = "favourite")]
            _favourite: Option<bool>,
        }
        match parse(body) {
            Err(Error::Malformed) if is_object(body) && parse::<Favourite>(body).is_err() => {
                Err(Error::Field("favourite"))
            }
            Err(Error::Malformed) if is_object(body) => Err(Error::Field("reviewed")),
            other => other,
        }
    }
}

/// Reads the name in `{"name":"Front door"}`: 1 to 64 bytes, no control characters, spaces
/// around it cut away.
pub fn name(body: &[u8]) -> Result<Name, Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        name: Option<EscapedStr<'a>>,
    }
    let wrong = Error::Field("name");
    let parsed: Result<Body<'_>, Error> = parse(body);
    let body = match parsed {
        Err(Error::Malformed) if is_object(body) => return Err(wrong),
        other => other?,
    };
    let raw = unescape::<{ 4 * NAME_BYTES }>(body.name.ok_or(wrong)?.0).ok_or(wrong)?;
    check_name(&raw).ok_or(wrong)
}

/// Whether who asks to pair may be the box's first, in `{"name":"Computer","first":false}`: yes
/// where nothing is said.
pub fn may_be_first(body: &[u8]) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        first: Option<bool>,
    }
    let parsed: Result<Body, Error> = parse(body);
    match parsed {
        Err(Error::Malformed) if is_object(body) => Err(Error::Field("first")),
        other => Ok(other?.first.unwrap_or(true)),
    }
}

/// The name in `text`, where it is one.
pub fn check_name(text: &str) -> Option<Name> {
    let name = text.trim();
    let fine = !name.is_empty() && !name.chars().any(char::is_control);
    if fine { Name::try_from(name).ok() } else { None }
}

/// Refuses what nests deeper than [`DEPTH`]; looks at nothing else.
pub fn guard(body: &[u8]) -> Result<(), Error> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for &byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > DEPTH {
                    return Err(Error::TooDeep);
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Undoes JSON's escapes; `None` for a bad one, half a surrogate pair, or more than `N` bytes.
pub fn unescape<const N: usize>(raw: &str) -> Option<String<N>> {
    let mut out = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        let plain = if c == '\\' { escape(&mut chars)? } else { c };
        out.push(plain).ok()?;
    }
    Some(out)
}

fn escape(chars: &mut core::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = unit(chars)?;
            let pair = match first {
                0xd800..=0xdbff => {
                    if chars.next()? != '\\' || chars.next()? != 'u' {
                        return None;
                    }
                    [first, unit(chars)?]
                }
                _ => return char::from_u32(u32::from(first)),
            };
            char::decode_utf16(pair).next()?.ok()?
        }
        plain @ ('"' | '\\' | '/') => plain,
        _ => return None,
    })
}

/// Four hexadecimal digits.
fn unit(chars: &mut core::str::Chars<'_>) -> Option<u16> {
    let mut value = 0;
    for _ in 0..4 {
        value = value << 4 | u16::try_from(chars.next()?.to_digit(16)?).ok()?;
    }
    Some(value)
}

/// A string's escapes undone, for `#[serde(deserialize_with = "json::text")]`.
pub(crate) fn text<'de, D: Deserializer<'de>, const N: usize>(
    source: D,
) -> Result<String<N>, D::Error> {
    let raw = EscapedStr::deserialize(source)?;
    unescape(raw.0).ok_or_else(|| D::Error::custom("no such text, or a longer one"))
}

/// As [`text`], where `null` and no member at all are `None`.
pub(crate) fn text_or_none<'de, D: Deserializer<'de>, const N: usize>(
    source: D,
) -> Result<Option<String<N>>, D::Error> {
    let Some(raw) = Option::<EscapedStr<'de>>::deserialize(source)? else { return Ok(None) };
    let text = unescape(raw.0);
    text.map(Some).ok_or_else(|| D::Error::custom("no such text, or a longer one"))
}

/// Reads bounded JSON, after the guard; what follows the value makes it malformed.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    guard(body)?;
    serde_json_core::from_slice(body).map(|(value, _)| value).map_err(|_| Error::Malformed)
}

/// A member's text, where it is there and holds at most `N` bytes.
pub(crate) fn field<const N: usize>(raw: Option<EscapedStr<'_>>) -> Option<String<N>> {
    unescape(raw?.0)
}

/// Whether the body is a JSON object, whatever its fields.
fn is_object(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Anything {}
    parse::<Anything>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_faults_named() {
        let both = Flags { favourite: Some(true), reviewed: Some(false) };
        for (body, expect) in [
            (r#"{"favourite":true,"reviewed":false}"#, Ok(both)),
            (r#"{"reviewed":false, "new":[{"a":1}], "favourite":true}"#, Ok(both)),
            ("{}", Ok(Flags::default())),
            (r#"{"favourite":null}"#, Ok(Flags::default())),
            (r#"{"favourite":"yes"}"#, Err(Error::Field("favourite"))),
            (r#"{"favourite":true,"reviewed":1}"#, Err(Error::Field("reviewed"))),
            ("", Err(Error::Malformed)),
            ("[]", Err(Error::Malformed)),
            ("{\"favourite\":true", Err(Error::Malformed)),
            ("{} {}", Err(Error::Malformed)),
        ] {
            assert_eq!(Flags::parse(body.as_bytes()), expect, "{body}");
        }
    }

    #[test]
    fn names_are_unescaped_and_checked() {
        for (body, expect) in [
            (r#"{"name":"Front door"}"#, Ok("Front door")),
            (r#"{"name":"  Gr\u00fcn \ud83d\ude00 \/ \"x\" "}"#, Ok("Grün 😀 / \"x\"")),
            (r#"{"name":"\ud83d"}"#, Err(Error::Field("name"))),
            (r#"{"name":"\ud83d\u0041"}"#, Err(Error::Field("name"))),
            (r#"{"name":"\udc00"}"#, Err(Error::Field("name"))),
            (r#"{"name":"a\nb"}"#, Err(Error::Field("name"))),
            (r#"{"name":"\x"}"#, Err(Error::Field("name"))),
            (r#"{"name":" "}"#, Err(Error::Field("name"))),
            (r#"{"name":5}"#, Err(Error::Field("name"))),
            ("{}", Err(Error::Field("name"))),
            ("name", Err(Error::Malformed)),
        ] {
            let read = name(body.as_bytes());
            assert_eq!(read.as_ref().map(Name::as_str).map_err(|e| *e), expect, "{body}");
        }
        let long = std::format!(r#"{{"name":"{}"}}"#, "x".repeat(NAME_BYTES + 1));
        assert_eq!(name(long.as_bytes()), Err(Error::Field("name")));
    }

    #[test]
    fn whoever_may_not_be_the_first_says_so() {
        for (body, expect) in [
            (r#"{"name":"Front door"}"#, Ok(true)),
            (r#"{"name":"x","first":true}"#, Ok(true)),
            (r#"{"first":false,"name":"x"}"#, Ok(false)),
            (r#"{"name":"x","first":1}"#, Err(Error::Field("first"))),
            ("first", Err(Error::Malformed)),
        ] {
            assert_eq!(may_be_first(body.as_bytes()), expect, "{body}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_parsing() {
        let deep = std::format!("{{\"x\":{}", "[".repeat(60_000));
        assert_eq!(Flags::parse(deep.as_bytes()), Err(Error::TooDeep));
        let quoted = std::format!("{{\"x\":\"{}\\\"{{\"}}", "[".repeat(60_000));
        assert_eq!(Flags::parse(quoted.as_bytes()), Ok(Flags::default()));
        let most = std::format!("{{\"x\":{}{}}}", "[".repeat(15), "]".repeat(15));
        assert_eq!(Flags::parse(most.as_bytes()), Ok(Flags::default()));
    }

    #[test]
    fn a_cut_body_never_panics() {
        let whole = br#"{"name":"\ud83d\ude00 a","favourite":true,"x":[1,{"y":null}]}"#;
        for end in 0..whole.len() {
            let cut = whole.get(..end).unwrap();
            assert!(name(cut).is_err());
            assert!(Flags::parse(cut).is_err());
        }
    }
}
