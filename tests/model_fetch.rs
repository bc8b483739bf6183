//! `nightjar model fetch` against hosts that give the model, something else, or too much.

use harness::data::{Scratch, model};
use harness::program::{binary, outcome};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

const FILE: &str = "ssd_mobilenet_v1_coco_quant.tflite";

/// A host that answers one request with `head` and then `body`, `times` over.
fn host(head: &'static str, body: Vec<u8>, times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        drop(listener);
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(head.as_bytes());
        // A client that heard enough hangs up.
        let _ = (0..times).try_for_each(|_| stream.write_all(&body));
    });
    format!("http://{address}/model")
}

fn fetch(home: &Path, url: &str) -> Output {
    let mut command = Command::new(binary("nightjar"));
    command.args(["model", "fetch", "--url", url]).env("HOME", home);
    for name in
        ["NIGHTJAR_MODELS", "XDG_CACHE_HOME", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"]
    {
        command.env_remove(name);
    }
    outcome(&mut command)
}

fn cached(home: &Path) -> Vec<String> {
    let entries = fs::read_dir(home.join(".cache/nightjar")).into_iter().flatten().flatten();
    entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn only_the_pinned_file_is_kept() {
    let hosts = [
        host("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"<html>sign in</html>".to_vec(), 1),
        host("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", vec![0; 1 << 20], 64),
        host("HTTP/1.1 200 OK\r\nContent-Length: 4183312\r\n\r\n", b"half".to_vec(), 1),
        host("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Vec::new(), 0),
        "http://127.0.0.1:1/nobody".into(),
    ];
    for url in hosts {
        let home = Scratch::new("fetch-wrong");
        let output = fetch(home.path(), &url);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{url}: {said}");
        assert_eq!(said.lines().count(), 1, "one line: {said}");
        assert!(said.contains("127.0.0.1"), "the host is named: {said}");
        assert!(cached(home.path()).is_empty(), "nothing stays of it");
    }
}

#[test]
fn the_model_is_fetched_once() {
    let Some(path) = model(FILE) else {
        return harness::data::left_out("the_model_is_fetched_once", "no model");
    };
    let home = Scratch::new("fetch");
    let bytes = fs::read(path).expect("the model can be read");
    let url = host("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", bytes.clone(), 1);
    let output = fetch(home.path(), &url);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.lines().next().is_some_and(|line| line.contains("127.0.0.1")),
        "the host first: {said}"
    );
    assert_eq!(cached(home.path()), [FILE]);
    let kept = home.path().join(".cache/nightjar").join(FILE);
    assert!(fs::read(&kept).expect("the cached model") == bytes);

    let output = fetch(home.path(), &url);
    assert!(output.status.success(), "the host is gone, the model is here");

    fs::write(&kept, "damaged").expect("the cache can be written");
    let output = fetch(home.path(), &url);
    assert_eq!(output.status.code(), Some(1), "a damaged file counts as missing");
}
