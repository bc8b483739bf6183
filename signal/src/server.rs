//! Starts everything on one thread, and ends it.

use crate::clock::{self, Clock};
use crate::config::Config;
use crate::error::Error;
use crate::files::Files;
use crate::hall::{Hall, Visitor};
use crate::meeting::Meeting;
use crate::routes::Place;
use crate::stream::Stream;
use crate::{binding, door, home, memory, say, socket};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use signal_proto::network::Site;
use signal_proto::realm::Realm;
use signal_proto::room::Secrets;
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

/// How often `--home` looks at the machine's interfaces again.
const LOOK_AROUND: Duration = Duration::from_mins(1);

/// Serves until SIGTERM or SIGINT.
pub fn run(config: Config) -> Result<(), Error> {
    raise_file_limit();
    let clock = Clock::start();
    let listener: Async<TcpListener> = bind(config.listen, "--listen", SocketType::STREAM)?;
    let stun: Option<Async<UdpSocket>> =
        config.stun.map(|at| bind(at, "--stun", SocketType::DGRAM)).transpose()?;
    let lock = Lock::new(&config)?;
    let goodbye = goodbye_signal()?;
    let http = address(listener.get_ref().local_addr())?;
    let stun_at = stun.as_ref().map(|socket| address(socket.get_ref().local_addr())).transpose()?;

    let secrets = match &config.room_secret {
        Some(secret) => Secrets::fixed(secret),
        None => Secrets::random(clock.now_ms(), clock::entropy()),
    };
    let place = Rc::new(Place {
        files: Files::default(),
        meeting: Meeting::new(clock, Realm::new(config.realm, secrets)),
        grouping: home::grouping(config.home).into(),
        stun_port: stun_at.map(|address| address.port()),
        turn_secret: read_turn_secret(&config)?,
        warned: Cell::new(false),
        config,
    });
    announce(http, stun_at);

    let executor = Rc::new(LocalExecutor::new());
    let hall = Rc::new(Hall::default());
    let accepting = executor.spawn(accept(
        Rc::clone(&executor),
        listener,
        Rc::clone(&place),
        Rc::clone(&hall),
        lock,
    ));
    let timekeeper = Rc::clone(&place);
    executor.spawn(async move { timekeeper.meeting.keep_time().await }).detach();
    executor.spawn(memory::keep_small()).detach();
    if let Some(socket) = stun {
        executor.spawn(binding::serve(socket, clock)).detach();
    }
    if place.config.home {
        executor.spawn(look_around(Rc::clone(&place))).detach();
    }
    smol::block_on(executor.run(async {
        goodbye.readable().await.ok();
        accepting.cancel().await;
        say!("stopping");
        place.meeting.with_realm(|realm, _| realm.close_all(1001));
        smol::future::or(hall.emptied(), async {
            Timer::after(FAREWELL).await;
        })
        .await;
    }));
    Ok(())
}

/// Encrypts connections, or leaves them as they are.
#[derive(Clone)]
struct Lock {
    #[cfg(feature = "tls")]
    acceptor: Option<futures_rustls::TlsAcceptor>,
}

impl Lock {
    #[cfg(feature = "tls")]
    fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self { acceptor: config.tls.as_ref().map(crate::tls::acceptor).transpose()? })
    }

    #[cfg(not(feature = "tls"))]
    fn new(config: &Config) -> Result<Self, Error> {
        match config.tls {
            Some(_) => Err(Error::new("--tls-cert: this program was built without TLS")),
            None => Ok(Self {}),
        }
    }

    /// The connection to speak on; `None` where the handshake fails or takes too long.
    #[cfg(feature = "tls")]
    async fn open(&self, stream: Async<TcpStream>) -> Option<Stream> {
        let Some(acceptor) = &self.acceptor else { return Some(Stream::Plain(stream)) };
        let handshake = async { acceptor.accept(stream).await.ok() };
        let late = async {
            Timer::after(door::HEAD_WITHIN).await;
            None
        };
        let stream = smol::future::or(handshake, late).await?;
        Some(Stream::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "with TLS it waits")]
    async fn open(&self, stream: Async<TcpStream>) -> Option<Stream> {
        Some(Stream::Plain(stream))
    }
}

async fn accept(
    executor: Rc<LocalExecutor<'static>>,
    listener: Async<TcpListener>,
    place: Rc<Place>,
    hall: Rc<Hall>,
    lock: Lock,
) {
    // When the system last had nothing to give, until that is long enough ago to be over.
    let mut failed_ms: Option<u64> = None;
    let clock = *place.meeting.clock();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if failed_ms.is_some_and(|at| clock.now_ms() >= at + CALM_MS) {
                    say!("accepting connections again");
                    failed_ms = None;
                }
                let is_proxy = place.trusts(peer.ip());
                let site = (!is_proxy).then(|| Site::of(peer.ip()));
                if let Some(visitor) = hall.enter(site) {
                    let (place, hall) = (Rc::clone(&place), Rc::clone(&hall));
                    let visit = visit(place, hall, visitor, lock.clone(), stream, peer.ip());
                    executor.spawn(visit).detach();
                }
            }
            Err(error) => {
                if is_our_fault(&error) {
                    if failed_ms.is_none() {
                        say!("no connection can be accepted: {error}");
                    }
                    failed_ms = Some(clock.now_ms());
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

/// A connection's whole life; only what a client needs for long lies in the task itself.
fn visit(
    place: Rc<Place>,
    hall: Rc<Hall>,
    visitor: Visitor,
    lock: Lock,
    stream: Async<TcpStream>,
    peer: IpAddr,
) -> impl Future<Output = ()> {
    let _ = stream.get_ref().set_nodelay(true);
    let door = Rc::clone(&place);
    let visit = Box::pin(async move {
        let stream = lock.open(stream).await?;
        door::serve(&door, stream, peer, &visitor).await
    });
    async move {
        if let Some((stream, conn, outbox)) = visit.await {
            let _seat = hall.seat();
            socket::run(stream, &place.meeting, conn, outbox).await;
        }
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

fn read_turn_secret(config: &Config) -> Result<Option<Vec<u8>>, Error> {
    let Some(turn) = &config.turn else { return Ok(None) };
    let wrong = |what: String| Error::new(format!("{}: {what}", turn.secret.display()));
    let text = std::fs::read_to_string(&turn.secret).map_err(|error| wrong(error.to_string()))?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(wrong("no secret in it".into()));
    }
    Ok(Some(secret.as_bytes().to_vec()))
}

/// Becomes readable when the process is asked to end.
fn goodbye_signal() -> Result<Async<UnixStream>, Error> {
    let wrong = |error: std::io::Error| Error::new(format!("signals: {error}"));
    let (reader, writer) = UnixStream::pair().map_err(wrong)?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let writer = writer.try_clone().map_err(wrong)?;
        signal_hook::low_level::pipe::register(signal, writer).map_err(wrong)?;
    }
    Async::new(reader).map_err(wrong)
}

/// One line on standard output; whoever closed it does not wait for it.
fn announce(http: SocketAddr, stun: Option<SocketAddr>) {
    let stun = stun.map(|address| format!(" stun={address}")).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "ready http={http}{stun}");
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
