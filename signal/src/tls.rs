//! TLS on the listener: which certificate a new handshake is shown, and where it comes from.
//! Connections that are open keep what they began with.

use crate::acme::Acme;
use crate::clock::Clock;
use crate::config::{Tls as Source, TlsFiles};
use crate::error::Error;
use crate::say;
use futures_rustls::TlsAcceptor;
use futures_rustls::server::TlsStream;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use smol::io::AsyncWriteExt;
use smol::{Async, Timer};
use std::cell::RefCell;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the CA speaks that comes to see its challenge answered (RFC 8737 s6.2).
const CHALLENGE: &[u8] = b"acme-tls/1";

/// How often the files are looked at.
const LOOK: Duration = Duration::from_mins(1);

/// The certificate of new handshakes, and of the CA's while it looks.
#[derive(Debug, Default)]
pub struct Keys(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    certificate: Option<Arc<CertifiedKey>>,
    challenge: Option<(String, Arc<CertifiedKey>)>,
}

impl Keys {
    /// From now on this one.
    pub fn set(&self, certificate: CertifiedKey) {
        self.shown().certificate = Some(Arc::new(certificate));
    }

    /// What the CA is shown that asks for `domain`, until [`Self::forget_challenge`]. It is not
    /// held against its key: its mark is critical, and no ordinary reader of certificates knows
    /// it.
    pub fn challenge(
        &self,
        domain: &str,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), rustls::Error> {
        let key = provider().key_provider.load_private_key(key)?;
        let certificate = Arc::new(CertifiedKey::new(vec![certificate], key));
        self.shown().challenge = Some((domain.to_owned(), certificate));
        Ok(())
    }

    /// There is no challenge to answer any more.
    pub fn forget_challenge(&self) {
        self.shown().challenge = None;
    }

    /// Whether the certificate in use is `host`'s.
    fn names(&self, host: &str) -> bool {
        let certificate = self.shown().certificate.clone();
        certificate.is_some_and(|it| it.end_entity_cert().is_ok_and(|it| names(it, host)))
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown();
        if !hello.alpn().is_some_and(|offered| offered.eq([CHALLENGE])) {
            return shown.certificate.clone();
        }
        let (domain, certificate) = shown.challenge.as_ref()?;
        let is_meant = hello.server_name().is_some_and(|name| name.eq_ignore_ascii_case(domain));
        is_meant.then(|| Arc::clone(certificate))
    }
}

/// What turns a TCP connection into an encrypted one.
pub struct Tls {
    keys: Arc<Keys>,
    acceptor: TlsAcceptor,
    origin: Origin,
}

/// Where certificates come from.
#[derive(Debug)]
enum Origin {
    Files(TlsFiles, RefCell<Stamp>),
    Ca(Box<Acme>),
}

/// What tells that files have changed: of each its device, number, size and time.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Tls {
    /// With the certificate that files hold; or with the one that was kept, or none yet.
    pub fn new(source: &Source, clock: Clock) -> Result<Self, Error> {
        let keys = Arc::new(Keys::default());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&keys) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let origin = match source {
            Source::Files(files) => {
                let stamp = stamp(files);
                keys.set(read(files)?);
                Origin::Files(files.clone(), stamp.into())
            }
            Source::Domain(domain) => {
                config.alpn_protocols.push(CHALLENGE.to_vec());
                Origin::Ca(Box::new(Acme::new(domain, clock, &keys)?))
            }
        };
        Ok(Self { keys, acceptor: TlsAcceptor::from(Arc::new(config)), origin })
    }

    /// The encrypted connection; `None` where the handshake was all that was wanted.
    pub async fn accept(
        &self,
        stream: Async<TcpStream>,
    ) -> io::Result<Option<TlsStream<Async<TcpStream>>>> {
        let mut stream = self.acceptor.accept(stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(CHALLENGE) {
            // The CA has seen what it came for; not a byte more (RFC 8737 s3).
            let _ = stream.close().await;
            return Ok(None);
        }
        Ok(Some(stream))
    }

    /// Whether `host` is this server: by its domain or, where it has none, by its certificate.
    pub fn names(&self, host: &str) -> bool {
        match &self.origin {
            Origin::Ca(acme) => host.eq_ignore_ascii_case(acme.domain()),
            Origin::Files(..) => self.keys.names(host),
        }
    }

    /// Sees to it that there is a certificate and that it is the newest, for ever.
    pub async fn keep(&self) {
        match &self.origin {
            Origin::Ca(acme) => acme.keep(&self.keys).await,
            Origin::Files(..) => loop {
                Timer::after(LOOK).await;
                self.look();
            },
        }
    }

    /// Reads the files again if they have changed.
    pub fn look(&self) {
        match &self.origin {
            Origin::Files(files, seen) if *seen.borrow() != stamp(files) => self.reload(),
            _ => {}
        }
    }

    /// Reads the files again; the old certificate stays where the new one is broken.
    pub fn reload(&self) {
        let Origin::Files(files, seen) = &self.origin else { return };
        // Before they are read: what changes meanwhile is seen the next time.
        seen.replace(stamp(files));
        match read(files) {
            Ok(certificate) => {
                self.keys.set(certificate);
                say!("certificate: read again");
            }
            Err(error) => say!("certificate: the old one stays: {error}"),
        }
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A certificate, those that vouch for it, and its key; an error where they do not fit.
pub fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(chain, key, &provider())
}

/// Whether a certificate is for `host`, a name or an address.
pub fn names(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(name) = ServerName::try_from(host) else { return false };
    ParsedCertificate::try_from(certificate)
        .is_ok_and(|certificate| rustls::client::verify_server_name(&certificate, &name).is_ok())
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, Error> {
    let wrong = |option: &str, path: &Path, what: String| {
        Error::new(format!("{option} {}: {what}", path.display()))
    };
    let in_chain = |what: String| wrong("--tls-cert", &files.cert, what);
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| in_chain(format!("no certificate in PEM: {error}")))?;
    if chain.is_empty() {
        return Err(in_chain("no certificate in PEM".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        wrong("--tls-key", &files.key, format!("no private key in PEM: {error}"))
    })?;
    certified(chain, key).map_err(|error| in_chain(format!("not to be used with its key: {error}")))
}

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.cert, &files.key].map(|path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    })
}
