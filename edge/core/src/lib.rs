//! What the appliance decides, without a clock, an allocator or I/O.
//!
//! Time is an argument ([`time::Instant`], [`time::UnixMs`]), entropy is an argument, and
//! every buffer has a fixed capacity. Floors and words: the repository's README.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod backoff;
pub mod decode;
pub mod event;
pub mod geometry;
pub mod labels;
pub mod ladder;
pub mod link;
pub mod motion;
pub mod nms;
pub mod pair;
pub mod pixels;
pub mod rest;
pub mod retain;
pub mod tamper;
pub mod time;
pub mod track;
pub mod watch;
