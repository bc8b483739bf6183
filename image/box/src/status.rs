//! Asks a server over loopback how it is: one request, within a limit, without a library.

use crate::clock::Clock;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest answer that is read.
const BYTES: usize = 16 * 1024;

/// The body of `GET PATH`, where that is answered by 200.
pub(crate) fn get(address: SocketAddr, path: &str, within: Duration) -> io::Result<Vec<u8>> {
    let clock = Clock::start();
    let left = || {
        let left =
            within.checked_sub(Duration::from_millis(clock.now_ms())).filter(|it| !it.is_zero());
        left.ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))
    };
    let mut stream = TcpStream::connect_timeout(&address, within)?;
    stream.set_write_timeout(Some(left()?))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let (mut answer, mut some) = (Vec::new(), [0; 4096]);
    while answer.len() < BYTES {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut some)? {
            0 => break,
            count => answer.extend_from_slice(some.get(..count).unwrap_or_default()),
        }
    }
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
    fn who_answers_by_drops_is_not_waited_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let drops = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            (0..1000)
                .take_while(|_| {
                    std::thread::sleep(Duration::from_millis(50));
                    stream.write_all(b"x").is_ok()
                })
                .count()
        });
        assert!(get(address, "/", Duration::from_millis(300)).is_err());
        assert!(drops.join().unwrap() < 100);
    }

    #[test]
    fn only_a_good_answer_has_a_body() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}"), Some(&b"{}"[..]));
        assert_eq!(body(b"HTTP/1.1 500 No\r\n\r\n{}"), None);
        assert_eq!(body(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(body(b""), None);
    }
}
