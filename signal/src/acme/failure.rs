//! Why there is no certificate, in words for the operator; no address is among them.

use super::https::Answer;
use signal_proto::json;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most of a CA's own words that is repeated, in letters.
const DETAIL_MAX: usize = 200;

/// The longest wait that a CA may ask for.
const WAIT_MAX: Duration = Duration::from_hours(24);

/// What an order came to, if not to a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The CA was not heard.
    Unreachable(String),
    /// It does not do what was asked (RFC 8555 s6.7).
    Refused {
        /// The last word of the error's type.
        kind: String,
        /// What it says besides.
        detail: String,
        /// How long it wants to be left alone.
        wait: Option<Duration>,
    },
    /// It said what no CA says.
    Strange(&'static str),
    /// All took too long.
    Late,
}

impl Failure {
    /// The failure in an answer that is no success.
    pub fn of(answer: &Answer) -> Self {
        let wait = answer.header("retry-after").and_then(|text| text.parse().ok());
        let wait = wait.map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX));
        let unsaid = || (String::from("refused"), format!("status {}", answer.status));
        let said = Self::of_problem(&answer.body).and_then(|failure| match failure {
            Self::Refused { kind, detail, .. } => Some((kind, detail)),
            _ => None,
        });
        let (kind, detail) = said.unwrap_or_else(unsaid);
        Self::Refused { kind, detail, wait }
    }

    /// The failure that a problem document (RFC 7807) tells of.
    pub fn of_problem(problem: &str) -> Option<Self> {
        json::check(problem).ok()?;
        let word = |name| json::member(problem, name).and_then(json::string);
        let kind = word("type")?;
        let kind = kind.rsplit(':').next().unwrap_or_default().to_owned();
        let detail = word("detail").unwrap_or_default().into_owned();
        Some(Self::Refused { kind, detail, wait: None })
    }

    /// Whether it is an error of that type.
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == wanted)
    }

    /// How long to wait after it has come `times` times in a row. A CA that is away is asked
    /// soon again; one that said no is given time: there are few tries an hour.
    pub fn pause(&self, times: u32) -> Duration {
        let (first, most) = match self {
            Self::Unreachable(_) => (Duration::from_secs(1), Duration::from_mins(10)),
            _ => (Duration::from_mins(1), Duration::from_hours(1)),
        };
        let doubled = first.saturating_mul(1 << times.saturating_sub(1).min(16)).min(most);
        match self {
            Self::Refused { wait: Some(wait), .. } => doubled.max(*wait),
            _ => doubled,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the CA cannot be asked: {}", plain(why)),
            Self::Strange(what) => write!(f, "the CA cannot be understood: {what}"),
            Self::Late => f.write_str("the CA took too long"),
            Self::Refused { kind, detail, .. } => {
                let known = match kind.as_str() {
                    "connection" => "the CA cannot reach port 443 of this domain",
                    "tls" => "what the CA found on port 443 of this domain speaks no TLS",
                    "unauthorized" | "incorrectResponse" => {
                        "the CA did not find this server on port 443 of this domain"
                    }
                    "dns" => "the CA finds no address of this domain",
                    "caa" => "the domain's CAA record names another CA",
                    "rateLimited" => "the CA has had too many requests for this domain",
                    _ => "the CA refuses",
                };
                write!(f, "{known} ({}: {})", plain(kind), plain(detail))
            }
        }
    }
}

/// Somebody else's words in one short line without addresses.
fn plain(text: &str) -> String {
    let words =
        text.split_whitespace().map(|word| if has_address(word) { "(address)" } else { word });
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars().filter(|letter| !letter.is_control()).take(DETAIL_MAX).collect()
}

/// Whether some part of a word reads as an IP address, with or without its port.
fn has_address(word: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_hexdigit() || letter == '.' || letter == ':';
    word.split(|letter| !is_part(letter)).any(|part| {
        let part = part.trim_end_matches(['.', ':']).trim_start_matches('.');
        // "IP:192.0.2.1" leaves its colon.
        [part, part.trim_start_matches(':')]
            .iter()
            .any(|part| part.parse::<IpAddr>().is_ok() || part.parse::<SocketAddr>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_repeated() {
        let table = [
            ("203.0.113.4: Timeout during connect", "(address) Timeout during connect"),
            ("dial tcp 127.0.0.1:443: connect: refused", "dial tcp (address) connect: refused"),
            ("at [2001:db8::1]:443.", "at (address)"),
            ("IP:203.0.113.4 refused", "(address) refused"),
            ("from https://203.0.113.4/x", "from (address)"),
            ("version 1.2, at 12:30\r\nX:\u{7} y", "version 1.2, at 12:30 X: y"),
        ];
        for (text, line) in table {
            assert_eq!(plain(text), line);
        }
        assert_eq!(plain(&"a".repeat(1000)).len(), DETAIL_MAX);
    }

    #[test]
    fn a_problem_is_told_in_our_words_and_theirs() {
        let problem = "{\"type\":\"urn:ietf:params:acme:error:connection\",\
                       \"detail\":\"203.0.113.4: Connection refused\",\"status\":400}";
        let failure = Failure::of_problem(problem).unwrap();
        assert!(failure.is("connection"));
        let text = "the CA cannot reach port 443 of this domain \
                    (connection: (address) Connection refused)";
        assert_eq!(failure.to_string(), text);
        assert_eq!(Failure::of_problem("{}"), None);
        assert_eq!(Failure::of_problem("<html>"), None);
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let away = Failure::Unreachable(String::new());
        let seconds: Vec<_> = (1..13).map(|times| away.pause(times).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        let minutes = |wait: Option<u64>| {
            let wait = wait.map(Duration::from_secs);
            let no = Failure::Refused { kind: String::new(), detail: String::new(), wait };
            (1..9).map(|times| no.pause(times).as_secs() / 60).collect::<Vec<_>>()
        };
        assert_eq!(minutes(None), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(minutes(Some(7200)), [120; 8]);
        assert_eq!(away.pause(u32::MAX), Duration::from_mins(10));
    }
}
