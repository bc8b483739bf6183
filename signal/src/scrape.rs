//! The operator's own listener: `GET /metrics` and nothing else, without TLS, off by default.
//!
//! Bounds: [`SCRAPERS_MAX`] connections, one request on each, read as strictly and within the
//! same times as at the door.

use crate::door::{self, HEAD_WITHIN, READ_WITHIN, within};
use crate::hall::Hall;
use crate::head::{Head, Method};
use crate::metrics::{CONTENT_TYPE, Now};
use crate::response::Response;
use crate::routes::Place;
use crate::stream::Stream;
use smol::{Async, LocalExecutor, Timer};
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

/// Most connections at once.
pub const SCRAPERS_MAX: usize = 64;

/// The pause after an error that is ours (no memory, no descriptor).
const PAUSE: Duration = Duration::from_millis(100);

/// Answers until the process ends.
pub async fn serve(
    executor: Rc<LocalExecutor<'static>>,
    listener: Async<TcpListener>,
    place: Rc<Place>,
    hall: Rc<Hall>,
) {
    let scrapers = Rc::new(Hall::new(SCRAPERS_MAX, SCRAPERS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            Timer::after(PAUSE).await;
            continue;
        };
        let Some(scraper) = scrapers.enter(None) else { continue };
        let (place, hall) = (Rc::clone(&place), Rc::clone(&hall));
        executor
            .spawn(async move {
                answer(&place, &hall, Stream::Plain(stream)).await;
                drop(scraper);
            })
            .detach();
    }
}

async fn answer(place: &Place, hall: &Hall, mut stream: Stream) -> Option<()> {
    let mut buffer = Vec::new();
    let head = within(HEAD_WITHIN, door::read_head(&mut stream, &mut buffer)).await?;
    let is_head = head.as_ref().is_ok_and(|head| head.method == Method::Head);
    let response = match head {
        Ok(head) => route(place, hall, &head),
        Err(error) => Response::refusal(error.status()),
    };
    let bytes = response.to_bytes(place.meeting.clock().unix_seconds(), false, !is_head);
    within(READ_WITHIN, door::write(&mut stream, &bytes)).await?;
    door::linger(stream).await;
    Some(())
}

fn route(place: &Place, hall: &Hall, head: &Head) -> Response {
    match (head.method, head.path.as_str()) {
        _ if head.body_bytes > 0 => Response::refusal(413),
        (Method::Get | Method::Head, "/metrics") => {
            let page = place.meeting.metrics().page(&now(place, hall));
            Response::new(200, CONTENT_TYPE, page.into_bytes()).with("Cache-Control", "no-store")
        }
        _ => Response::refusal(404),
    }
}

fn now(place: &Place, hall: &Hall) -> Now {
    let ledger = place.meeting.ledger();
    place.meeting.with_realm(|realm, _| Now {
        http: hall.visitors(),
        websockets: hall.sockets(),
        clients: realm.len(),
        rooms: realm.rooms(),
        absent_bytes: realm.absent_bytes(),
        unread_bytes: ledger.held(),
        slow_readers: ledger.cut(),
        counts: *realm.counts(),
    })
}
