//! Starts everything on one thread, and ends it.

use crate::clock::{self, Clock};
use crate::config::{Config, Tls, Turn};
use crate::error::Error;
use crate::files::Files;
use crate::hall::{Hall, Visitor};
use crate::lock::Lock;
use crate::meeting::Meeting;
use crate::routes::Place;
use crate::stream::Stream;
use crate::{binding, door, home, memory, redirect, say, scrape, socket};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_proto::network::Site;
use signal_proto::realm::Realm;
use signal_proto::room::Secrets;
use smol::io::AsyncReadExt;
use smol::{Async, LocalExecutor, Timer};
use std::cell::Cell;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

/// Connections that wait to be accepted, enough for a whole neighbourhood that returns at once;
/// the system may allow fewer.
const BACKLOG: i32 = 4096;

/// How long no connection is accepted after the system had none to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long it must have gone well, in ms, before the log says so: at the very limit, accepting
/// fails and succeeds in turns.
const CALM_MS: u64 = 2000;

/// How long clients may take to hear that the server ends.
const FAREWELL: Duration = Duration::from_millis(2500);

/// Most connections at once to `--redirect`, and from one IPv4 address or /64.
const REDIRECTED_MAX: usize = 512;
const REDIRECTED_OF_ONE: usize = 64;

/// Most connections at once to `--metrics`.
const SCRAPERS_MAX: usize = 64;

/// How often `--home` looks at the machine's interfaces again.
const LOOK_AROUND: Duration = Duration::from_mins(1);

/// Serves until SIGTERM or SIGINT.
pub fn run(config: Config) -> Result<(), Error> {
    raise_file_limit();
    let clock = Clock::start();
    let listener: Async<TcpListener> = bind(config.listen, "--listen", SocketType::STREAM)?;
    let stun: Option<Async<UdpSocket>> =
        config.stun.map(|at| bind(at, "--stun", SocketType::DGRAM)).transpose()?;
    let redirect: Option<Async<TcpListener>> =
        config.redirect.map(|at| bind(at, "--redirect", SocketType::STREAM)).transpose()?;
    let metrics: Option<Async<TcpListener>> =
        config.metrics.map(|at| bind(at, "--metrics", SocketType::STREAM)).transpose()?;
    let lock = Lock::new(&config, clock)?;
    let goodbye = signals(&[SIGTERM, SIGINT])?;
    let reload = signals(&[SIGHUP])?;
    let http = address(listener.get_ref().local_addr())?;
    let redirect_at = redirect.as_ref().map(|it| address(it.get_ref().local_addr())).transpose()?;
    let stun_at = stun.as_ref().map(|socket| address(socket.get_ref().local_addr())).transpose()?;
    let beside = stun.as_ref().map(|socket| binding::beside(socket.get_ref())).transpose();
    let beside = beside.map_err(|error| Error::new(format!("--stun: {error}")))?;
    let metrics_at =
        metrics.as_ref().map(|socket| address(socket.get_ref().local_addr())).transpose()?;

    let place = Rc::new(Place {
        files: Files::default(),
        meeting: Meeting::new(clock, Realm::new(config.realm, secrets(&config, clock))),
        grouping: home::grouping(config.home).into(),
        stun_port: stun_at.map(|address| address.port()),
        turn_secret: config.turn.as_ref().map(Turn::read_secret).transpose()?.into(),
        stopping: Cell::new(false),
        starved_ms: Cell::new(None),
        warned: Cell::new(false),
        lock,
        config,
    });
    announce(http, &[("stun", stun_at), ("redirect", redirect_at), ("metrics", metrics_at)]);

    let executor = Rc::new(LocalExecutor::new());
    let hall = Rc::new(Hall::default());
    let accepting = executor.spawn(accept(
        listener,
        Rc::clone(&place),
        Rc::clone(&hall),
        welcome(&executor, &place, &hall),
    ));
    let redirecting = redirect.map(|listener| {
        // With a domain, https is on its port 443, whatever that leads to here.
        let port = if matches!(place.config.tls, Some(Tls::Domain(_))) { 443 } else { http.port() };
        let hall = Rc::new(Hall::new(REDIRECTED_MAX, REDIRECTED_OF_ONE));
        let welcome = point_away(&executor, &place, port);
        executor.spawn(accept(listener, Rc::clone(&place), hall, welcome))
    });
    executor.spawn(keep_reloading(Rc::clone(&place), reload)).detach();
    let keeper = Rc::clone(&place);
    executor.spawn(async move { keeper.lock.keep().await }).detach();
    let timekeeper = Rc::clone(&place);
    executor.spawn(async move { timekeeper.meeting.keep_time().await }).detach();
    executor.spawn(memory::keep_small()).detach();
    let sources = binding::Shared::default();
    for socket in stun.into_iter().chain(beside.into_iter().flatten()) {
        let answering = binding::serve(socket, Rc::clone(&place), Rc::clone(&sources));
        executor.spawn(answering).detach();
    }
    if let Some(listener) = metrics {
        let scrapers = Rc::new(Hall::new(SCRAPERS_MAX, SCRAPERS_MAX));
        let welcome = show_figures(&executor, &place, &hall);
        executor.spawn(accept(listener, Rc::clone(&place), scrapers, welcome)).detach();
    }
    if place.config.home {
        executor.spawn(look_around(Rc::clone(&place))).detach();
    }
    smol::block_on(executor.run(async {
        goodbye.readable().await.ok();
        place.stopping.set(true);
        accepting.cancel().await;
        drop(redirecting);
        say!("stopping");
        place.meeting.with_realm(|realm, _| realm.close_all(1001));
        smol::future::or(hall.emptied(), async {
            Timer::after(FAREWELL).await;
        })
        .await;
    }));
    Ok(())
}

/// What room ids are made of.
fn secrets(config: &Config, clock: Clock) -> Secrets {
    match &config.room_secret {
        Some(secret) => Secrets::fixed(secret),
        None => Secrets::random(clock.now_ms(), clock::entropy()),
    }
}

/// Accepts connections, for ever; who finds room in `hall` is welcomed.
async fn accept(
    listener: Async<TcpListener>,
    place: Rc<Place>,
    hall: Rc<Hall>,
    welcome: impl Fn(Visitor, Async<TcpStream>, IpAddr),
) {
    let clock = *place.meeting.clock();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if place.starved_ms.get().is_some_and(|at| clock.now_ms() >= at + CALM_MS) {
                    say!("accepting connections again");
                    place.starved_ms.set(None);
                }
                let is_proxy = place.trusts(peer.ip());
                let site = (!is_proxy).then(|| Site::of(peer.ip()));
                if let Some(visitor) = hall.enter(site) {
                    let _ = stream.get_ref().set_nodelay(true);
                    welcome(visitor, stream, peer.ip());
                } else {
                    place.meeting.metrics().no_room.up();
                }
                // However many wait, those who are here have their turn.
                smol::future::yield_now().await;
            }
            Err(error) => {
                if is_our_fault(&error) {
                    if place.starved_ms.replace(Some(clock.now_ms())).is_none() {
                        say!("no connection can be accepted: {error}");
                        place.meeting.metrics().accept_pauses.up();
                    }
                    Timer::after(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether accepting failed for want of something, rather than because a client went away.
fn is_our_fault(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    !matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted)
}

/// What the main listener does with a visitor.
fn welcome(
    executor: &Rc<LocalExecutor<'static>>,
    place: &Rc<Place>,
    hall: &Rc<Hall>,
) -> impl Fn(Visitor, Async<TcpStream>, IpAddr) + use<> {
    let (executor, place, hall) = (Rc::clone(executor), Rc::clone(place), Rc::clone(hall));
    move |visitor, stream, peer| {
        place.meeting.metrics().http.up();
        let visit = visit(Rc::clone(&place), Rc::clone(&hall), visitor, stream, peer);
        executor.spawn(visit).detach();
    }
}

/// What `--redirect` does with a visitor.
fn point_away(
    executor: &Rc<LocalExecutor<'static>>,
    place: &Rc<Place>,
    port: u16,
) -> impl Fn(Visitor, Async<TcpStream>, IpAddr) + use<> {
    let (executor, place) = (Rc::clone(executor), Rc::clone(place));
    move |visitor, stream, _| {
        let place = Rc::clone(&place);
        let visit = async move {
            redirect::serve(&place, Stream::Plain(stream), port).await;
            drop(visitor);
        };
        executor.spawn(visit).detach();
    }
}

/// What `--metrics` does with a visitor; `hall` is the main listener's.
fn show_figures(
    executor: &Rc<LocalExecutor<'static>>,
    place: &Rc<Place>,
    hall: &Rc<Hall>,
) -> impl Fn(Visitor, Async<TcpStream>, IpAddr) + use<> {
    let (executor, place, hall) = (Rc::clone(executor), Rc::clone(place), Rc::clone(hall));
    move |visitor, stream, _| {
        let (place, hall) = (Rc::clone(&place), Rc::clone(&hall));
        let visit = async move {
            scrape::serve(&place, &hall, Stream::Plain(stream)).await;
            drop(visitor);
        };
        executor.spawn(visit).detach();
    }
}

/// A connection's whole life; only what a client needs for long lies in the task itself.
fn visit(
    place: Rc<Place>,
    hall: Rc<Hall>,
    visitor: Visitor,
    stream: Async<TcpStream>,
    peer: IpAddr,
) -> impl Future<Output = ()> {
    let door = Rc::clone(&place);
    let visit = Box::pin(async move {
        let opened = async { door.lock.open(stream).await.ok() };
        let Some(opened) = door::within(door::HEAD_WITHIN, opened).await else {
            door.meeting.metrics().handshake_failures.up();
            return None;
        };
        door::serve(&door, opened?, peer, &visitor).await
    });
    async move {
        if let Some((stream, conn, outbox)) = visit.await {
            let _seat = hall.seat();
            place.meeting.metrics().websockets.up();
            socket::run(stream, &place.meeting, conn, outbox).await;
        }
    }
}

/// Reads again what may change, each time that SIGHUP asks for it.
async fn keep_reloading(place: Rc<Place>, mut asked: Async<UnixStream>) {
    let mut words = [0; 16];
    while asked.read(&mut words).await.is_ok_and(|length| length > 0) {
        place.reload();
    }
}

async fn look_around(place: Rc<Place>) {
    loop {
        Timer::after(LOOK_AROUND).await;
        place.grouping.replace(home::grouping(true));
    }
}

/// A socket on `at`; the operator is told which option is at fault.
fn bind<T: std::os::fd::AsFd + From<OwnedFd>>(
    at: SocketAddr,
    option: &str,
    kind: SocketType,
) -> Result<Async<T>, Error> {
    let wrong = |error: std::io::Error| Error::new(format!("{option} {at}: {error}"));
    let fd = open(at, kind).map_err(|error| wrong(error.into()))?;
    Async::new(T::from(fd)).map_err(wrong)
}

fn open(at: SocketAddr, kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if at.is_ipv6() {
        // `[::]` is everybody, whatever the system's default (net.ipv6.bindv6only).
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    if kind == SocketType::STREAM {
        // A restart does not wait for the last connections' echoes.
        sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    net::bind(&fd, &at)?;
    if kind == SocketType::STREAM {
        net::listen(&fd, BACKLOG)?;
    }
    Ok(fd)
}

fn address(result: std::io::Result<SocketAddr>) -> Result<SocketAddr, Error> {
    result.map_err(|error| Error::new(error.to_string()))
}

/// Becomes readable when the process gets one of these signals.
fn signals(wanted: &[i32]) -> Result<Async<UnixStream>, Error> {
    let wrong = |error: std::io::Error| Error::new(format!("signals: {error}"));
    let (reader, writer) = UnixStream::pair().map_err(wrong)?;
    for signal in wanted {
        let writer = writer.try_clone().map_err(wrong)?;
        signal_hook::low_level::pipe::register(*signal, writer).map_err(wrong)?;
    }
    Async::new(reader).map_err(wrong)
}

/// One line on standard output; whoever closed it does not wait for it.
fn announce(http: SocketAddr, others: &[(&str, Option<SocketAddr>)]) {
    let named = others.iter().filter_map(|(name, at)| Some(format!(" {name}={}", (*at)?)));
    let others: String = named.collect();
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "ready http={http}{others}");
    let _ = out.flush();
}

/// Takes as many files as the system lets us: the usual soft limit of 1024 is fewer than the
/// clients that are let in.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
