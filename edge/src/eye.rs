//! The capture thread of one camera: source, motion gate, model, tracker, event life, store.
//!
//! ```text
//! Source::next -> View -> luma grid -> Gate --Still--------------> Tracker::handle_still -+
//!                                       \---passes-> Detector ---> Tracker ---------------+
//!                                        \--motion that no detector explains -> Watch <---+
//!                                                     Recorder <- pictures <- changes <-+
//! ```
//! [`Eye`] is the chain without a thread, a clock or a device; from sampling to the tracker it
//! allocates nothing once it is warm. The thread around it opens the source, counts, reopens
//! what was lost, and survives a panic at the price of one frame and what was being followed.

use crate::camera::{self, Board, Frame, Health, Source, Spec};
use crate::clock::Clock;
use crate::journal;
use crate::model::{Detector, Model};
use crate::say;
use crate::store::{Change, Pictures, Recorder};
use crate::thumb;
use crate::vitals::Pulse;
use edge_core::decode::Detection;
use edge_core::event::{Event, EventId};
use edge_core::geometry::BBox;
use edge_core::labels;
use edge_core::motion::{CELLS, GRID, Gate, Motion, Sight};
use edge_core::tamper::{News, Tamper};
use edge_core::time::Instant;
use edge_core::track::Tracker;
use edge_core::watch::{self, EVENTS, Now, Watch};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest nap, so that a stop is heard.
const NAP_MS: u64 = 100;
/// The first and the longest pause before a lost camera is tried again.
const RETRY_MS: (u64, u64) = (1_000, 30_000);
/// Frames are counted over this long.
const COUNT_MS: u64 = 2_000;

/// Where changes go: the store, or a list in tests.
pub trait Record {
    /// An id nobody ever had.
    fn next_id(&self) -> EventId;
    /// Takes a change; `false` when it was not taken.
    fn record(&self, change: Change) -> bool;
}

impl Record for Recorder {
    fn next_id(&self) -> EventId {
        Recorder::next_id(self)
    }

    fn record(&self, change: Change) -> bool {
        Recorder::record(self, change)
    }
}

/// What one camera's frames go through.
pub struct Eye<R> {
    gate: Box<Gate>,
    grid: Box<[u8; CELLS]>,
    tracker: Tracker,
    watch: Watch,
    tamper: Box<Tamper>,
    model: Option<(Arc<Model>, Detector)>,
    inferences: u64,
    /// Labels that open events beside the household's.
    labels: Vec<String>,
    camera: String,
    recorder: R,
    /// The better picture of an open event, until it is written.
    held: heapless::Vec<(EventId, Pictures), EVENTS>,
}

impl<R> fmt::Debug for Eye<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eye").field("camera", &self.camera).finish_non_exhaustive()
    }
}

impl<R: Record> Eye<R> {
    /// An eye that has seen nothing; without a model it reports motion. A `live` camera that
    /// repeats one picture is reported as frozen.
    pub fn new(
        camera: &str,
        live: bool,
        model: Option<Arc<Model>>,
        labels: Vec<String>,
        recorder: R,
    ) -> Self {
        Self {
            gate: Box::default(),
            grid: Box::new([0; CELLS]),
            tracker: Tracker::new(),
            watch: Watch::new(camera),
            tamper: Box::new(Tamper::new(live)),
            model: model.map(|model| {
                let detector = model.detector();
                (model, detector)
            }),
            inferences: 0,
            labels,
            camera: camera.to_owned(),
            recorder,
            held: heapless::Vec::new(),
        }
    }

    /// Looks at one frame and tells the recorder what came of it; what is new about the view.
    pub fn look(&mut self, now: Now, frame: &Frame<'_>) -> Option<News> {
        if !frame.view.luma_into(&mut *self.grid, GRID.0, GRID.1) {
            return None;
        }
        let sight = self.gate.look(now.at, &self.grid);
        if self.model.is_some() {
            self.detect(now, frame, sight);
        }
        self.stir(now, sight);
        self.tell(Some(frame));
        let news = self.tamper.look(now.at, &self.grid)?;
        self.report(now, news.label());
        Some(news)
    }

    /// What is wrong with the view, for the camera's status; empty where nothing is.
    pub const fn wrong(&self) -> &'static str {
        self.tamper.words()
    }

    /// How often the detector has looked: of a first frame always, later where something moves.
    pub const fn inferences(&self) -> u64 {
        self.inferences
    }

    /// Begins in the place of an eye that stood still: ends what that one left open.
    pub fn succeed(&self, now: Now) {
        let change = Change::Deserted { camera: self.camera.clone(), ended: now.unix };
        self.recorder.record(change);
    }

    /// Ends every open event: the camera is gone or the program stops. The next frame is a new
    /// scene.
    pub fn end(&mut self, now: Now) {
        *self.gate = Gate::new();
        self.tracker = Tracker::new();
        self.watch.handle_end(now);
        self.tell(None);
    }

    /// The model's part: detections become tracks, tracks become events.
    fn detect(&mut self, now: Now, frame: &Frame<'_>, sight: Sight) {
        let Some((model, detector)) = &mut self.model else { return };
        let watched = |class| {
            let label = model.label(class);
            let listed = labels::household(label) || self.labels.iter().any(|one| one == label);
            listed.then_some(label)
        };
        if sight == Sight::Scene {
            self.tracker.handle_scene(now.at);
        }
        if sight.passes() {
            let (tensor, width, height) = detector.input();
            frame.view.sample_into(tensor, width, height);
            let found = detector.detect().iter().filter(|found| watched(found.class).is_some());
            let found: heapless::Vec<Detection, 10> = found.copied().take(10).collect();
            self.inferences += 1;
            self.tracker.handle_detections(now.at, &found, |bbox| self.gate.moved_in(bbox));
        } else {
            self.tracker.handle_still(now.at);
        }
        let mut ids = || self.recorder.next_id();
        self.watch.handle_tracks(now, self.tracker.tracks(), watched, &mut ids);
    }

    /// Motion's part: it makes events of its own where no detector explains it.
    fn stir(&mut self, now: Now, sight: Sight) {
        let watched_by_detector = self.model.is_some();
        let followed = self.tracker.tracks().iter().any(|track| !track.is_resting());
        if watched_by_detector && (followed || self.watch.shows_objects()) {
            return self.watch.handle_explained(now);
        }
        let motion = match sight {
            Sight::Moving(motion) => Some(motion),
            // Another picture is motion enough, unless a detector has judged it.
            Sight::Scene if !watched_by_detector => Some(Motion { share: 1.0, bbox: BBox::WHOLE }),
            Sight::Scene | Sight::Settling | Sight::Still => None,
        };
        let mut ids = || self.recorder.next_id();
        self.watch.handle_motion(now, motion, watched_by_detector, &mut ids);
    }

    /// Drains the watch into the recorder; the frame's pictures are made once, if at all.
    fn tell(&mut self, frame: Option<&Frame<'_>>) {
        let mut made: Option<Pictures> = None;
        let mut pictures = || {
            let made = made.get_or_insert_with(|| frame.map(thumb::pictures).unwrap_or_default());
            made.clone()
        };
        while let Some(change) = self.watch.poll_output() {
            match change {
                watch::Change::Opened(event) => {
                    self.recorder.record(Change::Opened { event, pictures: pictures() });
                }
                watch::Change::Better(id) => {
                    take_held(&mut self.held, id);
                    // As many places as events that can be open, so there is one.
                    let _ = self.held.push((id, pictures()));
                }
                watch::Change::Improved(event) => {
                    let pictures = take_held(&mut self.held, event.id).unwrap_or_default();
                    self.recorder.record(Change::Improved { event, pictures });
                }
                watch::Change::Closed { id, ended } => {
                    take_held(&mut self.held, id);
                    self.recorder.record(Change::Closed { id, ended });
                }
            }
        }
    }

    /// Begins anew after a panic somewhere in the chain.
    fn recover(&mut self, now: Now) {
        self.model = self.model.take().map(|(model, _)| {
            let detector = model.detector();
            (model, detector)
        });
        if catch_unwind(AssertUnwindSafe(|| self.end(now))).is_err() {
            self.watch = Watch::new(&self.camera);
            self.held.clear();
        }
    }

    /// The box reports on this camera: an event without length or picture.
    fn report(&self, now: Now, label: &str) {
        let id = self.recorder.next_id();
        let event = Event::health(id, label, &self.camera, now.unix, now.unix);
        self.recorder.record(Change::Opened { event, pictures: Pictures::default() });
    }
}

fn take_held<const N: usize>(
    held: &mut heapless::Vec<(EventId, Pictures), N>,
    id: EventId,
) -> Option<Pictures> {
    let at = held.iter().position(|(other, _)| *other == id)?;
    Some(held.swap_remove(at).1)
}

/// What an eye thread needs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The camera's name, as on the board.
    pub name: String,
    /// What to open.
    pub spec: Spec,
    /// The process's clock.
    pub clock: Clock,
    /// The detector's model, if there is one.
    pub model: Option<Arc<Model>>,
    /// Labels that open events beside the household's.
    pub labels: Vec<String>,
    /// Where the camera's state is shown.
    pub board: Arc<Board>,
    /// The store's end.
    pub recorder: Recorder,
    /// Beats with each turn that got past the camera, with a frame or without.
    pub taking: Arc<Pulse>,
    /// Beats when nothing is left to be looked at.
    pub looking: Arc<Pulse>,
    /// Whether it begins in the place of a thread that stood still.
    pub again: bool,
    /// Set when the thread shall end; heard within a frame or two.
    pub stop: Arc<AtomicBool>,
}

/// Starts the thread of one camera. A camera that is not on the board is not started.
pub fn spawn(setup: Setup) -> io::Result<JoinHandle<()>> {
    let name = format!("eye {}", setup.name);
    let run = move || {
        if let Some(place) = setup.board.place(&setup.name) {
            setup.board.set_kind(place, setup.spec.kind());
            Capture::new(setup, place).run();
        }
    };
    thread::Builder::new().name(name).spawn(run)
}

/// The loop around an eye.
struct Capture {
    name: String,
    spec: Spec,
    clock: Clock,
    board: Arc<Board>,
    taking: Arc<Pulse>,
    looking: Arc<Pulse>,
    stop: Arc<AtomicBool>,
    place: usize,
    eye: Eye<Recorder>,
    lens: Lens,
    rate: Rate,
    /// The last frame caused a panic.
    stumbling: bool,
    /// It begins in the place of a thread that stood still.
    again: bool,
    /// That thread may have the device; then only the end of the process frees it.
    kept: bool,
}

/// Where the camera stands.
enum Lens {
    /// Not open; tried again `at`, and after that not before `pause_ms` more. `told` once its
    /// loss is an event.
    Shut { at: Instant, pause_ms: u64, told: bool },
    /// Open; `lost` while no frame has come since it was lost.
    Open { source: Source, fresh: bool, lost: bool },
}

impl Capture {
    fn new(setup: Setup, place: usize) -> Self {
        let Setup { name, spec, clock, model, labels, board, recorder, .. } = setup;
        let Setup { taking, looking, again, stop, .. } = setup;
        let eye = Eye::new(&name, spec.is_live(), model, labels, recorder);
        let lens = Lens::Shut { at: clock.now(), pause_ms: RETRY_MS.0, told: false };
        Self {
            name,
            spec,
            clock,
            board,
            taking,
            looking,
            stop,
            place,
            eye,
            lens,
            rate: Rate::default(),
            stumbling: false,
            again,
            kept: false,
        }
    }

    fn run(mut self) {
        if self.again {
            self.eye.succeed(self.now());
        }
        while !self.stop.load(Ordering::Relaxed) {
            let now = self.now();
            self.looking.beat(now.at);
            let idle_ms = match &self.lens {
                Lens::Shut { at, .. } => at.since_ms(now.at),
                Lens::Open { source, .. } => source.idle_ms(now.at),
            };
            if idle_ms > 0 {
                self.progress(now);
                thread::sleep(Duration::from_millis(idle_ms.min(NAP_MS)));
            } else if matches!(self.lens, Lens::Shut { .. }) {
                self.open(now);
            } else {
                self.frame(now);
            }
        }
        let now = self.now();
        self.eye.end(now);
    }

    fn now(&self) -> Now {
        Now { at: self.clock.now(), unix: self.clock.unix_ms() }
    }

    fn open(&mut self, now: Now) {
        let Lens::Shut { pause_ms, told, .. } = self.lens else { return };
        self.progress(now);
        let opened = Source::open(&self.spec, now.at);
        self.kept = self.again && matches!(opened, Err(camera::Error::Busy(_)));
        match opened {
            Ok(source) => self.lens = Lens::Open { source, fresh: true, lost: told },
            Err(error) => self.lose(now, &error.to_string(), pause_ms, told),
        }
    }

    /// Beats, but not while our own dead thread has the device: then the watch over all parts
    /// ends the process, which frees it.
    fn progress(&self, now: Now) {
        if !self.kept {
            self.taking.beat(now.at);
        }
    }

    fn frame(&mut self, now: Now) {
        let Self { lens, eye, board, taking, rate, place, .. } = self;
        let Lens::Open { source, .. } = lens else { return };
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let next = source.next(now.at)?;
            taking.beat(now.at);
            let Some(frame) = next else { return Ok(false) };
            let size = (frame.view.width(), frame.view.height());
            if board.count(*place, size, rate.count(now.at), now.unix) {
                board.give(*place, thumb::full(&frame));
            }
            if eye.look(now, &frame).is_some() {
                board.set_health(*place, Health::Running, &words(eye, source));
            }
            board.inferred(*place, eye.inferences());
            Ok(true)
        }));
        match looked {
            Ok(Ok(true)) => self.found(now),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                let error: camera::Error = error;
                let lost = matches!(self.lens, Lens::Open { lost: true, .. });
                self.lose(now, &error.to_string(), RETRY_MS.0, lost);
            }
            Err(_) => {
                if !self.stumbling {
                    say!("camera {}: a frame caused a panic; frames are passed over", self.name);
                }
                self.stumble(true);
                // The source, too, may be what panics: that is progress, and no other camera's loss.
                self.taking.beat(now.at);
                self.eye.recover(now);
                // If every frame does it, at least not at full speed.
                thread::sleep(Duration::from_millis(NAP_MS));
            }
        }
    }

    /// Frames cause panics, or no longer: a row of them is said once.
    fn stumble(&mut self, stumbling: bool) {
        if self.stumbling != stumbling {
            self.stumbling = stumbling;
            journal::hush_panics(stumbling);
        }
    }

    /// A frame came: says so if that is news.
    fn found(&mut self, now: Now) {
        self.stumble(false);
        let Lens::Open { source, fresh, lost } = &mut self.lens else { return };
        if !std::mem::take(fresh) {
            return;
        }
        let words = words(&self.eye, source);
        self.board.set_health(self.place, Health::Running, &words);
        let gap = if words.is_empty() { "" } else { ", " };
        say!("camera {}: running{gap}{words}", self.name);
        if std::mem::take(lost) {
            self.eye.report(now, "camera_back");
        }
    }

    /// The camera gives nothing: says so once, and tries again after a pause that grows.
    fn lose(&mut self, now: Now, why: &str, pause_ms: u64, told: bool) {
        self.eye.end(now);
        self.rate = Rate::default();
        self.board.set_health(self.place, Health::Lost, why);
        if !told {
            say!("camera {}: lost, {why}", self.name);
            self.eye.report(now, "camera_lost");
        }
        let at = now.at.plus_ms(pause_ms);
        self.lens = Lens::Shut { at, pause_ms: (pause_ms * 2).min(RETRY_MS.1), told: true };
    }
}

/// What is wrong with the view, else what the source settled for.
fn words<R: Record>(eye: &Eye<R>, source: &Source) -> String {
    let wrong = eye.wrong();
    if wrong.is_empty() { source.words() } else { wrong.to_owned() }
}

/// Frames a second, counted over [`COUNT_MS`].
#[derive(Debug, Default)]
struct Rate {
    since: Option<Instant>,
    frames: u32,
    fps: f32,
}

impl Rate {
    /// Counts a frame and answers the rate; 0 until it is known.
    fn count(&mut self, now: Instant) -> f32 {
        let since = *self.since.get_or_insert(now);
        let passed = now.since_ms(since);
        if passed >= COUNT_MS {
            self.fps = self.frames as f32 * 1_000.0 / passed as f32;
            (self.since, self.frames) = (Some(now), 0);
        }
        self.frames += 1;
        self.fps
    }
}
