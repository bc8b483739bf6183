//! Lets an empty data-channel message out, which the SCTP stack below swallows.
//!
//! RFC 8831 s6.6 sends an empty message as one zero byte with a payload protocol of its own.
//! sctp-proto 0.10 cuts an empty message into no chunks at all and still counts it, so that
//! an ordered channel stands still for ever after. So the session writes [`MARK`], a text that
//! it never sends otherwise, and here, between SCTP and DTLS, its chunk is named an empty
//! binary message and the packet's checksum is made anew. A retransmission passes here again.
#![deny(clippy::indexing_slicing)]

use super::again::Again;
use std::sync::Arc;
use std::time::Instant;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

/// The text that leaves as an empty binary message.
pub(super) const MARK: &[u8] = b"\0";

/// Bytes of a packet before its first chunk (RFC 9260 s3.1), its checksum being the last four.
pub(super) const COMMON_BYTES: usize = 12;
/// Bytes of a DATA chunk with one byte of data, without padding (RFC 9260 s3.3.1).
const ONE_BYTE_CHUNK: u16 = 17;
/// Payload protocols (RFC 8831 s8).
const STRING: u32 = 51;
const BINARY_EMPTY: u32 = 57;

/// The crypto of a session, `again` with what [`Again`] sends once more.
pub(super) fn crypto(again: bool) -> Arc<CryptoProvider> {
    static ONCE: Marking = Marking { again: false };
    static TWICE: Marking = Marking { again: true };
    let dtls_provider = if again { &TWICE } else { &ONCE };
    Arc::new(CryptoProvider { dtls_provider, ..from_feature_flags() })
}

#[derive(Debug)]
struct Marking {
    again: bool,
}

impl DtlsProvider for Marking {
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
        let again = self.again.then(|| Again::new(now));
        Ok(Box::new(Instance { inner, packet: Vec::new(), again }))
    }
}

#[derive(Debug)]
struct Instance {
    inner: Box<dyn DtlsInstance>,
    packet: Vec<u8>,
    again: Option<Again>,
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.inner.poll_output(buf);
        let due = self.again.as_ref().and_then(Again::due);
        if let (DtlsOutput::Timeout(at), Some(due)) = (&output, due) {
            return DtlsOutput::Timeout(due.min(*at));
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
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
        if holds_mark(data) {
            self.packet.clear();
            self.packet.extend_from_slice(data);
            rename_marks(&mut self.packet);
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

fn holds_mark(packet: &[u8]) -> bool {
    let mut at = COMMON_BYTES;
    while let Some((chunk, next)) = chunk_at(packet, at) {
        if is_mark(chunk) {
            return true;
        }
        at = next;
    }
    false
}

fn rename_marks(packet: &mut [u8]) {
    let mut at = COMMON_BYTES;
    while let Some((chunk, next)) = chunk_at(packet, at) {
        if is_mark(chunk)
            && let Some(protocol) = packet.get_mut(at + 12..at + 16)
        {
            protocol.copy_from_slice(&BINARY_EMPTY.to_be_bytes());
        }
        at = next;
    }
    if let Some(checksum) = packet.get_mut(8..COMMON_BYTES) {
        checksum.fill(0);
    }
    let sum = crc32c::crc32c(packet).to_le_bytes();
    if let Some(checksum) = packet.get_mut(8..COMMON_BYTES) {
        checksum.copy_from_slice(&sum);
    }
}

/// The chunk at that place, without its padding, and where the next one begins.
pub(super) fn chunk_at(packet: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = packet.get(at..)?;
    let (&[_, _, high, low], _) = rest.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let chunk = rest.get(..length.max(4))?;
    Some((chunk, at + length.max(4).next_multiple_of(4)))
}

/// Whether it is a whole message: text, of one byte, which is [`MARK`].
fn is_mark(chunk: &[u8]) -> bool {
    let Some((&[kind, flags, h, l], rest)) = chunk.split_first_chunk::<4>() else { return false };
    let data = (kind, flags & 0b11, u16::from_be_bytes([h, l]));
    data == (0, 0b11, ONE_BYTE_CHUNK)
        && rest.get(8..12) == Some(&STRING.to_be_bytes())
        && rest.get(12..) == Some(MARK)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests index what they made")]
mod tests {
    use super::*;

    fn data(flags: u8, protocol: u32, bytes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(16 + bytes.len()).expect("short").to_be_bytes();
        let mut chunk = vec![0, flags, length[0], length[1], 0, 0, 0, 9, 0, 1, 0, 2];
        chunk.extend_from_slice(&protocol.to_be_bytes());
        chunk.extend_from_slice(bytes);
        chunk.resize(chunk.len().next_multiple_of(4), 0);
        chunk
    }

    fn packet(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut packet = vec![7; COMMON_BYTES];
        packet.extend(chunks.concat());
        packet
    }

    #[test]
    fn only_the_mark_is_renamed() {
        let text = data(3, STRING, b"ab");
        let zero = data(3, 53, b"\0");
        let part = data(1, STRING, b"\0");
        let mark = data(7, STRING, MARK);
        assert!(!holds_mark(&packet(&[text.clone(), zero.clone(), part.clone()])));
        let mut sent = packet(&[text.clone(), mark, zero.clone(), part.clone()]);
        assert!(holds_mark(&sent));
        rename_marks(&mut sent);
        let renamed = packet(&[text, data(7, BINARY_EMPTY, MARK), zero, part]);
        assert_eq!((&sent[..8], &sent[12..]), (&renamed[..8], &renamed[12..]));
        let sum = sent[8..12].to_vec();
        sent[8..12].fill(0);
        assert_eq!(sum, crc32c::crc32c(&sent).to_le_bytes());
    }

    #[test]
    fn any_bytes_pass() {
        let whole = packet(&[data(3, STRING, b"x"), data(3, STRING, MARK)]);
        for end in 0..whole.len() - 3 {
            let mut cut = whole[..end].to_vec();
            assert!(!holds_mark(&cut), "{end}");
            rename_marks(&mut cut);
            let mut zeroed = cut;
            zeroed.fill(0);
            assert!(!holds_mark(&zeroed));
        }
    }
}
