//! Debian's arm64 packages, from the mirrors that this machine's apt uses: fetched and unpacked
//! into a folder of ours. apt is told to take that folder for its whole world, so that neither
//! root nor a foreign architecture on this machine is needed.

use crate::failure::{Failure, trouble};
use crate::tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a root file system takes from Debian, beside the kernel.
const PACKAGES: &[&str] = &[
    "busybox-static",
    "libc6",
    "libgcc-s1",
    "e2fsprogs",
    "libext2fs2",
    "libblkid1",
    "libuuid1",
    "libcom-err2",
];
/// The package that names the newest kernel.
const KERNEL: &str = "linux-image-arm64";

/// Packages below one folder, each unpacked into a folder of its name.
#[derive(Debug)]
pub(crate) struct Debian {
    folder: PathBuf,
    /// The names of all, the kernel's first.
    pub(crate) packages: Vec<String>,
}

impl Debian {
    /// Fetches and unpacks what is not there yet; asks the mirrors anew each time.
    pub(crate) fn fetch(folder: &Path) -> Result<Self, Failure> {
        for below in ["state/lists/partial", "cache/archives/partial", "packages", "unpacked"] {
            fs::create_dir_all(folder.join(below)).map_err(|error| trouble(folder, &error))?;
        }
        fs::write(folder.join("status"), "").map_err(|error| trouble(folder, &error))?;
        let folder = folder.canonicalize().map_err(|error| trouble(folder, &error))?;
        tool::run(apt("apt-get", &folder).arg("update"))?;
        let depends = tool::run(apt("apt-cache", &folder).args(["depends", KERNEL]))?;
        let kernel = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        let kernel = kernel.ok_or_else(|| {
            Failure::Trouble(format!("Debian's {KERNEL} names no kernel: {depends:?}"))
        })?;
        let mut packages = vec![kernel.to_owned()];
        packages.extend(PACKAGES.iter().map(|&it| it.to_owned()));
        let mut download = apt("apt-get", &folder);
        tool::run(download.arg("download").args(&packages).current_dir(folder.join("packages")))?;
        let debian = Self { folder, packages };
        debian.unpack()?;
        Ok(debian)
    }

    /// The folder that holds one package's files.
    pub(crate) fn files(&self, package: &str) -> PathBuf {
        self.folder.join("unpacked").join(package)
    }

    /// The kernel's files.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.files(&self.packages[0])
    }

    /// The kernel's release, as its modules' folder is called.
    pub(crate) fn release(&self) -> &str {
        self.packages[0].trim_start_matches("linux-image-")
    }

    /// Unpacks each anew, newest file of its name.
    fn unpack(&self) -> Result<(), Failure> {
        for package in &self.packages {
            let archive = self.newest(package)?;
            let files = self.files(package);
            let mark = files.join(".from");
            let from = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if fs::read_to_string(&mark).is_ok_and(|it| it == from) {
                continue;
            }
            let _ = fs::remove_dir_all(&files);
            tool::run(tool::command("dpkg-deb").arg("-x").args([&archive, &files]))?;
            fs::write(&mark, from).map_err(|error| trouble(&mark, &error))?;
        }
        Ok(())
    }

    fn newest(&self, package: &str) -> Result<PathBuf, Failure> {
        let folder = self.folder.join("packages");
        let listed = fs::read_dir(&folder).map_err(|error| trouble(&folder, &error))?;
        let begin = format!("{package}_");
        let ours =
            listed.flatten().filter(|it| it.file_name().to_string_lossy().starts_with(&begin));
        let newest = ours.max_by_key(|it| it.metadata().and_then(|it| it.modified()).ok());
        newest.map(|it| it.path()).ok_or_else(|| {
            Failure::Trouble(format!("apt-get brought no {package} into {}", folder.display()))
        })
    }
}

/// One of apt's programs, for arm64 and with nothing of this machine but its sources and keys.
fn apt(program: &str, folder: &Path) -> Command {
    let mut command = tool::command(program);
    let here = |name: &str| folder.join(name).display().to_string();
    for option in [
        "APT::Architecture=arm64".to_owned(),
        "APT::Architectures=arm64".to_owned(),
        "APT::Sandbox::User=".to_owned(),
        format!("Dir::State={}", here("state")),
        format!("Dir::State::status={}", here("status")),
        format!("Dir::Cache={}", here("cache")),
    ] {
        command.args(["-o", &option]);
    }
    command.arg("-q");
    command
}
