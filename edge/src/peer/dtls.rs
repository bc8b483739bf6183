//! The DTLS of a session: str0m's own, with three things done on its way.
//!
//! Empty messages get their name ([`super::empty`]), on label `http-proxy` some packets are sent
//! once more ([`super::again`]), and datagrams pass in batches. str0m takes
//! one datagram out of DTLS each time it is polled, wants to be polled after each that arrives,
//! and each poll walks all that SCTP has in flight (ADR 9). So the first datagram of a batch that
//! leaves passes through str0m, which knows where it goes; the others wait in [`Batches`], and the
//! session sends them after the first. Of a batch that arrives, the last passes through str0m;
//! those before it wait in [`Batches`] and are read first.
#![deny(clippy::indexing_slicing)]

use super::again::Again;
use super::empty;
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};
use str0m::net::{Protocol, Transmit};
use str0m::{Rtc, RtcConfig};

/// What waits between a session and its DTLS.
#[derive(Debug, Default)]
struct Waiting {
    /// The handshake is over, whose flights are none of ours, and nothing is sent once more.
    open: bool,
    /// The first of the batch that leaves is on its way through str0m.
    begun: bool,
    rest: VecDeque<Vec<u8>>,
    arrived: VecDeque<Vec<u8>>,
}

type Shared = Arc<Mutex<Waiting>>;

thread_local! {
    /// What waits in the session that is being built: str0m's providers are for all sessions.
    static BUILDING: Cell<Option<Shared>> = const { Cell::new(None) };
}

/// A session's datagrams on their way past str0m.
#[derive(Debug)]
pub(super) struct Batches {
    shared: Shared,
    leaving: VecDeque<Vec<u8>>,
    /// From where to where they leave.
    path: Option<(Protocol, SocketAddr, SocketAddr)>,
}

impl Batches {
    /// Takes note of a datagram that str0m sends: with the first of a batch go the others.
    pub(super) fn follow(&mut self, datagram: &Transmit) {
        if !is_dtls(&datagram.contents) {
            return;
        }
        self.path = Some((datagram.proto, datagram.source, datagram.destination));
        let mut waiting = lock(&self.shared);
        waiting.begun = false;
        self.leaving.append(&mut waiting.rest);
    }

    /// The next one of the batch that leaves.
    pub(super) fn poll(&mut self) -> Option<Transmit> {
        let (proto, source, destination) = self.path?;
        let contents = self.leaving.pop_front()?.into();
        Some(Transmit { proto, source, destination, contents })
    }

    /// Keeps a datagram that has arrived on the path in use; `false`: str0m is to look at it.
    pub(super) fn keep(&self, source: SocketAddr, local: SocketAddr, bytes: &[u8]) -> bool {
        let mut waiting = lock(&self.shared);
        let keeps =
            waiting.open && self.path == Some((Protocol::Udp, local, source)) && is_dtls(bytes);
        if keeps {
            waiting.arrived.push_back(bytes.to_vec());
        }
        keeps
    }

    /// The last one that was kept, which is to pass through str0m: source, our socket, bytes.
    pub(super) fn last_kept(&self) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        let (_, local, source) = self.path?;
        Some((source, local, lock(&self.shared).arrived.pop_back()?))
    }
}

/// RFC 7983 s7: the first byte tells DTLS from STUN.
fn is_dtls(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (20..=63).contains(first))
}

/// Builds a session's `Rtc`, `again` with what [`Again`] sends once more, and the way past it.
pub(super) fn build(config: RtcConfig, again: bool, now: Instant) -> (Rtc, Batches) {
    static ONCE: Provider = Provider { again: false };
    static TWICE: Provider = Provider { again: true };
    let shared = Shared::default();
    let dtls_provider = if again { &TWICE } else { &ONCE };
    let crypto = CryptoProvider { dtls_provider, ..from_feature_flags() };
    BUILDING.set(Some(Arc::clone(&shared)));
    let rtc = config.set_crypto_provider(Arc::new(crypto)).build(now);
    BUILDING.set(None);
    (rtc, Batches { shared, leaving: VecDeque::new(), path: None })
}

/// Nobody panics while holding it.
fn lock(shared: &Shared) -> MutexGuard<'_, Waiting> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Provider {
    again: bool,
}

impl DtlsProvider for Provider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = from_feature_flags().dtls_provider.new_dtls(cert, now, version, mtu)?;
        let shared = BUILDING.take().unwrap_or_default();
        let again = self.again.then(|| Again::new(now));
        let (broken, packet) = (None, Vec::new());
        Ok(Box::new(Instance { inner, again, shared, broken, past: now, packet }))
    }
}

#[derive(Debug)]
struct Instance {
    inner: Box<dyn DtlsInstance>,
    again: Option<Again>,
    shared: Shared,
    /// What came of a datagram that was kept, told when str0m asks next.
    broken: Option<DtlsImplError>,
    /// Some time that has come.
    past: Instant,
    packet: Vec<u8>,
}

impl Instance {
    /// Whether this datagram goes the way of the batch that has begun.
    fn holds(&self, packet: &[u8]) -> bool {
        let mut waiting = lock(&self.shared);
        if !waiting.open {
            return false;
        }
        if waiting.begun {
            waiting.rest.push_back(packet.to_vec());
        }
        std::mem::replace(&mut waiting.begun, true)
    }

    /// Reads the next datagram that was kept; `false` where there is none.
    fn read_kept(&mut self) -> bool {
        let Some(packet) = lock(&self.shared).arrived.pop_front() else { return false };
        self.broken = self.inner.handle_packet(&packet).err();
        self.broken.is_none()
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        lock(&self.shared).arrived.push_back(packet.to_vec());
        if self.read_kept() { Ok(()) } else { self.broken.take().map_or(Ok(()), Err) }
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.inner.poll_output(buf);
        match &output {
            // Where packets are sent once more, batches made answers late under loss.
            DtlsOutput::Connected => lock(&self.shared).open = self.again.is_none(),
            // Said again, it only has str0m go on asking.
            DtlsOutput::Packet(packet) if self.holds(packet) => return DtlsOutput::Connected,
            DtlsOutput::Timeout(_) if self.read_kept() => return DtlsOutput::Connected,
            DtlsOutput::Timeout(_) if self.broken.is_some() => {
                return DtlsOutput::Timeout(self.past);
            }
            _ => {}
        }
        let due = self.again.as_ref().and_then(Again::due);
        if let (DtlsOutput::Timeout(at), Some(due)) = (&output, due) {
            return DtlsOutput::Timeout(due.min(*at));
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.broken.take().map_or(Ok(()), Err)?;
        self.inner.handle_timeout(now)?;
        let Some(again) = &mut self.again else { return Ok(()) };
        again.handle_timeout(now);
        while let Some(packet) = again.poll_packet() {
            // Where there is no room for it, it was sent once, as others are.
            let _ = self.inner.send_application_data(&packet);
        }
        Ok(())
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        let mut data = data;
        if empty::holds_mark(data) {
            self.packet.clear();
            self.packet.extend_from_slice(data);
            empty::rename_marks(&mut self.packet);
            data = &self.packet;
        }
        if let Some(again) = &mut self.again {
            again.handle_packet(data);
        }
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(first: u8, port: u16) -> Transmit {
        Transmit {
            proto: Protocol::Udp,
            source: ([127, 0, 0, 1], 1).into(),
            destination: ([127, 0, 0, 1], port).into(),
            contents: vec![first, 0, 0].into(),
        }
    }

    fn batches() -> (Shared, Batches) {
        let shared = Shared::default();
        let batches = Batches { shared: Arc::clone(&shared), leaving: VecDeque::new(), path: None };
        (shared, batches)
    }

    #[test]
    fn a_batch_follows_its_first_datagram_and_nothing_else() {
        let (shared, mut batches) = batches();
        lock(&shared).begun = true;
        lock(&shared).rest.extend([vec![23, 1], vec![23, 2]]);
        batches.follow(&datagram(0, 2));
        assert!(batches.poll().is_none(), "a check of ICE's to somewhere");
        batches.follow(&datagram(23, 3));
        assert!(!lock(&shared).begun, "the next one begins a new batch");
        for number in [1, 2] {
            let next = batches.poll().expect("another");
            assert_eq!((next.destination.port(), &*next.contents), (3, &[23, number][..]));
        }
        assert!(batches.poll().is_none());
    }

    #[test]
    fn only_what_comes_on_the_path_in_use_is_kept() {
        let (shared, mut batches) = batches();
        let (here, there, elsewhere) =
            (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 3).into(), ([127, 0, 0, 1], 4).into());
        batches.follow(&datagram(23, 3));
        assert!(!batches.keep(there, here, &[23, 1]), "the handshake is str0m's");
        lock(&shared).open = true;
        assert!(!batches.keep(elsewhere, here, &[23, 1]) && !batches.keep(there, there, &[23, 1]));
        assert!(!batches.keep(there, here, &[0, 1]) && !batches.keep(there, here, &[]), "no DTLS");
        assert!(batches.keep(there, here, &[23, 1]) && batches.keep(there, here, &[23, 2]));
        assert_eq!(batches.last_kept(), Some((there, here, vec![23, 2])));
        assert_eq!(lock(&shared).arrived, [vec![23, 1]], "this one is read before it");
    }
}
