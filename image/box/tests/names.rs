//! Two boxes of one name in a network of their own, and a stranger who floods it: who is second is
//! called otherwise and says so, and what it remembers has an end.

#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod socket;

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(5);
const BOX: &str = env!("CARGO_BIN_EXE_nightjar-box");

/// A process that goes with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that has a network of its own, if there can be one.
fn network() -> Option<Program> {
    let own = fs::read_link("/proc/thread-self/ns/net").ok()?;
    let mut holder = Program::start(Command::new("unshare").args(["--net", "sleep", "1000"]));
    until("a network", || {
        let other = fs::read_link(format!("/proc/{}/ns/net", holder.0.id())).ok();
        let ended = holder.0.try_wait().unwrap().is_some();
        (ended || other.is_some_and(|it| it != own)).then_some(())
    });
    holder.0.try_wait().unwrap().is_none().then_some(holder)
}

/// `script` where this thread's network is.
fn shell(script: &str) {
    assert!(Command::new("sh").args(["-euc", script]).status().unwrap().success(), "{script}");
}

/// What happens on its own, within [`PATIENCE`].
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A system below a folder whose servers do nothing.
fn system() -> PathBuf {
    let root = std::env::temp_dir().join(format!("nightjar-names-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    for dir in ["usr/bin", "boot", "data", "run", "etc"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    // Whoever has a network of its own is root.
    let user = |name| format!("{name}:x:0:0::/:/bin/false\n");
    let users = ["nobody", "nightjar", "signal"].map(user).concat();
    fs::write(root.join("etc/passwd"), users).unwrap();
    for server in ["nightjar-signal", "nightjar-edge"] {
        let path = root.join("usr/bin").join(server);
        fs::write(&path, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

fn state(root: &Path) -> Option<String> {
    socket::ask(root, r#"{"do":"state"}"#)
}

/// An answer that tells addresses of hosts nobody asked for, each by a name of its own.
fn gossip(number: &mut u32) -> Vec<u8> {
    const HOSTS: u16 = 12;
    let [many, few] = HOSTS.to_be_bytes();
    let mut bytes = vec![0, 0, 0x84, 0, 0, 0, many, few, 0, 0, 0, 0];
    for _ in 0..HOSTS {
        *number += 1;
        let label = format!("{number:0>60}");
        bytes.push(60);
        bytes.extend(label.as_bytes());
        bytes.extend(b"\x05local\0");
        // A, IN, for 120 s, of four bytes.
        bytes.extend([0, 1, 0, 1, 0, 0, 0, 120, 0, 4, 10, 79, 0, 9]);
    }
    bytes
}

#[test]
fn who_comes_second_is_called_otherwise_and_a_flood_has_an_end() {
    let [Some(here), Some(there)] = [network(), network()] else {
        assert!(std::env::var_os("CI").is_none(), "there is no network of its own to be had");
        return eprintln!("LEFT OUT: there is no network of its own to be had");
    };
    let file = File::open(format!("/proc/{}/ns/net", here.0.id())).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    let inside = format!("nsenter --net=/proc/{}/ns/net", there.0.id());
    shell(&format!(
        "ip link add v0 type veth peer name v1 netns {}
         ip address add 10.79.0.1/24 dev v0
         ip link set v0 up
         ip route add 224.0.0.0/4 dev v0
         {inside} ip address add 10.79.0.2/24 dev v1
         {inside} ip link set v1 up",
        there.0.id()
    ));

    let mut first = Program::start(Command::new(BOX).args(["names", "nightjar", "80"]));
    let mut line = String::new();
    BufReader::new(first.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "this box is nightjar.local\n");

    let root = system();
    let words = format!("exec {inside} {BOX} --root {} --listen 127.0.0.1:9", root.display());
    let second = Program::start(Command::new("sh").args(["-c", &words]));
    let log = |name: &str| {
        fs::read_to_string(root.join("run/nightjar/log").join(name)).unwrap_or_default()
    };
    until("another name in the state", || {
        state(&root).filter(|it| it.contains(r#""hostname":"nightjar-2""#))
    });
    assert!(log("box").contains("this box is nightjar-2.local"), "{}", log("box"));

    // Its port is its own kind's while it lives.
    drop(first);
    let stranger = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353)).unwrap();
    let mut number = 0;
    until("the end of what it remembers", || {
        for _ in 0..1_000 {
            let _ = stranger.send_to(&gossip(&mut number), (Ipv4Addr::new(224, 0, 0, 251), 5353));
        }
        log("box").contains("names ended: signal: 6").then_some(())
    });
    until("its old name, as nobody has it any more", || {
        state(&root).filter(|it| it.contains(r#""hostname":"nightjar","#))
    });
    drop(second);
    fs::remove_dir_all(root).unwrap();
}
