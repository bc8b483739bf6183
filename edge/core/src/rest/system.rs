//! What a phone asks of the box itself: a Wi-Fi, and the word that a reset is meant.
#![deny(clippy::indexing_slicing)]

use super::json::{self, Error, NAME_BYTES};
use heapless::String;
use serde::Deserialize;
use serde_json_core::str::EscapedStr;

/// Longest bundle, bytes: every other body may hold 64 KiB.
pub const BUNDLE_BYTES: u32 = 256 << 20;
/// Longest name of a Wi-Fi, bytes (IEEE 802.11).
pub const SSID_BYTES: usize = 32;
/// Longest passphrase of one, bytes: 64 hexadecimal digits are the key itself.
pub const PASSPHRASE_BYTES: usize = 64;
/// What each field should be.
pub const SSID: &str = "a Wi-Fi's name of 1 to 32 bytes without control characters";
/// As [`SSID`].
pub const PASSPHRASE: &str = "8 to 63 characters of ASCII, or 64 hexadecimal digits";
/// As [`SSID`].
pub const COUNTRY: &str =
    "two capital letters, as in DE: where the box stands decides its channels";
/// As [`SSID`].
pub const CONFIRM: &str = "the box's name, letter by letter";

/// The Wi-Fi that the box is to join. Nothing shows its passphrase but what asks the box.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    /// The network's name.
    pub ssid: String<SSID_BYTES>,
    /// Its secret; empty: it is open.
    pub passphrase: String<PASSPHRASE_BYTES>,
    /// Where the box stands: ISO 3166's two letters.
    pub country: String<2>,
}

impl core::fmt::Debug for Wifi {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Wifi").field("ssid", &self.ssid).finish_non_exhaustive()
    }
}

impl Wifi {
    /// Reads `{"ssid":"Home","passphrase":"...","country":"DE"}`.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow, default)]
            ssid: Option<EscapedStr<'a>>,
            #[serde(borrow, default)]
            passphrase: Option<EscapedStr<'a>>,
            #[serde(borrow, default)]
            country: Option<EscapedStr<'a>>,
        }
        let Body { ssid, passphrase, country } = json::parse(body)?;
        let passphrase = json::field(passphrase).filter(is_passphrase);
        let country = json::field(country).filter(is_country);
        Ok(Self {
            ssid: json::field(ssid).filter(is_ssid).ok_or(Error::Field("ssid"))?,
            passphrase: passphrase.ok_or(Error::Field("passphrase"))?,
            country: country.ok_or(Error::Field("country"))?,
        })
    }
}

/// Whether `{"confirm":"Front door"}` says this name.
pub fn confirms(body: &[u8], name: &str) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        confirm: Option<EscapedStr<'a>>,
    }
    let Body { confirm } = json::parse(body)?;
    let said: Option<String<{ 4 * NAME_BYTES }>> = json::field(confirm);
    if said.is_some_and(|said| said.trim() == name.trim()) {
        Ok(())
    } else {
        Err(Error::Field("confirm"))
    }
}

fn is_ssid(text: &String<SSID_BYTES>) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

fn is_passphrase(text: &String<PASSPHRASE_BYTES>) -> bool {
    match text.len() {
        PASSPHRASE_BYTES => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        0 | 8.. => text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        _ => false,
    }
}

fn is_country(text: &String<2>) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_wifi_is_checked_field_by_field() {
        let body = |ssid: &str, passphrase: &str, country: &str| {
            format!(r#"{{"ssid":"{ssid}","passphrase":"{passphrase}","country":"{country}"}}"#)
        };
        let key = "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCD";
        for (ssid, passphrase, country, wrong) in [
            ("Home", "12345678", "DE", None),
            (r"Caf\u00e9 \ud83d\ude00", r#"a \" b~ c\\"#, "US", None),
            ("Home", key, "DE", None),
            ("Home", "", "DE", None),
            ("", "12345678", "DE", Some("ssid")),
            (&"x".repeat(33), "12345678", "DE", Some("ssid")),
            (r"a\nb", "12345678", "DE", Some("ssid")),
            ("Home", "1234567", "DE", Some("passphrase")),
            ("Home", r"1234567\u00e9", "DE", Some("passphrase")),
            ("Home", r"1234567\t", "DE", Some("passphrase")),
            ("Home", &"x".repeat(64), "DE", Some("passphrase")),
            ("Home", &"x".repeat(65), "DE", Some("passphrase")),
            ("Home", "12345678", "de", Some("country")),
            ("Home", "12345678", "DEU", Some("country")),
        ] {
            let read = Wifi::parse(body(ssid, passphrase, country).as_bytes());
            assert_eq!(
                read.as_ref().err().copied(),
                wrong.map(Error::Field),
                "{ssid} {passphrase}"
            );
            assert!(!format!("{read:?}").contains("1234567"), "a passphrase is never shown");
        }
        let read = Wifi::parse(body(r"Caf\u00e9", "12345678", "DE").as_bytes()).unwrap();
        assert_eq!((&read.ssid[..], &read.country[..]), ("Café", "DE"));
        assert_eq!(Wifi::parse(b"{}"), Err(Error::Field("ssid")));
        assert_eq!(Wifi::parse(b"{\"ssid\":5}"), Err(Error::Malformed));
    }

    #[test]
    fn a_reset_names_the_box() {
        let say = |body: &str| confirms(body.as_bytes(), "Front \"door\"");
        assert_eq!(say(r#"{"confirm":" Front \"door\" "}"#), Ok(()));
        for wrong in [r#"{"confirm":"front \"door\""}"#, r#"{"confirm":null}"#, "{}"] {
            assert_eq!(say(wrong), Err(Error::Field("confirm")), "{wrong}");
        }
        assert_eq!(say("Front"), Err(Error::Malformed));
    }

    #[test]
    fn a_cut_body_never_panics() {
        let whole =
            br#"{"ssid":"\ud83d\ude00","passphrase":"12345678","country":"DE","confirm":"x"}"#;
        for end in 0..whole.len() {
            let cut = whole.get(..end).unwrap();
            assert!(Wifi::parse(cut).is_err() && confirms(cut, "x").is_err());
        }
    }
}
