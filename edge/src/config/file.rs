//! The config file: one JSON object of texts, numbers, truths and lists of texts.
#![deny(clippy::indexing_slicing)]

use super::{Error, KEYS, Said, Source, closest};
use edge_core::rest::json;

/// Longest config file, bytes.
const FILE_BYTES: u64 = 64 * 1024;
/// Longest text in it, bytes.
const TEXT_BYTES: usize = 4096;

/// Reads a config file.
pub(super) fn read(path: &str) -> Result<Said, Error> {
    let failed = |text: String| Error(format!("--config {path}: {text}"));
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > FILE_BYTES {
        return Err(failed("longer than 64 KiB".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let expected = "expected one JSON object of texts, numbers, true, false and lists of texts";
    let pairs = Cursor(&text).object().ok_or_else(|| failed(expected.into()))?;
    let mut said = Said::default();
    for (raw, value) in pairs {
        let key = KEYS.into_iter().find(|key| *key == raw && *key != "config");
        let Some(key) = key else {
            let known = KEYS.into_iter().filter(|key| *key != "config");
            let guess = closest(raw, known, "");
            return Err(Error(format!("{path}: unknown key \"{raw}\"{guess}")));
        };
        // As an option's name, `labels` means the file; as the contract's key, more labels.
        let key =
            if key == "labels" && matches!(value, Value::Text(_)) { "labels_file" } else { key };
        let source = Source::File(path, key);
        let several = matches!(key, "camera" | "labels" | "ice");
        match value {
            Value::Null => {}
            Value::Plain(text) if !several => said.0.push((key, text.into())),
            Value::Text(raw) if !several => said.0.push((key, plain(source, raw)?)),
            Value::List(items) if several => {
                for raw in items {
                    said.0.push((key, plain(source, raw)?));
                }
            }
            Value::List(_) => {
                return Err(Error(format!("{source}: expected one value, not a list")));
            }
            Value::Plain(_) | Value::Text(_) => {
                return Err(Error(format!("{source}: expected a list of texts")));
            }
        }
    }
    Ok(said)
}

fn plain(source: Source<'_>, raw: &str) -> Result<String, Error> {
    let text = json::unescape::<TEXT_BYTES>(raw);
    text.map(|text| text.as_str().into()).ok_or_else(|| source.wrong(raw, "a text in JSON"))
}

/// A text as a JSON string.
pub(super) fn quote(text: &str) -> String {
    let mut buf = vec![0; 2 + 6 * text.len()];
    let length = serde_json_core::to_slice(text, &mut buf).expect("six bytes hold any character");
    buf.truncate(length);
    String::from_utf8(buf).expect("serde-json-core writes UTF-8")
}

/// A value of the file, strings still escaped.
#[derive(Debug, PartialEq, Eq)]
enum Value<'a> {
    Null,
    /// A number or a truth.
    Plain(&'a str),
    Text(&'a str),
    List(Vec<&'a str>),
}

/// Takes the file apart. By hand, for serde-json-core has to be told each value's type before,
/// and a size here may be a number or a text.
#[derive(Debug)]
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// `{"key": value, ...}` and nothing after it; `None` for anything else.
    fn object(mut self) -> Option<Vec<(&'a str, Value<'a>)>> {
        let mut pairs = Vec::new();
        self.expect('{')?;
        if self.expect('}').is_none() {
            loop {
                let key = self.string()?;
                self.expect(':')?;
                pairs.push((key, self.value()?));
                if self.expect(',').is_none() {
                    break;
                }
            }
            self.expect('}')?;
        }
        self.0.trim_start().is_empty().then_some(pairs)
    }

    fn value(&mut self) -> Option<Value<'a>> {
        if let Some(text) = self.string() {
            return Some(Value::Text(text));
        }
        if self.expect('[').is_some() {
            return self.list().map(Value::List);
        }
        let length = self.0.find([',', '}']).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(length);
        self.0 = rest;
        let word = word.trim();
        let number = word.bytes().all(|b| b.is_ascii_digit()) && !word.is_empty();
        match word {
            "null" => Some(Value::Null),
            "true" | "false" => Some(Value::Plain(word)),
            _ => number.then_some(Value::Plain(word)),
        }
    }

    fn list(&mut self) -> Option<Vec<&'a str>> {
        let mut items = Vec::new();
        if self.expect(']').is_some() {
            return Some(items);
        }
        loop {
            items.push(self.string()?);
            if self.expect(',').is_none() {
                break;
            }
        }
        self.expect(']').map(|()| items)
    }

    /// A string's inside; takes nothing where there is none.
    fn string(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start().strip_prefix('"')?;
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let (inside, after) = rest.split_at_checked(end)?;
        self.0 = after.strip_prefix('"')?;
        Some(inside)
    }

    /// Takes `c`, or nothing.
    fn expect(&mut self, c: char) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(c)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_comes_apart() {
        let text = r#" { "a" : "x\"y" , "b":[ "1", "2" ],"c":12, "d":true,"e":null,"f":[] } "#;
        let expect = vec![
            ("a", Value::Text(r#"x\"y"#)),
            ("b", Value::List(vec!["1", "2"])),
            ("c", Value::Plain("12")),
            ("d", Value::Plain("true")),
            ("e", Value::Null),
            ("f", Value::List(vec![])),
        ];
        assert_eq!(Cursor(text).object(), Some(expect));
        assert_eq!(Cursor("{}").object(), Some(vec![]));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in
            ["", "[]", "{", r#"{"a"}"#, r#"{"a":}"#, r#"{"a":1,}"#, r#"{"a":1} x"#, r#"{"a":-1}"#]
        {
            assert_eq!(Cursor(bad).object(), None, "{bad}");
        }
        let whole = r#"{"a":"x\"y","b":["1"],"c":12}"#;
        for end in 0..whole.len() {
            assert_eq!(Cursor(&whole[..end]).object(), None, "cut at {end}");
        }
    }
}
