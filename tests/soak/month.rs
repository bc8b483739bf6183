//! Days in virtual time: the store full all the while, visits, losses, clocks that jump.
//!
//! Not in it are what runs only by the wall clock (the loops of `net`, `http` and `eye` round
//! these machines: the second half has them) and the detector, which allocates nothing.

use crate::phone::Link;
use crate::say;
use crate::server::Server;
use edge::api::House;
use edge::camera::Board;
use edge::clock::{Clock, Told};
use edge::config::{Command, Config};
use edge::gap::Gap;
use edge::identity::Identity;
use edge::notice::{self, Notice};
use edge::peer::Moment;
use edge::principal::Door;
use edge::store::{Change, Limits, Pictures, Recorder, Store};
use edge::vitals::Vitals;
use edge_core::event::{Event, EventId};
use edge_core::time::{Instant, UnixMs};
use harness::data::Scratch;
use harness::footage::event;
use harness::heap::held;
use signal_proto::json;
use smol::channel::Receiver;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{self, Duration};

const HOUR_S: u64 = 60 * 60;
const DAY_S: u64 = 24 * HOUR_S;
/// Of each day.
const EVENTS: u64 = 2_000;
const VISITS: u64 = 20;
/// From one loss of the signaling server to the next, and how long it is gone, s.
const LOST_EVERY_S: u64 = 6 * HOUR_S;
const LOST_S: u64 = 90;
/// What the store may hold: a day and a half of these events; so it is full from then on.
const KEEP_BYTES: u64 = 24 << 20;
/// Lengths of pictures: what counts here is how many there are.
const THUMBNAIL_BYTES: usize = 2_000;
const PICTURE_BYTES: usize = 6_000;
/// Events last so long, and half of them get a better picture, s.
const LASTS_S: u64 = 25;
const BETTER_S: u64 = 10;
/// Favourites at a time: an older one is let go for each new one.
const STARS: usize = 10;
/// The machines are looked after so often, s.
const STEP_S: u64 = 5;
/// 2026-03-14: daylight saving begins in Europe on the 16th day.
const BEGAN: UnixMs = UnixMs(1_773_446_400_000);
const DAYLIGHT_DAY: u64 = 15;
/// Heap on the last day, in parts of that of the second.
const GROWTH: f64 = 0.01;

/// The box: everything that it is made of without its loops.
pub(crate) struct Home {
    house: Arc<House>,
    identity: Identity,
    server: Server,
    notices: Receiver<Notice>,
    recorder: Recorder,
    clock: Clock,
    told: &'static Told,
    began: u64,
    start: time::Instant,
    day: u64,
    visits: u64,
    token: String,
    stars: Vec<String>,
    open: BTreeMap<u64, (EventId, UnixMs)>,
    _scratch: Scratch,
}

/// What is due in a day.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Opens(u64),
    Improves(u64),
    Closes(u64),
    Visit,
    Lose,
    Jump(i64),
}

/// Runs so many days; whether the heap stayed what it was.
pub(crate) fn run(days: u64) -> Result<bool, String> {
    let clock = Clock::start();
    let (began, cpu) = (clock.now(), clock.std_now());
    let mut home = Home::new(days)?;
    let mut means = Vec::new();
    say("day   events    MiB  sessions  heap KiB   most  files");
    for day in 0..days {
        let heap = home.live(day)?;
        home.report(day, &heap)?;
        means.push(heap.mean());
    }
    let seconds = clock.std_now().duration_since(cpu).as_secs_f64();
    let Server { opened, heartbeats, .. } = home.server;
    let pass = clock.now().since_ms(began) / 1_000;
    say(&format!("{days} days in {seconds:.0} s; {} sessions", home.visits));
    say(&format!("signaling: {opened} times open, {heartbeats} heartbeats in {pass} s"));
    let (Some(second), Some(last)) = (means.get(1), means.last()) else { return Ok(true) };
    let grown = last / second - 1.0;
    say(&format!(
        "live heap, the mean of a day: {second:.0} bytes on day 2, {last:.0} on day {days}, \
         {:+.2} % (at most 1 %)",
        grown * 100.0
    ));
    Ok(grown.abs() <= GROWTH)
}

/// The live heap in a day: a full store lets go of a segment at a time, so it goes up and down.
#[derive(Debug, Default)]
struct Heap {
    sum: f64,
    count: f64,
    most: i64,
}

impl Heap {
    fn look(&mut self) {
        let held = held();
        self.sum += held as f64;
        self.count += 1.0;
        self.most = self.most.max(held);
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }
}

impl Home {
    fn new(days: u64) -> Result<Self, String> {
        let scratch = Scratch::new("soak");
        let folder = scratch.path().display().to_string();
        let args = ["--data-dir", &folder, "--name", "Soak"];
        let config = match Config::from_args(args) {
            Ok(Command::Run(config)) => Arc::new(config),
            Ok(other) => return Err(format!("{other:?}")),
            Err(error) => return Err(error.to_string()),
        };
        // In the middle of the run 32 bits of milliseconds end.
        let began = (1_u64 << 32) - days * DAY_S * 1_000 / 2;
        let (clock, told) = Clock::told(began, BEGAN.0);
        let (bell, notices) = notice::bell();
        let bell = Arc::new(bell);
        let limits = Limits { keep_bytes: KEEP_BYTES, keep_days: 30 };
        let store = Store::open(scratch.path(), limits, clock, Arc::clone(&bell));
        let store = store.map_err(|error| error.to_string())?;
        let identity = Identity::load_or_create(scratch.path()).map_err(|e| e.to_string())?;
        Gap::before(&store).look(clock, &store.recorder());
        let house = House {
            config,
            clock,
            board: Arc::new(Board::new(&["Front door".to_owned()])),
            door: Door::new(Arc::clone(&store), false),
            below: None,
            bell,
            vitals: Vitals::default(),
            safe: false,
            model_name: None,
            peer_id: identity.peer_id.clone(),
            sessions: AtomicUsize::new(0),
            store: Arc::clone(&store),
        };
        Ok(Self {
            house: Arc::new(house),
            identity,
            server: Server::new(began),
            notices,
            recorder: store.recorder(),
            clock,
            told,
            began,
            start: clock.std_now(),
            day: 0,
            visits: 0,
            token: String::new(),
            stars: Vec::new(),
            open: BTreeMap::new(),
            _scratch: scratch,
        })
    }

    pub(crate) fn house(&self) -> &House {
        &self.house
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn peer_id(&self) -> &str {
        &self.house.peer_id
    }

    /// The box's address: another one each day.
    pub(crate) fn address(&self) -> IpAddr {
        IpAddr::from([10, 9, 0, u8::try_from(1 + self.day % 250).unwrap_or(1)])
    }

    /// Milliseconds of the steady clock.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().0
    }

    pub(crate) fn moment(&self) -> Moment {
        let std = self.start + Duration::from_millis(self.now() - self.began);
        Moment { ms: Instant(self.now()), std }
    }

    /// When that is, in ms of ours; a started one counts whole.
    pub(crate) fn ms_of(&self, at: time::Instant) -> u64 {
        let wait = at.saturating_duration_since(self.start).as_micros().div_ceil(1_000);
        self.began.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// Lets both clocks go on.
    pub(crate) fn advance(&self, ms: u64) {
        self.told.now.fetch_add(ms, Ordering::Relaxed);
        self.told.unix.fetch_add(ms, Ordering::Relaxed);
    }

    /// A peer's word, through the signaling server.
    pub(crate) fn relay(&mut self, text: &str) -> Option<String> {
        self.server.relay(self.clock.now().0, text)
    }

    /// Waits until the store has done what it was told, and has looked at the clock.
    fn settle(&self) -> Result<(), String> {
        let nobody = EventId(u64::MAX - 1);
        self.house.store.set(nobody, None, None).map(drop).map_err(|error| error.to_string())
    }

    fn script(day: u64) -> BTreeMap<u64, Vec<Deed>> {
        let mut script: BTreeMap<u64, Vec<Deed>> = BTreeMap::new();
        let mut add = |at, deed| script.entry(at).or_default().push(deed);
        for number in 0..EVENTS {
            // Not evenly, and not the same each day.
            let dice = (day * EVENTS + number).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let at = (dice * (DAY_S - LASTS_S - 1)) >> 32;
            add(at, Deed::Opens(number));
            if number % 2 == 0 {
                add(at + BETTER_S, Deed::Improves(number));
            }
            add(at + LASTS_S, Deed::Closes(number));
        }
        for visit in 0..VISITS {
            add((visit * 2 + 1) * DAY_S / VISITS / 2, Deed::Visit);
        }
        for lost in 0..DAY_S / LOST_EVERY_S {
            add(lost * LOST_EVERY_S + 1_234, Deed::Lose);
        }
        match day {
            DAYLIGHT_DAY => add(HOUR_S, Deed::Jump(3_600_000)),
            // NTP: a little each few days, and once an hour back.
            20 => add(HOUR_S * 3, Deed::Jump(-3_600_000)),
            day if day % 3 == 1 => {
                add(HOUR_S * 5, Deed::Jump(if day.is_multiple_of(2) { 900 } else { -900 }));
            }
            _ => {}
        }
        script
    }

    /// Lives through a day; what the heap held in it, minute by minute.
    fn live(&mut self, day: u64) -> Result<Heap, String> {
        self.day = day;
        let mut heap = Heap::default();
        let mut script = Self::script(day);
        let midnight = self.began + day * DAY_S * 1_000;
        for step in 0..DAY_S / STEP_S {
            let second = step * STEP_S;
            self.advance((midnight + second * 1_000).saturating_sub(self.now()));
            while let Some((&at, _)) = script.first_key_value().filter(|(at, _)| **at <= second) {
                for deed in script.remove(&at).unwrap_or_default() {
                    self.act(deed)?;
                }
            }
            self.server.pass(self.now());
            if second.is_multiple_of(60) {
                self.settle()?;
                while self.notices.try_recv().is_ok() {}
                // Retention reads a segment after an answer; the second one comes after it.
                self.settle()?;
                heap.look();
            }
        }
        Ok(heap)
    }

    fn act(&mut self, deed: Deed) -> Result<(), String> {
        let now = self.clock.unix_ms();
        match deed {
            Deed::Opens(number) => {
                let id = self.recorder.next_id();
                self.open.insert(number, (id, now));
                self.record(Change::Opened { event: event(id, now), pictures: shot(id.0) })
            }
            Deed::Improves(number) => {
                let Some((id, started)) = self.open.get(&number).copied() else { return Ok(()) };
                let event = Event { score: 0.9, ..event(id, started) };
                self.record(Change::Improved { event, pictures: shot(id.0 + 1) })
            }
            Deed::Closes(number) => {
                let Some((id, started)) = self.open.remove(&number) else { return Ok(()) };
                self.record(Change::Closed { id, ended: now.max(started) })
            }
            Deed::Lose => {
                let now = self.now();
                self.server.lose(now, now + LOST_S * 1_000);
                Ok(())
            }
            Deed::Jump(ms) => {
                let jumped = self.told.unix.load(Ordering::Relaxed).saturating_add_signed(ms);
                self.told.unix.store(jumped, Ordering::Relaxed);
                Ok(())
            }
            Deed::Visit => self.visit(),
        }
    }

    fn record(&self, change: Change) -> Result<(), String> {
        if self.recorder.record(change) { Ok(()) } else { Err("a change was not taken".into()) }
    }

    /// A phone looks at what is new, stars something, deletes something, and goes.
    fn visit(&mut self) -> Result<(), String> {
        self.server.pass(self.now());
        if !self.server.is_registered() {
            return Ok(());
        }
        self.settle()?;
        self.visits += 1;
        self.house.sessions.fetch_add(1, Ordering::Relaxed);
        let mut link = Link::dial(self, self.visits)?;
        if self.token.is_empty() {
            self.pair(&mut link)?;
        }
        let token = self.token.clone();
        let mut get = |home: &mut Self, path: &str| {
            let answer = link.ask(home, ("GET", path), Some(&token), b"")?;
            match answer.status {
                200 => Ok(answer.body),
                other => Err(format!("{path}: {other}")),
            }
        };
        get(self, "/api/v1/status")?;
        let page = get(self, "/api/v1/events?limit=50")?;
        let page = String::from_utf8(page).map_err(|error| error.to_string())?;
        let events = json::member(&page, "events").ok_or("a page without events")?;
        let ids: Vec<String> = json::elements(events)
            .filter_map(|event| json::string(json::member(event, "id")?).map(Into::into))
            .collect();
        for id in ids.iter().take(10) {
            get(self, &format!("/api/v1/events/{id}/thumbnail"))?;
        }
        let newest = ids.first().ok_or("nothing is listed")?;
        get(self, &format!("/api/v1/events/{newest}/picture"))?;
        if self.visits.is_multiple_of(VISITS) {
            self.day += 1;
            link.move_to(self)?;
            link.stay(self, 5_000)?;
        }
        self.star(&mut link, newest)?;
        if let Some(oldest) = ids.last() {
            let path = format!("/api/v1/events/{oldest}");
            expect(&link.ask(self, ("DELETE", &path), Some(&token), b"")?, 204, &path)?;
        }
        while let Ok(notice) = self.notices.try_recv() {
            link.push(&format!(r#"{{"number":{}}}"#, notice.number));
        }
        link.stay(self, 20_000)?;
        link.close(self)?;
        self.house.sessions.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    fn pair(&mut self, link: &mut Link) -> Result<(), String> {
        let answer = link.ask(self, ("POST", "/api/v1/pair"), None, br#"{"name":"Phone"}"#)?;
        let text = String::from_utf8(answer.body).map_err(|error| error.to_string())?;
        let token = json::member(&text, "token").and_then(json::string);
        self.token = token.ok_or_else(|| format!("no token: {text}"))?.into_owned();
        Ok(())
    }

    /// Stars an event; the oldest star goes once there are many.
    fn star(&mut self, link: &mut Link, id: &str) -> Result<(), String> {
        let token = self.token.clone();
        let mut put = |home: &mut Self, id: &str, body: &[u8]| {
            let path = format!("/api/v1/events/{id}");
            let answer = link.ask(home, ("PUT", &path), Some(&token), body)?;
            expect(&answer, 200, &path)
        };
        put(self, id, br#"{"favourite":true,"reviewed":true}"#)?;
        self.stars.push(id.to_owned());
        if self.stars.len() > STARS {
            let oldest = self.stars.remove(0);
            put(self, &oldest, br#"{"favourite":false}"#)?;
        }
        Ok(())
    }

    fn report(&self, day: u64, heap: &Heap) -> Result<(), String> {
        let figures = self.house.store.figures().map_err(|error| error.to_string())?;
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        say(&format!(
            "{:>3} {:>8} {:>6.1} {:>9} {:>9.1} {:>6.1} {files:>6}",
            day + 1,
            figures.events,
            figures.bytes as f64 / f64::from(1 << 20),
            self.visits,
            heap.mean() / 1_024.0,
            heap.most as f64 / 1_024.0,
        ));
        Ok(())
    }
}

fn expect(answer: &crate::phone::Answer, status: u16, what: &str) -> Result<(), String> {
    if answer.status == status {
        return Ok(());
    }
    Err(format!("{what}: {} {}", answer.status, String::from_utf8_lossy(&answer.body)))
}

/// Pictures of about the same length, none like another.
fn shot(number: u64) -> Pictures {
    let fill = |length: usize| {
        let length = length + usize::try_from(number % 97).unwrap_or_default();
        let mut bytes = vec![0xA5; length];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes
    };
    Pictures { thumbnail: fill(THUMBNAIL_BYTES), full: fill(PICTURE_BYTES) }
}
