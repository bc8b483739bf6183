//! `nightjar flash IMAGE`: a card from an image, with its owner's settings on it.
//!
//! ```text
//! image, checked -> settings into its FAT, in memory -> drive: judged, asked for, claimed -> written
//!                                                    -> or a file                         -> read back
//! ```
//! Which drives are ever offered, and what makes one untouchable, stands in `drives.rs`.

mod drives;
mod question;
mod settings;
mod source;
mod writer;

use crate::clock::Stopwatch;
use crate::failure::Failure;
use crate::screen::{self, Screen, bar};
use crate::whole;
use drives::{Drive, Machine};
use rustix::fs::OFlags;
pub(crate) use settings::Answers;
use source::Source;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flash {
    /// A card's image, `.img` or `.img.gz`.
    pub(crate) image: PathBuf,
    /// The drive; asked for where it is not said.
    pub(crate) to: Option<String>,
    /// A file in place of a drive.
    pub(crate) file: Option<PathBuf>,
    /// Asks nothing.
    pub(crate) yes: bool,
    /// Loop devices count as drives: for tests.
    pub(crate) loops: bool,
    /// What goes into `nightjar.toml`.
    pub(crate) answers: Answers,
}

/// Writes the card.
pub(crate) fn run(flash: &Flash, screen: &Mutex<Screen>) -> Result<(), Failure> {
    if flash.yes && flash.to.is_none() && flash.file.is_none() {
        return Err(Failure::Usage("--yes needs --to DEVICE or --file OUT".into()));
    }
    if !flash.yes && flash.file.is_none() && !question::is_possible() {
        let line = "nobody can be asked here: say --to DEVICE --yes, or --file OUT";
        return Err(Failure::Usage(line.into()));
    }
    let given = flash.answers.clone().whole()?;
    let mut source = Source::open(&flash.image)?;
    if let Some(path) = &flash.file {
        source.put(&given)?;
        return to_file(source, path, screen);
    }
    let machine = Machine { root: "/".into(), loops: flash.loops };
    let named = flash.to.as_deref().map(|name| judged(&machine, name, &source)).transpose()?;
    let drive = match named {
        Some(drive) if flash.yes => drive,
        named => choose(&machine, named, &source, screen)?,
    };
    may_write(&drive.node())?;
    let asked = given.are_none() && !flash.yes;
    source.put(&if asked { settings::ask(screen)? } else { given })?;
    to_drive(&machine, &drive, source, screen)
}

/// A drive that may be overwritten and is large enough.
fn judged(machine: &Machine, name: &str, source: &Source) -> Result<Drive, Failure> {
    let drive = machine.judge(name).map_err(|no| Failure::Trouble(no.to_string()))?;
    if drive.bytes < source.bytes {
        let (has, wants) = (drive.bytes >> 20, source.bytes >> 20);
        return Err(Failure::Trouble(format!(
            "{} is too small: it has {has} MiB, the card takes {wants} MiB",
            drive.node().display()
        )));
    }
    Ok(drive)
}

/// The one question: its answer names the drive.
fn choose(
    machine: &Machine,
    named: Option<Drive>,
    source: &Source,
    screen: &Mutex<Screen>,
) -> Result<Drive, Failure> {
    let fits = |name: &String| judged(machine, name, source).ok();
    let offered = match named {
        Some(drive) => vec![drive],
        None => machine.names().iter().filter_map(fits).collect(),
    };
    if offered.is_empty() {
        let line = "no removable drive is free here: put the card into its reader, or see why one \
                    is not offered with --to DEVICE";
        return Err(Failure::Trouble(line.into()));
    }
    screen::lock(screen).say(&format!("The card takes {}. Drives:", size(source.bytes)));
    for drive in &offered {
        screen::lock(screen).say(&format!("  {drive}"));
    }
    let name = question::ask(
        screen,
        "Which one is overwritten, with all that is on it? Type its name, or nothing to stop: ",
    )?;
    let name = name.strip_prefix("/dev/").unwrap_or(&name);
    let chosen = offered.into_iter().find(|drive| drive.name == name);
    chosen.ok_or_else(|| Failure::Trouble("stopped: nothing was written".into()))
}

/// Writes a drive that was chosen.
fn to_drive(
    machine: &Machine,
    drive: &Drive,
    source: Source,
    screen: &Mutex<Screen>,
) -> Result<(), Failure> {
    let node = drive.node();
    // What was true when it was asked for may have changed since: another drive may have its name.
    let now = judged(machine, &drive.name, &source)?;
    if !drive.is(&now) {
        let line = format!("{} is another drive now: nothing was written", node.display());
        return Err(Failure::Trouble(line));
    }
    let drive = &now;
    for point in &drive.mounts {
        screen::lock(screen).say(&format!("Unmounting {}", point.display()));
        rustix::mount::unmount(point, rustix::mount::UnmountFlags::empty()).map_err(|error| {
            let why = io::Error::from(error);
            Failure::Trouble(format!("{} cannot be unmounted: {why}", point.display()))
        })?;
    }
    let mut file = claim(machine, drive)?;
    copy(source, &mut file, &node, screen)?;
    screen::lock(screen).say(&format!("Done: take the card out of {}.", node.display()));
    Ok(())
}

fn may_write(node: &Path) -> Result<(), Failure> {
    rustix::fs::access(node, rustix::fs::Access::WRITE_OK)
        .map_err(|error| opening(node, &error.into()))
}

/// Opens it for us alone: the kernel refuses a disk of which any part is mounted, swapped to or
/// held by another. Without the page cache, so that the speed and what is read back are the card's.
fn claim(machine: &Machine, drive: &Drive) -> Result<File, Failure> {
    let node = drive.node();
    let flags = (OFlags::EXCL | OFlags::DIRECT | OFlags::NOFOLLOW).bits().cast_signed();
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&node);
    let mut file = file.map_err(|error| opening(&node, &error))?;
    let opened = file.metadata().map_err(|error| opening(&node, &error))?.rdev();
    let number = format!("{}:{}", rustix::fs::major(opened), rustix::fs::minor(opened));
    let bytes = file.seek(SeekFrom::End(0)).map_err(|error| opening(&node, &error))?;
    let sequence = machine.sequence(&drive.name);
    if (&number, bytes, &sequence) != (&drive.number, drive.bytes, &drive.sequence) {
        let line = format!("{} is not the drive that was looked at", node.display());
        return Err(Failure::Trouble(line));
    }
    Ok(file)
}

/// Why a drive cannot be opened, in plain words.
fn opening(node: &Path, error: &io::Error) -> Failure {
    let name = node.display();
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => "only root may write it: run the same with sudo".into(),
        io::ErrorKind::ResourceBusy => "another program uses it: close it, and try again".into(),
        io::ErrorKind::ReadOnlyFilesystem => PROTECTED.into(),
        _ => error.to_string(),
    };
    Failure::Trouble(format!("{name}: {why}"))
}

/// What a card's switch does.
const PROTECTED: &str = "it is write-protected: look for a switch at the card's side";

/// Writes a file of the same bytes as a card, whole or not at all.
fn to_file(source: Source, path: &Path, screen: &Mutex<Screen>) -> Result<(), Failure> {
    // It may hold a passphrase.
    whole::write(path, 0o600, |file, _| copy(source, file, path, screen))?;
    screen::lock(screen).say(&format!("The image is {}", path.display()));
    Ok(())
}

/// Writes and reads back, with a bar and the speed.
fn copy(
    mut source: Source,
    file: &mut File,
    node: &Path,
    screen: &Mutex<Screen>,
) -> Result<(), Failure> {
    let total = source.bytes;
    let wrong = |wrong: writer::Wrong| Failure::Trouble(format!("{}: {wrong}", node.display()));
    let watch = Stopwatch::start();
    let pieces = writer::write(&mut source, total, file, &mut |done| {
        show(screen, "Writing", done, total, watch);
    });
    let pieces = pieces.map_err(wrong)?;
    said(screen, "Written", total, watch);
    let watch = Stopwatch::start();
    let same = writer::verify(&pieces, total, file, &mut |done| {
        show(screen, "Reading back", done, total, watch);
    });
    same.map_err(wrong)?;
    said(screen, "Read back and the same", total, watch);
    Ok(())
}

fn show(screen: &Mutex<Screen>, what: &str, done: u64, total: u64, watch: Stopwatch) {
    let mut screen = screen::lock(screen);
    if screen.is_terminal() {
        screen.live(&format!("{what:12} {} {}", bar(done, total), speed(done, watch)));
    }
}

fn said(screen: &Mutex<Screen>, what: &str, total: u64, watch: Stopwatch) {
    let seconds = watch.elapsed().as_secs_f64();
    let mut screen = screen::lock(screen);
    screen.rest();
    screen.say(&format!("{what}: {} in {seconds:.1} s, {}", size(total), speed(total, watch)));
}

/// `21.3 MB/s`
fn speed(bytes: u64, watch: Stopwatch) -> String {
    let seconds = watch.elapsed().as_secs_f64().max(0.001);
    format!("{:.1} MB/s", bytes as f64 / 1e6 / seconds)
}

/// `272 MiB` of an image, `31.9 GB` of a drive, as both are sold.
fn size(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        return format!("{} MiB", bytes >> 20);
    }
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_they_are_sold() {
        assert_eq!((size(272 << 20), size(31_914_983_424)), ("272 MiB".into(), "31.9 GB".into()));
    }

    #[test]
    fn why_a_drive_does_not_open_is_said_in_words() {
        let said = |code| opening(Path::new("/dev/sdx"), &io::Error::from_raw_os_error(code));
        let words =
            [(13, "sudo"), (16, "another program"), (30, "write-protected"), (5, "os error 5")];
        for (code, word) in words {
            let line = said(code).to_string();
            assert!(line.starts_with("/dev/sdx: ") && line.contains(word), "{line}");
        }
    }
}
