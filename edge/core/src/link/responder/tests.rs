//! The responder against a naive phone, over an ordered channel with delays, in virtual time.

use super::*;
use std::collections::{BTreeMap, VecDeque};
use std::format;
use std::string::String as Text;
use std::vec;
use std::vec::Vec as List;

const HEAD: &[u8] = br#"{"method":"GET","path":"/api/v1/status"}"#;

/// A generator good enough to shuffle a test.
pub(in crate::link) struct Dice(pub(in crate::link) u64);

impl Dice {
    pub(in crate::link) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).expect("below a usize")
    }
}

fn chunk(ticket: u32, kind: Kind, piece: &[u8]) -> List<u8> {
    let mut buf = [0; CHUNK_BYTES];
    let length = Chunk { ticket, kind, piece }.emit(&mut buf).expect("room");
    buf[..length].to_vec()
}

fn head(length: usize) -> ResponseHead {
    let length = u32::try_from(length).expect("small");
    ResponseHead { status: 200, content_type: "x", length, etag: None }
}

/// A whole request without a body; says how the shell knows it.
fn ask(box_: &mut Responder, ticket: u32) -> Ask {
    ask_with(box_, ticket, HEAD)
}

fn ask_with(box_: &mut Responder, ticket: u32, head: &[u8]) -> Ask {
    let first = chunk(ticket, Kind::Head, head);
    let opened = box_.handle_message(Instant(0), &first);
    let Heard::Head { ask, .. } = opened else { panic!("{opened:?}") };
    let last = chunk(ticket, Kind::Last, b"");
    let whole = box_.handle_message(Instant(0), &last);
    assert_eq!(whole, Heard::Piece { ask, piece: b"", last: true });
    ask
}

/// Drains the machine as if the channel took everything at once: ticket, kind, piece.
fn drain(box_: &mut Responder, body: &[u8]) -> List<(u32, Kind, List<u8>)> {
    let mut buf = [0; CHUNK_BYTES];
    let mut sent = vec![];
    loop {
        box_.handle_buffered(0);
        match box_.poll_output(&mut buf, |_| body) {
            Output::Transmit { length, .. } => {
                let chunk = Chunk::parse(&buf[..length]).expect("a chunk");
                sent.push((chunk.ticket, chunk.kind, chunk.piece.to_vec()));
            }
            Output::Close(_) | Output::Timeout(_) => return sent,
        }
    }
}

fn status(piece: &[u8]) -> u16 {
    let text = core::str::from_utf8(piece).expect("text");
    text.strip_prefix(r#"{"status":"#).and_then(|rest| rest[..3].parse().ok()).expect("a status")
}

#[test]
fn one_request_one_answer() {
    let mut box_ = Responder::new(Instant(0));
    let asked = ask(&mut box_, 7);
    assert_eq!(drain(&mut box_, b""), []);
    assert!(box_.handle_answer(asked, head(2)));
    assert!(!box_.handle_answer(asked, head(2)), "once is enough");
    let sent = drain(&mut box_, b"{}");
    let kinds: List<_> = sent.iter().map(|(ticket, kind, _)| (*ticket, *kind)).collect();
    assert_eq!(kinds, [(7, Kind::Head), (7, Kind::Last)]);
    assert_eq!(sent[1].2, b"{}");
    ask(&mut box_, 7);
}

#[test]
fn a_head_that_says_that_no_body_follows_is_a_whole_request() {
    for (rest, wanted) in [("", 200), (",\"from\":1", 206)] {
        let mut box_ = Responder::new(Instant(0));
        let json = format!(r#"{{"method":"GET","path":"/","length":0{rest}}}"#);
        let head_of_it = chunk(7, Kind::Head, json.as_bytes());
        let opened = box_.handle_message(Instant(0), &head_of_it);
        let Heard::Head { ask, whole: true, .. } = opened else { panic!("{opened:?}") };
        let last = chunk(7, Kind::Last, b"more");
        assert_eq!(box_.handle_message(Instant(0), &last), Heard::Nothing, "it is asked already");
        assert!(box_.handle_answer(ask, head(2)));
        let sent = drain(&mut box_, b"{}");
        assert_eq!(status(&sent[0].2), wanted);
        assert_eq!(sent.last().expect("a body").1, Kind::Last);
        assert_eq!(box_.collecting_bytes, 0);
    }
}

#[test]
fn small_answers_overtake_bulk_and_bulk_takes_turns() {
    let mut box_ = Responder::new(Instant(0));
    let body = vec![1; 5 * PIECE_BYTES];
    for ticket in [1, 2] {
        let asked = ask(&mut box_, ticket);
        assert!(box_.handle_answer(asked, head(body.len())));
    }
    let small = ask(&mut box_, 3);
    assert!(box_.handle_answer(small, head(10)));
    box_.handle_message(Instant(0), &chunk(9, Kind::Ping, b""));
    box_.handle_push("{}");
    let order: List<_> = drain(&mut box_, &body).iter().map(|sent| (sent.0, sent.1)).collect();
    let (first, bulk) = order.split_at(6);
    assert_eq!(first[..2], [(9, Kind::Pong), (0, Kind::Push)]);
    assert!(first.contains(&(3, Kind::Last)), "{first:?}");
    let turns: List<_> = bulk.iter().map(|sent| sent.0).collect();
    assert_eq!(turns, [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
}

/// The phone has taken so many bytes of bulk, and so many more may be on their way.
fn credit(box_: &mut Responder, taken: u32, window: u32) {
    let bytes = chunk(taken, Kind::Credit, &window.to_be_bytes());
    assert_eq!(box_.handle_message(Instant(0), &bytes), Heard::Nothing);
}

#[test]
fn a_small_answer_waits_for_nothing_but_what_is_in_the_channel() {
    let mut dice = Dice(5);
    let body = vec![1; 400 * PIECE_BYTES];
    for _ in 0..50 {
        let mut box_ = Responder::new(Instant(0));
        for ticket in 0..=u32::try_from(dice.below(20)).expect("small") {
            let asked = ask(&mut box_, ticket);
            assert!(box_.handle_answer(asked, head(body.len())));
        }
        let (mut buf, mut waiting) = ([0; CHUNK_BYTES], 0);
        for _ in 0..=dice.below(200) {
            waiting -= waiting.min(dice.index(3 * CHUNK_BYTES));
            box_.handle_buffered(waiting);
            while let Output::Transmit { length, .. } = box_.poll_output(&mut buf, |_| &body) {
                waiting += length;
            }
        }
        assert!(waiting < WATERMARK_BYTES + CHUNK_BYTES, "{waiting} bytes before it");
        let small = ask(&mut box_, 900);
        assert!(box_.handle_answer(small, head(200)));
        box_.handle_buffered(WATERMARK_BYTES - 1);
        for kind in [Kind::Head, Kind::Last] {
            let sent = box_.poll_output(&mut buf, |_| &body[..200]);
            let Output::Transmit { length, .. } = sent else { panic!("{sent:?}") };
            let chunk = Chunk::parse(&buf[..length]).expect("a chunk");
            assert_eq!((chunk.ticket, chunk.kind), (900, kind), "the very next to be sent");
            box_.handle_buffered(0);
        }
    }
}

#[test]
fn the_rest_of_a_body_is_sent_without_its_beginning() {
    let body: List<u8> = (0..5 * PIECE_BYTES).map(|at| byte_of(1, at)).collect();
    let tagged = |tag: &str| ResponseHead { etag: tag.parse().ok(), ..head(body.len()) };
    let rest =
        |from: usize| format!(r#"{{"method":"GET","path":"/","from":{from},"if_range":"\"a\""}}"#);
    for (from, tag, wanted) in [
        (2 * PIECE_BYTES + 7, "\"a\"", (206, 2 * PIECE_BYTES + 7)),
        (body.len(), "\"a\"", (206, body.len())),
        (0, "\"a\"", (206, 0)),
        (7, "\"b\"", (200, 0)),
        (body.len() + 1, "\"b\"", (200, 0)),
    ] {
        let mut box_ = Responder::new(Instant(0));
        let asked = ask_with(&mut box_, 1, rest(from).as_bytes());
        assert!(box_.handle_answer(asked, tagged(tag)));
        let sent = drain(&mut box_, &body);
        let text = core::str::from_utf8(&sent[0].2).expect("text");
        assert_eq!(text.contains(&format!("\"from\":{from},")), wanted.0 == 206, "{text}");
        assert!(text.contains(&format!("\"length\":{}", body.len() - wanted.1)), "{text}");
        let got: List<u8> = sent[1..].iter().flat_map(|sent| sent.2.clone()).collect();
        assert_eq!((status(&sent[0].2), &got[..]), (wanted.0, &body[wanted.1..]));
    }
    let mut box_ = Responder::new(Instant(0));
    let asked = ask_with(&mut box_, 1, rest(body.len() + 1).as_bytes());
    assert!(!box_.handle_answer(asked, tagged("\"a\"")), "the body is not wanted");
    let sent = drain(&mut box_, b"");
    assert_eq!((status(&sent[0].2), &sent[1].2[..]), (416, SHORT_BODY.as_bytes()));
    let put = br#"{"method":"PUT","path":"/","from":3}"#;
    let asked = ask_with(&mut box_, 1, put);
    assert!(box_.handle_answer(asked, head(5)));
    assert_eq!(drain(&mut box_, b"whole")[1].2, b"whole", "what is done is not done from half");
}

#[test]
fn bulk_waits_for_credit_and_small_answers_do_not() {
    let mut box_ = Responder::new(Instant(0));
    let body = vec![1; 20 * PIECE_BYTES];
    let piece = u32::try_from(PIECE_BYTES).expect("small");
    let mores = |sent: &[(u32, Kind, List<u8>)]| sent.iter().filter(|s| s.1 == Kind::More).count();
    credit(&mut box_, 0, 3 * piece);
    let asked = ask(&mut box_, 1);
    assert!(box_.handle_answer(asked, head(body.len())));
    assert_eq!(mores(&drain(&mut box_, &body)), 3);
    let small = ask(&mut box_, 2);
    assert!(box_.handle_answer(small, head(9)));
    let kinds: List<_> = drain(&mut box_, b"something").iter().map(|s| (s.0, s.1)).collect();
    assert_eq!(kinds, [(2, Kind::Head), (2, Kind::Last)]);
    credit(&mut box_, piece, 3 * piece);
    credit(&mut box_, 0, 9 * piece);
    credit(&mut box_, 9 * piece, 9 * piece);
    assert_eq!(mores(&drain(&mut box_, &body)), 1, "what counts back or ahead says nothing");
    credit(&mut box_, 4 * piece, 5);
    assert_eq!(mores(&drain(&mut box_, &body)), 1, "one piece passes through any window");
    credit(&mut box_, 5 * piece, u32::MAX);
    let sent = drain(&mut box_, &body);
    assert_eq!((mores(&sent), sent.last().map(|s| s.1)), (14, Some(Kind::Last)));
}

#[test]
fn what_cannot_be_served_is_refused_in_words() {
    let mut box_ = Responder::new(Instant(0));
    box_.handle_message(Instant(0), &chunk(1, Kind::Head, b"nonsense"));
    box_.handle_message(Instant(0), &chunk(1, Kind::Last, b""));
    box_.handle_message(Instant(0), &chunk(2, Kind::Head, HEAD));
    let long = chunk(2, Kind::More, &[0; PIECE_BYTES]);
    let heard: List<_> = (0..5)
        .map(|_| matches!(box_.handle_message(Instant(0), &long), Heard::Gone { .. }))
        .collect();
    assert_eq!(heard, [false, false, false, false, true]);
    let sent = drain(&mut box_, b"");
    let heads: List<_> =
        sent.iter().filter(|s| s.1 == Kind::Head).map(|s| (s.0, status(&s.2))).collect();
    assert_eq!(heads, [(1, 400), (2, 413)]);
    assert!(sent.iter().all(|s| s.1 == Kind::Head || s.2.starts_with(b"{\"error\":{\"code\":")));
    let late = chunk(2, Kind::Last, b"late");
    assert_eq!(box_.handle_message(Instant(0), &late), Heard::Nothing);
    assert_eq!(drain(&mut box_, b""), [], "an answer is given once");
}

#[test]
fn the_65th_request_is_answered_429_and_a_flood_ends_the_session() {
    let mut box_ = Responder::new(Instant(0));
    for ticket in 0..65 {
        box_.handle_message(Instant(0), &chunk(ticket, Kind::Head, HEAD));
    }
    let sent = drain(&mut box_, b"");
    assert_eq!((sent[0].0, status(&sent[0].2)), (64, 429));
    for ticket in 100..165 {
        box_.handle_message(Instant(0), &chunk(ticket, Kind::Head, HEAD));
    }
    let mut buf = [0; CHUNK_BYTES];
    assert_eq!(box_.poll_output(&mut buf, |_| b""), Output::Close(Reason::Flooded));
}

#[test]
fn bodies_in_collection_are_bounded_together() {
    let mut box_ = Responder::new(Instant(0));
    let mut refused = 0;
    for ticket in 0..20 {
        box_.handle_message(Instant(0), &chunk(ticket, Kind::Head, HEAD));
        let piece = chunk(ticket, Kind::More, &[0; PIECE_BYTES]);
        let heard = box_.handle_message(Instant(0), &piece);
        refused += u32::from(matches!(heard, Heard::Gone { .. }));
    }
    assert_eq!(refused, 4);
    for ticket in 0..20 {
        box_.handle_message(Instant(0), &chunk(ticket, Kind::Cancel, b""));
    }
    assert_eq!(box_.collecting_bytes, 0);
}

const UPDATE: &[u8] = br#"{"method":"PUT","path":"/api/v1/system/update","length":1000000}"#;

/// Opens a request whose body is streamed.
fn stream(box_: &mut Responder, ticket: u32) -> Ask {
    let first = chunk(ticket, Kind::Head, UPDATE);
    let opened = box_.handle_message(Instant(0), &first);
    let Heard::Head { ask, streamed: true, .. } = opened else { panic!("{opened:?}") };
    ask
}

#[test]
fn a_streamed_body_is_bound_by_the_room_it_has() {
    let mut box_ = Responder::new(Instant(0));
    let asked = stream(&mut box_, 3);
    let piece = [7; PIECE_BYTES];
    let more = |box_: &mut Responder| match box_
        .handle_message(Instant(0), &chunk(3, Kind::More, &piece))
    {
        Heard::Piece { last: false, .. } => true,
        Heard::Gone { ask } => {
            assert_eq!(ask, asked);
            false
        }
        other => panic!("{other:?}"),
    };
    assert!((0..4).all(|_| more(&mut box_)), "64 KiB come unasked");
    box_.handle_room(asked, 5 * u32::try_from(PIECE_BYTES).expect("small"));
    box_.handle_room(asked, 9);
    let room = (5 * u32::try_from(PIECE_BYTES).expect("small")).to_be_bytes();
    assert_eq!(drain(&mut box_, b""), [(3, Kind::Credit, room.to_vec())], "told once");
    assert!(more(&mut box_));
    assert!(!more(&mut box_), "and not a byte beyond");
    let sent = drain(&mut box_, b"");
    assert_eq!((status(&sent[0].2), &sent[1].2[..]), (413, BEYOND_ROOM.as_bytes()));
    assert!(!box_.handle_answer(asked, head(1)), "its answer is another");
    assert_eq!(box_.collecting_bytes, 0);
}

#[test]
fn a_streamed_body_may_be_answered_before_its_end() {
    let mut box_ = Responder::new(Instant(0));
    let asked = stream(&mut box_, 3);
    box_.handle_message(Instant(0), &chunk(3, Kind::More, &[7; 100]));
    assert!(box_.handle_answer(asked, head(2)));
    box_.handle_room(asked, 1 << 20);
    let late = chunk(3, Kind::More, &[7; 100]);
    assert_eq!(box_.handle_message(Instant(0), &late), Heard::Nothing);
    let kinds: List<_> = drain(&mut box_, b"no").iter().map(|sent| sent.1).collect();
    assert_eq!(kinds, [Kind::Head, Kind::Last]);
    let asked = stream(&mut box_, 3);
    let last = chunk(3, Kind::Last, b"whole");
    let heard = box_.handle_message(Instant(0), &last);
    assert_eq!(heard, Heard::Piece { ask: asked, piece: b"whole", last: true });
    assert!(box_.handle_answer(asked, head(2)));
    assert_eq!(box_.collecting_bytes, 0);
}

#[test]
fn strangers_fill_no_more_with_streams_than_with_bodies() {
    let mut box_ = Responder::new(Instant(0));
    let mut taken = 0;
    for ticket in 0..20 {
        stream(&mut box_, ticket);
        for _ in 0..4 {
            let more = chunk(ticket, Kind::More, &[7; 16_000]);
            let heard = box_.handle_message(Instant(0), &more);
            taken += usize::from(matches!(heard, Heard::Piece { .. })) * 16_000;
        }
    }
    assert!(taken <= COLLECTING_BYTES, "{taken} bytes");
    for ticket in 0..20 {
        box_.handle_message(Instant(0), &chunk(ticket, Kind::Cancel, b""));
    }
    assert_eq!(box_.collecting_bytes, 0);
    let long = br#"{"method":"PUT","path":"/api/v1/device","length":65537}"#;
    box_.handle_message(Instant(0), &chunk(99, Kind::Head, long));
    let sent = drain(&mut box_, b"");
    let refused = sent.iter().find(|sent| sent.0 == 99).expect("an answer");
    assert_eq!(status(&refused.2), 413, "what is no stream does not wait for room");
}

#[test]
fn a_cancelled_request_is_forgotten_at_any_time() {
    let mut box_ = Responder::new(Instant(0));
    let body = vec![1; 9 * PIECE_BYTES];
    let asked = ask(&mut box_, 1);
    let cancel = chunk(1, Kind::Cancel, b"");
    assert_eq!(box_.handle_message(Instant(0), &cancel), Heard::Gone { ask: asked });
    assert!(!box_.handle_answer(asked, head(1)), "nobody waits");
    let again = ask(&mut box_, 1);
    assert_ne!(asked, again, "a reused ticket is another request");
    assert!(box_.handle_answer(again, head(body.len())));
    let mut buf = [0; CHUNK_BYTES];
    for _ in 0..3 {
        let output = box_.poll_output(&mut buf, |_| &body);
        assert!(matches!(output, Output::Transmit { .. }), "{output:?}");
    }
    assert_eq!(box_.handle_message(Instant(0), &cancel), Heard::Gone { ask: again });
    assert_eq!(drain(&mut box_, &body), []);
}

#[test]
fn a_body_shorter_than_promised_breaks_off() {
    let mut box_ = Responder::new(Instant(0));
    let asked = ask(&mut box_, 1);
    assert!(box_.handle_answer(asked, head(3)));
    let kinds: List<_> = drain(&mut box_, b"ab").iter().map(|sent| sent.1).collect();
    assert_eq!(kinds, [Kind::Head, Kind::Cancel]);
}

#[test]
fn pushes_beyond_the_queue_become_one_missed() {
    let mut box_ = Responder::new(Instant(0));
    box_.handle_push("{\"n\":0}");
    box_.handle_push("{\"n\":1}");
    let sent = drain(&mut box_, b"");
    assert_eq!((sent[0].0, sent[1].0, &sent[1].2[..]), (0, 1, &b"{\"n\":1}"[..]));
    for n in 0..=PUSHES {
        box_.handle_push(&format!("{n}"));
    }
    box_.handle_push("after");
    let sent = drain(&mut box_, b"");
    let pushed: List<_> = sent.iter().map(|s| (s.0, &s.2[..])).collect();
    assert_eq!(pushed, [(2, MISSED.as_bytes()), (3, b"after")]);
    box_.handle_push(&"x".repeat(PUSH_BYTES + 1));
    assert_eq!(drain(&mut box_, b"")[0].2, MISSED.as_bytes());
}

#[test]
fn silence_is_pinged_and_then_ends_the_session() {
    let mut box_ = Responder::new(Instant(0));
    let mut buf = [0; CHUNK_BYTES];
    let (mut now, mut pings) = (Instant(0), 0);
    loop {
        match box_.poll_output(&mut buf, |_| b"") {
            Output::Transmit { length, .. } => {
                assert_eq!(Chunk::parse(&buf[..length]).expect("a chunk").kind, Kind::Ping);
                pings += 1;
                if pings == 1 {
                    box_.handle_message(now.plus_ms(5), &chunk(1, Kind::Pong, b""));
                }
            }
            Output::Timeout(at) => {
                assert!(at > now, "time goes on");
                now = at;
                box_.handle_timeout(now);
            }
            Output::Close(reason) => {
                assert_eq!((reason, now, pings), (Reason::Silent, Instant(40_005), 3));
                return;
            }
        }
    }
}

/// What the phone keeps of one request, in the simplest way.
#[derive(Default)]
struct Wish {
    body: usize,
    sent: usize,
    /// How much of the answer the phone pretends to hold.
    from: Option<usize>,
    head: Option<u16>,
    got: List<u8>,
}

/// Bulk that the phone of every second seed wants on its way at most, bytes.
const WINDOW: u32 = 40_000;

/// A phone and a box with an ordered channel of random delay between them.
struct Pair {
    dice: Dice,
    now: Instant,
    responder: Responder,
    /// Towards the box and towards the phone: when it arrives, the bytes.
    up: VecDeque<(Instant, List<u8>)>,
    down: VecDeque<(Instant, List<u8>)>,
    wishes: BTreeMap<u32, Wish>,
    bodies: BTreeMap<Ask, List<u8>>,
    /// What arrived of each request: its ticket, where its answer is to go on, its body.
    collected: BTreeMap<Ask, (u32, Option<u32>, List<u8>)>,
    answers: List<(Instant, Ask)>,
    finished: usize,
    /// Bytes of bulk that the phone has taken, and those of which the box was told.
    taken: u32,
    told: u32,
    /// Whether this phone says what it has taken; older ones do not.
    credits: bool,
}

/// What the body of that ticket holds there, in either direction.
fn byte_of(ticket: u32, at: usize) -> u8 {
    u8::try_from((ticket as usize * 31 + at * 7) % 251).expect("below 251")
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut pair = Self {
            dice: Dice(seed),
            now: Instant(0),
            responder: Responder::new(Instant(0)),
            up: VecDeque::new(),
            down: VecDeque::new(),
            wishes: BTreeMap::new(),
            bodies: BTreeMap::new(),
            collected: BTreeMap::new(),
            answers: vec![],
            finished: 0,
            taken: 0,
            told: 0,
            credits: !seed.is_multiple_of(2),
        };
        if pair.credits {
            pair.at_box(chunk(0, Kind::Credit, &WINDOW.to_be_bytes()));
        }
        pair
    }

    fn at_box(&mut self, bytes: List<u8>) {
        let soonest = self.up.back().map_or(self.now, |last| last.0);
        let at = soonest.max(self.now).plus_ms(self.dice.below(20));
        self.up.push_back((at, bytes));
    }

    fn phone_acts(&mut self, next_ticket: &mut u32) {
        match self.dice.below(10) {
            0..=3 if self.wishes.len() < OPEN_TICKETS => {
                let body = if self.dice.below(3) == 0 { self.dice.index(60_000) } else { 0 };
                let from = (self.dice.below(3) == 0).then(|| self.dice.index(90_000));
                // Where it is said that there is no body, nothing is sent of one.
                let bare = body == 0 && self.dice.below(2) == 0;
                let sent = usize::from(bare);
                self.wishes.insert(*next_ticket, Wish { body, sent, from, ..Wish::default() });
                let rest = from.map(|from| format!(",\"from\":{from}")).unwrap_or_default();
                let rest = if bare { rest + ",\"length\":0" } else { rest };
                let json = format!(r#"{{"method":"GET","path":"/{next_ticket}"{rest}}}"#);
                self.at_box(chunk(*next_ticket, Kind::Head, json.as_bytes()));
                *next_ticket += 1;
            }
            4..=8 => {
                let unsent = self.wishes.iter().filter(|(_, wish)| wish.sent <= wish.body);
                let unsent: List<u32> = unsent.map(|(ticket, _)| *ticket).collect();
                if unsent.is_empty() {
                    return;
                }
                let ticket = unsent[self.dice.index(unsent.len())];
                let size = self.dice.index(PIECE_BYTES);
                let wish = self.wishes.get_mut(&ticket).expect("just seen");
                let end = wish.body.min(wish.sent + size);
                let piece: List<u8> = (wish.sent..end).map(|at| byte_of(ticket, at)).collect();
                let last = end == wish.body;
                wish.sent = if last { end + 1 } else { end };
                self.at_box(chunk(ticket, if last { Kind::Last } else { Kind::More }, &piece));
            }
            9 if self.dice.below(4) == 0 && !self.wishes.is_empty() => {
                let open: List<u32> = self.wishes.keys().copied().collect();
                let ticket = open[self.dice.index(open.len())];
                self.wishes.remove(&ticket);
                self.at_box(chunk(ticket, Kind::Cancel, b""));
            }
            _ => self.at_box(chunk(u32::MAX, Kind::Ping, b"")),
        }
    }

    fn box_hears(&mut self, bytes: &[u8]) {
        match self.responder.handle_message(self.now, bytes) {
            Heard::Nothing => {}
            Heard::Head { ask, head, whole, .. } => {
                let ticket = head.path[1..].parse().expect("a ticket");
                self.collected.insert(ask, (ticket, head.from, vec![]));
                if whole {
                    self.answers.push((self.now.plus_ms(self.dice.below(300)), ask));
                }
            }
            Heard::Piece { ask, piece, last } => {
                let (.., body) = self.collected.get_mut(&ask).expect("a head came first");
                body.extend_from_slice(piece);
                if last {
                    self.answers.push((self.now.plus_ms(self.dice.below(300)), ask));
                }
            }
            Heard::Gone { ask } => {
                self.collected.remove(&ask);
                self.bodies.remove(&ask);
            }
        }
    }

    fn box_answers(&mut self) {
        let due = |(at, _): &(Instant, Ask)| *at <= self.now;
        while let Some(at) = self.answers.iter().position(due) {
            let (_, ask) = self.answers.remove(at);
            let size = match self.dice.below(4) {
                0 => 0,
                1 => self.dice.index(300),
                2 => PIECE_BYTES + self.dice.index(3) - 1,
                _ => self.dice.index(200_000),
            };
            let Some((ticket, from, asked)) = self.collected.remove(&ask) else {
                assert!(!self.responder.handle_answer(ask, head(size)), "nobody waits");
                continue;
            };
            assert!(asked.iter().zip(0..).all(|(byte, at)| *byte == byte_of(ticket, at)));
            let wanted = self.responder.handle_answer(ask, head(size));
            assert_eq!(wanted, from.is_none_or(|from| from as usize <= size));
            if wanted {
                self.bodies.insert(ask, (0..size).map(|at| byte_of(ticket, at)).collect());
            }
        }
    }

    fn box_sends(&mut self) -> Instant {
        let waiting: usize = self.down.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(waiting < WATERMARK_BYTES + CHUNK_BYTES, "{waiting} bytes in the channel");
        let bulk = self.down.iter().filter(|(_, bytes)| bytes[4] == Kind::More.number());
        let away: usize = bulk.map(|(_, bytes)| bytes.len() - HEADER_BYTES).sum();
        assert!(!self.credits || away <= WINDOW as usize, "{away} bytes of bulk on their way");
        self.responder.handle_buffered(waiting);
        let mut buf = [0; CHUNK_BYTES];
        loop {
            let bodies = &self.bodies;
            let lend = |ask: Ask| bodies.get(&ask).map_or(&b""[..], List::as_slice);
            match self.responder.poll_output(&mut buf, lend) {
                Output::Transmit { length, done } => {
                    let soonest = self.down.back().map_or(self.now, |last| last.0);
                    let at = soonest.max(self.now).plus_ms(self.dice.below(9));
                    self.down.push_back((at, buf[..length].to_vec()));
                    if let Some(ask) = done {
                        self.bodies.remove(&ask);
                    }
                }
                Output::Timeout(at) => return at,
                Output::Close(reason) => panic!("{reason:?}"),
            }
        }
    }

    fn take(&mut self, bytes: usize) {
        self.taken += u32::try_from(bytes).expect("small");
        if self.credits && self.taken - self.told >= WINDOW / 4 {
            self.told = self.taken;
            self.at_box(chunk(self.taken, Kind::Credit, &WINDOW.to_be_bytes()));
        }
    }

    fn phone_hears(&mut self, bytes: &[u8]) {
        let chunk = Chunk::parse(bytes).expect("the box sends chunks");
        assert!(bytes.len() <= CHUNK_BYTES);
        if chunk.kind == Kind::More {
            self.take(chunk.piece.len());
        }
        let Some(wish) = self.wishes.get_mut(&chunk.ticket) else { return };
        match chunk.kind {
            Kind::Head => {
                assert_eq!(wish.head, None, "one head");
                wish.head = Some(status(chunk.piece));
                let text = Text::from_utf8_lossy(chunk.piece);
                let number = |name: &str| {
                    let rest = text.split(&format!("\"{name}\":")).nth(1)?;
                    rest.split([',', '}']).next()?.parse::<usize>().ok()
                };
                wish.body = number("length").expect("a length");
                let from = wish.from.filter(|_| wish.head == Some(206));
                assert_eq!(number("from"), from, "{text}");
                assert!(wish.from.is_none() || wish.head != Some(200), "{text}");
                wish.sent = usize::MAX;
            }
            Kind::More | Kind::Last => {
                assert!(matches!(wish.head, Some(200 | 206 | 416 | 503)), "a head before its body");
                wish.got.extend_from_slice(chunk.piece);
                if chunk.kind == Kind::Last {
                    let wish = self.wishes.remove(&chunk.ticket).expect("just seen");
                    assert_eq!(wish.got.len(), wish.body);
                    if matches!(wish.head, Some(416 | 503)) {
                        return;
                    }
                    let right = |(byte, at): (&u8, usize)| *byte == byte_of(chunk.ticket, at);
                    let from = wish.from.unwrap_or(0);
                    assert!(wish.got.iter().zip(from..).all(right), "its own body");
                    self.finished += 1;
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self, next_ticket: &mut u32, act: bool) {
        if act {
            self.phone_acts(next_ticket);
        } else {
            let open: List<u32> = self.wishes.keys().copied().collect();
            for ticket in open {
                let wish = self.wishes.get_mut(&ticket).expect("just seen");
                if wish.sent <= wish.body {
                    wish.sent = usize::MAX;
                    self.at_box(chunk(ticket, Kind::Last, b""));
                }
            }
        }
        while self.up.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, bytes) = self.up.pop_front().expect("just seen");
            self.box_hears(&bytes);
        }
        self.box_answers();
        let _ = self.box_sends();
        while self.down.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, bytes) = self.down.pop_front().expect("just seen");
            self.phone_hears(&bytes);
        }
        self.now = self.now.plus_ms(self.dice.below(5));
        self.responder.handle_timeout(self.now);
    }
}

#[test]
fn hours_of_random_requests_are_all_answered_once_and_in_order() {
    let mut finished = 0;
    for seed in 0..60 {
        let mut pair = Pair::new(seed);
        let mut next_ticket = 0;
        for _ in 0..1500 {
            pair.step(&mut next_ticket, true);
        }
        for _ in 0..20_000 {
            if pair.wishes.is_empty() && pair.answers.is_empty() {
                break;
            }
            pair.step(&mut next_ticket, false);
        }
        assert!(pair.wishes.is_empty(), "seed {seed}: {} unanswered", pair.wishes.len());
        assert_eq!(pair.responder.tickets.len(), 0, "seed {seed}");
        assert_eq!(pair.responder.collecting_bytes, 0, "seed {seed}");
        assert!(pair.bodies.is_empty() && pair.collected.is_empty(), "seed {seed}: forgotten");
        finished += pair.finished;
    }
    assert!(finished > 4000, "{finished}");
}

#[test]
fn any_messages_leave_the_machine_whole() {
    let mut dice = Dice(11);
    for _ in 0..300 {
        let mut box_ = Responder::new(Instant(0));
        let mut asked = vec![];
        for _ in 0..300 {
            let kind = u8::try_from(dice.below(9)).expect("small");
            let ticket = u8::try_from(dice.below(90)).expect("small");
            let mut bytes = vec![0, 0, 0, ticket, kind];
            if kind == 0 && dice.below(5) > 0 {
                bytes.extend_from_slice(HEAD);
            }
            bytes.resize(bytes.len() + dice.index(40), b'x');
            bytes.truncate(bytes.len() - dice.index(5));
            let heard = box_.handle_message(Instant(dice.below(9)), &bytes);
            if let Heard::Piece { ask, last: true, .. } = heard {
                asked.push(ask);
            }
            if dice.below(3) == 0 && !asked.is_empty() {
                let ask = asked.swap_remove(dice.index(asked.len()));
                box_.handle_answer(ask, head(dice.index(50_000)));
            }
            if dice.below(4) == 0 {
                drain(&mut box_, &std::vec![5; 50_000]);
            }
        }
    }
}
