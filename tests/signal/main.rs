//! The meeting place as clients meet it: the shipped binary, real sockets, and tungstenite as
//! the other side. S1 and so on are the conformance list that `PeerJS` servers are held to;
//! `conformance.rs` counts them.
#![expect(clippy::disallowed_methods, reason = "the outside measures real time")]

mod app;
mod conformance;
mod frames;
mod http;
mod ice;
mod ids;
mod limits;
mod process;
mod python;
mod relay;
mod rooms;
