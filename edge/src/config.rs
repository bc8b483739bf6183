//! Options and the config file: what the owner decides, and clear words when it is wrong.

use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// Labels shown besides the household ones.
    pub labels: Vec<String>,
    /// The signaling server.
    pub signal: Option<String>,
    /// A CA certificate for it, PEM.
    pub signal_ca: Option<PathBuf>,
    /// ICE servers; empty: the signaling server is asked.
    pub ice: Vec<String>,
    /// The loopback listener.
    pub http: SocketAddr,
    /// Whether label `http-proxy` is a principal.
    pub legacy_clients: bool,
    /// Sessions at once.
    pub max_sessions: usize,
    /// Inference threads.
    pub threads: usize,
    /// Bytes of log kept.
    pub keep_bytes: u64,
    /// Days events are kept.
    pub keep_days: u32,
    /// The box's name until a phone gives it another.
    pub name: Option<String>,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Run with this.
    Run(Config),
    /// Print this and end.
    PrintConfig(Config),
    /// Print the help and end.
    Help,
    /// Print the version and end.
    Version,
}

/// Why the configuration is none: one clear line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
