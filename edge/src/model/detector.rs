//! The end of a detection graph: where it is cut, and how what stands there is read.
//!
//! ```text
//! heads -> RESHAPE -> CONCATENATION -----------> SQUEEZE -+
//! heads -> RESHAPE -> CONCATENATION -> LOGISTIC ----------+-> TFLite_Detection_PostProcess
//!                                    anchors (constant) --+
//! network ->|-------------- the decoder's tables ---------|------------- options ----------|
//! ```
//! What stands between the heads and the post-processing takes one stored byte to one number.
//! It is run once, at load, over all 256 bytes: the decoder has a table for each head. Where a
//! graph has something else there, the network computes what the post-processing reads.

#![deny(clippy::indexing_slicing)]

use super::flex;
use super::graph::{Graph, Operator, Refusal};
use super::lower::{axis, changes_bytes_alone, table};
use edge_core::decode::{Anchor, Decoder, HEADS_MAX, Options, Values};
use edge_core::nms::Rules;
use edge_infer::Element;
use tract_tflite::tflite::{BuiltinOperator, TensorType};

/// Most anchors of a detector.
const ANCHORS_MAX: usize = 1 << 20;
/// Most operators that a head's bytes go through on their way to the post-processing.
const PASSES_MAX: usize = 16;
const POST_PROCESS: &str = "TFLite_Detection_PostProcess";

/// A graph's end.
#[derive(Debug)]
pub(super) struct End {
    /// What the network has to compute: for each head its boxes, then its classes.
    pub(super) outputs: Vec<usize>,
    pub(super) decoder: Decoder,
    pub(super) anchors: Box<[Anchor]>,
    pub(super) rules: Rules,
    pub(super) classes: u8,
}

/// A tensor, and what its bytes go through before the post-processing reads them.
#[derive(Debug, Clone)]
struct Head<'g, 'a> {
    tensor: usize,
    /// In the order in which they are passed.
    passes: Vec<&'g Operator<'a>>,
}

/// Finds where to cut.
pub(super) fn end(graph: &Graph<'_>) -> Result<End, Refusal> {
    let last = graph.operators.last().ok_or("has no operators")?;
    let post = graph.operators.iter().find(|op| op.name == POST_PROCESS).ok_or_else(|| {
        let place = graph.place(last);
        format!("is no SSD detector: it ends in {place}, not in {POST_PROCESS}")
    })?;
    let named = |words: String| format!("{}: {words}", graph.place(post));
    of(graph, post).map_err(named)
}

fn of(graph: &Graph<'_>, post: &Operator<'_>) -> Result<End, Refusal> {
    let tensors = [post.input(0)?, post.input(1)?];
    let [_, count, columns] = check(graph, tensors)?;
    let (options, rules, classes) = options(post, columns)?;
    let anchors = anchors(graph, post.input(2)?)?;
    if anchors.len() != count {
        return Err(format!("its heads have {count} anchors, its anchor tensor {}", anchors.len()));
    }
    let parted = parted(graph, tensors, count, columns);
    let whole = || tensors.map(|tensor| vec![Head { tensor, passes: Vec::new() }]);
    let [boxes, scores] = parted.unwrap_or_else(whole);
    let mut decoder = Decoder::new(options);
    let mut outputs = Vec::new();
    for (boxes, scores) in boxes.iter().zip(&scores) {
        decoder.head(values(graph, boxes)?, values(graph, scores)?);
        outputs.extend([boxes.tensor, scores.tensor]);
    }
    Ok(End { outputs, decoder, anchors, rules, classes })
}

/// What the post-processing reads is `[1, N, 4]` and `[1, N, columns]`.
fn check(graph: &Graph<'_>, [boxes, scores]: [usize; 2]) -> Result<[usize; 3], Refusal> {
    let (of_boxes, of_scores) = (graph.all_sides(boxes)?, graph.all_sides(scores)?);
    match (of_boxes, of_scores) {
        ([1, count, 4], [1, same, columns]) if count == same && columns > 0 => {
            Ok([1, count, columns])
        }
        _ => Err(format!("reads {of_boxes:?} and {of_scores:?}, which do not fit together")),
    }
}

/// The heads of both branches, if they stand before the post-processing in pairs.
fn parted<'g, 'a>(
    graph: &'g Graph<'a>,
    tensors: [usize; 2],
    count: usize,
    columns: usize,
) -> Option<[Vec<Head<'g, 'a>>; 2]> {
    let [boxes, scores] = tensors.map(|tensor| {
        let mut heads = Vec::new();
        part(graph, Head { tensor, passes: Vec::new() }, &mut heads).then_some(heads)
    });
    let (boxes, scores) = (boxes?, scores?);
    let mut sum = 0;
    for (boxes, scores) in boxes.iter().zip(&scores) {
        let values = |head: &Head<'_, '_>| Some(graph.form(head.tensor).ok()?.shape.count());
        let anchors = values(boxes)? / 4;
        if anchors * 4 != values(boxes)? || anchors * columns != values(scores)? {
            return None;
        }
        sum += anchors;
    }
    let rising = |head: &Head<'_, '_>| match values(graph, head) {
        Ok(Values::Table(table)) => table.is_sorted(),
        _ => false,
    };
    let fit = sum == count && boxes.len() == scores.len() && scores.iter().all(rising);
    fit.then_some([boxes, scores])
}

/// Walks from a tensor back to the heads it is made of; `false` where they are too many. Goes
/// no deeper than [`PASSES_MAX`] passes: what stands before them is the network's.
fn part<'g, 'a>(
    graph: &'g Graph<'a>,
    mut head: Head<'g, 'a>,
    heads: &mut Vec<Head<'g, 'a>>,
) -> bool {
    while let Some(operator) = graph.writer(head.tensor) {
        let Ok(input) = operator.input(0) else { break };
        if head.passes.len() == PASSES_MAX || !keeps_count(graph, operator) {
            break;
        }
        if is_view(graph, operator, input) {
            head.tensor = input;
        } else if operator.code == BuiltinOperator::CONCATENATION && is_flat(graph, operator) {
            head.passes.insert(0, operator);
            return operator.inputs.iter().all(|input| match input {
                Some(tensor) => part(graph, Head { tensor: *tensor, ..head.clone() }, heads),
                None => false,
            });
        } else if changes_bytes_alone(graph, operator) {
            head.passes.insert(0, operator);
            head.tensor = input;
        } else {
            break;
        }
    }
    heads.push(head);
    heads.len() <= HEADS_MAX
}

/// Whether an operator writes as many values as it reads; of a `RESHAPE`'s inputs the second is
/// none.
fn keeps_count(graph: &Graph<'_>, operator: &Operator<'_>) -> bool {
    let count = |tensor: usize| graph.form(tensor).ok().map(|form| form.shape.count());
    let all = if operator.code == BuiltinOperator::CONCATENATION { usize::MAX } else { 1 };
    let inputs = operator.inputs.iter().take(all).map(|input| count((*input)?));
    let sum = inputs.sum::<Option<usize>>();
    sum.is_some() && sum == operator.output().ok().and_then(count)
}

/// Whether an operator changes neither bytes nor what they mean.
fn is_view(graph: &Graph<'_>, operator: &Operator<'_>, input: usize) -> bool {
    use BuiltinOperator as B;
    let same = operator.output().is_ok_and(|output| graph.element(output) == graph.element(input));
    same && matches!(operator.code, B::RESHAPE | B::SQUEEZE | B::EXPAND_DIMS)
}

/// Whether a concatenation of bytes puts its inputs one behind the other.
fn is_flat(graph: &Graph<'_>, operator: &Operator<'_>) -> bool {
    let options = operator.raw.builtin_options_as_concatenation_options();
    let (Some(options), Ok(output)) = (options, operator.output()) else { return false };
    let (Ok(sides), Ok(element)) = (graph.sides(output), graph.element(output)) else {
        return false;
    };
    let axis = axis(options.axis().into(), sides.len()).ok();
    let outer = axis.and_then(|axis| sides.get(..axis));
    outer.is_some_and(|outer| outer.iter().all(|side| *side == 1)) && element.bytes() == 1
}

/// How the decoder reads a head.
fn values(graph: &Graph<'_>, head: &Head<'_, '_>) -> Result<Values, Refusal> {
    if graph.element(head.tensor)? == Element::F32 {
        return Ok(Values::Floats);
    }
    graph.quant(head.tensor)?;
    let table = table(graph, head.tensor, &head.passes)?;
    if table.iter().all(|value| value.is_finite()) {
        return Ok(Values::Table(table));
    }
    Err(format!("tensor '{}' has a scale out of all proportion", graph.name(head.tensor)))
}

/// What the post-processing's options say, how overlaps are taken out, and classes in all.
fn options(post: &Operator<'_>, columns: usize) -> Result<(Options, Rules, u8), Refusal> {
    let bytes = post.raw.custom_options().map_or(&[][..], |options| options.bytes());
    let find = |key: &str| flex::number(bytes, key).filter(|value| value.is_finite());
    let need = |key: &str| {
        let within = find(key).filter(|value| (0.0..=1e6).contains(value));
        within.ok_or_else(|| format!("has no usable option {key}"))
    };
    #[expect(clippy::cast_possible_truncation, reason = "within 0..=1e6")]
    let real = |key| need(key).map(|value| value as f32);
    let scales = [real("y_scale")?, real("x_scale")?, real("h_scale")?, real("w_scale")?];
    if scales.contains(&0.0) {
        return Err("has a scale of 0".into());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=255")]
    let count = Some(need("num_classes")?).filter(|count| *count <= 255.0).map(|count| count as u8);
    let count = count.filter(|count| *count > 0).ok_or("has more than 255 classes, or none")?;
    let background = columns.checked_sub(usize::from(count)).filter(|background| *background <= 1);
    let background = background
        .ok_or_else(|| format!("has {columns} columns of classes for {count} classes"))?;
    let many = find("use_regular_nms").is_some_and(|value| value != 0.0);
    if !many && find("max_classes_per_detection").is_some_and(|value| value > 1.0) {
        return Err("wants more than one class a detection".into());
    }
    let score_min = real("nms_score_threshold")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=1e6")]
    let most = need("max_detections")? as usize;
    if most == 0 {
        return Err("has max_detections 0, at least 1 is expected".into());
    }
    let rules = Rules { iou: real("nms_iou_threshold")?, within_class: many, most };
    Ok((Options { scales, columns, background, score_min, many }, rules, count))
}

fn anchors(graph: &Graph<'_>, tensor: usize) -> Result<Box<[Anchor]>, Refusal> {
    let [count, four] = graph.all_sides(tensor)?;
    if four != 4 || count > ANCHORS_MAX {
        return Err(format!("its anchors are [{count}, {four}], [N, 4] is expected"));
    }
    let numbers: Vec<f32> = if graph.type_of(tensor)? == TensorType::FLOAT32 {
        let bytes = graph.constant(tensor, TensorType::FLOAT32, count * 4)?;
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    } else {
        let quant = graph.quant(tensor)?;
        graph.constant(tensor, graph.type_of(tensor)?, count * 4)?;
        graph.stored(tensor)?.iter().map(|stored| quant.real(*stored)).collect()
    };
    let anchor = |[y, x, h, w]: &[f32; 4]| Anchor { y: *y, x: *x, h: *h, w: *w };
    Ok(numbers.as_chunks().0.iter().map(anchor).collect())
}
