//! The appliance's shell: threads, devices, files and sockets. What is decided, is decided
//! in `edge-core`; what is seen, is seen by `edge-infer`.

pub mod api;
pub mod box_socket;
pub mod camera;
pub mod clock;
pub mod config;
pub mod crashes;
pub mod eye;
pub mod gap;
pub mod http;
pub mod identity;
pub mod journal;
pub mod model;
pub mod net;
pub mod notice;
pub mod parts;
pub mod peer;
pub mod principal;
pub mod signaling;
pub mod store;
pub mod thumb;
pub mod vitals;
