//! The files under the store: the system's own, or a stand-in that a test cuts, fails and spoils.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// To be read; it has to be there.
    Read,
    /// To be read and written; made where there is none.
    Write,
    /// The same, and emptied.
    New,
}

/// Folders and files. Names last once their folder is synced, contents once their file is.
pub(super) trait Disk: Debug + Send + Sync {
    /// Makes a folder, and those it lies in, where there is none.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// Makes a folder's own entries last: new files, renames, deletions.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Names and lengths of the files in a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>>;
    /// Opens a file.
    fn open(&self, path: &Path, how: How) -> io::Result<Arc<dyn Medium>>;
    /// Renames a file over whatever has the name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// An open file; every position is absolute.
pub(super) trait Medium: Debug + Send + Sync {
    /// Its length.
    fn length(&self) -> io::Result<u64>;
    /// Fills `out` from `at` on; an error where the file ends before.
    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `at`.
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it, or makes it longer with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Waits until the card has what was written.
    fn sync(&self) -> io::Result<()>;
    /// Takes blocks for `length` bytes, so that later nothing else can have them.
    fn reserve(&self, length: u64) -> io::Result<()>;
    /// Takes blocks for what is to be written up to `length`; the file is no longer by that.
    /// Cutting the file gives them back; where there are too few, it takes none.
    fn prepare(&self, length: u64) -> io::Result<()>;
}

/// The whole of a file.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, How::Read)?;
    let length = usize::try_from(file.length()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    file.read(0, &mut bytes)?;
    Ok(bytes)
}

/// Puts `bytes` in a file's place: a crash leaves the old file or the new one.
pub(super) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    swap(disk, path, bytes)?;
    disk.sync_folder(path.parent().expect("a file lies in a folder"))
}

/// The same without the folder's sync: the new file, which from now on has the name.
pub(super) fn swap(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<Arc<dyn Medium>> {
    let draft = path.with_extension("new");
    let _ = disk.remove(&draft);
    let file = disk.open(&draft, How::New)?;
    file.write(0, bytes)?;
    file.sync()?;
    disk.rename(&draft, path)?;
    Ok(file)
}

/// The system's files, their owner's alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct System;

/// How the system's files are opened for writing, or made.
pub(super) fn writing() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

impl Disk for System {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        #[cfg(test)]
        super::fault::strike(super::fault::Point::Folder)?;
        File::open(folder)?.sync_all()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                files.push((name, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn open(&self, path: &Path, how: How) -> io::Result<Arc<dyn Medium>> {
        let file = match how {
            How::Read => File::open(path),
            How::Write => writing().open(path),
            How::New => writing().truncate(true).open(path),
        };
        file.map(|file| Arc::new(file) as Arc<dyn Medium>)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

impl Medium for File {
    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|about| about.len())
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, at)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, length)?;
        Ok(())
    }

    fn prepare(&self, length: u64) -> io::Result<()> {
        let taken = rustix::fs::fallocate(self, rustix::fs::FallocateFlags::KEEP_SIZE, 0, length);
        if taken.is_err() {
            // What there was on a card that is too full is given back.
            self.set_len(self.length()?)?;
        }
        Ok(taken?)
    }
}
