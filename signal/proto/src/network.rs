//! Which network a client belongs to, as far as a meeting place can tell from its address.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Addresses that begin alike: `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Of IPv4 addresses, v4-mapped ones included; or of IPv6 ones, those not.
    is_v4: bool,
    address: u128,
    mask: u128,
}

impl Prefix {
    /// The prefix of `address`'s first `length` bits; `None` where it has not so many.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let length = match address {
            IpAddr::V4(_) => u32::from(length).checked_add(96).filter(|bits| *bits <= 128)?,
            IpAddr::V6(_) => u32::from(length),
        };
        let mask = match length {
            0 => 0,
            1..=128 => u128::MAX << (128 - length),
            _ => return None,
        };
        let is_v4 = length >= 96 && wide(address) >> 32 == 0xffff;
        Some(Self { is_v4, address: wide(address) & mask, mask })
    }

    /// Reads `ADDRESS/LENGTH`, or an address alone for itself.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((_, length)) if !length.bytes().all(|digit| digit.is_ascii_digit()) => {
                return None;
            }
            Some((address, length)) => (address, Some(length.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        Self::new(address, length.unwrap_or(whole))
    }

    /// Whether `address` begins alike; an IPv4 address and its v4-mapped twin are one.
    pub fn contains(&self, address: IpAddr) -> bool {
        let is_v4 = address.to_canonical().is_ipv4();
        is_v4 == self.is_v4 && wide(address) & self.mask == self.address
    }
}

/// An address as 128 bits, IPv4 in its v4-mapped form.
fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// A network that shares one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// One IPv4 address: a home behind its router.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address: one link.
    V6(u64),
    /// One IPv6 address that says nothing about the network around it.
    Alone(Ipv6Addr),
    /// The home that this server stands in.
    Home,
}

/// The text that room ids are derived from.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(prefix) => {
                write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*prefix) << 64))
            }
            Self::Alone(address) => address.fmt(f),
            Self::Home => f.write_str("home"),
        }
    }
}

/// How clients are sorted into networks.
#[derive(Debug, Clone, Default)]
pub struct Grouping {
    /// The server stands in a home, whose clients share one room.
    pub home: bool,
    /// The networks that the server itself is attached to; they count as home.
    pub on_link: Vec<Prefix>,
}

impl Grouping {
    /// The network of the client at `address`.
    pub fn network(&self, address: IpAddr) -> Network {
        let address = address.to_canonical();
        if self.home && (is_local(address) || self.on_link.iter().any(|p| p.contains(address))) {
            return Network::Home;
        }
        match address {
            IpAddr::V4(v4) => Network::V4(v4),
            // Behind a proxy or a tunnel, strangers may share such a prefix.
            IpAddr::V6(v6) if is_local(address) => Network::Alone(v6),
            IpAddr::V6(v6) => Network::V6(upper(v6)),
        }
    }
}

/// The first 64 bits.
fn upper(address: Ipv6Addr) -> u64 {
    u64::try_from(address.to_bits() >> 64).expect("64 bits remain")
}

/// Whether the address means something only nearby: private, link-local, unique-local, loopback.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

/// Who shares the limits of one address: an IPv4 address, or a /64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site(u128);

impl Site {
    /// The site of `address`.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => wide(v4.into()),
            IpAddr::V6(v6) => u128::from(upper(v6)) << 64,
        })
    }

    /// What tells it from other sites.
    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// The client's address: `peer`'s own, or what trusted proxies say, namely the right-most hop
/// of the X-Forwarded-For headers (in their order) that is no trusted proxy itself.
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[Prefix],
) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|prefix| prefix.contains(address));
    let mut nearest = peer.to_canonical();
    for hop in forwarded.rev().flat_map(|header| header.rsplit(',')) {
        if !is_trusted(nearest) {
            break;
        }
        // What a proxy garbled says nothing; the proxy itself is the client then.
        let Some(address) = parse_hop(hop.trim()) else { break };
        nearest = address.to_canonical();
    }
    nearest
}

fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = || hop.parse().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_hold_what_begins_alike() {
        let table = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
            ("::/64", "::2", true),
            ("::/64", "10.0.0.1", false),
            ("::/0", "::ffff:10.0.0.1", false),
            ("::ffff:10.0.0.0/104", "10.0.0.1", true),
        ];
        for (prefix, address, held) in table {
            assert_eq!(Prefix::parse(prefix).unwrap().contains(ip(address)), held, "{prefix}");
        }
        for wrong in
            ["", "10.0.0.0/33", "::/129", "10.0.0/8", "x", "10.0.0.0/", "1.2.3.4/255", "::/+8"]
        {
            assert_eq!(Prefix::parse(wrong), None, "{wrong}");
        }
    }

    /// S15, S20.
    #[test]
    fn each_home_is_a_network() {
        let abroad = Grouping::default();
        let home = Grouping {
            home: true,
            on_link: Prefix::parse("2001:db8:5:6::/64").into_iter().collect(),
        };
        let table = [
            ("203.0.113.9", "203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9", "203.0.113.9"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1:2::/64"),
            ("2001:db8:5:6::7", "2001:db8:5:6::/64", "home"),
            ("192.168.1.4", "192.168.1.4", "home"),
            ("169.254.0.9", "169.254.0.9", "home"),
            ("127.0.0.1", "127.0.0.1", "home"),
            ("::ffff:127.0.0.1", "127.0.0.1", "home"),
            ("::1", "::1", "home"),
            ("fe80::1", "fe80::1", "home"),
            ("fd00::1:2", "fd00::1:2", "home"),
        ];
        for (address, outside, inside) in table {
            assert_eq!(abroad.network(ip(address)).to_string(), outside);
            assert_eq!(home.network(ip(address)).to_string(), inside);
        }
    }

    /// S19.
    #[test]
    fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
        let trusted: Vec<_> = ["10.0.0.0/8", "::1"].into_iter().filter_map(Prefix::parse).collect();
        let table: [(&str, &[&str], &str); 9] = [
            ("203.0.113.5", &["9.9.9.9"], "203.0.113.5"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["9.9.9.9"], "9.9.9.9"),
            ("10.0.0.1", &["1.1.1.1, 9.9.9.9"], "9.9.9.9"),
            ("10.0.0.1", &["1.1.1.1", "9.9.9.9, 10.2.2.2"], "9.9.9.9"),
            ("::ffff:10.0.0.1", &["[2001:db8::9]:443"], "2001:db8::9"),
            ("::1", &["9.9.9.9:1234"], "9.9.9.9"),
            ("10.0.0.1", &["9.9.9.9, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["10.3.3.3"], "10.3.3.3"),
        ];
        for (peer, headers, client) in table {
            let found = client_address(ip(peer), headers.iter().copied(), &trusted);
            assert_eq!(found, ip(client), "{peer} {headers:?}");
        }
    }

    #[test]
    fn limits_are_shared_by_a_link() {
        assert_eq!(Site::of(ip("2001:db8::1")), Site::of(ip("2001:db8::2")));
        assert_ne!(Site::of(ip("2001:db8::1")), Site::of(ip("2001:db8:0:1::1")));
        assert_eq!(Site::of(ip("::ffff:192.0.2.1")), Site::of(ip("192.0.2.1")));
        assert_ne!(Site::of(ip("192.0.2.2")), Site::of(ip("192.0.2.1")));
    }
}
