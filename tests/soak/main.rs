//! A month in minutes, and the shipped program for a while at twenty times the rate: what grows?
//!
//! ```text
//! tests/soak/run                           30 virtual days, then 20 minutes by the wall clock
//! tests/soak/run --days 4 --minutes 0      only a short month
//! tests/soak/run --days 0 --minutes 2      only the program
//! ```
//! The month drives the real store, REST, sessions and the signaling machine in virtual time; the
//! second half starts nightjar-edge as it ships, with a client that polls.
#![expect(clippy::disallowed_methods, reason = "a soak measures real time")]

mod month;
mod phone;
mod server;
mod wall;

use harness::heap::Counting;
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static HEAP: Counting = Counting;

/// One line for whoever watches.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn main() -> ExitCode {
    let done = read().and_then(|(days, minutes)| {
        let month = days == 0 || month::run(days)?;
        let wall = minutes == 0 || wall::run(minutes)?;
        Ok(month && wall)
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Virtual days and minutes by the wall clock.
fn read() -> Result<(u64, u64), String> {
    let (mut days, mut minutes) = (30, 20);
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let number = match word.as_str() {
            "--days" => &mut days,
            "--minutes" => &mut minutes,
            other => return Err(format!("{other}: expected --days N or --minutes N")),
        };
        let text = words.next().unwrap_or_default();
        *number = text.parse().map_err(|_| format!("{word} {text}: expected a number"))?;
    }
    Ok((days, minutes))
}
