//! `nightjar build BOARD`: a card's image from this clone.
//!
//! ```text
//! --from-debian   programs (cargo) + kernel, libc, busybox (Debian) -> root, first steps -> card
//! else            Buildroot, pinned and checked -> root, kernel, firmware -> card
//! ```
//! Both lay out the same overlay, programs and partitions; a card from Debian is for QEMU.

mod buildroot;
mod cross;
mod debian;
mod first;
mod kept;
mod modules;
mod root;

use crate::card::{self, Card};
use crate::failure::{Failure, trouble};
use crate::model;
use crate::screen::{Screen, say};
use crate::signing::{self, Recipe};
use crate::tool;
use crate::whole;
use image_core::facts::Facts;
use image_core::settings::TEMPLATE;
use image_core::version::Version;
use modules::Modules;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What the kernel needs before it has a root file system, and what every card needs after it.
const FIRST_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "squashfs"];
const LATER_MODULES: [&str; 5] = ["crc32c_generic", "ext4", "vfat", "nls_cp437", "nls_ascii"];

/// The archive that a kernel with its disk's driver in a module starts with, on a boot partition.
pub(crate) const FIRST_STEPS: &str = "initrd.gz";

/// What is to be built.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Build {
    /// A folder of `board/`.
    pub(crate) board: String,
    pub(crate) from_debian: bool,
    /// Where the image goes; `target/card/BOARD/nightjar-BOARD.img` where it is not said.
    pub(crate) out: Option<PathBuf>,
    /// Who may sign updates of this card; nobody where it is not said.
    pub(crate) public_key: Option<PathBuf>,
    /// What the card calls itself; the workspace's version where it is not said.
    pub(crate) version: Option<String>,
    /// Who signs the update that is made beside the image; none is made where it is not said.
    pub(crate) key: Option<PathBuf>,
    /// Folders laid over the root file system, the last one on top.
    pub(crate) overlays: Vec<PathBuf>,
}

/// Builds it and says where it lies.
pub(crate) fn run(build: &Build, screen: &Mutex<Screen>) -> Result<(), Failure> {
    // The modes of files go into the card: they are the same whoever builds it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let repository = repository()?;
    let facts = card::board(&build.board)?;
    signing::check_pair(build.public_key.as_deref(), build.key.as_deref())?;
    number(build)?;
    let folder = cross::target(&repository).join("card").join(&build.board);
    fs::create_dir_all(&folder).map_err(|error| trouble(&folder, &error))?;
    let out =
        build.out.clone().unwrap_or_else(|| folder.join(format!("nightjar-{}.img", build.board)));
    let (boot, root) = if build.from_debian {
        from_debian(build, &facts, &repository, &folder, screen)?
    } else {
        buildroot::build(build, &repository, &folder, screen)?
    };
    let card = Card { boot, root, settings: TEMPLATE.into() };
    card::write(&card, &facts, &out)?;
    say(screen, &format!("The card's image is {}", out.display()));
    match &build.key {
        Some(key) => update(build, key, &card, &facts, &out, screen),
        None => Ok(()),
    }
}

/// Makes the update to the same system beside the image.
fn update(
    build: &Build,
    key: &Path,
    card: &Card,
    facts: &Facts<'_>,
    image: &Path,
    screen: &Mutex<Screen>,
) -> Result<(), Failure> {
    let boot = card.root.with_file_name("boot.fat");
    let part = card::boot_part(&card.boot, facts)?;
    fs::write(&boot, part).map_err(|error| trouble(&boot, &error))?;
    let recipe = Recipe {
        board: build.board.clone(),
        version: number(build)?,
        minimum: Version::default(),
        boot,
        root: card.root.clone(),
        key: key.to_path_buf(),
        out: image.with_extension("nightjar"),
    };
    signing::pack(&recipe, screen)?;
    say(screen, &format!("The update to it is {}", recipe.out.display()));
    Ok(())
}

/// The folder that this clone lies in: above the package that cargo runs, else above where we are.
fn repository() -> Result<PathBuf, Failure> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.map_or_else(std::env::current_dir, Ok);
    let here = here.map_err(|error| Failure::Trouble(error.to_string()))?;
    let is_clone =
        |folder: &&Path| folder.join("board").is_dir() && folder.join("buildroot").is_dir();
    here.ancestors().find(is_clone).map(Path::to_path_buf).ok_or_else(|| {
        Failure::Trouble("build works in a clone of Nightjar: cd into it first".into())
    })
}

/// The path from Debian: everything but our own programs comes as Debian's packages.
fn from_debian(
    build: &Build,
    facts: &Facts<'_>,
    repository: &Path,
    folder: &Path,
    screen: &Mutex<Screen>,
) -> Result<(PathBuf, PathBuf), Failure> {
    if build.board != "qemu-arm64" {
        return Err(Failure::Usage("--from-debian builds qemu-arm64 only".into()));
    }
    tool::require(&[
        ("apt-get", "apt"),
        ("dpkg-deb", "dpkg"),
        ("depmod", "kmod"),
        ("mksquashfs", "squashfs-tools"),
        ("mke2fs", "e2fsprogs"),
    ])?;
    say(screen, "1/4 programs for the card's processor");
    let programs = cross::build(repository)?;
    say(screen, "2/4 Debian's packages for arm64");
    let debian = debian::Debian::fetch(&folder.with_file_name("debian"))?;
    let kernel = Modules::read(&debian.kernel(), debian.release())?;
    say(screen, "3/4 root file system");
    let root = folder.join("root");
    let model = model::find();
    if model.is_none() {
        say(screen, "No model on this machine (nightjar model fetch): this card sees motion only.");
    }
    let wanted = LATER_MODULES.into_iter().chain(facts.modules.split_whitespace());
    root::lay_out(
        &root,
        &root::Parts {
            repository,
            debian: &debian,
            programs: &programs,
            model: model.as_deref(),
            modules: &kernel.in_order(wanted)?,
            about: &about(build, repository)?,
        },
    )?;
    for overlay in &build.overlays {
        root::overlay(overlay, &root)?;
    }
    // A card of another name keeps its own.
    let name = build.out.as_deref().and_then(Path::file_stem).unwrap_or("root".as_ref());
    let squashed = whole::beside(&folder.join(name), ".squashfs");
    kept::once(&squashed, &[&kept::us()?, &root], || root::squash(&root, &squashed))?;
    say(screen, "4/4 kernel and first steps");
    let boot = boot(&build.board, facts, repository, folder, &debian, &kernel)?;
    Ok((boot, squashed))
}

/// Lays out what the boot partitions hold.
fn boot(
    name: &str,
    facts: &Facts<'_>,
    repository: &Path,
    folder: &Path,
    debian: &debian::Debian,
    kernel: &Modules,
) -> Result<PathBuf, Failure> {
    let boot = folder.join("boot");
    let _ = fs::remove_dir_all(&boot);
    fs::create_dir_all(&boot).map_err(|error| trouble(&boot, &error))?;
    let image = debian.kernel().join("boot").join(format!("vmlinuz-{}", debian.release()));
    let packed = folder.join(facts.kernel);
    kept::once(&packed, &[&kept::us()?, &image], || card::pack(&image, &packed))?;
    root::copy(&packed, &boot.join(facts.kernel))?;
    let modules = debian.kernel().join("lib/modules").join(debian.release());
    let first = kernel.in_order(FIRST_MODULES)?;
    let first: Vec<_> = first.iter().map(|path| modules.join(path)).collect();
    let board = repository.join("board").join(name);
    let busybox = debian.files("busybox-static").join("bin/busybox");
    first::write(&boot.join(FIRST_STEPS), &board.join("init"), &busybox, &first)?;
    let words = board.join("cmdline");
    let words = fs::read_to_string(&words).map_err(|error| trouble(&words, &error))?;
    card::command_lines(&words, facts, &boot)?;
    Ok(boot)
}

/// What `/etc/nightjar` says of this card.
fn about(build: &Build, repository: &Path) -> Result<Vec<(&'static str, String)>, Failure> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| trouble(path, &error));
    let facts = read(&repository.join("board").join(&build.board).join("facts"))?;
    let version = version(build);
    let mut about = vec![
        ("facts", format!("BOARD={}\n{facts}", build.board)),
        ("version", format!("{version}\n")),
    ];
    if let Some(key) = &build.public_key {
        about.push(("update.pub", read(key)?));
    }
    Ok(about)
}

/// The same as the three numbers that it has to be.
fn number(build: &Build) -> Result<Version, Failure> {
    let version = version(build);
    Version::parse(version).ok_or_else(|| {
        Failure::Usage(format!("a version is three numbers, such as 1.2.3, not {version:?}"))
    })
}

/// What the card calls itself.
fn version(build: &Build) -> &str {
    build.version.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"))
}
