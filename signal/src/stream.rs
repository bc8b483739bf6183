//! A connection, plain or encrypted.

use smol::Async;
use smol::io::{AsyncRead, AsyncWrite};
use std::io::Result;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::task::ready;
use std::task::{Context, Poll};

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(Async<TcpStream>),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Box<futures_rustls::server::TlsStream<Async<TcpStream>>>),
}

impl Stream {
    /// Whether it is worth to read: asked before each read, it spares the read that only finds
    /// nothing. TLS may hold bytes that no socket tells of, so there it always is.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_readable(cx),
            #[cfg(feature = "tls")]
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Says that nothing more comes; smol's own close says nothing.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "TLS has a word to say"))]
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Poll::Ready(stream.get_ref().shutdown(Shutdown::Write)),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                ready!(Pin::new(&mut *stream).poll_close(cx))?;
                Poll::Ready(stream.get_ref().0.get_ref().shutdown(Shutdown::Write))
            }
        }
    }
}
