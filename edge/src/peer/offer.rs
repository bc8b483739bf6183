//! What phones say through the signaling server: offers and candidates, in PeerJS's JSON.

use signal_proto::json;
use std::borrow::Cow;
use std::fmt::Write;

/// Longest connection id, bytes.
const CONNECTION_BYTES: usize = 64;
/// Longest line of a candidate, bytes; a longer one is none.
const LINE_BYTES: usize = 512;
/// What an offer permits in one message when it does not say, bytes (RFC 8841 s6.1).
const MESSAGE_BYTES: usize = 65_536;

/// Which protocol the phone wants to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Ours.
    Nightjar,
    /// `PeerFetch`.
    HttpProxy,
}

impl Label {
    /// The protocol of a channel with that label.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "nightjar" => Some(Self::Nightjar),
            "http-proxy" => Some(Self::HttpProxy),
            _ => None,
        }
    }
}

/// An offer that we can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The phone's name for this connection.
    pub connection: String,
    /// The protocol.
    pub label: Label,
    /// The session description.
    pub sdp: String,
    /// Whether it asks for a new path of a connection that there is.
    pub restart: bool,
}

impl Offer {
    /// Reads an OFFER's payload; `None` when it is none or asks for what we do not speak.
    pub fn parse(payload: &str) -> Option<Self> {
        json::check(payload).ok()?;
        let text = |name| json::string(json::member(payload, name)?);
        let serialization = text("serialization").unwrap_or(Cow::Borrowed("raw"));
        if text("type")? != "data" || serialization != "raw" {
            return None;
        }
        let sdp = json::member(payload, "sdp")?;
        let sdp = json::string(json::member(sdp, "sdp")?)?;
        let label = Label::from_word(&text("label")?)?;
        let restart = json::member(payload, "restart") == Some("true");
        Some(Self { connection: connection(payload)?, label, sdp: sdp.into_owned(), restart })
    }

    /// Most bytes that the phone takes in one message.
    pub fn largest_message(&self) -> usize {
        let line = self.sdp.lines().find_map(|line| line.strip_prefix("a=max-message-size:"));
        match line.and_then(|text| text.trim().parse().ok()) {
            None => MESSAGE_BYTES,
            Some(0) => usize::MAX,
            Some(bytes) => bytes,
        }
    }
}

/// The number of an OFFER among those of its connection, from its payload; older phones count
/// none.
pub fn number(payload: &str) -> Option<u32> {
    json::check(payload).ok()?;
    json::member(payload, "try")?.parse().ok()
}

/// Reads a CANDIDATE's payload: the connection and the candidate's line.
pub fn candidate(payload: &str) -> Option<(String, String)> {
    json::check(payload).ok()?;
    let line = json::string(json::member(json::member(payload, "candidate")?, "candidate")?)?;
    if line.len() > LINE_BYTES {
        return None;
    }
    Some((connection(payload)?, line.into_owned()))
}

fn connection(payload: &str) -> Option<String> {
    let id = json::string(json::member(payload, "connectionId")?)?;
    (1..=CONNECTION_BYTES).contains(&id.len()).then(|| id.into_owned())
}

/// The payload of an ANSWER.
pub fn answer(connection: &str, sdp: &str) -> String {
    let mut out = String::from(r#"{"sdp":{"type":"answer","sdp":"#);
    json::quote(sdp, &mut out);
    out.push_str(r#"},"type":"data","connectionId":"#);
    json::quote(connection, &mut out);
    out.push('}');
    out
}

/// The payload of an ANSWER to the OFFER of that number.
pub fn answer_to(number: Option<u32>, connection: &str, sdp: &str) -> String {
    let mut out = answer(connection, sdp);
    if let Some(number) = number {
        out.pop();
        let _ = write!(out, r#","try":{number}}}"#);
    }
    out
}

/// The payload of a LEAVE: there is no such connection here.
pub fn unknown(connection: &str) -> String {
    let mut out = String::from(r#"{"type":"data","connectionId":"#);
    json::quote(connection, &mut out);
    out.push('}');
    out
}

/// The payload of a CANDIDATE of ours, of the only media section there is.
pub fn trickle(connection: &str, mid: &str, line: &str) -> String {
    let mut out = String::from(r#"{"candidate":{"candidate":"#);
    json::quote(line, &mut out);
    out.push_str(r#","sdpMid":"#);
    json::quote(mid, &mut out);
    out.push_str(r#","sdpMLineIndex":0},"type":"data","connectionId":"#);
    json::quote(connection, &mut out);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = r#"{"sdp":{"type":"offer","sdp":"v=0\r\na=max-message-size:262144\r\n"},
        "type":"data","connectionId":"dc_1","label":"http-proxy","reliable":true,
        "serialization":"raw","browser":"chrome","metadata":{"x":[1]}}"#;

    #[test]
    fn offers_of_all_clients_read() {
        let offer = Offer::parse(OFFER).expect("an offer");
        assert_eq!((offer.connection.as_str(), offer.label), ("dc_1", Label::HttpProxy));
        assert_eq!(offer.sdp, "v=0\r\na=max-message-size:262144\r\n");
        assert_eq!(offer.largest_message(), 262_144);
        let plain = OFFER.replace("a=max-message-size:262144", "a=x");
        assert_eq!(Offer::parse(&plain).expect("an offer").largest_message(), 65_536);
        let endless = OFFER.replace("262144", "0");
        assert_eq!(Offer::parse(&endless).expect("an offer").largest_message(), usize::MAX);
        let ours = OFFER.replace("http-proxy", "nightjar");
        assert_eq!(Offer::parse(&ours).expect("an offer").label, Label::Nightjar);
        for (member, restart) in [("true", true), ("false", false), ("\"true\"", false)] {
            let again = OFFER.replacen('{', &format!(r#"{{"restart":{member},"#), 1);
            assert_eq!(Offer::parse(&again).expect("an offer").restart, restart, "{member}");
        }
        assert!(!offer.restart);
    }

    #[test]
    fn what_we_do_not_speak_is_none() {
        for (from, to) in [
            (r#""raw""#, r#""binary""#),
            (r#""type":"data""#, r#""type":"media""#),
            ("http-proxy", "chat"),
            ("dc_1", ""),
            (r#""sdp":"v"#, r#""pds":"v"#),
            ("}}", "}"),
        ] {
            assert_eq!(Offer::parse(&OFFER.replacen(from, to, 1)), None, "{to}");
        }
        assert_eq!(Offer::parse(&OFFER.replace("dc_1", &"c".repeat(65))), None);
        for bad in ["", "null", "[]", "{", r#"{"sdp":"v=0","type":"data","connectionId":"c"}"#] {
            assert_eq!(Offer::parse(bad), None, "{bad}");
            assert_eq!(candidate(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_we_write_reads_back() {
        let payload = answer("c\"1", "v=0\r\n");
        json::check(&payload).expect("JSON");
        assert_eq!(
            payload,
            r#"{"sdp":{"type":"answer","sdp":"v=0\r\n"},"type":"data","connectionId":"c\"1"}"#
        );
        assert_eq!(answer_to(None, "c\"1", "v=0\r\n"), payload);
        let numbered = answer_to(Some(7), "c\"1", "v=0\r\n");
        json::check(&numbered).expect("JSON");
        assert_eq!(number(&numbered), Some(7));
        for none in [&payload, "{\"try\":-1}", "{\"try\":\"7\"}", "{\"try\":4294967296}", "{"] {
            assert_eq!(number(none), None, "{none}");
        }
        assert_eq!(unknown("c\"1"), r#"{"type":"data","connectionId":"c\"1"}"#);
        let payload = trickle("c", "0", "candidate:1 1 udp 1 1.2.3.4 5 typ host");
        let read = candidate(&payload).expect("a candidate");
        for (bytes, taken) in [(LINE_BYTES, true), (LINE_BYTES + 1, false)] {
            let payload = trickle("c", "0", &"x".repeat(bytes));
            assert_eq!(candidate(&payload).is_some(), taken, "{bytes}");
        }
        assert_eq!(read, ("c".into(), "candidate:1 1 udp 1 1.2.3.4 5 typ host".into()));
    }
}
