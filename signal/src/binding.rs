//! STUN Binding answers on UDP: a client's address as we see it, and nothing else.
//!
//! Bounds: a source address may ask [`RATE`] times a second, [`BURST`] at once; the table of
//! sources has [`SLOTS`] places that strangers may come to share, and never grows.

use crate::routes::Place;
use signal_proto::network::Site;
use signal_proto::stun::Request;
use smol::Async;
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

/// Answers a second for one source, for long.
pub const RATE: u64 = 20;

/// Answers at once for one source.
pub const BURST: u64 = 100;

/// Sources told apart, more or less.
pub const SLOTS: usize = 4096;

/// The pause after an error that is ours (no memory, no descriptor).
const PAUSE: Duration = Duration::from_millis(100);

/// Answers until the process ends.
pub async fn serve(socket: Async<UdpSocket>, place: Rc<Place>) {
    let (clock, metrics) = (place.meeting.clock(), place.meeting.metrics());
    let mut sources = Sources::new();
    // What is longer is no request of any client.
    let mut datagram = [0; 576];
    loop {
        let (length, source) = match socket.recv_from(&mut datagram).await {
            Ok(received) => received,
            // ICMP errors of earlier answers come back here.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
            Err(_) => {
                smol::Timer::after(PAUSE).await;
                continue;
            }
        };
        let Some(request) = datagram.get(..length).and_then(Request::parse) else {
            metrics.stun_malformed.up();
            continue;
        };
        if sources.take(clock.now_ms(), source) {
            metrics.stun_answers.up();
            // An answer that does not fit the socket's buffer is lost, as any datagram may be.
            let _ = socket.get_ref().send_to(&request.answer(source), source);
        } else {
            metrics.stun_too_fast.up();
        }
    }
}

/// When each slot's source has used up its answers: ms by which it is ahead of its rate.
struct Sources {
    hasher: RandomState,
    full_at_ms: Vec<u64>,
}

impl Sources {
    fn new() -> Self {
        Self { hasher: RandomState::new(), full_at_ms: vec![0; SLOTS] }
    }

    /// Counts one answer; false where the source has had enough.
    fn take(&mut self, now_ms: u64, source: SocketAddr) -> bool {
        let hash = self.hasher.hash_one(Site::of(source.ip()));
        let slot = usize::try_from(hash % (SLOTS as u64)).unwrap_or(0);
        let Some(full_at) = self.full_at_ms.get_mut(slot) else { return false };
        let next = (*full_at).max(now_ms) + 1000 / RATE;
        let taken = next <= now_ms + BURST * 1000 / RATE;
        if taken {
            *full_at = next;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_burst_and_then_its_rate() {
        let mut sources = Sources::new();
        let source = "192.0.2.1:5".parse().unwrap();
        let taken =
            |sources: &mut Sources, now| (0..1000).filter(|_| sources.take(now, source)).count();
        assert_eq!(taken(&mut sources, 0), 100);
        assert_eq!(taken(&mut sources, 1000), 20);
        assert_eq!(taken(&mut sources, 100_000), 100);
    }
}
