//! What the edge says of itself on loopback, in one line for people.

use crate::model;
use serde::Deserialize;
use std::fmt::Write as _;
use std::io::Read;

/// The longest answer that is read.
const STATUS_BYTES: u64 = 64 * 1024;

/// The part of `GET /api/v1/status` that is shown.
#[derive(Debug, Deserialize)]
struct Status<'a> {
    #[serde(borrow, default)]
    cameras: heapless::Vec<Camera<'a>, 16>,
    store: Store,
    sessions: u32,
}

#[derive(Debug, Deserialize)]
struct Camera<'a> {
    name: &'a str,
    kind: &'a str,
    state: &'a str,
    fps: f32,
}

#[derive(Debug, Deserialize)]
struct Store {
    events: u64,
}

/// Asks one edge.
#[derive(Debug)]
pub(crate) struct Asker {
    agent: ureq::Agent,
    base: String,
}

impl Asker {
    /// `address` is what the edge's ready line says.
    pub(crate) fn new(address: &str) -> Self {
        Self { agent: model::agent(false), base: format!("http://{address}/api/v1") }
    }

    /// The line of now; `lively` adds what changes all the time. `None` while the edge does
    /// not answer.
    pub(crate) fn line(&self, lively: bool) -> Option<String> {
        words(&self.get("/status")?, lively)
    }

    fn get(&self, path: &str) -> Option<Vec<u8>> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call().ok()?;
        let mut body = Vec::new();
        answer.into_body().into_reader().take(STATUS_BYTES).read_to_end(&mut body).ok()?;
        Some(body)
    }
}

fn words(json: &[u8], lively: bool) -> Option<String> {
    let (status, _) = serde_json_core::from_slice::<Status<'_>>(json).ok()?;
    let mut line = String::new();
    for camera in &status.cameras {
        let _ = write!(line, "{} ({}) {}", camera.name, camera.kind, camera.state);
        if lively && camera.state == "running" {
            let _ = write!(line, ", {:.1} fps", camera.fps);
        }
        line += "; ";
    }
    if status.cameras.is_empty() {
        line += "no camera; ";
    }
    let _ = write!(line, "{}; {}", count(status.store.events, "event"), phones(status.sessions));
    Some(line)
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn phones(sessions: u32) -> String {
    match sessions {
        0 => "no phone connected".into(),
        number => format!("{} connected", count(number.into(), "phone")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"name":"Hall","version":"0.1.0","uptime_ms":5,"clock_set":true,
        "cameras":[{"name":"camera","kind":"demo","state":"running","message":"","width":640,
        "height":480,"fps":9.96,"last_frame_ms":1}],"store":{"events":1,"bytes":9,
        "oldest_ms":null,"quarantined":0},"sessions":0,"rss_bytes":1,"model":null}"#;

    #[test]
    fn a_status_becomes_one_line() {
        let line = words(STATUS.as_bytes(), true);
        assert_eq!(
            line.as_deref(),
            Some("camera (demo) running, 10.0 fps; 1 event; no phone connected")
        );
        let calm = words(STATUS.as_bytes(), false);
        assert_eq!(calm.as_deref(), Some("camera (demo) running; 1 event; no phone connected"));
    }

    #[test]
    fn no_camera_is_said_and_noise_is_nothing() {
        let line = words(br#"{"cameras":[],"store":{"events":0},"sessions":2}"#, true);
        assert_eq!(line.as_deref(), Some("no camera; 0 events; 2 phones connected"));
        assert_eq!(words(b"not json", true), None);
    }
}
