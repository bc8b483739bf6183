//! What the command line and the config file may say, and what is answered otherwise.

use super::*;

fn run(args: &[&str]) -> Result<Config, String> {
    match Config::from_args(args.iter().copied()) {
        Ok(Command::Run(config)) => Ok(config),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

/// A config file that goes when the test ends.
struct Written(PathBuf);

impl Written {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nightjar-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn defaults_are_the_contracts() {
    let config = run(&["--data-dir", "d"]).unwrap();
    assert_eq!(config.http.to_string(), "127.0.0.1:8778");
    assert_eq!((config.max_sessions, config.keep_bytes, config.keep_days), (8, 2 << 30, 30));
    assert!(!config.legacy_clients);
    assert!(config.camera.is_empty() && config.name.is_none());
    // One core is left to the network, and more than 4 threads have too little to do.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(config.threads, cores.saturating_sub(1).clamp(1, 4));
    assert_eq!(run(&["--data-dir", "d", "--threads", "7"]).unwrap().threads, 7);
}

#[test]
fn flags_win_over_the_file() {
    let file = Written::new(
        "wins.json",
        r#"{"data_dir": "from file", "camera": ["a=demo:", "b=demo:"], "keep_bytes": "5MiB",
            "keep_days": 7, "legacy_clients": true, "name": "Gr\u00fcn", "labels": ["sheep"],
            "labels_file": "l.txt", "model": null}"#,
    );
    let config = run(&[
        "--config",
        file.path(),
        "--camera=demo:",
        "--keep-days",
        "9",
        "--http",
        "localhost:0",
    ])
    .unwrap();
    assert_eq!(config.data_dir, PathBuf::from("from file"));
    assert_eq!(config.camera, ["demo:"]);
    assert_eq!((config.keep_bytes, config.keep_days), (5 << 20, 9));
    assert!(config.legacy_clients);
    assert_eq!(config.name.as_deref(), Some("Grün"));
    assert_eq!((config.labels, config.labels_file), (vec!["sheep".into()], Some("l.txt".into())));
    assert_eq!(config.http.to_string(), "127.0.0.1:0");
}

#[test]
fn the_printed_config_reads_back_the_same() {
    let args = ["--data-dir", "d \"x\"", "--camera", "a=demo:", "--ice", "stun:h", "--name", "N"];
    let config = run(&args).unwrap();
    let file = Written::new("printed.json", &config.to_json());
    assert_eq!(run(&["--config", file.path()]), Ok(config));
}

#[test]
fn a_wrong_option_is_named_with_what_was_expected() {
    for (args, part) in [
        (&["--data-dir", "d", "--keep-dasy", "3"][..], "did you mean --keep-days?"),
        (&["--data-dir", "d", "--data_dir", "3"], "did you mean --data-dir?"),
        (&["--data-dir", "d", "--zebra", "3"], "unknown option --zebra"),
        (&["--data-dir", "d", "-x"], "unknown option -x"),
        (&["--data-dir", "d", "stray"], "unexpected argument \"stray\""),
        (&["--data-dir"], "--data-dir: expected a value"),
        (&[], "--data-dir DIR is missing"),
        (
            &["--data-dir", "d", "--http", "0.0.0.0:80"],
            "--http: \"0.0.0.0:80\" is wrong, expected a loopback",
        ),
        (&["--data-dir", "d", "--keep-bytes", "2 gigs"], "as in 2GiB"),
        (&["--data-dir", "d", "--keep-bytes", "99999999TiB"], "as in 2GiB"),
        (&["--data-dir", "d", "--keep-days", "0"], "from 1 to 36500"),
        (&["--data-dir", "d", "--threads", "0"], "--threads: \"0\" is wrong, expected a number"),
        (&["--data-dir", "d", "--threads", "65"], "expected a number from 1 to 64"),
        (&["--data-dir", "d", "--legacy-clients", "perhaps"], "on or off"),
        (&["--data-dir", "d", "--signal", "example.org"], "--signal: \"example.org\""),
        (&["--data-dir", "d", "--signal", "https://h:x/", "--print-config"], "--signal: "),
        (&["--data-dir", "d", "--ice", "nonsense"], "--ice: \"nonsense\" is wrong, expected stun:"),
        (&["--data-dir", "d", "--ice", "turn:h"], "--ice: \"turn:h\" is wrong, expected stun:"),
        (&["--data-dir", "d", "--config", "/nonexistent.json"], "--config /nonexistent.json:"),
    ] {
        let error = run(args).unwrap_err();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
        assert!(!error.contains('\n'), "one line: {error}");
    }
}

#[test]
fn a_wrong_key_is_named_with_its_file() {
    for (text, part) in [
        (r#"{"keep_dayz": 3}"#, "unknown key \"keep_dayz\"; did you mean keep_days?"),
        (r#"{"zebra": 3}"#, "unknown key \"zebra\""),
        (r#"{"config": "x"}"#, "unknown key \"config\""),
        (r#"{"keep_days": "many"}"#, "key \"keep_days\": \"many\" is wrong"),
        (r#"{"camera": "demo:"}"#, "key \"camera\": expected a list"),
        (r#"{"ice": ["stun:h", "turn:h"]}"#, "key \"ice\": \"turn:h\" is wrong"),
        (r#"{"name": ["x"]}"#, "key \"name\": expected one value"),
        (r#"{"name": "\ud800"}"#, "key \"name\""),
        ("[1]", "expected one JSON object"),
    ] {
        let file = Written::new("wrong.json", text);
        let error = run(&["--data-dir", "d", "--config", file.path()]).unwrap_err();
        assert!(error.contains(part) && error.contains(file.path()), "{error:?} lacks {part:?}");
    }
}

#[test]
fn help_names_every_option() {
    for key in KEYS.into_iter().filter(|key| *key != "labels") {
        assert!(HELP.contains(&format!("--{}", flag_of(key))), "{key}");
    }
    assert_eq!(Config::from_args(["--help"]), Ok(Command::Help));
    assert_eq!(Config::from_args(["-V"]), Ok(Command::Version));
    let printed = Config::from_args(["--data-dir", "d", "--print-config"]);
    assert!(matches!(printed, Ok(Command::PrintConfig(_))));
}
