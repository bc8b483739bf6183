//! What every request is answered with; what is known about the network stays at the door.
//!
//! ```text
//! {path}                                        the app, or a few words of JSON
//! {path}healthz  {path}ice  {path}FILE
//! {path}{key}/id                                a fresh id
//! {path}{key}/{id}/{token}/room/id              the caller's room
//! {path}{key}/{id}/{token}/room/{room}/join     POST; also leave, and GET members, devices
//! {path}{key}/{id}/{token}/offer                POST; also answer, candidate, leave
//! ```

use crate::clock;
use crate::config::{Config, Tls};
use crate::files::Files;
use crate::head::{Head, Method, decode};
use crate::lock::Lock;
use crate::meeting::Meeting;
use crate::response::{Response, preflight};
use crate::say;
use crate::secret::Secret;
use serde::Serialize;
use signal_proto::network::{Grouping, Network, Site, client_address};
use signal_proto::peer_id::{PeerId, Token};
use signal_proto::realm::{Conn, Denied, Knock, Refusal};
use signal_proto::room::{About, Member, RoomId};
use signal_proto::{base64, hmac, json};
use std::cell::{Cell, RefCell};
use std::net::IpAddr;

/// How long a TURN password lasts, in seconds.
const TURN_SECONDS: u64 = 8 * 60 * 60;

/// The largest body of a request about rooms, in bytes.
const ROOM_BODY_MAX: usize = 4096;

/// The largest answer that is written from what clients said, in bytes: 64 members, each an id
/// and a name of 64 bytes, escaped.
const ANSWER_MAX: usize = 32 * 1024;

/// Everything that answers are made of.
#[derive(Debug)]
pub struct Place {
    /// The command line.
    pub config: Config,
    /// What encrypts connections.
    pub lock: Lock,
    /// The web app.
    pub files: Files,
    /// Who is connected.
    pub meeting: Meeting,
    /// How clients are sorted into networks.
    pub grouping: RefCell<Grouping>,
    /// Where STUN is answered.
    pub stun_port: Option<u16>,
    /// What TURN passwords are made from.
    pub turn_secret: RefCell<Option<Secret>>,
    /// The end has begun: nothing is answered any more.
    pub stopping: Cell<bool>,
    /// When the system last had no connection to give, until that is over.
    pub starved_ms: Cell<Option<u64>>,
    /// The operator has heard of a proxy that is not trusted.
    pub warned: Cell<bool>,
}

/// Where a request is taken to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// With whom its limits are shared.
    pub site: Site,
    /// With whom its room is shared.
    pub network: Network,
}

#[derive(Serialize)]
struct Introduction<'a> {
    name: &'a str,
    description: &'a str,
    website: &'a str,
}

#[derive(Serialize)]
struct Ice<'a> {
    #[serde(rename = "iceServers")]
    servers: &'a [IceServer<'a>],
}

#[derive(Serialize)]
struct IceServer<'a> {
    urls: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
}

#[derive(Serialize)]
struct Room<'a> {
    #[serde(rename = "roomId")]
    id: &'a str,
}

#[derive(Serialize)]
struct Joined<'a> {
    #[serde(rename = "clientsIds")]
    ids: &'a [&'a str],
}

#[derive(Serialize)]
struct Left {
    #[serde(rename = "wasInRoom")]
    was_in: bool,
}

#[derive(Serialize)]
struct Device<'a> {
    id: &'a str,
    name: &'a str,
}

impl Place {
    /// Reads again what may change while we serve, and says so; what cannot be read stays as it
    /// is.
    pub fn reload(&self) {
        self.lock.reload();
        let Some(turn) = &self.config.turn else {
            if !matches!(self.config.tls, Some(Tls::Files(_))) {
                say!("nothing to read again");
            }
            return;
        };
        match turn.read_secret() {
            Ok(secret) => {
                self.turn_secret.replace(Some(secret));
                say!("TURN secret: read again");
            }
            Err(error) => say!("TURN secret: the old one stays: {error}"),
        }
    }

    /// Whether `peer` is a proxy that is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.config.trusted.iter().any(|prefix| prefix.contains(peer))
    }

    /// Where a request is taken to come from.
    pub fn origin(&self, head: &Head, peer: IpAddr) -> Origin {
        let address = client_address(peer, head.headers("x-forwarded-for"), &self.config.trusted);
        let is_forwarded = head.headers("x-forwarded-for").next().is_some();
        let is_stranger = is_forwarded && peer.to_canonical().is_loopback() && !self.trusts(peer);
        if is_stranger && !self.warned.replace(true) {
            say!(
                "a proxy on this machine speaks for others, who are one network without \
                 --trusted-proxy"
            );
        }
        // It may come from anywhere: no part of a home, whatever its last hop's address.
        let network = if is_stranger {
            Grouping::default().network(address)
        } else {
            self.grouping.borrow().network(address)
        };
        Origin { site: Site::of(address), network }
    }

    /// The largest body that a request may have, in bytes.
    pub fn body_max(&self, head: &Head) -> usize {
        match (head.method, head.path.contains("/room/")) {
            (Method::Post, true) => ROOM_BODY_MAX,
            (Method::Post, false) => crate::head::BODY_MAX,
            _ => 0,
        }
    }

    /// Whether the request is for the WebSocket.
    pub fn is_socket(&self, head: &Head) -> bool {
        head.path.strip_prefix(&self.config.path) == Some("peerjs")
    }

    /// Who wants in, as the WebSocket's URL has it.
    pub fn knock(&self, head: &Head, from: Origin) -> Result<Knock, Refusal> {
        let parameter = |name| head.parameter(name).ok_or(Refusal::Missing);
        let (id, token, key) = (parameter("id")?, parameter("token")?, parameter("key")?);
        if key != self.config.key {
            return Err(Refusal::BadKey);
        }
        Ok(Knock {
            id: PeerId::parse(&id).ok_or(Refusal::BadId)?,
            token: Token::parse(&token).ok_or(Refusal::BadToken)?,
            has_version: head.parameter("version").is_some(),
            site: from.site,
            network: from.network,
        })
    }

    /// Answers a request that is not for the WebSocket.
    pub fn answer(&self, head: &Head, body: &[u8], from: Origin) -> Response {
        let Some(below) = head.path.strip_prefix(&self.config.path) else {
            let is_bare = format!("{}/", head.path) == self.config.path;
            return match (head.method, is_bare) {
                (Method::Options, _) => preflight(head),
                (_, true) => self.move_below(head),
                _ => Response::refusal(404).for_any_origin(),
            };
        };
        let segments: Vec<&str> = below.split('/').collect();
        match (head.method, segments.as_slice()) {
            (Method::Options, _) => preflight(head),
            (Method::Get | Method::Head, [""]) => self.root(head),
            (Method::Get | Method::Head, ["healthz"]) => Response::text(200, "OK"),
            (Method::Get | Method::Head, ["ice"]) => self.ice(head, from.site).for_any_origin(),
            (Method::Get, [_, "id"]) => fresh_id().for_any_origin(),
            (Method::Get, [_, "peers"]) => Response::refusal(401).for_any_origin(),
            (method, [key, id, token, rest @ ..]) if !rest.is_empty() => {
                let from = from.network;
                let answer = self.caller(key, id, token).and_then(|conn| match (method, rest) {
                    (Method::Get, ["room", "id"]) => Ok(self.room_id(&from)),
                    (_, ["room", room, action]) => {
                        self.room(method, conn, room, action, from, body)
                    }
                    (Method::Post, ["offer" | "answer" | "candidate" | "leave"]) => {
                        self.relay(conn, body)
                    }
                    _ => Ok(Response::refusal(404)),
                });
                answer.unwrap_or_else(|refusal| refusal).for_any_origin()
            }
            (Method::Get | Method::Head, _) => {
                let file = self.files.answer(below, head);
                file.unwrap_or_else(|| Response::refusal(404).for_any_origin())
            }
            (Method::Post, _) => Response::refusal(404).for_any_origin(),
        }
    }

    /// Where a prefix without its slash is meant to lead.
    fn move_below(&self, head: &Head) -> Response {
        let mut location = self.config.path.clone();
        if !head.query.is_empty() {
            location.push('?');
            location.push_str(&head.query);
        }
        Response::empty(308).with("Location", location)
    }

    fn root(&self, head: &Head) -> Response {
        let wants_page = head.headers("accept").any(|accept| accept.contains("text/html"));
        let page = if wants_page { self.files.index(head) } else { None };
        page.unwrap_or_else(|| {
            json(&Introduction {
                name: "Nightjar signal",
                description: "A meeting place for PeerJS clients, with rooms.",
                website: "https://peerjs.com/",
            })
            .for_any_origin()
            .with("Vary", "Accept")
        })
    }

    /// STUN goes by the name under which we were asked: it is the one that works from there.
    fn ice(&self, head: &Head, site: Site) -> Response {
        let stun = self.stun_port.filter(|_| !head.host.is_empty());
        let stun = stun.map(|port| format!("stun:{}:{port}", head.host));
        let now = self.meeting.clock().unix_seconds();
        let secret = self.turn_secret.borrow();
        let turn = self.config.turn.as_ref().zip(secret.as_ref()).map(|(turn, secret)| {
            let (username, password) = turn_login(secret, now + TURN_SECONDS, site);
            (turn.url.as_str(), username, password)
        });
        let mut servers = Vec::new();
        if let Some(urls) = &stun {
            servers.push(IceServer { urls, username: None, credential: None });
        }
        if let Some((urls, username, password)) = &turn {
            servers.push(IceServer { urls, username: Some(username), credential: Some(password) });
        }
        json(&Ice { servers: &servers })
    }

    /// The connection of who calls, or why it is none.
    fn caller(&self, key: &str, id: &str, token: &str) -> Result<Conn, Response> {
        if key != self.config.key {
            return Err(Response::text(401, "Invalid key provided"));
        }
        let id = decode(id).and_then(|id| PeerId::parse(&id));
        let token = decode(token).and_then(|token| Token::parse(&token));
        let id = id.ok_or_else(|| Response::refusal(401))?;
        let token = token.ok_or_else(|| Response::text(401, "Invalid token provided"))?;
        self.meeting.with_realm(|realm, _| realm.authenticate(&id, &token)).map_err(deny)
    }

    fn room_id(&self, from: &Network) -> Response {
        let id = self.meeting.with_realm(|realm, _| realm.room_id(from)).to_string();
        json(&Room { id: &id })
    }

    fn room(
        &self,
        method: Method,
        conn: Conn,
        room: &str,
        action: &str,
        from: Network,
        body: &[u8],
    ) -> Result<Response, Response> {
        let room = RoomId::parse(room).ok_or_else(|| deny(Denied::Foreign))?;
        self.meeting.with_realm(|realm, _| match (method, action) {
            (Method::Post, "join") => {
                let about = parse_about(body).map_err(|_| Response::refusal(400))?;
                let members = realm.join(conn, &room, from, about).map_err(deny)?;
                Ok(json(&Joined { ids: &ids(members) }))
            }
            (Method::Post, "leave") => {
                let was_in = realm.leave(conn, &room, from).map_err(deny)?;
                Ok(json(&Left { was_in }))
            }
            (Method::Get, "members") => {
                let members = realm.members(conn, &room, from).map_err(deny)?;
                Ok(json(&ids(members).as_slice()))
            }
            (Method::Get, "devices") => {
                let members = realm.members(conn, &room, from).map_err(deny)?;
                let edges = members.iter().filter(|member| member.about.is_edge);
                let devices: Vec<_> = edges.map(device).collect();
                Ok(json(&devices.as_slice()))
            }
            _ => Ok(Response::refusal(404)),
        })
    }

    /// A message by POST instead of by WebSocket.
    fn relay(&self, conn: Conn, body: &[u8]) -> Result<Response, Response> {
        let text = std::str::from_utf8(body).ok().filter(|text| json::check(text).is_ok());
        let text = text.ok_or_else(|| Response::refusal(400))?;
        if self.meeting.with_realm(|realm, now_ms| realm.handle_frame(now_ms, conn)) {
            self.meeting.hear(conn, text);
        }
        Ok(Response::text(200, "OK"))
    }
}

/// What coturn's `use-auth-secret` takes until then. It counts by what follows the colon, so
/// its `user-quota` holds for a network; the network itself is not to be read there.
fn turn_login(secret: &[u8], until: u64, site: Site) -> (String, String) {
    // No user name begins like this: the mark is nobody's password.
    let mark = hmac::sha1(secret, &[&b"site"[..], &site.bytes()].concat());
    let [a, b, c, d, e, f, g, h, ..] = mark;
    let username = format!("{until}:{:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    let password = base64::encode(&hmac::sha1(secret, username.as_bytes()));
    (username, password)
}

fn fresh_id() -> Response {
    let uuid = uuid::Builder::from_random_bytes(clock::entropy()).into_uuid();
    Response::new(200, "text/html; charset=utf-8", uuid.to_string().into_bytes())
        .with("Cache-Control", "no-store")
}

fn ids(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| member.id.as_str()).collect()
}

/// A device without a name goes by its id.
fn device(member: &Member) -> Device<'_> {
    let id = member.id.as_str();
    Device { id, name: if member.about.name.is_empty() { id } else { &member.about.name } }
}

/// What a join's body says: `{"role":"edge","name":"Front door"}`, or nothing; an error where
/// it is no JSON.
fn parse_about(body: &[u8]) -> Result<Option<About>, json::Error> {
    let text = std::str::from_utf8(body).map_err(|_| json::Error::Syntax)?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    json::check(text)?;
    let word = |name| json::member(text, name).and_then(json::string).unwrap_or_default();
    let (role, name) = (word("role"), word("name"));
    let says_something = !(role.is_empty() && name.is_empty());
    Ok(says_something.then(|| About::new(role == "edge", &name)))
}

fn deny(denied: Denied) -> Response {
    match denied {
        Denied::Unknown => Response::refusal(401),
        Denied::BadToken => Response::text(401, "Invalid token provided"),
        Denied::Foreign => Response::refusal(403),
    }
}

/// `value` as JSON that nobody keeps.
fn json<T: Serialize + ?Sized>(value: &T) -> Response {
    let mut bytes = vec![0; ANSWER_MAX];
    match serde_json_core::to_slice(value, &mut bytes) {
        Ok(length) => {
            bytes.truncate(length);
            Response::json(bytes).with("Cache-Control", "no-store")
        }
        Err(_) => Response::refusal(500),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_says_who_joins_or_nothing() {
        assert_eq!(parse_about(b""), Ok(None));
        assert_eq!(parse_about(b" {} "), Ok(None));
        assert_eq!(parse_about(b"null"), Ok(None));
        assert_eq!(parse_about(b"{\"role\":7}"), Ok(None));
        let edge = About { is_edge: true, name: "D\u{f6}r \u{1f600}".into() };
        let body = b"{\"name\":\"D\\u00f6r \\ud83d\\ude00\",\"role\":\"edge\",\"x\":[1]}";
        assert_eq!(parse_about(body), Ok(Some(edge)));
        for wrong in [&b"x"[..], b"{", b"\xff", &[b'['; 4000]] {
            assert!(parse_about(wrong).is_err());
        }
    }

    #[test]
    fn names_are_escaped_on_their_way_out() {
        let devices = [Device { id: "a", name: "\"q\" \\ \u{fc}\u{1f600}" }];
        let body = json(&devices[..]).body;
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(json::check(text), Ok(()));
        let name = json::member(json::elements(text).next().unwrap(), "name").unwrap();
        assert_eq!(json::string(name).unwrap(), "\"q\" \\ \u{fc}\u{1f600}");
    }
}
