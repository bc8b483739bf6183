//! The keeper on the card: first boot, both servers, watchdog, updates.

mod args;
mod clock;
mod grow;
mod journal;
mod keep;
mod launch;
mod names;
mod net;
mod people;
mod place;
mod radio;
mod servers;
mod socket;
mod status;
mod supervise;
mod takeover;
mod time;
mod update;
mod watchdog;

use args::Command;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek() == Some(&OsString::from(launch::WORD)) {
        return failed(&launch::become_child(args.skip(1)));
    }
    if args.peek() == Some(&OsString::from(names::WORD)) {
        return failed(&names::announce(args.skip(1)));
    }
    match Command::from_args(args) {
        Ok(Command::Keep(options)) => {
            keep::keep(&options).map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
        }
        Ok(Command::Grow(place)) => {
            grow::grow(&place).map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
        }
        Ok(Command::Help) => printed(args::HELP),
        Ok(Command::Version) => printed(concat!("nightjar-box ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => {
            let _ = writeln!(io::stderr(), "nightjar-box: {error}");
            ExitCode::from(2)
        }
    }
}

fn printed(text: &str) -> ExitCode {
    let done = io::stdout().write_all(text.as_bytes());
    done.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &io::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "nightjar-box: {error}");
    ExitCode::FAILURE
}
