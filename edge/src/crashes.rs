//! How often in a row this program has given up, in a file of the data directory: enough of it,
//! and the next start is a safe one, which only answers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Crashes in a row from which on a start is safe.
pub const SAFE: u32 = 3;
/// A program that has run for so long is well, ms.
pub const WELL_MS: u64 = 10 * 60_000;
/// A safe start tries the whole again after so long, ms.
pub const SAFE_MS: u64 = 60 * 60_000;

/// The count of one data directory.
#[derive(Debug)]
pub struct Crashes {
    file: PathBuf,
    count: u32,
}

impl Crashes {
    /// Reads the count; a file that holds no number counts as none.
    pub fn read(data_dir: &Path) -> Self {
        let file = data_dir.join("crashes");
        let text = fs::read_to_string(&file).unwrap_or_default();
        Self { file, count: text.trim().parse().unwrap_or(0) }
    }

    /// Whether this start is to be a safe one.
    pub const fn is_safe(&self) -> bool {
        self.count >= SAFE
    }

    /// One more.
    pub fn note(&mut self) -> io::Result<()> {
        self.count = self.count.saturating_add(1);
        fs::write(&self.file, format!("{}\n", self.count))
    }

    /// It runs well, or its owner has ended it: the row is over. Writes only where there is one.
    pub fn forget(&mut self) {
        if self.count > 0 {
            self.count = 0;
            let _ = fs::remove_file(&self.file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_crashes_makes_a_start_safe() {
        let dir = std::env::temp_dir().join(format!("nightjar-crashes-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for before in 0..SAFE {
            let mut crashes = Crashes::read(&dir);
            assert!(!crashes.is_safe(), "after {before}");
            crashes.note().unwrap();
        }
        let mut crashes = Crashes::read(&dir);
        assert!(crashes.is_safe());
        crashes.forget();
        assert!(!crashes.is_safe() && !Crashes::read(&dir).is_safe());
        fs::write(dir.join("crashes"), "\u{0}many").unwrap();
        assert!(!Crashes::read(&dir).is_safe());
        fs::remove_dir_all(&dir).unwrap();
    }
}
