//! What a camera of 640 x 480 gives the store: events, and their pictures as the eye makes them.

use crate::data::pictures;
use edge::camera::Frame;
use edge::camera::demo::Demo;
use edge::camera::jpeg::Decoder;
use edge::store::Pictures;
use edge::thumb;
use edge_core::event::{Event, EventId, Kind};
use edge_core::geometry::BBox;
use edge_core::pixels::View;
use edge_core::time::{Instant, UnixMs};

/// Sides of a frame.
const SIDES: (u32, u32) = (640, 480);
/// Photographs of rooms and streets, 1280 x 720: a sensor's noise is in them, which no drawn
/// scene has.
const PHOTOGRAPHS: [&str; 5] =
    ["background.jpg", "cat_720p.jpg", "person.jpg", "person-couch.jpg", "person-no-face.jpg"];
/// Frames of the demo scene, and from one to the next, ms.
const SCENES: u64 = 6;
const STEP_MS: u64 = 9_000;

/// Pictures of a few frames, and what they are of: photographs below `NIGHTJAR_PICTURES`, or the
/// demo scene where there are none.
pub fn footage() -> (Vec<Pictures>, &'static str) {
    let photographs: Vec<_> = PHOTOGRAPHS.iter().filter_map(|name| photograph(name)).collect();
    if photographs.is_empty() {
        return (scenes(), "the demo scene");
    }
    (photographs, "photographs")
}

fn photograph(name: &str) -> Option<Pictures> {
    let mut decoder = Decoder::default();
    decoder.decode(&std::fs::read(pictures(name)?).ok()?).ok()?;
    at_camera_size(&decoder.view()?)
}

fn scenes() -> Vec<Pictures> {
    let mut demo = Demo::open(Instant(0));
    let times = (1..=SCENES).map(|scene| Instant(scene * STEP_MS));
    times.filter_map(|now| at_camera_size(&demo.next(now)?.view)).collect()
}

fn at_camera_size(view: &View<'_>) -> Option<Pictures> {
    let (width, height) = SIDES;
    let mut rgb = vec![0; (width * height * 3) as usize];
    view.sample_into(&mut rgb, width, height).then_some(())?;
    let view = View::rgb(&rgb, width, height, width * 3)?;
    Some(thumb::pictures(&Frame { view, jpeg: None }))
}

/// An event that begins at `started`.
pub fn event(id: EventId, started: UnixMs) -> Event {
    let label = ["person", "car", "cat", "dog"][usize::try_from(id.0 % 4).unwrap_or_default()];
    Event {
        id,
        kind: Kind::Object,
        label: label.try_into().unwrap_or_default(),
        camera: "Front door".try_into().unwrap_or_default(),
        started,
        ended: None,
        score: 0.75,
        bbox: BBox::WHOLE,
        favourite: false,
        reviewed: false,
    }
}
