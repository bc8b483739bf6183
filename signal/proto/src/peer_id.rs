//! What a peer is called, and the word that shows that it is still the same one.
#![deny(clippy::indexing_slicing)]

use core::fmt;
use heapless::String;

/// The longest id and the longest token, in bytes.
pub const LENGTH_MAX: usize = 64;

/// A peer's address at the meeting place: letters, digits, and single spaces, hyphens or
/// underscores between them, as every `PeerJS` accepts. An address, never a credential.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(String<LENGTH_MAX>);

impl PeerId {
    /// `text` as an id, if it has the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
        if !text.split([' ', '_', '-']).all(word) {
            return None;
        }
        String::try_from(text).ok().map(Self)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Prints no id: ids do not belong in logs.
impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerId(..)")
    }
}

/// What a peer chose when it registered its id; whoever says it again is the same peer.
#[derive(Clone)]
pub struct Token(String<LENGTH_MAX>);

impl Token {
    /// `text` as a token: one byte to 64, none of them a control character.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return None;
        }
        String::try_from(text).ok().map(Self)
    }

    /// The token as text, for the side that chose it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Takes as long for a near miss as for a wild guess.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        let differing = ours.iter().zip(theirs).fold(0, |all, (a, b)| all | (a ^ b));
        ours.len() == theirs.len() && core::hint::black_box(differing) == 0
    }
}

impl Eq for Token {}

/// Prints no token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn ids_are_those_that_every_peerjs_accepts() {
        let good = ["a", "0", "a-b", "a b_c-d", "a6f2b1f0-7d1e-4a34-9c41-0a1b2c3d4e5f"];
        let bad = ["", " ", "a ", "-a", "a--b", "a- b", "a/b", "\u{fc}", "a\0", "a.b", "a\n"];
        for text in good {
            assert_eq!(PeerId::parse(text).unwrap().as_str(), text);
        }
        for text in bad {
            assert_eq!(PeerId::parse(text), None, "{text:?}");
        }
        assert!(PeerId::parse(&"a".repeat(64)).is_some());
        assert!(PeerId::parse(&"a".repeat(65)).is_none());
    }

    #[test]
    fn tokens_are_equal_only_when_every_byte_is() {
        let token = |text: &str| Token::parse(text).unwrap();
        assert!(token("secret") == token("secret"));
        for other in ["secre", "secrets", "Secret", "secreu"] {
            assert!(token("secret") != token(other));
        }
        assert!(Token::parse("").is_none() && Token::parse("a\nb").is_none());
        assert!(Token::parse(&"x".repeat(65)).is_none());
    }

    /// S23.
    #[test]
    fn neither_is_ever_printed() {
        let (id, token) = (PeerId::parse("mine").unwrap(), Token::parse("mine").unwrap());
        assert!(!format!("{id:?}{token:?}").contains("mine"));
    }
}
