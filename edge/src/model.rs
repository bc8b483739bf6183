//! The detector model: the user's own `.tflite`, read once and shared by all cameras.
//!
//! ```text
//! file --flatbuffer schema--> graph --lower--> Plan + Decoder + anchors = Model (shared)
//!                                                                         | detector()
//!                    picture --> Detector::input --> run --> decode --> NMS --> detections
//! ```
//!
//! Any SSD of `CONV_2D` and `DEPTHWISE_CONV_2D` in per-tensor `UINT8` that ends in
//! `TFLite_Detection_PostProcess` will do; anything else is refused with the name of the
//! operator and the tensor that are in the way.

mod flex;
mod graph;
mod lower;
#[cfg(test)]
mod tiny;

use edge_core::decode::{Anchor, Candidates, Decoder, Detection, HeadBytes};
use edge_core::event::LABEL_BYTES;
use edge_core::labels;
use edge_core::nms::{self, Detections, Rules};
use edge_infer::{Alone, Isa, Plan, Target};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest model file, bytes.
const MODEL_MAX: u64 = 64 << 20;
/// Longest labels file, bytes.
const LABELS_MAX: u64 = 64 << 10;

/// What kind of thing was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The file cannot be read, or is too long.
    Read,
    /// It is no TFLite file.
    NotTflite,
    /// It is one, but not of the kind that runs here.
    Unsupported,
    /// The labels file is no list of labels.
    Labels,
}

/// Why a model was not loaded; displays as one line that names the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The file that is in the way.
    pub path: PathBuf,
    /// What kind of thing was wrong.
    pub kind: Kind,
    context: String,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.context)
    }
}

impl std::error::Error for Error {}

/// A detector's plan, tables and labels; immutable.
#[derive(Debug)]
pub struct Model {
    name: String,
    plan: Plan,
    decoder: Decoder,
    anchors: Box<[Anchor]>,
    rules: Rules,
    labels: Box<[Box<str>]>,
}

impl Model {
    /// Reads a `.tflite` file, and a labels file beside it where there is one.
    ///
    /// Without one the labels are COCO's. The error names the file and what is wrong.
    pub fn load(path: &Path, labels: Option<&Path>) -> Result<Arc<Self>, Error> {
        let bytes = read(path, MODEL_MAX, Kind::Read)?;
        let mut model = Self::from_bytes(path, &bytes)?;
        if let Some(path) = labels {
            let bytes = read(path, LABELS_MAX, Kind::Labels)?;
            let labels = parse_labels(&bytes, model.labels.len());
            model.labels = labels.map_err(|context| {
                let (path, kind) = (path.into(), Kind::Labels);
                Error { path, kind, context }
            })?;
        }
        Ok(Arc::new(model))
    }

    /// A model from the bytes of a file, whatever they are, with COCO's labels; `path` gives
    /// it its name.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes_for(Target { isa: Isa::best(), ways: 1 }, path, bytes)
    }

    /// The same, for kernels other than the best that this machine has.
    pub fn from_bytes_for(target: Target, path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let error = |kind, context| Error { path: path.into(), kind, context };
        let graph = graph::Graph::read(bytes).map_err(|(kind, context)| error(kind, context))?;
        let lower::Lowered { plan, decoder, anchors, rules, classes } =
            lower::lower(&graph, target).map_err(|context| error(Kind::Unsupported, context))?;
        let labels = (0..classes)
            .map(|class| labels::coco(class).map_or_else(|| number(class), Box::from))
            .collect();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, plan, decoder, anchors, rules, labels })
    }

    /// The file's name without its ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The label of a class; `class 17` where the labels have none for it.
    pub fn label(&self, class: u8) -> &str {
        self.labels.get(usize::from(class)).map_or("class", AsRef::as_ref)
    }

    /// A detector of its own memory for one camera.
    pub fn detector(self: &Arc<Self>) -> Detector {
        Detector {
            model: self.clone(),
            arena: vec![0; self.plan.arena_bytes()].into(),
            candidates: Box::default(),
            detections: Detections::new(),
        }
    }
}

/// One camera's memory for running the model; nothing is allocated after it was made.
#[derive(Debug)]
pub struct Detector {
    model: Arc<Model>,
    arena: Box<[u8]>,
    candidates: Box<Candidates>,
    detections: Detections,
}

impl Detector {
    /// The input, `[1, height, width, 3] u8 NHWC` RGB, and its width and height: to be filled
    /// before each [`Detector::detect`], which leaves other bytes in it.
    pub fn input(&mut self) -> (&mut [u8], u32, u32) {
        let shape = self.model.plan.input_form().shape;
        let [rows, columns, _] = shape.as_picture().unwrap_or_default();
        let side = |side| u32::try_from(side).unwrap_or(u32::MAX);
        (self.model.plan.input(&mut self.arena), side(columns), side(rows))
    }

    /// What the picture in the input shows, strongest first.
    pub fn detect(&mut self) -> &[Detection] {
        self.run();
        self.decode()
    }

    /// The first half of [`Detector::detect`]: from the input to the raw heads.
    pub fn run(&mut self) {
        self.model.plan.run(&mut self.arena, &Alone);
    }

    /// The second half: from the raw heads to the detections.
    pub fn decode(&mut self) -> &[Detection] {
        let model = &self.model;
        let heads = (0..self.heads() / 2).map(|head| HeadBytes {
            boxes: model.plan.output(2 * head, &self.arena),
            classes: model.plan.output(2 * head + 1, &self.arena),
        });
        model.decoder.decode(&model.anchors, heads, &mut self.candidates);
        self.detections = nms::pick(&mut self.candidates, model.rules);
        &self.detections
    }

    /// What the last [`Detector::detect`] found.
    pub fn detections(&self) -> &[Detection] {
        &self.detections
    }

    /// Raw heads: for each predictor its boxes (even) and its classes (odd).
    pub fn heads(&self) -> usize {
        self.model.plan.output_forms().len()
    }

    /// The bytes of a raw head, as the last [`Detector::detect`] left them.
    ///
    /// # Panics
    /// Where `index` is not below [`Detector::heads`].
    pub fn head(&self, index: usize) -> &[u8] {
        self.model.plan.output(index, &self.arena)
    }
}

fn read(path: &Path, longest: u64, kind: Kind) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let error = |context: String| Error { path: path.into(), kind, context };
    let cannot = |cause| error(format!("cannot be read: {cause}"));
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > longest {
        return Err(error(format!("is longer than {} KiB", longest >> 10)));
    }
    Ok(bytes)
}

/// One label a line, in the order of the classes (`???` and an empty line: a hole), or `17 cat`
/// on every line.
fn parse_labels(bytes: &[u8], classes: usize) -> Result<Box<[Box<str>]>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not a text file".to_owned())?;
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
    let pairs: Vec<(usize, &str)> = match lines.iter().map(|line| numbered(line)).collect() {
        Some(pairs) => pairs,
        None => lines.into_iter().enumerate().collect(),
    };
    let mut labels: Box<[Box<str>]> = (0..=u8::MAX).take(classes).map(number).collect();
    let mut any = false;
    for (class, label) in pairs {
        if label.is_empty() || label == "???" {
            continue;
        }
        if label.len() > LABEL_BYTES || label.chars().any(char::is_control) {
            return Err(format!("the label of class {class} is not a word of {LABEL_BYTES} bytes"));
        }
        let slot = labels
            .get_mut(class)
            .ok_or_else(|| format!("has a class {class}, the model has {classes} classes"))?;
        *slot = label.into();
        any = true;
    }
    if any { Ok(labels) } else { Err("has no labels".into()) }
}

fn numbered(line: &str) -> Option<(usize, &str)> {
    let (class, label) = line.split_once(char::is_whitespace)?;
    Some((class.parse().ok()?, label.trim()))
}

fn number(class: u8) -> Box<str> {
    format!("class {class}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_by_line_and_by_number() {
        let by_line = parse_labels(b"person\nbicycle\n???\ncar\n", 5).expect("labels");
        assert_eq!(&*by_line[3], "car");
        assert_eq!((&*by_line[2], &*by_line[4]), ("class 2", "class 4"));
        let by_number = parse_labels(b"0  person\n 3  traffic light\n", 5).expect("labels");
        assert_eq!((&*by_number[0], &*by_number[3]), ("person", "traffic light"));
    }

    #[test]
    fn what_is_no_list_of_labels_is_refused() {
        for (bytes, expect) in [
            (&b"\xff\xfe\x00"[..], "is not a text file"),
            (b"", "has no labels"),
            (b"a\nb\nc", "has a class 2, the model has 2 classes"),
            (b"a\na label that goes on and on", "the label of class 1 is not a word of 24 bytes"),
        ] {
            assert_eq!(parse_labels(bytes, 2), Err(expect.to_owned()));
        }
    }

    #[test]
    fn what_is_no_model_is_refused_in_one_line() {
        for bytes in [&b""[..], b"hello, I am a text file\n", b"\x1c\0\0\0TFL3", &[0xff; 64]] {
            let error = Model::from_bytes(Path::new("m.tflite"), bytes).expect_err("no model");
            assert_eq!(error.kind, Kind::NotTflite);
            assert_eq!(error.to_string(), "m.tflite: is not a TFLite file");
        }
        let error = Model::load(Path::new("/nowhere/m.tflite"), None).expect_err("no file");
        assert!(error.to_string().starts_with("/nowhere/m.tflite: cannot be read: "), "{error}");
    }
}
