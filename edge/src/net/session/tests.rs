//! One session's task with real sockets, before a phone that only counts what arrives.

use super::super::workers::Job;
use super::*;
use crate::identity::Identity;
use crate::peer::offer::{Label, Offer};
use smol::LocalExecutor;
use std::time::Duration;
use str0m::RtcConfig;
use str0m::channel::ChannelConfig;

fn session(clock: Clock, local: SocketAddr) -> Session {
    let mut phone = RtcConfig::new().build(clock.std_now());
    let mut change = phone.sdp_api();
    change.add_channel_with_config(ChannelConfig::default());
    let (sdp, _) = change.apply().expect("an offer");
    let sdp = sdp.to_sdp_string();
    let offer = Offer { connection: "c".into(), label: Label::Nightjar, sdp, restart: false };
    let provider = str0m::crypto::from_feature_flags().dtls_provider;
    let certificate = provider.generate_certificate().expect("a certificate");
    let identity = Identity { peer_id: String::new(), token: String::new(), certificate };
    Session::answer(&offer, &[local], &identity, moment(clock)).expect("an answer").0
}

#[test]
fn a_flood_of_datagrams_holds_up_no_timer() {
    let clock = Clock::start();
    let socket = bind("127.0.0.1".parse().expect("an address")).expect("a socket");
    let local = socket.local;
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    phone.set_nonblocking(true).expect("a socket may");
    let port = phone.local_addr().expect("a bound socket").port();
    let (handle, inbox) = Handle::new(clock.now(), false);
    let line = format!("candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host");
    handle.tell(Note::Candidate(line));
    let (pool, _jobs) = bounded::<Job>(1);
    let (outbox, _texts) = bounded(1);
    let task = Task {
        session: session(clock, local),
        sockets: vec![socket],
        handle,
        inbox,
        places: Places::new(1),
        clock,
        pool,
        outbox,
        peer: PeerId::parse("phone").expect("an id"),
        connection: "c".into(),
        transaction: [0; 12],
    };
    let executor = LocalExecutor::new();
    executor.spawn(task.run()).detach();
    let flood = async {
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        loop {
            for _ in 0..2 * BURST {
                let _ = stranger.send_to(b"noise", local);
            }
            smol::future::yield_now().await;
        }
    };
    executor.spawn(flood).detach();
    let late = clock.std_now() + Duration::from_secs(5);
    smol::block_on(executor.run(async {
        // Its checks of the path are sent by its timers.
        let mut checks = 0;
        while checks < 3 {
            assert!(clock.std_now() < late, "{checks} checks");
            checks += usize::from(phone.recv(&mut [0; DATAGRAM_BYTES]).is_ok());
            smol::future::yield_now().await;
        }
    }));
}
