//! A card's image: written from its parts, the same bytes each time, and read again.
//!
//! ```text
//! MBR | AUTOBOOT (FAT) | BOOT-A (FAT) | BOOT-B, empty | root A | root B, empty | data (ext4)
//! ```

mod fat;
mod tail;

use crate::failure::{Failure, trouble};
use crate::tool;
use crate::whole;
use flate2::{Compression, GzBuilder};
use image_core::autoboot::{Autoboot, Slot};
use image_core::facts::{Facts, Tryboot};
use image_core::layout::{Layout, Span};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub(crate) use fat::{Image, put_file, take_file};

/// Marks a disk as a card of ours: "nj" and the layout's number.
pub(crate) const SIGNATURE: u32 = 0x6e6a_0001;
/// When everything on a card was made, so that two builds are equal: 2026-01-01.
const MADE: &str = "1767225600";
const DATA_UUID: &str = "6e696768-746a-4172-8461-746100000001";

/// Whoever puts a card into a computer finds this first.
const README: &[u8] = include_bytes!("card/README.txt");

/// The boards' facts.
const BOARDS: &[(&str, &str)] = &[
    ("qemu-arm64", include_str!("../../board/qemu-arm64/facts")),
    ("rpi3-64", include_str!("../../board/rpi3-64/facts")),
    ("rpi4-64", include_str!("../../board/rpi4-64/facts")),
    ("rpi5-64", include_str!("../../board/rpi5-64/facts")),
    ("rpizero2w-64", include_str!("../../board/rpizero2w-64/facts")),
];

/// What a card is made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Card {
    /// The files of a boot partition, in a folder.
    pub(crate) boot: PathBuf,
    /// A squashfs.
    pub(crate) root: PathBuf,
    /// `nightjar.toml`.
    pub(crate) settings: String,
}

/// A card from parts that others made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) board: String,
    pub(crate) card: Card,
    /// The file of its settings.
    pub(crate) settings: Option<PathBuf>,
    pub(crate) out: PathBuf,
}

/// Writes it; packed where the file's name says so.
pub(crate) fn order(order: &Order) -> Result<(), Failure> {
    let facts = board(&order.board)?;
    tool::require(&[("mke2fs", "e2fsprogs")])?;
    let read = |path: &PathBuf| fs::read_to_string(path).map_err(|error| trouble(path, &error));
    let settings = order.settings.as_ref().map(read).transpose()?;
    let settings = settings.unwrap_or_else(|| image_core::settings::TEMPLATE.into());
    let card = Card { boot: order.card.boot.clone(), root: order.card.root.clone(), settings };
    if order.out.extension().is_none_or(|it| it != "gz") {
        return write(&card, &facts, &order.out);
    }
    let plain = whole::beside(&order.out, ".plain");
    write(&card, &facts, &plain)?;
    let done = pack(&plain, &order.out);
    let _ = fs::remove_file(&plain);
    done
}

/// Packs an image or a kernel, the same bytes each time: no name, no time.
pub(crate) fn pack(plain: &Path, out: &Path) -> Result<(), Failure> {
    let packed = |file: &mut File| -> io::Result<()> {
        let file = GzBuilder::new().write(file, Compression::best());
        let mut file = BufWriter::with_capacity(1 << 20, file);
        io::copy(&mut BufReader::with_capacity(1 << 20, File::open(plain)?), &mut file)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
        file.sync_all()
    };
    whole::write(out, 0o644, |file, _| packed(file).map_err(|error| trouble(out, &error)))
}

/// The facts of a board of this name.
pub(crate) fn board(name: &str) -> Result<Facts<'static>, Failure> {
    let known = || BOARDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let (_, text) = BOARDS.iter().find(|(board, _)| *board == name).ok_or_else(|| {
        Failure::Usage(format!("no board is called {name:?}; there are {}", known()))
    })?;
    let wrong = |wrong| Failure::Trouble(format!("board/{name}/facts: {wrong}"));
    Facts::parse(text).map_err(wrong)
}

/// Writes the command lines of both slots into the folder of boot files.
pub(crate) fn command_lines(words: &str, facts: &Facts<'_>, boot: &Path) -> Result<(), Failure> {
    for (slot, root) in [("a", 5), ("b", 6)] {
        let path = boot.join(format!("cmdline-{slot}.txt"));
        let (disk, part) = (facts.disk, facts.partition);
        let line = format!("root={disk}{part}{root} rootfstype=squashfs ro {}\n", words.trim());
        fs::write(&path, line).map_err(|error| trouble(&path, &error))?;
    }
    Ok(())
}

/// The boot part of a card or an update: a FAT of the folder's files, without its empty tail.
pub(crate) fn boot_part(folder: &Path, facts: &Facts<'_>) -> Result<Vec<u8>, Failure> {
    let files = fat::files(folder)?;
    let mut bytes = fat::format("BOOT", facts.boot_mib, &files)?;
    bytes.truncate(tail::used(&bytes));
    Ok(bytes)
}

/// Writes the image to `out`, whole or not at all.
pub(crate) fn write(card: &Card, facts: &Facts<'_>, out: &Path) -> Result<(), Failure> {
    whole::write(out, 0o644, |file, path| assemble(card, facts, file, path))
}

fn assemble(card: &Card, facts: &Facts<'_>, file: &mut File, path: &Path) -> Result<(), Failure> {
    let layout = Layout::new(facts);
    let span = |nr| layout.span(nr).unwrap_or_default();
    let autoboot = fat::format("AUTOBOOT", facts.autoboot_mib, &first_files(card, facts)?)?;
    let root = fs::read(&card.root).map_err(|error| trouble(&card.root, &error))?;
    let boot = boot_part(&card.boot, facts)?;
    let bytes = u64::from(layout.sectors()) * image_core::layout::SECTOR as u64;
    file.set_len(bytes).map_err(|error| trouble(path, &error))?;
    for (sector, bytes) in layout.encode(SIGNATURE) {
        put(file, Span { start: sector, sectors: 1 }, &bytes, "the partition table")?;
    }
    put(file, span(1), &autoboot, "AUTOBOOT")?;
    put(file, span(2), &boot, "the boot part")?;
    put(file, span(5), &root, "the root file system")?;
    data(path, span(7))?;
    file.sync_all().map_err(|error| trouble(path, &error))
}

/// What partition 1 holds. A board without an EEPROM finds its first program there alone, and no
/// document says that it knows filters: it is given one line, which has one meaning.
fn first_files(card: &Card, facts: &Facts<'_>) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let choice = Autoboot::new(Slot::A);
    let choice = match facts.tryboot {
        Tryboot::No => b"boot_partition=2\n".into(),
        Tryboot::Firmware | Tryboot::File => choice.text().into(),
    };
    let mut files = vec![
        ("README.txt".into(), README.into()),
        ("autoboot.txt".into(), choice),
        ("nightjar.toml".into(), card.settings.clone().into_bytes()),
    ];
    let program = card.boot.join("bootcode.bin");
    if program.is_file() {
        let bytes = fs::read(&program).map_err(|error| trouble(&program, &error))?;
        files.push(("bootcode.bin".into(), bytes));
    }
    Ok(files)
}

/// Writes bytes to where they belong, but for zeros, which are there already.
fn put(file: &mut File, span: Span, bytes: &[u8], what: &str) -> Result<(), Failure> {
    const PIECE: usize = 64 * 1024;
    if bytes.len() as u64 > span.bytes() {
        let (has, wants) = (span.bytes() >> 20, bytes.len().div_ceil(1 << 20));
        return Err(Failure::Trouble(format!("{what} takes {wants} MiB and has {has}")));
    }
    let trouble = |error: io::Error| Failure::Trouble(format!("{what}: {error}"));
    for (nr, piece) in bytes.chunks(PIECE).enumerate() {
        if piece.iter().any(|&byte| byte != 0) {
            let at = span.offset() + (nr * PIECE) as u64;
            file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(piece)).map_err(trouble)?;
        }
    }
    Ok(())
}

/// Makes the file system of data in its place.
fn data(path: &Path, span: Span) -> Result<(), Failure> {
    let extended = format!(
        "offset={},hash_seed={DATA_UUID},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
        span.offset()
    );
    tool::run(
        tool::command("mke2fs")
            .args([
                "-q", "-F", "-t", "ext4", "-L", "data", "-U", DATA_UUID, "-m", "1", "-J", "size=4",
            ])
            .args(["-E", &extended])
            .arg(path)
            .arg(format!("{}k", span.bytes() / 1024))
            .env("E2FSPROGS_FAKE_TIME", MADE),
    )
    .map(|_| ())
}
