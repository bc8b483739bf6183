//! What the eye does with a frame beside inference: each step by itself, and all in one.

use crate::engine::Engine;
use crate::report::Report;
use crate::rounds::{Series, Subject, alternate};
use crate::say;
use crate::story::{self, Reel};
use edge::camera::Frame;
use edge::camera::jpeg::Decoder;
use edge::eye::{Eye, Record};
use edge::model::{Detector, Model};
use edge::store::Change;
use edge::thumb;
use edge_core::event::EventId;
use edge_core::motion::{CELLS, GRID, Gate};
use edge_core::nms::Detections;
use edge_core::track::Tracker;
use edge_core::watch::Watch;
use edge_infer::Isa;
use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

/// Sides of the tensor.
const TENSOR: (u32, u32) = (300, 300);
/// Calls timed at once, of what takes microseconds.
const BATCH: u32 = 50;

/// Times every step; without a detector those that need none.
pub(crate) fn run(path: Option<&Path>, rounds: usize, report: &mut Report) -> Result<(), String> {
    let frames = story::frames();
    let load = |path| Model::load(path, None).map_err(|error| error.to_string());
    let model = path.map(load).transpose()?;
    let mut engine = path.map(|path| Engine::load(path, Isa::best())).transpose()?;
    let mut decoding = model.as_ref().map(Model::detector);
    let seen = decoding.as_mut().map(|it| sightings(&frames, it)).unwrap_or_default();
    let mut steps = vec![front(&frames)];
    let mut wholes = Vec::new();
    if let (Some(model), Some(engine), Some(decoding)) = (model, &mut engine, &mut decoding) {
        steps.extend([decode(decoding), tracking(&frames, &seen)]);
        let inference = |count| Ok(engine.runs(count));
        wholes = vec![Subject::new("inference", Isa::best().name(), inference)];
        wholes.push(whole(&frames, model));
    } else {
        say("left out: inference, decode, tracker and whole look (no model)");
    }
    let (first_step, behind_steps) = (wholes.len(), wholes.len() + steps.len());
    let parts = [gate(&frames), sampling(&frames)];
    let subjects = wholes.into_iter().chain(steps).chain(parts).chain(pictures(&frames));
    let series = alternate(rounds, subjects.collect())?;
    let base = series.first().filter(|_| first_step > 0);
    Report::table(&format!("the eye, {rounds} rounds"), "inference");
    for one in &series {
        report.times(rounds, "the eye", one, base.map(|base| ("inference", base)));
    }
    if let (Some(base), [_, whole, ..]) = (base, series.as_slice()) {
        beyond(base, whole, series.get(first_step..behind_steps).unwrap_or_default());
    }
    Ok(())
}

/// Says what the eye costs beyond inference, in two ways.
fn beyond(inference: &Series, whole: &Series, steps: &[Series]) {
    let sum: f64 = steps.iter().map(|step| step.over(inference).cpu).sum();
    let difference = whole.over(inference).cpu - 1.0;
    let [sum, difference] = [sum, difference].map(|share| 100.0 * share);
    say(&format!(
        "  beyond inference, on the CPU: {sum:.2} % by its steps, {difference:.2} % by the whole look"
    ));
}

/// What the detector sees in each frame.
fn sightings(frames: &[Vec<u8>], detector: &mut Detector) -> Vec<Detections> {
    let see = |frame: &Vec<u8>| {
        let (tensor, width, height) = detector.input();
        story::view(frame).sample_into(tensor, width, height);
        detector.detect().iter().copied().collect::<Detections>()
    };
    let seen: Vec<Detections> = frames.iter().map(see).collect();
    let things: usize = seen.iter().map(|found| found.len()).sum();
    say(&format!("\n{things} detections in {} frames of the demo scene", frames.len()));
    seen
}

/// What comes before inference, in the eye's order: the second to read a frame finds it where
/// the first has left it.
fn front(frames: &[Vec<u8>]) -> Subject<'_> {
    let (mut reel, mut gate, mut grid) = (Reel::new(frames), Box::new(Gate::new()), [0; CELLS]);
    let mut tensor = vec![0; (TENSOR.0 * TENSOR.1 * 3) as usize];
    Subject::work("gate and sampling of one frame", 1, move || {
        let (_, now, view) = reel.next();
        view.luma_into(&mut grid, GRID.0, GRID.1);
        black_box(gate.look(now.at, &grid));
        black_box(view.sample_into(&mut tensor, TENSOR.0, TENSOR.1));
    })
}

fn gate(frames: &[Vec<u8>]) -> Subject<'_> {
    let (mut reel, mut gate, mut grid) = (Reel::new(frames), Box::new(Gate::new()), [0; CELLS]);
    Subject::work("motion gate, 640 x 480 YUYV", 1, move || {
        let (_, now, view) = reel.next();
        view.luma_into(&mut grid, GRID.0, GRID.1);
        black_box(gate.look(now.at, &grid));
    })
}

fn sampling(frames: &[Vec<u8>]) -> Subject<'_> {
    let mut reel = Reel::new(frames);
    let mut tensor = vec![0; (TENSOR.0 * TENSOR.1 * 3) as usize];
    Subject::work("sampling, 640 x 480 YUYV", 1, move || {
        let (_, _, view) = reel.next();
        black_box(view.sample_into(&mut tensor, TENSOR.0, TENSOR.1));
    })
}

/// Of the last frame's heads, over and over.
fn decode(detector: &mut Detector) -> Subject<'_> {
    Subject::work("decode and NMS", 1, move || {
        black_box(detector.decode());
    })
}

fn tracking<'a>(frames: &'a [Vec<u8>], seen: &'a [Detections]) -> Subject<'a> {
    let (mut reel, mut gate, mut grid) = (Reel::new(frames), Box::new(Gate::new()), [0; CELLS]);
    for _ in frames {
        let (_, now, view) = reel.next();
        view.luma_into(&mut grid, GRID.0, GRID.1);
        gate.look(now.at, &grid);
    }
    let (mut tracker, mut watch, mut next) = (Tracker::new(), Watch::new("bench"), 0);
    Subject::work("tracker and watch", BATCH, move || {
        let (at, now, _) = reel.next();
        tracker.handle_detections(now.at, &seen[at], |bbox| gate.moved_in(bbox));
        let mut ids = || {
            next += 1;
            EventId(next)
        };
        watch.handle_tracks(now, tracker.tracks(), |_| Some("person"), &mut ids);
        while let Some(change) = watch.poll_output() {
            black_box(change);
        }
    })
}

/// Numbers events and keeps nothing.
#[derive(Debug, Default)]
struct Nobody(Cell<u64>);

impl Record for Nobody {
    fn next_id(&self) -> EventId {
        EventId(self.0.replace(self.0.get() + 1))
    }

    fn record(&self, change: Change) -> bool {
        black_box(change);
        true
    }
}

/// From the frame to the event; few looks also make its pictures.
fn whole(frames: &[Vec<u8>], model: Arc<Model>) -> Subject<'_> {
    let mut reel = Reel::new(frames);
    let mut eye = Eye::new("bench", false, Some(model), Vec::new(), Nobody::default());
    Subject::work("whole look", 1, move || {
        let (_, now, view) = reel.next();
        eye.look(now, &Frame { view, jpeg: None });
    })
}

/// What an event or an MJPEG camera costs.
fn pictures(frames: &[Vec<u8>]) -> Vec<Subject<'_>> {
    let frame = |yuyv| Frame { view: story::view(yuyv), jpeg: None };
    let coded: Vec<Vec<u8>> = frames.iter().map(|yuyv| thumb::full(&frame(yuyv))).collect();
    let (mut small, mut large) = (Reel::new(frames), Reel::new(frames));
    let (mut decoder, mut turn) = (Decoder::default(), 0);
    vec![
        Subject::work("thumbnail to JPEG, 320 x 240", 1, move || {
            black_box(thumb::thumbnail(&small.next().2));
        }),
        Subject::work("full to JPEG, 640 x 480", 1, move || {
            black_box(thumb::full(&Frame { view: large.next().2, jpeg: None }));
        }),
        Subject::work("JPEG to RGB, 640 x 480", 1, move || {
            turn = (turn + 1) % coded.len();
            black_box(decoder.decode(&coded[turn]).is_ok());
        }),
    ]
}
