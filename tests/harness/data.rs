//! Where models, pictures and scratch directories lie.

use std::path::{Path, PathBuf};

/// The repository's top folder.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").into()
}

/// A file below the folder that `NIGHTJAR_MODELS` names; `None` where it is not to be had.
pub fn model(name: &str) -> Option<PathBuf> {
    beneath("NIGHTJAR_MODELS", name)
}

/// A file or folder below the one that `NIGHTJAR_PICTURES` names.
pub fn pictures(name: &str) -> Option<PathBuf> {
    beneath("NIGHTJAR_PICTURES", name)
}

/// A golden file: below the folder that `NIGHTJAR_GOLDEN` names, else in the folder `golden`
/// beside the models.
pub fn golden(name: &str) -> Option<PathBuf> {
    if std::env::var_os("NIGHTJAR_GOLDEN").is_some() {
        return beneath("NIGHTJAR_GOLDEN", name);
    }
    let models = PathBuf::from(std::env::var_os("NIGHTJAR_MODELS")?);
    let path = models.parent()?.join("golden").join(name);
    path.exists().then_some(path)
}

/// All the files that `test` needs, or `None`, said aloud, where one is not to be had.
///
/// # Panics
/// With `CI=true`, where all must be there.
pub fn all<const N: usize>(test: &str, wanted: [Option<PathBuf>; N]) -> Option<[PathBuf; N]> {
    let found: Vec<PathBuf> = wanted.into_iter().flatten().collect();
    if let Ok(found) = found.try_into() {
        return Some(found);
    }
    left_out(test, "a file below NIGHTJAR_MODELS, NIGHTJAR_PICTURES or NIGHTJAR_GOLDEN is missing");
    None
}

/// Says that a test cannot run here.
///
/// # Panics
/// With `CI=true`: there everything must run.
pub fn left_out(test: &str, why: &str) {
    use std::io::Write;
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} cannot run: {why}");
    // Not by a macro: what those write is hidden when a test passes.
    let _ = writeln!(std::io::stdout().lock(), "left out: {test} ({why})");
}

fn beneath(variable: &str, name: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os(variable)?).join(name);
    path.exists().then_some(path)
}

/// A fresh directory that is deleted when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new one; `tag` only helps people who look.
    pub fn new(tag: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nightjar-{tag}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
