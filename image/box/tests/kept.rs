//! The real keeper below a folder of its own, with both real servers: started, asked, crashed,
//! starved, ended.

#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod socket;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// This shared machine may be slow; nothing here waits so long on a good day.
const PATIENCE: Duration = Duration::from_mins(1);

struct Kept {
    root: PathBuf,
    keeper: Child,
    http: SocketAddr,
}

impl Kept {
    fn start(name: &str) -> Self {
        Self::with(name, &own_users(), 4)
    }

    fn with(name: &str, users: &str, slowness: u32) -> Self {
        let root =
            std::env::temp_dir().join(format!("nightjar-kept-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for dir in ["usr/bin", "boot", "data", "run", "dev", "etc/nightjar"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let keeper = Path::new(env!("CARGO_BIN_EXE_nightjar-box"));
        for server in ["nightjar-signal", "nightjar-edge"] {
            let built = keeper.with_file_name(server);
            assert!(
                built.exists(),
                "{server}: run `cargo build --release -p edge -p signal` first"
            );
            symlink(built, root.join("usr/bin").join(server)).unwrap();
        }
        let facts = include_str!("../../../board/qemu-arm64/facts")
            .replace("SLOWNESS=4", &format!("SLOWNESS={slowness}"));
        fs::write(root.join("etc/nightjar/facts"), format!("{facts}BOARD=test\n")).unwrap();
        fs::write(root.join("etc/passwd"), users).unwrap();
        fs::write(root.join("dev/watchdog"), "").unwrap();
        let settings =
            "name = \"Attic\"\nnme = 1\n[[camera]]\nname = \"Yard\"\nsource = \"demo:\"\n";
        fs::write(root.join("boot/nightjar.toml"), settings).unwrap();
        let (listen, http) = (free_port(), free_port());
        let mut command = Command::new(keeper);
        command.arg("--root").arg(&root).arg("--no-network");
        command.args(["--listen", &listen.to_string(), "--http", &http.to_string()]);
        Self { keeper: command.spawn().unwrap(), root, http }
    }

    fn status(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.http).ok()?;
        write!(stream, "GET /api/v1/status HTTP/1.0\r\nHost: {}\r\n\r\n", self.http).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains("200 OK").then_some(answer)
    }

    fn ask(&self, line: &str) -> Option<String> {
        socket::ask(&self.root, line)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_default()
    }

    /// The children that live, by their programs.
    fn children(&self, program: &str) -> Vec<u32> {
        let keeper = self.keeper.id();
        let tasks = format!("/proc/{keeper}/task");
        let tasks = fs::read_dir(tasks).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|it| fs::read_to_string(it.path().join("children")).ok());
        let all: Vec<u32> = lists
            .flat_map(|list| {
                list.split_whitespace().filter_map(|it| it.parse().ok()).collect::<Vec<_>>()
            })
            .collect();
        let is = |pid: &u32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split('\0').next().is_some_and(|it| it.ends_with(program))
        };
        all.into_iter().filter(is).collect()
    }

    fn end(&mut self) -> ExitStatus {
        send("-TERM", self.keeper.id());
        self.keeper.wait().unwrap()
    }

    /// Waits until that holds.
    fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let logs =
                || ["box", "edge", "signal"].map(|it| self.text(&format!("run/nightjar/log/{it}")));
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Both servers as whoever runs the test.
fn own_users() -> String {
    let own = fs::metadata("/proc/self").unwrap();
    let user = |name| format!("{name}:x:{}:{}::/:/bin/false\n", own.uid(), own.gid());
    ["nightjar", "signal"].map(user).concat()
}

fn send(signal: &str, pid: u32) {
    let done = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(done.success());
}

fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[test]
fn a_card_is_kept() {
    let mut kept = Kept::start("card");
    let status = kept.until("both servers meet and see", |it| {
        it.status().filter(|it| it.contains(r#""state":"running""#))
    });
    assert!(
        status.contains(r#""name":"Attic""#) && status.contains(r#""name":"Yard","kind":"demo""#)
    );
    let errors = kept.text("boot/nightjar-errors.txt");
    assert!(errors.starts_with("line 2: there is no setting nme here"), "{errors}");
    let state = kept.until("the socket", |it| it.ask(r#"{"do":"state"}"#));
    assert!(state.starts_with(r#"{"ok":{"board":"test","#), "{state}");
    let fed = kept.text("dev/watchdog").len();
    kept.until("the watchdog is fed", |it| (it.text("dev/watchdog").len() > fed + 2).then_some(()));

    let first = kept.until("the edge", |it| it.children("nightjar-edge").pop());
    send("-ABRT", first);
    kept.until("it is begun anew", |it| {
        it.children("nightjar-edge").pop().filter(|it| *it != first)
    });
    kept.until("it answers", Kept::status);
    assert_eq!(kept.text("data/edge/crashes"), "1\n");
    assert!(kept.text("run/nightjar/log/box").contains("edge ended: signal: 6"));
    let fed = kept.text("dev/watchdog").len();
    kept.until("the watchdog is fed still", |it| {
        (it.text("dev/watchdog").len() > fed + 2).then_some(())
    });

    let begun = Instant::now();
    assert!(kept.end().success());
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert_eq!(kept.text("data/edge/crashes"), "", "an orderly end is no crash");
}

#[test]
fn before_a_start_becomes_safe_the_machine_is_begun_anew() {
    let kept = Kept::start("worn");
    for _ in 0..2 {
        kept.until("it answers", Kept::status);
        let pid = kept.until("the edge", |it| it.children("nightjar-edge").pop());
        send("-ABRT", pid);
        kept.until("it has ended", |it| {
            (!it.children("nightjar-edge").contains(&pid)).then_some(())
        });
    }
    kept.until("the watchdog is starved", |it| {
        it.text("run/nightjar/log/box")
            .contains("ended twice in a row; the watchdog is not fed")
            .then_some(())
    });
    let fed = kept.text("dev/watchdog").len();
    kept.until("it is well again", Kept::status);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(kept.text("dev/watchdog").len(), fed, "it stays so until the machine is reset");
    assert_eq!(kept.text("data/edge/crashes"), "2\n", "the next start is not a safe one");
}

#[test]
fn nobody_outlives_a_keeper_that_is_killed() {
    let mut kept = Kept::start("killed");
    let pids = kept.until("both live", |it| {
        let both = [it.children("nightjar-edge").pop()?, it.children("nightjar-signal").pop()?];
        it.status().map(|_| both)
    });
    kept.keeper.kill().unwrap();
    kept.keeper.wait().unwrap();
    kept.until("they end", |_| {
        let alive = |pid: &u32| {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z ")
        };
        (!pids.iter().any(alive)).then_some(())
    });
}

#[test]
fn a_wished_restart_ends_the_servers_first() {
    let mut kept = Kept::start("restart");
    kept.until("it answers", Kept::status);
    assert_eq!(kept.ask(r#"{"do":"restart"}"#).as_deref(), Some("{\"ok\":{}}\n"));
    kept.until("its servers have ended", |it| {
        (it.children("nightjar-edge").is_empty() && it.status().is_none()).then_some(())
    });
    assert!(kept.keeper.wait().unwrap().success());
}

#[test]
fn a_server_whose_user_is_not_known_is_not_started() {
    let kept = Kept::with("unknown", "root:x:0:0::/:/bin/sh\n", 4);
    for user in ["signal", "nightjar"] {
        let words = format!("there is no user {user} in /etc/passwd");
        kept.until("it is said", |it| {
            it.text("run/nightjar/log/box").contains(&words).then_some(())
        });
    }
    assert_eq!(
        (kept.children("nightjar-edge"), kept.children("nightjar-signal")),
        (vec![], vec![])
    );
}

#[test]
fn a_signal_server_that_hangs_begins_anew() {
    let kept = Kept::with("hung", &own_users(), 1);
    let first = kept.until("signal", |it| it.children("nightjar-signal").pop());
    kept.until("it answers", |it| {
        it.text("run/nightjar/log/signal").contains("ready").then_some(())
    });
    let fed = kept.text("dev/watchdog").len();
    kept.until("it is asked", |it| (it.text("dev/watchdog").len() > fed + 2).then_some(()));
    send("-STOP", first);
    kept.until("another one", |it| it.children("nightjar-signal").pop().filter(|it| *it != first));
    assert!(kept.text("run/nightjar/log/box").contains("signal has not answered for 1"));
}
