//! JSON read in place: checked whole without recursion, then walked member by member, each
//! value as its own bytes.
//!
//! serde-json-core cannot hand out a value's bytes and recurses on what it skips, so what
//! strangers send is read here.
#![deny(clippy::indexing_slicing)]

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::Write;

/// The deepest nesting of objects and arrays that is read.
pub const DEPTH_MAX: u32 = 16;

/// Why a text is not JSON that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It breaks RFC 8259.
    Syntax,
    /// It nests deeper than [`DEPTH_MAX`].
    TooDeep,
}

/// Whether `text` is one JSON value and nothing else.
pub fn check(text: &str) -> Result<(), Error> {
    let mut scanner = Scanner::new(text);
    scanner.value()?;
    scanner.space();
    if scanner.peek().is_none() { Ok(()) } else { Err(Error::Syntax) }
}

/// The members of a checked object, in order; none where `text` is no object.
pub fn members(text: &str) -> Members<'_> {
    Members { scanner: Scanner::opened(text, b'{') }
}

/// The elements of a checked array, in order; none where `text` is no array.
pub fn elements(text: &str) -> Elements<'_> {
    Elements { scanner: Scanner::opened(text, b'[') }
}

/// The value of the last member called `name` in a checked object.
pub fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    members(object).filter(|(key, _)| unescape(key) == name).last().map(|(_, value)| value)
}

/// A checked value as the string it is; `None` where it is something else. Half a surrogate
/// pair reads as U+FFFD.
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    value.strip_prefix('"')?.strip_suffix('"').map(unescape)
}

/// Writes `text` as a JSON string, with its quotes, to the end of `out`.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => {
                write!(out, "\\u{:04x}", u32::from(letter)).expect("a string takes all");
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// Name (still escaped, without quotes) and value of each member.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    scanner: Option<Scanner<'a>>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let scanner = self.scanner.as_mut()?;
        scanner.space_and(b',');
        let quoted = scanner.spanned(Scanner::string)?;
        scanner.space_and(b':');
        let value = scanner.spanned(Scanner::value)?;
        Some((quoted.get(1..quoted.len() - 1)?, value))
    }
}

/// Each element of an array.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    scanner: Option<Scanner<'a>>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let scanner = self.scanner.as_mut()?;
        scanner.space_and(b',');
        scanner.spanned(Scanner::value)
    }
}

/// A position in a text.
#[derive(Debug, Clone)]
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// Which brackets are open: one bit each, the newest lowest, 1 for an object.
#[derive(Default)]
struct Open {
    depth: u32,
    objects: u32,
}

impl Open {
    fn push(&mut self, object: bool) -> Result<(), Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u32::from(object);
        Ok(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// How many bytes at the front of a string are neither its end nor special, sixteen at a time.
fn plain(bytes: &[u8]) -> usize {
    // In numbers and without branches, so that sixteen are looked at in a few instructions.
    let special =
        |byte: &u8| u8::from(*byte < 0x20) | u8::from(*byte == b'"') | u8::from(*byte == b'\\');
    let (chunks, _) = bytes.as_chunks::<16>();
    let is_plain = |chunk: &&[u8; 16]| chunk.iter().fold(0, |any, it| any | special(it)) == 0;
    let whole = 16 * chunks.iter().take_while(is_plain).count();
    let rest = bytes.get(whole..).unwrap_or_default();
    whole + rest.iter().position(|it| special(it) == 1).unwrap_or(rest.len())
}

impl<'a> Scanner<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// A scanner behind the first `bracket`, if the text begins with it.
    fn opened(text: &'a str, bracket: u8) -> Option<Self> {
        let mut scanner = Self::new(text);
        scanner.space();
        scanner.eat(bracket).then_some(scanner)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn need(&mut self, byte: u8) -> Result<(), Error> {
        if self.eat(byte) { Ok(()) } else { Err(Error::Syntax) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn space_and(&mut self, byte: u8) {
        self.space();
        self.eat(byte);
        self.space();
    }

    /// The text that `scan` passes over; `None` where it finds something else.
    fn spanned(&mut self, scan: fn(&mut Self) -> Result<(), Error>) -> Option<&'a str> {
        let start = self.at;
        scan(self).ok()?;
        self.text.get(start..self.at)
    }

    /// One value, of any kind; brackets are counted, not recursed into.
    fn value(&mut self) -> Result<(), Error> {
        let mut open = Open::default();
        loop {
            self.space();
            if self.opens(&mut open)? {
                continue;
            }
            loop {
                if open.depth == 0 {
                    return Ok(());
                }
                self.space();
                if self.eat(b',') {
                    if open.in_object() {
                        self.name()?;
                    }
                    break;
                }
                self.need(if open.in_object() { b'}' } else { b']' })?;
                open.pop();
            }
        }
    }

    /// Passes over a scalar or an empty bracket (false), or into a bracket (true).
    fn opens(&mut self, open: &mut Open) -> Result<bool, Error> {
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            Some(bracket @ (b'{' | b'[')) => {
                self.at += 1;
                let object = bracket == b'{';
                open.push(object)?;
                self.space();
                if !self.eat(if object { b'}' } else { b']' }) {
                    if object {
                        self.name()?;
                    }
                    return Ok(true);
                }
                open.pop();
            }
            _ => return Err(Error::Syntax),
        }
        Ok(false)
    }

    fn name(&mut self) -> Result<(), Error> {
        self.space();
        self.string()?;
        self.space();
        self.need(b':')
    }

    fn word(&mut self, word: &str) -> Result<(), Error> {
        word.bytes().try_for_each(|byte| self.need(byte))
    }

    fn string(&mut self) -> Result<(), Error> {
        self.need(b'"')?;
        loop {
            self.at += plain(self.text.as_bytes().get(self.at..).unwrap_or_default());
            let byte = self.peek().ok_or(Error::Syntax)?;
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0..=0x1f => return Err(Error::Syntax),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        let byte = self.peek().ok_or(Error::Syntax)?;
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    let digit = self.peek().is_some_and(|byte| byte.is_ascii_hexdigit());
                    self.at += usize::from(digit);
                    if !digit {
                        return Err(Error::Syntax);
                    }
                }
                Ok(())
            }
            _ => Err(Error::Syntax),
        }
    }

    fn number(&mut self) -> Result<(), Error> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Error::Syntax) }
    }
}

/// The inside of a checked string, with its escapes undone.
fn unescape(inside: &str) -> Cow<'_, str> {
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    let mut out = String::with_capacity(inside.len());
    let mut letters = inside.chars();
    let mut high = None;
    while let Some(letter) = letters.next() {
        let unit = if letter == '\\' { escaped(&mut letters) } else { Unit::Letter(letter) };
        match (high.take(), unit) {
            (Some(first), Unit::Low(second)) => {
                let code = 0x10000 + (u32::from(first) << 10) + u32::from(second);
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (pending, unit) => {
                if pending.is_some() {
                    out.push(char::REPLACEMENT_CHARACTER);
                }
                match unit {
                    Unit::Letter(letter) => out.push(letter),
                    Unit::High(bits) => high = Some(bits),
                    Unit::Low(_) => out.push(char::REPLACEMENT_CHARACTER),
                }
            }
        }
    }
    if high.is_some() {
        out.push(char::REPLACEMENT_CHARACTER);
    }
    Cow::Owned(out)
}

/// What one escape stands for: a letter, or ten bits of one (RFC 8259 s7).
enum Unit {
    Letter(char),
    High(u16),
    Low(u16),
}

fn escaped(letters: &mut core::str::Chars<'_>) -> Unit {
    Unit::Letter(match letters.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let digits = letters.as_str().get(..4).unwrap_or_default();
            *letters = letters.as_str().get(4..).unwrap_or_default().chars();
            return match u16::from_str_radix(digits, 16) {
                Ok(unit @ 0xd800..=0xdbff) => Unit::High(unit - 0xd800),
                Ok(unit @ 0xdc00..=0xdfff) => Unit::Low(unit - 0xdc00),
                Ok(unit) => Unit::Letter(char::from_u32(unit.into()).unwrap_or('\u{fffd}')),
                Err(_) => Unit::Letter(char::REPLACEMENT_CHARACTER),
            };
        }
        Some(other) => other,
        None => char::REPLACEMENT_CHARACTER,
    })
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests cut their own bytes")]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn takes_json_and_nothing_else() {
        let good = [
            "0",
            "-0.5e+10",
            "\"\"",
            " null ",
            "[]",
            "{}",
            "[1,[2,{}],\"\\u00fc\"]",
            "{\"a\":{\"b\":[true,false,null]},\"c\":-1}",
            "\t{ \"a\" : 1 , \"b\" : [ ] }\r\n",
            "1e5",
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        ];
        let bad = [
            "",
            " ",
            "{",
            "[",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "+1",
            "tru",
            "nullx",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "[1 2]",
            "[1}",
            "{\"a\":1]",
            "1 2",
            "'a'",
            "{\"a\":1}}",
            "[]]",
            "\u{feff}1",
            "NaN",
        ];
        for text in good {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
        for text in bad {
            assert_eq!(check(text), Err(Error::Syntax), "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded_before_anything_else() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(&nested(16)), Ok(()));
        assert_eq!(check(&nested(17)), Err(Error::TooDeep));
        assert_eq!(check(&"[".repeat(60_000)), Err(Error::TooDeep));
        assert_eq!(check(&"{\"a\":".repeat(17)), Err(Error::TooDeep));
        let wide = std::format!("[{}1]", "[[]],".repeat(1000));
        assert_eq!(check(&wide), Ok(()), "depth counts, width does not");
    }

    #[test]
    fn walks_members_and_elements_as_they_stand() {
        let text = " { \"a\" : [1, {\"b\":2}] , \"\\u0063\":\"x\",\"a\":3 } ";
        check(text).unwrap();
        let all: Vec<_> = members(text).collect();
        assert_eq!(all, [("a", "[1, {\"b\":2}]"), ("\\u0063", "\"x\""), ("a", "3")]);
        assert_eq!(member(text, "c"), Some("\"x\""));
        assert_eq!(member(text, "a"), Some("3"), "the last one, as JSON.parse has it");
        assert_eq!(member("[1]", "a"), None);
        let all: Vec<_> = elements("[ 1 , [2], \"]\" ]").collect();
        assert_eq!(all, ["1", "[2]", "\"]\""]);
        assert_eq!(elements("{}").count() + elements("[ ]").count(), 0);
    }

    #[test]
    fn strings_come_back_as_they_were_meant() {
        let table = [
            ("\"plain\"", "plain"),
            ("\"a\\\"\\\\\\/\\n\\tz\"", "a\"\\/\n\tz"),
            ("\"\\u00e9\\ud83d\\ude00!\"", "\u{e9}\u{1f600}!"),
            ("\"\\ud83d!\"", "\u{fffd}!"),
            ("\"\\ude00\\ud83d\"", "\u{fffd}\u{fffd}"),
            ("\"\\ud83d\\ud83d\\ude00\"", "\u{fffd}\u{1f600}"),
        ];
        for (text, meant) in table {
            check(text).unwrap();
            assert_eq!(string(text).as_deref(), Some(meant), "{text}");
            let mut again = String::new();
            quote(meant, &mut again);
            assert_eq!(check(&again), Ok(()));
            assert_eq!(string(&again).as_deref(), Some(meant));
        }
        assert_eq!(string("12"), None);
        let mut out = String::new();
        quote("\u{1}\u{1f}", &mut out);
        assert_eq!(out, "\"\\u0001\\u001f\"");
    }

    #[test]
    fn no_text_makes_it_panic() {
        let letters: Vec<char> = "{}[]\",:\\u0dE-.1tn \u{fc}".chars().collect();
        let mut seed = 88_172_645_463_325_252_u64;
        for _ in 0..50_000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                text.push(letters[usize::try_from(seed >> 40).unwrap() % letters.len()]);
            }
            let _ = (check(&text), member(&text, "u"), elements(&text).count());
            let _ = (unescape(&text), string(&text));
        }
    }
}
