//! The hands at work on files in a temporary directory: partitions, state, `autoboot.txt`.

use super::*;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use image_core::autoboot::Autoboot;
use image_core::bundle::prefix;
use image_core::manifest::Sum;
use std::cell::Cell;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

const QEMU: &str = include_str!("../../../../board/qemu-arm64/facts");
const BOOT: &[u8] = &[0x42; 300_000];
const ROOT: &[u8] = &[0x17; 700_001];

/// What the machine was asked for.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

struct Stub(Arc<Log>);

impl Machinery for Stub {
    fn remount(&self, folder: &Path, writable: bool) -> io::Result<()> {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        lock(&self.0.0).push(format!("{name} {}", if writable { "rw" } else { "ro" }));
        Ok(())
    }

    fn restart(&self, trial: bool) -> io::Error {
        lock(&self.0.0).push(format!("restart {}", if trial { "tryboot" } else { "plain" }));
        io::Error::other("a test goes on")
    }
}

/// A card below a folder, and who signs for it.
struct Bench {
    root: PathBuf,
    key: Ed25519KeyPair,
    log: Arc<Log>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Bench {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("nightjar-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for folder in ["etc/nightjar", "proc", "boot", "data", "dev"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let bench = Self { root, key, log: Arc::default() };
        let public = bench.key.public_key().as_ref().iter().fold(String::new(), |mut text, it| {
            write!(text, "{it:02x}").unwrap();
            text
        });
        bench.put("etc/nightjar/facts", &format!("BOARD=qemu-arm64\n{QEMU}"));
        bench.put("etc/nightjar/version", "0.1.0\n");
        bench.put("etc/nightjar/update.pub", &format!("{public}\n"));
        bench.put("boot/autoboot.txt", str::from_utf8(Autoboot::new(Slot::A).text()).unwrap());
        for nr in [2, 3, 5, 6] {
            fs::write(bench.root.join(format!("dev/vda{nr}")), vec![0; 1 << 20]).unwrap();
        }
        bench.booted(Slot::A, false);
        bench
    }

    fn put(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).unwrap();
    }

    fn get(&self, path: &str) -> Vec<u8> {
        fs::read(self.root.join(path)).unwrap()
    }

    fn booted(&self, slot: Slot, trial: bool) {
        let trial = u8::from(trial);
        self.put(
            "proc/cmdline",
            &format!("nightjar.partition={} nightjar.tryboot={trial}\n", slot.boot()),
        );
    }

    fn start(&self) -> Updater {
        Updater::with(0, &self.root, Box::new(Stub(Arc::clone(&self.log))))
    }

    fn bundle(&self, version: [u16; 3]) -> Vec<u8> {
        let sum = |part: &[u8]| {
            let sha256 = aws_lc_rs::digest::digest(&SHA256, part).as_ref().try_into().unwrap();
            Sum { bytes: part.len() as u64, sha256 }
        };
        let manifest = Manifest {
            board: "qemu-arm64",
            version: Version(version),
            minimum: Version([0, 1, 0]),
            boot: sum(BOOT),
            root: sum(ROOT),
        };
        let text = manifest.to_string();
        let signature = self.key.sign(text.as_bytes());
        let head = prefix(text.as_bytes()).unwrap();
        [&head[..], text.as_bytes(), signature.as_ref(), BOOT, ROOT].concat()
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.log.0))
    }
}

/// Takes a bundle; what progress was heard, too, which begins as it is found to be for this box.
fn take(updater: &Updater, bundle: &[u8]) -> (Result<Version, Refused>, Vec<u8>) {
    let (mut heard, taken) = (Vec::new(), Cell::new(0));
    let (length, take) = (bundle.len() as u64, || taken.set(taken.get() + 1));
    let done = updater.begin(&mut &bundle[..], length, &take, &mut |it| heard.push(it));
    assert_eq!(taken.get(), usize::from(heard.first() == Some(&0)), "told of what is refused");
    (done, heard)
}

fn code(updater: &Updater, bundle: &[u8]) -> &'static str {
    take(updater, bundle).0.expect_err("refused").code
}

#[test]
fn an_update_is_staged_tried_and_committed() {
    let bench = Bench::new("whole");
    let updater = bench.start();
    assert_eq!(updater.resume(0), None);
    let (done, heard) = take(&updater, &bench.bundle([0, 2, 0]));
    assert_eq!(done.ok(), Some(Version([0, 2, 0])));
    assert!(heard.is_sorted_by(|a, b| a < b) && heard.last() == Some(&100), "{heard:?}");
    assert_eq!(&bench.get("dev/vda3")[..BOOT.len()], BOOT);
    assert_eq!(&bench.get("dev/vda6")[..ROOT.len()], ROOT);
    assert_eq!(bench.get("dev/vda2"), vec![0; 1 << 20], "the slot that runs is as it was");
    assert_eq!(updater.state().phase, "staged");
    assert_eq!(code(&updater, &bench.bundle([0, 3, 0])), "busy");
    assert_eq!(bench.said(), [""; 0]);

    updater.restart(Restart::Trial);
    assert_eq!(bench.said(), ["boot rw", "boot ro", "data ro", "restart plain"]);
    assert!(bench.root.join("boot/tryboot").exists(), "qemu's wish is a file");

    // The restart, had it come.
    bench.put("data/box/update", &staged(1));
    bench.put("etc/nightjar/version", "0.2.0\n");
    bench.booted(Slot::B, true);
    let trial = bench.start();
    assert_eq!((trial.resume(0), trial.is_trial(), trial.state().phase), (None, true, "trial"));
    assert_eq!(code(&trial, &bench.bundle([0, 3, 0])), "trial");
    (0..15).for_each(|second| assert_eq!(trial.health(second * 1_000, true), None));
    assert_eq!(
        (trial.is_trial(), Autoboot::new(Slot::A).text()),
        (true, &bench.get("boot/autoboot.txt")[..])
    );
    assert_eq!(trial.health(15_000, true), None);
    assert_eq!((trial.is_trial(), trial.state().phase), (false, "committed"));
    assert_eq!(bench.get("boot/autoboot.txt"), Autoboot::new(Slot::B).text());
    assert_eq!(bench.said(), ["boot rw", "boot ro"]);
    assert_eq!(code(&trial, &bench.bundle([0, 2, 0])), "older");
    assert_eq!(take(&trial, &bench.bundle([0, 3, 0])).0.ok(), Some(Version([0, 3, 0])));
    assert_eq!(&bench.get("dev/vda5")[..ROOT.len()], ROOT);
}

/// The state file of a staged 0.2.0 in slot B.
fn staged(attempts: u8) -> String {
    let sum = |part: &[u8]| Sum {
        bytes: part.len() as u64,
        sha256: aws_lc_rs::digest::digest(&SHA256, part).as_ref().try_into().unwrap(),
    };
    let (boot, root) = (sum(BOOT), sum(ROOT));
    format!("state=staged\nattempts={attempts}\nversion=0.2.0\nslot=b\nboot={boot}\nroot={root}\n")
}

#[test]
fn what_was_staged_is_read_back_before_it_is_tried_again() {
    let bench = Bench::new("resume");
    assert!(take(&bench.start(), &bench.bundle([0, 2, 0])).0.is_ok());
    assert_eq!(bench.start().resume(0), Some(Restart::Trial));
    let mut rotten = bench.get("dev/vda6");
    rotten[ROOT.len() - 1] ^= 1;
    fs::write(bench.root.join("dev/vda6"), rotten).unwrap();
    let updater = bench.start();
    assert_eq!((updater.resume(0), updater.state().phase), (None, "failed"));
    let why = updater.state().why.unwrap();
    assert_eq!(why, "the card did not keep the update");
    assert_eq!(
        Saved::parse(&bench.get("data/box/update")).map(|it| it.phase),
        Some(Phase::Failed(Why::Card))
    );
}

#[test]
fn a_trial_that_is_not_well_goes_back() {
    let bench = Bench::new("ill");
    fs::create_dir_all(bench.root.join("data/box")).unwrap();
    bench.put("data/box/update", &staged(1));
    bench.put("etc/nightjar/version", "0.2.0\n");
    bench.booted(Slot::B, true);
    let trial = bench.start();
    assert_eq!(trial.resume(0), None);
    let mut seconds = 0..;
    let restart = seconds.by_ref().find_map(|second| trial.health(second * 1_000, second % 9 != 0));
    assert_eq!((restart, seconds.next()), (Some(Restart::Plain), Some(181)));
    bench.booted(Slot::A, false);
    bench.put("etc/nightjar/version", "0.1.0\n");
    let old = bench.start();
    assert_eq!((old.resume(0), old.state().phase, old.is_trial()), (None, "failed", false));
    assert_eq!(old.state().why.unwrap(), Why::Unhealthy.to_string());
}

#[test]
fn a_refusal_says_why_and_writes_nothing() {
    let bench = Bench::new("refusals");
    let bundle = bench.bundle([0, 2, 0]);
    let updater = bench.start();
    let mut forged = bundle.clone();
    forged[11 + 30] ^= 1;
    let beyond = [&bundle[..], b"x"].concat();
    let short = &bundle[..bundle.len() - 1];
    let older = take(&updater, &bench.bundle([0, 1, 0])).0.expect_err("older");
    assert_eq!(
        (older.code, older.message.contains("it brings 0.1.0, here 0.1.0 ran")),
        ("older", true)
    );
    assert_eq!(code(&updater, b"PK"), "format");
    assert_eq!(code(&updater, &beyond), "format");
    assert_eq!(code(&updater, short), "format");
    assert!(["signature", "format"].contains(&code(&updater, &forged)));
    assert!(!bench.root.join("data/box/update").exists());
    for (path, text, want) in [
        ("etc/nightjar/update.pub", String::new(), "no-key"),
        ("etc/nightjar/update.pub", "00".repeat(32), "signature"),
        ("etc/nightjar/facts", QEMU.into(), "board"),
        ("etc/nightjar/facts", QEMU.replace("TRYBOOT=file", "TRYBOOT=no"), "unsupported"),
        ("etc/nightjar/facts", String::new(), "unsupported"),
        ("boot/autoboot.txt", "boot_partition=2".into(), "autoboot"),
    ] {
        let bench = Bench::new("refused");
        bench.put(path, &text);
        assert_eq!(code(&bench.start(), &bundle), want, "{path}");
    }
    assert_eq!(bench.get("dev/vda3"), vec![0; 1 << 20]);
}

#[test]
fn a_broken_stream_or_a_changed_part_is_given_up_and_can_come_again() {
    let bench = Bench::new("broken");
    let bundle = bench.bundle([0, 2, 0]);
    let updater = bench.start();
    let mut changed = bundle.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(code(&updater, &changed), "damaged");
    let mut cut = &bundle[..500_000];
    let done = updater.begin(&mut cut, bundle.len() as u64, &|| {}, &mut |_| {});
    assert_eq!(done.expect_err("cut").code, "interrupted");
    assert_eq!(updater.state().phase, "failed");
    assert!(take(&updater, &bundle).0.is_ok());
}

#[test]
fn a_pis_firmware_tells_in_the_device_tree() {
    let bench = Bench::new("tree");
    let facts = QEMU.replace("TRYBOOT=file", "TRYBOOT=firmware");
    bench.put("etc/nightjar/facts", &format!("BOARD=qemu-arm64\n{facts}"));
    let folder = "proc/device-tree/chosen/bootloader";
    fs::create_dir_all(bench.root.join(folder)).unwrap();
    fs::write(bench.root.join(folder).join("partition"), 3_u32.to_be_bytes()).unwrap();
    fs::write(bench.root.join(folder).join("tryboot"), 1_u32.to_be_bytes()).unwrap();
    let updater = bench.start();
    assert_eq!((updater.slot(), updater.booted.trial), (Slot::B, true));
    fs::remove_dir_all(bench.root.join("proc/device-tree")).unwrap();
    bench.put("proc/cmdline", "quiet root=/dev/vda6 rootwait");
    assert_eq!(bench.start().booted, Booted { slot: Slot::B, trial: false });
    bench.put("proc/cmdline", "quiet root=/dev/vda5 rootwait");
    assert_eq!(bench.start().slot(), Slot::A);
    assert!(take(&bench.start(), &bench.bundle([0, 2, 0])).0.is_ok());
    let updater = bench.start();
    assert_eq!(updater.resume(0), Some(Restart::Trial));
    bench.said();
    updater.restart(Restart::Trial);
    assert_eq!(bench.said(), ["data ro", "restart tryboot"]);
    assert_eq!(updater.state().phase, "failed", "a restart that fails gives the update up");
}
