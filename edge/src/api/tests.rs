//! The routes, asked as both doors ask them, and their description held against them.

use super::*;
use crate::notice;
use crate::store::{Change, Limits, Pictures};
use edge_core::event::{Event, EventId, Kind};
use edge_core::geometry::BBox;
use edge_core::rest::path::Fault;
use edge_core::time::UnixMs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;

/// A house with an empty store, gone when the test ends.
struct Home {
    house: House,
    dir: PathBuf,
}

impl Home {
    fn new(tag: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("nightjar-api-{tag}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let args = ["--data-dir", dir.to_str().unwrap(), "--name", "Test box"];
        let Ok(crate::config::Command::Run(config)) = Config::from_args(args) else { panic!() };
        let (bell, _) = notice::bell();
        let bell = Arc::new(bell);
        let clock = Clock::start();
        let limits = Limits { keep_bytes: 1 << 30, keep_days: 36_500 };
        let store = Store::open(&dir, limits, clock, Arc::clone(&bell)).unwrap();
        let house = House {
            config: Arc::new(config),
            clock,
            door: Door::new(Arc::clone(&store), true),
            store,
            board: Arc::new(Board::new(&["Hof".to_owned()])),
            below: None,
            bell,
            vitals: Vitals::default(),
            safe: false,
            model_name: None,
            peer_id: "me".into(),
            sessions: AtomicUsize::new(0),
        };
        Self { house, dir }
    }

    fn ask(&self, principal: Principal, line: &str, body: &str) -> Response {
        let (word, target) = line.split_once(' ').unwrap();
        let method = Method::from_word(word).unwrap();
        let request = Request { method, target, if_none_match: None, body: body.as_bytes() };
        answer(&self.house, &principal, &request)
    }

    fn get(&self, target: &str) -> Response {
        self.ask(Principal::Owner, &format!("GET {target}"), "")
    }

    fn record(&self, label: &str) -> EventId {
        let recorder = self.house.store.recorder();
        let id = recorder.next_id();
        let event = Event {
            id,
            kind: Kind::Object,
            label: label.try_into().unwrap(),
            camera: "Hof".try_into().unwrap(),
            started: UnixMs(UnixMs::FIRST_PLAUSIBLE.0 + id.0),
            ended: Some(UnixMs(UnixMs::FIRST_PLAUSIBLE.0 + 500)),
            score: 0.75,
            bbox: BBox::WHOLE,
            favourite: false,
            reviewed: false,
        };
        let pictures = Pictures { thumbnail: b"small".to_vec(), full: b"whole".to_vec() };
        recorder.record(Change::Opened { event, pictures });
        self.house.store.set(id, None, None).unwrap().unwrap();
        id
    }

    fn pair(&self) -> (Principal, String) {
        let paired = self.ask(Principal::Nobody, "POST /api/v1/pair", r#"{"name":"mine"}"#);
        assert_eq!(paired.status, 200, "{}", text(&paired));
        let token = text(&paired).split('"').nth(3).unwrap().to_owned();
        (self.house.door.by_token(&token), token)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.house.store.close();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

/// One route of each kind. A new kind does not compile until it stands here too.
fn every_route() -> Vec<Route> {
    let name = || "x".try_into().unwrap();
    let id = EventId(1);
    let routes = vec![
        Route::Root,
        Route::Healthcheck,
        Route::Ping,
        Route::AmbianicStatus,
        Route::Timeline,
        Route::Data(id, path::File::Args),
        Route::DisplayName(None),
        Route::DisplayName(Some(name())),
        Route::Notifications(Some(true)),
        Route::NotificationsTest,
        Route::Ifttt,
        Route::OpenApi,
        Route::Status,
        Route::Events,
        Route::Event(id),
        Route::Thumbnail(id),
        Route::Picture(id),
        Route::Cameras,
        Route::Snapshot(name()),
        Route::Device,
        Route::Pair,
        Route::Pairing,
        Route::Clients,
        Route::Client(1),
        Route::System,
        Route::Update,
        Route::Wifi,
        Route::Reset,
        Route::Restart,
    ];
    for route in &routes {
        match route {
            Route::Root
            | Route::Healthcheck
            | Route::Ping
            | Route::AmbianicStatus
            | Route::Timeline
            | Route::Data(..)
            | Route::DisplayName(_)
            | Route::Notifications(_)
            | Route::NotificationsTest
            | Route::Ifttt
            | Route::OpenApi
            | Route::Status
            | Route::Events
            | Route::Event(_)
            | Route::Thumbnail(_)
            | Route::Picture(_)
            | Route::Cameras
            | Route::Snapshot(_)
            | Route::Device
            | Route::Pair
            | Route::Pairing
            | Route::Clients
            | Route::Client(_)
            | Route::System
            | Route::Update
            | Route::Wifi
            | Route::Reset
            | Route::Restart
            | Route::Test(Fault::Slow | Fault::Panic | Fault::Bytes | Fault::Stall) => {}
        }
    }
    routes
}

/// Paths and methods as the file's lines give them: it is laid out so that a path stands four
/// spaces in and a method six.
fn described() -> Vec<(&'static str, Method)> {
    let mut pairs = Vec::new();
    let mut path = "";
    for line in OPENAPI.lines() {
        let key = |indent| line.strip_prefix(indent)?.strip_prefix('"')?.split('"').next();
        if let Some(found) = key("    ").filter(|key| key.starts_with('/')) {
            path = found;
        } else if let Some(word) = key("      ") {
            let method = Method::from_word(&word.to_uppercase());
            pairs.extend(method.filter(|_| !path.is_empty()).map(|method| (path, method)));
        } else if line.starts_with("  \"components\"") {
            path = "";
        }
    }
    pairs
}

#[derive(serde::Deserialize)]
struct Anything {}

#[test]
fn the_description_names_every_route_and_no_other() {
    let mut real: Vec<_> = every_route()
        .iter()
        .flat_map(|route| route.methods().iter().map(|method| (route.template(), *method)))
        .collect();
    let mut described = described();
    real.sort_by_key(|(path, method)| (*path, method.word()));
    described.sort_by_key(|(path, method)| (*path, method.word()));
    assert_eq!(described, real);
    for (template, _) in real {
        let sample = template
            .replace("clients/{id}", "clients/1")
            .replace("{id}", "0000000000000001")
            .replace("{rel_dir}", "0000000000000001")
            .replace("{file}", "event.json")
            .replace("{enabled}", "true")
            .replace("{name}", "x")
            .replace("{key}", "x");
        let route = Route::parse(&sample).unwrap();
        assert_eq!(route.template(), template);
    }
    assert!(serde_json_core::from_slice::<Anything>(OPENAPI.as_bytes()).is_ok());
}

#[test]
fn a_stranger_reads_no_event() {
    let home = Home::new("stranger");
    let id = home.record("person");
    for route in every_route() {
        let path = route.template().replace("{id}", &id.to_string());
        let path = path.replace("{rel_dir}", &id.to_string()).replace("{file}", "event.json");
        let path = path.replace("clients/0000000000000001", "clients/1");
        let open = matches!(route, Route::Root | Route::Ping | Route::AmbianicStatus | Route::Pair);
        for method in route.methods() {
            let line = format!("{} {path}", method.word());
            let refused = home.ask(Principal::Nobody, &line, "{}");
            assert_eq!(refused.status == 401, !open, "{line}: {}", refused.status);
            if !open {
                assert!(text(&refused).contains(r#""code":"not_paired""#), "{line}");
            }
        }
    }
}

#[test]
fn pairing_opens_once_and_again_on_demand() {
    let home = Home::new("pairing");
    assert!(text(&home.get("/api/v1/status")).contains(r#""pairing_open":true"#));
    let computer = r#"{"name":"computer","first":false}"#;
    let early = home.ask(Principal::Nobody, "POST /api/v1/pair", computer);
    assert_eq!((early.status, text(&early).contains("no_phone_yet")), (403, true));
    let (phone, token) = home.pair();
    assert_eq!(phone, Principal::Client(1));
    assert_eq!(token.len(), 32);
    let again = home.ask(Principal::Nobody, "POST /api/v1/pair", r#"{"name":"other"}"#);
    assert_eq!(again.status, 403);
    assert!(text(&again).contains(r#""code":"pairing_closed""#));
    assert_eq!(home.ask(Principal::Nobody, "POST /api/v1/pairing", "").status, 401);
    assert_eq!(home.ask(Principal::Legacy, "POST /api/v1/pairing", "").status, 403);
    let opened = home.ask(phone, "POST /api/v1/pairing", "");
    assert!(text(&opened).starts_with(r#"{"until_ms":"#));
    let (second, second_token) = home.pair();
    assert_eq!(second, Principal::Client(2));
    let list = home.ask(phone, "GET /api/v1/clients", "");
    assert!(text(&list).starts_with(r#"[{"id":1,"name":"mine","paired_ms":"#), "{}", text(&list));
    assert!(text(&list).contains(r#""this":true},{"id":2"#));
    assert_eq!(home.ask(phone, "DELETE /api/v1/clients/2", "").status, 204);
    assert_eq!(home.ask(phone, "DELETE /api/v1/clients/2", "").status, 404);
    let late = home.ask(Principal::Nobody, "POST /api/v1/pair", computer);
    assert_eq!(late.status, 200, "a paired phone has opened the door");
    assert_eq!(home.house.door.by_token(&second_token), Principal::Nobody);
    for wrong in ["", "0", &token[1..], &"0".repeat(32), &token.to_uppercase().repeat(2)] {
        assert_eq!(home.house.door.by_token(wrong), Principal::Nobody, "{wrong}");
    }
    assert_eq!(home.ask(Principal::Nobody, "POST /api/v1/pair", "{}").status, 400);
}

#[test]
fn events_are_listed_starred_and_deleted() {
    let home = Home::new("events");
    let [a, b, c] = ["person", "car", "person"].map(|label| home.record(label));
    let page = home.get("/api/v1/events?limit=2");
    assert!(text(&page).contains(&format!(r#""next":"{b}""#)), "{}", text(&page));
    let rest = home.get(&format!("/api/v1/events?limit=2&before={b}"));
    assert!(text(&rest).contains(&format!(r#"{{"events":[{{"id":"{a}""#)));
    assert!(text(&rest).ends_with(r#""next":null}"#));
    let cars = home.get("/api/v1/events?label=car,truck&kind=object&camera=Hof");
    assert!(text(&cars).contains(&b.to_string()) && !text(&cars).contains(&c.to_string()));
    assert_eq!(text(&home.get("/api/v1/events?camera=Tor")), r#"{"events":[],"next":null}"#);
    let wrong = home.get("/api/v1/events?limit=many");
    assert_eq!(wrong.status, 400);
    assert!(text(&wrong).contains(r#""field":"limit""#));

    let one = format!("/api/v1/events/{a}");
    let put = home.ask(Principal::Owner, &format!("PUT {one}"), r#"{"favourite":true}"#);
    assert!(text(&put).contains(r#""favourite":true,"reviewed":false"#));
    assert_eq!(put.body, home.get(&one).body);
    assert!(text(&home.get("/api/v1/events?favourite=true")).contains(&a.to_string()));
    let wrong = home.ask(Principal::Owner, &format!("PUT {one}"), r#"{"favourite":"x"}"#);
    assert_eq!(wrong.status, 400);
    assert_eq!(home.ask(Principal::Owner, &format!("POST {one}"), "").status, 405);
    assert_eq!(home.ask(Principal::Owner, &format!("DELETE {one}"), "").status, 204);
    assert_eq!(home.ask(Principal::Owner, &format!("DELETE {one}"), "").status, 404);
    assert_eq!(home.get(&one).status, 404);
    assert_eq!(home.get(&format!("{one}/picture")).status, 404);
}

#[test]
fn a_client_that_has_it_is_told_so() {
    let home = Home::new("etag");
    let id = home.record("cat");
    for (target, cache) in [
        (format!("/api/v1/events/{id}/thumbnail"), Cache::Forever),
        (format!("/api/v1/events/{id}/picture"), Cache::Forever),
        ("/api/v1/events".into(), Cache::Never),
    ] {
        let whole = home.get(&target);
        assert_eq!((whole.status, whole.cache), (200, cache), "{target}");
        let tag = whole.etag.clone().unwrap();
        for held in [&tag, &format!("\"x\", W/{tag}"), &"*".to_owned()] {
            let request = Request {
                method: Method::Get,
                target: &target,
                if_none_match: Some(held),
                body: &[],
            };
            let response = answer(&home.house, &Principal::Owner, &request);
            assert_eq!((response.status, response.body.len()), (304, 0), "{target} {held}");
            assert_eq!(response.etag.as_ref(), Some(&tag));
        }
    }
    assert_eq!(home.get(&format!("/api/v1/events/{id}/thumbnail")).body, b"small");
}

#[test]
fn ambianics_clients_find_what_they_know() {
    let home = Home::new("ambianic");
    assert!(text(&home.get("/")).contains("Ambianic"));
    assert_eq!(text(&home.get("/api/ping")), "\"pong\"");
    assert_eq!(text(&home.get("/api/notifications/test")), "null");
    let ids: Vec<_> = (0..12).map(|_| home.record("person")).collect();
    let mut seen = Vec::new();
    for page in ["", "?page=2", "?page=3.0", "?page=4"] {
        let page = home.get(&format!("/api/timeline{page}"));
        let rows = text(&page).split(r#""rel_dir":""#).skip(1);
        seen.extend(rows.map(|row| EventId::parse(&row[..16]).unwrap()));
    }
    assert_eq!(seen, ids.iter().rev().copied().collect::<Vec<_>>(), "each once, newest first");
    let shifted = home.get("/api/timeline.json?page=2.2");
    assert!(text(&shifted).starts_with(r#"{"status":"success","timeline":[{"#));
    assert!(text(&shifted).find(&ids[5].to_string()) < text(&shifted).find(&ids[1].to_string()));
    assert_eq!(home.get("/api/timeline?page=0").status, 422);
    let id = ids[0];
    assert_eq!(home.get(&format!("/api/data/{id}/thumbnail.jpg")).content_type, "image/jpeg");
    assert!(text(&home.get(&format!("/api/data/{id}/event.json"))).contains("datetime"));
    assert_eq!(home.get("/api/data/../owner.log").status, 400);
    assert_eq!(home.get("/api/config").status, 404);

    let put = |path: &str| home.ask(Principal::Legacy, &format!("PUT {path}"), "").status;
    assert_eq!(put("/api/device/display_name/Front%20door"), 204);
    assert_eq!(put("/api/device/display_name/"), 422);
    assert_eq!(put("/api/notifications/enable/true"), 204);
    assert_eq!(put("/api/notifications/enable/perhaps"), 422);
    assert_eq!(put("/api/integrations/ifttt/api_key/12345"), 501);
    assert_eq!(text(&home.get("/api/device/display_name")), "\"Front door\"");
    let status = home.get("/api/status");
    let version = env!("CARGO_PKG_VERSION");
    let expect = format!(
        r#"{{"status":"OK","version":"{version}","display_name":"Front door","notifications_enabled":true}}"#
    );
    assert_eq!(text(&status), expect);
}

#[test]
fn the_box_tells_how_it_fares() {
    let home = Home::new("status");
    home.record("person");
    let status = home.get("/api/v1/status");
    for part in [
        r#"{"name":"Test box","version":""#,
        r#""model":null"#,
        r#""clock_set":true"#,
        r#""store":{"events":1,"bytes":"#,
        r#""quarantined":0,"commits":"#,
        r#""cameras":[{"name":"Hof","#,
    ] {
        assert!(text(&status).contains(part), "{part} in {}", text(&status));
    }
    let named = home.ask(Principal::Owner, "PUT /api/v1/device", r#"{"name":"T\u00fcr"}"#);
    assert!(text(&named).starts_with(r#"{"name":"Tür""#));
    let wrong = home.ask(Principal::Owner, "PUT /api/v1/device", r#"{"name":""}"#);
    assert!(text(&wrong).contains(r#""field":"name""#));
    assert!(text(&home.get("/api/v1/cameras")).starts_with(r#"[{"name":"Hof","#));
    assert_eq!(home.get("/api/v1/cameras/Tor/snapshot").status, 404);
    assert_eq!(home.get("/api/v1/cameras/Hof/snapshot").status, 503);
    let expect = if cfg!(feature = "faults") { 200 } else { 404 };
    assert_eq!(home.get("/api/v1/test/bytes?n=5").status, expect);
}

/// The far end of the box's socket: answers each line with what belongs to its beginning, and
/// tells what it was asked and how many bytes followed.
fn far_end(
    home: &mut Home,
    answers: &'static [(&str, &str)],
) -> thread::JoinHandle<Vec<(String, u64)>> {
    let path = home.dir.join("box.sock");
    let listener = UnixListener::bind(&path).unwrap();
    home.house.below = Some(BoxSocket::new(path, home.house.clock));
    let serve = move |(beginning, answer): &(&str, &str)| {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.starts_with(beginning), "{line}");
        let bytes =
            line.split(r#""bytes":"#).nth(1).map_or("0", |rest| rest.trim_end_matches("}\n"));
        let mut bundle = (&mut stream).take(bytes.parse().unwrap());
        let taken = std::io::copy(&mut bundle, &mut std::io::sink()).unwrap();
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        (line, taken)
    };
    thread::spawn(move || answers.iter().map(serve).collect())
}

#[test]
fn without_a_box_nothing_lies_below() {
    let home = Home::new("no-box");
    for (line, body) in [
        ("GET /api/v1/system", ""),
        ("PUT /api/v1/system/update", "bundle"),
        ("PUT /api/v1/system/wifi", r#"{"ssid":"x","passphrase":"12345678","country":"DE"}"#),
        ("POST /api/v1/system/reset", r#"{"confirm":"Test box"}"#),
        ("POST /api/v1/system/restart", ""),
    ] {
        let answer = home.ask(Principal::Owner, line, body);
        assert_eq!(answer.status, 404, "{line}");
        assert!(text(&answer).contains(r#""code":"no_box""#), "{line}");
        assert_eq!(home.ask(Principal::Legacy, line, body).status, 403, "{line}");
    }
}

#[test]
fn the_box_below_is_asked_in_its_own_words() {
    let mut home = Home::new("box");
    let state = r#"{"version":"0.1.0","update":{"state":"none"}}"#;
    let served = far_end(
        &mut home,
        &[
            (
                r#"{"do":"state"}"#,
                "{\"ok\":{\"version\":\"0.1.0\",\"update\":{\"state\":\"none\"}}}\n",
            ),
            (
                r#"{"do":"update","bytes":200000}"#,
                "{\"percent\":99}\n{\"ok\":{\"version\":\"0.2.0\"}}\n",
            ),
            (r#"{"do":"update""#, "{\"error\":{\"code\":\"older\",\"message\":\"it is older\"}}\n"),
            (r#"{"do":"update""#, "{\"error\":{\"code\":\"busy\",\"message\":\"wait\"}}\n"),
            (r#"{"do":"wifi""#, "{\"ok\":{}}\n"),
            (r#"{"do":"reset"}"#, "{\"ok\":{}}\n"),
            (r#"{"do":"restart"}"#, "{\"ok\":{}}\n"),
        ],
    );
    let phone = Principal::Client(1);
    let got = home.ask(phone, "GET /api/v1/system", "");
    assert_eq!((got.status, text(&got)), (200, state));
    let bundle = "x".repeat(200_000);
    let staged = home.ask(phone, "PUT /api/v1/system/update", &bundle);
    assert_eq!((staged.status, text(&staged)), (200, r#"{"version":"0.2.0"}"#));
    let older = home.ask(phone, "PUT /api/v1/system/update", "x");
    assert_eq!(older.status, 422);
    assert_eq!(text(&older), r#"{"error":{"code":"older","message":"it is older"}}"#);
    assert_eq!(home.ask(phone, "PUT /api/v1/system/update", "x").status, 409);

    let put = |body| home.ask(phone, "PUT /api/v1/system/wifi", body);
    let wrong = put(r#"{"ssid":"Home","passphrase":"secret","country":"DE"}"#);
    assert_eq!(wrong.status, 400);
    assert!(text(&wrong).contains(r#""field":"passphrase""#) && !text(&wrong).contains("secret"));
    let wifi = put(r#"{"ssid":"Caf\u00e9 \"1\"","passphrase":"secret\\\u0020~","country":"DE"}"#);
    assert_eq!((wifi.status, wifi.body.len()), (204, 0));

    let reset = |body| home.ask(phone, "POST /api/v1/system/reset", body).status;
    assert_eq!(reset(r#"{"confirm":"test box"}"#), 400);
    assert_eq!(reset(""), 400);
    assert_eq!(reset(r#"{"confirm":"Test box"}"#), 204);
    assert_eq!(home.ask(phone, "POST /api/v1/system/restart", "").status, 204);

    let asked = served.join().unwrap();
    assert_eq!(asked[1].1, 200_000);
    let line = &asked[4].0;
    assert_eq!(
        line,
        "{\"do\":\"wifi\",\"ssid\":\"Café \\\"1\\\"\",\"passphrase\":\"secret\\\\ ~\",\"country\":\"DE\"}\n"
    );
    assert_eq!(home.get("/api/v1/system").status, 503, "nobody answers there any more");
}

#[test]
fn a_bundle_has_a_length_within_bounds() {
    let mut home = Home::new("length");
    home.house.below = Some(BoxSocket::new(home.dir.join("box.sock"), home.house.clock));
    for (length, status) in
        [(None, 411), (Some(0), 411), (Some((256 << 20) + 1), 413), (Some(1), 503)]
    {
        let target = "/api/v1/system/update";
        let request = Request { method: Method::Put, target, if_none_match: None, body: &[] };
        let upload = Upload { length, bytes: &mut std::io::repeat(7) };
        let answer = receive(&home.house, &Principal::Owner, &request, upload);
        assert_eq!(answer.status, status, "{length:?}");
    }
}
