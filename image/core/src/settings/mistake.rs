//! What is wrong in a settings file, for the person who wrote it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// The longest piece of the file that is shown again, characters.
const SHOWN: usize = 40;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// In plain words.
    pub words: String,
    wifi: bool,
}

impl Mistake {
    pub(super) fn new(line: usize, words: &str) -> Self {
        Self { line, words: words.to_owned(), wifi: true }
    }

    pub(super) fn is_about_wifi(&self) -> bool {
        self.wifi
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.words)
    }
}

/// Those of one file.
pub(super) struct Mistakes<'t> {
    text: &'t str,
    found: Vec<Mistake>,
}

impl<'t> Mistakes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    pub(super) fn add(&mut self, at: Range<usize>, words: String) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let mut sections = before.lines().filter(|it| it.trim_start().starts_with('['));
        let whole = self.text.lines().nth(line - 1).unwrap_or_default().trim_start();
        let inside = sections.next_back().is_some_and(|it| it.contains("wifi"));
        self.found.push(Mistake { line, words, wifi: inside || whole.contains("wifi") });
    }

    /// What the parser did not understand.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        let at = error.span().unwrap_or(0..0);
        let words = match error.message() {
            it if it.contains("quoted") => {
                "what stands after = is written in straight double quotes, such as \"Home\"".into()
            }
            it if it.contains("duplicate key") => "this was said before; only one can hold".into(),
            it => format!("this is not understood: {it}"),
        };
        self.add(at, words);
    }

    pub(super) fn unknown(&mut self, at: Range<usize>, section: &str, known: &[&str]) {
        let key: String = self.text.get(at.clone()).unwrap_or_default().into();
        let known = known.join(", ");
        let place = match section {
            "" => "here".into(),
            it => format!("in [{it}]"),
        };
        self.add(at, format!("there is no setting {key} {place}; there are: {known}"));
    }

    /// A value that is not `what` it should be; always `None`.
    pub(super) fn value<T>(
        &mut self,
        at: Range<usize>,
        key: &str,
        what: &str,
        found: Option<&str>,
    ) -> Option<T> {
        let words = match found {
            None => format!("{key} is {what}"),
            Some("") => format!("{key} is {what}; nothing is written here"),
            Some(found) => {
                let shown: String =
                    found.chars().filter(|it| !it.is_control()).take(SHOWN).collect();
                format!("{key} is {what}; this is {shown}")
            }
        };
        self.add(at, words);
        None
    }

    /// A value that is no text; always `None`.
    pub(super) fn quotes<T>(&mut self, at: Range<usize>, key: &str, what: &str) -> Option<T> {
        self.add(at, format!("{key} is {what}, in straight double quotes"));
        None
    }

    /// What is not there; said where `word` stands.
    pub(super) fn missing(&mut self, word: &str, words: &str) {
        let at = self.text.find(word).unwrap_or(0);
        self.add(at..at, words.into());
    }

    /// By line; of one line the first, as the others follow from it.
    pub(super) fn sorted(mut self) -> Vec<Mistake> {
        self.found.sort_by_key(|it| it.line);
        self.found.dedup_by_key(|it| it.line);
        self.found
    }
}
