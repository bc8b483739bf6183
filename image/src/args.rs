//! The command line of `nightjar`.

use crate::boot::Boot;
use crate::build::Build;
use crate::card::Order;
use crate::failure::Failure;
use crate::flash::Flash;
use crate::model;
use crate::signing;
use crate::update::Update;
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::{OsStr, OsString};

/// What `nightjar --help` says.
const HELP: &str = "\
Nightjar's host tool.

  nightjar try [--lan] [--no-open] [OPTIONS OF nightjar-edge]
      Runs Nightjar on this machine until Ctrl-C: the signaling server with the app, and
      the edge on the first camera or, without one, on a demo scene.
        --lan       let phones on this network in; otherwise only this machine
        --no-open   do not open a browser
      Everything else goes to nightjar-edge: --camera replay:FOLDER, --keep-days 3, ...

  nightjar model fetch [--url URL]
      Brings the detection model into the user's cache and checks it.

  nightjar build BOARD [--from-debian] [--out FILE] [--public-key FILE] [--key FILE]
                 [--version V] [--overlay FOLDER]...
      Builds a card's image from this clone: by Buildroot, or for qemu-arm64 from Debian.
        --public-key  whose updates the card takes; without it, nobody's
        --key         signs an update, which is made beside the image
        --overlay     a folder laid over the root file system

  nightjar boot IMAGE [--tap DEVICE] [--append WORD]... [--once]
      Boots a card for qemu-arm64 until it powers itself off.
        --tap         a tap device of this machine for its Ethernet
        --append      a word for the kernel's command line
        --once        ends at the first reset

  nightjar key new [--out NAME]
      Makes NAME.key, which signs updates, and NAME.pub, which a card trusts (nightjar).

  nightjar bundle --board B --version V [--minimum V] --boot FILE --root FILE --key FILE --out FILE
      Makes an update of two parts and signs it.
        --minimum     the least version that it may replace

  nightjar verify FILE [--public-key FILE]
      Says what an update holds, and whether its hashes and its signature are true.

  nightjar image --board BOARD --boot FOLDER --root FILE --out FILE [--toml FILE]
      Lays out a card's image from its parts: the files of a boot partition and a squashfs.
        --out         a name that ends in .gz is packed
        --toml        the nightjar.toml that is on it

  nightjar flash IMAGE [--to DEVICE | --file OUT] [--yes]
                 [--wifi SSID] [--passphrase-file FILE] [--country CC]
                 [--hostname H] [--name TEXT] [--timezone TZ] [--signal URL]
      Writes a card and reads it back. Offers removable drives that nothing uses, and asks
      once, by name. Without a setting it asks for the usual ones.
        --to          the drive, such as sdb
        --file        a file in place of a drive
        --yes         asks nothing; needs --to or --file

  nightjar update FILE [--signal URL] [--id ID] [--public-key FILE]
      Hands a box in this network a new version over WebRTC, and waits until it stays or the
      old one runs again. Pairs once: a paired phone has to let this computer in, and can
      revoke it. What the box gave it is in ~/.config/nightjar/boxes.
        --signal      the box's own server (http://nightjar.local)
        --id          which box, where there are several
        --public-key  checks the signature here, too

  nightjar --version | --help";

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run Nightjar on this machine.
    Try(Trial),
    /// Bring the model.
    ModelFetch(model::Source),
    /// Build a card's image.
    Build(Build),
    /// Boot one in QEMU.
    Boot(Boot),
    /// Make a key, make an update, look through one.
    Sign(signing::Order),
    /// Lay out an image from its parts.
    Image(Order),
    /// Write a card.
    Flash(Flash),
    /// Give a box a new version.
    Update(Update),
    /// Print this text.
    Help(&'static str),
    /// Print the version.
    Version,
}

/// The options of `try`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Trial {
    /// Listen on every interface.
    pub(crate) lan: bool,
    /// Open a browser where there is a screen.
    pub(crate) open: bool,
    /// What goes on to nightjar-edge as it came.
    pub(crate) edge: Vec<OsString>,
}

impl Command {
    /// Reads the command line.
    pub(crate) fn from_args(mut parser: Parser) -> Result<Self, Failure> {
        match parser.next()? {
            None | Some(Arg::Long("help") | Arg::Short('h')) => Ok(Self::Help(HELP)),
            Some(Arg::Long("version") | Arg::Short('V')) => Ok(Self::Version),
            Some(Arg::Value(word)) if word == "try" => Ok(Trial::read(parser.raw_args()?)),
            Some(Arg::Value(word)) if word == "model" => Self::model(parser),
            Some(Arg::Value(word)) if word == "build" => Self::build(parser),
            Some(Arg::Value(word)) if word == "boot" => Self::boot(parser),
            Some(Arg::Value(word)) if word == "key" || word == "bundle" || word == "verify" => {
                let order = signing::Order::from_args(&word.string()?, parser)?;
                Ok(order.map_or(Self::Help(HELP), Self::Sign))
            }
            Some(Arg::Value(word)) if word == "image" => Self::image(parser),
            Some(Arg::Value(word)) if word == "flash" => Self::flash(parser),
            Some(Arg::Value(word)) if word == "update" => Self::update(parser),
            Some(other) => Err(other.unexpected().into()),
        }
    }

    fn build(mut parser: Parser) -> Result<Self, Failure> {
        let mut build = Build::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Value(board) if build.board.is_empty() => build.board = board.string()?,
                Arg::Long("from-debian") => build.from_debian = true,
                Arg::Long("out") => build.out = Some(parser.value()?.into()),
                Arg::Long("public-key") => build.public_key = Some(parser.value()?.into()),
                Arg::Long("key") => build.key = Some(parser.value()?.into()),
                Arg::Long("version") => build.version = Some(parser.value()?.string()?),
                Arg::Long("overlay") => build.overlays.push(parser.value()?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help(HELP)),
                other => return Err(other.unexpected().into()),
            }
        }
        if build.board.is_empty() {
            return Err(Failure::Usage("build needs the name of a board".into()));
        }
        Ok(Self::Build(build))
    }

    fn boot(mut parser: Parser) -> Result<Self, Failure> {
        let mut boot = Boot::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Value(image) if boot.image.as_os_str().is_empty() => boot.image = image.into(),
                Arg::Long("tap") => boot.tap = Some(parser.value()?.string()?),
                Arg::Long("append") => boot.append.push(parser.value()?.string()?),
                Arg::Long("once") => boot.once = true,
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help(HELP)),
                other => return Err(other.unexpected().into()),
            }
        }
        if boot.image.as_os_str().is_empty() {
            return Err(Failure::Usage("boot needs an image".into()));
        }
        Ok(Self::Boot(boot))
    }

    fn image(mut parser: Parser) -> Result<Self, Failure> {
        let mut order = Order::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("board") => order.board = parser.value()?.string()?,
                Arg::Long("boot") => order.card.boot = parser.value()?.into(),
                Arg::Long("root") => order.card.root = parser.value()?.into(),
                Arg::Long("out") => order.out = parser.value()?.into(),
                Arg::Long("toml") => order.settings = Some(parser.value()?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help(HELP)),
                other => return Err(other.unexpected().into()),
            }
        }
        let paths = [&order.card.boot, &order.card.root, &order.out];
        if order.board.is_empty() || paths.iter().any(|it| it.as_os_str().is_empty()) {
            return Err(Failure::Usage("image needs --board, --boot, --root and --out".into()));
        }
        Ok(Self::Image(order))
    }

    fn flash(mut parser: Parser) -> Result<Self, Failure> {
        let mut flash = Flash::default();
        while let Some(arg) = parser.next()? {
            let answers = &mut flash.answers;
            match arg {
                Arg::Value(image) if flash.image.as_os_str().is_empty() => {
                    flash.image = image.into();
                }
                Arg::Long("to") => flash.to = Some(parser.value()?.string()?),
                Arg::Long("file") => flash.file = Some(parser.value()?.into()),
                Arg::Long("yes") => flash.yes = true,
                // For tests: not in the help.
                Arg::Long("loop-devices-too") => flash.loops = true,
                Arg::Long("wifi") => answers.wifi = Some(parser.value()?.string()?),
                Arg::Long("passphrase-file") => {
                    answers.passphrase_file = Some(parser.value()?.into());
                }
                Arg::Long("country") => answers.country = Some(parser.value()?.string()?),
                Arg::Long("hostname") => answers.hostname = Some(parser.value()?.string()?),
                Arg::Long("name") => answers.name = Some(parser.value()?.string()?),
                Arg::Long("timezone") => answers.timezone = Some(parser.value()?.string()?),
                Arg::Long("signal") => answers.signal = Some(parser.value()?.string()?),
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help(HELP)),
                other => return Err(other.unexpected().into()),
            }
        }
        if flash.image.as_os_str().is_empty() {
            return Err(Failure::Usage("flash needs an image".into()));
        }
        if flash.to.is_some() && flash.file.is_some() {
            return Err(Failure::Usage("--to and --file exclude each other".into()));
        }
        Ok(Self::Flash(flash))
    }

    fn update(mut parser: Parser) -> Result<Self, Failure> {
        let mut update = Update::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Value(file) if update.bundle.as_os_str().is_empty() => {
                    update.bundle = file.into();
                }
                Arg::Long("signal") => update.signal = parser.value()?.string()?,
                Arg::Long("id") => update.id = Some(parser.value()?.string()?),
                Arg::Long("public-key") => update.public_key = Some(parser.value()?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help(HELP)),
                other => return Err(other.unexpected().into()),
            }
        }
        if update.bundle.as_os_str().is_empty() {
            return Err(Failure::Usage("update needs the file of an update".into()));
        }
        Ok(Self::Update(update))
    }

    fn model(mut parser: Parser) -> Result<Self, Failure> {
        match parser.next()? {
            Some(Arg::Value(word)) if word == "fetch" => {}
            _ => return Err(Failure::Usage("model can only be fetched".into())),
        }
        let mut source = model::Source::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("url") => source.url = parser.value()?.string()?,
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help(HELP)),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Self::ModelFetch(source))
    }
}

impl Trial {
    /// Takes out what is ours. A lone `--` is dropped: `cargo try -- --camera X` brings one.
    fn read(args: impl Iterator<Item = OsString>) -> Command {
        let mut trial = Self { open: true, ..Self::default() };
        for arg in args {
            match arg.to_str() {
                Some("--help" | "-h") => return Command::Help(HELP),
                Some("--lan") => trial.lan = true,
                Some("--no-open") => trial.open = false,
                Some("--") => {}
                _ => trial.edge.push(arg),
            }
        }
        Command::Try(trial)
    }

    /// Whether the edge is told `--name`.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// What the edge is told as `--name VALUE` or `--name=VALUE`.
    pub(crate) fn value(&self, name: &str) -> Option<&OsStr> {
        let mut args = self.edge.iter();
        while let Some(arg) = args.next() {
            let Some(rest) = arg.to_str().and_then(|arg| arg.strip_prefix(name)) else { continue };
            match rest.strip_prefix('=') {
                Some(value) => return Some(OsStr::new(value)),
                None if rest.is_empty() => {
                    return Some(args.next().map_or(OsStr::new(""), |it| it));
                }
                None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Command, Failure> {
        Command::from_args(Parser::from_args(args))
    }

    fn trial(args: &[&str]) -> Trial {
        match read(args) {
            Ok(Command::Try(trial)) => trial,
            other => panic!("not a trial: {other:?}"),
        }
    }

    #[test]
    fn edge_options_pass_through_with_and_without_a_second_separator() {
        for args in [
            &["try", "--", "--camera", "replay:here", "--lan", "--keep-days=3"][..],
            &["try", "--camera", "replay:here", "--lan", "--keep-days=3"],
        ] {
            let trial = trial(args);
            assert!(trial.lan && trial.open);
            assert_eq!(trial.edge, ["--camera", "replay:here", "--keep-days=3"]);
            assert_eq!(trial.value("--camera"), Some(OsStr::new("replay:here")));
            assert_eq!(trial.value("--keep-days"), Some(OsStr::new("3")));
            assert!(!trial.names("--keep"), "a prefix is another option");
        }
    }

    #[test]
    fn no_arguments_and_help_print_the_help() {
        for args in [&[][..], &["--help"], &["-h"], &["try", "--help"], &["model", "fetch", "-h"]] {
            assert!(matches!(read(args), Ok(Command::Help(_))), "{args:?}");
        }
    }

    #[test]
    fn wrong_words_are_wrong_use() {
        for args in
            [&["tyr"][..], &["--tyr"], &["model"], &["model", "get"], &["model", "fetch", "x"]]
        {
            assert!(matches!(read(args), Err(Failure::Usage(_))), "{args:?}");
        }
    }

    #[test]
    fn a_card_needs_an_image_and_one_place_to_go() {
        let flash = match read(&["flash", "a.img", "--to", "sdb", "--wifi", "Home"]) {
            Ok(Command::Flash(flash)) => flash,
            other => panic!("not a flash: {other:?}"),
        };
        assert_eq!((flash.to.as_deref(), flash.yes, flash.loops), (Some("sdb"), false, false));
        assert_eq!(flash.answers.wifi.as_deref(), Some("Home"));
        let wrong = [
            &["flash"][..],
            &["flash", "a", "b"],
            &["flash", "a", "--to", "sdb", "--file", "c"],
            &["flash", "a", "--passphrase", "secret"],
            &["image", "--board", "rpi4-64"],
        ];
        for args in wrong {
            assert!(matches!(read(args), Err(Failure::Usage(_))), "{args:?}");
        }
    }

    #[test]
    fn a_model_can_come_from_elsewhere() {
        let source = match read(&["model", "fetch", "--url", "http://mirror/model"]) {
            Ok(Command::ModelFetch(source)) => source,
            other => panic!("not a fetch: {other:?}"),
        };
        assert_eq!(source.url, "http://mirror/model");
        assert_eq!(source.host(), "mirror");
    }
}
