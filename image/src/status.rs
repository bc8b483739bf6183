//! What the edge says of itself on loopback, in one line for people.

use crate::model;
use serde::Deserialize;
use std::fmt::Write as _;
use std::io::Read;

/// The longest answer that is read.
const STATUS_BYTES: u64 = 64 * 1024;
/// The most phones that are counted.
const PHONES: usize = 256;

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

/// A paired phone; how many there are is all that is shown.
#[derive(Debug, Deserialize)]
struct Phone {}

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
        words(&self.get("/status")?, &self.get("/clients")?, lively)
    }

    /// Whether the edge has a camera at all; `None` while it does not answer.
    pub(crate) fn has_camera(&self) -> Option<bool> {
        let status = self.get("/status")?;
        let (status, _) = serde_json_core::from_slice::<Status<'_>>(&status).ok()?;
        Some(!status.cameras.is_empty())
    }

    fn get(&self, path: &str) -> Option<Vec<u8>> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call().ok()?;
        let mut body = Vec::new();
        answer.into_body().into_reader().take(STATUS_BYTES).read_to_end(&mut body).ok()?;
        Some(body)
    }
}

fn words(status: &[u8], phones: &[u8], lively: bool) -> Option<String> {
    let (status, _) = serde_json_core::from_slice::<Status<'_>>(status).ok()?;
    let (phones, _) = serde_json_core::from_slice::<heapless::Vec<Phone, PHONES>>(phones).ok()?;
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
    let events = count(status.store.events, "event");
    let _ = write!(line, "{events}; {}", phones_line(phones.len() as u64, status.sessions));
    Some(line)
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn phones_line(paired: u64, connected: u32) -> String {
    match (paired, connected) {
        (0, 0) => "no phone paired yet".into(),
        (paired, 0) => format!("{} paired", count(paired, "phone")),
        (paired, connected) => format!("{} paired, {connected} connected", count(paired, "phone")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"name":"Hall","version":"0.1.0","uptime_ms":5,"clock_set":true,
        "cameras":[{"name":"camera","kind":"demo","state":"running","message":"","width":640,
        "height":480,"fps":9.96,"last_frame_ms":1}],"store":{"events":1,"bytes":9,
        "oldest_ms":null,"quarantined":0},"sessions":0,"rss_bytes":1,"model":null}"#;

    const PAIRED: &str =
        r#"[{"id":7,"name":"Phone \u00e4","last_ms":null},{"id":8,"name":"Other"}]"#;

    fn line(status: &str, phones: &str, lively: bool) -> Option<String> {
        words(status.as_bytes(), phones.as_bytes(), lively)
    }

    #[test]
    fn a_status_becomes_one_line() {
        let lively = line(STATUS, "[]", true);
        let want = "camera (demo) running, 10.0 fps; 1 event; no phone paired yet";
        assert_eq!(lively.as_deref(), Some(want));
        let calm = line(STATUS, PAIRED, false);
        assert_eq!(calm.as_deref(), Some("camera (demo) running; 1 event; 2 phones paired"));
    }

    #[test]
    fn no_camera_is_said_and_noise_is_nothing() {
        let bare = r#"{"cameras":[],"store":{"events":0},"sessions":1}"#;
        let want = "no camera; 0 events; 2 phones paired, 1 connected";
        assert_eq!(line(bare, PAIRED, true).as_deref(), Some(want));
        assert_eq!(line("not json", "[]", true), None);
        assert_eq!(line(bare, "{}", true), None);
    }
}
