//! The root file system of the path from Debian: the overlay that every card shares, busybox,
//! the C library, our programs, the model, the kernel's modules, the licences.

use super::cross::PROGRAMS;
use super::debian::Debian;
use crate::failure::{Failure, trouble};
use crate::tool;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What the scripts on the card and people at a test's console call.
const APPLETS: &[&str] = &[
    "[",
    "ash",
    "awk",
    "basename",
    "blkid",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "dmesg",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "free",
    "grep",
    "head",
    "hostname",
    "id",
    "ifconfig",
    "init",
    "ip",
    "kill",
    "killall",
    "ln",
    "ls",
    "lsmod",
    "md5sum",
    "mdev",
    "mkdir",
    "mknod",
    "modprobe",
    "mount",
    "mv",
    "nc",
    "partprobe",
    "pidof",
    "poweroff",
    "printf",
    "ps",
    "rdate",
    "readlink",
    "reboot",
    "rm",
    "rmdir",
    "route",
    "sed",
    "seq",
    "setpriv",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "stty",
    "swapoff",
    "sync",
    "sysctl",
    "tail",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "udhcpc",
    "umount",
    "uname",
    "watchdog",
    "wc",
    "wget",
    "xargs",
];
/// Mount points, and folders that something is mounted over.
const FOLDERS: &[&str] = &[
    "bin", "sbin", "usr/bin", "usr/sbin", "lib", "etc", "proc", "sys", "dev", "run", "tmp", "var",
    "boot", "data",
];
/// Where Debian's libraries for the card's processor lie, below a package.
const LIBRARIES: [&str; 2] = ["lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu"];
/// Libraries that nothing on the card opens.
const LEFT_OUT: &[&str] = &[
    "gconv",
    "audit",
    "libmemusage",
    "libpcprofile",
    "libc_malloc_debug",
    "libnss_",
    "libnsl",
    "libthread_db",
];

/// What goes in.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// This clone.
    pub(crate) repository: &'a Path,
    pub(crate) debian: &'a Debian,
    /// The folder of our programs.
    pub(crate) programs: &'a Path,
    /// The detector, where this machine has it.
    pub(crate) model: Option<&'a Path>,
    /// Kernel modules, as paths below the release's folder.
    pub(crate) modules: &'a [String],
    /// Files below `/etc/nightjar` and their text.
    pub(crate) about: &'a [(&'static str, String)],
}

/// Lays the tree out at `root`, anew.
pub(crate) fn lay_out(root: &Path, parts: &Parts<'_>) -> Result<(), Failure> {
    if root.exists() {
        fs::remove_dir_all(root).map_err(|error| trouble(root, &error))?;
    }
    for folder in FOLDERS {
        make(&root.join(folder))?;
    }
    busybox(root, parts.debian)?;
    libraries(root, parts.debian)?;
    for program in ["e2fsck", "mke2fs", "resize2fs"] {
        copy(
            &parts.debian.files("e2fsprogs").join("sbin").join(program),
            &root.join("sbin").join(program),
        )?;
    }
    for (_, program) in PROGRAMS {
        copy(&parts.programs.join(program), &root.join("usr/bin").join(program))?;
    }
    if let Some(model) = parts.model {
        copy(model, &root.join("usr/share/nightjar/model.tflite"))?;
    }
    modules(root, parts)?;
    overlay(&parts.repository.join("board/overlay"), root)?;
    for (name, text) in parts.about {
        write(&root.join("etc/nightjar").join(name), text)?;
    }
    licences(root, parts)
}

/// Packs the tree, the same bytes each time; level 19 instead of the usual 15 saves 0.6 % in
/// 2.3 times the time.
pub(crate) fn squash(root: &Path, file: &Path) -> Result<(), Failure> {
    let _ = fs::remove_file(file);
    tool::run(
        tool::command("mksquashfs")
            .args([root, file])
            .args(["-comp", "zstd", "-b", "256K", "-all-root", "-no-xattrs"])
            .args(["-noappend", "-no-progress", "-quiet", "-mkfs-time", "0", "-all-time", "0"])
            .env_remove("SOURCE_DATE_EPOCH"),
    )
    .map(|_| ())
}

fn busybox(root: &Path, debian: &Debian) -> Result<(), Failure> {
    copy(&debian.files("busybox-static").join("bin/busybox"), &root.join("bin/busybox"))?;
    for applet in APPLETS {
        link("busybox", &root.join("bin").join(applet))?;
    }
    // The kernel itself calls modprobe by this name, for a file system it does not know.
    for applet in ["init", "modprobe"] {
        link("../bin/busybox", &root.join("sbin").join(applet))?;
    }
    Ok(())
}

fn libraries(root: &Path, debian: &Debian) -> Result<(), Failure> {
    let to = root.join("lib/aarch64-linux-gnu");
    for package in &debian.packages[1..] {
        for folder in LIBRARIES {
            let folder = debian.files(package).join(folder);
            for file in entries(&folder)? {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.contains(".so") && !LEFT_OUT.iter().any(|it| name.starts_with(it)) {
                    copy(&file, &to.join(name))?;
                }
            }
        }
    }
    link("aarch64-linux-gnu/ld-linux-aarch64.so.1", &root.join("lib/ld-linux-aarch64.so.1"))
}

fn modules(root: &Path, parts: &Parts<'_>) -> Result<(), Failure> {
    let below = Path::new("lib/modules").join(parts.debian.release());
    let from = parts.debian.kernel().join(&below);
    for path in parts.modules {
        copy(&from.join(path), &root.join(&below).join(path))?;
    }
    for list in ["modules.builtin", "modules.order"] {
        copy(&from.join(list), &root.join(&below).join(list))?;
    }
    tool::run(tool::command("depmod").arg("-b").arg(root).arg(parts.debian.release()))?;
    Ok(())
}

/// Copies a tree over what is there, with the files' modes; links stay links.
pub(super) fn overlay(from: &Path, to: &Path) -> Result<(), Failure> {
    make(to)?;
    for entry in entries(from)? {
        let there = to.join(entry.file_name().unwrap_or_default());
        if let Ok(to) = fs::read_link(&entry) {
            let _ = fs::remove_file(&there);
            symlink(to, &there).map_err(|error| trouble(&there, &error))?;
        } else if entry.is_dir() {
            overlay(&entry, &there)?;
        } else {
            copy(&entry, &there)?;
        }
    }
    Ok(())
}

/// Each package's own words, and ours.
fn licences(root: &Path, parts: &Parts<'_>) -> Result<(), Failure> {
    let folder = root.join("usr/share/licences");
    for package in &parts.debian.packages {
        let words =
            parts.debian.files(package).join("usr/share/doc").join(package).join("copyright");
        if words.is_file() {
            copy(&words, &folder.join(package).join("copyright"))?;
        }
    }
    for ours in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&parts.repository.join(ours), &folder.join("nightjar").join(ours))?;
    }
    let sources: Vec<_> = parts.debian.packages.iter().map(|it| format!("  {it}\n")).collect();
    write(&folder.join("SOURCES"), &format!("{OFFER}{}", sources.concat()))
}

/// What the licences of others ask of whoever passes a card on.
const OFFER: &str = "\
This card holds programs of others under licences of their own, among them the GNU General
Public License; their words lie in this folder. The complete sources are Debian's source
packages of the same names and versions, from Debian's mirrors and snapshot.debian.org. Whoever
gives you this card owes you those sources for three years, at no more than the cost of
copying them. The packages:
";

/// The paths in a folder, by name; none where there is no folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let listed = fs::read_dir(folder).map_err(|error| trouble(folder, &error))?;
    let mut paths: Vec<_> = listed.flatten().map(|it| it.path()).collect();
    paths.sort();
    Ok(paths)
}

fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| trouble(folder, &error))
}

fn link(to: &str, path: &Path) -> Result<(), Failure> {
    symlink(to, path).map_err(|error| trouble(path, &error))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    make(path.parent().unwrap_or(path))?;
    fs::write(path, text).map_err(|error| trouble(path, &error))
}

/// Copies a file, or a link as what it points to, with modes as if made under umask 022.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    make(to.parent().unwrap_or(to))?;
    if fs::symlink_metadata(to).is_ok() {
        fs::remove_file(to).map_err(|error| trouble(to, &error))?;
    }
    fs::copy(from, to).map_err(|error| trouble(from, &error))?;
    let mode = fs::metadata(to).map_err(|error| trouble(to, &error))?.permissions().mode();
    let plain = if mode & 0o100 != 0 { 0o755 } else { 0o644 };
    let secret = to.ends_with("etc/shadow");
    let mode = fs::Permissions::from_mode(if secret { 0o600 } else { plain });
    fs::set_permissions(to, mode).map_err(|error| trouble(to, &error))
}
