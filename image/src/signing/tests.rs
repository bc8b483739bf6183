//! A key, a bundle signed by it, and every way in which one is not what it says.

use super::*;
use crate::args::Command;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("nightjar-sign-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(args: &[&str]) -> Result<(), Failure> {
    match Command::from_args(Parser::from_args(args))? {
        Command::Sign(order) => order.run(&Mutex::new(Screen::new())),
        other => panic!("{other:?}"),
    }
}

fn said(args: &[&str]) -> String {
    run(args).expect_err("it fails").to_string()
}

#[test]
fn a_key_is_made_once_and_is_its_owners() {
    let folder = Folder::new("key");
    let name = folder.at("mine");
    assert_eq!(run(&["key", "new", "--out", &name]), Ok(()));
    let secret = fs::metadata(folder.at("mine.key")).unwrap();
    assert_eq!((secret.permissions().mode() & 0o777, secret.len()), (0o600, 65));
    let before = fs::read(folder.at("mine.key")).unwrap();
    assert!(said(&["key", "new", "--out", &name]).contains("mine.key: it is there"));
    fs::remove_file(folder.at("mine.pub")).unwrap();
    assert!(said(&["key", "new", "--out", &name]).contains("never written over"));
    assert_eq!(fs::read(folder.at("mine.key")).unwrap(), before);
}

#[test]
fn a_bundle_is_what_was_signed() {
    let folder = Folder::new("bundle");
    let at = |name: &str| folder.at(name);
    run(&["key", "new", "--out", &at("us")]).unwrap();
    run(&["key", "new", "--out", &at("them")]).unwrap();
    fs::write(at("boot"), vec![1; 300_000]).unwrap();
    fs::write(at("root"), vec![2; 10]).unwrap();
    let (boot, root, key, out) = (at("boot"), at("root"), at("us.key"), at("out.nightjar"));
    let mut args = vec!["bundle", "--board", "here", "--version", "0.2.0", "--boot", &boot];
    args.extend(["--root", &root, "--key", &key, "--out", &out]);
    assert_eq!(run(&args), Ok(()));
    assert_eq!(run(&["verify", &out]), Ok(()));
    assert_eq!(run(&["verify", &out, "--public-key", &at("us.pub")]), Ok(()));
    assert!(said(&["verify", &out, "--public-key", &at("them.pub")]).contains("not signed by"));
    let whole = fs::read(&out).unwrap();
    fs::write(&out, &whole[..whole.len() - 1]).unwrap();
    assert!(said(&["verify", &out]).contains("shorter than its manifest"));
    fs::write(&out, [&whole[..], b"x"].concat()).unwrap();
    assert!(said(&["verify", &out]).contains("longer than its manifest"));
    let mut changed = whole.clone();
    changed[1_000] ^= 1;
    fs::write(&out, &changed).unwrap();
    assert!(said(&["verify", &out]).contains("its boot part is damaged"));
    fs::write(&out, "PK").unwrap();
    assert!(said(&["verify", &out]).contains("no Nightjar bundle"));
    // A key that is none, and parts that are none: nothing is left behind.
    fs::write(at("root"), "").unwrap();
    assert!(said(&args).contains("root: it is empty"));
    let last = args.len() - 3;
    args[last] = &boot;
    assert!(said(&args).contains("boot: "));
    assert!(!Path::new(&at("out.nightjar.part")).exists());
}

#[test]
fn wrong_words_are_wrong_use() {
    for args in [
        &["key"][..],
        &["key", "old"],
        &["key", "new", "more"],
        &["bundle"],
        &["bundle", "--version", "1"],
        &["verify"],
        &["verify", "a", "b"],
    ] {
        let read = Command::from_args(Parser::from_args(args));
        assert!(matches!(read, Err(Failure::Usage(_))), "{args:?}");
    }
    for args in
        [&["key", "-h"][..], &["key", "new", "--help"], &["bundle", "--help"], &["verify", "-h"]]
    {
        assert!(
            matches!(Command::from_args(Parser::from_args(args)), Ok(Command::Help(_))),
            "{args:?}"
        );
    }
}
