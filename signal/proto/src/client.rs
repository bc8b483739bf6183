//! The edge's side of signaling: registers, keeps itself known, stays in its room, returns.
//!
//! ```text
//!            poll: Connect       handle_connected      OPEN
//!   Waiting --------------> Connecting -----------> Greeting -----> Registered
//!      ^   until its time       |  15 s                | 10 s           | 35 s of silence
//!      |                        +---- poll: Drop ------+----------------+
//!      +---------------------------- handle_lost ---------------------------
//! ```
//! The shell owns the socket and the HTTP requests that join the room. How long to wait after
//! a loss is an argument, as the waits' jitter needs entropy.

use crate::message::{Kind, Message};
use crate::peer_id::PeerId;
use alloc::string::String;

/// HEARTBEATs are sent this often, ms.
pub const HEARTBEAT_MS: u64 = 5_000;
/// WebSocket pings are sent this often, ms: a server does not answer a HEARTBEAT.
pub const PING_MS: u64 = 15_000;
/// A server that is silent for so long is given up, ms.
pub const SILENT_MS: u64 = 35_000;
/// The room is joined this often, ms: a server that restarted has forgotten us.
pub const JOIN_MS: u64 = 30_000;
/// After a failed join the next try comes so soon, ms.
pub const JOIN_AGAIN_MS: u64 = 5_000;
/// TCP, TLS and the upgrade may take this long, ms.
pub const CONNECT_WITHIN_MS: u64 = 15_000;
/// Then the server has this long for OPEN, ms.
pub const OPEN_WITHIN_MS: u64 = 10_000;

/// What the shell does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Open the WebSocket; then `handle_connected` or `handle_lost`.
    Connect,
    /// Close the socket, or give up opening it; then `handle_lost`.
    Drop,
    /// Send this text.
    Text(&'static str),
    /// Send a WebSocket ping.
    Ping,
    /// Ask for the room id and join that room; then `handle_joined`.
    Join,
    /// Nothing until then (ms), but for an input.
    Timeout(u64),
}

/// What the server or a peer told us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<'a> {
    /// Nothing that matters.
    Nothing,
    /// We are registered.
    Open,
    /// Somebody else lives under our id; the server closes.
    IdTaken,
    /// The server refuses; it closes.
    Refused,
    /// A peer speaks.
    Peer {
        /// OFFER, ANSWER, CANDIDATE or LEAVE.
        kind: Kind,
        /// Which peer.
        src: PeerId,
        /// JSON.
        payload: Option<&'a str>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting {
        until: u64,
    },
    Connecting {
        since: u64,
    },
    Greeting {
        since: u64,
    },
    Registered {
        heartbeat: u64,
        ping: u64,
        join: Option<u64>,
    },
    /// The socket is to be closed; the shell has not said yet that it is.
    Dropping {
        told: bool,
    },
}

/// The machine of one box.
#[derive(Debug)]
pub struct Client {
    state: State,
    now: u64,
    heard: u64,
}

impl Client {
    /// A machine that connects at once.
    pub const fn new(now: u64) -> Self {
        Self { state: State::Waiting { until: now }, now, heard: now }
    }

    /// Whether messages to peers can be sent.
    pub const fn is_registered(&self) -> bool {
        matches!(self.state, State::Registered { .. })
    }

    /// The WebSocket is open.
    pub fn handle_connected(&mut self, now: u64) {
        self.now = now;
        if let State::Connecting { .. } = self.state {
            self.state = State::Greeting { since: now };
            self.heard = now;
        }
    }

    /// The socket is gone or could not be opened; the next try is `wait_ms` from now.
    pub fn handle_lost(&mut self, now: u64, wait_ms: u64) {
        self.now = now;
        self.state = State::Waiting { until: now.saturating_add(wait_ms) };
    }

    /// Any frame at all arrived.
    pub fn handle_alive(&mut self, now: u64) {
        self.now = now;
        self.heard = now;
    }

    /// A text arrived. What is no message is passed over.
    pub fn handle_text<'a>(&mut self, now: u64, text: &'a str) -> Heard<'a> {
        self.handle_alive(now);
        let Ok(message) = Message::parse(text) else { return Heard::Nothing };
        match message {
            Message { kind: Kind::Open, .. } => {
                if let State::Greeting { .. } = self.state {
                    let ping = now + PING_MS;
                    self.state =
                        State::Registered { heartbeat: now + HEARTBEAT_MS, ping, join: Some(now) };
                    return Heard::Open;
                }
                Heard::Nothing
            }
            Message { kind: Kind::IdTaken, .. } => Heard::IdTaken,
            Message { kind: Kind::Error, .. } => Heard::Refused,
            Message { kind, src: Some(src), payload, .. } if kind.is_relayed() => {
                Heard::Peer { kind, src, payload }
            }
            _ => Heard::Nothing,
        }
    }

    /// The room was joined, or was not.
    pub fn handle_joined(&mut self, now: u64, ok: bool) {
        self.now = now;
        if let State::Registered { join, .. } = &mut self.state {
            *join = Some(now + if ok { JOIN_MS } else { JOIN_AGAIN_MS });
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: u64) {
        self.now = now;
        let late = match self.state {
            State::Connecting { since } => now >= since + CONNECT_WITHIN_MS,
            State::Greeting { since } => now >= since + OPEN_WITHIN_MS,
            State::Registered { .. } => now >= self.heard + SILENT_MS,
            State::Waiting { .. } | State::Dropping { .. } => false,
        };
        if late {
            self.state = State::Dropping { told: false };
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        let (now, heard) = (self.now, self.heard);
        match &mut self.state {
            State::Waiting { until } if now < *until => Output::Timeout(*until),
            State::Waiting { .. } => {
                self.state = State::Connecting { since: now };
                Output::Connect
            }
            State::Connecting { since } => Output::Timeout(*since + CONNECT_WITHIN_MS),
            State::Greeting { since } => Output::Timeout(*since + OPEN_WITHIN_MS),
            State::Registered { heartbeat, .. } if now >= *heartbeat => {
                *heartbeat = now + HEARTBEAT_MS;
                Output::Text(r#"{"type":"HEARTBEAT"}"#)
            }
            State::Registered { ping, .. } if now >= *ping => {
                *ping = now + PING_MS;
                Output::Ping
            }
            State::Registered { join: join @ Some(_), .. } if *join <= Some(now) => {
                *join = None;
                Output::Join
            }
            State::Registered { heartbeat, ping, join } => {
                let next = (*heartbeat).min(*ping).min(heard + SILENT_MS);
                Output::Timeout(join.map_or(next, |join| join.min(next)))
            }
            State::Dropping { told } if *told => Output::Timeout(u64::MAX),
            State::Dropping { told } => {
                *told = true;
                Output::Drop
            }
        }
    }
}

/// The text that carries `payload` to `dst`.
pub fn relay(kind: Kind, dst: &PeerId, payload: &str) -> String {
    Message { kind, src: None, dst: Some(dst.clone()), payload: Some(payload) }.to_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const OPEN: &str = r#"{"type":"OPEN"}"#;

    /// Drains the machine; what it wants done, and when it wants to be woken.
    fn drain(client: &mut Client) -> (Vec<Output>, u64) {
        let mut wants = Vec::new();
        loop {
            match client.poll_output() {
                Output::Timeout(at) => return (wants, at),
                other => wants.push(other),
            }
        }
    }

    fn registered(now: u64) -> Client {
        let mut client = Client::new(now);
        assert_eq!(drain(&mut client).0, [Output::Connect]);
        client.handle_connected(now);
        assert_eq!(client.handle_text(now, OPEN), Heard::Open);
        client
    }

    #[test]
    fn it_registers_joins_and_keeps_itself_known() {
        let mut client = registered(0);
        assert_eq!(drain(&mut client), ([Output::Join].into(), 5000));
        client.handle_joined(100, true);
        let (mut heartbeats, mut pings, mut joins) = (0, 0, 0);
        let mut now = 100;
        while now < 120_000 {
            let (wants, next) = drain(&mut client);
            for want in wants {
                match want {
                    Output::Text(text) => {
                        assert_eq!(Message::parse(text).unwrap().kind, Kind::Heartbeat);
                        heartbeats += 1;
                    }
                    Output::Ping => {
                        client.handle_alive(now);
                        pings += 1;
                    }
                    Output::Join => {
                        client.handle_joined(now, true);
                        joins += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            let (_, again) = drain(&mut client);
            assert!(again > now, "time goes on");
            now = again.min(next.max(now + 1));
            client.handle_timeout(now);
        }
        assert_eq!((heartbeats, pings, joins), (23, 7, 3));
    }

    #[test]
    fn a_server_that_hangs_is_given_up() {
        for (greet, within) in [(false, CONNECT_WITHIN_MS), (true, OPEN_WITHIN_MS)] {
            let mut client = Client::new(0);
            drain(&mut client);
            if greet {
                client.handle_connected(0);
            }
            assert_eq!(drain(&mut client).1, within);
            client.handle_timeout(within);
            assert_eq!(drain(&mut client), ([Output::Drop].into(), u64::MAX));
            client.handle_lost(within, 700);
            assert_eq!(drain(&mut client), (Vec::new(), within + 700));
        }
        let mut client = registered(0);
        client.handle_timeout(SILENT_MS);
        assert_eq!(drain(&mut client).0, [Output::Drop]);
    }

    #[test]
    fn a_failed_join_is_tried_again_soon() {
        let mut client = registered(0);
        drain(&mut client);
        client.handle_joined(10, false);
        client.handle_timeout(10 + JOIN_AGAIN_MS);
        assert!(drain(&mut client).0.contains(&Output::Join));
    }

    #[test]
    fn peers_are_heard_and_noise_is_not() {
        let mut client = registered(0);
        let offer = r#"{"type":"OFFER","src":"abc","dst":"me","payload":{"sdp": 1}}"#;
        let Heard::Peer { kind, src, payload } = client.handle_text(1, offer) else {
            panic!("an offer")
        };
        assert_eq!((kind, src.as_str(), payload), (Kind::Offer, "abc", Some(r#"{"sdp": 1}"#)));
        for (text, heard) in [
            (r#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#, Heard::IdTaken),
            (r#"{"type":"ERROR","payload":{"msg":"no"}}"#, Heard::Refused),
            (OPEN, Heard::Nothing),
            (r#"{"type":"OFFER","payload":{}}"#, Heard::Nothing),
            (r#"{"type":"EXPIRE","src":"abc"}"#, Heard::Nothing),
            ("no json", Heard::Nothing),
            ("{}", Heard::Nothing),
        ] {
            assert_eq!(client.handle_text(2, text), heard, "{text}");
        }
        let dst = PeerId::parse("abc").unwrap();
        let text = relay(Kind::Answer, &dst, r#"{"a":1}"#);
        assert_eq!(text, r#"{"type":"ANSWER","dst":"abc","payload":{"a":1}}"#);
    }

    #[test]
    fn a_server_that_comes_and_goes_always_gets_its_box_back() {
        let mut random = 1_u64;
        let mut below = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % limit
        };
        let (mut client, mut now, mut up, mut registrations) = (Client::new(0), 0, true, 0);
        for _ in 0..20_000 {
            let (wants, next) = drain(&mut client);
            for want in wants {
                match (want, up) {
                    (Output::Connect, true) => client.handle_connected(now),
                    (Output::Connect, false) | (Output::Drop, _) => {
                        client.handle_lost(now, 500 + below(1000));
                    }
                    (Output::Join, up) => client.handle_joined(now, up),
                    (Output::Ping, true) => client.handle_alive(now),
                    _ => {}
                }
            }
            if up && matches!(client.state, State::Greeting { .. }) && below(5) > 0 {
                assert_eq!(client.handle_text(now, OPEN), Heard::Open);
                registrations += 1;
            }
            if below(50) == 0 {
                up = !up;
                if !up && below(2) == 0 {
                    client.handle_lost(now, 500);
                }
            }
            now = next.min(now + below(4000)).max(now + 1);
            client.handle_timeout(now);
        }
        assert!(registrations > 50, "{registrations}");
    }
}
