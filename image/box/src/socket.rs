//! The box's socket: how nightjar-edge asks for what takes root. The spec is image/card.md.

use crate::place::Place;
use crate::radio::Radio;
use crate::takeover;
use crate::update::{Refused, Restart, Updater};
use image_core::settings::{self, Wifi};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The longest line either way, bytes.
const LINE_BYTES: usize = 4096;
/// Connections at once; one more is hung up on.
const MOST: usize = 8;
/// The other side takes or says something at least so often.
const STALLED: Duration = Duration::from_secs(30);

/// What changes while the box runs, and is told.
#[derive(Debug)]
pub(crate) struct Live {
    /// The name that holds in the network.
    pub(crate) hostname: String,
    pub(crate) wifi: Option<(String, Radio)>,
    /// Whether there is a radio that can join a network.
    pub(crate) radio: bool,
    /// What failed before the box ran, a sentence each.
    pub(crate) trouble: Vec<String>,
}

/// What the keeper is asked to do.
#[derive(Debug)]
pub(crate) enum Wish {
    /// The kept settings have another radio network.
    Wifi,
    /// Restart the machine, soon.
    Restart(Restart),
}

/// What the socket answers from.
pub(crate) struct Desk {
    pub(crate) place: Place,
    pub(crate) board: String,
    pub(crate) updater: Arc<Updater>,
    pub(crate) live: Arc<Mutex<Live>>,
    /// Hears what is to be done.
    pub(crate) wish: Box<dyn Fn(Wish) + Send + Sync>,
    /// Hears that an update is taken, for its trial to be judged by.
    pub(crate) update_taken: Box<dyn Fn() + Send + Sync>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "do")]
    what: heapless::String<16>,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    ssid: heapless::String<64>,
    #[serde(default)]
    passphrase: Option<heapless::String<128>>,
    #[serde(default)]
    country: Option<heapless::String<8>>,
}

#[derive(Serialize)]
struct Yes<T> {
    ok: T,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Staged<'a> {
    version: &'a str,
}

#[derive(Serialize)]
struct Percent {
    percent: u8,
}

#[derive(Serialize)]
struct State<'a> {
    board: &'a str,
    version: &'a str,
    slot: &'a str,
    trial: bool,
    hostname: &'a str,
    update: UpdateState<'a>,
    wifi: Option<WifiState<'a>>,
    trouble: &'a [&'a str],
}

#[derive(Serialize)]
struct UpdateState<'a> {
    state: &'a str,
    version: Option<&'a str>,
    percent: u8,
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct WifiState<'a> {
    ssid: &'a str,
    state: &'a str,
}

#[derive(Serialize)]
struct No<'a> {
    error: Why<'a>,
}

#[derive(Serialize)]
struct Why<'a> {
    code: &'a str,
    message: &'a str,
}

/// Answers from now on, in threads of its own.
pub(crate) fn serve(desk: Desk, group: Option<u32>) -> io::Result<()> {
    let path = desk.place.at("/run/nightjar/box.sock");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660))?;
    chown(&path, None, group)?;
    let (desk, served) = (Arc::new(desk), Arc::new(AtomicUsize::new(0)));
    thread::Builder::new().name("socket".into()).spawn(move || {
        for stream in listener.incoming() {
            // Out of files for a moment: no reason to spin.
            let Ok(stream) = stream else {
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            if served.fetch_add(1, Ordering::Relaxed) >= MOST {
                served.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (desk, counted) = (Arc::clone(&desk), Arc::clone(&served));
            thread::spawn(move || {
                let _ = desk.attend(&stream);
                counted.fetch_sub(1, Ordering::Relaxed);
            });
        }
    })?;
    Ok(())
}

impl Desk {
    fn attend(&self, stream: &UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(STALLED))?;
        stream.set_write_timeout(Some(STALLED))?;
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        reader.by_ref().take(LINE_BYTES as u64).read_until(b'\n', &mut line)?;
        let mut room = [0; LINE_BYTES];
        let parsed = serde_json_core::from_slice_escaped::<Request>(&line, &mut room);
        let Some(request) = parsed.ok().filter(|_| line.ends_with(b"\n")) else {
            return refuse(stream, "bad_request", "this is no request");
        };
        match request.0.what.as_str() {
            "state" => self.state(stream),
            "update" => self.update(stream, &mut reader, request.0.bytes),
            "wifi" => self.wifi(stream, &request.0),
            "reset" => {
                if let Err(error) = takeover::wish_to_forget(&self.place) {
                    return refuse(stream, "storage", &format!("data cannot be written: {error}"));
                }
                self.restart(stream)
            }
            "restart" => self.restart(stream),
            _ => refuse(stream, "bad_request", "there is no such request"),
        }
    }

    fn state(&self, stream: &UnixStream) -> io::Result<()> {
        let update = self.updater.state();
        let version = update.version.map(|it| it.to_string());
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let wifi = live.wifi.as_ref();
        let trouble: Vec<&str> = live.trouble.iter().map(String::as_str).collect();
        let state = State {
            board: &self.board,
            version: &self.updater.version().to_string(),
            slot: if self.updater.slot() == image_core::autoboot::Slot::A { "a" } else { "b" },
            trial: self.updater.is_trial(),
            hostname: &live.hostname,
            update: UpdateState {
                state: update.phase,
                version: version.as_deref(),
                percent: update.percent,
                why: update.why.as_deref(),
            },
            wifi: wifi.map(|(ssid, radio)| WifiState { ssid, state: radio.word() }),
            trouble: &trouble,
        };
        let line = json(&Yes { ok: state });
        drop(live);
        say(stream, &line)
    }

    fn update(&self, stream: &UnixStream, from: &mut dyn Read, bytes: u64) -> io::Result<()> {
        let mut progress = |percent| {
            let _ = say(stream, &json(&Percent { percent }));
        };
        match self.updater.begin(from, bytes, &*self.update_taken, &mut progress) {
            Ok(version) => {
                // Staged: it goes on whether or not that is still heard.
                let said =
                    say(stream, &json(&Yes { ok: Staged { version: &version.to_string() } }));
                (self.wish)(Wish::Restart(Restart::Trial));
                said
            }
            Err(Refused { code, message }) => refuse(stream, code, &message),
        }
    }

    fn wifi(&self, stream: &UnixStream, request: &Request) -> io::Result<()> {
        if !self.live.lock().unwrap_or_else(PoisonError::into_inner).radio {
            return refuse(stream, "no_radio", "this box has no Wi-Fi");
        }
        let text =
            |it: &Option<heapless::String<128>>| it.as_ref().map(|it| it.as_str().to_owned());
        let wifi = Wifi {
            ssid: request.ssid.as_str().to_owned(),
            passphrase: text(&request.passphrase).filter(|it| !it.is_empty()),
            country: request.country.as_ref().map(|it| it.as_str().to_owned()),
        };
        if let Err((key, what)) = settings::check_wifi(&wifi) {
            return refuse(stream, "bad_request", &format!("{key} is {what}"));
        }
        if let Err(error) = takeover::change_wifi(&self.place, wifi) {
            return refuse(stream, "storage", &format!("data cannot be written: {error}"));
        }
        say(stream, &json(&Yes { ok: Nothing {} }))?;
        (self.wish)(Wish::Wifi);
        Ok(())
    }

    fn restart(&self, stream: &UnixStream) -> io::Result<()> {
        (self.wish)(Wish::Restart(Restart::Plain));
        say(stream, &json(&Yes { ok: Nothing {} }))
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut line = vec![0; LINE_BYTES];
    let length = serde_json_core::to_slice(value, &mut line).unwrap_or(0);
    line.truncate(length);
    line
}

fn refuse(stream: &UnixStream, code: &str, message: &str) -> io::Result<()> {
    let mut end = message.len().min(256);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let message = message.get(..end).unwrap_or_default();
    say(stream, &json(&No { error: Why { code, message } }))
}

fn say(mut stream: &UnixStream, line: &[u8]) -> io::Result<()> {
    stream.write_all(&[line, b"\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::mpsc::{Receiver, channel};

    struct Box(PathBuf, Receiver<Wish>, Arc<Mutex<Live>>);

    impl Box {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("nightjar-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            for dir in ["run/nightjar", "data/box"] {
                fs::create_dir_all(root.join(dir)).unwrap();
            }
            let (sender, wishes) = channel();
            let (hostname, trouble) = ("nightjar-2".into(), vec!["data was damaged".into()]);
            let live = Live { hostname, wifi: None, radio: false, trouble };
            let live = Arc::new(Mutex::new(live));
            let desk = Desk {
                place: Place::new(root.clone()),
                board: "test".into(),
                updater: Arc::new(Updater::start(0, &root)),
                live: Arc::clone(&live),
                wish: std::boxed::Box::new(move |wish| sender.send(wish).unwrap()),
                update_taken: std::boxed::Box::new(|| panic!("no update is taken here")),
            };
            serve(desk, None).unwrap();
            Self(root, wishes, live)
        }

        fn ask(&self, line: &str) -> String {
            ask(&self.0, line)
        }
    }

    fn ask(root: &std::path::Path, line: &str) -> String {
        let mut stream = UnixStream::connect(root.join("run/nightjar/box.sock")).unwrap();
        // The box may hang up on noise before it has all of it.
        let _ = writeln!(stream, "{line}");
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    impl Drop for Box {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_state_is_told_as_the_card_says() {
        let it = Box::new("state");
        let answer = it.ask(r#"{"do":"state"}"#);
        assert!(answer.starts_with(r#"{"ok":{"board":"test","version":"#), "{answer}");
        assert!(answer.contains(r#""slot":"a","trial":false,"hostname":"nightjar-2","#));
        assert!(answer.contains(r#","percent":0,"#) && answer.contains(r#""wifi":null,"#));
        assert!(answer.ends_with("\"trouble\":[\"data was damaged\"]}}\n"), "{answer}");
        it.2.lock().unwrap().wifi = Some(("Ho\"me".into(), Radio::WrongPassphrase));
        let wifi = r#""wifi":{"ssid":"Ho\"me","state":"wrong passphrase"},"#;
        assert!(it.ask(r#"{"do":"state"}"#).contains(wifi));
    }

    #[test]
    fn wishes_are_passed_on_and_noise_is_refused() {
        let it = Box::new("wishes");
        assert_eq!(it.ask(r#"{"do":"restart"}"#), "{\"ok\":{}}\n");
        assert!(matches!(it.1.recv(), Ok(Wish::Restart(Restart::Plain))));
        assert!(!it.0.join("data/box/forgetting").exists());
        assert_eq!(it.ask(r#"{"do":"reset"}"#), "{\"ok\":{}}\n");
        assert!(it.0.join("data/box/forgetting").exists());
        assert!(matches!(it.1.recv(), Ok(Wish::Restart(Restart::Plain))));
        for noise in ["", "{", r#"{"do":"dance"}"#, r#"{"do":5}"#, &"x".repeat(LINE_BYTES + 9)] {
            assert!(it.ask(noise).starts_with(r#"{"error":{"code":"bad_request""#), "{noise}");
        }
        assert!(it.ask("{\"do\":\"update\",\"bytes\":0}").contains("\"error\""));
        assert!(it.1.try_recv().is_err());
    }

    #[test]
    fn a_phone_gives_another_network() {
        let it = Box::new("wifi");
        let ask = r#"{"do":"wifi","ssid":"Caf\u00e9","passphrase":"hunter22","country":"DE"}"#;
        assert!(it.ask(ask).contains("no_radio"));
        it.2.lock().unwrap().radio = true;
        assert!(it.ask(&ask.replace("hunter22", "short")).contains("passphrase is 8 to 63"));
        assert_eq!(it.ask(ask), "{\"ok\":{}}\n");
        assert!(matches!(it.1.recv(), Ok(Wish::Wifi)));
        let wifi = takeover::kept(&Place::new(it.0.clone())).wifi.unwrap();
        assert_eq!((wifi.ssid.as_str(), wifi.passphrase.as_deref()), ("Café", Some("hunter22")));
        assert_eq!(it.ask(&ask.replace("hunter22", "")), "{\"ok\":{}}\n");
        let wifi = takeover::kept(&Place::new(it.0.clone())).wifi.unwrap();
        assert_eq!((wifi.ssid.as_str(), wifi.passphrase), ("Café", None), "an open one");
    }

    #[test]
    fn phones_that_ask_at_once_are_all_heard() {
        let it = Box::new("phones");
        it.2.lock().unwrap().radio = true;
        let line = r#"{"do":"wifi","ssid":"Home","passphrase":"hunter22","country":"DE"}"#;
        for _ in 0..25 {
            thread::scope(|scope| {
                let phones = [(); MOST / 2].map(|()| scope.spawn(|| ask(&it.0, line)));
                for phone in phones {
                    assert_eq!(phone.join().unwrap(), "{\"ok\":{}}\n");
                }
            });
        }
        assert!(takeover::kept(&Place::new(it.0.clone())).wifi.is_some());
    }
}
