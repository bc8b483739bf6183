//! Blocks set aside, so that a card which others filled still takes what makes room on it.

use super::disk::How;
use super::writer::Writer;
use std::io;
use std::path::PathBuf;

/// Its length, or a 64th of the log's where that is less.
const BALLAST_BYTES: u64 = 16 * 1024 * 1024;

impl Writer {
    fn ballast(&self) -> PathBuf {
        self.shared.dir.join("ballast")
    }

    /// Sets the blocks aside where they are not. A card that is too full for it goes without.
    pub(super) fn take_ballast(&self) {
        if self.try_ballast().is_err() {
            let _ = self.shared.disk.remove(&self.ballast());
        }
    }

    fn try_ballast(&self) -> io::Result<()> {
        let length = BALLAST_BYTES.min(self.limits.keep_bytes / 64);
        let file = self.shared.disk.open(&self.ballast(), How::Write)?;
        if file.length()? < length {
            file.reserve(length)?;
            file.sync()?;
        }
        Ok(())
    }

    /// Gives the blocks back; whether there were any.
    pub(super) fn drop_ballast(&self) -> bool {
        self.shared.disk.remove(&self.ballast()).is_ok()
    }
}
