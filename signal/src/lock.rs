//! What stands between TCP and HTTP: TLS, or nothing.

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::stream::Stream;
use smol::Async;
use std::io;
use std::net::TcpStream;

/// Encrypts connections, or leaves them as they are.
#[derive(Debug)]
pub struct Lock {
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::Tls>,
}

#[cfg(feature = "tls")]
impl Lock {
    /// As the options say.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, Error> {
        let tls = config.tls.as_ref().map(|source| crate::tls::Tls::new(source, clock));
        Ok(Self { tls: tls.transpose()? })
    }

    /// The connection to speak on; `None` where the handshake was all that was wanted.
    pub async fn open(&self, stream: Async<TcpStream>) -> io::Result<Option<Stream>> {
        let Some(tls) = &self.tls else { return Ok(Some(Stream::Plain(stream))) };
        Ok(tls.accept(stream).await?.map(|stream| Stream::Tls(Box::new(stream))))
    }

    /// Whether connections are encrypted.
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether `host` is this server: by its domain or, where it has none, by its certificate.
    pub fn names(&self, host: &str) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.names(host))
    }

    /// Looks after the certificate, for ever.
    pub async fn keep(&self) {
        if let Some(tls) = &self.tls {
            tls.keep().await;
        }
    }

    /// Reads the certificate's files again.
    pub fn reload(&self) {
        self.tls.iter().for_each(crate::tls::Tls::reload);
    }
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "with TLS they wait")]
impl Lock {
    /// Nothing, and an error where TLS is asked for.
    pub fn new(config: &Config, _: Clock) -> Result<Self, Error> {
        let option = config.tls.as_ref().map(crate::config::Tls::option);
        match option {
            Some(option) => {
                Err(Error::new(format!("{option}: this program was built without TLS")))
            }
            None => Ok(Self {}),
        }
    }

    /// The connection, as it is.
    pub async fn open(&self, stream: Async<TcpStream>) -> io::Result<Option<Stream>> {
        Ok(Some(Stream::Plain(stream)))
    }

    /// They are not.
    pub const fn is_tls(&self) -> bool {
        false
    }

    /// Nobody vouches for a name.
    pub const fn names(&self, _: &str) -> bool {
        false
    }

    /// There is nothing to look after.
    pub async fn keep(&self) {}

    /// There is nothing to read.
    pub const fn reload(&self) {}
}
