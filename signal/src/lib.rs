//! The meeting place's shell, one thread: a listener for HTTP and WebSocket, where they are
//! wanted others for redirects and for figures, sockets for STUN. What is decided, is decided in
//! `signal-proto`.
//!
//! ```text
//! 5  main, server                      wiring, exit codes
//! 4  door, redirect, socket, binding,  one connection, one client, one datagram,
//!    scrape                            one look at the figures
//! 3  routes, meeting                   request -> answer; the realm and its outboxes
//! 2  files, response, head, outbox, stream, lock, tls, acme, home, hall
//! 1  config, error, clock, journal, memory, metrics
//! 0  signal-proto
//! ```

#[cfg(feature = "tls")]
pub mod acme;
pub mod binding;
pub mod clock;
pub mod config;
pub mod door;
pub mod error;
pub mod files;
pub mod hall;
pub mod head;
pub mod home;
pub mod journal;
pub mod lock;
pub mod meeting;
pub mod memory;
pub mod metrics;
pub mod outbox;
pub mod redirect;
pub mod response;
pub mod routes;
pub mod scrape;
pub mod secret;
pub mod server;
pub mod socket;
pub mod stream;
#[cfg(feature = "tls")]
pub mod tls;
