//! The phone's page as a child process: `page.mjs` in node, which holds the browser's machine.

use harness::data::repository;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What the page says.
#[derive(Debug)]
pub(crate) enum Said {
    /// Send this on the channel.
    Transmit(Vec<u8>),
    /// A request has its answer.
    Response { id: u32, status: u16, etag: Option<String>, length: usize, sha1: String },
    /// A request has none, and why.
    Failed { id: u32, reason: String },
    /// The box told this unasked.
    Push(String),
    /// The link is given up.
    Dead,
    /// Something that is nothing to the lab.
    Other,
}

/// A running node with the page's machine in it.
#[derive(Debug)]
pub(crate) struct Page {
    node: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    pending: String,
}

impl Page {
    /// Starts one; `None` where there is no node.
    pub(crate) fn start() -> Option<Self> {
        let mut node = Command::new("node")
            .arg(repository().join("tests/lab/page.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let (to, from) = (node.stdin.take()?, BufReader::new(node.stdout.take()?));
        Some(Self { node, to, from, pending: String::new() })
    }

    pub(crate) fn reload(&mut self) {
        self.pending.push_str("reload\n");
    }

    pub(crate) fn open(&mut self, now: u64, window: u32) {
        self.line(format_args!("open {now} {window}"));
    }

    pub(crate) fn ask(&mut self, now: u64, id: u32, method: &str, path: &str, body: &[u8]) {
        let body = if body.is_empty() { "-".to_owned() } else { hex(body) };
        self.line(format_args!("ask {now} {id} {method} {path} {body}"));
    }

    pub(crate) fn cancel(&mut self, id: u32) {
        self.line(format_args!("cancel {id}"));
    }

    pub(crate) fn chunk(&mut self, now: u64, bytes: &[u8]) {
        self.line(format_args!("chunk {now} {}", hex(bytes)));
    }

    pub(crate) fn time(&mut self, now: u64) {
        self.line(format_args!("time {now}"));
    }

    pub(crate) fn die(&mut self) {
        self.pending.push_str("die\n");
    }

    /// Everything the page has to say now, and when it wants to be woken.
    pub(crate) fn poll(&mut self, now: u64, buffered: usize) -> (Vec<Said>, Option<u64>) {
        self.line(format_args!("poll {now} {buffered}"));
        self.to.write_all(self.pending.as_bytes()).expect("the page lives");
        self.pending.clear();
        let mut said = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            self.from.read_line(&mut line).expect("the page speaks");
            if let Some(at) = line.strip_prefix("until ") {
                return (said, at.trim_end().parse().ok());
            }
            said.push(
                read(line.trim_end_matches('\n')).unwrap_or_else(|| panic!("page: {line:?}")),
            );
        }
    }

    fn line(&mut self, words: std::fmt::Arguments<'_>) {
        writeln!(self.pending, "{words}").expect("memory");
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

fn read(line: &str) -> Option<Said> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    Some(match verb {
        "transmit" => Said::Transmit(unhex(rest)?),
        "response" => {
            let words: Vec<&str> = rest.split(' ').collect();
            let [id, status, etag, length, sha1] = words[..] else { return None };
            let etag = (etag != "-").then(|| etag.to_owned());
            let (id, status, length) =
                (id.parse().ok()?, status.parse().ok()?, length.parse().ok()?);
            Said::Response { id, status, etag, length, sha1: sha1.to_owned() }
        }
        "failed" => {
            let (id, reason) = rest.split_once(' ')?;
            Said::Failed { id: id.parse().ok()?, reason: reason.to_owned() }
        }
        "push" => Said::Push(rest.to_owned()),
        "dead" => Said::Dead,
        "other" => Said::Other,
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |letter: u8| char::from(letter).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
