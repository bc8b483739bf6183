//! `nightjar update`: hands a box in this network a new version, and waits for what comes of it.
//!
//! ```text
//!  verify ──► find the box ──► link, paired once ──► send ──► on trial ──► it stays, or the old one runs again
//! ```
//! The same way as the phone's page: the box's own signaling server, WebRTC, its REST. The token
//! of the pairing is kept in the user's configuration, readable by them alone.

mod link;
mod server;
mod tokens;

use crate::clock::Stopwatch;
use crate::failure::{Failure, trouble};
use crate::screen::{self, Screen, bar};
use crate::signing;
use link::{Answer, Link};
use server::Server;
use signal_proto::json;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tokens::Tokens;

/// Where a box's own server answers.
const HOME: &str = "http://nightjar.local";
/// How long a trial may take: five windows of health on a Pi, and two starts.
const TRIED_WITHIN: Duration = Duration::from_mins(20);
/// From one look at the box to the next.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const STATE: &str = "/api/v1/system";

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Update {
    /// The file that `build --key` or `bundle` made.
    pub(crate) bundle: PathBuf,
    /// The signaling server where the box is.
    pub(crate) signal: String,
    /// Which box, where there are several.
    pub(crate) id: Option<String>,
    /// Whose signature it must bear, beside what the box itself checks.
    pub(crate) public_key: Option<PathBuf>,
}

impl Default for Update {
    fn default() -> Self {
        Self { bundle: PathBuf::new(), signal: HOME.into(), id: None, public_key: None }
    }
}

/// Does it.
pub(crate) fn run(update: &Update, screen: &Mutex<Screen>) -> Result<(), Failure> {
    let says = signing::verify(&update.bundle, update.public_key.as_deref(), screen)?;
    let server = Server::parse(&update.signal)?;
    let id = choose(&server, update.id.as_deref(), screen)?;
    let mut visit =
        Visit { link: Link::open(&server, &id)?, tokens: Tokens::of(&id)?, token: None };
    let state = visit.ask("GET", STATE, b"", screen)?;
    let state = Below::read(&state)?;
    if state.board != says.board {
        let line = format!("the box is a {}, and this update is for {}", state.board, says.board);
        return Err(Failure::Trouble(line));
    }
    if state.version == says.version {
        screen::say(screen, &format!("Version {} runs there already", says.version));
        return Ok(());
    }
    let taken = send(&mut visit, &update.bundle, screen)?;
    if taken {
        screen::say(
            screen,
            &format!("The box restarts into version {} and tries it", says.version),
        );
    }
    drop(visit.link);
    let before = Some(state).filter(|_| !taken);
    wait(&server, &id, visit.token.as_deref(), &says.version, before.as_ref(), screen)
}

/// The box that is meant.
fn choose(server: &Server, id: Option<&str>, screen: &Mutex<Screen>) -> Result<String, Failure> {
    let boxes = server.boxes()?;
    let listed = || {
        let line = |(id, name): &(String, String)| format!("\n  --id {id}   {name}");
        boxes.iter().map(line).collect::<String>()
    };
    let found = match (id, &boxes[..]) {
        (_, []) => return Err(Failure::Trouble("no box is at this signaling server".into())),
        (Some(id), all) => all.iter().find(|it| it.0 == id),
        (None, [one]) => Some(one),
        (None, _) => {
            return Err(Failure::Usage(format!("there are several boxes, name one:{}", listed())));
        }
    };
    let (id, name) = found.ok_or_else(|| {
        Failure::Trouble(format!("that box is not there; these are:{}", listed()))
    })?;
    screen::say(screen, &format!("box      {name}"));
    Ok(id.clone())
}

/// A link to the box, and the right to ask.
struct Visit {
    link: Link,
    tokens: Tokens,
    token: Option<String>,
}

impl Visit {
    /// Asks, and pairs first where the box does not know us.
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        screen: &Mutex<Screen>,
    ) -> Result<String, Failure> {
        self.token = self.tokens.read()?;
        let answer = self.link.ask(method, path, self.token.as_deref(), body)?;
        if answer.status != 401 {
            return answer.text();
        }
        self.pair(screen)?;
        self.link.ask(method, path, self.token.as_deref(), body)?.text()
    }

    fn pair(&mut self, screen: &Mutex<Screen>) -> Result<(), Failure> {
        let mut body = String::from(r#"{"first":false,"name":"#);
        json::quote(&tokens::our_name(), &mut body);
        body.push('}');
        let answer = self.link.ask("POST", "/api/v1/pair", None, body.as_bytes())?;
        if answer.status == 403 && answer.code() == "no_phone_yet" {
            // The first place is a phone's: who has it lets the others in.
            return Err(Failure::Trouble(
                "no phone is paired with this box yet: pair one first (open the box's page on \
                 it), let this computer in there, and run this again"
                    .into(),
            ));
        }
        if answer.status == 403 {
            return Err(Failure::Trouble(
                "the box does not know this computer: let it in from a paired phone (\"Add a \
                 phone\" on the device's page), and run this again within five minutes"
                    .into(),
            ));
        }
        let token = text(&answer.text()?, "token");
        self.tokens.keep(&token)?;
        self.token = Some(token);
        screen::say(screen, "This computer is paired with the box from now on");
        Ok(())
    }
}

/// Streams the bundle, and says how far it is; whether the box said that it takes it. Where the link
/// was lost behind the last byte, what the box says next tells.
fn send(visit: &mut Visit, bundle: &Path, screen: &Mutex<Screen>) -> Result<bool, Failure> {
    let wrong = |error: std::io::Error| trouble(bundle, &error);
    let mut file = File::open(bundle).map_err(wrong)?;
    let total = file.metadata().map_err(wrong)?.len();
    let began = Stopwatch::start();
    let (mut shown, mut last) = (0, 0);
    let progress = &mut |sent: u64| {
        last = sent;
        let percent = sent * 100 / total.max(1);
        let mut screen = screen::lock(screen);
        if screen.is_terminal() || percent / 10 > shown / 10 {
            shown = percent;
            let seconds = began.elapsed().as_secs_f64().max(0.1);
            let speed = sent as f64 / 1e6 / seconds;
            screen.live(&format!("{} {speed:.1} MB/s", bar(sent, total)));
        }
    };
    let path = "/api/v1/system/update";
    let sent = visit.link.send(path, visit.token.as_deref(), &mut file, total, progress);
    screen::lock(screen).rest();
    match sent {
        Ok(answer) => answer.text().map(|_| true),
        Err(_) if last == total => Ok(false),
        Err(lost) => Err(lost),
    }
}

/// Looks at the box until the trial has ended, one way or the other. A box that says the same as
/// `before`, where it did not say that it takes the update, did not.
fn wait(
    server: &Server,
    id: &str,
    token: Option<&str>,
    version: &str,
    before: Option<&Below>,
    screen: &Mutex<Screen>,
) -> Result<(), Failure> {
    let began = Stopwatch::start();
    let mut link = None;
    while began.elapsed() < TRIED_WITHIN {
        std::thread::sleep(LOOK_EVERY);
        // While it restarts, and where its network is slow to come, there is nobody.
        let Some(mut there) = link.take().or_else(|| Link::open(server, id).ok()) else { continue };
        let Ok(answer) = there.ask("GET", STATE, token, b"") else { continue };
        link = Some(there);
        let Ok(state) = answer.text().and_then(|text| Below::read(&text)) else { continue };
        if before == Some(&state) {
            return Err(Failure::Trouble("the link was lost, and the box has not taken it".into()));
        }
        match state.update.as_str() {
            "committed" if state.version == version => {
                screen::say(screen, &format!("Version {version} runs now, and stays"));
                return Ok(());
            }
            "trial" => screen::lock(screen).live(&format!("version {version} is on trial")),
            "failed" => {
                screen::lock(screen).rest();
                let old = &state.version;
                let why = if state.why.is_empty() { "the update failed" } else { &state.why };
                return Err(Failure::Trouble(format!("{why}: version {old} runs")));
            }
            _ => {}
        }
    }
    Err(Failure::Trouble("the box has not come back within 20 minutes; look at its page".into()))
}

/// What lies below the edge, as `GET /api/v1/system` says it.
#[derive(Debug, PartialEq, Eq)]
struct Below {
    board: String,
    version: String,
    /// The state's word of image/card.md.
    update: String,
    /// Why it failed, for people.
    why: String,
}

impl Below {
    fn read(answer: &str) -> Result<Self, Failure> {
        let update = json::member(answer, "update").unwrap_or("{}");
        let (board, version) = (text(answer, "board"), text(answer, "version"));
        if board.is_empty() || version.is_empty() {
            return Err(Failure::Trouble("the box does not say what it runs".into()));
        }
        Ok(Self { board, version, update: text(update, "state"), why: text(update, "why") })
    }
}

/// A member that is a text; empty where it is none.
fn text(object: &str, name: &str) -> String {
    let value = json::member(object, name).and_then(json::string);
    value.map_or_else(String::new, std::borrow::Cow::into_owned)
}

impl Answer {
    /// The body of a good answer; else the words of the refusal.
    fn text(self) -> Result<String, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self.json().to_owned());
        }
        let mut words = self.error("message");
        if words.is_empty() {
            words = format!("it answered {}", self.status);
        }
        Err(Failure::Trouble(format!("the box says no: {words}")))
    }

    /// The refusal's word for programs.
    fn code(&self) -> String {
        self.error("code")
    }

    fn error(&self, member: &str) -> String {
        json::member(self.json(), "error").map(|error| text(error, member)).unwrap_or_default()
    }

    fn json(&self) -> &str {
        str::from_utf8(&self.body).ok().filter(|text| json::check(text).is_ok()).unwrap_or("{}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_boxs_own_words() {
        let answer = |status, body: &str| Answer { status, body: body.into() }.text();
        assert_eq!(answer(200, "{}"), Ok("{}".into()));
        let older = answer(409, r#"{"error":{"code":"older","message":"It is older."}}"#);
        assert_eq!(older, Err(Failure::Trouble("the box says no: It is older.".into())));
        let odd = answer(500, "no JSON");
        assert_eq!(odd, Err(Failure::Trouble("the box says no: it answered 500".into())));
        let early = Answer { status: 403, body: br#"{"error":{"code":"no_phone_yet"}}"#.into() };
        assert_eq!(early.code(), "no_phone_yet");
    }

    #[test]
    fn what_the_box_runs_is_read() {
        let below = Below::read(
            r#"{"board":"rpi4-64","version":"1.2.3","update":{"state":"failed","why":"It was."}}"#,
        )
        .unwrap_or_else(|_| panic!("it is whole"));
        assert_eq!((below.board.as_str(), below.version.as_str()), ("rpi4-64", "1.2.3"));
        assert_eq!((below.update.as_str(), below.why.as_str()), ("failed", "It was."));
        assert!(Below::read("{}").is_err() && Below::read("").is_err());
    }
}
