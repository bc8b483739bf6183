//! Floods, and a server that may open no more files. How fast it stays meanwhile is measured
//! by the bench `signal`; here it is to stay small, and to work.
#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]

use harness::flood::{self, MIB};
use harness::meeting::wait_until;
use harness::program::Program;
use harness::rounds;
use harness::socket::{Socket, offer, resident_kib, source};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use signal_proto::websocket::Message;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a flood may cost while it lasts, and what may be left of it, in KiB.
const GROWTH: u64 = 32 * 1024;
const LEFT: u64 = 4 * 1024;

/// Two clients, of which one tells the other something.
struct Pair {
    sender: Socket,
    receiver: Socket,
}

impl Pair {
    fn enter(at: SocketAddr) -> Self {
        let enter = |id| Socket::enter(source(0), at, id).expect("there is room");
        Self { sender: enter("sender"), receiver: enter("receiver") }
    }

    fn relays(&mut self) {
        let text = offer("receiver", 1500);
        self.sender.say(&text).expect("the server reads");
        match self.receiver.hear().expect("the server relays") {
            Message::Text(heard) => assert!(heard.len() > text.len() && heard.contains("OFFER")),
            other => panic!("an offer, not {other:?}"),
        }
    }
}

/// Does `work` while another pair relays; the most memory that the server had, in KiB.
fn beside(pid: u32, pair: &mut Pair, work: impl FnOnce() + Send) -> u64 {
    let (is_over, most) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            work();
            is_over.store(true, Ordering::Release);
        });
        while !is_over.load(Ordering::Acquire) && !flood.is_finished() {
            pair.relays();
            most.fetch_max(resident_kib(pid), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
        }
        flood.join().expect("the flood runs");
    });
    most.into_inner()
}

#[test]
fn floods_are_bounded_and_forgotten() {
    let program = Program::start("nightjar-signal", &["--listen", "127.0.0.1:0"]);
    let at: SocketAddr = program.address("http").parse().expect("an address");
    let whole = |count: u64| usize::try_from(rounds(count)).expect("few");
    let mut pair = Pair::enter(at);
    pair.relays();
    let before = resident_kib(program.pid());
    let floods: [(&str, &(dyn Fn() + Sync)); 3] = [
        ("offers to nobody", &|| flood::offers(at, 264 * MIB)),
        ("messages without end", &|| (0..whole(10)).for_each(|_| flood::message(at, 90 * MIB))),
        ("ids without number", &|| flood::ids(at, whole(100_000))),
    ];
    for (name, work) in floods {
        let began = Instant::now();
        let most = beside(program.pid(), &mut pair, work);
        let took = began.elapsed();
        wait_until(name, Duration::from_secs(10), || resident_kib(program.pid()) < before + LEFT);
        let left = resident_kib(program.pid()).saturating_sub(before);
        println!("{name}: {took:.1?}, grown by {} KiB, {left} left", most.saturating_sub(before));
        assert!(most < before + GROWTH, "{name}: from {before} to {most} KiB");
        pair.relays();
    }
}

#[test]
fn without_files_accepting_pauses_and_resumes() {
    let program = Program::start("nightjar-signal", &["--listen", "127.0.0.1:0"]);
    let said = |words: &str| program.log().matches(words).count();
    let at: SocketAddr = program.address("http").parse().expect("an address");

    let mut pair = Pair::enter(at);
    pair.relays();
    let pid = i32::try_from(program.pid()).ok().and_then(Pid::from_raw).expect("a process");
    let few = Rlimit { current: Some(32), maximum: Some(32) };
    prlimit(Some(pid), Resource::Nofile, few).expect("a limit can be lowered");
    let connect = |_| TcpStream::connect(at).expect("the system keeps it waiting");
    let crowd: Vec<TcpStream> = (0..64).map(connect).collect();
    wait_until("the pause is said", Duration::from_secs(10), || said("can be accepted") > 0);
    pair.relays();
    drop(crowd);
    wait_until("the end of it is said", Duration::from_secs(20), || {
        drop(Socket::enter(source(1), at, "newcomer"));
        said("accepting connections again") > 0
    });
    pair.relays();
    let told = (said("can be accepted"), said("accepting connections again"));
    assert_eq!(told, (1, 1), "once each way");
}
