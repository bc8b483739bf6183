//! The operator's own listener: `GET /metrics` and nothing else, without TLS, off by default.

use crate::door;
use crate::hall::Hall;
use crate::head::{Head, Method};
use crate::metrics::{CONTENT_TYPE, Now};
use crate::response::Response;
use crate::routes::Place;
use crate::stream::Stream;

/// Answers one request and closes. `hall` is the main listener's.
pub async fn serve(place: &Place, hall: &Hall, stream: Stream) -> Option<()> {
    let answer = |head: Result<&Head, &crate::head::Error>| match head {
        Ok(head) => route(place, hall, head),
        Err(error) => Response::refusal(error.status()),
    };
    door::answer_once(place, stream, answer).await
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
