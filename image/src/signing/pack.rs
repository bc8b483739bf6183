//! `nightjar bundle`: two parts, a manifest over them, a signature over that.

use super::{digest, key};
use crate::failure::{Failure, trouble};
use crate::screen::{self, Screen};
use crate::whole;
use image_core::bundle;
use image_core::manifest::{Manifest, Part, Sum, is_board};
use image_core::version::Version;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What a bundle is made of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// The board's name.
    pub(crate) board: String,
    /// What it brings.
    pub(crate) version: Version,
    /// The least version that it may replace.
    pub(crate) minimum: Version,
    /// A FAT without its empty tail.
    pub(crate) boot: PathBuf,
    /// A squashfs.
    pub(crate) root: PathBuf,
    /// Who signs: a `.key` file.
    pub(crate) key: PathBuf,
    /// Where it goes.
    pub(crate) out: PathBuf,
}

/// Writes it, whole or not at all.
pub(crate) fn pack(recipe: &Recipe, screen: &Mutex<Screen>) -> Result<(), Failure> {
    if !is_board(&recipe.board) {
        return Err(Failure::Usage(format!("{:?} is no name of a board", recipe.board)));
    }
    let pair = key::read_secret(&recipe.key)?;
    let sum = |part| read(recipe, part, screen, &mut |_| Ok(()));
    let manifest = Manifest {
        board: &recipe.board,
        version: recipe.version,
        minimum: recipe.minimum,
        boot: sum(Part::Boot)?,
        root: sum(Part::Root)?,
    };
    let text = manifest.to_string();
    // What cannot be read cannot be installed either.
    Manifest::parse(text.as_bytes()).map_err(|wrong| Failure::Trouble(wrong.to_string()))?;
    let prefix = bundle::prefix(text.as_bytes());
    let prefix = prefix.ok_or_else(|| Failure::Trouble("the manifest is too long".into()))?;
    let signature = pair.sign(text.as_bytes());
    let head = [&prefix[..], text.as_bytes(), signature.as_ref()].concat();
    whole::write(&recipe.out, 0o644, |file, path| {
        write(recipe, &manifest, &head, file, path, screen)
    })?;
    let bytes = head.len() as u64 + manifest.boot.bytes + manifest.root.bytes;
    let Recipe { board, version, out, .. } = recipe;
    let line = format!("{} brings {version} to {board}, {bytes} bytes", out.display());
    screen::lock(screen).say(&line);
    Ok(())
}

fn write(
    recipe: &Recipe,
    manifest: &Manifest<'_>,
    head: &[u8],
    file: &mut File,
    path: &Path,
    screen: &Mutex<Screen>,
) -> Result<(), Failure> {
    file.write_all(head).map_err(|error| trouble(path, &error))?;
    for part in Part::ALL {
        if read(recipe, part, screen, &mut |data| file.write_all(data))? != manifest.sum(part) {
            return Err(trouble(from(recipe, part), &"it changed while it was read"));
        }
    }
    file.sync_all().map_err(|error| trouble(path, &error))
}

fn from(recipe: &Recipe, part: Part) -> &Path {
    match part {
        Part::Boot => &recipe.boot,
        Part::Root => &recipe.root,
    }
}

fn read(
    recipe: &Recipe,
    part: Part,
    screen: &Mutex<Screen>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<Sum, Failure> {
    let path = from(recipe, part);
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (bytes, mut file) = opened.map_err(|error| trouble(path, &error))?;
    let sum = digest(&mut file, bytes, &format!("{} part", part.name()), screen, sink)
        .map_err(|error| trouble(path, &error))?;
    if sum.bytes == 0 { Err(trouble(path, &"it is empty")) } else { Ok(sum) }
}
