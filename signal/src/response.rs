//! An HTTP answer and its bytes.

use crate::head::Head;
use std::borrow::Cow;
use std::fmt::Write;

/// What is sent back; headers that every answer has are added when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Content-Type; empty: no body and no such header.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body.
    pub body: Cow<'static, [u8]>,
}

impl Response {
    /// A body of some type.
    pub fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }

    /// Plain text.
    pub fn text(status: u16, text: &'static str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.as_bytes())
    }

    /// JSON.
    pub fn json(body: Vec<u8>) -> Self {
        Self::new(200, "application/json", body)
    }

    /// No body.
    pub fn empty(status: u16) -> Self {
        Self::new(status, "", &[][..])
    }

    /// What says only what its status means.
    pub fn refusal(status: u16) -> Self {
        Self::text(status, reason(status))
    }

    /// With one header more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With what a browser needs to let any page read it.
    #[must_use]
    pub fn for_any_origin(self) -> Self {
        self.with("Access-Control-Allow-Origin", "*")
    }

    /// The bytes to send; to a HEAD request without the body.
    pub fn to_bytes(&self, unix_seconds: u64, keep_alive: bool, with_body: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let mut line = |name: &str, value: &str| {
            let _ = write!(head, "{name}: {value}\r\n");
        };
        line("Date", &http_date(unix_seconds));
        if !self.content_type.is_empty() {
            line("Content-Type", self.content_type);
        }
        if self.status != 204 && self.status != 304 {
            line("Content-Length", &self.body.len().to_string());
        }
        line("X-Content-Type-Options", "nosniff");
        line("Referrer-Policy", "no-referrer");
        line("Connection", if keep_alive { "keep-alive" } else { "close" });
        for (name, value) in &self.headers {
            line(name, value);
        }
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        if with_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// What a CORS preflight is told (any page, any method, the headers it asks for).
pub fn preflight(head: &Head) -> Response {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_, ".contains(&byte);
    let asked = head.header("access-control-request-headers").filter(|h| h.bytes().all(plain));
    Response::empty(204)
        .for_any_origin()
        .with("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE")
        .with("Access-Control-Allow-Headers", asked.unwrap_or("content-type").to_owned())
        .with("Access-Control-Max-Age", "600")
}

const fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        _ => "Error",
    }
}

/// IMF-fixdate (RFC 9110 s5.6.7); edges without a clock set theirs by it.
pub fn http_date(unix_seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let pick = |names: &[&'static str], at: u64| {
        usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
    };
    // Years that begin in March, so that the leap day is their last (civil_from_days).
    let since = days + 719_468;
    let (era, day_of_era) = (since / 146_097, since % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        pick(&DAYS, days % 7),
        pick(&MONTHS, month),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `date -u -R -d @SECONDS`.
    #[test]
    fn dates_are_those_of_the_calendar() {
        let table = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_709_251_200, "Fri, 01 Mar 2024 00:00:00 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
        ];
        for (seconds, text) in table {
            assert_eq!(http_date(seconds), text);
        }
    }

    #[test]
    fn bodies_are_counted_and_left_out_of_head() {
        let response = Response::text(200, "hello");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let whole = text(response.to_bytes(0, false, true));
        assert!(whole.contains("Content-Length: 5\r\n") && whole.ends_with("\r\n\r\nhello"));
        assert!(text(response.to_bytes(0, true, false)).ends_with("\r\n\r\n"));
        assert!(!text(Response::empty(204).to_bytes(0, true, true)).contains("\nContent-"));
    }
}
