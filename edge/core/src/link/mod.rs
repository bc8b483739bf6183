//! REST over the data channel, as seen by the box: labels `nightjar` and `http-proxy`.
//!
//! [`wire`] holds the bytes, [`responder`] answers label `nightjar`, [`legacy`] answers
//! `PeerFetch` clients on label `http-proxy`. All are machines without I/O: one mutation,
//! then drain `poll_output` until it has nothing left but a time. signal/README.md, "Link".

pub mod wire;
