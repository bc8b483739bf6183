//! The data directory itself: its lock, its format version and the steps from one to the next.

use super::disk::{Disk, System, replace, writing};
use super::{Error, Kind};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Brings a directory from the version that is its place here to the following one.
type Step = fn(&Path) -> io::Result<()>;

/// The steps; version 0 is a directory that never held a store.
const STEPS: [Step; 1] = [|dir| System.make_folder(&dir.join("log"))];

const FILE: &str = "format";
const PREFIX: &str = "nightjar store ";

/// Takes the directory for this process; the lock ends with the returned file.
pub(super) fn lock(dir: &Path) -> Result<File, Error> {
    let refuse = |kind| move |source| Error::new(kind, dir, Some(source));
    System.make_folder(dir).map_err(refuse(Kind::NotWritable))?;
    let file = writing().open(dir.join("lock")).map_err(refuse(Kind::NotWritable))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::new(Kind::Locked, dir, None)),
        Err(fs::TryLockError::Error(source)) => Err(refuse(Kind::NotWritable)(source)),
    }
}

/// Brings the directory to this version's format, step by step.
pub(super) fn upgrade(dir: &Path) -> Result<(), Error> {
    let failed = |source| Error::new(Kind::NotWritable, dir, Some(source));
    let version = match fs::read(dir.join(FILE)) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).ok();
            let number = text.and_then(|text| text.trim_end().strip_prefix(PREFIX)?.parse().ok());
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
    replace(&System, &dir.join(FILE), format!("{PREFIX}{version}\n").as_bytes())
}
