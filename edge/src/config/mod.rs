//! Options and the config file: what the owner decides, and clear words when it is wrong.
//!
//! An option and a key of the file are the same thing under the same name, with `-` or `_`; a
//! flag wins over the file, the file over the default.

mod file;
mod url;

use edge_core::rest::query::truth;
use std::ffi::OsString;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
pub use url::{Server, stun};

/// What `--help` prints.
pub const HELP: &str = "\
nightjar-edge: watches cameras, keeps what matters, shows it to paired phones.

Usage: nightjar-edge --data-dir DIR [OPTIONS]

  --data-dir DIR            Where everything that lasts is kept
  --camera [NAME=]SPEC      A camera; may be given several times. SPEC is
                              v4l2:/dev/videoN[?size=WxH&fps=N]
                              replay:PATH[?fps=2]  a JPEG, a folder of JPEGs, an .mjpeg file
                              demo:                a scene of our own
                            Default: the first V4L2 device
  --model FILE              The detector, a TFLite SSD; without one only motion is seen
  --labels FILE             Its labels, one a line; those of the COCO SSD are built in
  --signal URL              The signaling server, http(s):// or ws(s)://HOST[:PORT]/
  --signal-ca PEM           A certificate authority to trust for it
  --ice URL                 A STUN server, stun:HOST[:PORT]; may be given several times.
                            Default: those the signaling server names
  --http ADDR               Loopback address of the REST API (default 127.0.0.1:8778)
  --legacy-clients on|off   Let clients of label http-proxy in without pairing (default off)
  --max-sessions N          Phones connected at once (default 8)
  --threads N               Threads that the detector computes with, whatever the number of
                            cameras. Default: one for each core but one, at most 4
  --keep-bytes SIZE         How much is kept, as in 2GiB (default 2GiB)
  --keep-days N             How long it is kept (default 30)
  --name TEXT               This box's name, until a phone gives it another
  --box PATH                The socket of nightjar-box, for updates, Wi-Fi, restart and reset
  --config FILE             Reads options from a JSON file; keys are the names above with _
  --print-config            Prints the effective configuration and ends
  --version                 Prints the version and ends
  --help                    Prints this and ends

Once it answers it prints one line: ready http=ADDR";

/// Keys of the configuration, as the file writes them. `labels` adds labels that open events;
/// the option `--labels` is the key `labels_file`.
const KEYS: [&str; 17] = [
    "data_dir",
    "camera",
    "model",
    "labels",
    "labels_file",
    "signal",
    "signal_ca",
    "ice",
    "http",
    "legacy_clients",
    "max_sessions",
    "threads",
    "keep_bytes",
    "keep_days",
    "name",
    "box",
    "config",
];
/// Most threads of a detector unless more are asked for: its layers are too small to share
/// among more.
const THREADS: usize = 4;
/// Most entries of a repeatable option.
const REPEATS: usize = 16;

/// The effective configuration. Names are the options' names with `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where everything that lasts is kept.
    pub data_dir: PathBuf,
    /// Raw `[NAME=]SPEC`s, each parsed by `camera::Spec`.
    pub camera: Vec<String>,
    /// The detector.
    pub model: Option<PathBuf>,
    /// Its labels, one a line; built in for the COCO SSD.
    pub labels_file: Option<PathBuf>,
    /// Labels that open events besides the household ones.
    pub labels: Vec<String>,
    /// The signaling server.
    pub signal: Option<String>,
    /// A CA certificate for it, PEM.
    pub signal_ca: Option<PathBuf>,
    /// STUN servers; empty: the signaling server is asked.
    pub ice: Vec<String>,
    /// The loopback listener.
    pub http: SocketAddr,
    /// Whether label `http-proxy` is a principal.
    pub legacy_clients: bool,
    /// Sessions at once.
    pub max_sessions: usize,
    /// Threads that the detector computes with; with one, each camera's own does it.
    pub threads: usize,
    /// Bytes of log kept.
    pub keep_bytes: u64,
    /// Days events are kept.
    pub keep_days: u32,
    /// The box's name until a phone gives it another.
    pub name: Option<String>,
    /// The socket of nightjar-box: the key `box`.
    pub box_socket: Option<PathBuf>,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Run with this.
    Run(Config),
    /// Print this ([`Config::to_json`]) and end.
    PrintConfig(Config),
    /// Print [`HELP`] and end.
    Help,
    /// Print the version and end.
    Version,
}

/// Why the configuration is none: one clear line that names the option or key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Where a value came from, for errors' words.
#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Flag(&'a str),
    File(&'a str, &'a str),
}

impl std::fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::File(path, key) => write!(f, "{path}: key \"{key}\""),
        }
    }
}

impl Source<'_> {
    fn wrong(&self, value: &str, expected: &str) -> Error {
        Error(format!("{self}: {value:?} is wrong, expected {expected}"))
    }
}

/// What was said, before defaults. Repeatable keys hold all values in order.
#[derive(Debug, Default)]
struct Said(Vec<(&'static str, String)>);

impl Said {
    fn last(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }

    fn all(&self, key: &str) -> Vec<String> {
        self.0.iter().filter(|(name, _)| *name == key).map(|(_, value)| value.clone()).collect()
    }
}

impl Config {
    /// Reads the command line, without the program's name, and the config file it names.
    pub fn from_args<I>(args: I) -> Result<Command, Error>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let mut parser = lexopt::Parser::from_args(args);
        let mut flags = Said::default();
        let mut print = false;
        while let Some(argument) = parser.next().map_err(|error| Error(error.to_string()))? {
            let name = match argument {
                lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(Command::Help),
                lexopt::Arg::Long("version") | lexopt::Arg::Short('V') => {
                    return Ok(Command::Version);
                }
                lexopt::Arg::Long("print-config") => {
                    print = true;
                    continue;
                }
                lexopt::Arg::Long(name) => name.to_owned(),
                lexopt::Arg::Short(letter) => {
                    return Err(Error(format!("unknown option -{letter}; --help lists them")));
                }
                lexopt::Arg::Value(value) => {
                    let value = value.to_string_lossy().into_owned();
                    return Err(Error(format!(
                        "unexpected argument {value:?}; --help lists the options"
                    )));
                }
            };
            let key = key_of(&name)?;
            let value = parser.value().map_err(|_| Error(format!("--{name}: expected a value")))?;
            let value = value.into_string().map_err(|value| {
                Source::Flag(&name).wrong(&value.to_string_lossy(), "text in UTF-8")
            })?;
            flags.0.push((key, value));
        }
        let config = Self::settle(&flags)?;
        Ok(if print { Command::PrintConfig(config) } else { Command::Run(config) })
    }

    /// Flags over file over defaults.
    fn settle(flags: &Said) -> Result<Self, Error> {
        let path = flags.last("config").unwrap_or_default();
        let said = if path.is_empty() { Said::default() } else { file::read(path)? };
        let one = |key: &'static str| match (flags.last(key), said.last(key)) {
            (Some(value), _) => Some((Source::Flag(flag_of(key)), value)),
            (None, Some(value)) => Some((Source::File(path, key), value)),
            (None, None) => None,
        };
        let many = |key: &'static str| {
            let values = flags.all(key);
            let values = if values.is_empty() { said.all(key) } else { values };
            if values.len() > REPEATS {
                return Err(Error(format!("{key}: more than {REPEATS} values")));
            }
            Ok(values)
        };
        let path_of = |key| one(key).map(|(_, value)| PathBuf::from(value));
        let data_dir = path_of("data_dir").filter(|dir| !dir.as_os_str().is_empty());
        // One core is the network's, and the store's.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.saturating_sub(1).clamp(1, THREADS);
        Ok(Self {
            data_dir: data_dir.ok_or_else(|| Error("--data-dir DIR is missing".into()))?,
            camera: many("camera")?,
            model: path_of("model"),
            labels_file: path_of("labels_file"),
            labels: many("labels")?,
            signal: one("signal").map(signal).transpose()?,
            signal_ca: path_of("signal_ca"),
            ice: ice(one("ice").map_or(Source::Flag("ice"), |(source, _)| source), many("ice")?)?,
            http: one("http").map_or(Ok(SocketAddr::from(([127, 0, 0, 1], 8778))), address)?,
            legacy_clients: one("legacy_clients").map_or(Ok(false), switch)?,
            max_sessions: one("max_sessions").map_or(Ok(8), |said| count(said, 1, 64))?,
            threads: one("threads").map_or(Ok(threads), |said| count(said, 1, 64))?,
            keep_bytes: one("keep_bytes").map_or(Ok(2 << 30), size)?,
            keep_days: one("keep_days").map_or(Ok(30), |said| count(said, 1, 36_500))?,
            name: one("name").map(name).transpose()?,
            box_socket: path_of("box"),
        })
    }

    /// This configuration as a config file would hold it.
    pub fn to_json(&self) -> String {
        let mut out = String::from("{");
        let path = |path: &Option<PathBuf>| {
            path.as_ref().map_or("null".into(), |path| file::quote(&path.to_string_lossy()))
        };
        let text = |text: &Option<String>| text.as_deref().map_or("null".into(), file::quote);
        let list = |list: &[String]| {
            let quoted: Vec<_> = list.iter().map(|text| file::quote(text)).collect();
            format!("[{}]", quoted.join(", "))
        };
        let pairs = [
            ("data_dir", file::quote(&self.data_dir.to_string_lossy())),
            ("camera", list(&self.camera)),
            ("model", path(&self.model)),
            ("labels", list(&self.labels)),
            ("labels_file", path(&self.labels_file)),
            ("signal", text(&self.signal)),
            ("signal_ca", path(&self.signal_ca)),
            ("ice", list(&self.ice)),
            ("http", file::quote(&self.http.to_string())),
            ("legacy_clients", self.legacy_clients.to_string()),
            ("max_sessions", self.max_sessions.to_string()),
            ("threads", self.threads.to_string()),
            ("keep_bytes", self.keep_bytes.to_string()),
            ("keep_days", self.keep_days.to_string()),
            ("name", text(&self.name)),
            ("box", path(&self.box_socket)),
        ];
        for (at, (key, value)) in pairs.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(out, "{comma}\n  \"{key}\": {value}");
        }
        out + "\n}"
    }
}

/// The key of an option.
fn key_of(option: &str) -> Result<&'static str, Error> {
    let key = if option == "labels" { "labels_file".into() } else { option.replace('-', "_") };
    let own = option != "labels-file" && !option.contains('_');
    KEYS.into_iter().find(|known| own && *known == key).ok_or_else(|| {
        let options = KEYS.into_iter().filter(|key| *key != "labels").map(flag_of);
        let extra = ["print-config", "version", "help"];
        let guess = closest(option, options.chain(extra), "--");
        Error(format!("unknown option --{option}{guess}"))
    })
}

/// The option of a key.
fn flag_of(key: &'static str) -> &'static str {
    match key {
        "data_dir" => "data-dir",
        "labels_file" => "labels",
        "signal_ca" => "signal-ca",
        "legacy_clients" => "legacy-clients",
        "max_sessions" => "max-sessions",
        "keep_bytes" => "keep-bytes",
        "keep_days" => "keep-days",
        other => other,
    }
}

/// `; did you mean X?` where a known name is near.
fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>, prefix: &str) -> String {
    let near = known.map(|name| (distance(word, name), name)).min();
    match near {
        Some((steps, name)) if steps <= 1 + name.len() / 4 => {
            format!("; did you mean {prefix}{name}?")
        }
        _ => String::new(),
    }
}

/// Levenshtein's distance: letters to add, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn signal((source, value): (Source<'_>, &str)) -> Result<String, Error> {
    let server = Server::parse(value);
    server.map(|_| value.into()).ok_or_else(|| source.wrong(value, Server::EXPECTED))
}

fn ice(source: Source<'_>, values: Vec<String>) -> Result<Vec<String>, Error> {
    match values.iter().find(|value| stun(value).is_none()) {
        Some(value) => Err(source.wrong(value, "stun:HOST[:PORT]; TURN is not for this box")),
        None => Ok(values),
    }
}

fn address((source, value): (Source<'_>, &str)) -> Result<SocketAddr, Error> {
    let local = value.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: Option<SocketAddr> = local.as_deref().unwrap_or(value).parse().ok();
    let loopback = address.filter(|address| address.ip().is_loopback());
    loopback.ok_or_else(|| source.wrong(value, "a loopback address, as in 127.0.0.1:8778"))
}

fn switch((source, value): (Source<'_>, &str)) -> Result<bool, Error> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        other => truth(other).ok_or_else(|| source.wrong(value, "on or off")),
    }
}

fn count<T: TryFrom<u64>>(
    (source, value): (Source<'_>, &str),
    least: u64,
    most: u64,
) -> Result<T, Error> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| source.wrong(value, &format!("a number from {least} to {most}")))
}

/// `2GiB`, `500MB`, `1048576`.
fn size((source, value): (Source<'_>, &str)) -> Result<u64, Error> {
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = value.split_at(digits);
    let factor: Option<u64> = match unit.trim_start() {
        "" | "B" => Some(1),
        "kB" | "KB" => Some(1000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    let bytes = number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    let enough = bytes.filter(|bytes| *bytes >= 1 << 20);
    enough.ok_or_else(|| source.wrong(value, "a size of 1MiB or more, as in 2GiB"))
}

fn name((source, value): (Source<'_>, &str)) -> Result<String, Error> {
    let name = edge_core::rest::json::check_name(value);
    let expected = "a text of 1 to 64 bytes without control characters";
    name.map(|name| name.as_str().into()).ok_or_else(|| source.wrong(value, expected))
}

#[cfg(test)]
mod tests;
