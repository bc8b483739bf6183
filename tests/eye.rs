//! The eye from its source to its changes, in virtual time: what must become an event, and
//! what must not.

use edge::camera::{Frame, Source, Spec};
use edge::eye::{Eye, Record};
use edge::model::Model;
use edge::store::Change;
use edge_core::event::{Event, EventId, Kind};
use edge_core::time::{Instant, UnixMs};
use edge_core::watch::Now;
use harness::data;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

const START: u64 = 1_750_000_000_000;

/// A recorder that keeps everything.
#[derive(Debug, Clone, Default)]
struct List(Rc<RefCell<Vec<Change>>>, Rc<RefCell<u64>>);

impl Record for List {
    fn next_id(&self) -> EventId {
        *self.1.borrow_mut() += 1;
        EventId(*self.1.borrow())
    }

    fn record(&self, change: Change) -> bool {
        self.0.borrow_mut().push(change);
        true
    }
}

impl List {
    fn opened(&self) -> Vec<Event> {
        let opened = |change: &Change| match change {
            Change::Opened { event, .. } => Some(event.clone()),
            Change::Improved { .. } | Change::Closed { .. } | Change::Deserted { .. } => None,
        };
        self.0.borrow().iter().filter_map(opened).collect()
    }

    /// Every event opens once, is improved at most once, closes once, and in this order; each
    /// picture is a JPEG within its bounds.
    fn check(&self) {
        let mut lives: BTreeMap<EventId, String> = BTreeMap::new();
        for change in self.0.borrow().iter() {
            let (id, letter, pictures) = match change {
                Change::Opened { event, pictures } => (event.id, 'o', Some(pictures)),
                Change::Improved { event, pictures } => (event.id, 'i', Some(pictures)),
                Change::Closed { id, .. } => (*id, 'c', None),
                Change::Deserted { .. } => continue,
            };
            lives.entry(id).or_default().push(letter);
            if let Some(pictures) = pictures {
                for (jpeg, most) in [(&pictures.thumbnail, 60 << 10), (&pictures.full, 256 << 10)] {
                    assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.len() <= most);
                }
            }
        }
        for (id, life) in lives {
            assert!(["oc", "oic"].contains(&life.as_str()), "{id}: {life}");
        }
    }
}

fn now(ms: u64) -> Now {
    Now { at: Instant(ms), unix: UnixMs(START + ms) }
}

/// Plays a source for so long, asking at most every `step_ms`, and calls `each` after every
/// frame.
fn play(spec: &str, eye: &mut Eye<List>, step_ms: u64, until_ms: u64, mut each: impl FnMut()) {
    let (_, spec) = Spec::parse(spec).expect("a spec");
    let mut source = Source::open(&spec, Instant(0)).expect("it opens");
    let mut ms = 0;
    while ms < until_ms {
        let frame: Option<Frame<'_>> = source.next(Instant(ms)).expect("frames");
        eye.look(now(ms), &frame.expect("it was due"));
        each();
        ms += source.idle_ms(Instant(ms)).max(step_ms);
    }
    eye.end(now(ms));
}

/// The household's labels with a score of 0.6 and more, by the name of the picture.
fn golden(path: &Path) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read(path).expect("the golden file reads");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
    let images = json["images"].as_object().expect("images");
    let strong = |found: &&serde_json::Value| found["score"].as_f64().is_some_and(|s| s >= 0.6);
    let label = |found: &serde_json::Value| found["label"].as_str().map(str::to_owned);
    let shown = |label: &String| edge_core::labels::household(label);
    let sorted = |found: &serde_json::Value| {
        let found = found.as_array().expect("a list").iter().filter(strong);
        let mut labels: Vec<String> = found.filter_map(label).filter(shown).collect();
        labels.sort();
        labels
    };
    images.iter().map(|(name, found)| (name.clone(), sorted(found))).collect()
}

#[test]
fn each_picture_of_a_folder_gives_the_events_of_its_golden_detections() {
    let wanted = [
        data::model("ssd_mobilenet_v1_coco_quant.tflite"),
        data::golden("ssd_v1.json"),
        data::pictures("."),
    ];
    let Some([model, expected, pictures]) = data::all("pictures to events", wanted) else { return };
    let model: Arc<Model> = Model::load(&model, None).unwrap_or_else(|error| panic!("{error}"));
    let expected: Vec<Vec<String>> = golden(&expected).into_values().collect();
    let list = List::default();
    let mut eye = Eye::new("porch", false, Some(model), Vec::new(), list.clone());
    let mut seen: Vec<Vec<String>> = Vec::new();
    let spec = format!("replay:{}", pictures.display());
    let turns = 2;
    play(&spec, &mut eye, 0, 500 * turns * expected.len() as u64, || {
        let known: usize = seen.iter().map(Vec::len).sum();
        let fresh = list.opened();
        let mut labels: Vec<String> =
            fresh.iter().skip(known).map(|event| event.label.as_str().to_owned()).collect();
        labels.sort();
        seen.push(labels);
    });
    let turns: Vec<_> = seen.chunks(expected.len()).collect();
    for turn in turns {
        assert_eq!(turn, expected);
    }
    assert!(list.opened().iter().all(|event| event.kind == Kind::Object && event.score >= 0.6));
    list.check();
}

#[test]
fn a_picture_that_stays_is_told_once() {
    let wanted = [data::model("ssd_mobilenet_v1_coco_quant.tflite"), data::pictures("pets.jpg")];
    let Some([model, picture]) = data::all("a still picture", wanted) else { return };
    let model = Model::load(&model, None).unwrap_or_else(|error| panic!("{error}"));
    let list = List::default();
    let mut eye = Eye::new("porch", false, Some(model), Vec::new(), list.clone());
    play(&format!("replay:{}", picture.display()), &mut eye, 0, 120_000, || {});
    let opened = list.opened();
    assert_eq!(opened.len(), 2, "two dogs, in two minutes: {opened:?}");
    assert!(eye.inferences() > 0, "what is new is looked at, though nothing moves");
    list.check();
}

#[test]
fn the_demo_scene_gives_motion_events_without_a_model() {
    let list = List::default();
    let mut eye = Eye::new("garden", false, None, Vec::new(), list.clone());
    play("demo:", &mut eye, 0, 120_000, || {});
    let opened = list.opened();
    assert!((5..=12).contains(&opened.len()), "{} events in two minutes", opened.len());
    assert!(opened.iter().all(|event| event.kind == Kind::Motion && event.label == "motion"));
    assert!(opened[0].started.0 < START + 10_000, "a newcomer sees something soon");
    assert!(opened.iter().all(|event| event.bbox.area() < 0.5), "a mover, not the whole picture");
    list.check();
}

#[test]
fn the_demo_scene_shows_people_and_a_car_to_the_detector() {
    let wanted = [data::model("ssd_mobilenet_v1_coco_quant.tflite")];
    let Some([model]) = data::all("the demo scene with a model", wanted) else { return };
    let model = Model::load(&model, None).unwrap_or_else(|error| panic!("{error}"));
    let list = List::default();
    let mut eye = Eye::new("garden", false, Some(model), Vec::new(), list.clone());
    play("demo:", &mut eye, 800, 120_000, || {});
    let opened = list.opened();
    let count = |label: &str| opened.iter().filter(|event| event.label == label).count();
    let (people, cars) = (count("person"), count("car"));
    assert!((3..=8).contains(&people), "{people} people of 3");
    assert!((1..=2).contains(&cars), "{cars} cars: it comes, stays, and leaves");
    list.check();
}
