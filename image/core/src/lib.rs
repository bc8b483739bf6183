//! What a Nightjar card decides without I/O: partitions, settings, bundles, updates, health.
//! The words are those of `image/card.md`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod autoboot;
pub mod bundle;
pub mod facts;
pub mod health;
pub mod keeper;
pub mod layout;
pub mod manifest;
pub mod reboots;
pub mod settings;
pub mod sntp;
pub mod update;
pub mod version;
