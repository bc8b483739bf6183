//! Files and folders that are their owner's alone, and ones that change whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder, and those it lies in, where there is none.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// How a file is opened for writing, or made.
pub(super) fn writing() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

/// Makes a folder's own entries last: new files, renames, deletions.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(test)]
    super::fault::strike(super::fault::Point::Folder)?;
    File::open(folder)?.sync_all()
}

/// Puts `bytes` in a file's place: a crash leaves the old file or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    swap(path, bytes)?;
    sync_folder(path.parent().expect("a file lies in a folder"))
}

/// The same without the folder's sync: the new file, which from now on has the name.
pub(super) fn swap(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut file = writing().create_new(true).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(file)
}
