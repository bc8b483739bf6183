//! How fast the engine is beside TFLite with XNNPACK on each of a few models, and what the eye
//! costs beside the engine.
//!
//! ```text
//! cargo bench -p tests --bench infer                  30 rounds
//! cargo bench -p tests --bench infer -- --quick       5 rounds
//! cargo bench -p tests --bench infer -- --callgrind   instructions per inference
//!     ... MODEL      only models whose name has this in it
//!     ... --record   adds the rows to tests/bench/infer.csv
//! ```
//! Models come from the folder that `NIGHTJAR_MODELS` names. The peer runs under the Python
//! that `NIGHTJAR_PYTHON` names, else in a virtual environment below `target/` that is made
//! on first use. What cannot run here is named and left out.

mod callgrind;
mod duel;
mod engine;
mod eye;
mod peer;
mod report;
mod rounds;
mod story;

use peer::Peer;
use report::Report;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Rounds of a whole and of a quick run.
const ROUNDS: (usize, usize) = (30, 5);

/// The detector, which is also the eye's.
const DETECTOR: &str = "ssd_mobilenet_v1_coco_quant.tflite";
/// The models that are run: one of each size and type of numbers.
const MODELS: [&str; 4] = [
    DETECTOR,
    "mobilenet_v2_1.0_224_quant.tflite",
    "person_detect.tflite",
    "blazeface_front_128.tflite",
];

/// What is asked for on the command line.
#[derive(Debug, Default)]
struct Wish {
    quick: bool,
    record: bool,
    callgrind: bool,
    /// Part of a model's name; all have the empty one.
    name: String,
    /// What callgrind has this program do.
    inferences: Option<u32>,
    /// With which instruction set.
    set: String,
}

impl Wish {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wish = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                // Cargo's own word to every bench.
                "--bench" => {}
                "--quick" => wish.quick = true,
                "--record" => wish.record = true,
                "--callgrind" => wish.callgrind = true,
                "--inferences" => {
                    let count = words.next().and_then(|count| count.parse().ok());
                    wish.inferences = Some(count.ok_or("--inferences wants a number")?);
                }
                "--set" => wish.set = words.next().ok_or("--set wants a name")?,
                name if !name.starts_with('-') => wish.name = name.into(),
                other => return Err(format!("{other}: no such option")),
            }
        }
        Ok(wish)
    }

    /// The wanted models that are here; the others are said.
    fn models(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for name in MODELS.into_iter().filter(|name| name.contains(&self.name)) {
            match harness::data::model(name) {
                Some(path) => found.push(path),
                None => say(&format!("left out: {name} (not below NIGHTJAR_MODELS)")),
            }
        }
        found
    }
}

/// One line for whoever watches.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn main() -> ExitCode {
    match Wish::read(std::env::args().skip(1)).and_then(|wish| run(&wish)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            let _ = writeln!(std::io::stderr().lock(), "infer: {words}");
            ExitCode::FAILURE
        }
    }
}

fn run(wish: &Wish) -> Result<(), String> {
    if let Some(count) = wish.inferences {
        return callgrind::inferences(&wish.models(), &wish.set, count);
    }
    let rounds = if wish.quick { ROUNDS.1 } else { ROUNDS.0 };
    let mut report = Report::new();
    let models = wish.models();
    if wish.callgrind {
        for model in &models {
            callgrind::count(model, &mut report)?;
        }
    } else {
        let mut peer = Peer::start()?;
        for model in &models {
            duel::run(model, rounds, peer.as_mut(), &mut report)?;
        }
        drop(peer);
        let detector = models.iter().find(|path| path.ends_with(DETECTOR));
        if detector.is_some() || wish.name.is_empty() {
            eye::run(detector.map(PathBuf::as_path), rounds, &mut report)?;
        }
    }
    report.end(wish.record)
}
