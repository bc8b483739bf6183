//! Where frames come from: a V4L2 device, recorded pictures, or a scene of our own.
//!
//! A source is opened from its [`Spec`] and asked for frames one at a time; it owns the
//! buffers that the frames lie in and reuses them.

mod board;
pub mod demo;
pub mod jpeg;
pub mod replay;
pub mod v4l2;

pub use board::{Board, CameraStatus, Health};
pub use v4l2::first as first_v4l2;

use demo::Demo;
use edge_core::event::CAMERA_BYTES;
use edge_core::pixels::View;
use edge_core::time::Instant;
use replay::Replay;
use std::fmt;
use std::path::PathBuf;
use v4l2::{V4l2, Wish};

/// What a SPEC may look like; shown where one does not.
pub const GRAMMAR: &str =
    "[NAME=]v4l2:/dev/videoN[?size=WxH&fps=N], [NAME=]replay:PATH[?fps=N] or [NAME=]demo:";

/// Pictures a second of a replay that does not say.
const REPLAY_FPS: f32 = 2.0;
/// The slowest and the fastest replay.
const FPS: std::ops::RangeInclusive<f32> = 0.01..=240.0;

/// One camera as the user names it.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// A V4L2 capture device.
    V4l2 {
        /// `/dev/videoN`.
        path: PathBuf,
        /// What to ask it for.
        wish: Wish,
    },
    /// A JPEG, a folder of JPEGs, or an .mjpeg file, over and over.
    Replay {
        /// Where it lies.
        path: PathBuf,
        /// Milliseconds from picture to picture.
        step_ms: u64,
    },
    /// A procedural scene.
    Demo,
}

impl Spec {
    /// Reads `[NAME=]SPEC`.
    pub fn parse(text: &str) -> Result<(Option<String>, Self), Error> {
        let refuse = |why: &str| Error::spec(text, why);
        let (name, spec) = match text.split_once('=') {
            Some((name, spec)) if !name.contains(':') => (Some(name), spec),
            _ => (None, text),
        };
        if name.is_some_and(|name| !is_name(name)) {
            return Err(refuse("a name has 1 to 32 letters, digits, spaces, '-', '_' or '.'"));
        }
        let Some((kind, rest)) = spec.split_once(':') else {
            return Err(refuse("no kind"));
        };
        let (path, options) = match rest.rsplit_once('?') {
            Some((path, options)) if options.contains('=') => (path, options),
            _ => (rest, ""),
        };
        let needs_path = kind != "demo";
        if needs_path != (!path.is_empty() && !path.contains('\0')) {
            return Err(refuse(if needs_path { "no path" } else { "demo: takes no path" }));
        }
        let path = PathBuf::from(path);
        let spec = match kind {
            "v4l2" => Self::V4l2 { path, wish: wish(options).map_err(|why| refuse(&why))? },
            "replay" => Self::Replay { path, step_ms: step(options).map_err(|why| refuse(&why))? },
            "demo" if options.is_empty() => Self::Demo,
            _ => return Err(refuse("no such kind")),
        };
        Ok((name.map(str::to_owned), spec))
    }

    /// Reads several and names those that have no name: `camera`, `camera2`, ...
    pub fn parse_all<T: AsRef<str>>(texts: &[T]) -> Result<Vec<(String, Self)>, Error> {
        let mut cameras: Vec<(String, Self)> = Vec::with_capacity(texts.len());
        for text in texts {
            let (name, spec) = Self::parse(text.as_ref())?;
            let taken = |name: &str| cameras.iter().any(|(other, _)| other == name);
            let name = match name {
                Some(name) if taken(&name) => {
                    return Err(Error::spec(text.as_ref(), "another camera has this name"));
                }
                Some(name) => name,
                None => free_name(taken),
            };
            cameras.push((name, spec));
        }
        Ok(cameras)
    }

    /// Whether its pictures are of now, and no two of them the same.
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::V4l2 { .. })
    }

    /// The word for what it is: `v4l2`, `replay` or `demo`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::V4l2 { .. } => "v4l2",
            Self::Replay { .. } => "replay",
            Self::Demo => "demo",
        }
    }
}

fn free_name(taken: impl Fn(&str) -> bool) -> String {
    let names = std::iter::once("camera".to_owned()).chain((2..).map(|n| format!("camera{n}")));
    names.into_iter().find(|name| !taken(name)).expect("the numbers do not end")
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || " -_.".contains(c);
    (1..=CAMERA_BYTES).contains(&name.len()) && name.trim() == name && name.chars().all(plain)
}

fn options(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|p| p.split_once('=').unwrap_or((p, "")))
}

fn step(text: &str) -> Result<u64, String> {
    let mut fps = REPLAY_FPS;
    for (key, value) in options(text) {
        fps = match (key, value.parse()) {
            ("fps", Ok(fps)) if FPS.contains(&fps) => fps,
            _ => return Err(format!("{key}={value}: expected fps=0.01 to fps=240")),
        };
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "4..=100,000")]
    let step_ms = (1_000.0 / fps) as u64;
    Ok(step_ms)
}

fn wish(text: &str) -> Result<Wish, String> {
    let mut wish = Wish::default();
    for (key, value) in options(text) {
        let size = || {
            let (width, height) = value.split_once('x')?;
            let side = |text: &str| text.parse().ok().filter(|n| (16..=jpeg::SIDE_MAX).contains(n));
            Some((side(width)?, side(height)?))
        };
        match (key, size(), value.parse::<u32>()) {
            ("size", Some((width, height)), _) => (wish.width, wish.height) = (width, height),
            ("fps", _, Ok(fps)) if (1..=240).contains(&fps) => wish.fps = fps,
            _ => return Err(format!("{key}={value}: expected size=WxH or fps=1 to fps=240")),
        }
    }
    Ok(wish)
}

/// Why a source gives no frames.
#[derive(Debug)]
pub enum Error {
    /// The SPEC does not say what was meant.
    Spec(String),
    /// The device, file or folder cannot be used.
    Source(String),
    /// Somebody else has the device.
    Busy(String),
}

impl Error {
    fn spec(text: &str, why: &str) -> Self {
        Self::Spec(format!("camera {text:?}: {why}; expected {GRAMMAR}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Spec(text) | Self::Source(text) | Self::Busy(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Error {}

/// One picture, where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The pixels.
    pub view: View<'a>,
    /// The same picture as the JPEG it came in, if it came as one.
    pub jpeg: Option<&'a [u8]>,
}

/// An open source of frames.
#[derive(Debug)]
pub enum Source {
    /// A device.
    V4l2(Box<V4l2>),
    /// Recorded pictures.
    Replay(Box<Replay>),
    /// The procedural scene.
    Demo(Box<Demo>),
}

impl Source {
    /// Opens what `spec` names.
    pub fn open(spec: &Spec, now: Instant) -> Result<Self, Error> {
        Ok(match spec {
            Spec::V4l2 { path, wish } => Self::V4l2(Box::new(V4l2::open(path, *wish, now)?)),
            Spec::Replay { path, step_ms } => {
                Self::Replay(Box::new(Replay::open(path, *step_ms, now)?))
            }
            Spec::Demo => Self::Demo(Box::new(Demo::open(now))),
        })
    }

    /// What it settled for, in a few words; may be empty.
    pub fn words(&self) -> String {
        match self {
            Self::V4l2(device) => device.words(),
            Self::Replay(_) | Self::Demo(_) => String::new(),
        }
    }

    /// Milliseconds for which there is no use in asking again. A device answers 0: asking it
    /// waits by itself, [`v4l2::POLL_MS`] at most.
    pub fn idle_ms(&self, now: Instant) -> u64 {
        match self {
            Self::V4l2(_) => 0,
            Self::Replay(replay) => replay.due().since_ms(now),
            Self::Demo(demo) => demo.due().since_ms(now),
        }
    }

    /// The next frame, `None` while there is none yet. After an error the source is of no
    /// further use.
    pub fn next(&mut self, now: Instant) -> Result<Option<Frame<'_>>, Error> {
        match self {
            Self::V4l2(device) => device.next(now),
            Self::Replay(replay) => replay.next(now),
            Self::Demo(demo) => Ok(demo.next(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_read_as_the_contract_says() {
        let replay = |path: &str, step_ms| Spec::Replay { path: path.into(), step_ms };
        let device = |width, height, fps| Spec::V4l2 {
            path: "/dev/video0".into(),
            wish: Wish { width, height, fps },
        };
        for (text, name, spec) in [
            ("demo:", None, Spec::Demo),
            ("Front door=demo:", Some("Front door"), Spec::Demo),
            ("replay:../images", None, replay("../images", 500)),
            ("replay:a?b/c.mjpeg?fps=10", None, replay("a?b/c.mjpeg", 100)),
            ("x=replay:/a=b", Some("x"), replay("/a=b", 500)),
            ("v4l2:/dev/video0", None, device(640, 480, 10)),
            ("yard=v4l2:/dev/video0?size=1280x720&fps=15", Some("yard"), device(1280, 720, 15)),
        ] {
            let (read_name, read) = Spec::parse(text).expect(text);
            assert_eq!((read_name.as_deref(), read), (name, spec), "{text}");
        }
    }

    #[test]
    fn what_is_no_spec_is_refused_with_the_grammar() {
        for text in [
            "",
            "demo",
            "demo:x",
            "rtsp://host",
            "replay:",
            "replay:?fps=2",
            "replay:a?fps=0",
            "v4l2:",
            "v4l2:/dev/video0?size=0x0",
            "v4l2:/dev/video0?size=640",
            "v4l2:/dev/video0?colour=red",
            "=demo:",
            "a/b=demo:",
            " a=demo:",
            "replay:a?fps=NaN",
            "a name that is far too long to be one of a camera=demo:",
            "v4l2:/dev/v\0?fps=2",
        ] {
            let error = Spec::parse(text).expect_err(text).to_string();
            assert!(error.contains("expected [NAME=]v4l2:"), "{text}: {error}");
            assert!(!error.contains('\n'), "one line");
        }
    }

    #[test]
    fn cameras_get_names_of_their_own() {
        let names = |texts: &[&str]| -> Result<Vec<String>, Error> {
            Ok(Spec::parse_all(texts)?.into_iter().map(|(name, _)| name).collect())
        };
        let given = names(&["demo:", "demo:", "camera3=demo:", "demo:"]).expect("all good");
        assert_eq!(given, ["camera", "camera2", "camera3", "camera4"]);
        assert!(names(&["a=demo:", "a=demo:"]).is_err());
    }
}
