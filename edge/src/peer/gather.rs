//! Which addresses of ours a session offers: those of the interfaces, and what STUN servers
//! see of them (RFC 8489).
#![deny(clippy::indexing_slicing)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most addresses one session opens a socket on; further ones are left out.
pub const ADDRESSES: usize = 8;
/// Most STUN servers asked by one session.
pub const SERVERS: usize = 4;
/// When a STUN server is asked, ms after the offer; the answer never waits for it.
pub const ASK_AT_MS: [u64; 3] = [0, 150, 350];
/// When gathering ends, ms after the offer.
pub const GATHER_MS: u64 = 500;

const MAGIC: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// A transaction id.
pub type Transaction = [u8; 12];

/// This machine's addresses as they are now.
pub fn local() -> Vec<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    usable(all.iter().map(if_addrs::Interface::ip).collect())
}

/// The addresses worth offering: no link-local IPv6, and loopback only where there is nothing
/// else (tests, and a phone's browser on the box itself).
pub fn usable(mut all: Vec<IpAddr>) -> Vec<IpAddr> {
    all.retain(|ip| match ip {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_unicast_link_local() && !v6.is_multicast(),
    });
    if all.iter().any(|ip| !ip.is_loopback()) {
        all.retain(|ip| !ip.is_loopback());
    }
    all.sort_by_key(IpAddr::is_ipv6);
    all.dedup();
    all.truncate(ADDRESSES);
    all
}

/// A binding request without attributes.
pub fn binding_request(transaction: &Transaction) -> [u8; 20] {
    let mut bytes = [0; 20];
    let parts = [&BINDING_REQUEST[..], &[0, 0], &MAGIC, transaction];
    for (byte, value) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
        *byte = *value;
    }
    bytes
}

/// The address that a binding response to `transaction` says we have; `None` for anything
/// else.
pub fn mapped_address(bytes: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (head, rest) = bytes.split_first_chunk::<20>()?;
    let (kind, head) = head.split_first_chunk::<2>()?;
    let (length, head) = head.split_first_chunk::<2>()?;
    let (magic, id) = head.split_first_chunk::<4>()?;
    if (*kind, *magic, id) != (BINDING_SUCCESS, MAGIC, &transaction[..]) {
        return None;
    }
    let mut attributes = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    while let Some((&[k0, k1, l0, l1], rest)) = attributes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = rest.get(..length)?;
        if u16::from_be_bytes([k0, k1]) == XOR_MAPPED_ADDRESS {
            return unmask(value, transaction);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn unmask(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let [m0, m1, ..] = MAGIC;
    let port = u16::from_be_bytes([p0 ^ m0, p1 ^ m1]);
    let keys = MAGIC.iter().chain(transaction);
    let ip = match family {
        1 => {
            let mut octets = <[u8; 4]>::try_from(address).ok()?;
            octets.iter_mut().zip(keys).for_each(|(octet, key)| *octet ^= key);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        2 => {
            let mut octets = <[u8; 16]>::try_from(address).ok()?;
            octets.iter_mut().zip(keys).for_each(|(octet, key)| *octet ^= key);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    (port != 0 && !ip.is_unspecified()).then_some(SocketAddr::new(ip, port))
}

/// Host and port of a `stun:` URL; other schemes are not ours to use.
pub fn stun_server(url: &str) -> Option<(String, u16)> {
    let rest = url.strip_prefix("stun:")?;
    let rest = rest.split('?').next()?;
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok()?)
        }
        _ => (rest, 3478),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests index what they made")]
mod tests {
    use super::*;

    /// RFC 5769 s2.2 and s2.3, without their integrity attributes.
    const TRANSACTION: Transaction =
        [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn response(attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).expect("short").to_be_bytes();
        [&BINDING_SUCCESS[..], &length, &MAGIC, &TRANSACTION, attributes].concat()
    }

    const SOFTWARE: &[u8] = b"\x80\x22\x00\x0btest vector\x20";
    const V4: &[u8] = b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43";
    const V6: &[u8] = b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";

    #[test]
    fn the_mapped_addresses_of_rfc_5769() {
        for (attribute, expect) in
            [(V4, "192.0.2.1:32853"), (V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
        {
            let bytes = response(&[SOFTWARE, attribute].concat());
            let expect: SocketAddr = expect.parse().expect("an address");
            assert_eq!(mapped_address(&bytes, &TRANSACTION), Some(expect));
            assert_eq!(mapped_address(&bytes, &[0; 12]), None, "another's");
            for end in 0..bytes.len() {
                assert_eq!(mapped_address(&bytes[..end], &TRANSACTION), None, "cut at {end}");
            }
            for at in 0..bytes.len() {
                let mut garbled = bytes.clone();
                garbled[at] ^= 0xff;
                let _ = mapped_address(&garbled, &TRANSACTION);
            }
        }
    }

    #[test]
    fn a_request_is_twenty_bytes_of_the_rfc() {
        let request = binding_request(&TRANSACTION);
        assert_eq!(request[..8], [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(request[8..], TRANSACTION);
    }

    #[test]
    fn addresses_worth_offering() {
        for (all, expect) in [
            (&["127.0.0.1", "::1"][..], &["127.0.0.1", "::1"][..]),
            (&["127.0.0.1", "10.0.0.2"], &["10.0.0.2"]),
            (&["fe80::1", "fd00::5", "192.168.1.2", "::1"], &["192.168.1.2", "fd00::5"]),
            (&["0.0.0.0", "fe80::1"], &[]),
        ] {
            let parse = |list: &[&str]| -> Vec<IpAddr> {
                list.iter().map(|text| text.parse().expect("an address")).collect()
            };
            assert_eq!(usable(parse(all)), parse(expect));
        }
        let many = (0..40).map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n))).collect();
        assert_eq!(usable(many).len(), ADDRESSES);
    }

    #[test]
    fn stun_urls() {
        for (url, expect) in [
            ("stun:example.org", Some(("example.org", 3478))),
            ("stun:example.org:3479", Some(("example.org", 3479))),
            ("stun:10.0.0.1:1?transport=udp", Some(("10.0.0.1", 1))),
            ("stun:[fd00::1]:9", Some(("fd00::1", 9))),
            ("stun:[fd00::1]", Some(("fd00::1", 3478))),
            ("turn:example.org", None),
            ("stun:", None),
            ("stun:host:port", None),
        ] {
            let expect = expect.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(stun_server(url), expect, "{url}");
        }
    }
}
