//! The head of an HTTP/1.1 request, read strictly: what could be understood in two ways is
//! refused (RFC 9112 s2.2, s5, s6.3), so that no proxy in front sees another request than we.
#![deny(clippy::indexing_slicing)]

use std::net::Ipv6Addr;

/// The largest head, in bytes.
pub const HEAD_MAX: usize = 8 * 1024;

/// Most header lines.
pub const HEADERS_MAX: usize = 64;

/// The largest body of any request, in bytes.
pub const BODY_MAX: usize = 64 * 1024;

/// The methods that exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read, but leave the body out.
    Head,
    /// Change.
    Post,
    /// Ask what is allowed (CORS).
    Options,
}

/// A request without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What to do.
    pub method: Method,
    /// The path, as sent.
    pub path: String,
    /// What follows the question mark.
    pub query: String,
    /// The name or address in the Host header, without the port; brackets kept.
    pub host: String,
    /// How many bytes of body follow.
    pub body_bytes: usize,
    /// The connection may carry another request.
    pub keep_alive: bool,
    /// It is HTTP/1.0, which knows no upgrade.
    pub is_old: bool,
    headers: Vec<(String, String)>,
}

/// Why a request is refused; the connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It is no HTTP, or could be read in two ways.
    Malformed,
    /// The head is too big.
    HeadTooBig,
    /// The body is too big.
    BodyTooBig,
    /// The method is none of ours.
    Method,
    /// The body comes in chunks, which no client of ours sends.
    Chunked,
}

impl Error {
    /// The status that says so.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::HeadTooBig => 431,
            Self::BodyTooBig => 413,
            Self::Method => 405,
            Self::Chunked => 411,
        }
    }
}

/// Finds where the head ends in the bytes that have arrived.
#[derive(Debug, Default)]
pub struct Finder {
    /// How many bytes are known to hold no end and no stray CR or LF.
    seen: usize,
}

impl Finder {
    /// The head's length with its empty line, or `None` while it goes on.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        for at in self.seen..bytes.len() {
            let before = |back: usize| at.checked_sub(back).and_then(|at| bytes.get(at)).copied();
            let after_cr = before(1) == Some(b'\r');
            let is_lf = before(0) == Some(b'\n');
            if is_lf != after_cr || before(0) == Some(0) {
                return Err(Error::Malformed);
            }
            if is_lf && before(2) == Some(b'\n') {
                return if at < HEAD_MAX { Ok(Some(at + 1)) } else { Err(Error::HeadTooBig) };
            }
        }
        self.seen = bytes.len();
        if bytes.len() < HEAD_MAX { Ok(None) } else { Err(Error::HeadTooBig) }
    }
}

impl Head {
    /// Reads a head that [`Finder`] found.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut slots);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Error::HeadTooBig),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Error::Malformed),
        }
        let method = match request.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            Some("OPTIONS") => Method::Options,
            _ => return Err(Error::Method),
        };
        let target = request.path.unwrap_or_default();
        // No fragment travels, and nothing beyond ASCII (RFC 9112 s3.2, RFC 3986).
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(Error::Malformed);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if !(path.starts_with('/') || target == "*" && method == Method::Options) {
            return Err(Error::Malformed);
        }
        let mut headers = Vec::new();
        for header in request.headers.iter() {
            let value = std::str::from_utf8(header.value).map_err(|_| Error::Malformed)?;
            headers.push((header.name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut head = Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            host: String::new(),
            body_bytes: 0,
            keep_alive: request.version == Some(1),
            is_old: request.version == Some(0),
            headers,
        };
        head.keep_alive &= !head.lists("connection", "close");
        head.host = head.parse_host(request.version == Some(1))?;
        head.body_bytes = head.parse_length()?;
        Ok(head)
    }

    /// The only header of that lower-case name; `None` when there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers(name);
        let value = values.next();
        value.filter(|_| values.next().is_none())
    }

    /// Every value of the headers of that lower-case name, in order.
    pub fn headers(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether `word` is in the comma list of header `name`, in any case.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        self.headers(name)
            .flat_map(|value| value.split(','))
            .any(|listed| listed.trim().eq_ignore_ascii_case(word))
    }

    /// The decoded value of parameter `name` in the query; `None` where it is absent, empty or
    /// no text.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| decode(&value.replace('+', " "))).flatten()
        };
        self.query.split('&').find_map(pair).filter(|value| !value.is_empty())
    }

    fn parse_host(&self, needed: bool) -> Result<String, Error> {
        let mut values = self.headers("host");
        let host = match (values.next(), values.next()) {
            (Some(host), None) => host,
            (None, _) if !needed => return Ok(String::new()),
            _ => return Err(Error::Malformed),
        };
        host_name(host).map(str::to_owned).ok_or(Error::Malformed)
    }

    fn parse_length(&self) -> Result<usize, Error> {
        let chunked = self.headers("transfer-encoding").next().is_some();
        let mut lengths = self.headers("content-length");
        match (lengths.next(), lengths.next(), chunked) {
            (None, None, false) => Ok(0),
            (None, None, true) => Err(Error::Chunked),
            (Some(digits), None, false) => {
                if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Err(Error::Malformed);
                }
                let length = digits.parse().ok().filter(|length| *length <= BODY_MAX);
                length.ok_or(Error::BodyTooBig)
            }
            _ => Err(Error::Malformed),
        }
    }
}

/// The host of `host[:port]`, if it has the form of one.
fn host_name(text: &str) -> Option<&str> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (text.get(..address.len() + 2)?, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let good_name = name.starts_with('[') || !name.is_empty() && name.bytes().all(plain);
    let number = |digits: &str| {
        digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<u16>().is_ok()
    };
    let good_port = port.is_empty() || port.strip_prefix(':').is_some_and(number);
    (good_name && good_port && name.len() <= 255).then_some(name)
}

/// Undoes percent-encoding; `None` where it is malformed or gives no text.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? << 4 | digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests cut their own bytes")]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Head, Error> {
        let mut finder = Finder::default();
        let mut end = None;
        // Byte by byte, as a slow client sends.
        for length in 0..=text.len() {
            end = finder.find(&text.as_bytes()[..length])?;
            if end.is_some() {
                break;
            }
        }
        Head::parse(&text.as_bytes()[..end.expect("a whole head")])
    }

    #[test]
    fn reads_what_clients_send() {
        let head = read(
            "POST /a%20b?key=peerjs&id=a+b&token=%C3%BC&empty=&bad=%zz HTTP/1.1\r\nHOST: \
             Example.org:9000\r\nContent-Length: 12\r\nConnection: Upgrade, keep-alive\r\n\
             X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n\r\n",
        )
        .unwrap();
        assert_eq!((head.method, head.path.as_str()), (Method::Post, "/a%20b"));
        assert_eq!((head.host.as_str(), head.body_bytes), ("Example.org", 12));
        assert_eq!(head.parameter("id").as_deref(), Some("a b"));
        assert_eq!(head.parameter("token").as_deref(), Some("\u{fc}"));
        assert_eq!((head.parameter("empty"), head.parameter("bad")), (None, None));
        assert!(head.lists("connection", "upgrade") && head.keep_alive);
        assert_eq!(head.headers("x-forwarded-for").collect::<Vec<_>>(), ["1.1.1.1", "2.2.2.2"]);
        assert_eq!(head.header("x-forwarded-for"), None, "which one would that be?");
        assert_eq!(decode("a%2Fb").as_deref(), Some("a/b"));
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        let table = [
            ("GET / HTTP/1.1\nHost: a\n\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /\r\nHost: a\r\n\r\n", 400),
            ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /\u{fc} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\n",
                400,
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
            ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ];
        for (text, status) in table {
            assert_eq!(read(text).map_err(Error::status), Err(status), "{text:?}");
        }
        let headers = "x: y\r\n".repeat(HEADERS_MAX);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        assert_eq!(read(&many), Err(Error::HeadTooBig));
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}", "y".repeat(HEAD_MAX));
        assert_eq!(read(&long), Err(Error::HeadTooBig));
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for (text, host) in [
            ("a.example", Some("a.example")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("::1", None),
            ("[a]", None),
            ("a:b", None),
            ("a:", None),
            ("a:+80", None),
            ("[::1]80", None),
            ("", None),
            ("a/b", None),
        ] {
            assert_eq!(host_name(text), host, "{text}");
        }
    }

    #[test]
    fn old_clients_close() {
        assert!(!read("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        assert!(!read(text).unwrap().keep_alive);
        assert!(read("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
    }
}
