//! Who signs updates, and with what: `key new`, `bundle`, `verify`.

mod key;
mod pack;
mod verify;

use crate::failure::Failure;
use crate::screen::{self, Screen};
use aws_lc_rs::digest::{Context, SHA256};
use image_core::manifest::Sum;
use image_core::version::Version;
use lexopt::{Arg, Parser, ValueExt};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Mutex;

pub(crate) use key::check_pair;
pub(crate) use pack::{Recipe, pack};
pub(crate) use verify::verify;

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Make a key: `NAME.key` and `NAME.pub`.
    Key(PathBuf),
    /// Sign an update.
    Bundle(Recipe),
    /// Look through one; with whose public key.
    Verify(PathBuf, Option<PathBuf>),
}

impl Order {
    /// Reads what stands behind `word`; `None` where help is asked for.
    pub(crate) fn from_args(word: &str, parser: Parser) -> Result<Option<Self>, Failure> {
        match word {
            "key" => Self::key(parser),
            "bundle" => Self::bundle(parser),
            _ => Self::verify(parser),
        }
    }

    fn key(mut parser: Parser) -> Result<Option<Self>, Failure> {
        match parser.next()? {
            Some(Arg::Value(word)) if word == "new" => {}
            Some(Arg::Long("help") | Arg::Short('h')) => return Ok(None),
            _ => return Err(Failure::Usage("a key can only be made: key new".into())),
        }
        let mut name = PathBuf::from("nightjar");
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("out") => name = parser.value()?.into(),
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(Self::Key(name)))
    }

    fn bundle(mut parser: Parser) -> Result<Option<Self>, Failure> {
        let (mut board, mut version, mut minimum) = (None, None, Version::default());
        let [mut boot, mut root, mut key, mut out] = [const { None::<PathBuf> }; 4];
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("board") => board = Some(parser.value()?.string()?),
                Arg::Long("version") => version = Some(read_version(&mut parser)?),
                Arg::Long("minimum") => minimum = read_version(&mut parser)?,
                Arg::Long("boot") => boot = Some(parser.value()?.into()),
                Arg::Long("root") => root = Some(parser.value()?.into()),
                Arg::Long("key") => key = Some(parser.value()?.into()),
                Arg::Long("out") => out = Some(parser.value()?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        let missing = |name: &str| Failure::Usage(format!("bundle needs --{name}"));
        Ok(Some(Self::Bundle(Recipe {
            board: board.ok_or_else(|| missing("board"))?,
            version: version.ok_or_else(|| missing("version"))?,
            minimum,
            boot: boot.ok_or_else(|| missing("boot"))?,
            root: root.ok_or_else(|| missing("root"))?,
            key: key.ok_or_else(|| missing("key"))?,
            out: out.ok_or_else(|| missing("out"))?,
        })))
    }

    fn verify(mut parser: Parser) -> Result<Option<Self>, Failure> {
        let (mut file, mut public_key) = (None::<PathBuf>, None);
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Value(path) if file.is_none() => file = Some(path.into()),
                Arg::Long("public-key") => public_key = Some(parser.value()?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        let file =
            file.ok_or_else(|| Failure::Usage("verify needs the file of an update".into()))?;
        Ok(Some(Self::Verify(file, public_key)))
    }

    /// Does it.
    pub(crate) fn run(&self, screen: &Mutex<Screen>) -> Result<(), Failure> {
        match self {
            Self::Key(name) => key::make(name, screen),
            Self::Bundle(recipe) => pack(recipe, screen),
            Self::Verify(file, public_key) => verify(file, public_key.as_deref(), screen).map(drop),
        }
    }
}

fn read_version(parser: &mut Parser) -> Result<Version, Failure> {
    let text = parser.value()?.string()?;
    let wrong = || Failure::Usage(format!("{text:?} is no version such as 1.2.3"));
    Version::parse(&text).ok_or_else(wrong)
}

/// Reads `from` to its end into `sink`: its size and digest. `doing` lives on the screen.
fn digest(
    from: &mut dyn Read,
    bytes: u64,
    doing: &str,
    screen: &Mutex<Screen>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Sum> {
    let (mut digest, mut done, mut piece) = (Context::new(&SHA256), 0, vec![0; PIECE]);
    loop {
        let read = from.read(&mut piece)?;
        let Some(data) = piece.get(..read).filter(|it| !it.is_empty()) else { break };
        digest.update(data);
        sink(data)?;
        done += read as u64;
        let mut screen = screen::lock(screen);
        if screen.is_terminal() {
            screen.live(&format!("{doing}: {} %", done * 100 / bytes.max(1)));
        }
    }
    screen::lock(screen).rest();
    let sha256 = digest.finish().as_ref().try_into().map_err(io::Error::other)?;
    Ok(Sum { bytes: done, sha256 })
}

#[cfg(test)]
mod tests;
