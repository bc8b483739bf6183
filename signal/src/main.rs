//! nightjar-signal: reads the command line, serves, and says what went wrong.

use signal::config::{Command, Config, HELP};
use signal::{say, server};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let served = match Config::from_args(std::env::args_os().skip(1)) {
        Ok(Command::Run(config)) => server::run(*config),
        Ok(Command::Help) => return print(HELP),
        Ok(Command::Version) => {
            return print(concat!("nightjar-signal ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Err(error) => Err(error),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say!("{error}");
            ExitCode::from(2)
        }
    }
}

fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
