//! Instructions per inference, by callgrind: the difference between a run of few inferences and
//! one of more, so that starting and loading do not count.

use crate::engine::Engine;
use crate::peer;
use crate::report::Report;
use crate::say;
use edge_infer::Isa;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Inferences of the short run and of the long one.
const FEW_AND_MORE: [u32; 2] = [1, 3];

/// What the program does under callgrind: so many inferences of each model, and nothing else.
pub(crate) fn inferences(models: &[PathBuf], set: &str, count: u32) -> Result<(), String> {
    for model in models {
        let isa = Isa::all().find(|isa| isa.name() == set);
        let mut engine = Engine::load(model, isa.ok_or(format!("{set} is not to be had"))?)?;
        (0..count).for_each(|_| engine.run());
    }
    Ok(())
}

/// Counts for one model, here and at the peer.
pub(crate) fn count(path: &Path, report: &mut Report) -> Result<(), String> {
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        say(&format!("left out: instructions (valgrind: {error})"));
        return Ok(());
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    say(&format!("\n{name}: instructions per inference"));
    let theirs = match peer::python() {
        Ok(python) => {
            let input = peer::keep_input(&Engine::load(path, Isa::SCALAR)?.input)?;
            let begin = format!("model {}\ninput {}\n", path.display(), input.display());
            per_inference(|count| at_the_peer(&python, &format!("{begin}run {count}\n")))?
        }
        Err(why) => {
            say(&format!("left out: instructions of TFLite ({why})"));
            0.0
        }
    };
    if theirs > 0.0 {
        report.count(&name, "TFLite with XNNPACK", "", theirs, 0.0);
    }
    for isa in Isa::all() {
        // It may lack instructions that the machine has.
        match per_inference(|count| here(&name, isa, count)) {
            Ok(ours) => report.count(&name, "inference", isa.name(), ours, theirs),
            Err(why) => say(&format!("left out: instructions with {} ({why})", isa.name())),
        }
    }
    Ok(())
}

fn per_inference(run: impl Fn(u32) -> Result<f64, String>) -> Result<f64, String> {
    let [few, more] = FEW_AND_MORE;
    Ok((run(more)? - run(few)?) / f64::from(more - few))
}

fn here(name: &str, isa: Isa, count: u32) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = under_callgrind(&program);
    command.args(["--inferences", &count.to_string(), "--set", isa.name(), name]);
    collected(&mut command, "")
}

fn at_the_peer(python: &Path, questions: &str) -> Result<f64, String> {
    let plain = peer::command(python);
    let mut command = under_callgrind(python);
    // With the same hashes Python starts the same way both times.
    command.args(plain.get_args()).env("PYTHONHASHSEED", "0");
    collected(&mut command, questions)
}

fn under_callgrind(program: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command
}

/// The instructions that callgrind counted.
fn collected(command: &mut Command, input: &str) -> Result<f64, String> {
    let output = talk(command, input).map_err(|error| format!("{command:?}: {error}"))?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = words.lines().find_map(|line| line.split_once("Collected : "));
    let count = count.and_then(|(_, count)| count.trim().parse().ok());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match count {
        Some(count) if output.status.success() && !said.contains("error ") => Ok(count),
        _ => Err(format!("{command:?}: {said}{}", words.lines().last().unwrap_or_default())),
    }
}

fn talk(command: &mut Command, input: &str) -> std::io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut end) = child.stdin.take() {
        end.write_all(input.as_bytes())?;
    }
    child.wait_with_output()
}
