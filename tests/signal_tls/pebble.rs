//! A CA of the test's own: Debian's pebble, with a name server that finds everybody here.

use super::https::{Trust, wait_until};
use harness::data::Scratch;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// Whether both programs are there.
pub(crate) fn is_there() -> bool {
    ["pebble", "pebble-challtestsrv"].iter().all(|program| {
        let found = Command::new("which").arg(program).stdout(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    })
}

/// Where a CA will be, before it runs: an address of loopback that is this process's alone.
pub(crate) struct Place {
    folder: Scratch,
    ip: String,
    first_port: u16,
}

/// A running CA.
pub(crate) struct Pebble<'a> {
    place: &'a Place,
    programs: [Child; 2],
}

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let first_port = 14_000 + 10 * NEXT.fetch_add(1, Ordering::Relaxed);
        let place = Self {
            folder: Scratch::new("pebble"),
            ip: format!("127.{}.{b}.{}", 128 + a % 64, c.max(1)),
            first_port,
        };
        let own = rcgen::generate_simple_self_signed([place.ip.clone()]).expect("a certificate");
        fs::write(place.file("ca.pem"), own.cert.pem()).expect("a file can be written");
        let key = own.signing_key.serialize_pem();
        fs::write(place.file("ca.key"), key).expect("a file can be written");
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn port(&self, offset: u16) -> String {
        format!("{}:{}", self.ip, self.first_port + offset)
    }

    /// What `--acme-directory` is.
    pub(crate) fn directory(&self) -> String {
        format!("https://{}/dir", self.port(0))
    }

    /// What `--acme-ca` is.
    pub(crate) fn ca(&self) -> String {
        self.file("ca.pem").to_str().expect("a plain path").to_owned()
    }

    /// Starts the CA, which comes to `port` of 127.0.0.1 for every name, and gives certificates
    /// for `seconds`. It refuses three nonces in ten.
    pub(crate) fn start(&self, port: &str, seconds: u32) -> Pebble<'_> {
        let [listen, management, names, control] = [0, 1, 2, 3].map(|offset| self.port(offset));
        let config = format!(
            "{{\"pebble\":{{\"listenAddress\":\"{listen}\",\"managementListenAddress\":\
             \"{management}\",\"certificate\":\"{}\",\"privateKey\":\"{}\",\"httpPort\":1,\"tlsPort\":\
             {port},\"ocspResponderURL\":\"\",\"certificateValidityPeriod\":{seconds}}}}}",
            self.file("ca.pem").display(),
            self.file("ca.key").display(),
        );
        fs::write(self.file("config"), config).expect("a file can be written");
        let log = File::create(self.file("log")).expect("a file can be written");
        let spawn = |command: &mut Command| {
            let log = || log.try_clone().expect("a file can be shared");
            command.stdout(log()).stderr(log()).spawn().expect("the program starts")
        };
        let mut server = Command::new("pebble-challtestsrv");
        for none in ["-http01", "-https01", "-tlsalpn01", "-defaultIPv6"] {
            server.args([none, ""]);
        }
        server.args(["-defaultIPv4", "127.0.0.1", "-dns01", &names, "-management", &control]);
        let mut ca = Command::new("pebble");
        ca.arg("-config").arg(self.file("config")).args(["-dnsserver", &names]);
        ca.envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "30")]);
        let pebble = Pebble { place: self, programs: [spawn(&mut server), spawn(&mut ca)] };
        for at in [&listen, &management, &names] {
            wait_until("pebble answers", || TcpStream::connect(at).is_ok());
        }
        pebble
    }
}

impl Pebble<'_> {
    /// The certificate that vouches for all that this CA gives, PEM.
    pub(crate) fn root(&self) -> String {
        let ca = fs::read(self.place.file("ca.pem")).expect("a file can be read");
        let answer = Trust::in_pem(&ca).get(&self.place.port(1), &self.place.ip, "/roots/0");
        answer.1
    }

    /// How many certificates were ordered so far.
    pub(crate) fn orders(&self) -> usize {
        let log = fs::read_to_string(self.place.file("log")).expect("a file can be read");
        log.matches("Added order").count()
    }
}

impl Drop for Pebble<'_> {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}
