//! The engine at the door production uses.

use crate::rounds::{Stopwatch, Time};
use crate::story;
use edge::model::{Detector, Model};
use edge_infer::{Isa, Target};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// A loaded model with its memory and its input.
#[derive(Debug)]
pub(crate) struct Engine {
    /// The instruction set of its kernels.
    pub(crate) isa: Isa,
    /// The model.
    pub(crate) model: Arc<Model>,
    /// Its memory.
    pub(crate) detector: Detector,
    /// What every run begins with: a run leaves other bytes in the tensor.
    pub(crate) input: Vec<u8>,
}

impl Engine {
    /// Loads a model for the kernels of a set; its input is a frame of the story.
    pub(crate) fn load(path: &Path, isa: Isa) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let model = Model::from_bytes_for(Target { isa, ways: 1 }, path, &bytes);
        let model = Arc::new(model.map_err(|error| error.to_string())?);
        let mut detector = model.detector();
        let (tensor, width, height) = detector.input();
        let frames = story::frames();
        let frame = frames.last().ok_or("the demo scene shows nothing")?;
        story::view(frame).sample_into(tensor, width, height);
        let input = tensor.to_vec();
        Ok(Self { isa, model, detector, input })
    }

    /// One inference, from the tensor to the raw heads.
    pub(crate) fn run(&mut self) {
        self.fill();
        self.detector.run();
    }

    /// So many of them, timed.
    pub(crate) fn runs(&mut self, count: usize) -> Vec<Time> {
        self.timed(count, Detector::run)
    }

    /// So many inferences with decode and NMS, timed.
    pub(crate) fn looks(&mut self, count: usize) -> Vec<Time> {
        self.timed(count, |detector| {
            detector.detect();
        })
    }

    fn timed(&mut self, count: usize, mut work: impl FnMut(&mut Detector)) -> Vec<Time> {
        let one = |_| {
            self.fill();
            let watch = Stopwatch::start();
            work(&mut self.detector);
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
