//! Who shares a room with whom.

use harness::meeting::{OPEN, Server, connect_from, in_namespace, ip, text_member, wait_until};
use harness::web::{request, request_on};
use signal_proto::json;
use std::net::IpAddr;
use std::time::Duration;

/// S15, S16, S18, S19, S20.
#[test]
fn rooms_are_networks() {
    let server = Server::start(&["--trusted-proxy", "127.0.0.0/8"]);
    let (home, away) = (Some("203.0.113.7"), Some("198.51.100.9"));
    let query = |id: &str| format!("key=peerjs&id={id}&token=t");
    let mut a = server.knock_from(&query("a"), home);
    let mut edge = server.knock_from(&query("edge"), home);
    let mut far = server.knock_from(&query("far"), away);
    for client in [&mut a, &mut edge, &mut far] {
        assert_eq!(client.hear(), OPEN);
    }
    let (room, other) = (server.room_id("a", home), server.room_id("far", away));
    assert!(room.len() == 40 && room.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(server.room_id("edge", home), room);
    assert_ne!(room, other);

    let join = |id: &str, from| server.room("POST", id, &format!("{room}/join"), from);
    assert_eq!(join("a", home).text(), "{\"clientsIds\":[\"a\"]}");
    let path = format!("/peerjs/edge/t/room/{room}/join");
    let headers = [("X-Forwarded-For", "203.0.113.7"), ("Content-Type", "application/json")];
    let body = "{\"role\":\"edge\",\"name\":\"Front \\\"door\\\"\"}";
    let joined = request(&server.at, "POST", &path, &headers, body.as_bytes());
    assert_eq!(joined.text(), "{\"clientsIds\":[\"a\",\"edge\"]}");
    assert_eq!(join("edge", home).text(), "{\"clientsIds\":[\"a\",\"edge\"]}");
    let members = |id, from| server.room("GET", id, &format!("{room}/members"), from);
    assert_eq!(members("a", home).text(), "[\"a\",\"edge\"]");
    let devices = server.room("GET", "a", &format!("{room}/devices"), home);
    assert_eq!(devices.text(), "[{\"id\":\"edge\",\"name\":\"Front \\\"door\\\"\"}]");

    // A stranger is told the same whether the room exists or not.
    let refused = [members("far", away), join("far", away)];
    let unknown = server.room("GET", "far", &format!("{}/members", "0".repeat(40)), away);
    for answer in refused {
        assert_eq!((answer.status, answer.text()), (403, unknown.text()));
    }
    assert_eq!(members("far", Some("203.0.113.7, 198.51.100.9")).status, 403, "right-most counts");

    let leave = || server.room("POST", "a", &format!("{room}/leave"), home);
    assert_eq!(leave().text(), "{\"wasInRoom\":true}");
    assert_eq!(leave().text(), "{\"wasInRoom\":false}");
    join("a", home);
    drop(edge);
    wait_until("a member goes with its socket", Duration::from_secs(3), || {
        members("a", home).text() == "[\"a\"]"
    });

    let network = |from| server.room_id("a", Some(from));
    assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:2:ffff::9"));
    assert_ne!(network("2001:db8:1:2::3"), network("2001:db8:1:3::3"));
    assert_eq!(network("::ffff:203.0.113.7"), room);
}

/// S15, S19 without a trusted proxy: nothing a client says moves it to another network.
#[test]
fn a_client_cannot_choose_its_network() {
    let server = Server::start(&["--room-secret", "00112233445566778899aabbccddeeff"]);
    let _a = server.enter("a");
    let room = server.room_id("a", None);
    for name in ["X-Forwarded-For", "X-Client-IP", "CF-Connecting-IP", "X-Real-IP", "Forwarded"] {
        let answer =
            request(&server.at, "GET", "/peerjs/a/t/room/id", &[(name, "203.0.113.7")], b"");
        assert_eq!(text_member(answer.text(), "roomId"), room, "{name}");
    }
    let again = Server::start(&["--room-secret", "00112233445566778899aabbccddeeff"]);
    let other = Server::start(&[]);
    let (_b, _c) = (again.enter("b"), other.enter("c"));
    assert_eq!(again.room_id("b", None), room, "a given secret outlives a restart");
    assert_ne!(other.room_id("c", None), room);
}

/// A home's own addresses share a room only where the server stands in that home.
#[test]
fn a_home_is_one_room() {
    for (home, expected) in [(true, true), (false, false)] {
        let mut options = vec!["--trusted-proxy", "127.0.0.1"];
        options.extend(home.then_some("--home"));
        let server = Server::start(&options);
        let _a = server.enter("a");
        let rooms: Vec<_> = ["192.168.1.5", "10.0.0.9", "fd00::1", "169.254.1.1"]
            .into_iter()
            .map(|from| server.room_id("a", Some(from)))
            .collect();
        assert_eq!(rooms.iter().all(|room| *room == rooms[0]), expected);
        assert_ne!(server.room_id("a", Some("203.0.113.7")), rooms[0]);
    }
    // A proxy beside the server that nobody told it of: whoever comes through it is a stranger.
    let server = Server::start(&["--home"]);
    let _a = server.enter("a");
    let home = server.room_id("a", None);
    let _far = server.knock_from("key=peerjs&id=far&token=t", Some("203.0.113.7"));
    let far = server.room_id("far", Some("203.0.113.7"));
    assert_ne!(far, home);
    let near = server.room_id("far", Some("192.168.1.5"));
    assert_eq!(near, far, "what it says of them is not believed");
    let stolen = server.room("POST", "far", &format!("{home}/join"), Some("203.0.113.7"));
    assert_eq!(stolen.status, 403);
}

/// S21: the 65th is answered, but is not in.
#[test]
fn a_room_is_bounded() {
    let server = Server::start(&["--max-per-address", "100"]);
    let clients: Vec<_> =
        (0..65).map(|n| (format!("c{n}"), server.enter(&format!("c{n}")))).collect();
    let room = server.room_id("c0", None);
    let mut last = String::new();
    for (id, _) in &clients {
        let answer = server.room("POST", id, &format!("{room}/join"), None);
        assert_eq!(answer.status, 200);
        answer.text().clone_into(&mut last);
    }
    let ids: Vec<_> = json::elements(json::member(&last, "clientsIds").expect("ids")).collect();
    assert!(ids.len() == 64 && ids.contains(&"\"c63\"") && !ids.contains(&"\"c64\""));
}

/// A client is in two rooms at most (its IPv4 and its IPv6); for a third it leaves the oldest.
#[test]
fn a_client_is_in_two_rooms() {
    let server = Server::start(&["--trusted-proxy", "127.0.0.1"]);
    let (_roamer, _guard) = (server.enter("roamer"), server.enter("guard"));
    let networks = ["203.0.113.7", "2001:db8::7", "198.51.100.7"];
    let rooms = networks.map(|from| {
        let room = server.room_id("roamer", Some(from));
        let joined = server.room("POST", "roamer", &format!("{room}/join"), Some(from));
        assert_eq!(joined.status, 200);
        room
    });
    let is_in = |at: usize| {
        let members =
            server.room("GET", "guard", &format!("{}/members", rooms[at]), Some(networks[at]));
        members.text().contains("roamer")
    };
    assert_eq!([is_in(0), is_in(1), is_in(2)], [false, true, true]);
}

/// S15: two addresses, two rooms, without a proxy in between.
#[test]
fn each_address_is_a_network() {
    let server = Server::start(&[]);
    let (here, there) = (IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 3]));
    let mut a = server.knock_on(connect_from(here, &server.at), "key=peerjs&id=a&token=t", None);
    assert_eq!(a.hear(), OPEN);
    assert_eq!(server.room_id_at("a", here), server.room_id_at("a", here));
    assert_ne!(server.room_id_at("a", here), server.room_id_at("a", there));
}

/// S19: the right-most hop that is no proxy of ours, out of several lines, and what cannot be
/// read says nothing: the proxy that wrote it is the client then.
#[test]
fn only_what_trusted_proxies_add_counts() {
    let server = Server::start(&["--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.0/8"]);
    let _a = server.enter("a");
    let room = |lines: &[&str]| {
        let headers: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
        let answer = request(&server.at, "GET", "/peerjs/a/t/room/id", &headers, b"");
        assert_eq!(answer.status, 200);
        text_member(answer.text(), "roomId")
    };
    let (proxy, client) = (room(&[]), room(&["203.0.113.7"]));
    assert_ne!(proxy, client);
    let six = room(&["2001:db8:1:2::3"]);
    let table: [(&[&str], &str); 22] = [
        (&["1.1.1.1, 203.0.113.7"], &client),
        (&["1.1.1.1,203.0.113.7"], &client),
        (&["1.1.1.1", "203.0.113.7"], &client),
        (&["203.0.113.7, 10.1.2.3", "10.3.2.1"], &client),
        (&["203.0.113.7 ,\t10.1.2.3"], &client),
        (&["1.1.1.1, 203.0.113.7, 10.1.2.3"], &client),
        (&["203.0.113.7:4711"], &client),
        (&["::ffff:203.0.113.7"], &client),
        (&["[::ffff:203.0.113.7]:4711"], &client),
        (&["2001:db8:1:2:ffff::9"], &six),
        (&["[2001:db8:1:2::9]"], &six),
        (&["[2001:db8:1:2::9]:443"], &six),
        (&["203.0.113.7, unknown"], &proxy),
        (&["203.0.113.7, _hidden"], &proxy),
        (&["203.0.113.7, 999.1.1.1"], &proxy),
        (&["203.0.113.7, 1.1.1.1:99999"], &proxy),
        (&["203.0.113.7, [2001:db8::1"], &proxy),
        (&["203.0.113.7, fe80::1%eth0"], &proxy),
        (&["203.0.113.7,"], &proxy),
        (&[""], &proxy),
        (&["for=203.0.113.7"], &proxy),
        (&["\"203.0.113.7\""], &proxy),
    ];
    for (lines, expected) in table {
        assert_eq!(room(lines), expected, "{lines:?}");
    }
}

/// S19: registered is registered: while an id is taken over again and again, no room route of
/// its owner fails.
#[test]
fn rooms_never_fail_around_a_takeover() {
    let server = Server::start(&[]);
    let first = server.enter("a");
    let room = server.room_id("a", None);
    std::thread::scope(|scope| {
        let takeovers = scope.spawn(|| {
            let mut last = first;
            for _ in 0..40 {
                last = server.enter("a");
            }
            last
        });
        while !takeovers.is_finished() {
            for (method, action) in
                [("POST", "join"), ("GET", "members"), ("GET", "devices"), ("POST", "leave")]
            {
                let answer = server.room(method, "a", &format!("{room}/{action}"), None);
                assert_eq!(answer.status, 200, "{action}: {}", answer.text());
            }
            assert_eq!(server.room_id("a", None), room);
        }
        drop(takeovers.join().expect("takeovers go well"));
    });
}

/// S20, S15: real IPv6 addresses, a socket that is both, and `--home` by the machine's own
/// interfaces.
#[test]
fn links_are_rooms_on_real_interfaces() {
    if !in_namespace("rooms::links_are_rooms_on_real_interfaces") {
        return;
    }
    // Addresses that one can come from without having them: they are no link of the server's.
    for local in ["203.0.113.50", "198.51.100.9", "192.168.77.2"] {
        ip(&format!("route add local {local} dev lo"));
    }
    ip("route add local 2001:db8::/32 dev lo");
    ip("route add local fd00:1::/64 dev lo");
    std::fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").expect("it is our namespace");
    ip("address add 203.0.113.1/24 dev v0");
    ip("address add 2001:db8:5:6::1/64 dev v0 nodad");
    for home in [false, true] {
        let options: &[&str] = if home { &["--home"] } else { &[] };
        let server = Server::start_at("[::]:0", options);
        let port = server.at.rsplit(':').next().expect("a port").to_owned();
        let to = |local: IpAddr| match local {
            IpAddr::V4(_) => format!("127.0.0.1:{port}"),
            IpAddr::V6(_) => format!("[::1]:{port}"),
        };
        let mut a = server.knock_on(
            connect_from([127, 0, 0, 1].into(), &format!("127.0.0.1:{port}")),
            "key=peerjs&id=a&token=t",
            None,
        );
        assert_eq!(a.hear(), OPEN);
        let room = |local: &str| {
            let local = local.parse().expect("an address");
            let stream = connect_from(local, &to(local));
            let path = "/peerjs/a/t/room/id";
            let answer = request_on(stream, "localhost", "GET", path, &[], b"");
            text_member(answer.text(), "roomId")
        };
        assert_eq!(room("2001:db8:1:2::3"), room("2001:db8:1:2:ffff::9"), "one link");
        assert_ne!(room("2001:db8:1:2::3"), room("2001:db8:1:3::3"));
        assert_ne!(room("198.51.100.9"), room("203.0.113.50"));
        let here = room("127.0.0.1");
        for on_link in ["203.0.113.50", "2001:db8:5:6::50", "192.168.77.2", "fd00:1::2", "::1"] {
            assert_eq!(room(on_link) == here, home, "{on_link}, --home {home}");
        }
        for abroad in ["198.51.100.9", "2001:db8:1:2::3"] {
            assert_ne!(room(abroad), here, "{abroad}, --home {home}");
        }
    }
}
