//! The keeper below a folder of its own with a radio whose driver does as the test says: what
//! becomes of an address and of a network when another one is wished.

#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]
#![expect(clippy::print_stderr, reason = "what is left out is said")]

mod socket;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(3);
/// Says what is appended to `said`, and keeps a copy of each configuration that it starts with.
const DRIVER: &str = "#!/bin/sh\n: >\"$ROOT/said\"\ncat \"$6\" >>\"$ROOT/read\"\n\
                      exec tail -f \"$ROOT/said\"\n";
const CLIENT: &str = "#!/bin/sh\necho asked >>\"$ROOT/asked\"\nexec sleep 1000\n";

struct Kept {
    root: PathBuf,
    keeper: Child,
}

impl Kept {
    /// `None` where no network of its own is to be had: a machine's own names are not announced.
    fn start(name: &str, settings: &str) -> Option<Self> {
        let apart = Command::new("unshare").args(["--net", "true"]).status();
        if !apart.is_ok_and(|it| it.success()) {
            assert!(std::env::var_os("CI").is_none(), "there is no network of its own to be had");
            eprintln!("{name} is LEFT OUT: there is no network of its own to be had");
            return None;
        }
        let root = std::env::temp_dir().join(format!("nightjar-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let wlan = "sys/class/net/wlan0";
        for dir in ["sbin", "boot", "data", "run", "dev", "etc/nightjar"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for dir in ["device", "phy80211"] {
            fs::create_dir_all(root.join(wlan).join(dir)).unwrap();
        }
        let facts = include_str!("../../../board/qemu-arm64/facts").replace("WIFI=no", "WIFI=yes");
        fs::write(root.join("etc/nightjar/facts"), format!("{facts}BOARD=test\n")).unwrap();
        fs::write(root.join("boot/nightjar.toml"), settings).unwrap();
        fs::write(root.join(wlan).join("type"), "1\n").unwrap();
        fs::write(root.join(wlan).join("carrier"), "1\n").unwrap();
        for (path, script) in [("sbin/wpa_supplicant", DRIVER), ("sbin/udhcpc", CLIENT)] {
            let script = script.replace("$ROOT", root.to_str()?);
            fs::write(root.join(path), script).unwrap();
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new("unshare");
        command.args(["--net", env!("CARGO_BIN_EXE_nightjar-box"), "--root"]).arg(&root);
        Some(Self { keeper: command.spawn().unwrap(), root })
    }

    /// What the driver says next.
    fn say(&self, line: &str) {
        let mut said = fs::File::options().append(true).open(self.root.join("said")).unwrap();
        writeln!(said, "wlan0: {line}").unwrap();
    }

    fn ask(&self, line: &str) -> Option<String> {
        socket::ask(&self.root, line)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_default()
    }

    /// Waits until that holds.
    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            let log =
                || ["box", "wifi-wlan0"].map(|it| self.text(&format!("run/nightjar/log/{it}")));
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the state of the radio is that.
    fn is(&self, ssid: &str, state: &str) {
        let wifi = format!(r#""wifi":{{"ssid":"{ssid}","state":"{state}"}}"#);
        self.until(&wifi, |it| it.ask(r#"{"do":"state"}"#).is_some_and(|it| it.contains(&wifi)));
    }

    /// Waits until addresses were asked for so often.
    fn asked(&self, times: usize) {
        self.until("an address is asked for", |it| it.text("asked").lines().count() >= times);
    }

    /// Waits until the driver has started so often.
    fn started(&self, times: usize) {
        self.until("the driver starts", |it| it.text("read").matches("network={").count() >= times);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let _ = fs::remove_dir_all(&self.root);
    }
}

const HOME: &str = "[wifi]\nssid = \"Home\"\npassphrase = \"the porch light\"\n";
const CONNECTED: &str = "CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:01:00 completed";

#[test]
fn another_network_gives_another_address() {
    let Some(kept) = Kept::start("address", HOME) else { return };
    kept.started(1);
    kept.asked(1);
    kept.say(&format!("{CONNECTED} [id=0 id_str=]"));
    kept.is("Home", "connected");
    kept.asked(2);
    let loft = r#"{"do":"wifi","ssid":"Loft","passphrase":"owls in the loft","country":"DE"}"#;
    assert_eq!(kept.ask(loft).as_deref(), Some("{\"ok\":{}}\n"));
    kept.is("Loft", "searching");
    kept.started(2);
    // The link was never seen to be away.
    kept.say(&format!("{CONNECTED} [id=0 id_str=]"));
    kept.is("Loft", "connected");
    kept.asked(3);
}

const WRONG: &str =
    "CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=\"x\" auth_failures=1 reason=WRONG_KEY";

#[test]
fn a_wrong_passphrase_has_a_way_back() {
    let Some(kept) = Kept::start("way-back", HOME) else { return };
    let (home, loft, attic) = ("ssid=486f6d65", "ssid=4c6f6674", "ssid=4174746963");
    let former = || kept.text("data/box/former.toml");
    let wishes = |ssid: &str| {
        let line = format!(r#"{{"do":"wifi","ssid":"{ssid}","passphrase":"bats in it"}}"#);
        assert_eq!(kept.ask(&line).as_deref(), Some("{\"ok\":{}}\n"));
        kept.is(ssid, "searching");
    };
    kept.started(1);
    kept.say(&format!("{CONNECTED} [id=0 id_str=]"));
    kept.is("Home", "connected");

    // Both are known to the driver, and a second mistake does not replace the one that works.
    wishes("Loft");
    kept.started(3);
    wishes("Attic");
    kept.started(5);
    let read = kept.text("read");
    assert!(read.rfind(attic) < read.rfind(home) && read.rfind(loft) < read.rfind(attic), "{read}");
    assert!(former().contains("Home"));
    kept.say(WRONG);
    kept.started(7);
    let read = kept.text("read");
    assert!(
        read.contains("priority=2") && read.rfind(attic) > read.rfind(loft),
        "both stay: {read}"
    );
    kept.say(&format!("{CONNECTED} [id=0 id_str=former]"));
    kept.is("Attic", "wrong passphrase; back on the former network");
    assert!(former().contains("Home"), "the next start tries both again");

    // Who is joined replaces the former one.
    wishes("Loft");
    kept.started(9);
    kept.say(&format!("{CONNECTED} [id=1 id_str=former]"));
    kept.is("Loft", "not found; back on the former network");
    kept.say(&format!("{CONNECTED} [id=0 id_str=]"));
    kept.is("Loft", "connected");
    kept.until("it is noted", |_| former().is_empty());
    kept.started(10);
    let read = kept.text("read");
    assert!(read.rfind(home) < read.rfind(loft), "the driver forgets it, too: {read}");
}
