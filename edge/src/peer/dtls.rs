//! The DTLS of a session: str0m's own, with five things done on its way.
//!
//! Empty messages get their name ([`super::empty`]), on label `http-proxy` some packets are sent
//! once more ([`super::again`]), what acknowledgements tell to be lost is sent anew
//! ([`super::mend`]), datagrams pass in batches, and no faster than the path takes them. str0m
//! takes one datagram out of DTLS each time it is polled, wants to be polled after each that
//! arrives, and each poll walks all that SCTP has in flight (ADR 9). So of a batch that leaves
//! only the first datagram passes through str0m, which knows where it goes; the batch waits in
//! [`Batches`], and the session sends it as [`Datagrams`], so many in a millisecond. Of a batch
//! that arrives, the last passes through str0m; those before it wait and are read first.
#![deny(clippy::indexing_slicing)]

use super::again::Again;
use super::empty;
use super::mend::Mend;
use edge_core::link::watermark::LEAST_PACE_BYTES;
use edge_core::time;
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};
use str0m::net::Transmit;
use str0m::{Rtc, RtcConfig};

/// Most bytes that leave in one call of the kernel.
const TOGETHER_BYTES: usize = 32 * 1024;

/// Datagrams that leave together.
#[derive(Debug, PartialEq, Eq)]
pub struct Datagrams {
    /// From which socket of ours.
    pub source: SocketAddr,
    /// To where.
    pub destination: SocketAddr,
    /// One after the other.
    pub bytes: Vec<u8>,
    /// How long each is but the last, which may be shorter.
    pub size: usize,
}

impl Datagrams {
    /// One by one.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.size.max(1))
    }
}

impl From<Transmit> for Datagrams {
    fn from(Transmit { source, destination, contents, .. }: Transmit) -> Self {
        Self { source, destination, size: contents.len(), bytes: contents.into() }
    }
}

/// Datagrams of one size, the last of which may be shorter.
#[derive(Debug)]
struct Group {
    bytes: Vec<u8>,
    size: usize,
}

impl Group {
    /// Takes off the front what fits `room`, if that is one datagram at least.
    fn split(&mut self, room: usize) -> Option<Self> {
        let Self { bytes, size } = self;
        if bytes.len() <= room {
            return Some(Self { bytes: std::mem::take(bytes), size: *size });
        }
        let rest = bytes.split_off(room / *size * *size);
        let front = std::mem::replace(bytes, rest);
        (!front.is_empty()).then_some(Self { bytes: front, size: *size })
    }
}

/// What waits between a session and its DTLS.
#[derive(Debug, Default)]
struct Waiting {
    /// The handshake is over, whose flights are none of ours, and nothing is sent once more.
    open: bool,
    /// The first of the batch that leaves is on its way through str0m.
    begun: bool,
    leaving: VecDeque<Group>,
    arrived: VecDeque<Vec<u8>>,
    /// The time as the session last heard it: str0m tells its DTLS none once it is open.
    now: Option<Instant>,
}

impl Waiting {
    fn leave(&mut self, packet: &[u8]) {
        let fits = |group: &&mut Group| {
            packet.len() <= group.size
                && group.bytes.len().is_multiple_of(group.size)
                && group.bytes.len() + packet.len() <= TOGETHER_BYTES
        };
        match self.leaving.back_mut().filter(fits) {
            Some(group) => group.bytes.extend_from_slice(packet),
            None => self.leaving.push_back(Group { bytes: packet.to_vec(), size: packet.len() }),
        }
    }
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
    leaving: VecDeque<Group>,
    /// From where to where they leave.
    path: Option<(SocketAddr, SocketAddr)>,
    /// The millisecond in which some left, and how many bytes.
    left: (time::Instant, usize),
    /// Bytes that may leave in one millisecond.
    pace: usize,
}

impl Batches {
    const fn new(shared: Shared) -> Self {
        let left = (time::Instant(0), 0);
        Self { shared, leaving: VecDeque::new(), path: None, left, pace: LEAST_PACE_BYTES }
    }

    /// Time has passed.
    pub(super) fn handle_now(&self, now: Instant) {
        lock(&self.shared).now = Some(now);
    }

    /// So many bytes may leave in one millisecond from now on.
    pub(super) const fn handle_pace(&mut self, bytes: usize) {
        self.pace = bytes;
    }

    /// Takes note of a datagram that str0m sends; whether it leaves with its batch.
    pub(super) fn follow(&mut self, datagram: &Transmit) -> bool {
        if !is_dtls(&datagram.contents) {
            return false;
        }
        self.path = Some((datagram.source, datagram.destination));
        let mut waiting = lock(&self.shared);
        waiting.begun = false;
        let has_batch = !waiting.leaving.is_empty();
        self.leaving.append(&mut waiting.leaving);
        has_batch
    }

    /// The next of those that leave, as fast as they may.
    pub(super) fn poll(&mut self, now: time::Instant) -> Option<Datagrams> {
        let (source, destination) = self.path?;
        if self.left.0 != now {
            self.left = (now, 0);
        }
        let room = self.pace.saturating_sub(self.left.1);
        let Group { bytes, size } = self.leaving.front_mut()?.split(room)?;
        self.leaving.pop_front_if(|rest| rest.bytes.is_empty());
        self.left.1 += bytes.len();
        Some(Datagrams { source, destination, bytes, size })
    }

    /// When to be polled again.
    pub(super) fn due(&self) -> Option<time::Instant> {
        (!self.leaving.is_empty()).then(|| self.left.0.plus_ms(1))
    }

    /// Keeps a datagram that has arrived on the path in use; `false`: str0m is to look at it.
    pub(super) fn keep(&self, source: SocketAddr, local: SocketAddr, bytes: &[u8]) -> bool {
        let mut waiting = lock(&self.shared);
        let keeps = waiting.open && self.path == Some((local, source)) && is_dtls(bytes);
        if keeps {
            waiting.arrived.push_back(bytes.to_vec());
        }
        keeps
    }

    /// The last one that was kept, which is to pass through str0m: source, our socket, bytes.
    pub(super) fn last_kept(&self) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        let (local, source) = self.path?;
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
    (rtc, Batches::new(shared))
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
        let mend = (!self.again).then(|| Mend::new(now));
        let (broken, packet) = (None, Vec::new());
        Ok(Box::new(Instance { inner, again, mend, shared, broken, past: now, packet }))
    }
}

#[derive(Debug)]
struct Instance {
    inner: Box<dyn DtlsInstance>,
    again: Option<Again>,
    mend: Option<Mend>,
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
        waiting.leave(packet);
        std::mem::replace(&mut waiting.begun, true)
    }

    /// Tells the mender what time it is.
    fn tell_time(&mut self) {
        if let (Some(mend), Some(now)) = (&mut self.mend, lock(&self.shared).now) {
            mend.handle_timeout(now);
        }
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
            DtlsOutput::ApplicationData(data) => {
                self.tell_time();
                let Self { inner, mend: Some(mend), .. } = self else { return output };
                mend.handle_arrived(data, |packet| inner.send_application_data(packet).is_ok());
            }
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
        self.tell_time();
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
        if self.mend.as_mut().is_some_and(|mend| !mend.handle_packet(data)) {
            return Ok(data.len());
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
    use str0m::net::Protocol;

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
        let batches = Batches::new(Arc::clone(&shared));
        (shared, batches)
    }

    #[test]
    fn a_batch_leaves_with_its_first_datagram_and_nothing_else() {
        let (shared, mut batches) = batches();
        let now = time::Instant(1);
        lock(&shared).begun = true;
        for packet in [[23, 1].as_slice(), &[23, 2], &[23], &[23, 3]] {
            lock(&shared).leave(packet);
        }
        assert!(!batches.follow(&datagram(0, 2)), "a check of ICE's to somewhere");
        assert!(batches.poll(now).is_none());
        assert!(batches.follow(&datagram(23, 3)));
        assert!(!lock(&shared).begun, "the next one begins a new batch");
        let next = batches.poll(now).expect("another");
        assert_eq!((next.destination.port(), next.size), (3, 2));
        assert_eq!(next.each().collect::<Vec<_>>(), [&[23, 1][..], &[23, 2], &[23]]);
        let next = batches.poll(now).expect("what follows a shorter one");
        assert_eq!(next.each().collect::<Vec<_>>(), [&[23, 3]]);
        assert!(batches.poll(now).is_none());
        assert!(!batches.follow(&datagram(23, 3)), "a handshake's");
    }

    #[test]
    fn so_many_leave_in_a_millisecond() {
        for pace in [LEAST_PACE_BYTES, 3 * LEAST_PACE_BYTES + 1] {
            let (shared, mut batches) = batches();
            batches.handle_pace(pace);
            for number in 0..200 {
                lock(&shared).leave(&[23, number].repeat(500));
            }
            assert!(batches.follow(&datagram(23, 3)));
            let mut sent = Vec::new();
            for ms in 5.. {
                let now = time::Instant(ms);
                let before = sent.len();
                while let Some(next) = batches.poll(now) {
                    sent.extend(
                        next.each().map(|datagram| (datagram.len(), datagram.get(1).copied())),
                    );
                }
                let bytes = 1000 * (sent.len() - before);
                assert!(bytes <= pace, "{bytes} of {pace}");
                let Some(due) = batches.due() else { break };
                assert!(bytes + 1000 > pace, "{bytes} of {pace}");
                assert_eq!(due, now.plus_ms(1));
            }
            let whole: Vec<_> = (0..200).map(|number| (1000, Some(number))).collect();
            assert_eq!(sent, whole, "each of them, in order");
        }
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
