//! A key that signs updates: `NAME.key`, 64 hex digits for its owner alone, and `NAME.pub`, 64
//! hex digits for every card.

use crate::failure::{Failure, trouble};
use crate::screen::{self, Screen};
use crate::whole;
use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use image_core::manifest::unhex;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

/// Makes one. What is there is never written over: a card whose key is lost takes no updates.
pub(super) fn make(name: &Path, screen: &Mutex<Screen>) -> Result<(), Failure> {
    let (secret, public) = (whole::beside(name, ".key"), whole::beside(name, ".pub"));
    for path in [&secret, &public] {
        if path.symlink_metadata().is_ok() {
            return Err(trouble(path, &"it is there, and a key is never written over"));
        }
    }
    let failed = |_| Failure::Trouble("this machine cannot make a key".into());
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(failed)?;
    write(&secret, seed.as_ref(), 0o600)?;
    write(&public, pair.public_key().as_ref(), 0o644)?;
    let (secret, public) = (secret.display(), public.display());
    screen::lock(screen).say(&format!(
        "{secret} signs updates: keep it, and keep it to yourself.\n{public} goes into a card: \
         nightjar build BOARD --public-key {public}"
    ));
    Ok(())
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let failed = |error| trouble(path, &error);
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    let mut text = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    text.push('\n');
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// The key in a `.key` file.
pub(super) fn read_secret(path: &Path) -> Result<Ed25519KeyPair, Failure> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&read(path)?);
    pair.map_err(|_| trouble(path, &"it is no key"))
}

/// A public key as a card is to trust it. With the key that signs beside it, the two have to be a
/// pair: a card that trusts another refuses the update that is made with it.
pub(crate) fn check_pair(public: Option<&Path>, secret: Option<&Path>) -> Result<(), Failure> {
    if let Some(path) = public {
        read(path)?;
        if path.extension().is_some_and(|it| it == "key") {
            return Err(trouble(path, &"it is the key that signs; a card gets the .pub beside it"));
        }
    }
    let Some(secret) = secret else { return Ok(()) };
    let pair = read_secret(secret)?;
    match public {
        None => Err(trouble(secret, &"a card without --public-key takes no update: name its .pub")),
        Some(path) if read(path)?[..] != *pair.public_key().as_ref() => {
            Err(trouble(path, &format!("it is not the public half of {}", secret.display())))
        }
        Some(_) => Ok(()),
    }
}

/// The 32 bytes of a `.key` or `.pub` file.
pub(super) fn read(path: &Path) -> Result<[u8; 32], Failure> {
    let text = fs::read_to_string(path).map_err(|error| trouble(path, &error))?;
    unhex(text.trim()).ok_or_else(|| trouble(path, &"it is not a key of 64 hex digits"))
}
