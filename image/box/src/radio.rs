//! Wi-Fi by `wpa_supplicant`: its configuration, in memory and for root's eyes alone, and what it
//! says. The passphrase is written nowhere else.

use crate::people::Who;
use crate::place::Place;
use crate::servers::OTHERS;
use crate::supervise::Spec;
use crate::takeover;
use image_core::settings::Wifi;
use std::fmt::Write as _;
use std::io;

const FILE: &str = "/run/nightjar/wpa.conf";
/// How the second choice is called where it is joined.
const FORMER: &str = "former";

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Radio {
    /// No radio, or nothing to drive it.
    Off,
    Searching,
    Connected,
    WrongPassphrase,
    /// In the former network, as the passphrase of the new one is wrong, or it is not there.
    Former {
        wrong: bool,
    },
}

impl Radio {
    /// As the socket's `state` says it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Searching => "searching",
            Self::Connected => "connected",
            Self::WrongPassphrase => "wrong passphrase",
            Self::Former { wrong: true } => "wrong passphrase; back on the former network",
            Self::Former { wrong: false } => "not found; back on the former network",
        }
    }

    fn is_wrong(self) -> bool {
        matches!(self, Self::WrongPassphrase | Self::Former { wrong: true })
    }

    /// After a line of `wpa_supplicant`'s.
    pub(crate) fn heard(self, line: &str) -> Self {
        if has_joined(line) && line.contains(&format!("id_str={FORMER}")) {
            Self::Former { wrong: self.is_wrong() }
        } else if has_joined(line) {
            Self::Connected
        } else if line.contains("CTRL-EVENT-SSID-TEMP-DISABLED id=1 ") {
            self // the second choice is not what the owner is told of
        } else if line.contains("WRONG_KEY")
            || line.contains("pre-shared key may be incorrect")
            || refuses_confirm(line)
        {
            Self::WrongPassphrase
        } else if line.contains("CTRL-EVENT-DISCONNECTED") && !self.is_wrong() {
            Self::Searching
        } else if line.contains("CTRL-EVENT-DISCONNECTED") {
            Self::WrongPassphrase
        } else {
            self
        }
    }
}

/// Whether a network was joined just now.
pub(crate) fn has_joined(line: &str) -> bool {
    line.contains("CTRL-EVENT-CONNECTED")
}

/// Of WPA3: the access point refuses the second message of SAE, which proves that the passphrase
/// is known (IEEE 802.11-2020 s12.4.5.6). Other refusals, such as of a full one, come to the first.
fn refuses_confirm(line: &str) -> bool {
    let event = line.split_once("CTRL-EVENT-AUTH-REJECT ").map_or("", |(_, event)| event);
    event.contains(" auth_type=3 auth_transaction=2 ")
}

/// Writes what `wpa_supplicant` reads at its start: a network, and the one it is to join where
/// that fails. `back`: the latter comes first. Both stay, for it sets a network aside for a while
/// whose passphrase is refused, but not where WPA3 refuses it.
pub(crate) fn configure(
    place: &Place,
    wifi: &Wifi,
    former: Option<&Wifi>,
    back: bool,
) -> io::Result<()> {
    takeover::replace(&place.at(FILE), configuration(wifi, former, back).as_bytes())
}

fn configuration(wifi: &Wifi, former: Option<&Wifi>, back: bool) -> String {
    let country = wifi.country.as_ref().map(|it| format!("country={it}\n"));
    let rank = if back { 2 } else { 0 };
    let rank = format!("priority={rank}\n\tid_str=\"{FORMER}\"");
    let second = former.map(|it| network(it, &rank));
    let parts = country.into_iter().chain([network(wifi, "priority=1")]).chain(second);
    parts.collect()
}

fn network(wifi: &Wifi, rank: &str) -> String {
    // In hexadecimal digits nothing in a name can be taken for syntax.
    let ssid = wifi.ssid.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let secret = match wifi.passphrase.as_deref() {
        None | Some("") => "key_mgmt=NONE".to_owned(),
        // 64 hexadecimal digits are the key itself, which WPA3 cannot use.
        Some(key) if key.len() == 64 => format!("psk={key}"),
        // Up to its last quote the whole is the passphrase.
        Some(words) => {
            format!("key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\"{words}\"")
        }
    };
    format!("network={{\n\tssid={ssid}\n\tscan_ssid=1\n\t{rank}\n\t{secret}\n}}\n")
}

/// The child that drives `interface`.
pub(crate) fn driver(place: &Place, interface: &str) -> Option<Spec> {
    let file = place.at(FILE);
    let mut args: Vec<_> = ["-i", interface, "-D", "nl80211", "-c"].map(Into::into).into();
    args.push(file.into());
    Some(Spec {
        name: format!("wifi-{interface}"),
        program: place.program("wpa_supplicant")?,
        args,
        who: Who::Keeper,
        env: Vec::new(),
        terms: OTHERS,
        heard: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_configured_without_any_syntax_of_its_own() {
        let wifi = |passphrase: Option<&str>| Wifi {
            ssid: "A\"}\n".into(),
            passphrase: passphrase.map(Into::into),
            country: Some("DE".into()),
        };
        let one = |it: Option<&str>| configuration(&wifi(it), None, false);
        let open = "network={\n\tssid=41227d0a\n\tscan_ssid=1\n\tpriority=1\n\tkey_mgmt=NONE\n}\n";
        assert_eq!(one(None), format!("country=DE\n{open}"));
        assert!(one(Some("it's \"it\"")).contains("\tpsk=\"it's \"it\"\"\n"));
        let key = "0".repeat(64);
        assert!(one(Some(&key)).contains(&format!("\tpsk={key}\n")));
        for (back, rank) in [(false, 0), (true, 2)] {
            let former =
                open.replace("priority=1", &format!("priority={rank}\n\tid_str=\"former\""));
            let both = configuration(&wifi(None), Some(&wifi(None)), back);
            assert_eq!(both, format!("country=DE\n{open}{former}"));
        }
    }

    #[test]
    fn what_it_says_is_understood() {
        let lines = [
            ("wlan0: Trying to associate with SSID 'Home'", Radio::Searching),
            ("wlan0: CTRL-EVENT-SSID-TEMP-DISABLED id=0 reason=WRONG_KEY", Radio::WrongPassphrase),
            ("wlan0: CTRL-EVENT-DISCONNECTED bssid=x reason=15", Radio::WrongPassphrase),
            ("wlan0: CTRL-EVENT-CONNECTED - Connection to x completed", Radio::Connected),
            ("wlan0: CTRL-EVENT-DISCONNECTED bssid=x reason=3", Radio::Searching),
            (
                "wlan0: CTRL-EVENT-SSID-TEMP-DISABLED id=1 ssid=\"x\" reason=WRONG_KEY",
                Radio::Searching,
            ),
            (
                "wlan0: CTRL-EVENT-CONNECTED - Connection to x completed [id=1 id_str=former]",
                Radio::Former { wrong: false },
            ),
            ("wlan0: CTRL-EVENT-DISCONNECTED bssid=x reason=3", Radio::Searching),
            (
                "wlan0: CTRL-EVENT-AUTH-REJECT x auth_type=3 auth_transaction=1 status_code=17",
                Radio::Searching,
            ),
            (
                "wlan0: CTRL-EVENT-AUTH-REJECT x auth_type=3 auth_transaction=2 status_code=1",
                Radio::WrongPassphrase,
            ),
            (
                "wlan0: CTRL-EVENT-CONNECTED - Connection to x completed [id=1 id_str=former]",
                Radio::Former { wrong: true },
            ),
            ("wlan0: CTRL-EVENT-DISCONNECTED bssid=x reason=3", Radio::WrongPassphrase),
        ];
        lines.iter().fold(Radio::Searching, |radio, (line, want)| {
            let now = radio.heard(line);
            assert_eq!(now, *want, "{line}");
            now
        });
    }
}
