//! The keeper's own command line: on a card there is none but `grow`.

use crate::place::Place;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
nightjar-box: keeps a Nightjar card running.

Usage: nightjar-box [OPTIONS]           keep both servers, the network, the watchdog
       nightjar-box grow                give the data partition the rest of the card

  --root DIR      Where the system lies (default /); elsewhere the machine itself is left alone
  --listen ADDR   Where nightjar-signal answers (default [::]:80)
  --http ADDR     Where nightjar-edge answers, on loopback (default 127.0.0.1:8778)
  --no-network    Leave interfaces, names and time alone
  --version       Prints the version and ends
  --help          Prints this and ends
";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Keep(Options),
    Grow(Place),
    Help,
    Version,
}

/// How to keep.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) place: Place,
    pub(crate) listen: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) network: bool,
}

impl Command {
    pub(crate) fn from_args(args: impl Iterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut options = Options {
            place: Place::new(PathBuf::from("/")),
            listen: SocketAddr::from(([0_u16; 8], 80)),
            http: SocketAddr::from(([127, 0, 0, 1], 8778)),
            network: true,
        };
        let mut grow = false;
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Value(word) if word == "grow" => grow = true,
                Long("root") => options.place = Place::new(parser.value()?.into()),
                Long("listen") => options.listen = parser.value()?.parse()?,
                Long("http") => options.http = parser.value()?.parse()?,
                Long("no-network") => options.network = false,
                Long("version") => return Ok(Self::Version),
                Long("help") => return Ok(Self::Help),
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(if grow { Self::Grow(options.place) } else { Self::Keep(options) })
    }
}
