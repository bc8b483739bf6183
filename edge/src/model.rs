//! The detector model: the user's own `.tflite`, read once and shared by all cameras.
//!
//! ```text
//! file --> Graph --> End (where to cut) --> Network + Decoder + anchors = Model (shared)
//!                                                                         | detector()
//!                    picture --> Detector::input --> run --> decode --> NMS --> detections
//! ```
//!
//! Any graph that ends in `TFLite_Detection_PostProcess` will do, if an engine here can run
//! what stands before that; anything else is refused with the name of the operator and the
//! tensor that are in the way. Other graphs are a [`Network`].
//!
//! An input of 8 bits is given the pixels as they are, less 128 for `INT8`; one of `f32` gets
//! `(pixel - 127.5) / 127.5` unless the file's metadata names other numbers.

mod detector;
mod engine;
mod error;
mod flex;
mod float;
mod graph;
mod labels;
mod lower;
mod metadata;
mod network;
#[cfg(test)]
mod spoilt;
mod threads;
#[cfg(test)]
mod tiny;

use detector::End;
use edge_core::decode::{Anchor, Candidates, Decoder, Detection, HeadBytes};
use edge_core::nms::{self, Detections, Rules};
use edge_infer::{Element, Isa, Target, Tensor};
pub use error::{Error, Kind};
use graph::Graph;
use labels::Labels;
use metadata::Normalization;
pub use network::{Arena, Network};
use std::path::Path;
use std::sync::Arc;

/// Longest model file, bytes.
const MODEL_MAX: u64 = 64 << 20;
/// Longest labels file, bytes.
const LABELS_MAX: u64 = 64 << 10;

/// The best kernels that this machine has, on so many threads.
pub fn target(threads: usize) -> Target {
    Target { isa: Isa::best(), ways: threads.max(1) }
}

/// A detector's network, tables and labels; immutable.
#[derive(Debug)]
pub struct Model {
    network: Arc<Network>,
    decoder: Decoder,
    anchors: Box<[Anchor]>,
    rules: Rules,
    labels: Labels,
    /// How pixels become real numbers, if the network wants those.
    normalization: Option<Normalization>,
}

impl Model {
    /// Reads a `.tflite` file, and a labels file beside it where there is one.
    ///
    /// Without one the labels are COCO's. The error names the file and what is wrong.
    pub fn load(path: &Path, labels: Option<&Path>) -> Result<Arc<Self>, Error> {
        Self::load_for(target(1), path, labels)
    }

    /// The same, for other kernels and threads than one thread of the best that there are.
    pub fn load_for(
        target: Target,
        path: &Path,
        labels: Option<&Path>,
    ) -> Result<Arc<Self>, Error> {
        let bytes = error::read(path, MODEL_MAX, Kind::Read)?;
        let mut model = Self::from_bytes_for(target, path, &bytes)?;
        if let Some(path) = labels {
            let bytes = error::read(path, LABELS_MAX, Kind::Labels)?;
            let labels = labels::parse(&bytes, model.labels.len());
            model.labels = labels.map_err(|words| Error::new(path, Kind::Labels, words))?;
        }
        Ok(Arc::new(model))
    }

    /// A model from the bytes of a file, whatever they are, with COCO's labels; `path` gives
    /// it its name.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes_for(target(1), path, bytes)
    }

    /// The same, for other kernels and threads.
    pub fn from_bytes_for(target: Target, path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let graph = Graph::read(bytes).map_err(|(kind, words)| Error::new(path, kind, words))?;
        let refuse = |words| Error::new(path, Kind::Unsupported, words);
        Self::of(target, &graph, name(path)).map_err(refuse)
    }

    fn of(target: Target, graph: &Graph<'_>, name: String) -> Result<Self, graph::Refusal> {
        let End { outputs, decoder, anchors, rules, classes } = detector::end(graph)?;
        let network = Network::of(target, graph, &outputs, name)?;
        let element = picture(network.inputs())?;
        let normalization = (element == Element::F32).then(|| {
            graph.metadata().and_then(Normalization::read).unwrap_or(Normalization::USUAL)
        });
        let (network, labels) = (Arc::new(network), labels::built_in(classes));
        Ok(Self { network, decoder, anchors, rules, labels, normalization })
    }

    /// The file's name without its ending.
    pub fn name(&self) -> &str {
        self.network.name()
    }

    /// What it runs on.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The label of a class; `class 17` where the labels have none for it.
    pub fn label(&self, class: u8) -> &str {
        self.labels.get(usize::from(class)).map_or("class", AsRef::as_ref)
    }

    /// A detector of its own memory for one camera.
    pub fn detector(self: &Arc<Self>) -> Detector {
        let mut arena = self.network.arena();
        let pixels = self.normalization.map_or(0, |_| arena.input(0).len() / size_of::<f32>());
        Detector {
            model: self.clone(),
            pixels: vec![0; pixels].into(),
            arena,
            candidates: Box::default(),
            detections: Detections::new(),
        }
    }
}

/// One camera's memory for running the model; after it was made, nothing is allocated for a
/// quantized one.
#[derive(Debug)]
pub struct Detector {
    model: Arc<Model>,
    /// The picture, where the network's own input is not made of bytes.
    pixels: Box<[u8]>,
    arena: Arena,
    candidates: Box<Candidates>,
    detections: Detections,
}

impl Detector {
    /// The input, `[1, height, width, 3] u8 NHWC` RGB, and its width and height: to be filled
    /// before each [`Detector::detect`], which leaves other bytes in it.
    pub fn input(&mut self) -> (&mut [u8], u32, u32) {
        let form = self.model.network.inputs().first();
        let sides = form.and_then(|form| form.shape.as_picture().ok());
        let [rows, columns, _] = sides.unwrap_or_default();
        let side = |side| u32::try_from(side).unwrap_or(u32::MAX);
        let bytes = match self.model.normalization {
            Some(_) => &mut *self.pixels,
            None => self.arena.input(0),
        };
        (bytes, side(columns), side(rows))
    }

    /// What the picture in the input shows, strongest first.
    pub fn detect(&mut self) -> &[Detection] {
        self.run();
        self.decode()
    }

    /// The first half of [`Detector::detect`]: from the input to the raw heads.
    pub fn run(&mut self) {
        if let Some(normalization) = &self.model.normalization {
            normalization.write(&self.pixels, self.arena.input(0));
        }
        self.arena.run();
    }

    /// The second half: from the raw heads to the detections.
    pub fn decode(&mut self) -> &[Detection] {
        let Self { model, arena, candidates, .. } = self;
        let heads = (0..model.network.outputs().len() / 2).map(|head| HeadBytes {
            boxes: arena.output(2 * head),
            classes: arena.output(2 * head + 1),
        });
        model.decoder.decode(&model.anchors, heads, candidates);
        self.detections = nms::pick(candidates, model.rules);
        &self.detections
    }

    /// What the last [`Detector::detect`] found.
    pub fn detections(&self) -> &[Detection] {
        &self.detections
    }

    /// Raw heads: for each predictor its boxes (even) and its classes (odd).
    pub fn heads(&self) -> usize {
        self.model.network.outputs().len()
    }

    /// The bytes of a raw head, as the last [`Detector::detect`] left them.
    ///
    /// # Panics
    /// Where `index` is not below [`Detector::heads`].
    pub fn head(&self, index: usize) -> &[u8] {
        self.arena.output(index)
    }
}

/// The elements of a detector's input: one picture of three channels.
fn picture(inputs: &[Tensor]) -> Result<Element, graph::Refusal> {
    let shapes: Vec<_> = inputs.iter().map(|form| form.shape).collect();
    match inputs {
        [Tensor { shape, element: Element::U8(_) | Element::I8(_) | Element::F32 }]
            if matches!(shape.as_picture(), Ok([_, _, 3])) =>
        {
            Ok(inputs[0].element)
        }
        _ => {
            Err(format!("its input is {shapes:?}, a picture of [1, rows, columns, 3] is expected"))
        }
    }
}

/// A file's name without its ending, as one line.
fn name(path: &Path) -> String {
    error::one_line(&path.file_stem().unwrap_or_default().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_model_is_refused_in_one_line() {
        for bytes in [&b""[..], b"hello, I am a text file\n", b"\x1c\0\0\0TFL3", &[0xff; 64]] {
            let error = Model::from_bytes(Path::new("m.tflite"), bytes).expect_err("no model");
            assert_eq!(error.kind, Kind::NotTflite);
            assert_eq!(error.to_string(), "m.tflite: is not a TFLite file");
        }
        let error = Model::load(Path::new("/nowhere/m.tflite"), None).expect_err("no file");
        assert!(error.to_string().starts_with("/nowhere/m.tflite: cannot be read: "), "{error}");
        let error =
            Model::from_bytes(Path::new("a\nb\u{2028}\x1b[2J.tflite"), b"").expect_err("none");
        assert_eq!(error.to_string(), "a\\nb\\u{2028}\\u{1b}[2J.tflite: is not a TFLite file");
    }
}
