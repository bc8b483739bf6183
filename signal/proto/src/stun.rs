//! STUN Binding (RFC 8489): what a server needs to tell an asker its own address, and what an
//! asker needs to ask.
//!
//! ```text
//!  0       2       4        8                   20
//!  +-------+-------+--------+-------------------+------------------- - -
//!  | type  | length| cookie | transaction id    | attributes: type, length, value, padding
//!  +-------+-------+--------+-------------------+------------------- - -
//! ```
//! Integers are big-endian; `length` counts what follows the transaction id. Attributes that do
//! not fill it exactly make the whole no STUN. An answer is one datagram, at most [`GROWTH_MAX`]
//! bytes longer than what it answers, so nobody gains by asking in another's name.
#![deny(clippy::indexing_slicing)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use heapless::Vec;

/// Names one question and its answer.
pub type Transaction = [u8; 12];

/// The longest datagram written here, in bytes: a head and an IPv6 address.
pub const DATAGRAM_MAX: usize = 44;

/// The bytes that an answer may be longer than its request: an IPv6 address; for IPv4 and for
/// refusals it is half of that.
pub const GROWTH_MAX: usize = 24;

/// A datagram to send.
pub type Datagram = Vec<u8, DATAGRAM_MAX>;

const COOKIE: u32 = 0x2112_a442;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const MAPPED_ADDRESS: u16 = 0x0001;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
const FINGERPRINT: u16 = 0x8028;
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Most unknown attributes that an error answer names.
const UNKNOWN_MAX: usize = 2;

/// A Binding request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    transaction: Transaction,
    /// Attributes that must be understood, and are not.
    unknown: Vec<u16, UNKNOWN_MAX>,
}

impl Request {
    /// Reads a Binding request; `None` for anything else, which is not answered.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let (kind, transaction, attributes) = parse_head(datagram)?;
        if kind != BINDING_REQUEST {
            return None;
        }
        let (mut unknown, mut is_sealed) = (Vec::new(), false);
        for (kind, value, before) in Attributes::of(datagram, attributes) {
            match kind {
                FINGERPRINT if !is_fingerprint(datagram, value, before) => return None,
                // What follows an integrity is not covered by it, and counts for nothing (s14.5).
                MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256 => is_sealed = true,
                // Credentials, which a server that asks for none passes over: USERNAME, REALM,
                // NONCE, PASSWORD-ALGORITHM, USERHASH. And what is known, but means nothing in
                // a request (s6.3): MAPPED-ADDRESS, ERROR-CODE, UNKNOWN-ATTRIBUTES and
                // XOR-MAPPED-ADDRESS.
                0x0006 | 0x0014 | 0x0015 | 0x001d | 0x001e | 0x0001 | 0x0009 | 0x000a | 0x0020 => {}
                // RFC 5780's CHANGE-REQUEST and the like are to be refused by name.
                0..=0x7fff if !is_sealed => {
                    let _ = unknown.push(kind);
                }
                _ => {}
            }
        }
        Some(Self { transaction, unknown })
    }

    /// The answer for the asker at `source`.
    pub fn answer(&self, source: SocketAddr) -> Datagram {
        if self.unknown.is_empty() {
            let source = SocketAddr::new(source.ip().to_canonical(), source.port());
            return success(self.transaction, source);
        }
        let mut body = Vec::<u8, 24>::new();
        put(&mut body, ERROR_CODE.to_be_bytes());
        put(&mut body, [0, 4, 0, 0, 4, 20]);
        put(&mut body, UNKNOWN_ATTRIBUTES.to_be_bytes());
        put(&mut body, [0, if self.unknown.len() == 1 { 2 } else { 4 }]);
        for slot in 0..UNKNOWN_MAX {
            put(&mut body, self.unknown.get(slot).copied().unwrap_or(0).to_be_bytes());
        }
        message(BINDING_ERROR, self.transaction, &body)
    }
}

fn success(transaction: Transaction, source: SocketAddr) -> Datagram {
    let mut body = Vec::<u8, 24>::new();
    put(&mut body, XOR_MAPPED_ADDRESS.to_be_bytes());
    let port = (source.port() ^ cookie_high()).to_be_bytes();
    match source.ip() {
        IpAddr::V4(v4) => {
            put(&mut body, [0, 8, 0, 1]);
            put(&mut body, port);
            put(&mut body, (v4.to_bits() ^ COOKIE).to_be_bytes());
        }
        IpAddr::V6(v6) => {
            put(&mut body, [0, 20, 0, 2]);
            put(&mut body, port);
            put(&mut body, (v6.to_bits() ^ wide_mask(transaction)).to_be_bytes());
        }
    }
    message(BINDING_SUCCESS, transaction, &body)
}

/// A Binding request with a transaction id of fresh entropy.
pub fn request(transaction: Transaction) -> Datagram {
    message(BINDING_REQUEST, transaction, &[])
}

/// The asker's address in the success answer to `transaction`; `None` for anything else.
pub fn parse_answer(datagram: &[u8], transaction: Transaction) -> Option<SocketAddr> {
    let (kind, answered, attributes) = parse_head(datagram)?;
    if kind != BINDING_SUCCESS || answered != transaction {
        return None;
    }
    let (mut masked, mut plain) = (None, None);
    for (kind, value, before) in Attributes::of(datagram, attributes) {
        match kind {
            XOR_MAPPED_ADDRESS => masked = Some(parse_address(value, Some(transaction))?),
            MAPPED_ADDRESS => plain = parse_address(value, None),
            FINGERPRINT if !is_fingerprint(datagram, value, before) => return None,
            _ => {}
        }
    }
    masked.or(plain)
}

/// Whether a datagram has a STUN head, as opposed to DTLS or media on the same socket.
pub fn is_stun(datagram: &[u8]) -> bool {
    parse_head(datagram).is_some()
}

fn parse_address(value: &[u8], masked: Option<Transaction>) -> Option<SocketAddr> {
    let (&[_, family, high, low], address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([high, low]);
    let address = match family {
        1 => {
            let bits = u32::from_be_bytes(address.try_into().ok()?);
            IpAddr::V4(Ipv4Addr::from_bits(bits ^ masked.map_or(0, |_| COOKIE)))
        }
        2 => {
            let bits = u128::from_be_bytes(address.try_into().ok()?);
            IpAddr::V6(Ipv6Addr::from_bits(bits ^ masked.map_or(0, wide_mask)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port ^ masked.map_or(0, |_| cookie_high())))
}

fn message(kind: u16, transaction: Transaction, body: &[u8]) -> Datagram {
    let mut datagram = Datagram::new();
    let length = u16::try_from(body.len()).expect("a body is at most 24 bytes");
    put(&mut datagram, kind.to_be_bytes());
    put(&mut datagram, length.to_be_bytes());
    put(&mut datagram, COOKIE.to_be_bytes());
    put(&mut datagram, transaction);
    datagram.extend_from_slice(body).expect("a body is at most 24 bytes");
    datagram
}

fn put<const N: usize, const C: usize>(out: &mut Vec<u8, C>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes).expect("the capacity counts every field");
}

/// Type, transaction and attributes of a well-formed message that ends where it says.
fn parse_head(datagram: &[u8]) -> Option<(u16, Transaction, &[u8])> {
    let (kind, rest) = datagram.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (cookie, rest) = rest.split_first_chunk()?;
    let (transaction, attributes) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let mut walk = Attributes::of(datagram, attributes);
    walk.by_ref().for_each(drop);
    let is_whole = length == attributes.len() && walk.rest.is_empty();
    let stun = u32::from_be_bytes(*cookie) == COOKIE;
    (is_whole && stun).then_some((u16::from_be_bytes(*kind), *transaction, attributes))
}

/// Type and value of each attribute, and the datagram's bytes before it; stops at the first
/// that does not fit, which [`parse_head`] lets nobody see.
struct Attributes<'a> {
    datagram: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    const fn of(datagram: &'a [u8], attributes: &'a [u8]) -> Self {
        Self { datagram, rest: attributes }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let before = self.datagram.get(..self.datagram.len() - self.rest.len())?;
        let (kind, rest) = self.rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let value = rest.get(..length)?;
        self.rest = rest.get(length.next_multiple_of(4)..)?;
        Some((u16::from_be_bytes(*kind), value, before))
    }
}

/// Whether a FINGERPRINT is the last attribute and right.
fn is_fingerprint(datagram: &[u8], value: &[u8], before: &[u8]) -> bool {
    before.len() + 8 == datagram.len() && value == fingerprint(before).to_be_bytes()
}

/// FINGERPRINT over the bytes before it (RFC 8489 s14.7).
fn fingerprint(before: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in before {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc ^ FINGERPRINT_XOR
}

const fn cookie_high() -> u16 {
    0x2112
}

/// What an IPv6 address is masked with: the cookie, then the transaction id.
fn wide_mask(transaction: Transaction) -> u128 {
    let low = transaction.iter().fold(0, |all, byte| all << 8 | u128::from(*byte));
    u128::from(COOKIE) << 96 | low
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests cut their own bytes")]
mod tests {
    use super::*;

    const TRANSACTION: Transaction =
        [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    /// RFC 5769 s2.1, a request with credentials and a fingerprint.
    const SAMPLE: [u8; 108] = [
        0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6,
        0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74,
        0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e,
        0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36,
        0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20,
        0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e,
        0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5,
        0x7a, 0x3b, 0xcf,
    ];

    /// RFC 5769 s2.2, s2.3: the answers to it, and s2.4, a request with long-term credentials.
    const ANSWER_V4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f\
        7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d\
        4c96";
    const ANSWER_V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f\
        7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292\
        c275bfe3ed4180280004c8fb0b4c";
    const LONG_TERM: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae3\
        8383e382afe382b900000015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341001\
        4000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666";

    fn bytes(hex: &str) -> Vec<u8, 128> {
        let digits: Vec<u8, 256> =
            hex.chars().filter_map(|it| it.to_digit(16)?.try_into().ok()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// A request with these attributes, each a type and a value of whole words.
    fn request_with(attributes: &[(u16, &[u8])]) -> Vec<u8, 128> {
        let mut whole: Vec<u8, 128> = request(TRANSACTION).iter().copied().collect();
        for (kind, value) in attributes {
            put(&mut whole, kind.to_be_bytes());
            put(&mut whole, u16::try_from(value.len()).unwrap().to_be_bytes());
            whole.extend_from_slice(value).unwrap();
        }
        let length = u16::try_from(whole.len() - 20).unwrap().to_be_bytes();
        whole[2..4].copy_from_slice(&length);
        whole
    }

    #[test]
    fn asks_and_answers_both_families() {
        for (source, seen, length) in [
            ("192.0.2.1:32853", "192.0.2.1:32853", 32),
            ("[::ffff:192.0.2.1]:1", "192.0.2.1:1", 32),
            (
                "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
                "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
                44,
            ),
        ] {
            let request = Request::parse(&request(TRANSACTION)).unwrap();
            let answer = request.answer(source.parse().unwrap());
            assert_eq!(answer.len(), length);
            assert_eq!(parse_answer(&answer, TRANSACTION), seen.parse().ok());
            assert_eq!(parse_answer(&answer, [0; 12]), None, "another's answer");
        }
    }

    /// RFC 5769 s2.2 and s2.3 give these masked addresses.
    #[test]
    fn masks_addresses_as_the_rfc_does() {
        let answer = success(TRANSACTION, "192.0.2.1:32853".parse().unwrap());
        assert_eq!(answer[20..], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let v6 = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        let expected = [
            0, 0x20, 0, 20, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc,
            0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        assert_eq!(success(TRANSACTION, v6)[20..], expected);
    }

    #[test]
    fn a_sample_of_the_rfc_passes_until_a_bit_is_wrong() {
        // PRIORITY (0x0024) belongs to ICE, which this server does not speak: refused by name.
        let request = Request::parse(&SAMPLE).unwrap();
        assert_eq!(request.unknown[..], [0x0024]);
        let refusal = request.answer("192.0.2.1:1".parse().unwrap());
        assert_eq!(refusal[..4], [1, 0x11, 0, 16]);
        assert_eq!(refusal[20..], [0, 9, 0, 4, 0, 0, 4, 20, 0, 10, 0, 2, 0, 0x24, 0, 0]);
        let mut wrong = SAMPLE;
        wrong[30] ^= 1;
        assert_eq!(Request::parse(&wrong), None, "the fingerprint tells");
    }

    #[test]
    fn the_answers_of_the_rfc_are_read_until_a_bit_is_wrong() {
        for (hex, seen) in [
            (ANSWER_V4, "192.0.2.1:32853"),
            (ANSWER_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        ] {
            let answer = bytes(hex);
            assert_eq!(parse_answer(&answer, TRANSACTION), seen.parse().ok());
            for bit in 0..answer.len() * 8 {
                let mut wrong = answer.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                // Where a wrong bit takes the FINGERPRINT for something else, none is there.
                let has_print = parse_head(&wrong).is_some_and(|(_, _, rest)| {
                    Attributes::of(&wrong, rest).any(|(kind, ..)| kind == FINGERPRINT)
                });
                assert!(!has_print || parse_answer(&wrong, TRANSACTION).is_none(), "bit {bit}");
            }
        }
    }

    #[test]
    fn credentials_are_passed_over() {
        let request = Request::parse(&bytes(LONG_TERM)).unwrap();
        let source = "192.0.2.1:32853".parse().unwrap();
        assert_eq!(parse_answer(&request.answer(source), request.transaction), Some(source));
    }

    #[test]
    fn what_must_be_understood_is_named() {
        type Attribute = (u16, &'static [u8]);
        let change: Attribute = (3, &[0, 0, 0, 6]);
        let integrity: Attribute = (8, &[7; 20]);
        let table: [(&[Attribute], &[u16]); 7] = [
            (&[change], &[3]),
            (&[(0x7fff, &[]), change, (0x24, &[0; 4])], &[0x7fff, 3]),
            // Optional, known without meaning here, or behind an integrity that does not cover it.
            (&[(0x8022, b"name"), (0x802c, &[])], &[]),
            (&[(1, &[0; 8]), (0x20, &[0; 8])], &[]),
            (&[integrity, change], &[]),
            (&[change, integrity], &[3]),
            (&[], &[]),
        ];
        for (attributes, unknown) in table {
            let whole = request_with(attributes);
            let request = Request::parse(&whole).unwrap();
            assert_eq!(request.unknown[..], *unknown, "{attributes:?}");
            for source in ["192.0.2.1:1", "[2001:db8::1]:1"] {
                let answer = request.answer(source.parse().unwrap());
                assert_eq!(answer[..2], [1, if unknown.is_empty() { 1 } else { 0x11 }]);
                assert!(answer.len() <= whole.len() + GROWTH_MAX);
                let is_small = source.starts_with("192") || !unknown.is_empty();
                assert!(!is_small || answer.len() <= whole.len() + GROWTH_MAX / 2);
            }
        }
    }

    #[test]
    fn what_is_not_whole_gets_no_answer() {
        // An attribute that ends beyond the datagram, and a rest that is too short for one.
        let mut long = request_with(&[(0x8022, b"name")]);
        long[23] = 8;
        assert_eq!(Request::parse(&long), None);
        long[23] = 5;
        assert_eq!(Request::parse(&long), None);
        // A FINGERPRINT is right only at the end, and only with four bytes.
        let mut sealed = request_with(&[(FINGERPRINT, &[0; 4])]);
        let print = fingerprint(&sealed[..20]).to_be_bytes();
        sealed[24..28].copy_from_slice(&print);
        assert!(Request::parse(&sealed).is_some());
        let mut early = request_with(&[(FINGERPRINT, &[0; 4]), (0x8022, b"name")]);
        let print = fingerprint(&early[..20]).to_be_bytes();
        early[24..28].copy_from_slice(&print);
        assert_eq!(Request::parse(&early), None);
        assert_eq!(Request::parse(&request_with(&[(FINGERPRINT, &[])])), None);
    }

    #[test]
    fn only_whole_requests_are_answered() {
        let whole = request(TRANSACTION);
        for length in 0..whole.len() {
            assert_eq!(Request::parse(&whole[..length]), None);
        }
        for length in 0..SAMPLE.len() {
            assert_eq!(Request::parse(&SAMPLE[..length]), None);
            let _ = parse_answer(&SAMPLE[..length], TRANSACTION);
        }
        let answer = success(TRANSACTION, "192.0.2.1:1".parse().unwrap());
        assert_eq!(Request::parse(&answer), None, "an answer to an answer would never end");
        let mut indication = whole.clone();
        indication[1] = 0x11;
        assert_eq!(Request::parse(&indication), None);
        let mut other = whole;
        other[4] = 0;
        assert_eq!(Request::parse(&other), None);
        assert!(!is_stun(&[22, 254, 253, 0]) && is_stun(&SAMPLE));
    }
}
