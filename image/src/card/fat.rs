//! The FAT partitions of a card: made in memory, and read or changed in an image. Every file is of
//! the day that everything on a card is of, so that two builds are equal.

use crate::failure::{Failure, trouble};
use fatfs::{
    Date, DateTime, Dir, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider,
};
use fscommon::{BufStream, StreamSlice};
use image_core::layout::{SECTOR, Span};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// FATs are told apart by their label; the number only has to be the same in each build.
const VOLUME: u32 = 0x6e6a_0001;

/// The day of `MADE`, as FAT writes it: no zone, and no clock of the computer's.
#[derive(Debug)]
struct Made;

const DAY: Date = Date { year: 2026, month: 1, day: 1 };

impl TimeProvider for Made {
    fn get_current_date(&self) -> Date {
        DAY
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: DAY, time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

fn options() -> FsOptions {
    FsOptions::new().time_provider(&Made)
}

/// A file's name and bytes.
type Named = (String, Vec<u8>);

/// The files of a folder and below, by name.
pub(super) fn files(folder: &Path) -> Result<Vec<Named>, Failure> {
    let mut found = Vec::new();
    collect(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, below: &str, found: &mut Vec<Named>) -> Result<(), Failure> {
    let listed = fs::read_dir(folder).map_err(|error| trouble(folder, &error))?;
    for entry in listed.flatten() {
        let path = entry.path();
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), found)?;
        } else {
            found.push((name, fs::read(&path).map_err(|error| trouble(&path, &error))?));
        }
    }
    Ok(())
}

/// A FAT of so many MiB that holds these files.
pub(super) fn format(label: &str, mib: u32, files: &[Named]) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| Failure::Trouble(format!("{label} of {mib} MiB: {error}"));
    let mut bytes = Cursor::new(vec![0; mib as usize * 1024 * 1024]);
    let mut name = [b' '; 11];
    name.iter_mut().zip(label.bytes()).for_each(|(to, from)| *to = from);
    let volume = FormatVolumeOptions::new().fat_type(FatType::Fat16).volume_id(VOLUME);
    fatfs::format_volume(&mut bytes, volume.volume_label(name)).map_err(failed)?;
    {
        let system = FileSystem::new(&mut bytes, options()).map_err(failed)?;
        for (path, _) in files {
            folders(&system, path).map_err(failed)?;
        }
        system.unmount().map_err(failed)?;
    }
    mend_dots(bytes.get_mut());
    bytes.set_position(0);
    {
        let system = FileSystem::new(&mut bytes, options()).map_err(failed)?;
        for (path, content) in files {
            write(&system, path, content).map_err(failed)?;
        }
        system.unmount().map_err(failed)?;
    }
    Ok(bytes.into_inner())
}

/// fatfs 0.3.6 gives `.` and `..` long names, which stand in the slots that are theirs (its issue
/// 117). While no file has been written yet, what looks like these four slots is these.
fn mend_dots(volume: &mut [u8]) {
    const FREE: u8 = 0xe5;
    for sector in volume.chunks_exact_mut(SECTOR) {
        if &sector[32..43] == b".          " && &sector[96..107] == b"..         " {
            sector.copy_within(32..64, 0);
            sector.copy_within(96..128, 32);
            sector[64..128].fill(0);
            (sector[64], sector[96]) = (FREE, FREE);
        }
    }
}

/// Makes the folders of a path; the last of them, and the file's own name.
fn folders<'s, 'p, T: Read + Write + Seek>(
    system: &'s FileSystem<T>,
    path: &'p str,
) -> io::Result<(Dir<'s, T>, &'p str)> {
    let mut folder = system.root_dir();
    let mut name = path;
    while let Some((first, rest)) = name.split_once('/') {
        folder = folder.create_dir(first)?;
        name = rest;
    }
    Ok((folder, name))
}

fn write<T: Read + Write + Seek>(
    system: &FileSystem<T>,
    path: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let (folder, name) = folders(system, path)?;
    let mut file = folder.create_file(name)?;
    file.truncate()?;
    file.write_all(bytes)?;
    file.flush()
}

/// Puts a file into a FAT that lies in memory.
pub(crate) fn put_file(volume: &mut [u8], name: &str, bytes: &[u8]) -> io::Result<()> {
    let system = FileSystem::new(Cursor::new(volume), options())?;
    write(&system, name, bytes)?;
    system.unmount()
}

/// A file of a FAT that lies in memory; empty where it is not there.
pub(crate) fn take_file(volume: &mut [u8], name: &str) -> io::Result<Vec<u8>> {
    let system = FileSystem::new(Cursor::new(volume), options())?;
    Ok(take(&system, name)?.unwrap_or_default())
}

/// A file's bytes; `None` where it is not there.
fn take<T: Read + Write + Seek>(system: &FileSystem<T>, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match system.root_dir().open_file(name) {
        Ok(mut file) => file.read_to_end(&mut bytes).map(|_| Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An image or a card whose FAT partitions are looked into.
#[derive(Debug)]
pub(crate) struct Image {
    path: PathBuf,
    file: File,
}

impl Image {
    /// Opens it for reading and writing.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|error| trouble(path, &error))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// A file's bytes.
    pub(crate) fn read(&mut self, nr: u8, name: &str) -> Result<Vec<u8>, Failure> {
        let found = self.find(nr, name)?;
        found.ok_or_else(|| self.failed(nr, name, &io::ErrorKind::NotFound.into()))
    }

    /// A file's bytes; `None` where it is not there.
    pub(crate) fn find(&mut self, nr: u8, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.with(nr, |system| take(system, name)).map_err(|error| self.failed(nr, name, &error))
    }

    /// Removes a file; whether it was there.
    pub(crate) fn remove(&mut self, nr: u8, name: &str) -> Result<bool, Failure> {
        let done = self.with(nr, |system| match system.root_dir().remove(name) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        });
        done.map_err(|error| self.failed(nr, name, &error))
    }

    fn failed(&self, nr: u8, name: &str, error: &io::Error) -> Failure {
        let path = self.path.display();
        Failure::Trouble(format!("{name} on partition {nr} of {path}: {error}"))
    }

    fn with<R>(
        &mut self,
        nr: u8,
        act: impl FnOnce(&FileSystem<BufStream<StreamSlice<&File>>>) -> io::Result<R>,
    ) -> io::Result<R> {
        let span = self.span(nr)?;
        let slice = StreamSlice::new(&self.file, span.offset(), span.offset() + span.bytes())?;
        let system = FileSystem::new(BufStream::new(slice), options())?;
        let done = act(&system)?;
        system.unmount()?;
        Ok(done)
    }

    /// Where one of the first three partitions lies, by the disk's own table.
    fn span(&self, nr: u8) -> io::Result<Span> {
        let mut sector = [0; SECTOR];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut sector)?;
        let entry = 446 + 16 * usize::from(nr.saturating_sub(1));
        let number = |at: usize| {
            let bytes = sector.get(at..at + 4).and_then(|it| it.try_into().ok());
            bytes.map_or(0, u32::from_le_bytes)
        };
        let span = Span { start: number(entry + 8), sectors: number(entry + 12) };
        let is_card = sector[510..] == [0x55, 0xaa] && span.sectors > 0;
        is_card.then_some(span).ok_or_else(|| io::Error::other("this is no card of Nightjar"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_of_one_day_and_two_builds_are_equal() {
        let files = [("a.txt".into(), vec![1]), ("overlays/b.dtbo".into(), vec![2; 5000])];
        let made = || format("BOOT", 16, &files).unwrap();
        let mut bytes = made();
        assert!(bytes == made());
        put_file(&mut bytes, "a.txt", b"changed").unwrap();
        let system = FileSystem::new(Cursor::new(bytes), options()).unwrap();
        let root = system.root_dir();
        let below = root.open_dir("overlays").unwrap();
        let entries: Vec<_> = root.iter().chain(below.iter()).map(Result::unwrap).collect();
        let days: Vec<_> =
            entries.iter().map(|it| (it.created().date, it.modified().date)).collect();
        assert_eq!(entries.len(), 5, "a.txt, overlays, two dots, b.dtbo");
        assert!(days.iter().all(|it| *it == (DAY, DAY)), "{days:?}");
    }
}
