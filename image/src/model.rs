//! The detection model: where it lies, and how it is brought once from its upstream.
//!
//! Only the pinned file is ever accepted, by its SHA-256, wherever it came from. Nothing
//! else on the network is asked, and its host is named before it is.

use crate::failure::Failure;
use crate::screen::{self, Screen, bar};
use aws_lc_rs::digest::{Context, SHA256};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ureq::tls::{TlsConfig, TlsProvider};

/// The file's name in `NIGHTJAR_MODELS` and in the cache.
const FILE: &str = "ssd_mobilenet_v1_coco_quant.tflite";
/// Its length; a longer answer is refused.
const BYTES: u64 = 4_183_312;
/// Its digest.
const SHA256_HEX: &str = "e4b118e5e4531945de2e659742c7c590f7536f8d0ed26d135abcfe83b4779d13";
/// Where its makers publish it, by commit.
const UPSTREAM: &str = "https://raw.githubusercontent.com/tensorflow/tflite-support/\
dd3362ea685bb7ab1f7268c81ec567d3b720ae57/tensorflow_lite_support/metadata/python/tests/testdata/\
object_detector/ssd_mobilenet_v1.tflite";

/// How long each step towards the host may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(8);
/// How long the host may say nothing.
const SILENT_FOR: Duration = Duration::from_secs(15);
/// Bytes read at a time.
const PIECE: usize = 32 * 1024;

/// Where the file is brought from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// An http or https address; what it answers must be the pinned file.
    pub(crate) url: String,
}

impl Default for Source {
    fn default() -> Self {
        Self { url: UPSTREAM.into() }
    }
}

impl Source {
    /// The host alone, as it is named to people.
    pub(crate) fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or(rest)
    }
}

/// The model on this machine: in the folder that `NIGHTJAR_MODELS` names, else in the cache.
/// A file in the cache that is not the pinned one counts as missing.
pub(crate) fn find() -> Option<PathBuf> {
    let named = std::env::var_os("NIGHTJAR_MODELS").map(|folder| Path::new(&folder).join(FILE));
    if let Some(path) = named.filter(|path| path.is_file()) {
        return Some(path);
    }
    let path = cache()?.join(FILE);
    is_pinned(&path).ok()?.then_some(path)
}

/// Brings the model into the user's cache, unless it is there, and says where it lies.
pub(crate) fn fetch(source: &Source, screen: &Mutex<Screen>) -> Result<PathBuf, Failure> {
    if let Some(path) = find() {
        return Ok(path);
    }
    let folder = cache().ok_or_else(|| trouble("no cache folder: HOME is not set"))?;
    let host = source.host();
    screen::lock(screen).say(&format!("Fetching the model (4.2 MB, once) from {host}"));
    let path = folder.join(FILE);
    let part = folder.join(format!("{FILE}.{}.part", std::process::id()));
    let done = fs::create_dir_all(&folder)
        .map_err(|error| trouble(&format!("{}: {error}", folder.display())))
        .and_then(|()| download(source, &part, screen))
        .and_then(|()| {
            let renamed = fs::rename(&part, &path);
            renamed.map_err(|error| trouble(&format!("{}: {error}", path.display())))
        });
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done.map(|()| path)
}

fn trouble(line: &str) -> Failure {
    Failure::Trouble(line.into())
}

/// `$XDG_CACHE_HOME/nightjar` or `~/.cache/nightjar`.
fn cache() -> Option<PathBuf> {
    user_folder("XDG_CACHE_HOME", ".cache")
}

/// `$variable/nightjar`, else `~/beneath_home/nightjar`.
pub(crate) fn user_folder(variable: &str, beneath_home: &str) -> Option<PathBuf> {
    let absolute = |value: OsString| Some(PathBuf::from(value)).filter(|path| path.is_absolute());
    let named = std::env::var_os(variable).and_then(absolute);
    let home = || Some(std::env::var_os("HOME").and_then(absolute)?.join(beneath_home));
    Some(named.or_else(home)?.join("nightjar"))
}

/// An agent that waits only so long. `proxied` honours the user's proxy variables.
pub(crate) fn agent(proxied: bool) -> ureq::Agent {
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(crypto)
        .build();
    let mut config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_resolve(Some(CONNECT_WITHIN))
        .timeout_connect(Some(CONNECT_WITHIN))
        .timeout_recv_response(Some(SILENT_FOR))
        .timeout_per_read(Some(SILENT_FOR));
    if !proxied {
        config = config.proxy(None);
    }
    config.build().new_agent()
}

fn download(source: &Source, part: &Path, screen: &Mutex<Screen>) -> Result<(), Failure> {
    let host = source.host();
    let answer = agent(true).get(&source.url).call();
    let answer =
        answer.map_err(|error| trouble(&format!("{host} does not give the model: {error}")))?;
    let body = answer.into_body().into_reader().take(BYTES + 1);
    let digest =
        copy(body, part, screen).map_err(|error| trouble(&format!("from {host}: {error}")))?;
    if digest == SHA256_HEX {
        return Ok(());
    }
    Err(trouble(&format!("{host} answered with something else than the model (SHA-256 {digest})")))
}

/// Writes `body` to `part`, synced, and returns its digest in hex.
fn copy(mut body: impl Read, part: &Path, screen: &Mutex<Screen>) -> io::Result<String> {
    let mut file = File::create(part)?;
    let mut digest = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    loop {
        let read = body.read(&mut piece)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        file.write_all(bytes)?;
        digest.update(bytes);
        done += read as u64;
        let mut screen = screen::lock(screen);
        if screen.is_terminal() {
            screen.live(&bar(done, BYTES));
        }
    }
    file.sync_all()?;
    screen::lock(screen).rest();
    Ok(hex(digest.finish().as_ref()))
}

fn is_pinned(path: &Path) -> io::Result<bool> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES + 1).read_to_end(&mut bytes)?;
    Ok(hex(aws_lc_rs::digest::digest(&SHA256, &bytes).as_ref()) == SHA256_HEX)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_people_would_call_it() {
        assert_eq!(Source::default().host(), "raw.githubusercontent.com");
        for (url, host) in [("http://a:1/x", "a:1"), ("b/x", "b"), ("", ""), ("https://c?x", "c")] {
            assert_eq!(Source { url: url.into() }.host(), host);
        }
    }

    #[test]
    fn digests_are_written_in_hex() {
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
    }
}
