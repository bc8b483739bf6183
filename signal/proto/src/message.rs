//! What `PeerJS` clients and their server tell each other: `{type, src, dst, payload}`.
//!
//! The payload is never looked into: it is relayed as its own bytes.
#![deny(clippy::indexing_slicing)]

use crate::json;
use crate::peer_id::PeerId;
use alloc::string::String;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Server to client: you are registered.
    Open,
    /// Server to client: somebody else has this id.
    IdTaken,
    /// Server to client: refused; the payload says why.
    Error,
    /// Server to client: nobody came to take your message.
    Expire,
    /// Client to server: I live.
    Heartbeat,
    /// Peer to peer: let us connect.
    Offer,
    /// Peer to peer: agreed.
    Answer,
    /// Peer to peer: an address to try.
    Candidate,
    /// Peer to peer, or to the server without a `dst`: I go.
    Leave,
    /// Anything else; ignored.
    Other,
}

const WORDS: [(Kind, &str); 9] = [
    (Kind::Open, "OPEN"),
    (Kind::IdTaken, "ID-TAKEN"),
    (Kind::Error, "ERROR"),
    (Kind::Expire, "EXPIRE"),
    (Kind::Heartbeat, "HEARTBEAT"),
    (Kind::Offer, "OFFER"),
    (Kind::Answer, "ANSWER"),
    (Kind::Candidate, "CANDIDATE"),
    (Kind::Leave, "LEAVE"),
];

impl Kind {
    /// The word on the wire; empty for [`Kind::Other`].
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    fn of(word: &str) -> Self {
        WORDS.iter().find(|(_, known)| *known == word).map_or(Self::Other, |(kind, _)| *kind)
    }

    /// Whether the server carries it from one client to another.
    pub const fn is_relayed(self) -> bool {
        matches!(self, Self::Offer | Self::Answer | Self::Candidate | Self::Leave)
    }
}

/// One message, its payload borrowed from the text it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is about.
    pub kind: Kind,
    /// Who sent it; only what the server wrote there counts.
    pub src: Option<PeerId>,
    /// For whom it is.
    pub dst: Option<PeerId>,
    /// JSON, exactly as it was sent.
    pub payload: Option<&'a str>,
}

impl<'a> Message<'a> {
    /// A message of `kind` and nothing else.
    pub const fn bare(kind: Kind) -> Self {
        Self { kind, src: None, dst: None, payload: None }
    }

    /// Reads one message; members we do not know are passed over, a `src` that is no id reads
    /// as absent, and an object without a known `type`, or for somebody whose id is none, is
    /// [`Kind::Other`]. A `dst` of null or `""` is absent.
    pub fn parse(text: &'a str) -> Result<Self, json::Error> {
        json::check(text)?;
        let mut message = Self::bare(Kind::Other);
        let mut is_undeliverable = false;
        for (name, value) in json::members(text) {
            let id = || json::string(value).and_then(|text| PeerId::parse(&text));
            match name {
                "type" => message.kind = Kind::of(&json::string(value).unwrap_or_default()),
                "src" => message.src = id(),
                "dst" => {
                    message.dst = id();
                    let is_empty = value == "null" || value == "\"\"";
                    is_undeliverable = message.dst.is_none() && !is_empty;
                }
                "payload" => message.payload = Some(value),
                _ => {}
            }
        }
        if is_undeliverable {
            message.kind = Kind::Other;
        }
        Ok(message)
    }

    /// Hands out the message's text piece by piece; absent members are left out.
    pub fn pieces(&self, mut put: impl FnMut(&str)) {
        put("{\"type\":\"");
        put(self.kind.word());
        put("\"");
        for (name, id) in [(",\"src\":\"", &self.src), (",\"dst\":\"", &self.dst)] {
            if let Some(id) = id {
                // An id has no letter that JSON escapes.
                put(name);
                put(id.as_str());
                put("\"");
            }
        }
        if let Some(payload) = self.payload {
            put(",\"payload\":");
            put(payload);
        }
        put("}");
    }

    /// The bytes of the message's text.
    pub fn length(&self) -> usize {
        let mut length = 0;
        self.pieces(|piece| length += piece.len());
        length
    }

    /// The message as text.
    pub fn to_text(&self) -> String {
        let mut out = String::with_capacity(self.length());
        self.pieces(|piece| out.push_str(piece));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    fn id(text: &str) -> PeerId {
        PeerId::parse(text).unwrap()
    }

    #[test]
    fn a_relayed_payload_keeps_every_byte() {
        let payload =
            "{\"sdp\": {\"type\":\"offer\",\"sdp\":\"v=0\\r\\na=\\u00fc\\/\"} , \"n\":1e0}";
        let text = format!(
            "{{\"payload\" : {payload} ,\"extra\":[1],\"dst\":\"b\",\"src\":\"x\",\"type\":\"OFFER\"}}"
        );
        let mut message = Message::parse(&text).unwrap();
        assert_eq!((message.kind, &message.dst), (Kind::Offer, &Some(id("b"))));
        message.src = Some(id("a"));
        let expected =
            format!("{{\"type\":\"OFFER\",\"src\":\"a\",\"dst\":\"b\",\"payload\":{payload}}}");
        assert_eq!(message.to_text(), expected);
        assert_eq!(message.length(), expected.len());
    }

    #[test]
    fn what_is_no_message_is_other_or_an_error() {
        for text in ["{\"ping\":\"once\"}", "[]", "1", "{\"type\":7}", "{\"type\":\"offer\"}", "{}"]
        {
            assert_eq!(Message::parse(text), Ok(Message::bare(Kind::Other)), "{text}");
        }
        for text in ["", "hello", "{\"type\":\"OFFER\"", "{\"type\":\"OFFER\"} x"] {
            assert_eq!(Message::parse(text), Err(json::Error::Syntax), "{text}");
        }
        let deep = format!("{{\"payload\":{}{}}}", "[".repeat(16), "]".repeat(16));
        assert_eq!(Message::parse(&deep), Err(json::Error::TooDeep));
        for (dst, kind) in [
            ("null", Kind::Leave),
            ("\"\"", Kind::Leave),
            ("\"no/id\"", Kind::Other),
            ("\" \"", Kind::Other),
            ("7", Kind::Other),
            ("{}", Kind::Other),
        ] {
            let text = format!("{{\"dst\":{dst},\"type\":\"LEAVE\"}}");
            assert_eq!(Message::parse(&text), Ok(Message::bare(kind)), "{text}");
        }
    }

    #[test]
    fn every_kind_has_one_word() {
        for (kind, word) in WORDS {
            let text = Message::bare(kind).to_text();
            assert_eq!(text, format!("{{\"type\":\"{word}\"}}"));
            assert_eq!(Message::parse(&text), Ok(Message::bare(kind)));
        }
    }
}
