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

/// A golden tensor or list below the folder that `NIGHTJAR_GOLDEN` names.
pub fn golden(name: &str) -> Option<PathBuf> {
    beneath("NIGHTJAR_GOLDEN", name)
}

/// Says that a test cannot run here.
///
/// # Panics
/// Where `CI=true`: there everything must run.
pub fn left_out(test: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} cannot run: {why}");
    println!("LEFT OUT: {test}: {why}");
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
