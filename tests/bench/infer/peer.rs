//! The peer: a Python child that runs the same file on TFLite with XNNPACK, one thread.

use crate::rounds::Time;
use crate::say;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What the virtual environment gets.
const PACKAGE: &str = "ai-edge-litert==2.3.0";

/// A folder of ours below `target/`.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Puts an input where the child can read it.
pub(crate) fn keep_input(input: &[u8]) -> Result<PathBuf, String> {
    let path = scratch("infer.input");
    fs::write(&path, input).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// The child and both ends of its talk.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The package's version, once a model was loaded.
    pub(crate) version: String,
}

impl Peer {
    /// Starts it; `None`, said aloud, where there is no Python for it.
    pub(crate) fn start() -> Result<Option<Self>, String> {
        let python = match python() {
            Ok(python) => python,
            Err(why) => {
                say(&format!("left out: every row of TFLite and every ratio to it ({why})"));
                return Ok(None);
            }
        };
        let log = File::create(log()).map_err(|error| format!("the peer's log: {error}"))?;
        let mut child = command(&python)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", python.display()))?;
        let (questions, answers) = (child.stdin.take(), child.stdout.take());
        let questions = questions.ok_or("the peer has no input")?;
        let answers = BufReader::new(answers.ok_or("the peer has no output")?);
        Ok(Some(Self { child, questions, answers, version: String::new() }))
    }

    /// Loads `model` and gives it its input; answers what the peer computes from it.
    pub(crate) fn load(&mut self, model: &Path, input: &[u8]) -> Result<Vec<u8>, String> {
        self.version = self.ask(&format!("model {}", model.display()))?;
        let computed = scratch("infer.tensors");
        self.ask(&format!("input {}", keep_input(input)?.display()))?;
        self.ask(&format!("tensors {}", computed.display()))?;
        fs::read(&computed).map_err(|error| format!("{}: {error}", computed.display()))
    }

    /// So many inferences' times.
    pub(crate) fn run(&mut self, count: usize) -> Result<Vec<Time>, String> {
        let answer = self.ask(&format!("run {count}"))?;
        let ms: Vec<f64> =
            answer.split(' ').filter_map(|ns| ns.parse::<f64>().ok()).map(|ns| ns / 1e6).collect();
        let times: Vec<Time> =
            ms.as_chunks::<2>().0.iter().map(|&[wall, cpu]| Time { wall, cpu }).collect();
        if times.len() == count { Ok(times) } else { Err(format!("the peer answered {answer:?}")) }
    }

    fn ask(&mut self, question: &str) -> Result<String, String> {
        let gone = || format!("the peer is gone; its last words are in {}", log().display());
        writeln!(self.questions, "{question}").map_err(|_| gone())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|_| gone())?;
        match answer.trim_end().split_once(' ') {
            Some(("ok", answer)) => Ok(answer.to_owned()),
            Some(("error", words)) => Err(format!("the peer: {question}: {words}")),
            _ => Err(gone()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends with its input, but not in the middle of an inference.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log() -> PathBuf {
    scratch("infer.peer.log")
}

/// The child's command line, without its pipes.
pub(crate) fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(harness::data::repository().join("tests/bench/infer/peer.py"));
    command
}

/// A Python that has the peer's package: the one that is named, or one of our own making.
pub(crate) fn python() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("NIGHTJAR_PYTHON") {
        let named = PathBuf::from(named);
        let lacks = || format!("{} has no {PACKAGE}", named.display());
        return if has_package(&named) { Ok(named) } else { Err(lacks()) };
    }
    let folder = scratch("infer.venv");
    let python = folder.join("bin/python");
    if has_package(&python) {
        return Ok(python);
    }
    say(&format!("making a virtual environment with {PACKAGE} in {}", folder.display()));
    let done = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            let words = words.trim_end().lines().next_back().unwrap_or("failed").to_owned();
            Err(format!("{command:?}: {words}"))
        }
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
    done(Command::new(&python).args(install))?;
    Ok(python)
}

fn has_package(python: &Path) -> bool {
    let asked = Command::new(python).args(["-c", "import ai_edge_litert"]).output();
    asked.is_ok_and(|output| output.status.success())
}
