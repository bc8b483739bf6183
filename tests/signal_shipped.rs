//! What is shipped around the meeting place: how large its binary is, its systemd unit, and its
//! init script for busybox.

use harness::data::{Scratch, left_out, repository};
use harness::program::binary;
use harness::web::get;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MIB: u64 = 1024 * 1024;

fn bytes_of(path: &Path) -> u64 {
    fs::metadata(path).expect("a binary").len()
}

/// Whether a program is installed.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn the_binary_is_small() {
    let with_tls = bytes_of(&binary("nightjar-signal"));
    println!("nightjar-signal: {with_tls} bytes, at most {} are wanted", 4 * MIB);
    assert!(with_tls < 4 * MIB, "{with_tls} bytes with TLS");

    let target = binary("nightjar-signal").with_file_name("signal-small");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", "signal", "--profile", "small"])
        .args(["--no-default-features", "--target-dir"])
        .arg(&target)
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", text(&built));
    let program = target.join("small/nightjar-signal");
    let small = bytes_of(&program);
    println!("without TLS, by the profile `small`: {small} bytes, at most {MIB} are wanted");
    assert!(small < MIB, "{small} bytes without TLS");
    let version = Command::new(program).arg("--version").output().expect("it starts");
    assert!(version.status.success() && text(&version).starts_with("nightjar-signal "));
}

#[test]
fn the_systemd_unit_is_sound_and_tight() {
    if !has("systemd-analyze") {
        return left_out("the_systemd_unit_is_sound_and_tight", "no systemd-analyze (systemd)");
    }
    let folder = Scratch::new("unit");
    let unit = fs::read_to_string(repository().join("signal/nightjar-signal.service"));
    let unit = unit.expect("the unit");
    let ours = binary("nightjar-signal");
    let unit = unit.replace("/usr/bin/nightjar-signal", ours.to_str().expect("a plain path"));
    let file = folder.path().join("nightjar-signal.service");
    fs::write(&file, unit).expect("a file can be written");
    let verified = Command::new("systemd-analyze").arg("verify").arg(&file).output();
    let verified = verified.expect("it starts");
    let said = text(&verified);
    assert!(verified.status.success() && !said.contains("nightjar-signal"), "{said}");
    // 10 is a service without any walls, in tenths: 100.
    let rated = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20", "--no-pager"])
        .arg(&file)
        .output()
        .expect("it starts");
    let said = text(&rated);
    println!("{}", said.lines().last().unwrap_or_default());
    assert!(rated.status.success(), "{said}");
}

/// A home for the init script: busybox's tools in front of all others, and folders of its own.
struct Home {
    folder: Scratch,
    script: PathBuf,
}

impl Home {
    fn new() -> Self {
        let folder = Scratch::new("init");
        for name in ["bin", "etc/default", "var/run", "var/log"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder can be made");
        }
        let busybox = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join("busybox"))
            .find(|path| path.exists())
            .expect("busybox was found");
        for tool in ["start-stop-daemon", "sh", "sleep", "rm", "printf"] {
            symlink(&busybox, folder.path().join("bin").join(tool)).expect("a link can be made");
        }
        let script = repository().join("buildroot/package/nightjar-signal/S80nightjar-signal");
        let mode = fs::metadata(&script).expect("the script").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "it can be executed");
        Self { folder, script }
    }

    fn options(&self, options: &str) {
        let file = self.folder.path().join("etc/default/nightjar-signal");
        fs::write(file, format!("OPTIONS=\"{options}\"\n")).expect("a file can be written");
    }

    fn run(&self, action: &str) -> (Option<i32>, String) {
        let output = Command::new(self.folder.path().join("bin/sh"))
            .arg(&self.script)
            .arg(action)
            .env("PATH", self.folder.path().join("bin"))
            .env("ROOT", self.folder.path())
            .env("PROGRAM", binary("nightjar-signal"))
            .output()
            .expect("busybox runs");
        (output.status.code(), text(&output))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("var/log/nightjar-signal.log")).expect("a log")
    }

    fn pid(&self) -> Option<String> {
        fs::read_to_string(self.folder.path().join("var/run/nightjar-signal.pid")).ok()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
        }
    }
}

#[test]
fn the_init_script_starts_reloads_and_stops() {
    if !has("busybox") {
        return left_out("the_init_script_starts_reloads_and_stops", "no busybox");
    }
    let home = Home::new();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let at = free.expect("a free port").to_string();
    home.options(&format!("--listen {at} --home"));
    assert_eq!(home.run("status"), (Some(3), "stopped\n".into()));
    assert_eq!(home.run("start"), (Some(0), "Starting nightjar-signal: OK\n".into()));
    assert_eq!(get(&at, "/healthz").status, 200);
    assert_eq!(home.run("status"), (Some(0), "running\n".into()));
    let first = home.pid();
    assert_eq!(home.run("start").0, Some(0));
    assert_eq!(home.pid(), first, "one is enough");
    assert_eq!(home.run("reload"), (Some(0), "Reloading nightjar-signal: OK\n".into()));
    assert_eq!(get(&at, "/healthz").status, 200);
    assert_eq!(home.run("restart").0, Some(0));
    assert!(home.pid().is_some() && home.pid() != first);
    assert_eq!(home.run("stop"), (Some(0), "Stopping nightjar-signal: OK\n".into()));
    assert_eq!((home.run("status").0, home.pid()), (Some(3), None));
    let log = home.log();
    assert_eq!(log.matches("ready http=").count(), 2, "{log}");
    assert_eq!(log.matches("stopping").count(), 2, "{log}");
    assert!(log.contains("read again"), "{log}");

    home.options("--no-such-option");
    assert_eq!(home.run("start"), (Some(1), "Starting nightjar-signal: FAIL\n".into()));
    assert!(home.log().contains("unknown option --no-such-option"));
    assert_eq!(home.run("dance").0, Some(2));
}

#[test]
fn the_init_script_has_no_faults_that_shellcheck_knows() {
    let name = "the_init_script_has_no_faults_that_shellcheck_knows";
    if !has("shellcheck") {
        return left_out(name, "no shellcheck");
    }
    let script = repository().join("buildroot/package/nightjar-signal/S80nightjar-signal");
    let output = Command::new("shellcheck").args(["--shell=dash"]).arg(script).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", text(&output));
}
