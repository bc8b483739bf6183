//! `autoboot.txt`: which boot partition the firmware takes, and which on trial. At most 512 bytes,
//! so that one sector's write replaces it. (Raspberry Pi documentation, config.txt, "autoboot.txt".)

use core::fmt;

/// Bytes that the firmware reads.
pub const MOST: usize = 512;

/// The two choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autoboot {
    /// The partition of an ordinary start.
    pub partition: u8,
    /// The partition of a start on trial.
    pub trial: u8,
}

/// What is wrong with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// More than the firmware reads.
    Long,
    /// Bytes that are no text.
    Text,
    /// A section has no `boot_partition` of 2 or 3.
    Partition(&'static str),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => write!(f, "more than {MOST} bytes"),
            Self::Text => f.write_str("not a text"),
            Self::Partition(section) => write!(f, "no boot_partition of 2 or 3 in [{section}]"),
        }
    }
}

impl Autoboot {
    /// Reads it; lines of others, order, case and white space are as people leave them.
    pub fn parse(bytes: &[u8]) -> Result<Self, Wrong> {
        if bytes.len() > MOST {
            return Err(Wrong::Long);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| Wrong::Text)?;
        let (mut section, mut all, mut trial) = ("all", None, None);
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
                section = name;
            }
            let Some(("boot_partition", value)) =
                line.split_once('=').map(|(k, v)| (k.trim(), v.trim()))
            else {
                continue;
            };
            let partition = value.parse().ok().filter(|it| matches!(it, 2 | 3));
            match section {
                "all" => all = partition,
                "tryboot" => trial = partition,
                _ => {}
            }
        }
        let partition = all.ok_or(Wrong::Partition("all"))?;
        Ok(Self { partition, trial: trial.ok_or(Wrong::Partition("tryboot"))? })
    }

    /// That of a card whose ordinary start is this partition, 2 or 3.
    pub const fn from_partition(partition: u8) -> Self {
        Self { partition, trial: 5 - partition }
    }

    /// The file's text.
    pub const fn text(self) -> &'static str {
        if self.partition == 2 {
            "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
        } else {
            "[all]\ntryboot_a_b=1\nboot_partition=3\n[tryboot]\nboot_partition=2\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for partition in [2, 3] {
            let autoboot = Autoboot::from_partition(partition);
            assert_eq!(Autoboot::parse(autoboot.text().as_bytes()), Ok(autoboot));
        }
        let by_hand =
            b" boot_partition = 3\r\n[none]\nboot_partition=1\n[tryboot]\nboot_partition=2";
        assert_eq!(Autoboot::parse(by_hand), Ok(Autoboot { partition: 3, trial: 2 }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(Autoboot::parse(&[b'#'; MOST + 1]), Err(Wrong::Long));
        assert_eq!(Autoboot::parse(&[0xff]), Err(Wrong::Text));
        assert_eq!(Autoboot::parse(b""), Err(Wrong::Partition("all")));
        let alone = b"[all]\nboot_partition=2\n[tryboot]\nboot_partition=7\n";
        assert_eq!(Autoboot::parse(alone), Err(Wrong::Partition("tryboot")));
    }
}
