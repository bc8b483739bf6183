//! The plain listener that sends browsers to https, and does nothing else.

use crate::door;
use crate::head::{self, Head, Method};
use crate::response::Response;
use crate::routes::Place;
use crate::stream::Stream;

/// Answers one request and closes. `port` is where https is answered.
pub async fn serve(place: &Place, stream: Stream, port: u16) -> Option<()> {
    let is_ours = |host: &str| place.lock.names(host);
    door::answer_once(place, stream, |head| answer(head, is_ours, port)).await
}

/// The same path on https, for a host that is this server; nobody is sent elsewhere.
fn answer(
    head: Result<&Head, &head::Error>,
    is_ours: impl Fn(&str) -> bool,
    port: u16,
) -> Response {
    let head = match head {
        Ok(head) => head,
        Err(error) => return refusal(error.status()),
    };
    if !matches!(head.method, Method::Get | Method::Head) {
        return refusal(405);
    }
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain(&head.path) || !plain(&head.query) {
        return refusal(400);
    }
    if !is_ours(&head.host) {
        return refusal(421);
    }
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let mark = if head.query.is_empty() { "" } else { "?" };
    let target = format!("https://{}{port}{}{mark}{}", head.host, head.path, head.query);
    Response::empty(308).with("Location", target)
}

fn refusal(status: u16) -> Response {
    let response = Response::refusal(status);
    if status == 405 { response.with("Allow", "GET, HEAD") } else { response }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str, port: u16) -> (u16, Option<String>) {
        let head = Head::parse(text.as_bytes());
        let response = answer(head.as_ref(), |host| host == "meet.example", port);
        let location = response.headers.iter().find(|(name, _)| *name == "Location");
        (response.status, location.map(|(_, value)| value.clone().into_owned()))
    }

    #[test]
    fn only_our_own_https_is_pointed_at() {
        let get = |target: &str, host: &str, port| {
            ask(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"), port)
        };
        let to = |url: &str| (308, Some(url.to_owned()));
        assert_eq!(get("/", "meet.example", 443), to("https://meet.example/"));
        assert_eq!(get("/a/b?c=d&e", "meet.example:80", 443), to("https://meet.example/a/b?c=d&e"));
        assert_eq!(get("/x", "meet.example:8080", 9000), to("https://meet.example:9000/x"));
        assert_eq!(
            get("//evil.example/", "meet.example", 443),
            to("https://meet.example//evil.example/")
        );
        for host in ["evil.example", "meet.example.evil.example", "127.0.0.1"] {
            assert_eq!(get("/", host, 443), (421, None), "{host}");
        }
        assert_eq!(get("/", "meet.example@evil.example", 443), (400, None));
        assert_eq!(get("http://meet.example/", "meet.example", 443), (400, None));
        assert_eq!(ask("GET / HTTP/1.0\r\n\r\n", 443), (421, None));
        let post = "POST / HTTP/1.1\r\nHost: meet.example\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(ask(post, 443), (405, None));
        let head = "HEAD /x HTTP/1.1\r\nHost: meet.example\r\n\r\n";
        assert_eq!(ask(head, 443), to("https://meet.example/x"));
    }
}
