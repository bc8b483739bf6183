//! The data directory itself: its lock, its format version and the steps from one to the next.

use super::log::sync_folder;
use super::{Error, Kind};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Brings a directory from the version that is its place here to the following one.
type Step = fn(&Path) -> io::Result<()>;

/// The steps; version 0 is a directory that never held a store.
const STEPS: [Step; 1] = [|dir| fs::create_dir_all(dir.join("log"))];

const FILE: &str = "format";
const PREFIX: &str = "nightjar store ";

/// Takes the directory for this process; the lock ends with the returned file.
pub(super) fn lock(dir: &Path) -> Result<File, Error> {
    let refuse = |kind| move |source| Error::new(kind, dir, Some(source));
    fs::create_dir_all(dir).map_err(refuse(Kind::NotWritable))?;
    let options = || File::options().create(true).truncate(false).write(true).clone();
    let file = options().open(dir.join("lock")).map_err(refuse(Kind::NotWritable))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::new(Kind::Locked, dir, None)),
        Err(fs::TryLockError::Error(source)) => Err(refuse(Kind::NotWritable)(source)),
    }
}

/// Brings the directory to this version's format, step by step.
pub(super) fn upgrade(dir: &Path) -> Result<(), Error> {
    let failed = |source| Error::new(Kind::NotWritable, dir, Some(source));
    let version = match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => {
            let number = text.trim_end().strip_prefix(PREFIX).and_then(|text| text.parse().ok());
            number.ok_or_else(|| Error::new(Kind::Foreign, dir, None))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(failed(error)),
    };
    let missing = STEPS.get(version..).ok_or_else(|| Error::new(Kind::Newer, dir, None))?;
    for (step, number) in missing.iter().zip(version + 1..) {
        step(dir).and_then(|()| stamp(dir, number)).map_err(failed)?;
    }
    Ok(())
}

/// Writes the version; a crash leaves the old one or the new one.
fn stamp(dir: &Path, version: usize) -> io::Result<()> {
    replace(&dir.join(FILE), format!("{PREFIX}{version}\n").as_bytes())
}

/// Puts `bytes` in a file's place: a crash leaves the old file or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_folder(path.parent().expect("a file lies in a folder"))
}
