//! The net thread: signaling, sessions, and the pool that has the API answer them.
//!
//! One thread runs every socket; it never blocks. Requests are answered by `workers`, each
//! session is a task of its own (`session`), and a panic in one ends that one.

mod offers;
mod places;
mod session;
mod together;
mod workers;

use crate::api::House;
use crate::clock::{Clock, entropy};
use crate::config::Config;
use crate::identity::Identity;
use crate::notice::{Notice, What};
use crate::peer::offer::{self, Label, Offer};
use crate::peer::{Moment, Session, gather};
use crate::principal::Principal;
use crate::say;
use crate::signaling::{Dialer, Signaling, Told};
use crate::vitals::Pulse;
use edge_core::event::EventId;
use edge_core::rest::body;
use edge_core::time::Instant;
use offers::Offers;
use places::{Key, Places, Standing};
use session::{Handle, Note};
use signal_proto::client::relay;
use signal_proto::message::Kind;
use signal_proto::peer_id::PeerId;
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::FutureExt as _;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Messages from signaling that wait for the net thread; then the socket waits.
const TOLD: usize = 64;
/// Texts for the signaling server that wait; further ones are dropped, as on a bad network.
const OUTBOX: usize = 256;
/// Connections whose candidates came before their offer; the oldest gives way.
const EARLY: usize = 16;
/// Candidates kept for each of them; further ones are dropped.
const EARLY_CANDIDATES: usize = 16;
/// Candidates that came before their offer are kept so long, ms.
const EARLY_MS: u64 = 30_000;
/// A STUN server whose name is not resolved by then is not asked, ms.
const RESOLVE_WITHIN_MS: u64 = 5_000;
/// Names that are being resolved at once, each by a thread of the system's resolver; further
/// ones are left out.
const RESOLVING: usize = 16;
/// Turns that a session has to close its sockets when another takes its place.
const LEAVE_TURNS: usize = 100;
/// How often the stop flag and the strangers are looked at, ms.
const STOP_MS: u64 = 100;
/// How often our own addresses are looked at, ms.
const NETWORK_MS: u64 = 250;
/// How long sessions have to say goodbye at the end, ms.
const GOODBYE_MS: u64 = 500;
/// The net thread's stack, bytes.
const STACK_BYTES: usize = 1024 * 1024;

/// What the net thread needs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Everything an answer needs.
    pub house: Arc<House>,
    /// What the owner decided.
    pub config: Arc<Config>,
    /// The way to the signaling server, if there is one.
    pub dialer: Option<Dialer>,
    /// Time.
    pub clock: Clock,
    /// Who this box is.
    pub identity: Identity,
    /// What the store and the API ring for.
    pub notices: Receiver<Notice>,
    /// The thread's pulse.
    pub pulse: Arc<Pulse>,
    /// Set once, at the end.
    pub stop: Arc<AtomicBool>,
}

/// Starts the net thread; it ends soon after `stop` is set.
pub fn spawn(setup: Setup) -> io::Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("net".into()).stack_size(STACK_BYTES);
    thread.spawn(move || run(setup))
}

fn run(setup: Setup) {
    let pool = match workers::spawn(&setup.house) {
        Ok(pool) => pool,
        Err(error) => return say!("net: no worker threads: {error}"),
    };
    let executor = Rc::new(LocalExecutor::new());
    let (told_in, told) = bounded(TOLD);
    let (outbox, texts) = bounded(OUTBOX);
    let (change, changed) = bounded(1);
    if let Some(dialer) = setup.dialer {
        let signaling = Signaling {
            dialer,
            clock: setup.clock,
            id: setup.identity.peer_id.clone(),
            token: setup.identity.token.clone(),
            name: namer(&setup.house),
            wants_ice: setup.config.ice.is_empty(),
            told: told_in,
            outbox: texts,
            changed,
        };
        let spawner = Rc::clone(&executor);
        executor.spawn(async move { signaling.run(&spawner).await }).detach();
        executor.spawn(watch_network(change)).detach();
    }
    let hub = Hub {
        executor: Rc::clone(&executor),
        clock: setup.clock,
        ice: setup.config.ice.clone(),
        places: Places::new(setup.config.max_sessions),
        resolving: Rc::new(()),
        pairing: setup.clock.now(),
        house: setup.house,
        identity: setup.identity,
        early: VecDeque::new(),
        offers: Offers::new(setup.clock.now()),
        pool,
        outbox,
    };
    smol::block_on(executor.run(hub.main(told, setup.notices, &setup.pulse, &setup.stop)));
}

/// Reads the device's name as it is now.
fn namer(house: &Arc<House>) -> Arc<dyn Fn() -> String + Send + Sync> {
    let house = Arc::clone(house);
    Arc::new(move || house.name())
}

/// Rings when our own addresses have changed: what was connected through them is gone.
async fn watch_network(change: Sender<()>) {
    let mut before = gather::local();
    loop {
        smol::Timer::after(Duration::from_millis(NETWORK_MS)).await;
        let now = gather::local();
        if now != before {
            before = now;
            let _ = change.try_send(());
        }
    }
}

/// Candidates that came before their offer.
struct Early {
    key: Key,
    since: Instant,
    lines: Vec<String>,
}

struct Hub {
    executor: Rc<LocalExecutor<'static>>,
    clock: Clock,
    house: Arc<House>,
    identity: Identity,
    ice: Vec<String>,
    places: Rc<Places>,
    /// One more reference for each name that is being resolved.
    resolving: Rc<()>,
    /// When pairing was last seen open.
    pairing: Instant,
    early: VecDeque<Early>,
    offers: Offers,
    pool: Sender<workers::Job>,
    outbox: Sender<String>,
}

enum Wake {
    Told(Told),
    Notice(Notice),
    Look,
}

impl Hub {
    async fn main(
        mut self,
        told: Receiver<Told>,
        notices: Receiver<Notice>,
        pulse: &Pulse,
        stop: &AtomicBool,
    ) {
        let mut next_number = 0;
        let mut looked = self.clock.now();
        while !stop.load(Ordering::Relaxed) {
            pulse.beat(self.clock.now());
            let said = async {
                match told.recv().await {
                    Ok(told) => Wake::Told(told),
                    Err(_) => std::future::pending().await,
                }
            };
            let rung = async {
                match notices.recv().await {
                    Ok(notice) => Wake::Notice(notice),
                    Err(_) => std::future::pending().await,
                }
            };
            let look = async {
                smol::Timer::after(Duration::from_millis(STOP_MS)).await;
                Wake::Look
            };
            match rung.or(said).or(look).await {
                Wake::Told(Told::Peer { kind, src, payload }) => {
                    self.hear(kind, &src, &payload).await;
                }
                Wake::Told(Told::Ice(urls)) => self.ice = urls,
                Wake::Notice(notice) => {
                    if next_number != notice.number {
                        self.tell_all(&Note::Missed);
                        self.look_for_revoked().await;
                    }
                    next_number = notice.number + 1;
                    self.tell(notice.what).await;
                }
                Wake::Look => {}
            }
            // Also where there is always something to hear.
            if self.clock.now().since_ms(looked) >= STOP_MS {
                self.look_for_strangers().await;
                looked = self.clock.now();
            }
        }
        self.goodbye().await;
    }

    // --- what peers say ---

    async fn hear(&mut self, kind: Kind, src: &PeerId, payload: &str) {
        match kind {
            Kind::Offer => self.hear_offer(src, payload).await,
            Kind::Candidate => {
                if let Some((connection, line)) = offer::candidate(payload) {
                    self.candidate((src.as_str().to_owned(), connection), line);
                }
            }
            Kind::Leave => self.places.for_each(|(peer, _), handle| {
                if peer == src.as_str() {
                    handle.end();
                }
            }),
            _ => {}
        }
    }

    async fn hear_offer(&mut self, src: &PeerId, payload: &str) {
        if !self.offers.take(src, self.clock.now()) {
            return;
        }
        match Offer::parse(payload) {
            Some(offer) if offer.restart => self.restart(src, offer, offer::number(payload)),
            Some(offer) => self.answer(src, &offer, offer::number(payload)).await,
            None => {}
        }
    }

    /// A phone looks for a new path to its session, which may be of a life before this one.
    fn restart(&self, src: &PeerId, offer: Offer, number: Option<u32>) {
        let key = (src.as_str().to_owned(), offer.connection);
        let Some(handle) = self.places.get(&key).filter(|handle| !handle.is_ending()) else {
            let unknown = relay(Kind::Leave, src, &offer::unknown(&key.1));
            let _ = self.outbox.try_send(unknown);
            return;
        };
        handle.tell(Note::Restart(number, offer.sdp));
        self.find_servers(&handle, &gather::local().into());
    }

    async fn answer(&mut self, src: &PeerId, offer: &Offer, number: Option<u32>) {
        let key = (src.as_str().to_owned(), offer.connection.clone());
        let legacy =
            offer.label == Label::HttpProxy && self.house.door.legacy() == Principal::Legacy;
        let (handle, inbox) = Handle::new(self.clock.now(), legacy);
        if self.places.get(&key).is_some() || !self.has_room(&handle).await {
            return;
        }
        let sockets: Vec<_> =
            gather::local().into_iter().filter_map(|ip| session::bind(ip).ok()).collect();
        let locals: Vec<SocketAddr> = sockets.iter().map(|socket| socket.local).collect();
        let now = self.moment();
        // The offer is a stranger's bytes in a foreign parser.
        let answered =
            catch_unwind(AssertUnwindSafe(|| Session::answer(offer, &locals, &self.identity, now)));
        let Ok(Ok((session, sdp))) = answered else { return };
        let payload = offer::answer_to(number, &offer.connection, &sdp);
        let _ = self.outbox.try_send(relay(Kind::Answer, src, &payload));
        for line in self.take_early(&key) {
            handle.tell(Note::Candidate(line));
        }
        let task = session::Task {
            session,
            sockets,
            handle: Rc::clone(&handle),
            inbox,
            places: Rc::clone(&self.places),
            clock: self.clock,
            pool: self.pool.clone(),
            outbox: self.outbox.clone(),
            peer: src.clone(),
            connection: offer.connection.clone(),
            transaction: entropy(),
        };
        self.places.insert(key.clone(), Rc::clone(&handle));
        count(&self.house, &self.places);
        self.spawn(key, task);
        self.find_servers(&handle, &locals.iter().map(SocketAddr::ip).collect::<Rc<_>>());
    }

    /// Has one give way where all places are taken; whether its sockets are closed.
    async fn has_room(&self, newcomer: &Handle) -> bool {
        self.places.make_room(newcomer.standing());
        for _ in 0..LEAVE_TURNS {
            if !self.places.any(Handle::is_ending) {
                return true;
            }
            smol::future::yield_now().await;
        }
        false
    }

    fn spawn(&self, key: Key, task: session::Task) {
        let (house, places) = (Arc::clone(&self.house), Rc::clone(&self.places));
        let run = async move {
            let ended = Box::pin(AssertUnwindSafe(task.run()).catch_unwind()).await;
            if ended.is_err() {
                say!("net: a session ended in a panic");
            }
            places.remove(&key);
            count(&house, &places);
        };
        self.executor.spawn(run).detach();
    }

    /// Looks the STUN servers up, off this thread and each on its own, and tells the session.
    fn find_servers(&self, handle: &Rc<Handle>, locals: &Rc<[IpAddr]>) {
        let servers = self.ice.iter().filter_map(|url| gather::stun_server(url));
        for server in servers.take(gather::URLS) {
            if Rc::strong_count(&self.resolving) > RESOLVING {
                return;
            }
            let resolving = Rc::clone(&self.resolving);
            let (clock, handle, locals) = (self.clock, Rc::clone(handle), Rc::clone(locals));
            let asked_at = clock.now();
            // The resolver cannot be interrupted, so neither is this: it is its threads that
            // are counted.
            let find = async move {
                let addresses = smol::net::resolve(server).await.unwrap_or_default();
                drop(resolving);
                let found = gather::reachable(&addresses, &locals);
                if !found.is_empty() && clock.now().since_ms(asked_at) < RESOLVE_WITHIN_MS {
                    handle.tell(Note::Servers(found));
                }
            };
            self.executor.spawn(find).detach();
        }
    }

    /// Ends strangers that showed no token in time, but for one that may be about to pair.
    async fn look_for_strangers(&mut self) {
        if !self.places.any(|handle| handle.standing() == Standing::Stranger) {
            return;
        }
        let (house, now) = (Arc::clone(&self.house), self.clock.now());
        // The door may be held while the card writes.
        if smol::unblock(move || house.door.is_open(now)).await {
            self.pairing = now;
        }
        self.places.end_late_strangers(now, self.pairing);
    }

    fn candidate(&mut self, key: Key, line: String) {
        if let Some(handle) = self.places.get(&key) {
            return handle.tell(Note::Candidate(line));
        }
        let now = self.clock.now();
        self.early.retain(|early| now.since_ms(early.since) < EARLY_MS);
        if let Some(early) = self.early.iter_mut().find(|early| early.key == key) {
            if early.lines.len() < EARLY_CANDIDATES {
                early.lines.push(line);
            }
            return;
        }
        if self.early.len() == EARLY {
            self.early.pop_front();
        }
        self.early.push_back(Early { key, since: now, lines: vec![line] });
    }

    fn take_early(&mut self, key: &Key) -> Vec<String> {
        let at = self.early.iter().position(|early| early.key == *key);
        at.and_then(|at| self.early.remove(at)).map(|early| early.lines).unwrap_or_default()
    }

    // --- what phones are told ---

    async fn tell(&self, what: What) {
        match what {
            What::Revoked(client) => self.tell_all(&Note::Revoked(client)),
            What::Deleted(id) => {
                let json = format!(r#"{{"type":"deleted","id":"{id}"}}"#);
                self.tell_all(&Note::Push(json.into()));
            }
            What::Event(id) => {
                if !self.places.any(|handle| handle.client().is_some()) {
                    return;
                }
                let house = Arc::clone(&self.house);
                match smol::unblock(move || event_json(&house, id)).await {
                    Some(json) => self.tell_all(&Note::Push(json.into())),
                    None => self.tell_all(&Note::Missed),
                }
            }
        }
    }

    /// Notices were lost, maybe of a revocation: ends the sessions of phones that are no more.
    async fn look_for_revoked(&self) {
        let house = Arc::clone(&self.house);
        let paired = smol::unblock(move || house.store.clients()).await;
        self.places.for_each(|_, handle| {
            let client = handle.client();
            if let Some(id) = client.filter(|id| paired.iter().all(|paired| paired.id != *id)) {
                handle.tell(Note::Revoked(id));
            }
        });
    }

    fn tell_all(&self, note: &Note) {
        self.places.for_each(|_, handle| handle.tell(note.clone()));
    }

    async fn goodbye(self) {
        self.places.for_each(|_, handle| handle.end());
        for _ in 0..GOODBYE_MS / 10 {
            if self.places.len() == 0 {
                return;
            }
            smol::Timer::after(Duration::from_millis(10)).await;
        }
    }

    fn moment(&self) -> Moment {
        moment(self.clock)
    }
}

/// Now, in both forms.
fn moment(clock: Clock) -> Moment {
    Moment { ms: clock.now(), std: clock.std_now() }
}

fn count(house: &House, places: &Places) {
    house.sessions.store(places.len(), Ordering::Relaxed);
}

/// The push that tells of an event; `None` where it cannot be told.
fn event_json(house: &House, id: EventId) -> Option<String> {
    let event = house.store.get(id).ok()??;
    let mut buf = [0; body::EVENT_BYTES];
    let length = body::event_json(&event, &mut buf)?;
    let event = str::from_utf8(buf.get(..length)?).ok()?;
    Some(format!(r#"{{"type":"event","event":{event}}}"#))
}
