//! REST over the data channel, as seen by the box: labels `nightjar` and `http-proxy`.
//!
//! [`wire`] holds the bytes and [`head`] the JSON of label `nightjar`, [`responder`] answers
//! it, and [`watermark`] says how far ahead; [`legacy`] answers `PeerFetch` clients on label `http-proxy`. Both are machines without
//! I/O: one mutation, then drain `poll_output` until it has nothing left but a time.
//! signal/README.md, "The link", is normative.

pub mod head;
pub mod legacy;
pub mod responder;
pub mod watermark;
pub mod wire;

/// One request of one session, as the shell knows it; counts up and is not reused, while
/// a phone may reuse its tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask(pub u32);

/// Later than any other time: nothing is due.
const NEVER: crate::time::Instant = crate::time::Instant(u64::MAX);
