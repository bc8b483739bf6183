//! `nightjar boot IMAGE`: the card in QEMU, with this program in the place of a Pi's firmware.
//!
//! ```text
//! autoboot.txt, tryboot -> slot -> its kernel and command line -> QEMU -> reset -> again
//!                                                                      -> power off -> end
//! ```
//! Like the firmware it forgets the wish for a trial before the kernel starts.

mod qemu;

use crate::build::FIRST_STEPS;
use crate::card::{self, Image};
use crate::clock;
use crate::failure::{Failure, trouble};
use crate::screen::{Screen, say};
use crate::tool;
use image_core::autoboot::Autoboot;
use qemu::{End, Machine};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use uuid::Builder;

/// The board that QEMU is.
const BOARD: &str = "qemu-arm64";
/// Partition 1 and the wish on it.
const AUTOBOOT: u8 = 1;
const WISH: &str = "tryboot";

/// How it is booted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Boot {
    pub(crate) image: PathBuf,
    /// A tap device of the host for the card's Ethernet; QEMU's own network where there is none.
    pub(crate) tap: Option<String>,
    /// Words added to the kernel's command line.
    pub(crate) append: Vec<String>,
    /// Ends at the first reset instead of booting again.
    pub(crate) once: bool,
}

/// A slot as the firmware found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    partition: u8,
    trial: bool,
}

/// Boots until the card powers itself off.
pub(crate) fn run(boot: &Boot, screen: &Mutex<Screen>) -> Result<(), Failure> {
    tool::require(&[("qemu-system-aarch64", "qemu-system-arm")])?;
    let scratch = Scratch::new()?;
    loop {
        let slot = firmware(&boot.image)?;
        let machine = load(boot, slot, &scratch.0)?;
        let trial = if slot.trial { ", on trial" } else { "" };
        say(screen, &format!("firmware: partition {}{trial}", slot.partition));
        match machine.run()? {
            End::Reset if boot.once => return Ok(()),
            End::Reset => say(screen, "firmware: reset"),
            End::Watchdog => say(screen, "firmware: reset by the watchdog"),
            End::PowerOff => return Ok(()),
        }
    }
}

/// Chooses the slot and forgets the wish.
fn firmware(path: &Path) -> Result<Slot, Failure> {
    let mut image = Image::open(path)?;
    let text = image.read(AUTOBOOT, "autoboot.txt")?;
    let autoboot = Autoboot::parse(&text).map_err(|error| {
        Failure::Trouble(format!("autoboot.txt of {}: {error}", path.display()))
    })?;
    let trial = image.remove(AUTOBOOT, WISH)?;
    let partition = if trial { autoboot.trial() } else { autoboot.partition() };
    Ok(Slot { partition, trial })
}

/// Takes kernel, first steps and command line out of the slot.
fn load(boot: &Boot, slot: Slot, scratch: &Path) -> Result<Machine, Failure> {
    let mut image = Image::open(&boot.image)?;
    let letter = if slot.partition == 2 { 'a' } else { 'b' };
    let words = image.read(slot.partition, &format!("cmdline-{letter}.txt"))?;
    let mut command_line = String::from_utf8_lossy(&words).trim().to_owned();
    let trial = u8::from(slot.trial);
    let told =
        [format!("nightjar.partition={}", slot.partition), format!("nightjar.tryboot={trial}")];
    for word in told.iter().chain(&boot.append) {
        command_line.push(' ');
        command_line.push_str(word);
    }
    let put = |name: &str, bytes: Vec<u8>| -> Result<PathBuf, Failure> {
        let path = scratch.join(name);
        fs::write(&path, bytes).map_err(|error| trouble(&path, &error))?;
        Ok(path)
    };
    let kernel = card::board(BOARD)?.kernel;
    // A kernel that has its disk's driver built in needs none.
    let first = image.find(slot.partition, FIRST_STEPS)?;
    Ok(Machine {
        kernel: put(kernel, image.read(slot.partition, kernel)?)?,
        first: first.map(|bytes| put(FIRST_STEPS, bytes)).transpose()?,
        command_line,
        image: boot.image.clone(),
        tap: boot.tap.clone(),
        control: scratch.join("control"),
    })
}

/// A folder that goes when we do: made, not found, under a name that nobody guesses, for us alone.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let name = Builder::from_random_bytes(clock::random()).into_uuid().simple();
        let path = std::env::temp_dir().join(format!("nightjar-boot-{name}"));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| trouble(&path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
