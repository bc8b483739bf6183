//! Why the tool ends without having done what was asked: one line for people.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// One line, and whether the command itself was wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line cannot be understood: exit code 2.
    Usage(String),
    /// Something it needed could not be had: exit code 1.
    Trouble(String),
}

impl Failure {
    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Trouble(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(line) => write!(f, "{line}; see nightjar --help"),
            Self::Trouble(line) => f.write_str(line),
        }
    }
}

/// What went wrong with a file or a folder.
pub(crate) fn trouble(path: &Path, error: &dyn fmt::Display) -> Failure {
    Failure::Trouble(format!("{}: {error}", path.display()))
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}
