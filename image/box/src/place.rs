//! Where things lie: on a card below `/`, in a test below any folder.

use std::path::{Path, PathBuf};

/// The system's root.
#[derive(Debug, Clone)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self(root)
    }

    /// `path` begins with a slash.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Whether this is a card that runs, not a folder: only there the machine itself is touched.
    pub(crate) fn is_real(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// A program of the system: busybox has links in several folders.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let folders = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"];
        folders.iter().map(|it| self.at(it).join(name)).find(|it| it.exists())
    }
}
