//! The engine at the door production uses.

use crate::rounds::{Stopwatch, Time};
use crate::story;
use edge::model::{Detector, Model};
use std::path::Path;
use std::sync::Arc;

/// A loaded model with its memory and its input.
#[derive(Debug)]
pub(crate) struct Engine {
    /// The model's name.
    pub(crate) model: Arc<Model>,
    pub(crate) detector: Detector,
    /// What every run begins with: a run leaves other bytes in the tensor.
    pub(crate) input: Vec<u8>,
}

impl Engine {
    /// Loads a model; its input is a frame of the story.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let model = Model::load(path, None).map_err(|error| error.to_string())?;
        let mut detector = model.detector();
        let (tensor, width, height) = detector.input();
        let frames = story::frames();
        let frame = frames.last().ok_or("the demo scene shows nothing")?;
        story::view(frame).sample_into(tensor, width, height);
        let input = tensor.to_vec();
        Ok(Self { model, detector, input })
    }

    /// One inference, from the tensor to the detections.
    pub(crate) fn run(&mut self) {
        self.fill();
        self.detector.detect();
    }

    /// So many of them, timed.
    pub(crate) fn burst(&mut self, count: usize) -> Vec<Time> {
        let one = |_| {
            self.fill();
            let watch = Stopwatch::start();
            self.detector.detect();
            watch.stop(1)
        };
        (0..count).map(one).collect()
    }

    fn fill(&mut self) {
        self.detector.input().0.copy_from_slice(&self.input);
    }

    /// What the last run computed: the raw heads, each predictor's boxes before its classes.
    pub(crate) fn tensors(&self) -> Vec<u8> {
        (0..self.detector.heads()).flat_map(|head| self.detector.head(head).to_vec()).collect()
    }
}
