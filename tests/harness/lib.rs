//! Starts the shipped programs and speaks to them as anybody would.
#![expect(
    clippy::missing_panics_doc,
    clippy::format_push_string,
    reason = "a harness panics where a test fails, and speaks to people"
)]

pub mod data;
pub mod dequantized;
pub mod figures;
pub mod flood;
pub mod footage;
pub mod fuzz;
pub mod heap;
pub mod meeting;
pub mod pixels;
pub mod program;
pub mod socket;
pub mod turn;
pub mod vectors;
pub mod web;

/// How often a long run repeats here: a tenth of `whole`, or all of it with `NIGHTJAR_FULL=1`
/// (`tests/run --full`).
pub fn rounds(whole: u64) -> u64 {
    let full = std::env::var("NIGHTJAR_FULL").as_deref() == Ok("1");
    if full { whole } else { whole.div_ceil(10) }
}
