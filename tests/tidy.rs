//! The house rules as tests: floors, first lines, names, sizes, and what must never be in
//! the tree. The picture of the floors is in the README.

use harness::data::repository;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The floors of `edge/src`. A module imports from lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("main", 60),
    ("parts", 55),
    ("eye", 50),
    ("net", 50),
    ("http", 50),
    // The rooms of `net`: it owns the sessions and the way to the meeting place.
    ("peer", 45),
    ("signaling", 42),
    ("api", 40),
    ("principal", 30),
    // These replace their file as the store does its own.
    ("identity", 30),
    ("crashes", 30),
    // Makes the store's pictures of the camera's frames; the eye's own.
    ("thumb", 30),
    ("gap", 30),
    ("store", 20),
    ("box_socket", 20),
    ("model", 20),
    ("camera", 20),
    ("config", 12),
    ("vitals", 12),
    ("clock", 10),
    ("journal", 10),
    ("notice", 10),
];

/// The crates behind the wall; none knows another, and none knows a shell.
const CORES: &[(&str, &str)] = &[
    ("edge-core", "edge/core"),
    ("edge-infer", "edge/infer"),
    ("image-core", "image/core"),
    ("signal-proto", "signal/proto"),
];

/// What stands at the top, besides dot files and licences.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "edge",
    "signal",
    "image",
    "buildroot",
    "board",
    "tests",
];

/// Names that explain nothing.
const BANNED_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "service"];

/// Lines a file may have before it holds a second concept.
const LINES: usize = 900;

/// Generated elsewhere; exempt from format, lints and size.
const FOREIGN: &str = "edge/v4l2-sys/";

/// A tracked file and its text.
struct Tracked {
    path: String,
    text: String,
}

impl Tracked {
    fn is(&self, extensions: &[&str]) -> bool {
        extensions
            .iter()
            .any(|it| Path::new(&self.path).extension().is_some_and(|found| found == *it))
    }
}

/// Every tracked or not yet added file, but not the ignored ones.
fn paths() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository())
        .output()
        .expect("git is there");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    text.lines().filter(|path| repository().join(path).is_file()).map(String::from).collect()
}

/// Ours as text; pictures and other bytes are left out.
fn ours() -> Vec<Tracked> {
    let read = |path: String| {
        let text = String::from_utf8(fs::read(repository().join(&path)).ok()?).ok()?;
        Some(Tracked { path, text })
    };
    paths().into_iter().filter(|path| !path.starts_with(FOREIGN)).filter_map(read).collect()
}

fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// The code of a source file: no comment lines, and nothing from its test module on.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.trim_end() != "#[cfg(test)]");
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The first names after every `crate::`, through one level of braces.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, word) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|it| it == '$' || it == '_' || it.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + word.len()..];
        match rest.strip_prefix('{') {
            None => found.extend(name(rest)),
            Some(group) => found.extend(members(group).iter().filter_map(|it| name(it))),
        }
    }
    found
}

fn name(text: &str) -> Option<String> {
    let end = text.find(|it: char| it != '_' && !it.is_alphanumeric()).unwrap_or(text.len());
    Some(text[..end].to_string()).filter(|it| !it.is_empty())
}

/// `a::{b, c}, d::e}` up to its closing brace, cut at the commas of the outer level.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(group[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for file in ours().iter().filter(|file| file.is(&["rs"])) {
        let Some(inner) = file.path.strip_prefix("edge/src/") else { continue };
        let module = inner.split(['/', '.']).next().unwrap_or_default();
        if module == "lib" || inner.starts_with("bin/") {
            continue;
        }
        let Some(here) = floor(module) else {
            wrong.push(format!("{}: `{module}` stands on no floor in tests/tidy.rs", file.path));
            continue;
        };
        for import in imports(&code(&file.text)) {
            let there = floor(&import);
            if import != module && there.is_some_and(|there| there >= here) {
                wrong.push(format!("{}: imports `{import}`, which is not below it", file.path));
            }
        }
    }
    none("imports that do not point down", &wrong);
}

#[test]
fn the_import_reader_sees_what_is_written() {
    let text = "use crate::{api::{A, B}, store, clock::Clock};\nlet x = crate::net::spawn();\n\
                // crate::ghost\n$crate::journal::line(); my_crate::other();\n#[cfg(test)]\nuse crate::eye;";
    let want = ["api", "clock", "net", "store"].map(String::from);
    assert_eq!(imports(&code(text)), BTreeSet::from(want));
}

#[test]
fn the_cores_do_not_know_each_other() {
    let shells = ["edge", "signal", "image"];
    let mut wrong = Vec::new();
    for (name, folder) in CORES {
        let manifest = repository().join(folder).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("a manifest");
        let needs = text.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
        for line in needs.take_while(|line| !line.starts_with("[lints")) {
            let need = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if CORES.iter().any(|(other, _)| *other == need) || shells.contains(&need) {
                wrong.push(format!("{name} depends on {need}"));
            }
        }
    }
    none("walls with a hole", &wrong);
}

#[test]
fn first_lines_say_what_a_file_is_for() {
    let mut wrong = Vec::new();
    for file in ours() {
        let first = file.text.lines().find(|line| !line.starts_with("#!/")).unwrap_or_default();
        let said = if file.is(&["rs"]) {
            first.strip_prefix("//! ")
        } else if file.is(&["js", "mjs"]) {
            first.strip_prefix("// ").or_else(|| first.strip_prefix("/* "))
        } else {
            continue;
        };
        if said.is_none_or(|said| said.len() < 12 || said.contains("to come")) {
            wrong.push(format!("{}: {first:?}", file.path));
        }
    }
    none("files that do not say what they are for", &wrong);
}

#[test]
fn names_explain_something() {
    let tells_nothing = |path: &String| {
        Path::new(path).components().any(|part| {
            let part = part.as_os_str().to_string_lossy();
            let stem = part.split('.').next().unwrap_or_default();
            BANNED_NAMES.contains(&stem)
        })
    };
    let wrong: Vec<_> = paths().into_iter().filter(tells_nothing).collect();
    none("names that explain nothing", &wrong);
}

#[test]
fn the_top_level_is_as_carded() {
    let tops: BTreeSet<_> =
        paths().iter().filter_map(|path| Some(path.split('/').next()?.to_string())).collect();
    let beyond = |top: &&String| {
        !top.starts_with('.') && !top.starts_with("LICENSE") && !TOP.contains(&top.as_str())
    };
    let wrong: Vec<_> = tops.iter().filter(beyond).cloned().collect();
    none("top level beyond the card", &wrong);
}

#[test]
fn files_hold_one_concept() {
    let long = |file: &Tracked| file.is(&["rs", "js", "mjs"]) && file.text.lines().count() > LINES;
    let wrong: Vec<_> = ours().iter().filter(|it| long(it)).map(|it| it.path.clone()).collect();
    none("files past 900 lines", &wrong);
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    let folders = ["work", "root", "farm"].map(|name| format!("/{name}/"));
    let hosts = ["registry", "index", "static", "deb"].map(|name| format!("://{name}."));
    let lock_key = ["\"resol", "ved\":"].concat();
    let mut wrong = Vec::new();
    for file in ours().iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (number, line) in file.text.lines().enumerate() {
            let names = folders.iter().any(|folder| has_folder(line, folder))
                || hosts.iter().any(|host| line.contains(host))
                || line.contains(&lock_key);
            if names {
                wrong.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none("lines with a machine's path or a registry's host", &wrong);
}

/// `folder` at the beginning of a path, not somewhere inside one.
fn has_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|it| {
            it != '.' && it != '}' && it != '_' && it != '-' && !it.is_alphanumeric()
        })
    })
}

#[test]
fn guards_stay_up_and_tests_run() {
    let forbidden = [
        ["set_fingerprint_verification", "(false)"].concat(),
        ["#[igno", "re"].concat(),
        ["todo", "!("].concat(),
        ["unimplemented", "!("].concat(),
        ["#[all", "ow("].concat(),
        ["#![all", "ow("].concat(),
    ];
    let mut wrong = Vec::new();
    for file in ours().iter().filter(|file| file.is(&["rs"])) {
        for line in file.text.lines() {
            if forbidden.iter().any(|it| line.contains(it.as_str())) {
                wrong.push(format!("{}: {}", file.path, line.trim()));
            }
        }
    }
    none("lines that take a guard down or leave a test out", &wrong);
}

#[test]
fn only_clocks_read_the_time() {
    let readers = ["Instant::n", "SystemTime::n"].map(|it| it.to_string() + "ow()");
    let clocks = [
        "edge/src/clock.rs",
        "image/box/src/clock.rs",
        "image/src/clock.rs",
        "signal/src/clock.rs",
    ];
    let reads = |file: &&Tracked| {
        let code = code(&file.text);
        file.is(&["rs"])
            && !file.path.starts_with("tests/")
            && !file.path.contains("/tests/")
            && !clocks.contains(&file.path.as_str())
            && readers.iter().any(|it| code.contains(it.as_str()))
    };
    let wrong: Vec<_> = ours().iter().filter(reads).map(|it| it.path.clone()).collect();
    none("files besides clock.rs that read a clock", &wrong);
}

#[test]
fn every_test_file_is_built() {
    let manifest = fs::read_to_string(repository().join("tests/Cargo.toml")).expect("a manifest");
    let unlisted = |path: &String| {
        let file =
            Path::new(path).strip_prefix("tests").ok().filter(|it| it.components().count() == 1);
        file.is_some_and(|file| {
            let listed = manifest.contains(&format!("path = \"{}\"", file.display()));
            file.extension().is_some_and(|it| it == "rs") && !listed
        })
    };
    let wrong: Vec<_> = paths().into_iter().filter(unlisted).collect();
    none("test files without a [[test]] entry in tests/Cargo.toml", &wrong);
}

#[test]
fn the_readme_points_at_what_is_there() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("a README");
    let marks = ["](", "src=\""];
    let targets = marks.iter().flat_map(|mark| readme.split(mark).skip(1));
    let wrong: Vec<_> = targets
        .filter_map(|rest| rest.split([')', '"', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .filter(|target| !repository().join(target).exists())
        .map(str::to_owned)
        .collect();
    none("links of README.md that lead nowhere", &wrong);
}

#[test]
fn one_crypto_library_is_linked() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--workspace", "--edges", "normal", "--prefix", "none", "--locked"])
        .current_dir(repository())
        .output()
        .expect("cargo tree runs");
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let linked: BTreeSet<_> = tree.lines().map(name).collect();
    assert!(linked.contains("aws-lc-rs"), "the tree is not empty: {tree}");
    let others = ["ring", "openssl", "openssl-sys", "native-tls", "rustls-rustcrypto"];
    let wrong: Vec<_> =
        others.map(str::to_owned).into_iter().filter(|it| linked.contains(it)).collect();
    none("crypto libraries besides aws-lc-rs (ADR 3)", &wrong);
}
