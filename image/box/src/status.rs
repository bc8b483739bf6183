//! Asks a server over loopback how it is: one request, within a limit, without a library.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest answer that is read.
const BYTES: u64 = 16 * 1024;

/// The body of `GET PATH`, where that is answered by 200.
pub(crate) fn get(address: SocketAddr, path: &str, within: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, within)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(BYTES).read_to_end(&mut answer)?;
    body(&answer).map(<[u8]>::to_vec).ok_or_else(|| io::Error::other("no good answer"))
}

fn body(answer: &[u8]) -> Option<&[u8]> {
    let ok = answer.starts_with(b"HTTP/1.") && answer.get(8..12) == Some(b" 200");
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n")?;
    answer.get(end + 4..).filter(|_| ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_has_a_body() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}"), Some(&b"{}"[..]));
        assert_eq!(body(b"HTTP/1.1 500 No\r\n\r\n{}"), None);
        assert_eq!(body(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(body(b""), None);
    }
}
