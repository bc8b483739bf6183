//! The socket of nightjar-box: how this program, which runs without privileges, asks for what
//! takes them. The spec of both ends is image/card.md, "The box's socket".
//!
//! ```text
//! one line of JSON, for an update its bytes --> nightjar-box
//!      {"percent":3} ... {"ok":...} or {"error":{"code","message"}} <--
//! ```
//! One request a connection. Whoever drops it before its end has the box drop what it wrote.

use crate::clock::Clock;
use rustix::net::RecvFlags;
use signal_proto::json;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest line of the box's, bytes; a longer one is none.
const LINE_BYTES: usize = 4096;
/// Bytes of a bundle passed on at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// An answer takes no longer, ms; a bundle is read back from the card before it has one.
const ASK_WITHIN_MS: u64 = 10_000;
/// As [`ASK_WITHIN_MS`], from the bundle's last byte on.
const CHECK_WITHIN_MS: u64 = 600_000;
/// The box takes or says something at least so often.
const STALLED: Duration = Duration::from_secs(30);
/// Longest code and words of an error that are passed on, bytes.
const CODE_BYTES: usize = 32;
const WORDS_BYTES: usize = 256;

/// Why there is no answer that says yes.
#[derive(Debug)]
pub enum Error {
    /// Nobody answers at the socket, or not in time.
    Away(io::Error),
    /// What came is no answer.
    Garbled,
    /// An update is under way.
    Busy,
    /// The bundle broke off on its way here.
    Bundle(ErrorKind),
    /// The box says no.
    Refused {
        /// For programs.
        code: String,
        /// For people.
        words: String,
    },
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Away(error)
    }
}

/// The way to the box.
#[derive(Debug)]
pub struct BoxSocket {
    path: PathBuf,
    clock: Clock,
    updating: AtomicBool,
}

impl BoxSocket {
    /// The box at the socket of that path, which is opened for each request anew.
    pub const fn new(path: PathBuf, clock: Clock) -> Self {
        Self { path, clock, updating: AtomicBool::new(false) }
    }

    /// Asks with one line of JSON; the JSON that the box gives with its yes.
    pub fn ask(&self, line: &str) -> Result<String, Error> {
        let mut talk = self.begin(line)?;
        talk.answer(ASK_WITHIN_MS)
    }

    /// Hands over a bundle of `length` bytes as it comes, one at a time; the answer, once the
    /// box has checked it.
    pub fn update(&self, length: u32, bundle: &mut dyn Read) -> Result<String, Error> {
        if self.updating.swap(true, Ordering::Acquire) {
            return Err(Error::Busy);
        }
        let _turn = Turn(&self.updating);
        let mut talk = self.begin(&format!(r#"{{"do":"update","bytes":{length}}}"#))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut left = length as usize;
        while left > 0 {
            let most = left.min(CHUNK_BYTES);
            let count = match bundle.read(&mut chunk[..most]) {
                Ok(0) => return Err(Error::Bundle(ErrorKind::UnexpectedEof)),
                Ok(count) => count,
                Err(error) => return Err(Error::Bundle(error.kind())),
            };
            left -= count;
            match talk.stream.write_all(&chunk[..count]) {
                // It has said no and hung up.
                Err(error) if is_hung_up(&error) => return talk.answer(ASK_WITHIN_MS),
                other => other?,
            }
            if let Some(answer) = talk.look()? {
                return Ok(answer);
            }
        }
        talk.answer(CHECK_WITHIN_MS)
    }

    fn begin(&self, line: &str) -> Result<Talk, Error> {
        let mut stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(STALLED))?;
        stream.set_write_timeout(Some(STALLED))?;
        stream.write_all(line.as_bytes())?;
        stream.write_all(b"\n")?;
        Ok(Talk { stream, clock: self.clock, held: Vec::new() })
    }
}

/// Held while an update is under way.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// One connection.
struct Talk {
    stream: UnixStream,
    clock: Clock,
    /// What came after the last whole line.
    held: Vec<u8>,
}

impl Talk {
    /// The answer that ends the talk, which comes within `limit_ms`.
    fn answer(&mut self, limit_ms: u64) -> Result<String, Error> {
        let until = self.clock.now().plus_ms(limit_ms);
        loop {
            if let Some(answer) = self.take_lines()? {
                return Ok(answer);
            }
            let left_ms = until.since_ms(self.clock.now());
            if left_ms == 0 {
                return Err(Error::Away(ErrorKind::TimedOut.into()));
            }
            self.stream.set_read_timeout(Some(STALLED.min(Duration::from_millis(left_ms))))?;
            let mut buf = [0; LINE_BYTES];
            match self.stream.read(&mut buf) {
                Ok(0) => return Err(Error::Away(ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.held.extend_from_slice(&buf[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The answer, where it is here already: the box may say no before it has all.
    fn look(&mut self) -> Result<Option<String>, Error> {
        let mut buf = [0; LINE_BYTES];
        match rustix::net::recv(&self.stream, &mut buf[..], RecvFlags::DONTWAIT) {
            Ok((count, _)) => self.held.extend_from_slice(&buf[..count]),
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        self.take_lines()
    }

    /// Reads the whole lines that are here, up to one that ends the talk.
    fn take_lines(&mut self) -> Result<Option<String>, Error> {
        while let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.held.drain(..=end).collect();
            if let Some(answer) = read_line(&line)? {
                return Ok(Some(answer));
            }
        }
        if self.held.len() > LINE_BYTES { Err(Error::Garbled) } else { Ok(None) }
    }
}

/// The JSON of a yes; `None` of a line that others follow.
fn read_line(line: &[u8]) -> Result<Option<String>, Error> {
    let text = str::from_utf8(line).map_err(|_| Error::Garbled)?.trim();
    json::check(text).map_err(|_| Error::Garbled)?;
    if let Some(answer) = json::member(text, "ok") {
        return Ok(Some(answer.to_owned()));
    }
    let Some(error) = json::member(text, "error") else { return Ok(None) };
    let part = |name, most| {
        let text = json::member(error, name).and_then(json::string).unwrap_or_default();
        let end = text.floor_char_boundary(most);
        text[..end].to_owned()
    };
    Err(Error::Refused { code: part("code", CODE_BYTES), words: part("message", WORDS_BYTES) })
}

fn is_hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Cursor};
    use std::os::unix::net::UnixListener;
    use std::thread::{self, JoinHandle};

    /// The far end of the protocol, for one connection.
    fn far_end<T: Send + 'static>(
        tag: &str,
        serve: impl FnOnce(String, BufReader<UnixStream>) -> T + Send + 'static,
    ) -> (BoxSocket, JoinHandle<T>) {
        let name = format!("nightjar-box-{tag}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let box_ = BoxSocket::new(path.clone(), Clock::start());
        let served = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let _ = std::fs::remove_file(path);
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            serve(line, stream)
        });
        (box_, served)
    }

    fn say(mut stream: &UnixStream, text: &str) {
        stream.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_yes_is_handed_on_as_it_is() {
        let (box_, served) = far_end("yes", |line, stream| {
            say(stream.get_ref(), "{\"percent\":3}\n{\"ok\":{\"version\":\"0.2.0\",");
            say(stream.get_ref(), "\"new\":[1]}}\n");
            line
        });
        assert_eq!(box_.ask(r#"{"do":"state"}"#).unwrap(), r#"{"version":"0.2.0","new":[1]}"#);
        assert_eq!(served.join().unwrap(), "{\"do\":\"state\"}\n");
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let long = format!("{{\"x\":\"{}", "x".repeat(2 * LINE_BYTES));
        for (text, garbled) in [
            ("nonsense\n", true),
            ("\u{7}\n", true),
            (&long[..], true),
            ("", false),
            ("{\"ok\"", false),
        ] {
            let said = text.to_owned();
            let (box_, served) = far_end("none", move |_, stream| say(stream.get_ref(), &said));
            let error = box_.ask("{}").unwrap_err();
            assert_eq!(matches!(error, Error::Garbled), garbled, "{text:?}: {error:?}");
            assert_eq!(matches!(error, Error::Away(_)), !garbled, "{text:?}: {error:?}");
            served.join().unwrap();
        }
        let nobody = BoxSocket::new("/nowhere/box.sock".into(), Clock::start());
        assert!(matches!(nobody.ask("{}"), Err(Error::Away(_))));
    }

    #[test]
    fn a_no_is_heard_before_all_is_sent() {
        let (box_, served) = far_end("no", |_, mut stream| {
            let mut some = [0; 1000];
            stream.read_exact(&mut some).unwrap();
            let words = "é".repeat(WORDS_BYTES);
            say(
                stream.get_ref(),
                &format!("{{\"error\":{{\"code\":\"older\",\"message\":\"{words}\"}}}}\n"),
            );
        });
        let length = 64 << 20;
        let refused = box_.update(length, &mut io::repeat(7)).unwrap_err();
        let Error::Refused { code, words } = refused else { panic!("{refused:?}") };
        assert_eq!((&code[..], words.len()), ("older", WORDS_BYTES));
        served.join().unwrap();
    }

    #[test]
    fn one_bundle_at_a_time_and_a_broken_one_is_hung_up_on() {
        let (box_, served) = far_end("turns", |line, mut stream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            (line, all.len())
        });
        let mut half = Asks { box_: &box_, left: Cursor::new(vec![1; 100_000]), busy: false };
        let broken = box_.update(150_000, &mut half).unwrap_err();
        assert!(matches!(broken, Error::Bundle(ErrorKind::UnexpectedEof)), "{broken:?}");
        assert!(half.busy, "a second one is told that there is a first");
        let (line, taken) = served.join().unwrap();
        assert_eq!((&line[..], taken), ("{\"do\":\"update\",\"bytes\":150000}\n", 100_000));
        let away = box_.update(1, &mut io::repeat(7)).unwrap_err();
        assert!(matches!(away, Error::Away(_)), "the turn was given back: {away:?}");
    }

    /// A bundle during which another is tried.
    struct Asks<'a> {
        box_: &'a BoxSocket,
        left: Cursor<Vec<u8>>,
        busy: bool,
    }

    impl Read for Asks<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.busy = matches!(self.box_.update(1, &mut io::empty()), Err(Error::Busy));
            self.left.read(buf)
        }
    }

    #[test]
    fn a_cut_line_never_panics() {
        let whole = "{\"error\":{\"code\":\"ol\\u00e9\",\"message\":\"\u{1f989}\"}}";
        for end in 0..whole.len() {
            assert!(matches!(read_line(&whole.as_bytes()[..end]), Err(Error::Garbled)));
        }
        assert!(matches!(read_line(b"{\"error\":5}"), Err(Error::Refused { .. })));
        assert!(matches!(read_line(b"[]"), Ok(None)));
    }
}
