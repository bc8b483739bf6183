//! What the figures were measured on.

use std::fs;
use std::process::Command;

/// Flags of a processor that decide which kernels run, x86-64's and aarch64's.
const FLAGS: [&str; 11] = [
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx_vnni",
    "asimd",
    "asimdhp",
    "asimddp",
    "i8mm",
];

/// The machine, the compiler and the tree.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The processor by its name, and how many.
    pub(crate) cpu: String,
    /// Those of its flags that decide which kernels run.
    pub(crate) flags: String,
    /// The compiler's version.
    pub(crate) rustc: String,
    /// The commit; `+` where the tree differs from it.
    pub(crate) commit: String,
    /// Today, UTC.
    pub(crate) date: String,
}

impl Machine {
    /// The one this runs on.
    pub(crate) fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let changed = said("git", &["status", "--porcelain", "--", ".", ":!tests/bench/infer.csv"]);
        let commit = said("git", &["rev-parse", "--short", "HEAD"]);
        Self {
            cpu: format!("{}; {cores} cores", name(&info)),
            flags: flags(&info),
            rustc: said("rustc", &["--version"]),
            commit: commit + if changed.is_empty() { "" } else { "+" },
            date: said("date", &["--utc", "+%F"]),
        }
    }
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The processor's name; a board has its own in the device tree.
fn name(info: &str) -> String {
    let board = fs::read_to_string("/proc/device-tree/model").unwrap_or_default();
    let board = board.trim_end_matches('\0');
    let model = ["model name", "cpu family", "model", "CPU part"]
        .iter()
        .filter_map(|key| Some((key, field(info, key)?)))
        .map(|(key, value)| if *key == "model name" { value } else { format!("{key} {value}") });
    let names: Vec<String> =
        Some(board.to_owned()).into_iter().filter(|it| !it.is_empty()).chain(model).collect();
    names.join(" ")
}

fn flags(info: &str) -> String {
    let all = field(info, "flags").or_else(|| field(info, "Features")).unwrap_or_default();
    let has = |flag: &&str| all.split(' ').any(|one| one == *flag);
    FLAGS.into_iter().filter(has).collect::<Vec<_>>().join(" ")
}

/// The first value of a key of `/proc/cpuinfo`.
fn field(info: &str, key: &str) -> Option<String> {
    let pairs = info.lines().filter_map(|line| line.split_once(':'));
    pairs.into_iter().find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().into())
}

/// The first line that a program says, run in the repository; empty where it does not.
fn said(program: &str, words: &[&str]) -> String {
    let output =
        Command::new(program).args(words).current_dir(harness::data::repository()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}
