//! One connection, from its first byte to its upgrade or its end: heads with a deadline,
//! bodies with a bound, answers.

use crate::hall::Visitor;
use crate::head::{self, Finder, Head, Method};
use crate::outbox::Outbox;
use crate::response::Response;
use crate::routes::Place;
use crate::stream::Stream;
use signal_proto::realm::Conn;
use signal_proto::websocket;
use smol::Timer;
use smol::io::{AsyncRead, AsyncWriteExt};
use std::cell::RefCell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

/// A whole head, and a TLS handshake before it, arrive within this; of a further request,
/// from its first byte on.
pub const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// A further request on the same connection begins within this.
const NEXT_WITHIN: Duration = Duration::from_secs(10);

/// A whole body arrives within this.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// An answer is read within this.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// How long, and for how many bytes, a refused client may finish what it is sending, so that
/// it sees the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// For how long browsers are to come by https alone: half a year.
const STRICT_SECONDS: &str = "max-age=15552000";

/// Most requests on one connection.
const REQUESTS_MAX: usize = 1000;

thread_local! {
    /// What all connections read into: who waits for bytes holds no memory for them.
    static PAGE: RefCell<[u8; 2048]> = const { RefCell::new([0; 2048]) };
}

/// A connection that has become a WebSocket; without a conn it is to be told why not.
pub type Upgraded = (Stream, Option<Conn>, Rc<Outbox>);

/// `work`'s result, unless it takes too long.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = Option<T>>) -> Option<T> {
    smol::future::or(work, async {
        Timer::after(limit).await;
        None
    })
    .await
}

/// Answers requests until the connection ends or becomes a WebSocket.
pub async fn serve(
    place: &Place,
    mut stream: Stream,
    peer: IpAddr,
    visitor: &Visitor,
) -> Option<Upgraded> {
    let mut buffer = Vec::new();
    for number in 0..REQUESTS_MAX {
        if number > 0 && buffer.is_empty() {
            within(NEXT_WITHIN, visitor.idle(fill(&mut stream, &mut buffer))).await?;
        }
        let head = match within(HEAD_WITHIN, read_head(&mut stream, &mut buffer)).await? {
            Ok(head) => head,
            Err(error) => return refuse(place, stream, error.status()).await,
        };
        if place.stopping.get() {
            return refuse(place, stream, 503).await;
        }
        if place.is_socket(&head) && head.method == Method::Get {
            // Nothing may follow an upgrade before its answer (RFC 6455 s4.1).
            let Some(key) = upgrade_key(&head).filter(|_| buffer.is_empty()) else {
                return refuse(place, stream, upgrade_refusal(&head)).await;
            };
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                websocket::accept_key(key)
            );
            within(READ_WITHIN, write(&mut stream, answer.as_bytes())).await?;
            let (conn, outbox) = knock(place, &head, peer);
            return Some((stream, conn, outbox));
        }
        if head.body_bytes > place.body_max(&head) {
            return refuse(place, stream, 413).await;
        }
        if head.lists("expect", "100-continue") && head.body_bytes > buffer.len() {
            within(READ_WITHIN, write(&mut stream, b"HTTP/1.1 100 Continue\r\n\r\n")).await?;
        }
        let body = read_body(&mut stream, &mut buffer, head.body_bytes);
        let body = within(BODY_WITHIN, body).await?;
        let response = place.answer(&head, &body, place.origin(&head, peer));
        if matches!(response.status, 401 | 403) {
            place.meeting.metrics().denied.up();
        }
        let response = for_https(place, response);
        let keep_alive = head.keep_alive && number + 1 < REQUESTS_MAX;
        let with_body = head.method != Method::Head;
        let now = place.meeting.clock().unix_seconds();
        let bytes = response.to_bytes(now, keep_alive, with_body);
        within(READ_WITHIN, write(&mut stream, &bytes)).await?;
        if !keep_alive {
            break;
        }
    }
    linger(stream).await;
    None
}

/// Answers one request and closes: all that a listener with one purpose does.
pub(crate) async fn answer_once(
    place: &Place,
    mut stream: Stream,
    answer: impl FnOnce(Result<&Head, &head::Error>) -> Response,
) -> Option<()> {
    let mut buffer = Vec::new();
    let head = within(HEAD_WITHIN, read_head(&mut stream, &mut buffer)).await?;
    let response = answer(head.as_ref());
    let with_body = !head.is_ok_and(|head| head.method == Method::Head);
    let bytes = response.to_bytes(place.meeting.clock().unix_seconds(), false, with_body);
    within(READ_WITHIN, write(&mut stream, &bytes)).await?;
    linger(stream).await;
    Some(())
}

/// Lets the client in, or prepares what it is told.
fn knock(place: &Place, head: &Head, peer: IpAddr) -> (Option<Conn>, Rc<Outbox>) {
    let entered = place.knock(head, place.origin(head, peer));
    match entered.and_then(|knock| place.meeting.connect(knock)) {
        Ok((conn, outbox)) => (Some(conn), outbox),
        Err(refusal) => (None, place.meeting.refuse(refusal)),
    }
}

/// The key of a well-formed upgrade request (RFC 6455 s4.2.1).
fn upgrade_key(head: &Head) -> Option<&str> {
    let asks = head.lists("upgrade", "websocket") && head.lists("connection", "upgrade");
    let version = head.header("sec-websocket-version") == Some("13");
    let key = head.header("sec-websocket-key").filter(|key| websocket::is_key(key));
    key.filter(|_| asks && version && !head.is_old && head.body_bytes == 0)
}

fn upgrade_refusal(head: &Head) -> u16 {
    let version = head.header("sec-websocket-version");
    let other = version.is_some_and(|version| version != "13");
    if other || !head.lists("upgrade", "websocket") { 426 } else { 400 }
}

/// The next head, or why there is none; `None` at the connection's end.
async fn read_head(stream: &mut Stream, buffer: &mut Vec<u8>) -> Option<Result<Head, head::Error>> {
    let mut finder = Finder::default();
    loop {
        match finder.find(buffer) {
            Err(error) => return Some(Err(error)),
            Ok(Some(end)) => {
                let rest = buffer.split_off(end);
                let bytes = std::mem::replace(buffer, rest);
                return Some(Head::parse(&bytes));
            }
            Ok(None) => fill(stream, buffer).await?,
        }
    }
}

/// The body's bytes, taken off the front of what has arrived.
async fn read_body(stream: &mut Stream, buffer: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while buffer.len() < length {
        fill(stream, buffer).await?;
    }
    let rest = buffer.split_off(length);
    Some(std::mem::replace(buffer, rest))
}

/// Reads a little more; `None` at the end.
async fn fill(stream: &mut Stream, buffer: &mut Vec<u8>) -> Option<()> {
    read(stream, |bytes| buffer.extend_from_slice(bytes)).await
}

/// Reads once and lends the bytes to `take`; `None` at the end.
async fn read(stream: &mut Stream, mut take: impl FnMut(&[u8])) -> Option<()> {
    poll_fn(|cx| {
        PAGE.with_borrow_mut(|page| {
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, page));
            let bytes = page.get(..read.unwrap_or(0)).unwrap_or_default();
            take(bytes);
            Poll::Ready((!bytes.is_empty()).then_some(()))
        })
    })
    .await
}

/// Sends all of `bytes`.
async fn write(stream: &mut Stream, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

/// Tells browsers to come by https alone, where this is how they came (RFC 6797).
fn for_https(place: &Place, response: Response) -> Response {
    if place.lock.is_tls() {
        response.with("Strict-Transport-Security", STRICT_SECONDS)
    } else {
        response
    }
}

/// Says why not, and closes.
async fn refuse(place: &Place, mut stream: Stream, status: u16) -> Option<Upgraded> {
    if status < 500 {
        place.meeting.metrics().bad_requests.up();
    }
    let mut response = for_https(place, Response::refusal(status).for_any_origin());
    if status == 426 {
        response = response.with("Upgrade", "websocket").with("Sec-WebSocket-Version", "13");
    }
    if status == 405 {
        response = response.with("Allow", "GET, HEAD, POST, OPTIONS");
    }
    let bytes = response.to_bytes(place.meeting.clock().unix_seconds(), false, true);
    within(READ_WITHIN, write(&mut stream, &bytes)).await?;
    linger(stream).await;
    None
}

/// Closes our side, and reads what is still under way: a reset would take our answer along.
async fn linger(mut stream: Stream) {
    let rest = async {
        stream.close().await.ok()?;
        let mut left = LINGER_BYTES;
        while left > 0 {
            read(&mut stream, |bytes| left = left.saturating_sub(bytes.len())).await?;
        }
        Some(())
    };
    within(LINGER, rest).await;
}
