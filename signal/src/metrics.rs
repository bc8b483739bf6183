//! Figures for the operator, in Prometheus' text format 0.0.4: what has happened so often, and
//! how it stands now. None of them knows an id or an address.

use signal_proto::realm::{Counts, Refusal};
use std::cell::Cell;
use std::fmt::Write;

/// What the format is called.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counts up for as long as the process runs.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// It has happened once more.
    pub fn up(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Why clients are not let in, besides [`Refusal::Taken`], which the realm counts.
const REFUSALS: [(Refusal, &str); 6] = [
    (Refusal::Missing, "reason=\"missing\""),
    (Refusal::BadId, "reason=\"bad_id\""),
    (Refusal::BadToken, "reason=\"bad_token\""),
    (Refusal::BadKey, "reason=\"bad_key\""),
    (Refusal::Full, "reason=\"full\""),
    (Refusal::FullAddress, "reason=\"full_address\""),
];

/// What is counted outside the realm.
#[derive(Debug, Default)]
pub struct Metrics {
    /// TCP connections that were let in.
    pub http: Counter,
    /// Those of them that became a WebSocket.
    pub websockets: Counter,
    /// Connections closed unheard: the hall was full.
    pub no_room: Counter,
    /// Requests that could not be read, or were too big.
    pub bad_requests: Counter,
    /// Requests answered 401 or 403.
    pub denied: Counter,
    /// Clients that broke RFC 6455.
    pub bad_frames: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshake_failures: Counter,
    /// Times that no connection could be accepted for want of something.
    pub accept_pauses: Counter,
    /// STUN requests answered.
    pub stun_answers: Counter,
    /// Datagrams that were no STUN request.
    pub stun_malformed: Counter,
    /// STUN requests from sources that asked too often.
    pub stun_too_fast: Counter,
    refused: [Counter; REFUSALS.len()],
}

/// How it stands now, and what others have counted.
#[derive(Debug)]
pub struct Now {
    /// Connections that are no WebSocket.
    pub http: usize,
    /// Clients' sockets, closing ones too.
    pub websockets: usize,
    /// Clients of the realm.
    pub clients: usize,
    /// Rooms with members.
    pub rooms: usize,
    /// Bytes that wait for absent peers.
    pub absent_bytes: usize,
    /// Memory that holds what clients have not read yet.
    pub unread_bytes: usize,
    /// Clients cut for not reading.
    pub slow_readers: u64,
    /// What the realm has counted.
    pub counts: Counts,
}

impl Metrics {
    /// Counts a client that is not let in.
    pub fn refuse(&self, refusal: Refusal) {
        let at = REFUSALS.iter().position(|(known, _)| *known == refusal);
        at.and_then(|at| self.refused.get(at)).into_iter().for_each(Counter::up);
    }

    /// Every figure with its name, its kind and what it means.
    pub fn page(&self, now: &Now) -> String {
        let mut page = Page(String::with_capacity(6 * 1024));
        let build = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
        page.gauge("build_info", "Always 1; which build this is.", &[(build, 1)]);
        page.gauge(
            "connections",
            "TCP connections open now: those that are no WebSocket (yet), and WebSockets.",
            &[("kind=\"http\"", wide(now.http)), ("kind=\"websocket\"", wide(now.websockets))],
        );
        page.counter(
            "connections_total",
            "TCP connections let in, and those of them that became WebSockets.",
            &[
                ("kind=\"http\"", self.http.0.get()),
                ("kind=\"websocket\"", self.websockets.0.get()),
            ],
        );
        page.gauge("clients", "Clients connected now.", &[("", wide(now.clients))]);
        page.gauge("rooms", "Rooms with members now.", &[("", wide(now.rooms))]);
        let queues = [
            ("queue=\"absent_peers\"", wide(now.absent_bytes)),
            ("queue=\"slow_readers\"", wide(now.unread_bytes)),
        ];
        page.gauge(
            "queued_bytes",
            "Bytes that wait for absent peers, and memory of what clients have not read yet.",
            &queues,
        );
        self.messages(&mut page, now);
        self.edges(&mut page);
        if let Some(bytes) = resident_bytes() {
            page.family(
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory size in bytes.",
                &[("", bytes)],
            );
        }
        page.0
    }

    fn messages(&self, page: &mut Page, now: &Now) {
        let counts = &now.counts;
        page.counter(
            "relayed_messages_total",
            "Messages sent on to a peer, at once or when it came.",
            &[("", counts.relayed)],
        );
        page.counter(
            "kept_messages_total",
            "Messages kept for an absent peer.",
            &[("", counts.kept)],
        );
        page.counter(
            "expired_peers_total",
            "Absent peers given up, and their messages dropped.",
            &[("", counts.expired)],
        );
        let mut refusals = vec![
            ("reason=\"no_room\"", self.no_room.0.get()),
            ("reason=\"bad_request\"", self.bad_requests.0.get()),
            ("reason=\"denied\"", self.denied.0.get()),
            ("reason=\"taken\"", counts.taken),
            ("reason=\"queue_full\"", counts.crowded_out),
        ];
        let refused = self.refused.iter().map(|counter| counter.0.get());
        refusals.extend(REFUSALS.iter().map(|(_, reason)| *reason).zip(refused));
        page.counter(
            "refusals_total",
            "Connections, requests, clients and messages that were not taken, by reason.",
            &refusals,
        );
        page.counter(
            "closed_clients_total",
            "Clients that the server closed, by reason.",
            &[
                ("reason=\"silent\"", counts.silent),
                ("reason=\"replaced\"", counts.replaced),
                ("reason=\"too_fast\"", counts.too_fast),
                ("reason=\"bad_frames\"", self.bad_frames.0.get()),
                ("reason=\"slow_reader\"", now.slow_readers),
            ],
        );
    }

    fn edges(&self, page: &mut Page) {
        page.counter(
            "stun_answers_total",
            "STUN answers sent.",
            &[("", self.stun_answers.0.get())],
        );
        page.counter(
            "stun_drops_total",
            "Datagrams left without an answer, by reason.",
            &[
                ("reason=\"malformed\"", self.stun_malformed.0.get()),
                ("reason=\"too_fast\"", self.stun_too_fast.0.get()),
            ],
        );
        page.counter(
            "tls_handshake_failures_total",
            "TLS handshakes that failed or took too long.",
            &[("", self.handshake_failures.0.get())],
        );
        page.counter(
            "accept_pauses_total",
            "Times that no connection could be accepted for want of descriptors or memory.",
            &[("", self.accept_pauses.0.get())],
        );
    }
}

const fn wide(number: usize) -> u64 {
    number as u64
}

/// The text as it grows.
struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, samples: &[(&str, u64)]) {
        self.family(&format!("nightjar_signal_{name}"), "gauge", help, samples);
    }

    fn counter(&mut self, name: &str, help: &str, samples: &[(&str, u64)]) {
        self.family(&format!("nightjar_signal_{name}"), "counter", help, samples);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[(&str, u64)]) {
        let out = &mut self.0;
        // A string takes all that is written.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = match *labels {
                "" => writeln!(out, "{name} {value}"),
                labels => writeln!(out, "{name}{{{labels}}} {value}"),
            };
        }
    }
}

/// The memory of this process that is in RAM; `None` where the system does not say.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
