//! `nightjar try`: the whole product on this machine, from a build to a Ctrl-C.
//!
//! ```text
//! build -> model -> nightjar-signal ready -> nightjar-edge ready -> watch -> stop both
//! ```

use crate::args::Trial;
use crate::failure::Failure;
use crate::model;
use crate::program::{Program, WAKES, Wake, ready_value};
use crate::screen::{self, Screen};
use crate::status::Asker;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The address that browsers remember a paired device under; another port when it is taken.
const PORT: u16 = 9000;
/// Where the app tells people to ask the edge on its own machine; another when it is taken.
const HTTP_PORT: u16 = 8778;
/// How long a program may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often the status is asked for.
const REFRESH: Duration = Duration::from_secs(1);
/// How long a program may take to end; the edge closes its events within five.
const END_WITHIN: Duration = Duration::from_secs(6);

const SIGNAL: &str = "nightjar-signal";
const EDGE: &str = "nightjar-edge";

/// Runs it until Ctrl-C or SIGTERM; a program that ends by itself is a failure.
pub(crate) fn run(options: &Trial, screen: &Arc<Mutex<Screen>>) -> Result<(), Failure> {
    let folder = programs()?;
    let model = if options.names("--model") { None } else { bring_model(screen) };
    let (wakes, woken) = sync_channel(WAKES);
    listen_for_signals(&wakes)?;
    let mut household =
        Household { folder, programs: Vec::new(), wakes, woken, screen: Arc::clone(screen) };
    let done = household.live(options, model.as_deref());
    screen::lock(screen).rest();
    let stopped = household.stop();
    done.and(stopped)
}

/// The folder of the two programs: built first when cargo runs us, else beside us.
fn programs() -> Result<PathBuf, Failure> {
    let us = std::env::current_exe().map_err(|error| Failure::Trouble(error.to_string()))?;
    let folder = us.parent().map(Path::to_path_buf).unwrap_or_default();
    if let Some((cargo, package)) = cargo() {
        let built = Command::new(cargo)
            .args(["build", "--release", "--package", "edge", "--package", "signal"])
            .current_dir(package)
            .status()
            .map_err(|error| Failure::Trouble(format!("cargo does not start: {error}")))?;
        if !built.success() {
            return Err(Failure::Trouble("the build failed; its lines are above".into()));
        }
    }
    if folder.join(EDGE).is_file() && folder.join(SIGNAL).is_file() {
        return Ok(folder);
    }
    let wanted = format!("{EDGE} and {SIGNAL} are not in {}: run `cargo try`", folder.display());
    Err(Failure::Trouble(wanted))
}

/// The cargo that runs us and our package's folder; `None` where we run by ourselves.
fn cargo() -> Option<(OsString, OsString)> {
    let ours = std::env::var_os("CARGO_PKG_NAME")? == env!("CARGO_PKG_NAME");
    ours.then_some((std::env::var_os("CARGO")?, std::env::var_os("CARGO_MANIFEST_DIR")?))
}

/// The model, or one line that says why there is none.
fn bring_model(screen: &Mutex<Screen>) -> Option<PathBuf> {
    match model::fetch(&model::Source::default(), screen) {
        Ok(path) => Some(path),
        Err(failure) => {
            let line = format!("No model ({failure}): going on with motion only.");
            screen::lock(screen).say(&line);
            None
        }
    }
}

fn listen_for_signals(wakes: &SyncSender<Wake>) -> Result<(), Failure> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::Trouble(format!("signals cannot be heard: {error}")))?;
    let wakes = wakes.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let _ = wakes.send(Wake::Stop);
        }
    });
    Ok(())
}

/// The programs that run, and what wakes us.
struct Household {
    folder: PathBuf,
    programs: Vec<Program>,
    wakes: SyncSender<Wake>,
    woken: Receiver<Wake>,
    screen: Arc<Mutex<Screen>>,
}

/// How waiting for a ready line came out.
enum Answer {
    Ready(String),
    Stop,
}

impl Household {
    /// Starts both and watches them; `Ok` when asked to stop.
    fn live(&mut self, options: &Trial, model: Option<&Path>) -> Result<(), Failure> {
        let address = match options.value("--signal") {
            Some(url) => url.to_string_lossy().into_owned(),
            None => match self.start_server(options.lan)? {
                Answer::Ready(line) => server_url(&line)?,
                Answer::Stop => return Ok(()),
            },
        };
        match self.start_edge(options, &address, model)? {
            Answer::Ready(line) => self.watch(options, &address, &line),
            Answer::Stop => Ok(()),
        }
    }

    /// With the first camera that the edge finds; where it finds none, with the drawn scene.
    /// The edge is the one that knows a camera from the other nodes under /dev/video*.
    fn start_edge(
        &mut self,
        options: &Trial,
        address: &str,
        model: Option<&Path>,
    ) -> Result<Answer, Failure> {
        let mut args = edge_args(options, address, model)?;
        let Answer::Ready(line) = self.start(EDGE, &args)? else { return Ok(Answer::Stop) };
        let asker = Asker::new(ready_value(&line, "http").unwrap_or_default());
        if !decides(options, "--camera") || asker.has_camera() != Some(false) {
            return Ok(Answer::Ready(line));
        }
        self.stop_last()?;
        args.extend(["--camera".into(), "demo:".into()]);
        self.start(EDGE, &args)
    }

    /// On the usual port; where that is taken, on any.
    fn start_server(&mut self, lan: bool) -> Result<Answer, Failure> {
        let host = if lan { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        if TcpListener::bind((host, PORT)).is_ok()
            && let Ok(answer) = self.start(SIGNAL, &signal_args(host, PORT))
        {
            return Ok(answer);
        }
        self.start(SIGNAL, &signal_args(host, 0))
    }

    fn start(&mut self, name: &'static str, args: &[OsString]) -> Result<Answer, Failure> {
        let program = Program::start(&self.folder, name, args, &self.wakes, &self.screen)?;
        self.programs.push(program);
        match self.woken.recv_timeout(READY_WITHIN) {
            Ok(Wake::Ready(_, line)) => Ok(Answer::Ready(line)),
            Ok(Wake::Stop) => Ok(Answer::Stop),
            Ok(Wake::Ended(name)) => Err(self.ended(name)),
            Err(_) => Err(Failure::Trouble(format!("{name} does not answer"))),
        }
    }

    fn watch(&mut self, options: &Trial, address: &str, ready: &str) -> Result<(), Failure> {
        let http = ready_value(ready, "http").unwrap_or_default();
        self.announce(options, address, http);
        let asker = Asker::new(http);
        loop {
            let lively = screen::lock(&self.screen).is_terminal();
            let line = asker.line(lively).unwrap_or_else(|| "the edge does not answer".into());
            screen::lock(&self.screen).live(&line);
            match self.woken.recv_timeout(REFRESH) {
                Err(RecvTimeoutError::Timeout) | Ok(Wake::Ready(..)) => {}
                Ok(Wake::Ended(name)) => return Err(self.ended(name)),
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn announce(&self, options: &Trial, address: &str, http: &str) {
        let mut screen = screen::lock(&self.screen);
        let here = address.replace("//127.0.0.1:", "//localhost:");
        screen.say(&format!("\nNightjar is at  {here}\n"));
        if let Some(there) = options.lan.then(lan_address).flatten() {
            let there = here.replace("//localhost:", &format!("//{there}:"));
            screen.say(&format!(
                "Phones on this network: {there}\n(over plain http the app shows events while it \
                 is open; to install it, it needs https)\n"
            ));
        }
        screen.say(&format!(
            "To let another phone in: Home > Add a phone in the app, or\n  \
             curl -X POST http://{http}/api/v1/pairing\n\nCtrl-C stops it."
        ));
        if options.open && has_display() {
            open(&here);
        }
    }

    /// What a program that ended by itself said last.
    fn ended(&mut self, name: &'static str) -> Failure {
        let gone = self.programs.iter_mut().find(|it| it.name() == name);
        let farewell = gone.map_or(Ok(()), Program::farewell);
        self.programs.retain(|it| it.name() != name);
        farewell.err().unwrap_or_else(|| Failure::Trouble(format!("{name} ended by itself")))
    }

    /// Asks all to end, the edge first as it says goodbye to the server, and kills who does not.
    fn stop(mut self) -> Result<(), Failure> {
        while !self.programs.is_empty() {
            self.stop_last()?;
        }
        Ok(())
    }

    fn stop_last(&mut self) -> Result<(), Failure> {
        let Some(mut program) = self.programs.pop() else { return Ok(()) };
        program.terminate();
        if self.wait_for_end(program.name()) {
            return program.farewell();
        }
        program.kill();
        Err(Failure::Trouble(format!("{} had to be killed", program.name())))
    }

    /// `false` when it did not end in time. A second Ctrl-C does not wait longer.
    fn wait_for_end(&self, name: &str) -> bool {
        loop {
            match self.woken.recv_timeout(END_WITHIN) {
                Ok(Wake::Ended(who)) if who == name => return true,
                Ok(Wake::Ended(_) | Wake::Ready(..)) => {}
                Ok(Wake::Stop) | Err(_) => return false,
            }
        }
    }
}

/// A home's server; one that others can reach answers STUN as well.
fn signal_args(host: Ipv4Addr, port: u16) -> Vec<OsString> {
    let at = |port| SocketAddr::from((host, port)).to_string().into();
    let mut args = vec!["--listen".into(), at(port), "--home".into()];
    if !host.is_loopback() {
        args.extend(["--stun".into(), at(0)]);
    }
    args
}

/// How this machine reaches the server that said `line`.
fn server_url(line: &str) -> Result<String, Failure> {
    let address = ready_value(line, "http").and_then(|it| it.parse::<SocketAddr>().ok());
    let port = address.ok_or_else(|| Failure::Trouble(format!("{SIGNAL} said: {line}")))?.port();
    Ok(format!("http://127.0.0.1:{port}/"))
}

/// What the user said, and our own choices where the user said nothing. A config file
/// decides all but the server.
fn edge_args(
    options: &Trial,
    signal: &str,
    model: Option<&Path>,
) -> Result<Vec<OsString>, Failure> {
    let mut args = options.edge.clone();
    if !options.names("--signal") {
        args.extend(["--signal".into(), signal.into()]);
    }
    if decides(options, "--http") {
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT));
        let port = TcpListener::bind(usual).map_or(0, |_| HTTP_PORT);
        args.extend(["--http".into(), format!("127.0.0.1:{port}").into()]);
    }
    if decides(options, "--data-dir") {
        args.extend(["--data-dir".into(), data_dir()?.into()]);
    }
    if let Some(model) = model.filter(|_| decides(options, "--model")) {
        args.extend(["--model".into(), model.into()]);
    }
    Ok(args)
}

/// Whether an option is ours to decide: the user neither named it nor handed a config file.
fn decides(options: &Trial, name: &str) -> bool {
    !options.names(name) && !options.names("--config")
}

/// A lasting one: what was paired stays paired.
fn data_dir() -> Result<PathBuf, Failure> {
    let folder = model::user_folder("XDG_DATA_HOME", ".local/share")
        .ok_or_else(|| {
            Failure::Trouble("no place for data: HOME is not set; name --data-dir".into())
        })?
        .join("try");
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::Trouble(format!("{}: {error}", folder.display())))?;
    Ok(folder)
}

/// The address that others on this network know us by. Connecting a UDP socket sends nothing.
fn lan_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|it| !it.is_empty()))
}

/// Opens a browser; where there is none, the printed address is enough.
fn open(address: &str) {
    let _ = Command::new("xdg-open")
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(edge: &[&str]) -> Trial {
        Trial { lan: false, open: false, edge: edge.iter().map(Into::into).collect() }
    }

    fn text(args: Vec<OsString>) -> Vec<String> {
        args.into_iter().map(|it| it.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_the_user_says_wins() {
        let options = trial(&["--camera", "replay:x", "--data-dir=/d", "--http", "127.0.0.1:1"]);
        let args = edge_args(&options, "http://127.0.0.1:9000/", Some(Path::new("/m")));
        let want = [
            "--camera",
            "replay:x",
            "--data-dir=/d",
            "--http",
            "127.0.0.1:1",
            "--signal",
            "http://127.0.0.1:9000/",
            "--model",
            "/m",
        ];
        assert_eq!(args.map(text), Ok(want.map(String::from).to_vec()));
    }

    #[test]
    fn a_config_decides_all_but_the_server() {
        let args = edge_args(&trial(&["--config", "c"]), "http://s/", Some(Path::new("/m")));
        let want = ["--config", "c", "--signal", "http://s/"];
        assert_eq!(args.map(text), Ok(want.map(String::from).to_vec()));
    }

    #[test]
    fn a_server_on_every_interface_is_reached_on_loopback() {
        let url = server_url("ready http=0.0.0.0:9000 stun=0.0.0.0:5");
        assert_eq!(url.as_deref(), Ok("http://127.0.0.1:9000/"));
        assert!(server_url("ready").is_err());
    }

    #[test]
    fn only_a_server_that_others_reach_answers_stun() {
        let alone = text(signal_args(Ipv4Addr::LOCALHOST, PORT));
        assert_eq!(alone, ["--listen", "127.0.0.1:9000", "--home"]);
        let open = text(signal_args(Ipv4Addr::UNSPECIFIED, 0));
        assert_eq!(open, ["--listen", "0.0.0.0:0", "--home", "--stun", "0.0.0.0:0"]);
    }
}
