//! Wrong input at the shipped binaries: what cannot be meant ends with 2 and one clear line,
//! what may come right later is waited for and said.

use harness::data::{Scratch, repository};
use harness::program::{Program, binary, outcome};
use harness::vectors::cases;
use harness::web;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use tract_tflite::tflite::{self, BuiltinOperator, OperatorCode};

/// Runs nightjar-edge with `args`, which it must refuse with one line that holds `naming`.
fn refused(args: &[&str], naming: &str) {
    let output = outcome(Command::new(binary("nightjar-edge")).args(args));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "one line, for {args:?}: {said}");
    assert!(said.contains(naming), "{args:?} must be told of {naming:?}: {said}");
    assert!(output.stdout.is_empty(), "nothing was ready");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a scratch path is UTF-8")
}

#[test]
fn a_model_that_is_no_model_is_refused_by_name() {
    let scratch = Scratch::new("no-model");
    let data = text(scratch.path());
    let manifest = repository().join("Cargo.toml");
    let base = ["--data-dir", data, "--camera", "demo:", "--http", "127.0.0.1:0"];
    refused(&[&base[..], &["--model", text(&manifest)]].concat(), "Cargo.toml");
    refused(&[&base[..], &["--model", "/nowhere/model.tflite"]].concat(), "/nowhere/model.tflite");
    let half = scratch.path().join("half.tflite");
    fs::write(&half, b"\x1c\0\0\0TFL3\x14\0\x20\0\0\0\0\0").expect("a scratch file");
    refused(&[&base[..], &["--model", text(&half)]].concat(), "half.tflite");
}

/// A detector of the golden ones whose scores go through `TANH` instead of `LOGISTIC`.
fn with_tanh(family: &str) -> Vec<u8> {
    let case = cases("detectors").into_iter().find(|case| case.name.starts_with(family));
    let bytes = case.expect("a golden detector").model;
    let mut changed = bytes.clone();
    let model = tflite::root_as_model(&bytes).expect("a TFLite file");
    let codes = model.operator_codes().expect("codes");
    let code = codes.iter().find(|code| code.builtin_code() == BuiltinOperator::LOGISTIC);
    let code = code.expect("scores are a LOGISTIC's")._tab;
    for field in [OperatorCode::VT_DEPRECATED_BUILTIN_CODE, OperatorCode::VT_BUILTIN_CODE] {
        let at = code.loc() + usize::from(code.vtable().get(field));
        changed[at] = u8::try_from(BuiltinOperator::TANH.0).expect("a small code");
    }
    changed
}

#[test]
fn an_operator_that_we_lack_is_refused_by_name_where_numbers_are_quantized() {
    let scratch = Scratch::new("tanh");
    let file = scratch.path().join("tanh.tflite");
    let data = scratch.path().join("data");
    let base = ["--data-dir", text(&data), "--camera", "demo:", "--http", "127.0.0.1:0"];
    let args = [&base[..], &["--model", text(&file)]].concat();
    for family in ["uint8", "int8"] {
        fs::write(&file, with_tanh(family)).expect("a scratch file");
        refused(&args, "tanh.tflite: operator TANH (tensor 't");
    }
    fs::write(&file, with_tanh("float32")).expect("a scratch file");
    let program = Program::start("nightjar-edge", &args);
    let status = web::get(program.address("http"), "/api/v1/status");
    assert!(status.text().contains(r#""model":"tanh""#), "tract runs it: {}", status.text());
    assert_eq!(program.terminate().code(), Some(0));
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_by_name() {
    let scratch = Scratch::new("no-folder");
    let file = scratch.path().join("file");
    fs::write(&file, "in the way").expect("a scratch file");
    for folder in [file.clone(), file.join("below"), "/proc/nightjar".into()] {
        refused(&["--data-dir", text(&folder), "--http", "127.0.0.1:0"], text(&folder));
    }
}

#[test]
fn a_folder_in_use_is_refused_and_its_owner_unharmed() {
    let scratch = Scratch::new("locked");
    let args = ["--data-dir", text(scratch.path()), "--camera", "demo:", "--http", "127.0.0.1:0"];
    let owner = Program::start("nightjar-edge", &args);
    refused(&args, text(scratch.path()));
    assert_eq!(web::get(owner.address("http"), "/api/v1/status").status, 200);
    assert_eq!(owner.terminate().code(), Some(0));
    let heir = Program::start("nightjar-edge", &args);
    assert_eq!(heir.terminate().code(), Some(0), "the lock goes with its owner");
}

#[test]
fn a_port_in_use_is_refused_by_number() {
    let scratch = Scratch::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket").to_string();
    let args = ["--data-dir", text(scratch.path()), "--http", &address];
    refused(&args, &format!("--http {address}: the port is in use"));
}

#[test]
fn a_misspelt_key_is_refused_by_name() {
    let scratch = Scratch::new("key");
    let config = scratch.path().join("config.json");
    for (json, naming) in [
        (r#"{"kep_days":3}"#, "kep_days"),
        (r#"{"keep_days":"three"}"#, "keep_days"),
        ("{", "config.json"),
    ] {
        fs::write(&config, json).expect("a scratch file");
        refused(&["--data-dir", text(scratch.path()), "--config", text(&config)], naming);
    }
    refused(&["--data-dir", text(scratch.path()), "--config", "/nowhere.json"], "/nowhere.json");
}

#[test]
fn wrong_options_are_refused_by_name() {
    let scratch = Scratch::new("option");
    let data = ["--data-dir", text(scratch.path())];
    for (args, naming) in [
        (&["--kamera", "demo:"][..], "--kamera"),
        (&["--camera", "webcam:1"], "webcam:1"),
        (&["--keep-days", "many"], "many"),
        (&["--keep-bytes", "2 buckets"], "2 buckets"),
        (&["--legacy-clients", "perhaps"], "perhaps"),
        (&["--http", "everywhere"], "everywhere"),
        (&["--signal", "gopher://x"], "gopher://x"),
        (&["--ice", "nonsense"], "--ice"),
        (&["--ice", "turn:turn.example:3478"], "stun:HOST[:PORT]"),
        (&["stray"], "stray"),
    ] {
        refused(&[&data[..], args].concat(), naming);
    }
    refused(&[], "--data-dir");
}

#[test]
fn a_wrong_signaling_server_is_refused_before_anything_is_written() {
    let scratch = Scratch::new("signal");
    let folder = scratch.path().join("data");
    let data = ["--data-dir", text(&folder), "--http", "127.0.0.1:0"];
    let no_ca = text(&scratch.path().join("ca.pem")).to_owned();
    let bad_ca = text(&repository().join("Cargo.toml")).to_owned();
    for (args, naming) in [
        (&["--signal", "http://h:x/"][..], "--signal"),
        (&["--signal", "http://user@h/"], "--signal"),
        (&["--signal", "http://a:1:2"], "--signal"),
        (&["--signal", "http://h:x/", "--print-config"], "--signal"),
        (&["--signal", "https://h/", "--signal-ca", &no_ca], "--signal-ca"),
        (&["--signal", "https://h/", "--signal-ca", &bad_ca], "--signal-ca"),
        (&["--signal", "http://h/", "--signal-ca", &bad_ca], "--signal-ca"),
    ] {
        refused(&[&data[..], args].concat(), naming);
        assert!(!folder.exists(), "{args:?} leaves no trace");
    }
}

#[test]
fn a_missing_camera_is_waited_for_and_said() {
    let scratch = Scratch::new("camera");
    let edge = Program::start(
        "nightjar-edge",
        &[
            "--data-dir",
            text(scratch.path()),
            "--camera",
            "Yard=v4l2:/dev/video99",
            "--http",
            "127.0.0.1:0",
        ],
    );
    let says = |path: &str, words: &str| {
        let heard = || web::get(edge.address("http"), path).text().contains(words);
        assert!((0..600).any(|_| heard() || pause()), "{path} never says {words}");
    };
    says("/api/v1/status", r#""name":"Yard""#);
    says("/api/v1/status", r#""state":"lost""#);
    says("/api/v1/events?kind=health", "camera_lost");
    assert_eq!(edge.terminate().code(), Some(0));
}

/// Between two looks.
fn pause() -> bool {
    std::thread::sleep(std::time::Duration::from_millis(50));
    false
}

#[test]
fn the_server_refuses_a_port_in_use_and_unknown_options() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket").to_string();
    for (args, naming) in
        [(&["--listen", &address][..], address.as_str()), (&["--lisen"], "--lisen")]
    {
        let output = outcome(Command::new(binary("nightjar-signal")).args(args));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "one line, for {args:?}: {said}");
        assert!(said.contains(naming), "{args:?} must be told of {naming:?}: {said}");
    }
}
