//! What a box gave this computer when they were paired: one file for each box, its owner's alone.

use crate::failure::{Failure, trouble};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest token (contract: 128 bits in hex digits), bytes.
const TOKEN_BYTES: usize = 64;

/// The token of one box.
#[derive(Debug)]
pub(super) struct Tokens(PathBuf);

impl Tokens {
    /// In the user's configuration. A box's id is digits and hyphens; any other names no file.
    pub(super) fn of(id: &str) -> Result<Self, Failure> {
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
        if id.is_empty() || !id.bytes().all(is_plain) {
            return Err(Failure::Trouble("the box has an id that is none".into()));
        }
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".config"));
        let folder = std::env::var_os("XDG_CONFIG_HOME").filter(|it| !it.is_empty());
        let folder = folder.map(PathBuf::from).or_else(home);
        let folder = folder.ok_or_else(|| {
            Failure::Trouble("no place for the box's token: HOME is not set".into())
        })?;
        Ok(Self(folder.join("nightjar/boxes").join(id)))
    }

    /// The token, where there is one.
    pub(super) fn read(&self) -> Result<Option<String>, Failure> {
        match fs::read_to_string(&self.0) {
            Ok(token) => Ok(Some(token).filter(|it| is_token(it))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(trouble(&self.0, &error)),
        }
    }

    /// Keeps one.
    pub(super) fn keep(&self, token: &str) -> Result<(), Failure> {
        if !is_token(token) {
            return Err(Failure::Trouble("the box gave a token that is none".into()));
        }
        let folder = self.0.parent().unwrap_or(Path::new("."));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let kept = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .and_then(|()| options.open(&self.0))
            .and_then(|mut file| file.write_all(token.as_bytes()));
        kept.map_err(|error| trouble(&self.0, &error))
    }
}

fn is_token(token: &str) -> bool {
    (1..=TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|it| it.is_ascii_alphanumeric())
}

/// What the list of paired phones calls this computer.
pub(super) fn our_name() -> String {
    let system = rustix::system::uname();
    format!("Computer {}", system.nodename().to_string_lossy()).chars().take(40).collect()
}
