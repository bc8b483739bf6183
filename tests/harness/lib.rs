//! Starts the shipped programs and speaks to them as anybody would.
#![expect(
    clippy::missing_panics_doc,
    clippy::print_stdout,
    clippy::format_push_string,
    reason = "a harness panics where a test fails, and speaks to people"
)]

pub mod data;
pub mod program;
pub mod web;
