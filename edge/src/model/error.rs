//! Why a model was not loaded.

use std::fmt;
use std::path::{Path, PathBuf};

/// What kind of thing was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The file cannot be read, or is too long.
    Read,
    /// It is no TFLite file.
    NotTflite,
    /// It is one, but not of the kind that runs here.
    Unsupported,
    /// The labels file is no list of labels.
    Labels,
}

/// Why a model was not loaded; displays as one line that names the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The file that is in the way.
    pub path: PathBuf,
    /// What kind of thing was wrong.
    pub kind: Kind,
    context: String,
}

impl Error {
    pub(super) fn new(path: &Path, kind: Kind, context: String) -> Self {
        Self { path: path.into(), kind, context }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&format!("{}: {}", self.path.display(), self.context)))
    }
}

/// Paths, and the names in a file, are a stranger's: what would end a line or move a terminal's
/// cursor is escaped.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

impl std::error::Error for Error {}

/// The bytes of a file of at most `longest`.
pub(super) fn read(path: &Path, longest: u64, kind: Kind) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let error = |context: String| Error::new(path, kind, context);
    let cannot = |cause| error(format!("cannot be read: {cause}"));
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > longest {
        return Err(error(format!("is longer than {} KiB", longest >> 10)));
    }
    Ok(bytes)
}
