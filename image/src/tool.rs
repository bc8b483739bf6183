//! Programs of this machine that the tool runs: looked for first, run, heard when they fail.

use crate::failure::Failure;
use std::path::Path;
use std::process::{Command, Stdio};

/// Lines of a failed program's complaint that are passed on.
const LAST_LINES: usize = 12;

/// A program, and the Debian package that has it.
pub(crate) type Need = (&'static str, &'static str);

/// Names everything that is missing, at once, and how to get it.
pub(crate) fn require(needs: &[Need]) -> Result<(), Failure> {
    let missing: Vec<Need> = needs.iter().filter(|(name, _)| !is_there(name)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    Err(Failure::Trouble(format!(
        "this machine lacks {}; on Debian and its kin: sudo apt-get install {}",
        names.join(", "),
        packages.join(" ")
    )))
}

/// Whether a program is in PATH or where only root looks.
pub(crate) fn is_there(name: &str) -> bool {
    if name.contains('/') {
        return Path::new(name).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.any(|folder| folder.join(name).is_file())
}

/// A program that is also found where only root looks.
pub(crate) fn command(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).stdin(Stdio::null());
    command
}

/// Runs it to its end and returns what it printed; its last lines where it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output();
    let done = done.map_err(|error| Failure::Trouble(format!("{name} does not start: {error}")))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said =
        String::from_utf8_lossy(if done.stderr.is_empty() { &done.stdout } else { &done.stderr });
    let lines: Vec<_> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n  ");
    Err(Failure::Trouble(format!("{name} failed ({}):\n  {last}", done.status)))
}

/// Runs it with its lines on the terminal, for what takes minutes and shows its own progress.
pub(crate) fn show(command: &mut Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Trouble(format!("{name} failed ({status}); see above"))),
        Err(error) => Err(Failure::Trouble(format!("{name} does not start: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        assert_eq!(require(&[("sh", "dash")]), Ok(()));
        let wrong = require(&[("sh", "dash"), ("no-such-a", "tools"), ("no-such-b", "tools")]);
        let line = wrong.unwrap_err().to_string();
        assert!(line.contains("lacks no-such-a, no-such-b; ") && line.ends_with("install tools"));
    }

    #[test]
    fn a_failed_program_is_heard() {
        let failed = run(command("sh").args(["-c", "echo no room >&2; exit 3"]));
        let line = failed.unwrap_err().to_string();
        assert!(line.contains("sh failed (exit status: 3)") && line.contains("no room"), "{line}");
    }
}
