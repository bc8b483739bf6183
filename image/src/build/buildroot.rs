//! The path by Buildroot: the pinned tree, fetched and checked once, and our external tree in it.

use super::Build;
use crate::failure::{Failure, trouble};
use crate::screen::{Screen, say};
use crate::tool;
use image_core::facts;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// What Buildroot itself asks of a machine.
const NEEDS: &[tool::Need] = &[
    ("git", "git"),
    ("make", "make"),
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("patch", "patch"),
    ("perl", "perl"),
    ("rsync", "rsync"),
    ("bc", "bc"),
    ("cpio", "cpio"),
    ("unzip", "unzip"),
    ("file", "file"),
    ("wget", "wget"),
    ("mke2fs", "e2fsprogs"),
];

/// What Buildroot leaves behind: the folder of boot files and the root file system.
pub(super) fn build(
    build: &Build,
    repository: &Path,
    folder: &Path,
    screen: &Mutex<Screen>,
) -> Result<(PathBuf, PathBuf), Failure> {
    tool::require(NEEDS)?;
    say(screen, "1/3 Buildroot, in the version of buildroot/version");
    let tree = match std::env::var_os("BUILDROOT_DIR") {
        Some(tree) => PathBuf::from(tree),
        None => fetch(repository, &folder.with_file_name("buildroot"))?,
    };
    say(screen, "2/3 configuration");
    let out = folder.join("output");
    let make = || make(build, &tree, repository, &out);
    let name = build.board.replace('-', "_");
    tool::run(make()?.arg(format!("nightjar_{name}_defconfig")))?;
    say(
        screen,
        "3/3 build: an hour or more the first time; it takes up again where it was stopped",
    );
    tool::show(&mut make()?)?;
    let images = out.join("images");
    Ok((images.join("boot"), images.join("rootfs.squashfs")))
}

/// Brings the tree at its commit. git names content by it, and checks what it brings.
fn fetch(repository: &Path, tree: &Path) -> Result<PathBuf, Failure> {
    let file = repository.join("buildroot/version");
    let pin = fs::read_to_string(&file).map_err(|error| trouble(&file, &error))?;
    let value = |key: &str| {
        let found = facts::value(&pin, key);
        found.ok_or_else(|| Failure::Trouble(format!("{} names no {key}", file.display())))
    };
    let (commit, from) = (value("COMMIT")?, value("GIT")?);
    fs::create_dir_all(tree).map_err(|error| trouble(tree, &error))?;
    let git = || {
        let mut git = tool::command("git");
        git.arg("-C").arg(tree);
        git
    };
    let at = || tool::run(git().args(["rev-parse", "HEAD"])).unwrap_or_default();
    if !tree.join(".git").is_dir() {
        tool::run(git().args(["init", "--quiet"]))?;
    }
    if at().trim() != commit {
        tool::show(git().args(["fetch", "--depth", "1", from, commit]))?;
        tool::run(git().args(["-c", "advice.detachedHead=false", "checkout", "--force", commit]))?;
    }
    if at().trim() != commit {
        return Err(Failure::Trouble(format!("{from} did not give commit {commit}")));
    }
    Ok(tree.to_path_buf())
}

/// `make` with our external tree, and what its scripts put on the card.
fn make(build: &Build, tree: &Path, repository: &Path, out: &Path) -> Result<Command, Failure> {
    fs::create_dir_all(out).map_err(|error| trouble(out, &error))?;
    let mut make = tool::command("make");
    make.arg("-C").arg(tree).arg(format!("O={}", out.display()));
    make.arg(format!("BR2_EXTERNAL={}", repository.join("buildroot").display()));
    make.env("NIGHTJAR_VERSION", super::version(build));
    if let Some(key) = &build.public_key {
        let key = key.canonicalize().map_err(|error| trouble(key, &error))?;
        make.env("NIGHTJAR_PUBLIC_KEY", key);
    }
    Ok(make)
}
