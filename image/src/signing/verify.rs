//! `nightjar verify`: what an update says of itself, and whether it is true.

use super::{digest, key};
use crate::failure::{Failure, trouble};
use crate::screen::{self, Screen};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use image_core::bundle::{self, Piece, Reader};
use image_core::manifest::{Manifest, Part};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

/// For which board an update is, and what it brings there.
#[derive(Debug)]
pub(crate) struct Says {
    pub(crate) board: String,
    pub(crate) version: String,
}

/// Says what it holds; a failure where something does not hold.
pub(crate) fn verify(
    path: &Path,
    public_key: Option<&Path>,
    screen: &Mutex<Screen>,
) -> Result<Says, Failure> {
    let wrong = |what: &dyn std::fmt::Display| trouble(path, what);
    let mut file = File::open(path).map_err(|error| wrong(&error))?;
    let reader = read_head(&mut file).map_err(|error| wrong(&error))?;
    let head = reader.head().ok_or_else(|| wrong(&bundle::Wrong::Short))?;
    let Manifest { board, version, minimum, boot, root } = head.manifest;
    let say = |line: String| screen::lock(screen).say(&line);
    say(format!("board    {board}\nversion  {version}, replaces {minimum} and later"));
    say(format!("boot     {} bytes\nroot     {} bytes", boot.bytes, root.bytes));
    for part in Part::ALL {
        let sum = head.manifest.sum(part);
        let doing = format!("{} part", part.name());
        let found =
            digest(&mut (&mut file).take(sum.bytes), sum.bytes, &doing, screen, &mut |_| Ok(()));
        let found = found.map_err(|error| wrong(&error))?;
        if found.bytes < sum.bytes {
            return Err(wrong(&bundle::Wrong::Short));
        }
        if found != sum {
            return Err(wrong(&format!("its {} part is damaged", part.name())));
        }
    }
    if file.read(&mut [0]).map_err(|error| wrong(&error))? > 0 {
        return Err(wrong(&bundle::Wrong::Beyond));
    }
    say("hashes   hold".into());
    let says = Says { board: board.to_string(), version: version.to_string() };
    let Some(public_key) = public_key else {
        say("signature not looked at: name --public-key".into());
        return Ok(says);
    };
    let trusted = UnparsedPublicKey::new(&ED25519, key::read(public_key)?);
    if trusted.verify(head.signed, head.signature).is_err() {
        return Err(wrong(&format!("it is not signed by {}", public_key.display())));
    }
    say(format!("signature by {}", public_key.display()));
    Ok(says)
}

/// Reads the head and not one byte more.
fn read_head(file: &mut File) -> Result<Reader, Box<dyn std::error::Error>> {
    let mut reader = Reader::new();
    let mut byte = [0];
    loop {
        if file.read(&mut byte)? == 0 {
            return Err(bundle::Wrong::Short.to_string().into());
        }
        let piece = reader.read(&mut &byte[..]).map_err(|wrong| wrong.to_string())?;
        if piece == Some(Piece::Head) {
            return Ok(reader);
        }
    }
}
