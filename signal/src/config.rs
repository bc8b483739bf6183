//! The command line.

use crate::error::Error;
use lexopt::prelude::{Long, Short, Value};
use signal_proto::network::Prefix;
use signal_proto::realm;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// What `--help` says.
pub const HELP: &str = "\
The meeting place of Nightjar: PeerJS-compatible signaling with rooms, STUN, and the web app.
It keeps nothing: no account, no file, no address in a log.

Usage: nightjar-signal [OPTIONS]

  --listen ADDR              where to answer HTTP and WebSocket [0.0.0.0:9000]; [::]:9000 takes
                             IPv4 and IPv6; port 0 takes a free one
  --path PATH                the prefix of every route [/]
  --key KEY                  the key that clients name [peerjs]
  --home                     this server stands in the home it serves: its local network is one
                             room
  --room-secret HEX          derive room ids from this instead of a random secret of the day
  --trusted-proxy CIDR       believe X-Forwarded-For from there; may be given several times
  --tls-cert PEM             answer HTTPS with this certificate chain ...
  --tls-key PEM              ... and this key
  --stun ADDR                answer STUN on this UDP address
  --turn-url URL             offer this TURN server, with passwords for a few hours ...
  --turn-secret FILE         ... made from the secret in this file (coturn: static-auth-secret)
  --metrics ADDR             answer GET /metrics (Prometheus) there, and nothing else
  --max-clients N            most clients at once [5000]
  --max-per-address N        most clients of one IPv4 address or IPv6 /64 [64]
  --message-rate N           messages a second of one client; four times as many at once [50]
  --alive-timeout-ms N       close who was silent for so long [60000]
  --expire-timeout-ms N      keep messages for an absent peer so long [5000]
  --strict-expire            tell every client of expired messages, not only those that name
                             their PeerJS version
  --version, --help
";

/// Options of the contract that a later version will know.
const LATER: [&str; 5] = ["domain", "state-dir", "acme-directory", "acme-ca", "redirect"];

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Run(Box<Config>),
    /// Say what the options are.
    Help,
    /// Say which version this is.
    Version,
}

/// Two files, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A TURN server to offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// `turn:` or `turns:`.
    pub url: String,
    /// The file that holds the secret shared with it.
    pub secret: PathBuf,
}

impl Turn {
    /// The secret in the file.
    pub fn read_secret(&self) -> Result<Vec<u8>, Error> {
        let wrong = |what: String| Error::new(format!("{}: {what}", self.secret.display()));
        let text =
            std::fs::read_to_string(&self.secret).map_err(|error| wrong(error.to_string()))?;
        let secret = text.trim();
        if secret.is_empty() {
            return Err(wrong("no secret in it".into()));
        }
        Ok(secret.as_bytes().to_vec())
    }
}

/// How to serve.
#[derive(Debug)]
pub struct Config {
    /// Address for HTTP and WebSocket.
    pub listen: SocketAddr,
    /// Prefix of every route; begins and ends with a slash.
    pub path: String,
    /// The key that clients name.
    pub key: String,
    /// The server stands in the home it serves.
    pub home: bool,
    /// Room ids are derived from this; `None`: from a random secret.
    pub room_secret: Option<Vec<u8>>,
    /// Who is believed about X-Forwarded-For.
    pub trusted: Vec<Prefix>,
    /// Address for STUN.
    pub stun: Option<SocketAddr>,
    /// A TURN server to offer.
    pub turn: Option<Turn>,
    /// Serve HTTPS.
    pub tls: Option<TlsFiles>,
    /// Address for the operator's figures.
    pub metrics: Option<SocketAddr>,
    /// Limits of the realm.
    pub realm: realm::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 9000)),
            path: "/".into(),
            key: "peerjs".into(),
            home: false,
            room_secret: None,
            trusted: Vec::new(),
            stun: None,
            turn: None,
            tls: None,
            metrics: None,
            realm: realm::Config::default(),
        }
    }
}

/// Options that only mean something in pairs.
#[derive(Default)]
struct Pairs {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    turn_url: Option<String>,
    turn_secret: Option<PathBuf>,
}

impl Config {
    /// Reads the arguments after the program's name.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
        let mut parser = lexopt::Parser::from_args(args);
        let (mut config, mut pairs) = (Self::default(), Pairs::default());
        while let Some(argument) = parser.next().map_err(|error| Error::new(error.to_string()))? {
            match argument {
                Short('h') | Long("help") => return Ok(Command::Help),
                Short('V') | Long("version") => return Ok(Command::Version),
                Long(name) => {
                    let name = name.to_owned();
                    config.option(&mut pairs, &name, &mut parser)?;
                }
                Short(letter) => return Err(Error::new(format!("unknown option -{letter}"))),
                Value(value) => {
                    let value = value.to_string_lossy();
                    return Err(Error::new(format!("unexpected argument {value:?}")));
                }
            }
        }
        config.complete(pairs)?;
        Ok(Command::Run(Box::new(config)))
    }

    fn option(
        &mut self,
        pairs: &mut Pairs,
        name: &str,
        parser: &mut lexopt::Parser,
    ) -> Result<(), Error> {
        let mut text = || {
            let value =
                parser.value().map_err(|_| Error::new(format!("--{name} needs a value")))?;
            value.into_string().map_err(|_| Error::new(format!("--{name}: not a text")))
        };
        match name {
            "home" => self.home = true,
            "strict-expire" => self.realm.strict_expire = true,
            "listen" => self.listen = parse(name, &text()?, "ADDRESS:PORT")?,
            "stun" => self.stun = Some(parse(name, &text()?, "ADDRESS:PORT")?),
            "metrics" => self.metrics = Some(parse(name, &text()?, "ADDRESS:PORT")?),
            "path" => self.path = parse_path(&text()?)?,
            "key" => self.key = parse_key(text()?)?,
            "room-secret" => self.room_secret = Some(parse_hex(&text()?)?),
            "trusted-proxy" => self.trusted.push(parse_prefix(&text()?)?),
            "turn-url" => pairs.turn_url = Some(parse_turn(text()?)?),
            "turn-secret" => pairs.turn_secret = Some(text()?.into()),
            "tls-cert" => pairs.cert = Some(text()?.into()),
            "tls-key" => pairs.key = Some(text()?.into()),
            "max-clients" => self.realm.max_clients = count(name, &text()?)?,
            "max-per-address" => self.realm.max_per_address = count(name, &text()?)?,
            "message-rate" => self.realm.message_rate = count(name, &text()?)?,
            "alive-timeout-ms" => self.realm.alive_ms = count(name, &text()?)?,
            "expire-timeout-ms" => self.realm.expire_ms = count(name, &text()?)?,
            later if LATER.contains(&later) => {
                return Err(Error::new(format!("--{later} is not yet supported in this version")));
            }
            unknown => return Err(Error::new(format!("unknown option --{unknown}"))),
        }
        Ok(())
    }

    fn complete(&mut self, pairs: Pairs) -> Result<(), Error> {
        self.tls = match (pairs.cert, pairs.key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            _ => return Err(Error::new("--tls-cert and --tls-key need each other")),
        };
        self.turn = match (pairs.turn_url, pairs.turn_secret) {
            (Some(url), Some(secret)) => Some(Turn { url, secret }),
            (None, None) => None,
            _ => return Err(Error::new("--turn-url and --turn-secret need each other")),
        };
        Ok(())
    }
}

fn parse<T: FromStr>(name: &str, text: &str, expected: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::new(format!("--{name} {text:?}: expected {expected}")))
}

/// A number above 0.
fn count<T: FromStr + PartialEq + Default>(name: &str, text: &str) -> Result<T, Error> {
    let number: T = parse(name, text, "a whole number above 0")?;
    if number == T::default() {
        return Err(Error::new(format!("--{name} 0: expected a whole number above 0")));
    }
    Ok(number)
}

fn parse_prefix(text: &str) -> Result<Prefix, Error> {
    let wrong = || Error::new(format!("--trusted-proxy {text:?}: expected ADDRESS/LENGTH"));
    Prefix::parse(text).ok_or_else(wrong)
}

/// `signal` and `/signal` are `/signal/`.
fn parse_path(text: &str) -> Result<String, Error> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/-_.~".contains(letter);
    if !text.chars().all(plain) || text.contains("//") || text.contains("..") {
        return Err(Error::new(format!("--path {text:?}: expected letters, digits and /-_.~")));
    }
    let inside = text.trim_matches('/');
    Ok(if inside.is_empty() { "/".into() } else { format!("/{inside}/") })
}

fn parse_key(text: String) -> Result<String, Error> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if text.is_empty() || !text.chars().all(plain) {
        return Err(Error::new(format!("--key {text:?}: expected letters, digits, - and _")));
    }
    Ok(text)
}

fn parse_turn(text: String) -> Result<String, Error> {
    let is_turn = text.starts_with("turn:") || text.starts_with("turns:");
    if !is_turn || text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(Error::new(format!("--turn-url {text:?}: expected turn:HOST or turns:HOST")));
    }
    Ok(text)
}

fn parse_hex(text: &str) -> Result<Vec<u8>, Error> {
    let wrong = || Error::new("--room-secret: expected hex digits, two for each byte");
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        plain.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
    bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, Error> {
        Config::from_args(line.split_whitespace().map(OsString::from))
    }

    fn run(line: &str) -> Config {
        match read(line) {
            Ok(Command::Run(config)) => *config,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_option_is_read() {
        let config = run(
            "--listen [::]:0 --key k-1 --path signal --home --room-secret 00fF --trusted-proxy \
             10.0.0.0/8 --trusted-proxy=::1 --max-clients 7 --max-per-address 3 --message-rate 9 \
             --alive-timeout-ms 100 --expire-timeout-ms 200 --strict-expire --stun 127.0.0.1:0 \
             --metrics [::1]:9 --turn-url turn:t.example:3478?transport=udp --turn-secret f --tls-cert c --tls-key k",
        );
        assert_eq!((config.listen.to_string(), config.key), ("[::]:0".into(), "k-1".into()));
        assert_eq!((config.path, config.home), ("/signal/".into(), true));
        assert_eq!((config.room_secret, config.trusted.len()), (Some(vec![0, 255]), 2));
        let limits = realm::Config {
            alive_ms: 100,
            expire_ms: 200,
            strict_expire: true,
            max_clients: 7,
            max_per_address: 3,
            message_rate: 9,
        };
        assert_eq!(config.realm, limits);
        assert_eq!(config.metrics.map(|at| at.port()), Some(9));
        assert!(config.stun.is_some() && config.turn.is_some() && config.tls.is_some());
        let config = run("");
        assert_eq!((config.listen.port(), config.path.as_str()), (9000, "/"));
        assert_eq!(run("--path /a/b/").path, "/a/b/");
        assert!(matches!(read("--help"), Ok(Command::Help)));
        assert!(matches!(read("--version"), Ok(Command::Version)));
    }

    #[test]
    fn every_mistake_is_named() {
        let table = [
            ("--port 1", "unknown option --port"),
            ("-x", "unknown option -x"),
            ("extra", "unexpected argument \"extra\""),
            ("--listen", "--listen needs a value"),
            ("--listen localhost", "--listen \"localhost\": expected ADDRESS:PORT"),
            ("--max-clients 0", "--max-clients 0: expected a whole number above 0"),
            ("--max-clients -1", "--max-clients \"-1\": expected a whole number above 0"),
            ("--trusted-proxy x", "--trusted-proxy \"x\": expected ADDRESS/LENGTH"),
            ("--room-secret abc", "--room-secret: expected hex digits, two for each byte"),
            ("--room-secret +1", "--room-secret: expected hex digits, two for each byte"),
            ("--tls-cert a", "--tls-cert and --tls-key need each other"),
            ("--turn-secret a", "--turn-url and --turn-secret need each other"),
            ("--turn-url http://x", "--turn-url \"http://x\": expected turn:HOST or turns:HOST"),
            ("--path a?b", "--path \"a?b\": expected letters, digits and /-_.~"),
            ("--domain x", "--domain is not yet supported in this version"),
            ("--metrics 9100", "--metrics \"9100\": expected ADDRESS:PORT"),
        ];
        for (line, text) in table {
            assert_eq!(read(line).map(|_| ()).unwrap_err().to_string(), text, "{line}");
        }
    }
}
