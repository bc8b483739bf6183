//! How often in a row this program has given up, in a file of the data directory: enough of it,
//! and the next start is a safe one, which only answers.

use crate::store;
use edge_core::time::Instant;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Crashes in a row from which on a start is safe.
pub const SAFE: u32 = 3;
/// A program that has run for so long is well, ms.
const WELL_MS: u64 = 10 * 60_000;
/// A safe start tries the whole again after so long, ms.
const SAFE_MS: u64 = 60 * 60_000;

/// The count of one data directory.
#[derive(Debug)]
pub struct Crashes {
    file: PathBuf,
    count: u32,
    safe: bool,
}

impl Crashes {
    /// Reads the count; a file that holds no number counts as none.
    pub fn read(data_dir: &Path) -> Self {
        let file = data_dir.join("crashes");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let count = text.trim().parse().unwrap_or(0);
        Self { file, count, safe: count >= SAFE }
    }

    /// Whether this start is a safe one.
    pub const fn is_safe(&self) -> bool {
        self.safe
    }

    /// Time has passed; why the process has to end.
    pub fn look(&mut self, now: Instant) -> Option<String> {
        if now.0 < if self.safe { SAFE_MS } else { WELL_MS } {
            return None;
        }
        self.forget();
        self.safe.then(|| "it is time to try the whole again".into())
    }

    /// One more; not while a safe start lasts, which has no row of its own.
    pub fn note(&mut self) -> io::Result<()> {
        if self.safe {
            return Ok(());
        }
        self.count = self.count.saturating_add(1);
        store::replace(&self.file, format!("{}\n", self.count).as_bytes())
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
    use std::os::unix::fs::PermissionsExt;

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
        assert_eq!(crashes.look(Instant(SAFE_MS - 1)), None);
        crashes.note().unwrap();
        assert_eq!(fs::read_to_string(dir.join("crashes")).unwrap(), "3\n");
        assert!(crashes.look(Instant(SAFE_MS)).is_some() && !Crashes::read(&dir).is_safe());
        let mut crashes = Crashes::read(&dir);
        crashes.note().unwrap();
        assert_eq!((crashes.look(Instant(WELL_MS - 1)), crashes.count), (None, 1));
        assert_eq!((crashes.look(Instant(WELL_MS)), crashes.count), (None, 0), "it runs well");
        fs::write(dir.join("crashes"), "\u{0}many").unwrap();
        assert!(!Crashes::read(&dir).is_safe());
        fs::remove_file(dir.join("crashes")).unwrap();
        Crashes::read(&dir).note().unwrap();
        let mode = fs::metadata(dir.join("crashes")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "its owner's alone");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no draft stays");
        fs::remove_dir_all(&dir).unwrap();
    }
}
