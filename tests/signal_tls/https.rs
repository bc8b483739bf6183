//! A client of HTTPS that looks at what it is shown.

use harness::meeting;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// An encrypted connection.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Who is believed.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The certificates in `pem`.
    pub(crate) fn in_pem(pem: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(pem) {
            roots.add(root.expect("a certificate")).expect("a root");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session would show what it saw the last time.
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// Shakes hands with `name` at some address.
    pub(crate) fn connect(&self, at: &str, name: &str) -> io::Result<Stream> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connection = ClientConnection::new(Arc::clone(&self.0), name).expect("a client");
        let stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// The certificate that `localhost` at some address shows.
    pub(crate) fn shown(&self, at: &str) -> io::Result<Vec<u8>> {
        let stream = self.connect(at, "localhost")?;
        let chain = stream.conn.peer_certificates().expect("a certificate");
        Ok(chain.first().expect("a certificate").to_vec())
    }

    /// Head and body of the answer to `request`.
    pub(crate) fn ask(&self, at: &str, name: &str, request: &str) -> (String, String) {
        let mut stream = self.connect(at, name).expect("a handshake");
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
        }
        let answer = String::from_utf8(answer).expect("a text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        (head.to_owned(), body.to_owned())
    }

    /// `GET path`.
    pub(crate) fn get(&self, at: &str, name: &str, path: &str) -> (String, String) {
        self.ask(at, name, &format!("GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n"))
    }
}

/// Looks again and again until it holds, for a minute.
pub(crate) fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    meeting::wait_until(what, Duration::from_mins(1), holds);
}
