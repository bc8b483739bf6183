//! `nightjar try` as a newcomer meets it: with the model, with nothing at all, and when a
//! program dies under it.

use harness::data::{Scratch, left_out, model, pictures, repository};
use harness::program::binary;
use harness::web;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long one line may be waited for.
const WITHIN: Duration = Duration::from_mins(1);

/// A running `nightjar try`, read line by line.
struct Trial {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Trial {
    fn start(command: &mut Command, home: &Scratch) -> Self {
        let mut child = command
            .env("HOME", home.path())
            .env_remove("XDG_CACHE_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("piped");
        let (heard, lines) = channel();
        std::thread::spawn(move || {
            let all = BufReader::new(stdout).lines().map_while(Result::ok);
            all.take_while(|line| heard.send(line.clone()).is_ok()).for_each(drop);
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Reads until a line has what `find` looks for.
    fn wait<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let Ok(line) = self.lines.recv_timeout(WITHIN) else {
                panic!("no {what} in {:#?}", self.said);
            };
            let found = find(&line);
            self.said.push(line);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// The address it prints, as `host:port`.
    fn address(&mut self) -> String {
        self.wait("address", |line| {
            let url = line.strip_prefix("Nightjar is at")?.trim().strip_prefix("http://")?;
            Some(url.trim_end_matches('/').replace("localhost", "127.0.0.1"))
        })
    }

    fn some_events(&mut self) -> u64 {
        self.wait("events", |line| {
            let count = line.split("; ").find_map(|part| part.split_once(" event"))?.0;
            count.trim().parse().ok().filter(|count| *count > 0)
        })
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {name} works");
    }

    /// The exit code and what it complained of, after the end of both programs.
    fn end(mut self) -> (Option<i32>, String) {
        let mut complaints = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        stderr.read_to_string(&mut complaints).expect("text");
        let code = self.child.wait().expect("a child can be waited for").code();
        (code, complaints)
    }

    /// The processes it started.
    fn programs(&self) -> Vec<u32> {
        let us = self.child.id();
        let list = fs::read_to_string(format!("/proc/{us}/task/{us}/children")).unwrap_or_default();
        let threads = fs::read_dir(format!("/proc/{us}/task")).into_iter().flatten().flatten();
        let others = threads.filter_map(|it| fs::read_to_string(it.path().join("children")).ok());
        let all: String = others.chain([list]).collect::<Vec<_>>().join(" ");
        let mut pids: Vec<u32> = all.split_whitespace().filter_map(|it| it.parse().ok()).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn pictures_become_events_and_ctrl_c_ends_it() {
    let (Some(_), Some(pictures)) = (model("ssd_mobilenet_v1_coco_quant.tflite"), pictures("."))
    else {
        return left_out("pictures_become_events_and_ctrl_c_ends_it", "no model or no pictures");
    };
    let home = Scratch::new("try");
    let camera = format!("replay:{}", pictures.display());
    let mut command = Command::new(binary("nightjar"));
    let mut trial = Trial::start(command.args(["try", "--", "--camera", &camera]), &home);
    let address = trial.address();
    let page = web::request(&address, "GET", "/", &[("Accept", "text/html")], &[]);
    assert_eq!(page.status, 200, "the app is there");
    assert!(page.text().contains("<html"), "{}", page.text());
    assert!(trial.some_events() > 0);
    assert!(!trial.said.iter().any(|line| line.contains("No model")), "{:#?}", trial.said);
    let programs = trial.programs();
    assert_eq!(programs.len(), 2, "{programs:?}");
    trial.signal("-INT");
    let (code, complaints) = trial.end();
    assert_eq!(code, Some(0), "{complaints}");
    assert!(!programs.into_iter().any(runs), "both are gone");
    assert!(home.path().join(".local/share/nightjar/try").is_dir(), "what was paired stays paired");
}

#[test]
fn without_model_network_or_camera_there_is_motion() {
    let namespace = repository().join("tests/namespace");
    if !Command::new(&namespace).arg("true").status().is_ok_and(|status| status.success()) {
        return left_out("without_model_network_or_camera_there_is_motion", "no network namespace");
    }
    let home = Scratch::new("try-alone");
    let mut command = Command::new(namespace);
    command
        .arg(binary("nightjar"))
        .args(["try", "--camera", "demo:"])
        .env_remove("NIGHTJAR_MODELS");
    let mut trial = Trial::start(&mut command, &home);
    trial.wait("word on the model", |line| {
        (line.contains("No model") && line.contains("motion only")).then_some(())
    });
    trial.address();
    assert!(trial.some_events() > 0, "motion is seen");
    trial.signal("-TERM");
    let (code, complaints) = trial.end();
    assert_eq!(code, Some(0), "{complaints}");
}

#[test]
fn a_program_that_dies_is_named_and_the_other_stopped() {
    let home = Scratch::new("try-death");
    let mut command = Command::new(binary("nightjar"));
    command.args(["try", "--camera", "demo:", "--model", "/nowhere/model.tflite"]);
    let trial = Trial::start(&mut command, &home);
    let (code, complaints) = trial.end();
    assert_eq!(code, Some(1), "{complaints}");
    assert!(complaints.contains("nightjar-edge ended"), "{complaints}");
    assert!(
        complaints.contains("/nowhere/model.tflite"),
        "its last line is passed on: {complaints}"
    );
}
