//! The programs of the card, built for its processor: by rustup's target where it is installed,
//! else by Debian's own cargo with its arm64 standard library.

use crate::failure::Failure;
use crate::tool;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every board's processor so far.
pub(crate) const TRIPLE: &str = "aarch64-unknown-linux-gnu";
/// What runs on the card: package and program.
pub(crate) const PROGRAMS: [(&str, &str); 3] =
    [("edge", "nightjar-edge"), ("signal", "nightjar-signal"), ("image-box", "nightjar-box")];

/// Builds all three from the clone at `repository`; the folder that holds them.
pub(crate) fn build(repository: &Path) -> Result<PathBuf, Failure> {
    tool::require(&[
        ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        ("/usr/aarch64-linux-gnu/lib/crt1.o", "libc6-dev-arm64-cross"),
    ])?;
    let mut cargo = cargo()?;
    // A folder of its own: two compilers' files do not lie in one.
    let target = target(repository).join("card");
    cargo
        .args(["build", "--locked", "--release", "--bins", "--target", TRIPLE])
        .args(PROGRAMS.iter().flat_map(|(package, _)| ["--package", package]))
        .current_dir(repository)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    tool::show(&mut cargo)?;
    Ok(target.join(TRIPLE).join("release"))
}

/// Where this clone's builds go.
pub(crate) fn target(repository: &Path) -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    repository.join(named.unwrap_or_else(|| "target".into()))
}

fn cargo() -> Result<Command, Failure> {
    let rustup = tool::is_there("rustup")
        && tool::run(tool::command("rustup").args(["target", "list", "--installed"]))?
            .lines()
            .any(|line| line == TRIPLE);
    if rustup {
        return Ok(tool::command("cargo"));
    }
    let library = Path::new("/usr/lib/rustlib").join(TRIPLE);
    if !library.is_dir() || !tool::is_there("/usr/bin/cargo") {
        return Err(Failure::Trouble(format!(
            "no Rust for the card's processor: rustup target add {TRIPLE}; without rustup, as \
             root: dpkg --add-architecture arm64 && apt-get update && apt-get install rustc-web \
             cargo-web libstd-rust-web-dev:arm64"
        )));
    }
    // Its whole name, and its compiler's: rustup's proxies may stand before it in PATH.
    let mut cargo = tool::command("/usr/bin/cargo");
    cargo.env("RUSTC", "/usr/bin/rustc").env_remove("RUSTUP_TOOLCHAIN");
    cargo.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    Ok(cargo)
}
