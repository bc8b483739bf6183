//! A small HTTPS client: one request, one answer, one connection, all of it bounded.
#![deny(clippy::indexing_slicing)]

use super::Failure;
use crate::error::Error;
use futures_rustls::TlsConnector;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use signal_proto::http;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer};
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The largest answer, in bytes.
const ANSWER_MAX: u64 = 256 * 1024;

/// One address of the server is tried for so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Connection, request and answer together.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The longest URL, in bytes.
const URL_MAX: usize = 2048;

/// An `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// As it was written.
    text: String,
    /// Name or address, without brackets.
    host: String,
    port: u16,
    /// With the query.
    path: String,
}

impl Url {
    /// `None` where it is no `https://HOST[:PORT]/PATH` in plain letters.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\#@<>".contains(&byte);
        let rest = text.strip_prefix("https://")?;
        if text.len() > URL_MAX || !rest.bytes().all(plain) {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok()?,
            None if port.is_empty() => 443,
            None => return None,
        };
        ServerName::try_from(host).ok()?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{path}");
        Some(Self { text: text.to_owned(), host: host.to_owned(), port, path })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn authority(&self) -> String {
        let host = &self.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }
}

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// The body, text in all that a CA sends.
    pub body: String,
}

impl Answer {
    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads a whole answer; `None` where it is none. To HEAD there is no body, whatever its
    /// length is said to be.
    fn parse(bytes: &[u8], has_body: bool) -> Option<Self> {
        let mut slots = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut slots);
        let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
        let header = |header: &httparse::Header<'_>| {
            let value = std::str::from_utf8(header.value).ok()?;
            Some((header.name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers: Option<Vec<_>> = head.headers.iter().map(header).collect();
        let mut answer = Self { status: head.code?, headers: headers?, body: String::new() };
        if !has_body {
            return Some(answer);
        }
        let is_chunked = answer.header("transfer-encoding").is_some();
        let body = http::body(bytes.get(length..)?, is_chunked, answer.header("content-length"))?;
        answer.body = String::from_utf8(body).ok()?;
        Some(answer)
    }
}

/// Asks servers that some certificate authorities vouch for.
#[derive(Clone)]
pub struct Client(TlsConnector);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Trusts the certificates in `ca` (PEM), or else the well-known authorities.
    pub fn new(ca: Option<&Path>) -> Result<Self, Error> {
        let mut roots = rustls::RootCertStore::empty();
        match ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let wrong = |what: &dyn std::fmt::Display| {
                    Error::new(format!("--acme-ca {}: {what}", path.display()))
                };
                for root in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
                    let root = root.map_err(|error| wrong(&error))?;
                    roots.add(root).map_err(|error| wrong(&error))?;
                }
                if roots.is_empty() {
                    return Err(wrong(&"no certificate in PEM"));
                }
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Sends one request; with a body it is one of ACME's.
    pub async fn request(
        &self,
        method: &str,
        url: &Url,
        body: Option<&str>,
    ) -> Result<Answer, Failure> {
        let about = body.map(|body| {
            let length = body.len();
            format!("Content-Type: application/jose+json\r\nContent-Length: {length}\r\n")
        });
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: nightjar-signal/{}\r\n\
             Connection: close\r\n{}\r\n{}",
            url.path,
            url.authority(),
            env!("CARGO_PKG_VERSION"),
            about.unwrap_or_default(),
            body.unwrap_or_default()
        );
        let bytes = within(ANSWER_WITHIN, async {
            let mut stream = self.connect(url).await?;
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            let mut bytes = Vec::new();
            stream.take(ANSWER_MAX).read_to_end(&mut bytes).await.or_else(|error| {
                // A server may close without a farewell; the length in its answer tells.
                if error.kind() == io::ErrorKind::UnexpectedEof { Ok(0) } else { Err(error) }
            })?;
            Ok(bytes)
        })
        .await
        .map_err(|error| Failure::Unreachable(error.to_string()))?;
        Answer::parse(&bytes, method != "HEAD").ok_or(Failure::Strange("no whole HTTP"))
    }

    async fn connect(
        &self,
        url: &Url,
    ) -> io::Result<futures_rustls::client::TlsStream<Async<TcpStream>>> {
        let name = ServerName::try_from(url.host.clone())
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in smol::net::resolve((url.host.as_str(), url.port)).await? {
            match within(CONNECT_WITHIN, Async::<TcpStream>::connect(address)).await {
                Ok(stream) => return self.0.connect(name, stream).await,
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    smol::future::or(work, async {
        Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_host_and_nothing_odd() {
        let parts = |text: &str| Url::parse(text).map(|url| (url.host, url.port, url.path));
        let of = |host: &str, port, path: &str| Some((host.to_owned(), port, path.to_owned()));
        assert_eq!(parts("https://ca.example/dir?x=1"), of("ca.example", 443, "/dir?x=1"));
        assert_eq!(parts("https://ca.example:14000"), of("ca.example", 14000, "/"));
        assert_eq!(parts("https://[::1]:9/d"), of("::1", 9, "/d"));
        assert_eq!(parts("https://127.0.0.1?x"), of("127.0.0.1", 443, "/?x"));
        let table = [
            "http://ca.example/",
            "ca.example",
            "https://",
            "https://:1/",
            "https://a:b/",
            "https://a:70000/",
            "https://user@a/",
            "https://a/\r\nX: y",
            "https://a/\"",
            "https://[::1/",
            "https://[::1]x/",
        ];
        for text in table {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn answers_are_whole_or_none() {
        let body = |text: &str| Answer::parse(text.as_bytes(), true).map(|answer| answer.body);
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc").as_deref(), Some("ab"));
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"), None);
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\nabc").as_deref(), Some("abc"));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n";
        assert_eq!(body(chunked), None);
        assert_eq!(body(&format!("{chunked}0\r\n\r\n")).as_deref(), Some("abc"));
        assert_eq!(body("HTTP/1.1 200"), None);
        assert_eq!(body("SSH-2.0-x\r\n"), None);
        let head = b"HTTP/1.1 200 OK\r\nReplay-Nonce:  n \r\nContent-Length: 9\r\n\r\n";
        let head = Answer::parse(head, false).unwrap();
        assert_eq!((head.status, head.header("replay-nonce")), (200, Some("n")));
    }
}
