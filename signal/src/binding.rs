//! STUN Binding answers on UDP: a client's address as we see it, and nothing else.
//!
//! Bounds: a source address may ask [`RATE`] times a second, [`BURST`] at once; the table of
//! sources has [`SLOTS`] places that strangers may come to share, and never grows.
//!
//! An answer leaves from the address that was asked: a NAT lets no other in. A socket on the
//! wildcard alone does not promise that on a machine with several addresses, so each address
//! has a socket of its own beside it.

use crate::routes::Place;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use signal_proto::network::Site;
use signal_proto::stun::Request;
use smol::Async;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::io;
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

/// Most addresses of this machine that have a socket of their own.
const ADDRESSES: usize = 32;

/// Who asked how often, for all sockets together.
pub type Shared = Rc<RefCell<Sources>>;

/// Answers until the process ends.
pub async fn serve(socket: Async<UdpSocket>, place: Rc<Place>, sources: Shared) {
    let (clock, metrics) = (place.meeting.clock(), place.meeting.metrics());
    // What is longer is no request of any client.
    let mut datagram = [0; 576];
    loop {
        // However fast they come, others have their turn.
        smol::future::yield_now().await;
        let (length, source) = match socket.recv_from(&mut datagram).await {
            Ok(received) => received,
            // ICMP errors of earlier answers come back here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(_) => {
                smol::Timer::after(PAUSE).await;
                continue;
            }
        };
        let Some(request) = datagram.get(..length).and_then(Request::parse) else {
            metrics.stun_malformed.up();
            continue;
        };
        if sources.borrow_mut().take(clock.now_ms(), source) {
            metrics.stun_answers.up();
            // An answer that does not fit the socket's buffer is lost, as any datagram may be.
            let _ = socket.get_ref().send_to(&request.answer(source), source);
        } else {
            metrics.stun_too_fast.up();
        }
    }
}

/// Sockets beside one on the wildcard, one for each address that this machine has now; none
/// beside one on an address. What comes to an address of later is the wildcard's.
pub fn beside(wildcard: &UdpSocket) -> io::Result<Vec<Async<UdpSocket>>> {
    let at = wildcard.local_addr()?;
    if !at.ip().is_unspecified() {
        return Ok(Vec::new());
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let served = interfaces.iter().map(if_addrs::Interface::ip);
    let served = served.filter(|ip| ip.is_ipv4() || at.is_ipv6());
    // Only while they are opened: nobody else shall share the port.
    sockopt::set_socket_reuseaddr(wildcard, true)?;
    // A link-local address needs its link, and cannot be bound without.
    let opened: Vec<_> =
        served.filter_map(|ip| open(SocketAddr::new(ip, at.port())).ok()).take(ADDRESSES).collect();
    sockopt::set_socket_reuseaddr(wildcard, false)?;
    for socket in &opened {
        sockopt::set_socket_reuseaddr(socket, false)?;
    }
    opened.into_iter().map(Async::new).collect()
}

fn open(at: SocketAddr) -> io::Result<UdpSocket> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    net::bind(&fd, &at)?;
    Ok(fd.into())
}

/// When each slot's source has used up its answers: ms by which it is ahead of its rate.
#[derive(Debug)]
pub struct Sources {
    hasher: RandomState,
    full_at_ms: Vec<u64>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { hasher: RandomState::new(), full_at_ms: vec![0; SLOTS] }
    }
}

impl Sources {
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
    fn every_address_has_a_socket_and_nobody_else_the_port() {
        let wildcard = UdpSocket::bind("0.0.0.0:0").unwrap();
        let at = |ip: &str| {
            let port = wildcard.local_addr().unwrap().port();
            SocketAddr::new(ip.parse().unwrap(), port)
        };
        let opened = beside(&wildcard).unwrap();
        let addresses = opened.iter().map(|socket| socket.get_ref().local_addr().unwrap());
        assert!(addresses.into_iter().any(|address| address == at("127.0.0.1")));
        assert!(open(at("127.0.0.1")).is_err() && open(at("127.0.0.2")).is_err());
        assert!(beside(opened[0].get_ref()).unwrap().is_empty());
    }

    #[test]
    fn a_source_has_its_burst_and_then_its_rate() {
        let mut sources = Sources::default();
        let source = "192.0.2.1:5".parse().unwrap();
        let taken =
            |sources: &mut Sources, now| (0..1000).filter(|_| sources.take(now, source)).count();
        assert_eq!(taken(&mut sources, 0), 100);
        assert_eq!(taken(&mut sources, 1000), 20);
        assert_eq!(taken(&mut sources, 100_000), 100);
    }
}
