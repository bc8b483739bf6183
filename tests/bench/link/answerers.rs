//! The other answerers, installed on first use: a virtual environment below target/, and npm's folder beside this file.

use crate::say;
use harness::data::repository;
use std::path::Path;
use std::process::Command;

/// One of them.
#[derive(Debug)]
pub(crate) struct Answerer {
    /// Its column.
    pub(crate) name: &'static str,
    /// What starts it.
    pub(crate) command: [String; 2],
}

/// Those that can be had here; the others are said.
pub(crate) fn others() -> Vec<Answerer> {
    let tried = [("aiortc", aiortc()), ("libdatachannel", libdatachannel())];
    let had = |(name, tried): (&'static str, Result<[String; 2], String>)| match tried {
        Ok(command) => Some(Answerer { name, command }),
        Err(why) => {
            say(&format!("left out: {name} ({why})"));
            None
        }
    };
    tried.into_iter().filter_map(had).collect()
}

fn aiortc() -> Result<[String; 2], String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("link.venv");
    let wanted = ours("requirements.txt");
    let python = folder.join("bin/python");
    let has = || {
        let asked = Command::new(&python).args(["-c", "import aiortc"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    if !has() {
        say(&format!("installing aiortc in {}", folder.display()));
        done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        done(Command::new(&python).args(words).arg(wanted))?;
    }
    Ok([python.to_string_lossy().into_owned(), ours("answerer.py")])
}

fn libdatachannel() -> Result<[String; 2], String> {
    if !Path::new(&ours("node_modules/node-datachannel")).exists() {
        say("installing libdatachannel in tests/bench/link");
        let words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        done(Command::new("npm").args(words).current_dir(ours("")))?;
    }
    Ok(["node".into(), ours("answerer.mjs")])
}

/// The path of a file beside this one.
fn ours(name: &str) -> String {
    repository().join("tests/bench/link").join(name).to_string_lossy().into_owned()
}

fn done(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = words.trim_end().lines().next_back().unwrap_or("failed").to_owned();
    Err(format!("{command:?}: {last}"))
}
