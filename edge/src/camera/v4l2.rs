//! A V4L2 capture device by memory-mapped streaming, through the v4l crate.
//!
//! What the crate leaves to us: its stream panics when it is dropped on a device that fails in
//! an unexpected way, and twice at that, which would abort the process; it
//! waits for ever, and takes back a buffer twice after a timeout (we poll before we ask); and
//! it gives whole buffers (we cut at `bytesused`).

use super::jpeg::{Decoder, SIDE_MAX};
use super::{Error, Frame};
use crate::say;
use edge_core::pixels::View;
use edge_core::time::Instant;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use v4l::buffer::Type;
use v4l::capability::Flags;
use v4l::framesize::FrameSizeEnum;
use v4l::io::mmap;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::video::Capture;
use v4l::{Device, FourCC};

/// How long one question for a frame may wait.
pub const POLL_MS: i32 = 200;
/// A camera that gives no usable frame for this long is lost.
pub const STALLED_MS: u64 = 4_000;
/// What is said of such a camera.
const STALLED: &str = "it gives no pictures";
/// How long the first frame may take after the stream was started.
const FIRST_FRAME: Duration = Duration::from_secs(3);
/// Who asks again later than this finds old frames in the ring.
const LATE_MS: u64 = 150;
/// Buffers in the ring.
const BUFFERS: u32 = 4;
/// `poll(2)`: there is something to read.
const POLLIN: i16 = 1;
/// `errno(3)`: the device is gone.
const ENODEV: i32 = 19;

/// What to ask a device for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
}

impl Default for Wish {
    fn default() -> Self {
        Self { width: 640, height: 480, fps: 10 }
    }
}

/// A format of pixels that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// 4:2:2, two bytes a pixel.
    Yuyv,
    /// A JPEG a frame.
    Mjpeg,
}

impl Pixels {
    fn fourcc(self) -> FourCC {
        FourCC::new(match self {
            Self::Yuyv => b"YUYV",
            Self::Mjpeg => b"MJPG",
        })
    }
}

/// Sizes that a device offers in one format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// One size.
    One(u32, u32),
    /// All sizes from the first to the second in steps of the third, each (width, height).
    Range([u32; 2], [u32; 2], [u32; 2]),
}

/// One thing a device offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// In which format.
    pub pixels: Pixels,
    /// In which sizes.
    pub sizes: Sizes,
}

/// What is taken of the offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The format.
    pub pixels: Pixels,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Up to this many pixels YUYV is preferred: it needs no decoding, and USB 2 carries it.
const YUYV_PIXELS: u64 = 640 * 480;

/// Takes the offer nearest to the wished size; among equals YUYV up to VGA, MJPEG above.
pub fn choose(offers: &[Offer], wish: Wish) -> Option<Choice> {
    let choices = offers.iter().map(|offer| {
        let (width, height) = match offer.sizes {
            Sizes::One(width, height) => (width, height),
            Sizes::Range(least, most, step) => (
                nearest(wish.width, least[0], most[0], step[0]),
                nearest(wish.height, least[1], most[1], step[1]),
            ),
        };
        Choice { pixels: offer.pixels, width, height }
    });
    let sane = |side| (1..=SIDE_MAX).contains(&side);
    let taken = choices.filter(|choice| sane(choice.width) && sane(choice.height));
    taken.min_by_key(|choice| {
        let sides = [(choice.width, wish.width), (choice.height, wish.height)];
        let away: u64 = sides.iter().map(|(side, wished)| u64::from(side.abs_diff(*wished))).sum();
        let small = u64::from(choice.width) * u64::from(choice.height) <= YUYV_PIXELS;
        let preferred = if small { Pixels::Yuyv } else { Pixels::Mjpeg };
        (away, choice.pixels != preferred)
    })
}

fn nearest(wished: u32, least: u32, most: u32, step: u32) -> u32 {
    let step = step.max(1);
    let most = most.max(least);
    let steps = (wished.clamp(least, most) - least).saturating_add(step / 2) / step;
    least + steps.min((most - least) / step) * step
}

/// An open device that streams.
pub struct V4l2 {
    stream: Stream,
    path: PathBuf,
    pixels: Pixels,
    size: (u32, u32),
    stride: u32,
    fps: Option<u32>,
    wish: Wish,
    decoder: Decoder,
    /// When the last usable frame came.
    good: Instant,
    /// When a frame was last asked for.
    asked: Instant,
}

impl fmt::Debug for V4l2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("V4l2")
            .field("path", &self.path)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl V4l2 {
    /// Opens a device, agrees on a format with it, and starts its stream.
    pub fn open(path: &Path, wish: Wish, now: Instant) -> Result<Self, Error> {
        // The crate unwraps what drivers tell it; a driver that says nonsense is no camera.
        let opened = catch_unwind(AssertUnwindSafe(|| agree(path, wish, now)));
        opened.unwrap_or_else(|_| Err(refuse(path, "its driver gives senseless answers")))
    }

    /// What it settled for, in words.
    pub fn words(&self) -> String {
        let kind = match self.pixels {
            Pixels::Yuyv => "YUYV",
            Pixels::Mjpeg => "MJPEG",
        };
        let (width, height) = self.size;
        let pace = self.fps.map(|fps| format!(" at {fps} fps")).unwrap_or_default();
        let Wish { width: wished, height: high, .. } = self.wish;
        let nearest = if self.size == (wished, high) {
            String::new()
        } else {
            format!(" (nearest to {wished}x{high})")
        };
        format!("{kind} {width}x{height}{pace}{nearest}")
    }

    /// The next frame; waits for [`POLL_MS`] at most. A frame that cannot be read is passed
    /// over, for a cable does that now and then.
    pub fn next(&mut self, now: Instant) -> Result<Option<Frame<'_>>, Error> {
        // What piled up while the last frame was looked at is old.
        if now.since_ms(self.asked) > LATE_MS {
            for _ in 0..BUFFERS {
                if !self.stream.is_ready(0).map_err(|error| lost(&self.path, &error))? {
                    break;
                }
                self.stream.take().map_err(|error| lost(&self.path, &error))?;
            }
        }
        self.asked = now;
        if !self.stream.is_ready(POLL_MS).map_err(|error| lost(&self.path, &error))? {
            return self.nothing(now).map(|()| None);
        }
        let bytes = self.stream.take().map_err(|error| lost(&self.path, &error))?;
        let view = match self.pixels {
            Pixels::Yuyv => View::yuyv(bytes, self.size.0, self.size.1, self.stride),
            Pixels::Mjpeg => self.decoder.decode(bytes).ok().and_then(|()| self.decoder.view()),
        };
        let Some(view) = view else {
            // `nothing`, written out: `self.stream` is still borrowed.
            let stalled = now.since_ms(self.good) > STALLED_MS;
            return if stalled { Err(refuse(&self.path, STALLED)) } else { Ok(None) };
        };
        self.good = now;
        let jpeg = self.pixels == Pixels::Mjpeg && self.decoder.is_plain();
        Ok(Some(Frame { view, jpeg: jpeg.then_some(bytes) }))
    }

    fn nothing(&self, now: Instant) -> Result<(), Error> {
        let stalled = now.since_ms(self.good) > STALLED_MS;
        if stalled { Err(refuse(&self.path, STALLED)) } else { Ok(()) }
    }
}

/// Opens a device and settles what it shall send.
fn agree(path: &Path, wish: Wish, now: Instant) -> Result<V4l2, Error> {
    let failed = |error: io::Error| lost(path, &error);
    let device = Device::with_path(path).map_err(failed)?;
    if !captures(&device) {
        return Err(refuse(path, "it is no V4L2 capture device"));
    }
    let (offers, others) = offers(&device, wish).map_err(failed)?;
    let Some(choice) = choose(&offers, wish) else {
        let why = format!("it offers neither YUYV nor MJPEG, only {}", others.join(", "));
        return Err(refuse(path, &why));
    };
    let asked = v4l::Format::new(choice.width, choice.height, choice.pixels.fourcc());
    let format = device.set_format(&asked).map_err(failed)?;
    if format.fourcc != choice.pixels.fourcc() {
        return Err(refuse(path, "it does not keep to the format it offered"));
    }
    // Not every device can be told a pace; it then sends at its own.
    let pace = device.set_params(&v4l::video::capture::Parameters::with_fps(wish.fps));
    let fps = pace.ok().map(|pace| pace.interval).filter(|interval| interval.numerator > 0);
    Ok(V4l2 {
        stream: Stream::new(device).map_err(failed)?,
        path: path.into(),
        pixels: choice.pixels,
        size: (format.width, format.height),
        stride: if format.stride == 0 { format.width * 2 } else { format.stride },
        fps: fps.map(|interval| interval.denominator / interval.numerator),
        wish,
        decoder: Decoder::default(),
        good: now,
        asked: now,
    })
}

fn captures(device: &Device) -> bool {
    let needed = Flags::VIDEO_CAPTURE | Flags::STREAMING;
    device.query_caps().is_ok_and(|caps| {
        caps.capabilities.contains(needed) && !caps.capabilities.contains(Flags::VIDEO_M2M)
    })
}

/// What a device offers of the formats we read, and the names of the others.
fn offers(device: &Device, wish: Wish) -> io::Result<(Vec<Offer>, Vec<String>)> {
    let (mut offers, mut others) = (Vec::new(), Vec::new());
    for format in device.enum_formats()? {
        let known = [Pixels::Yuyv, Pixels::Mjpeg];
        let Some(pixels) = known.into_iter().find(|known| known.fourcc() == format.fourcc) else {
            others.push(format.fourcc.to_string());
            continue;
        };
        let sizes = device.enum_framesizes(format.fourcc).unwrap_or_default();
        if sizes.is_empty() {
            // A driver that does not list its sizes takes the nearest by itself.
            offers.push(Offer { pixels, sizes: Sizes::One(wish.width, wish.height) });
        }
        offers.extend(sizes.into_iter().map(|size| Offer {
            pixels,
            sizes: match size.size {
                FrameSizeEnum::Discrete(one) => Sizes::One(one.width, one.height),
                FrameSizeEnum::Stepwise(range) => Sizes::Range(
                    [range.min_width, range.min_height],
                    [range.max_width, range.max_height],
                    [range.step_width, range.step_height],
                ),
            },
        }));
    }
    Ok((offers, others))
}

/// The first V4L2 device that captures, by number.
pub fn first() -> Option<PathBuf> {
    let mut numbers: Vec<u32> = std::fs::read_dir("/dev")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("video")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let paths = numbers.into_iter().map(|number| PathBuf::from(format!("/dev/video{number}")));
    paths.into_iter().find(|path| {
        let captures = || Device::with_path(path).is_ok_and(|device| captures(&device));
        catch_unwind(captures).unwrap_or(false)
    })
}

/// The crate's stream and its device, ended with care.
struct Stream {
    inner: Option<mmap::Stream<'static>>,
    device: Option<Device>,
}

impl Stream {
    fn new(device: Device) -> io::Result<Self> {
        let mut inner = mmap::Stream::with_buffers(&device, Type::VideoCapture, BUFFERS)?;
        // Only the first frame is waited for inside the crate.
        inner.set_timeout(FIRST_FRAME);
        Ok(Self { inner: Some(inner), device: Some(device) })
    }

    /// Whether [`Stream::take`] would have a frame at once, or an error to tell.
    fn is_ready(&self, wait_ms: i32) -> io::Result<bool> {
        let Some(inner) = &self.inner else { return Err(io::ErrorKind::NotConnected.into()) };
        match inner.handle().poll(POLLIN, wait_ms) {
            Ok(ready) => Ok(ready > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next frame; the one taken before goes back into the ring.
    fn take(&mut self) -> io::Result<&[u8]> {
        let Some(inner) = &mut self.inner else { return Err(io::ErrorKind::NotConnected.into()) };
        let (buffer, facts) = CaptureStream::next(inner)?;
        let used = buffer.len().min(facts.bytesused as usize);
        Ok(&buffer[..used])
    }
}

impl Drop for Stream {
    /// The crate panics where stopping or unmapping fails, and again while that panic unwinds,
    /// which aborts the process. So a stream that cannot be stopped is left mapped and only its
    /// device is closed: some memory for the whole program.
    fn drop(&mut self) {
        let (Some(mut inner), Some(device)) = (self.inner.take(), self.device.take()) else {
            return;
        };
        let stopped = match inner.stop() {
            Err(error) => error.raw_os_error() == Some(ENODEV),
            Ok(()) => true,
        };
        if stopped {
            let dropped = catch_unwind(AssertUnwindSafe(|| drop((inner, device))));
            if dropped.is_err() {
                say!("a camera's driver did not let go of its buffers");
            }
        } else {
            let fd = device.handle().fd();
            std::mem::forget((inner, device));
            let _ = v4l::v4l2::close(fd);
        }
    }
}

fn lost(path: &Path, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::ResourceBusy => {
            return Error::Busy(format!("{}: somebody else uses it", path.display()));
        }
        io::ErrorKind::NotFound => "there is no such device".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission (is the user in group video?)".to_owned(),
        io::ErrorKind::TimedOut => STALLED.to_owned(),
        _ if error.raw_os_error() == Some(ENODEV) => "it was unplugged".to_owned(),
        _ => error.to_string(),
    };
    refuse(path, &why)
}

fn refuse(path: &Path, why: &str) -> Error {
    Error::Source(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is offered, what is wished, what is taken.
    type Case<'a> = (&'a [Offer], (u32, u32), Option<(Pixels, u32, u32)>);

    fn one(pixels: Pixels, width: u32, height: u32) -> Offer {
        Offer { pixels, sizes: Sizes::One(width, height) }
    }

    #[test]
    fn the_nearest_size_is_taken_and_the_format_fits_it() {
        use Pixels::{Mjpeg, Yuyv};
        let webcam = [
            one(Mjpeg, 1920, 1080),
            one(Mjpeg, 1280, 720),
            one(Mjpeg, 640, 480),
            one(Yuyv, 320, 240),
            one(Yuyv, 640, 480),
            one(Yuyv, 1280, 720),
        ];
        let large_only = [one(Mjpeg, 1920, 1080), one(Mjpeg, 1600, 1200)];
        let ranged = [Offer { pixels: Yuyv, sizes: Sizes::Range([48, 32], [1_279, 959], [16, 2]) }];
        let cases: &[Case<'_>] = &[
            (&webcam, (640, 480), Some((Yuyv, 640, 480))),
            (&webcam, (1280, 720), Some((Mjpeg, 1280, 720))),
            (&webcam, (1900, 1000), Some((Mjpeg, 1920, 1080))),
            (&webcam, (16, 16), Some((Yuyv, 320, 240))),
            (&large_only, (640, 480), Some((Mjpeg, 1600, 1200))),
            (&[one(Mjpeg, 640, 480), one(Yuyv, 320, 240)], (640, 480), Some((Mjpeg, 640, 480))),
            (&ranged, (640, 480), Some((Yuyv, 640, 480))),
            (&ranged, (4_000, 4_000), Some((Yuyv, 1_264, 958))),
            (&ranged, (16, 16), Some((Yuyv, 48, 32))),
            (&[], (640, 480), None),
            (&[one(Yuyv, 0, 0)], (640, 480), None),
        ];
        for (offers, (width, height), expect) in cases {
            let wish = Wish { width: *width, height: *height, fps: 10 };
            let taken = choose(offers, wish).map(|c| (c.pixels, c.width, c.height));
            assert_eq!(taken, *expect, "{wish:?} of {offers:?}");
        }
    }

    #[test]
    fn senseless_ranges_are_survived() {
        for range in [
            Sizes::Range([0, 0], [0, 0], [0, 0]),
            Sizes::Range([640, 480], [320, 240], [1, 1]),
            Sizes::Range([u32::MAX, 1], [u32::MAX, 1], [u32::MAX, u32::MAX]),
        ] {
            let _ = choose(&[Offer { pixels: Pixels::Yuyv, sizes: range }], Wish::default());
        }
    }

    #[test]
    fn a_device_that_is_none_is_refused_in_words() {
        let said = |path: &str| {
            let opened = V4l2::open(Path::new(path), Wish::default(), Instant(0));
            opened.expect_err(path).to_string()
        };
        assert_eq!(said("/dev/video987"), "/dev/video987: there is no such device");
        assert_eq!(said("/dev/null"), "/dev/null: it is no V4L2 capture device");
    }
}
