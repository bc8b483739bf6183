//! Debian's arm64 packages, from the mirrors that this machine's apt uses: fetched and unpacked
//! into a folder of ours. apt is told to take that folder for its whole world, so that neither
//! root nor a foreign architecture on this machine is needed.
//!
//! ```text
//! asked a day ago, sources changed, an archive missing or another -> the mirrors -> known
//! else                                                               known -> unpacked
//! ```

use super::kept;
use super::root::entries;
use crate::clock;
use crate::failure::{Failure, trouble};
use crate::tool;
use image_core::manifest::unhex;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

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
/// Where this machine's apt has its mirrors from.
const SOURCES: [&str; 2] = ["/etc/apt/sources.list", "/etc/apt/sources.list.d"];
/// How long what the mirrors said is not asked again.
const KNOWN_FOR: Duration = Duration::from_hours(24);

/// Packages below one folder, each unpacked into a folder of its name.
#[derive(Debug)]
pub(crate) struct Debian {
    folder: PathBuf,
    /// The names of all, the kernel's first.
    pub(crate) packages: Vec<String>,
}

impl Debian {
    /// Fetches and unpacks what is not there yet; asks the mirrors once a day.
    pub(crate) fn fetch(folder: &Path) -> Result<Self, Failure> {
        for below in ["state/lists/partial", "cache/archives/partial", "packages", "unpacked"] {
            fs::create_dir_all(folder.join(below)).map_err(|error| trouble(folder, &error))?;
        }
        fs::write(folder.join("status"), "").map_err(|error| trouble(folder, &error))?;
        let folder = folder.canonicalize().map_err(|error| trouble(folder, &error))?;
        let archives = known(&folder, &SOURCES.map(Path::new), || bring(&folder))?;
        let packages = archives.iter().map(|it| it.package.clone()).collect();
        let debian = Self { folder, packages };
        debian.unpack(&archives)?;
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

    /// Unpacks what is not unpacked from this very archive; what is named no more goes.
    fn unpack(&self, archives: &[Archive]) -> Result<(), Failure> {
        let [unpacked, packages] = ["unpacked", "packages"].map(|it| self.folder.join(it));
        leave_only(&unpacked, |it| archives.iter().any(|archive| it.ends_with(&archive.package)))?;
        leave_only(&packages, |it| archives.iter().any(|archive| it.ends_with(&archive.file)))?;
        for archive in archives {
            let files = self.files(&archive.package);
            let mark = files.join(".from");
            if fs::read(&mark).is_ok_and(|it| it == archive.sha256) {
                continue;
            }
            let _ = fs::remove_dir_all(&files);
            let file = archive.path(&self.folder);
            tool::run(tool::command("dpkg-deb").arg("-x").args([&file, &files]))?;
            fs::write(&mark, archive.sha256).map_err(|error| trouble(&mark, &error))?;
        }
        Ok(())
    }
}

/// A package as the mirrors have it.
#[derive(Debug)]
struct Archive {
    package: String,
    file: String,
    sha256: [u8; 32],
}

impl Archive {
    /// Reads a line of `apt-get download --print-uris`: `'URL' FILE BYTES SHA256:HEX`.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().skip(1);
        let (file, sum) = (words.next()?, words.nth(1)?);
        let (package, _) = file.split_once('_').filter(|_| !file.contains('/'))?;
        let sha256 = unhex(sum.strip_prefix("SHA256:")?)?;
        Some(Self { package: package.into(), file: file.into(), sha256 })
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join("packages").join(&self.file)
    }

    fn check(&self, folder: &Path) -> Result<(), Failure> {
        let path = self.path(folder);
        let same = kept::sum(&path)? == self.sha256;
        if same { Ok(()) } else { Err(trouble(&path, &"it is not the archive that apt names")) }
    }
}

/// The archives that apt named last, the kernel's first; all of them are there. `bring` fetches
/// what it names now.
fn known(
    folder: &Path,
    sources: &[&Path],
    bring: impl FnOnce() -> Result<String, Failure>,
) -> Result<Vec<Archive>, Failure> {
    let known = folder.join("known");
    let read = || {
        let lines = fs::read_to_string(&known).map_err(|error| trouble(&known, &error))?;
        let archives = archives(&lines)?;
        archives.iter().try_for_each(|it| it.check(folder)).map(|()| archives)
    };
    if !clock::is_younger(&known, KNOWN_FOR) || read().is_err() {
        let _ = fs::remove_file(&known);
    }
    kept::once(&known, sources, || {
        fs::write(&known, bring()?).map_err(|error| trouble(&known, &error))
    })?;
    read()
}

/// The kernel's archive and those of `PACKAGES`, in this order.
fn archives(lines: &str) -> Result<Vec<Archive>, Failure> {
    let mut archives: Vec<_> = lines.lines().filter_map(Archive::parse).collect();
    archives.sort_by_key(|it| PACKAGES.iter().position(|name| *name == it.package));
    if archives.iter().skip(1).map(|it| &it.package).eq(PACKAGES) {
        return Ok(archives);
    }
    Err(Failure::Trouble(format!("apt names other archives than were asked for:\n{lines}")))
}

/// Fetches what the mirrors have now; apt's lines that name it.
fn bring(folder: &Path) -> Result<String, Failure> {
    tool::run(apt("apt-get", folder).arg("update"))?;
    let depends = tool::run(apt("apt-cache", folder).args(["depends", KERNEL]))?;
    let kernel = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let kernel = kernel.ok_or_else(|| {
        Failure::Trouble(format!("Debian's {KERNEL} names no kernel: {depends:?}"))
    })?;
    let download = |more: &[&str], at: &Path| {
        let mut apt = apt("apt-get", folder);
        tool::run(apt.arg("download").args(more).arg(kernel).args(PACKAGES).current_dir(at))
    };
    // Asked where no archive lies: apt names those alone that it would fetch, and an archive of
    // the right length is right to it.
    let lines = download(&["--print-uris"], folder)?;
    for archive in archives(&lines)?.iter().filter(|it| it.check(folder).is_err()) {
        let _ = fs::remove_file(archive.path(folder));
    }
    download(&[], &folder.join("packages"))?;
    Ok(lines)
}

/// Deletes all in a folder but what stays.
fn leave_only(folder: &Path, stays: impl Fn(&Path) -> bool) -> Result<(), Failure> {
    for path in entries(folder)?.into_iter().filter(|it| !stays(it)) {
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.map_err(|error| trouble(&path, &error))?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest::{SHA256, digest};
    use std::cell::Cell;
    use std::fmt::Write;

    /// What apt prints of archives whose bytes are their version.
    fn lines(version: &str) -> String {
        let mut lines = String::from("Reading package lists...\n");
        for package in PACKAGES.iter().chain(&["linux-image-6.1.0-56-arm64"]) {
            let sum = digest(&SHA256, version.as_bytes());
            let sum = sum.as_ref().iter().fold(String::new(), |sum, it| format!("{sum}{it:02x}"));
            let file = format!("{package}_{version}_arm64.deb");
            writeln!(lines, "'http://debian/pool/{file}' {file} 822236 SHA256:{sum}").unwrap();
        }
        lines
    }

    #[test]
    fn mirrors_are_asked_only_where_something_may_have_changed() {
        let folder = std::env::temp_dir().join(format!("nightjar-debian-{}", std::process::id()));
        let [sources, packages] = ["sources", "packages"].map(|it| folder.join(it));
        fs::create_dir_all(&packages).unwrap();
        let version = Cell::new("1%3a1.0");
        let asked = Cell::new(0);
        let bring = || {
            asked.set(asked.get() + 1);
            let lines = lines(version.get());
            for archive in archives(&lines)? {
                fs::write(archive.path(&folder), version.get()).unwrap();
            }
            Ok(lines)
        };
        let kernel = || known(&folder, &[&sources], bring).map(|it| it[0].file.clone());
        let a_day = || {
            let known = fs::File::options().write(true).open(folder.join("known")).unwrap();
            let written = known.metadata().unwrap().modified().unwrap();
            known.set_modified(written - KNOWN_FOR).unwrap();
        };
        let damage = || fs::write(packages.join("libc6_1%3a1.0_arm64.deb"), "1%3a1.1").unwrap();
        let lose = || fs::remove_file(packages.join("libc6_1%3a1.0_arm64.deb")).unwrap();
        let change = || fs::write(&sources, "deb http://another").unwrap();
        let cases: [&dyn Fn(); 5] = [&|| {}, &a_day, &damage, &lose, &change];
        for (nr, case) in (1..).zip(cases) {
            case();
            for _ in 0..2 {
                assert_eq!(kernel().unwrap(), "linux-image-6.1.0-56-arm64_1%3a1.0_arm64.deb");
                assert_eq!(asked.get(), nr);
            }
        }
        version.set("2.0");
        assert!(kernel().unwrap().contains("1%3a1.0"));
        a_day();
        assert!(kernel().unwrap().contains("_2.0_"));
        fs::create_dir_all(folder.join("packages/old/er")).unwrap();
        leave_only(&packages, |it| it.ends_with("libc6_2.0_arm64.deb")).unwrap();
        assert_eq!(entries(&packages).unwrap(), [packages.join("libc6_2.0_arm64.deb")]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_apt_names_is_held_against_what_was_asked_for() {
        let line = "'http://debian/a' ../a_1_arm64.deb 1 SHA256:";
        assert!(Archive::parse(&format!("{line}{}", "0".repeat(64))).is_none());
        let all = lines("1");
        let short: String = all.lines().filter(|it| !it.contains("libc6")).collect();
        assert!(archives(&short).is_err());
        assert!(archives(&all.replace("SHA256:", "MD5Sum:")).is_err());
    }
}
