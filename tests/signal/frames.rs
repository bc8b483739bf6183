//! RFC 6455 as the table `tests/vectors/websocket.txt` has it: the decoder alone, the shipped
//! server, and tungstenite beside the decoder.

use harness::data::repository;
use harness::meeting::{Client, Server};
use harness::rounds;
use signal_proto::websocket::{Decoder, Error, Message, Role};
use std::fmt::Write as _;
use std::io::{Cursor, Read, Write};
use tungstenite::Message as Theirs;

/// Registered since, but unknown to tungstenite.
const BAD_GATEWAY: u16 = 1014;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One line of the table.
struct Case {
    name: String,
    bytes: Vec<u8>,
    /// The payload of its only frame, where that is a whole message: its first byte, its bytes.
    single: Option<(u8, Vec<u8>)>,
    outcome: Vec<String>,
}

fn table() -> Vec<Case> {
    let file = repository().join("tests/vectors/websocket.txt");
    let text = std::fs::read_to_string(file).expect("the table reads");
    text.lines().filter(|line| !line.starts_with('#')).map(case).collect()
}

fn case(line: &str) -> Case {
    let (frames, outcome) = line.split_once(" = ").expect("frames and outcome");
    let mut words = frames.split(' ');
    let name = words.next().expect("a name").to_owned();
    let frames: Vec<&str> = words.collect();
    let single = match frames.as_slice() {
        [frame] => frame.split_once(':').and_then(|(head, payload)| match head {
            "81" | "82" => Some((byte(head), payload_of(payload))),
            _ => None,
        }),
        _ => None,
    };
    let bytes = frames.into_iter().flat_map(frame).collect();
    Case { name, bytes, single, outcome: outcome.split(' ').map(str::to_owned).collect() }
}

fn byte(hex: &str) -> u8 {
    u8::from_str_radix(hex, 16).expect("two hex digits")
}

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len() / 2).map(|at| byte(&hex[2 * at..2 * at + 2])).collect()
}

fn payload_of(text: &str) -> Vec<u8> {
    match text.split_once('*') {
        Some((one, times)) => vec![byte(one); times.parse().expect("a count")],
        None => unhex(text),
    }
}

/// The bytes of a FRAME.
fn frame(text: &str) -> Vec<u8> {
    if let Some(raw) = text.strip_prefix('~') {
        return unhex(raw);
    }
    let (head, payload) = text.split_once(':').expect("a head and a payload");
    let payload = payload_of(payload);
    let (head, masked) = head.strip_suffix('!').map_or((head, true), |head| (head, false));
    let (head, promised) = match head.split_once('<') {
        Some((head, length)) => (head, length.parse().expect("a length")),
        None => (head, payload.len()),
    };
    let (head, form) = match head.split_once('/') {
        Some((head, form)) => (head, form),
        None if promised > 65_535 => (head, "64"),
        None if promised > 125 => (head, "16"),
        None => (head, "7"),
    };
    let promised = u64::try_from(promised).expect("small");
    let mut bytes = vec![byte(head)];
    let flag = if masked { 0x80 } else { 0 };
    match form {
        "7" => bytes.push(flag + u8::try_from(promised).expect("short")),
        "16" => {
            bytes.push(flag + 126);
            bytes.extend(u16::try_from(promised).expect("middling").to_be_bytes());
        }
        _ => {
            bytes.push(flag + 127);
            bytes.extend(promised.to_be_bytes());
        }
    }
    if !masked {
        bytes.extend(payload);
        return bytes;
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// What the decoder makes of `bytes`, `piece` at a time, in the table's words.
fn decode(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut decoder = Decoder::new(Role::Server);
    let mut heard = Vec::new();
    for mut input in bytes.chunks(piece) {
        loop {
            match decoder.read(&mut input) {
                Ok(None) => break,
                Ok(Some(message)) => heard.push(word(&message)),
                Err(error) => {
                    heard.push(format!("error:{}", error.code()));
                    return heard;
                }
            }
        }
        assert!(input.is_empty(), "all is read when nothing more comes");
    }
    heard
}

fn word(message: &Message) -> String {
    match message {
        Message::Text(text) => said("text", text.as_bytes()),
        Message::Binary(bytes) => said("binary", bytes),
        Message::Ping(bytes) => said("ping", bytes),
        Message::Pong(bytes) => said("pong", bytes),
        Message::Close(Some(code)) => format!("close:{code}"),
        Message::Close(None) => "close".into(),
    }
}

fn said(kind: &str, bytes: &[u8]) -> String {
    let mut text = format!("{kind}:");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The table's outcome with its repetitions written out.
fn expected(outcome: &[String]) -> Vec<String> {
    let whole = |word: &String| match word.split_once(':') {
        Some((kind, payload)) if payload.contains('*') => said(kind, &payload_of(payload)),
        _ => word.clone(),
    };
    outcome.iter().map(whole).collect()
}

#[test]
fn the_decoder_holds_the_table() {
    let table = table();
    assert!(table.len() > 250, "the whole table");
    for case in &table {
        let expected = expected(&case.outcome);
        for piece in [1, 2, 3, 7, 997, 1 << 20] {
            assert_eq!(decode(&case.bytes, piece), expected, "{} cut by {piece}", case.name);
        }
        // The same message with each byte in a frame of its own, and a ping within.
        if let Some((first, payload)) = case.single.as_ref().filter(|(_, it)| it.len() < 300) {
            let mut bytes = frame(&format!("{:02x}:", first & 0x0f));
            for byte in payload {
                bytes.extend(frame(&format!("00:{byte:02x}")));
            }
            bytes.extend(frame("89:2a"));
            bytes.extend(frame("80:"));
            let mut heard = decode(&bytes, 5);
            heard.retain(|word| word != "ping:2a");
            assert_eq!(heard, expected, "{} in fragments", case.name);
        }
    }
}

/// The same over real sockets: pongs and close codes as the table has them, and after a message
/// that says nothing to the server the connection goes on.
#[test]
fn the_server_holds_the_table() {
    let server = Server::start(&["--message-rate", "1000"]);
    let unreadable = format!("close:{BAD_GATEWAY}");
    for case in table().into_iter().filter(|case| !case.outcome.contains(&unreadable)) {
        let mut client = server.knock("key=peerjs&id=a&token=t");
        client.hear();
        client.socket.get_mut().write_all(&case.bytes).expect("the server reads");
        let ends = case.outcome.last().is_some_and(|it| it.starts_with(['c', 'e']));
        if !ends {
            client.socket.get_mut().write_all(&frame("89:656e64")).expect("the server reads");
        }
        let mut wanted: Vec<String> = expected(&case.outcome)
            .into_iter()
            .filter_map(|it| match it.split_once(':') {
                Some(("ping", payload)) => Some(format!("pong:{payload}")),
                Some(("error" | "close", code)) => Some(format!("close:{code}")),
                None => Some("close:1000".into()),
                _ => None,
            })
            .collect();
        wanted.extend((!ends).then(|| "pong:656e64".into()));
        assert_eq!(answers(&mut client, wanted.len()), wanted, "{}", case.name);
    }
}

/// The next pongs and closes, in the table's words.
fn answers(client: &mut Client, count: usize) -> Vec<String> {
    let mut next = || match client.socket.read() {
        Ok(Theirs::Pong(bytes)) => said("pong", &bytes),
        Ok(Theirs::Close(frame)) => {
            format!("close:{}", frame.map_or(1005, |frame| frame.code.into()))
        }
        other => format!("{other:?}"),
    };
    (0..count).map(|_| next()).collect()
}

/// xorshift64: the same streams on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).map_or(0, |it| it % bound)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Mostly good frames, so that streams become long, of every kind that there is.
fn stream(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut open = false;
    for _ in 0..=random.below(12) {
        let head = match random.below(40) {
            0 => format!("{:02x}", random.below(256)),
            1..=8 => random.pick(&["89", "8a"]).to_owned(),
            9 => "88".to_owned(),
            _ => {
                let last = random.below(3) > 0;
                let opcode = if open { "0" } else { random.pick(&["1", "1", "2"]) };
                open = !last;
                format!("{}{opcode}", if last { '8' } else { '0' })
            }
        };
        let payload: String = match (head.as_str(), random.below(30)) {
            ("88", 0..20) => match 990 + u16::try_from(random.below(40)).unwrap_or(0) {
                BAD_GATEWAY => "0bb8".to_owned(),
                code => format!("{code:04x}"),
            },
            ("88", _) => random.pick(&["", "03", "0bb8c3bc", "03e8c3", "1387", "1388"]).to_owned(),
            (_, 0) => random.pick(&["c3", "bc", "eda080", "f0908d", "ff", "c0af"]).to_owned(),
            (_, 1) => "61".repeat(random.below(140)),
            (_, 2) if random.below(10) == 0 => "c3bc".repeat(random.below(40_000)),
            _ => random.pick(&["", "61", "c3bc", "e282ac", "f09f9989"]).to_owned(),
        };
        let unmasked = if random.below(200) == 0 { "!" } else { "" };
        bytes.extend(frame(&format!("{head}{unmasked}:{payload}")));
    }
    bytes
}

/// Somebody else's reader of the same bytes. What it makes of them, and whether it refuses.
fn theirs(bytes: &[u8]) -> Vec<String> {
    struct OneWay<'a>(Cursor<&'a [u8]>);
    impl Read for OneWay<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buf)
        }
    }
    impl Write for OneWay<'_> {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    use tungstenite::protocol::{Role, WebSocketConfig};
    let most = signal_proto::websocket::MESSAGE_MAX;
    let config = WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most));
    let stream = OneWay(Cursor::new(bytes));
    let mut socket = tungstenite::WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut heard = Vec::new();
    loop {
        heard.push(match socket.read() {
            Ok(Theirs::Text(text)) => said("text", text.as_bytes()),
            Ok(Theirs::Binary(bytes)) => said("binary", &bytes),
            Ok(Theirs::Ping(bytes)) => said("ping", &bytes),
            Ok(Theirs::Pong(bytes)) => said("pong", &bytes),
            Ok(Theirs::Frame(_)) => continue,
            // How it says that a close was wrong.
            Ok(Theirs::Close(Some(frame))) if frame.reason == "Protocol violation" => {
                "error".into()
            }
            Ok(Theirs::Close(Some(frame))) => format!("close:{}", u16::from(frame.code)),
            Ok(Theirs::Close(None)) => "close".into(),
            Err(tungstenite::Error::ConnectionClosed) => return heard,
            Err(tungstenite::Error::Protocol(error)) => {
                use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake as End;
                heard.extend((error != End).then(|| "error".into()));
                return heard;
            }
            Err(_) => "error".into(),
        });
        if heard.last().is_some_and(|it| it == "error") {
            return heard;
        }
    }
}

/// Two readers that know nothing of each other read the same. Theirs sees wrong text only at a
/// frame's end, so what both refuse is the same, but not why.
#[test]
fn another_implementation_reads_the_same() {
    let mut random = Random(0x6e69_6768_746a_6172);
    let mut refused = 0;
    for round in 0..rounds(50_000) {
        let bytes = stream(&mut random);
        let mut ours = decode(&bytes, 1 + random.below(5000));
        let theirs = theirs(&bytes);
        for word in &mut ours {
            if word.starts_with("error") {
                refused += 1;
                *word = "error".into();
            }
        }
        assert_eq!(ours, theirs, "stream {round}: {bytes:02x?}");
    }
    assert!(refused > 100, "and some are refused: {refused}");
    assert_eq!(Error::Utf8.code(), 1007);
}
