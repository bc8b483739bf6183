//! What a bench's figures were measured on, and the CSV that they stay in.

use crate::data::repository;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
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
pub struct Machine {
    /// The processor by its name, and how many.
    pub cpu: String,
    /// Those of its flags that decide which kernels run.
    pub flags: String,
    /// The compiler's version.
    pub rustc: String,
    /// The commit; `+` where the tree differs from it.
    pub commit: String,
    /// Today, UTC.
    pub date: String,
}

impl Machine {
    /// The one this runs on.
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let changed = said("git", &["status", "--porcelain", "--", ".", ":!tests/bench/*.csv"]);
        let commit = said("git", &["rev-parse", "--short", "HEAD"]);
        Self {
            cpu: format!("{}; {cores} cores", name(&info)),
            flags: flags(&info),
            rustc: said("rustc", &["--version"]),
            commit: commit + if changed.is_empty() { "" } else { "+" },
            date: said("date", &["--utc", "+%F"]),
        }
    }

    /// What is said before the first figure; `load` as [`load`] gives it.
    pub fn words(&self, load: &str) -> String {
        let Self { cpu, rustc, commit, date, .. } = self;
        format!("{cpu}\n{rustc}; commit {commit}; {date}; load average {load}")
    }
}

/// The load averages of 1, 5 and 15 minutes.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Bytes that this process has made the kernel write: whole pages of files, when they are first
/// changed, without a file system's own journal.
pub fn written_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Adds rows to the CSV `name`, a path from the repository's top; a new one begins with
/// `columns`.
///
/// # Errors
/// Where the file cannot be written.
pub fn keep(name: &str, columns: &str, rows: &[String]) -> Result<(), String> {
    let path = repository().join(name);
    let mut text = String::new();
    if !path.exists() {
        let _ = writeln!(text, "{columns}");
    }
    for row in rows {
        let _ = writeln!(text, "{row}");
    }
    let file = fs::OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{name}: {error}"))
}

/// Texts as fields of a CSV.
pub fn fields<const N: usize>(texts: [&str; N]) -> String {
    texts.map(|text| text.replace(',', ";")).join(",")
}

/// Five significant digits are more than any of this repeats to; counts stay whole.
pub fn rounded(value: f64) -> String {
    if value >= 1e4 {
        return format!("{value:.0}");
    }
    let mut digits = 4;
    let mut size = value.abs();
    while size >= 10.0 {
        (size, digits) = (size / 10.0, digits - 1);
    }
    while size < 1.0 && digits < 9 {
        (size, digits) = (size * 10.0, digits + 1);
    }
    format!("{value:.digits$}")
}

/// A value for people.
pub fn shown(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
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
    let output = Command::new(program).args(words).current_dir(repository()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}
