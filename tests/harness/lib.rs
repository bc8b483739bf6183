//! Starts the shipped programs and speaks to them as anybody would.

pub mod data;
pub mod program;
pub mod web;
