//! The two URLs that options name: the signaling server's and a STUN server's.
#![deny(clippy::indexing_slicing)]

use std::net::Ipv6Addr;

/// The port of a STUN server that names none (RFC 7064 section 3.2).
const STUN_PORT: u16 = 3478;

/// Where the signaling server is: `http(s)://` or `ws(s)://HOST[:PORT]{path}[?key=KEY]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Whether its connections are TLS.
    pub tls: bool,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// The port; 80 or 443 where the URL names none.
    pub port: u16,
    /// Begins and ends with `/`.
    pub path: String,
    /// What `PeerJS` calls the key.
    pub key: String,
}

impl Server {
    /// What [`Server::parse`] reads, for people.
    pub const EXPECTED: &'static str = "http(s):// or ws(s)://HOST[:PORT]/path[?key=KEY]";

    /// Reads the URL of `--signal`.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return None,
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = host_and_port(authority, if tls { 443 } else { 80 })?;
        let key = query.split('&').find_map(|pair| pair.strip_prefix("key=")).unwrap_or("peerjs");
        let path = match path.trim_matches('/') {
            "" => "/".to_owned(),
            path => format!("/{path}/"),
        };
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        let whole = is_plain(&path) && is_plain(query);
        whole.then(|| Self { tls, host, port, path, key: key.into() })
    }
}

/// Host and port of `stun:HOST[:PORT]`.
pub fn stun(url: &str) -> Option<(String, u16)> {
    host_and_port(url.strip_prefix("stun:")?, STUN_PORT)
}

/// `HOST[:PORT]`, an IPv6 address in brackets.
fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, rest) = if let Some(inside) = text.strip_prefix('[') {
        let (host, rest) = inside.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, rest)
    } else {
        let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
        let is_known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(is_known) {
            return None;
        }
        (host, rest)
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => default,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0)?
        }
        _ => return None,
    };
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_servers() {
        for (url, tls, host, port, path, key) in [
            ("http://127.0.0.1:9000", false, "127.0.0.1", 9000, "/", "peerjs"),
            ("wss://signal.example/", true, "signal.example", 443, "/", "peerjs"),
            ("https://a.b:8443/x/y?key=k&z=1", true, "a.b", 8443, "/x/y/", "k"),
            ("ws://[fd00::1]:9/p/", false, "fd00::1", 9, "/p/", "peerjs"),
            ("ws://[fd00::1]", false, "fd00::1", 80, "/", "peerjs"),
            ("http://host?key=q", false, "host", 80, "/", "q"),
        ] {
            let server = Server::parse(url).expect(url);
            assert_eq!((server.tls, server.host.as_str(), server.port), (tls, host, port), "{url}");
            assert_eq!((server.path.as_str(), server.key.as_str()), (path, key), "{url}");
        }
        for bad in [
            "",
            "host:9000",
            "ftp://host",
            "http://",
            "http:///path",
            "http://:80",
            "http://a b",
            "http://a/b c",
            "http://a/?key=b c",
            "http://u@h",
            "http://h:",
            "http://h:x",
            "http://h:0",
            "http://h:+1",
            "http://h:65536",
            "http://a:1:2",
            "http://fd00::1/",
            "http://[fd00::1",
            "http://[h]:1",
            "http://h#x",
            "http://h/#x",
            "http://h\u{f6}st/",
        ] {
            assert_eq!(Server::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn urls_of_stun_servers() {
        let named = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(stun("stun:stun.example"), named("stun.example", 3478));
        assert_eq!(stun("stun:10.0.0.1:3479"), named("10.0.0.1", 3479));
        assert_eq!(stun("stun:[fd00::1]:1"), named("fd00::1", 1));
        for bad in ["", "stun:", "stun:h:x", "stun://h", "stuns:h", "turn:h", "h:3478", "stun:h?x"]
        {
            assert_eq!(stun(bad), None, "{bad}");
        }
    }
}
