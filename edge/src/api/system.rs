//! The box below: its version and update, its Wi-Fi, its restart, its reset.

use super::{House, Refusal, Response, Upload};
use crate::box_socket::{BoxSocket, Error};
use edge_core::rest::body;
use edge_core::rest::system::{self, BUNDLE_BYTES, Wifi};

/// `GET /api/v1/system`.
pub(super) fn state(house: &House) -> Result<Response, Refusal> {
    let state = below(house)?.ask(r#"{"do":"state"}"#);
    said(state).map(|json| Response::json_bytes(json.into_bytes())).or_else(Failure::answer)
}

/// `PUT /api/v1/system/update`: the bundle is passed on as it comes.
pub(super) fn update(house: &House, upload: Upload<'_>) -> Result<Response, Refusal> {
    let (below, Upload { length, bytes }) = (below(house)?, upload);
    let length = length.filter(|length| *length > 0).ok_or(Refusal::NoLength)?;
    if length > BUNDLE_BYTES {
        return Err(Refusal::TooLarge);
    }
    let staged = below.update(length, bytes);
    said(staged).map(|json| Response::json_bytes(json.into_bytes())).or_else(Failure::answer)
}

/// `PUT /api/v1/system/wifi`.
pub(super) fn wifi(house: &House, body: &[u8]) -> Result<Response, Refusal> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        r#do: &'a str,
        ssid: &'a str,
        passphrase: &'a str,
        country: &'a str,
    }
    let below = below(house)?;
    let Wifi { ssid, passphrase, country } = &Wifi::parse(body)?;
    let mut line = [0; 1024];
    let length = body::write(&Line { r#do: "wifi", ssid, passphrase, country }, &mut line);
    let line = length.and_then(|length| str::from_utf8(line.get(..length)?).ok());
    done(below, line.ok_or(Refusal::Internal)?)
}

/// `POST /api/v1/system/reset`.
pub(super) fn reset(house: &House, body: &[u8]) -> Result<Response, Refusal> {
    let below = below(house)?;
    system::confirms(body, &house.name())?;
    done(below, r#"{"do":"reset"}"#)
}

/// `POST /api/v1/system/restart`.
pub(super) fn restart(house: &House) -> Result<Response, Refusal> {
    done(below(house)?, r#"{"do":"restart"}"#)
}

fn below(house: &House) -> Result<&BoxSocket, Refusal> {
    house.below.as_ref().ok_or(Refusal::NoBox)
}

fn done(below: &BoxSocket, line: &str) -> Result<Response, Refusal> {
    said(below.ask(line)).map(|_| Response::empty()).or_else(Failure::answer)
}

/// A no in the box's own words, or in ours.
enum Failure {
    Theirs { code: String, words: String },
    Ours(Refusal),
}

fn said(answer: Result<String, Error>) -> Result<String, Failure> {
    answer.map_err(|error| match error {
        Error::Refused { code, words } => Failure::Theirs { code, words },
        Error::Busy => Failure::Ours(Refusal::Busy),
        Error::Bundle(_) => Failure::Ours(Refusal::Malformed("the bundle breaks off")),
        Error::Away(_) | Error::Garbled => Failure::Ours(Refusal::BoxAway),
    })
}

impl Failure {
    fn answer(self) -> Result<Response, Refusal> {
        match self {
            Self::Ours(refusal) => Err(refusal),
            Self::Theirs { code, words } => {
                let status = if code == "busy" { 409 } else { 422 };
                Ok(Response::error(status, &code, &words))
            }
        }
    }
}
