//! Signaling without I/O, used by the edge and by the signaling server: rooms, messages,
//! the server's realm, the edge's client, and the bytes of WebSocket and STUN.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod absent;
pub mod base64;
pub mod bucket;
pub mod client;
pub mod hmac;
pub mod http;
pub mod json;
pub mod message;
pub mod network;
pub mod peer_id;
pub mod realm;
pub mod room;
pub mod stun;
pub mod websocket;
