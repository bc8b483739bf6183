//! The command line.

use crate::error::Error;
use crate::secret::Secret;
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
It keeps nothing of anybody: no account, no file, no address in a log.

Usage: nightjar-signal [OPTIONS]

  --listen ADDR              where to answer HTTP and WebSocket, ADDRESS:PORT [0.0.0.0:9000];
                             [::]:9000 takes IPv4 and IPv6; port 0 takes a free one
  --path PATH                the prefix of every route [/]
  --key KEY                  the key that clients name [peerjs]
  --home                     this server stands in the home it serves: its local network is one
                             room
  --room-secret HEX          derive room ids from this instead of a random secret of the day
  --trusted-proxy CIDR       believe X-Forwarded-For from there, as 10.0.0.0/8 or ::1; may be
                             given several times
  --domain NAME              answer HTTPS with a certificate for this name, obtained from a CA
                             and renewed: that is consent to the CA's terms. The CA comes to port
                             443 of NAME (TLS-ALPN-01), which must lead to --listen
  --state-dir DIR            where the CA's account and the certificate are kept
  --acme-directory URL       another CA than Let's Encrypt
                             [https://acme-v02.api.letsencrypt.org/directory]
  --acme-ca PEM              trust these certificates when asking that CA
  --tls-cert PEM             answer HTTPS with this certificate chain, read again when it changes
                             and on SIGHUP ...
  --tls-key PEM              ... and this key
  --redirect ADDR            send who asks here by http to https
  --stun ADDR                answer STUN on this UDP address
  --turn-url URL             offer this TURN server (turn:HOST:PORT?transport=udp), with passwords
                             for a few hours ...
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

/// The CA that is asked where none is named.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

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

/// A name whose certificate a CA gives, by ACME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The name, in lower case.
    pub name: String,
    /// What is kept lies here.
    pub state_dir: PathBuf,
    /// The CA's directory, a URL.
    pub directory: String,
    /// Who vouches for the CA's own server; `None`: the well-known authorities.
    pub ca: Option<PathBuf>,
}

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// From files.
    Files(TlsFiles),
    /// From a CA.
    Domain(Domain),
}

impl Tls {
    /// The option that asks for it.
    pub const fn option(&self) -> &'static str {
        match self {
            Self::Files(_) => "--tls-cert",
            Self::Domain(_) => "--domain",
        }
    }
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
    pub fn read_secret(&self) -> Result<Secret, Error> {
        let wrong = |what: String| Error::new(format!("{}: {what}", self.secret.display()));
        let text =
            std::fs::read_to_string(&self.secret).map_err(|error| wrong(error.to_string()))?;
        let secret = text.trim();
        if secret.is_empty() {
            return Err(wrong("no secret in it".into()));
        }
        Ok(secret.as_bytes().to_vec().into())
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
    pub room_secret: Option<Secret>,
    /// Who is believed about X-Forwarded-For.
    pub trusted: Vec<Prefix>,
    /// Address for STUN.
    pub stun: Option<SocketAddr>,
    /// A TURN server to offer.
    pub turn: Option<Turn>,
    /// Serve HTTPS.
    pub tls: Option<Tls>,
    /// Address where http is sent to https.
    pub redirect: Option<SocketAddr>,
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
            redirect: None,
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
    domain: Option<String>,
    state_dir: Option<PathBuf>,
    directory: Option<String>,
    ca: Option<PathBuf>,
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
                Short(letter) => {
                    return Err(Error::new(format!("unknown option -{letter}; --help lists them")));
                }
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
            "domain" => pairs.domain = Some(parse_domain(&text()?)?),
            "state-dir" => pairs.state_dir = Some(text()?.into()),
            "acme-directory" => pairs.directory = Some(text()?),
            "acme-ca" => pairs.ca = Some(text()?.into()),
            "redirect" => self.redirect = Some(parse(name, &text()?, "ADDRESS:PORT")?),
            "max-clients" => self.realm.max_clients = count(name, &text()?)?,
            "max-per-address" => self.realm.max_per_address = count(name, &text()?)?,
            "message-rate" => self.realm.message_rate = count(name, &text()?)?,
            "alive-timeout-ms" => self.realm.alive_ms = count(name, &text()?)?,
            "expire-timeout-ms" => self.realm.expire_ms = count(name, &text()?)?,
            unknown => {
                return Err(Error::new(format!("unknown option --{unknown}; --help lists them")));
            }
        }
        Ok(())
    }

    fn complete(&mut self, pairs: Pairs) -> Result<(), Error> {
        let files = match (pairs.cert, pairs.key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            _ => return Err(Error::new("--tls-cert and --tls-key need each other")),
        };
        let domain = match (pairs.domain, pairs.state_dir) {
            (Some(name), Some(state_dir)) => {
                let directory = pairs.directory.unwrap_or_else(|| DIRECTORY.into());
                Some(Domain { name, state_dir, directory, ca: pairs.ca })
            }
            (None, None) if pairs.directory.is_some() || pairs.ca.is_some() => {
                return Err(Error::new("--acme-directory and --acme-ca need --domain"));
            }
            (None, None) => None,
            _ => return Err(Error::new("--domain and --state-dir need each other")),
        };
        self.tls = match (files, domain) {
            (Some(_), Some(_)) => return Err(Error::new("--domain or --tls-cert, not both")),
            (files, domain) => files.map(Tls::Files).or(domain.map(Tls::Domain)),
        };
        if self.redirect.is_some() && self.tls.is_none() {
            return Err(Error::new("--redirect needs --domain or --tls-cert"));
        }
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

/// A name of the DNS, in lower case; it becomes part of a file's name.
fn parse_domain(text: &str) -> Result<String, Error> {
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !(label.starts_with('-') || label.ends_with('-'))
    };
    // What ends in a number is an address, or would be taken for one.
    let is_address =
        text.rsplit('.').next().is_some_and(|it| it.bytes().all(|b| b.is_ascii_digit()));
    if text.len() > 253 || is_address || !text.split('.').all(is_label) {
        return Err(Error::new(format!(
            "--domain {text:?}: expected one name such as meet.example.org (others than ASCII as xn--...)"
        )));
    }
    Ok(text.to_ascii_lowercase())
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

fn parse_hex(text: &str) -> Result<Secret, Error> {
    let wrong = || Error::new("--room-secret: expected hex digits, two for each byte");
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        plain.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
    bytes.filter(|bytes| !bytes.is_empty()).map(Secret::from).ok_or_else(wrong)
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
             --metrics [::1]:9 --turn-url turn:t.example:3478?transport=udp --turn-secret f \
             --tls-cert c --tls-key k --redirect [::]:80",
        );
        assert!(format!("{config:?}").contains("Secret(..)"), "nothing shows it");
        assert_eq!((config.listen.to_string(), config.key), ("[::]:0".into(), "k-1".into()));
        assert_eq!((config.path, config.home), ("/signal/".into(), true));
        assert_eq!((config.room_secret, config.trusted.len()), (Some(vec![0, 255].into()), 2));
        let limits = realm::Config {
            alive_ms: 100,
            expire_ms: 200,
            strict_expire: true,
            max_clients: 7,
            max_per_address: 3,
            message_rate: 9,
        };
        assert_eq!(config.realm, limits);
        assert!(config.stun.is_some() && config.turn.is_some() && config.redirect.is_some());
        assert_eq!(config.metrics.map(|at| at.port()), Some(9));
        let files = TlsFiles { cert: "c".into(), key: "k".into() };
        assert_eq!(config.tls, Some(Tls::Files(files)));
        let mut domain = Domain {
            name: "meet.example".into(),
            state_dir: "d".into(),
            directory: DIRECTORY.into(),
            ca: None,
        };
        let line = "--domain Meet.Example --state-dir d";
        assert_eq!(run(line).tls, Some(Tls::Domain(domain.clone())));
        (domain.directory, domain.ca) = ("https://ca/d".into(), Some("c".into()));
        let line = format!("{line} --acme-directory https://ca/d --acme-ca c");
        assert_eq!(run(&line).tls, Some(Tls::Domain(domain)));
        let config = run("");
        assert_eq!((config.listen.port(), config.path.as_str()), (9000, "/"));
        assert_eq!(run("--path /a/b/").path, "/a/b/");
        assert!(matches!(read("--help"), Ok(Command::Help)));
        assert!(matches!(read("--version"), Ok(Command::Version)));
    }

    #[test]
    fn domains_are_names_of_the_dns() {
        for text in
            ["localhost", "a.b", "A-1.example", "xn--bcher-kva.example", &"a.".repeat(99)[..197]]
        {
            assert_eq!(parse_domain(text), Ok(text.to_ascii_lowercase()), "{text}");
        }
        let long = ["a".repeat(64), "a.".repeat(130) + "a"];
        let wrong = [
            "",
            ".",
            "a.",
            "a..b",
            "-a",
            "a-",
            "../x",
            "a/b",
            "a b",
            "1.2.3.4",
            "::1",
            "b\u{fc}cher",
        ];
        for text in wrong.into_iter().chain(long.iter().map(String::as_str)) {
            assert!(parse_domain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let table = [
            ("--port 1", "unknown option --port; --help lists them"),
            ("-x", "unknown option -x; --help lists them"),
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
            ("--domain x", "--domain and --state-dir need each other"),
            ("--acme-ca x", "--acme-directory and --acme-ca need --domain"),
            ("--redirect 0.0.0.0:80", "--redirect needs --domain or --tls-cert"),
            (
                "--domain a.example --state-dir d --tls-cert c --tls-key k",
                "--domain or --tls-cert, not both",
            ),
            (
                "--domain *.example",
                "--domain \"*.example\": expected one name such as meet.example.org (others than \
                 ASCII as xn--...)",
            ),
            ("--metrics 9100", "--metrics \"9100\": expected ADDRESS:PORT"),
        ];
        for (line, text) in table {
            assert_eq!(read(line).map(|_| ()).unwrap_err().to_string(), text, "{line}");
        }
    }
}
