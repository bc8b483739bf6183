//! Recorded pictures as a camera: a JPEG, a folder of JPEGs in the order of their names, or an
//! .mjpeg file; one picture a frame, over and over.

use super::jpeg::{BYTES_MAX, Decoder, Found, Refusal, find};
use super::{Error, Frame};
use edge_core::time::Instant;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

/// Pictures of a folder that are shown; the rest, by name, are not.
const PICTURES_MAX: usize = 10_000;
/// Bytes read from a stream at a time.
const READ_BYTES: usize = 64 << 10;
/// Pictures in a row that may be damaged until the source counts as lost.
const DAMAGED_MAX: u32 = 100;

/// Recorded pictures, being shown.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    reel: Reel,
    decoder: Decoder,
    step_ms: u64,
    due: Instant,
    /// Pictures that could not be shown.
    damaged: u32,
}

/// What the pictures come from, and the JPEG shown last.
#[derive(Debug)]
enum Reel {
    Folder { names: Vec<PathBuf>, at: usize, loaded: Option<Loaded>, jpeg: Vec<u8> },
    Stream { file: File, bytes: Vec<u8>, picture: (usize, usize), whole_turn: bool },
}

/// Which file the picture in memory is, so that a picture that stays is read only once.
#[derive(Debug, Clone, PartialEq)]
struct Loaded {
    path: PathBuf,
    length: u64,
    modified: Option<std::time::SystemTime>,
}

impl Replay {
    /// Opens a file or folder; says what is wrong with it.
    pub fn open(path: &Path, step_ms: u64, now: Instant) -> Result<Self, Error> {
        let kind = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        let reel = if kind.is_dir() || !is_stream(path) {
            let names = list(path, kind.is_dir()).map_err(|error| unreadable(path, &error))?;
            if names.is_empty() {
                return Err(Error::Source(format!("{} holds no JPEG", path.display())));
            }
            Reel::Folder { names, at: 0, loaded: None, jpeg: Vec::new() }
        } else {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            Reel::Stream { file, bytes: Vec::new(), picture: (0, 0), whole_turn: false }
        };
        let decoder = Decoder::default();
        Ok(Self { path: path.into(), reel, decoder, step_ms, due: now, damaged: 0 })
    }

    /// When the next picture is due.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// The next picture when it is due; damaged ones are passed over.
    pub fn next(&mut self, now: Instant) -> Result<Option<Frame<'_>>, Error> {
        if now < self.due {
            return Ok(None);
        }
        // Late by more than a step: the pace starts anew, nothing is caught up.
        let next = self.due.plus_ms(self.step_ms);
        self.due = if next <= now { now.plus_ms(self.step_ms) } else { next };
        loop {
            match self.advance() {
                Ok(Ok(())) => break,
                Ok(Err(_)) if self.damaged < DAMAGED_MAX => self.damaged += 1,
                Ok(Err(_)) => {
                    let text = format!("{} holds no JPEG that can be shown", self.path.display());
                    return Err(Error::Source(text));
                }
                Err(error) => return Err(unreadable(&self.path, &error)),
            }
        }
        self.damaged = 0;
        let jpeg = Some(self.reel.jpeg()).filter(|_| self.decoder.is_plain());
        Ok(self.decoder.view().map(|view| Frame { view, jpeg }))
    }

    /// Loads and decodes the next picture.
    fn advance(&mut self) -> io::Result<Result<(), Refusal>> {
        match &mut self.reel {
            Reel::Folder { names, at, loaded, jpeg } => {
                if *at >= names.len() {
                    *at = 0;
                    *names = list(&self.path, self.path.is_dir())?;
                }
                let Some(path) = names.get(*at) else { return Err(no_picture()) };
                *at += 1;
                let Ok(fresh) = Loaded::of(path) else { return Ok(Err(Refusal::Damaged)) };
                if loaded.as_ref() == Some(&fresh) {
                    return Ok(Ok(()));
                }
                *loaded = None;
                if let Err(refusal) = read(path, jpeg) {
                    return Ok(Err(refusal));
                }
                let decoded = self.decoder.decode(jpeg);
                *loaded = decoded.is_ok().then_some(fresh);
                Ok(decoded)
            }
            Reel::Stream { file, bytes, picture, whole_turn } => {
                *picture = next_picture(file, bytes, picture.1, whole_turn)?;
                Ok(self.decoder.decode(&bytes[picture.0..picture.1]))
            }
        }
    }
}

impl Reel {
    fn jpeg(&self) -> &[u8] {
        match self {
            Self::Folder { jpeg, .. } => jpeg,
            Self::Stream { bytes, picture, .. } => &bytes[picture.0..picture.1],
        }
    }
}

impl Loaded {
    fn of(path: &Path) -> io::Result<Self> {
        let facts = fs::metadata(path)?;
        Ok(Self { path: path.into(), length: facts.len(), modified: facts.modified().ok() })
    }
}

fn is_stream(path: &Path) -> bool {
    has_extension(path, &["mjpeg", "mjpg"])
}

fn has_extension(path: &Path, of: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| of.iter().any(|one| extension.eq_ignore_ascii_case(one)))
}

/// The JPEGs of a folder by name, or the one file.
fn list(path: &Path, folder: bool) -> io::Result<Vec<PathBuf>> {
    if !folder {
        return Ok(vec![path.into()]);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.path();
        if has_extension(&name, &["jpg", "jpeg"]) && name.is_file() {
            names.push(name);
        }
    }
    names.sort();
    names.truncate(PICTURES_MAX);
    Ok(names)
}

fn read(path: &Path, jpeg: &mut Vec<u8>) -> Result<(), Refusal> {
    jpeg.clear();
    let file = File::open(path).map_err(|_| Refusal::Damaged)?;
    let limit = BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(jpeg).map_err(|_| Refusal::Damaged)?;
    if jpeg.len() > BYTES_MAX { Err(Refusal::TooLarge) } else { Ok(()) }
}

/// Finds the picture behind `from`, reading on as needed and starting over at the end.
fn next_picture(
    file: &mut File,
    bytes: &mut Vec<u8>,
    from: usize,
    whole_turn: &mut bool,
) -> io::Result<(usize, usize)> {
    bytes.drain(..from);
    loop {
        match find(bytes) {
            Found::Whole(start, end) => {
                *whole_turn = false;
                return Ok((start, end));
            }
            Found::Partial(useless) => drop(bytes.drain(..useless)),
        }
        if bytes.len() > BYTES_MAX {
            bytes.clear();
        }
        let read = file.by_ref().take(READ_BYTES as u64).read_to_end(bytes)?;
        if read == 0 {
            // At the end; a second time without any picture between is enough.
            if std::mem::replace(whole_turn, true) {
                return Err(no_picture());
            }
            bytes.clear();
            file.rewind()?;
        }
    }
}

fn no_picture() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it holds no JPEG")
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Source(format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jpeg_encoder::{ColorType, Encoder};

    fn jpeg(grey: u8) -> Vec<u8> {
        let mut out = Vec::new();
        let encoder = Encoder::new(&mut out, 80);
        encoder.encode(&[grey; 32 * 16 * 3], 32, 16, ColorType::Rgb).expect("a small picture");
        out
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(tag: &str) -> Self {
            let name = format!("nightjar-replay-{tag}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn greys(replay: &mut Replay, frames: u64) -> Vec<u8> {
        (0..frames)
            .map(|frame| {
                let now = Instant(frame * 500);
                let frame = replay.next(now).expect("pictures").expect("one is due");
                assert!(frame.jpeg.is_some_and(|jpeg| jpeg.starts_with(&[0xff, 0xd8])));
                let mut grid = [0];
                assert!(frame.view.luma_into(&mut grid, 1, 1));
                grid[0]
            })
            .collect()
    }

    #[test]
    fn a_folder_plays_by_name_passes_over_damage_and_loops() {
        let folder = Folder::new("folder");
        for (name, bytes) in [
            ("b.JPG", jpeg(100)),
            ("a.jpg", jpeg(50)),
            ("c.jpeg", b"no picture".to_vec()),
            ("notes.txt", b"hello".to_vec()),
        ] {
            fs::write(folder.0.join(name), bytes).expect("a file");
        }
        let mut replay = Replay::open(&folder.0, 500, Instant(0)).expect("a folder");
        assert_eq!(greys(&mut replay, 5), [50, 100, 50, 100, 50]);
        assert!(replay.next(Instant(2_100)).expect("fine").is_none(), "not due");
        fs::remove_file(folder.0.join("a.jpg")).expect("there");
        assert!(greys(&mut replay, 0).is_empty());
        let mut left = |ms| replay.next(Instant(ms)).map(|frame| frame.is_some());
        assert!(left(3_000).expect("b is left") && left(4_000).expect("b again"));
        fs::remove_file(folder.0.join("b.JPG")).expect("there");
        assert!(left(5_000).is_err(), "only the damaged one is left");
    }

    #[test]
    fn a_stream_plays_and_loops() {
        let folder = Folder::new("stream");
        let path = folder.0.join("walk.mjpeg");
        let stream: Vec<u8> =
            [jpeg(30), vec![1, 2, 3], jpeg(60), jpeg(90)].into_iter().flatten().collect();
        fs::write(&path, stream).expect("a file");
        let mut replay = Replay::open(&path, 500, Instant(0)).expect("a stream");
        assert_eq!(greys(&mut replay, 7), [30, 60, 90, 30, 60, 90, 30]);
    }

    #[test]
    fn what_cannot_be_shown_is_said() {
        let folder = Folder::new("nothing");
        let open = |path: &Path| Replay::open(path, 500, Instant(0));
        let text = open(&folder.0).expect_err("empty").to_string();
        assert!(text.contains("holds no JPEG"), "{text}");
        let text = open(&folder.0.join("missing")).expect_err("missing").to_string();
        assert!(text.contains("missing cannot be read: "), "{text}");
        let empty = folder.0.join("empty.mjpeg");
        fs::write(&empty, b"").expect("a file");
        assert!(open(&empty).expect("it opens").next(Instant(0)).is_err());
    }
}
