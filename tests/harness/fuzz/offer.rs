//! Strangers' offers and candidates, as the signaling server brings them, and the SDP within.

use crate::data::Scratch;
use edge::clock::Clock;
use edge::identity::Identity;
use edge::peer::offer::{self, Label, Offer};
use edge::peer::{Moment, Output, Session};
use edge_core::time::Instant;
use signal_proto::json;
use std::net::SocketAddr;
use std::sync::OnceLock;

/// Outputs that one offer may cause before the session waits.
const DRAIN: usize = 1000;
/// Rounds of 50 ms in which a session that was answered lives.
const ROUNDS: u64 = 4;

/// The payload of an OFFER or a CANDIDATE.
pub fn offer(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some((connection, line)) = offer::candidate(text) {
        let again = offer::trickle(&connection, "0", &line);
        json::check(&again).expect("what we write is JSON");
        assert_eq!(offer::candidate(&again), Some((connection, line)));
    }
    let Some(offer) = Offer::parse(text) else { return };
    assert!(offer.largest_message() > 0);
    json::check(&offer::answer(&offer.connection, &offer.sdp)).expect("what we write is JSON");
}

/// The SDP of an offer; its candidates come a second time, one by one, as browsers send them.
pub fn sdp(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let clock = Clock::start();
    let start = Moment { ms: Instant(0), std: clock.std_now() };
    let offer = Offer {
        connection: "c".into(),
        label: Label::Nightjar,
        sdp: text.to_owned(),
        restart: false,
    };
    let home = SocketAddr::from(([10, 9, 0, 1], 1000));
    let Ok((mut session, answer)) = Session::answer(&offer, &[home], identity(), start) else {
        return;
    };
    assert!(answer.starts_with("v=0\r\n"));
    json::check(&offer::trickle("c", session.mid(), "")).expect("what we write is JSON");
    for line in text.lines().filter(|line| line.contains("candidate:")) {
        session.handle_candidate(line);
    }
    for round in 0..ROUNDS {
        let late = std::time::Duration::from_millis(50 * round);
        let now = Moment { ms: Instant(50 * round), std: start.std + late };
        session.handle_timeout(now);
        let outputs = std::iter::repeat_with(|| session.poll_output(now));
        let busy =
            outputs.take(DRAIN).take_while(|it| !matches!(it, Output::Timeout(_) | Output::End));
        assert!(busy.count() < DRAIN, "it sends without an end");
    }
}

/// One box for all offers: a certificate costs more than a session.
fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let folder = Scratch::new("fuzz");
        Identity::load_or_create(folder.path()).expect("an identity")
    })
}
