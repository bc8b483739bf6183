//! The card under an update: partitions, the state file, `autoboot.txt`, the restart.

use image_core::autoboot::{Autoboot, Slot};
use image_core::facts::{Facts, Tryboot};
use image_core::manifest::Part;
use image_core::update::Booted;
use rustix::fs::{Advice, fadvise};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes read back at a time.
const PIECE: usize = 256 * 1024;
/// The wish of a board whose fact is `TRYBOOT=file`, on partition 1.
const WISH: &str = "tryboot";

/// What only the running machine can do; a test stands in for it.
pub(crate) trait Machinery: Send + Sync {
    /// Makes a mounted file system writable or read-only.
    fn remount(&self, folder: &Path, writable: bool) -> io::Result<()>;
    /// Restarts the machine; `trial` asks a Pi's firmware for the other slot. Returns where that
    /// fails.
    fn restart(&self, trial: bool) -> io::Error;
}

/// A card's places.
pub(crate) struct Card {
    root: PathBuf,
    disk: String,
    tryboot: Tryboot,
    machinery: Box<dyn Machinery>,
}

impl Card {
    pub(crate) fn new(root: &Path, facts: &Facts<'_>, machinery: Box<dyn Machinery>) -> Self {
        let disk = format!("{}{}", facts.disk, facts.partition);
        Self { root: root.into(), disk, tryboot: facts.tryboot, machinery }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn partition(&self, slot: Slot, part: Part) -> PathBuf {
        let nr = if part == Part::Boot { slot.boot() } else { slot.root() };
        self.at(&format!("{}{nr}", self.disk))
    }

    /// What fits into a partition, bytes.
    pub(crate) fn room(&self, slot: Slot, part: Part) -> io::Result<u64> {
        File::open(self.partition(slot, part))?.seek(SeekFrom::End(0))
    }

    /// A partition, to be written from its beginning.
    pub(crate) fn open(&self, slot: Slot, part: Part) -> io::Result<File> {
        File::options().write(true).open(self.partition(slot, part))
    }

    /// Both partitions of a slot are on the card as they were written.
    pub(crate) fn sync(&self, slot: Slot) -> io::Result<()> {
        Part::ALL.into_iter().try_for_each(|part| self.open(slot, part)?.sync_all())
    }

    /// Reads so many bytes from the card, not from memory.
    pub(crate) fn read_back(
        &self,
        (slot, part): (Slot, Part),
        bytes: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        let file = File::open(self.partition(slot, part))?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        let (mut file, mut piece) = (file.take(bytes), vec![0; PIECE]);
        let mut left = bytes;
        while left > 0 {
            let read = file.read(&mut piece)?;
            let data = piece.get(..read).filter(|it| !it.is_empty());
            let data = data.ok_or(io::ErrorKind::UnexpectedEof)?;
            sink(data);
            left = left.saturating_sub(data.len() as u64);
        }
        Ok(())
    }

    /// The state file.
    pub(crate) fn load(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.at("/data/box/update")) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the state file: the old one or the new one is there, whenever the power goes.
    pub(crate) fn save(&self, text: &str) -> io::Result<()> {
        let folder = self.at("/data/box");
        fs::create_dir_all(&folder)?;
        let (path, fresh) = (folder.join("update"), folder.join("update.new"));
        let mut file = File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(&folder)?.sync_all()
    }

    fn autoboot_path(&self) -> PathBuf {
        self.at("/boot/autoboot.txt")
    }

    /// `autoboot.txt`, or what is wrong with it.
    pub(crate) fn autoboot(&self) -> io::Result<Autoboot> {
        let bytes = fs::read(self.autoboot_path())?;
        Autoboot::parse(&bytes).map_err(|wrong| io::Error::other(format!("autoboot.txt: {wrong}")))
    }

    /// From now on `slot` boots: two bytes of one sector change, in place.
    pub(crate) fn commit(&self, slot: Slot) -> io::Result<()> {
        let now = self.autoboot()?;
        let wanted = now.committed(slot).map_err(|wrong| io::Error::other(wrong.to_string()))?;
        if wanted != now {
            self.on_boot(|_| {
                let file = File::options().write(true).open(self.autoboot_path())?;
                file.write_all_at(wanted.text(), 0)?;
                file.sync_all()
            })?;
        }
        let kept = self.autoboot()?;
        if kept == wanted { Ok(()) } else { Err(io::Error::other("autoboot.txt did not change")) }
    }

    /// Partition 1 is writable for one act alone.
    fn on_boot(&self, act: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let folder = self.at("/boot");
        self.machinery.remount(&folder, true)?;
        let done = act(&folder);
        // What is written and synced stands, even where it cannot be made read-only again.
        let _ = self.machinery.remount(&folder, false);
        done
    }

    /// Restarts into the slot that `autoboot.txt` names, or once into the other one.
    pub(crate) fn restart(&self, trial: bool) -> io::Error {
        if trial && self.tryboot == Tryboot::File {
            let wished = self.on_boot(|folder| {
                File::create(folder.join(WISH))?.sync_all()?;
                File::open(folder)?.sync_all()
            });
            if let Err(error) = wished {
                return error;
            }
        }
        rustix::fs::sync();
        // Who still holds it open loses nothing: what is there is synced.
        let _ = self.machinery.remount(&self.at("/data"), false);
        self.machinery.restart(trial && self.tryboot == Tryboot::Firmware)
    }

    /// What the firmware tells of this start; where it is silent, the root that the kernel mounted.
    pub(crate) fn booted(&self) -> Booted {
        let words = fs::read_to_string(self.at("/proc/cmdline")).unwrap_or_default();
        let word = |key: &str| words.split_whitespace().find_map(|it| it.strip_prefix(key));
        let number = |name: &str| match self.tryboot {
            Tryboot::File => word(&format!("nightjar.{name}="))?.parse().ok(),
            _ => self.device_tree(name),
        };
        let by_root = || {
            let is_b = word("root=")?.strip_suffix('6')?.ends_with(self.disk.as_str());
            is_b.then_some(Slot::B)
        };
        let slot = number("partition").and_then(Slot::from_partition).or_else(by_root);
        let trial = number("tryboot").is_some_and(|it| it != 0);
        Booted { slot: slot.unwrap_or(Slot::A), trial }
    }

    /// `chosen/bootloader/NAME`, a big-endian u32 (Raspberry Pi's documentation, device tree).
    fn device_tree(&self, name: &str) -> Option<u32> {
        let path = self.at("/proc/device-tree/chosen/bootloader").join(name);
        Some(u32::from_be_bytes(fs::read(path).ok()?.try_into().ok()?))
    }
}
