//! The facts of a board: `board/NAME/facts`, lines of KEY=VALUE as a shell reads them.

use core::fmt;

/// One board's facts, borrowed from the file's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// What people call it.
    pub title: &'a str,
    /// The card's device on the board, such as `/dev/mmcblk0`.
    pub disk: &'a str,
    /// What stands between the disk's name and a partition's number.
    pub partition: &'a str,
    /// How a slot is tried once.
    pub tryboot: Tryboot,
    /// Whether it has Wi-Fi.
    pub wifi: bool,
    /// The kernel's file on a boot partition.
    pub kernel: &'a str,
    /// Sizes of partitions, in MiB: 1; 2 and 3; 5 and 6; 7 before it grows.
    pub autoboot_mib: u32,
    /// Partitions 2 and 3.
    pub boot_mib: u32,
    /// Partitions 5 and 6.
    pub root_mib: u32,
    /// Partition 7 before it grows.
    pub data_mib: u32,
    /// Seconds of unbroken health that commit an update.
    pub trial_s: u32,
    /// The hardware watchdog's patience, seconds.
    pub watchdog_s: u32,
    /// How many times a Pi 4's limits it is given.
    pub slowness: u32,
    /// Kernel modules to load, in order, separated by spaces.
    pub modules: &'a str,
}

/// How a board tries a slot once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tryboot {
    /// `reboot("0 tryboot")`, and the firmware tells in the device tree.
    Firmware,
    /// The file `tryboot` on partition 1, and the command line tells.
    File,
    /// It cannot: no updates.
    No,
}

/// What is wrong with a facts file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong<'a> {
    /// A key that is needed.
    Missing(&'static str),
    /// A key's value and what was expected.
    Value(&'static str, &'a str, &'static str),
    /// A line that is no KEY=VALUE.
    Line(&'a str),
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "{key} is missing"),
            Self::Value(key, value, wanted) => write!(f, "{key} is {value:?}, not {wanted}"),
            Self::Line(line) => write!(f, "{line:?} is not KEY=VALUE"),
        }
    }
}

impl<'a> Facts<'a> {
    /// Reads a facts file; keys that it does not know are others' business.
    pub fn parse(text: &'a str) -> Result<Self, Wrong<'a>> {
        for line in lines(text) {
            line.split_once('=').ok_or(Wrong::Line(line))?;
        }
        let word = |key| value(text, key).ok_or(Wrong::Missing(key));
        let number = |key| {
            let value = word(key)?;
            let read = value.parse().ok().filter(|it| (1..=4096).contains(it));
            read.ok_or(Wrong::Value(key, value, "a number from 1 to 4096"))
        };
        let tryboot = match word("TRYBOOT")? {
            "firmware" => Tryboot::Firmware,
            "file" => Tryboot::File,
            "no" => Tryboot::No,
            other => return Err(Wrong::Value("TRYBOOT", other, "firmware, file or no")),
        };
        let wifi = match word("WIFI")? {
            "yes" => true,
            "no" => false,
            other => return Err(Wrong::Value("WIFI", other, "yes or no")),
        };
        Ok(Self {
            title: word("TITLE")?,
            disk: word("DISK")?,
            partition: word("PARTITION")?,
            tryboot,
            wifi,
            kernel: word("KERNEL")?,
            autoboot_mib: number("AUTOBOOT_MIB")?,
            boot_mib: number("BOOT_MIB")?,
            root_mib: number("ROOT_MIB")?,
            data_mib: number("DATA_MIB")?,
            trial_s: number("TRIAL_S")?,
            watchdog_s: number("WATCHDOG_S")?,
            slowness: number("SLOWNESS")?,
            modules: word("MODULES")?,
        })
    }
}

/// The value of any key, such as `BOARD` in a card's own `/etc/nightjar/facts`.
pub fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let found = lines(text).filter_map(|line| line.split_once('=')).find(|(name, _)| *name == key);
    found.map(|(_, value)| value.trim_matches('"'))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QEMU: &str = include_str!("../../../board/qemu-arm64/facts");

    #[test]
    fn a_board_is_read() {
        let facts = Facts::parse(QEMU).unwrap();
        assert_eq!((facts.disk, facts.partition, facts.tryboot), ("/dev/vda", "", Tryboot::File));
        assert_eq!((facts.boot_mib, facts.wifi), (48, false));
        assert_eq!(value("# X=1\nBOARD=here\n", "BOARD"), Some("here"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let without = QEMU.replace("DISK=", "DSIK=");
        assert_eq!(Facts::parse(&without), Err(Wrong::Missing("DISK")));
        let odd = QEMU.replace("TRIAL_S=15", "TRIAL_S=soon");
        let said = std::format!("{}", Facts::parse(&odd).unwrap_err());
        assert_eq!(said, "TRIAL_S is \"soon\", not a number from 1 to 4096");
        assert_eq!(Facts::parse("DISK"), Err(Wrong::Line("DISK")));
    }
}
