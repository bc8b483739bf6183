//! Which addresses of ours a session offers: those of the interfaces, and what STUN servers
//! see of them.
#![deny(clippy::indexing_slicing)]

use crate::config;
use std::net::{IpAddr, SocketAddr};

/// Most addresses one session opens a socket on; further ones are left out.
pub const ADDRESSES: usize = 8;
/// Most STUN URLs that one session looks up.
pub const URLS: usize = 4;
/// Most STUN servers that one session asks: an address of each family of each URL.
pub const SERVERS: usize = 2 * URLS;
/// When a STUN server is asked first, ms after its address is known; nothing waits for it.
const ASK_AT_MS: [u64; 3] = [0, 150, 450];
/// How often it is asked from then on, ms: a NAT forgets what is silent for 30 s (RFC 4787
/// s4.3 asks for two minutes; few give them).
const REFRESH_MS: u64 = 20_000;

/// When a STUN server is asked for the time `times`, from 0, ms after its address is known.
///
/// For as long as the session lives: until its channel is open the mapping is what the phone
/// was told, and later a phone whose path broke is told it again.
pub fn ask_at_ms(times: u64) -> u64 {
    let [.., last] = ASK_AT_MS;
    let first = usize::try_from(times).ok().and_then(|times| ASK_AT_MS.get(times));
    first.copied().unwrap_or_else(|| last + (times + 1 - ASK_AT_MS.len() as u64) * REFRESH_MS)
}

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

/// Of a name's addresses, the first of each family that we have an address of.
pub fn reachable(addresses: &[SocketAddr], locals: &[IpAddr]) -> Vec<SocketAddr> {
    let first = |v4: bool| {
        let ours = locals.iter().any(|ip| ip.is_ipv4() == v4);
        addresses.iter().copied().find(|address| ours && address.is_ipv4() == v4)
    };
    [first(true), first(false)].into_iter().flatten().collect()
}

/// Host and port of a `stun:` URL; other schemes are not ours to use. Servers name them with
/// a query at times, which says nothing to us.
pub fn stun_server(url: &str) -> Option<(String, u16)> {
    config::stun(url.split('?').next()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

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
    fn one_address_of_each_family_is_asked() {
        let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let all = ["[fd00::1]:1", "10.0.0.1:1", "10.0.0.2:1", "[fd00::2]:1"].map(parse);
        let (v4, v6) = (parse("10.0.0.9:1").ip(), parse("[fd00::9]:1").ip());
        assert_eq!(reachable(&all, &[v4, v6]), [all[1], all[0]]);
        assert_eq!(reachable(&all, &[v6]), [all[0]]);
        assert_eq!(reachable(&all[1..3], &[v6]), []);
    }

    #[test]
    fn a_mapping_is_asked_for_at_once_and_kept() {
        let times: Vec<u64> = (0..6).map(ask_at_ms).collect();
        assert_eq!(times, [0, 150, 450, 20_450, 40_450, 60_450]);
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
