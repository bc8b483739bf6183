//! `PyPI`'s peerjs 1.5.1, unmodified, as the edge of an Ambianic home: `tests/run` puts it below
//! `target/`, `tests/python/launch.py` starts it.

use harness::data::{Scratch, left_out, repository};
use harness::meeting::{Server, wait_until};
use harness::rounds;
use signal_proto::json;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it stays in a whole run.
const STAYS_SECONDS: u64 = 180;

/// The running package; its folder is its memory.
struct Package {
    child: Child,
    folder: Scratch,
}

impl Package {
    fn start(python: &Path, port: &str) -> Self {
        let folder = Scratch::new("python-peerjs");
        let config = format!(
            "signaling_server: 127.0.0.1\nport: {port}\nsecure: false\nice_servers: []\n\
             log_level: INFO\n"
        );
        fs::write(folder.path().join("peerjs-config.yaml"), config).expect("a file is written");
        let log = File::create(folder.path().join("log")).expect("a file is made");
        let child = Command::new(python)
            .arg(repository().join("tests/python/launch.py"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file has two ends"))
            .stdout(log)
            .spawn();
        Self { child: child.expect("python starts"), folder }
    }

    /// The id it was given and keeps.
    fn id(&self) -> Option<String> {
        let saved = fs::read_to_string(self.folder.path().join(".peerjsrc")).ok()?;
        json::member(&saved, "peerId").and_then(json::string).map(Into::into)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn times(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the package was put, if it was.
fn python() -> Option<PathBuf> {
    let path = match std::env::var_os("NIGHTJAR_PEERJS_PYTHON") {
        Some(path) => path.into(),
        None => repository().join("target/peerjs/bin/python"),
    };
    path.exists().then_some(path)
}

/// Whether `id` is in the room of a phone that has just come.
fn is_in_room(server: &Server, phone: &str, id: &str) -> bool {
    let room = server.room_id(phone, None);
    let members = server.room("GET", phone, &format!("{room}/members"), None);
    assert_eq!(members.status, 200);
    members.text().contains(&format!("\"{id}\""))
}

/// S25: it registers, joins its room and stays: it sends no HEARTBEAT, only pings, and gives up
/// all it has where one answer about its room is no 200. After our restart it comes back by
/// itself, under the same id.
#[test]
fn the_package_of_pypi_registers_stays_and_returns() {
    const TEST: &str = "python::the_package_of_pypi_registers_stays_and_returns";
    let Some(python) = python() else { return left_out(TEST, "no peerjs below target/peerjs") };
    // It knows one port; the server comes back to it.
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = free.local_addr().expect("an address").to_string();
    drop(free);
    let start = || Server::start_at(&at, &["--alive-timeout-ms", "12000"]);
    let server = start();
    let package = Package::start(&python, at.rsplit(':').next().expect("a port"));
    let mut phone = server.enter("phone");
    let patience = Duration::from_mins(1);
    wait_until("the package is given an id", patience, || package.id().is_some());
    let id = package.id().expect("it keeps its id");
    wait_until("the package joins its room", patience, || is_in_room(&server, "phone", &id));

    // Longer than silence is borne, and longer than its own patience for a pong.
    let stays = Duration::from_secs(rounds(STAYS_SECONDS).max(20));
    let since = Instant::now();
    while since.elapsed() < stays {
        std::thread::sleep(Duration::from_secs(1));
        phone.say("{\"type\":\"HEARTBEAT\"}");
        assert!(is_in_room(&server, "phone", &id), "it stays: {}", package.log());
    }
    assert_eq!(package.times("Peer signaling connection open"), 1, "{}", package.log());
    assert_eq!(package.times("Detroying peer"), 0, "{}", package.log());

    assert_eq!(server.program.terminate().code(), Some(0));
    let server = start();
    let _phone = server.enter("phone");
    wait_until("the package returns", patience, || is_in_room(&server, "phone", &id));
    assert_eq!(package.id().as_deref(), Some(id.as_str()), "under the same id");
}
