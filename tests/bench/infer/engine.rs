//! The engine at the door production uses.

use crate::rounds::{Stopwatch, Time};
use crate::story;
use edge::model::{Arena, Detector, Model, Network};
use edge_infer::{Isa, Target};
use harness::pixels;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// A loaded model with its memory and its input.
#[derive(Debug)]
pub(crate) struct Engine {
    /// The instruction set of its kernels.
    pub(crate) isa: Isa,
    /// The model's name.
    pub(crate) name: String,
    body: Body,
    /// What every run begins with, in the file's own type: a run leaves other bytes there.
    pub(crate) input: Vec<u8>,
}

/// What runs.
#[derive(Debug)]
enum Body {
    Detector(Box<Detector>),
    Network(Arena),
}

impl Engine {
    /// Loads a model for the kernels of a set; its input is a frame of the story.
    pub(crate) fn load(path: &Path, isa: Isa) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let target = Target { isa, ways: 1 };
        let (form, name, body) = if let Ok(model) = Model::from_bytes_for(target, path, &bytes) {
            let (form, name) = (model.network().inputs()[0], model.name().to_owned());
            (form, name, Body::Detector(Box::new(Arc::new(model).detector())))
        } else {
            let network = Network::from_bytes(target, path, &bytes);
            let network = Arc::new(network.map_err(|error| error.to_string())?);
            (network.inputs()[0], network.name().to_owned(), Body::Network(network.arena()))
        };
        let frames = story::frames();
        let frame = frames.last().ok_or("the demo scene shows nothing")?;
        let mut picture = vec![0; pixels::SIDE * pixels::SIDE * 3];
        let side = u32::try_from(pixels::SIDE).map_err(|error| error.to_string())?;
        story::view(frame).sample_into(&mut picture, side, side);
        Ok(Self { isa, name, body, input: pixels::input(&picture, form) })
    }

    /// The detector, if it is one.
    pub(crate) fn detector(&mut self) -> Option<&mut Detector> {
        match &mut self.body {
            Body::Detector(detector) => Some(detector),
            Body::Network(_) => None,
        }
    }

    /// One inference, from the tensor to the raw heads or the outputs.
    pub(crate) fn run(&mut self) {
        self.fill();
        self.body.run();
    }

    /// So many of them, timed.
    pub(crate) fn runs(&mut self, count: usize) -> Vec<Time> {
        self.timed(count, Body::run)
    }

    /// So many inferences with decode and NMS where there are such, timed.
    pub(crate) fn looks(&mut self, count: usize) -> Vec<Time> {
        self.timed(count, |body| {
            body.run();
            if let Body::Detector(detector) = body {
                detector.decode();
            }
        })
    }

    fn timed(&mut self, count: usize, mut work: impl FnMut(&mut Body)) -> Vec<Time> {
        let one = |_| {
            self.fill();
            let watch = Stopwatch::start();
            work(&mut self.body);
            watch.stop(1)
        };
        (0..count).map(one).collect()
    }

    fn fill(&mut self) {
        match &mut self.body {
            Body::Detector(detector) => detector.input().0.copy_from_slice(&self.input),
            Body::Network(arena) => assert!(arena.write(0, &self.input), "an input of its length"),
        }
    }

    /// What the last run computed: the raw heads, each predictor's boxes before its classes, or
    /// the outputs.
    pub(crate) fn tensors(&self) -> Vec<u8> {
        match &self.body {
            Body::Detector(it) => (0..it.heads()).flat_map(|head| it.head(head).to_vec()).collect(),
            Body::Network(it) => {
                (0..it.network().outputs().len()).flat_map(|at| it.read(at)).collect()
            }
        }
    }
}

impl Body {
    fn run(&mut self) {
        match self {
            Self::Detector(detector) => detector.run(),
            Self::Network(arena) => arena.run(),
        }
    }
}
