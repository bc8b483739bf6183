//! The path by Buildroot: the pinned tree, fetched and checked once, and our external tree in it.

use super::Build;
use crate::failure::Failure;
use crate::screen::Screen;
use std::path::Path;
use std::sync::Mutex;

/// Builds the card of a real board.
pub(super) fn build(
    _build: &Build,
    _repository: &Path,
    _folder: &Path,
    _out: &Path,
    _screen: &Mutex<Screen>,
) -> Result<(), Failure> {
    Err(Failure::Trouble("to come".into()))
}
