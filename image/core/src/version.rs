//! A system's version: three numbers.

use core::fmt;

/// `MAJOR.MINOR.PATCH`, each at most 65,535; ordered as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub [u16; 3]);

impl Version {
    /// Reads `1.2.3`; no sign, no leading zero, nothing around it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('.');
        let mut number = || number(words.next()?);
        let version = Self([number()?, number()?, number()?]);
        words.next().is_none().then_some(version)
    }
}

fn number(word: &str) -> Option<u16> {
    let plain =
        word.bytes().all(|it| it.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    plain.then(|| word.parse().ok()).flatten()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn three_numbers_are_read_and_ordered() {
        for text in ["0.0.0", "0.1.0", "10.20.30", "65535.0.1"] {
            assert_eq!(Version::parse(text).map(|it| it.to_string()).as_deref(), Some(text));
        }
        assert!(Version::parse("0.10.0") > Version::parse("0.9.9"));
        assert!(Version::parse("1.0.0") > Version::parse("0.99.99"));
    }

    #[test]
    fn nothing_else_is_a_version() {
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.",
            ".1.2",
            "01.2.3",
            "1.+2.3",
            "1.2.x",
            "1.2.65536",
            "1.2.3 ",
        ] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}
