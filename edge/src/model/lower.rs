//! From the file's graph to a plan, a decoder and anchors.
//!
//! ```text
//! input -> convolutions -> 6 x box head   -> RESHAPE -> CONCATENATION -----------> SQUEEZE -+
//!                       -> 6 x class head -> RESHAPE -> CONCATENATION -> LOGISTIC ----------+-> TFLite_Detection_
//!                                                                        anchors (constant) +   PostProcess
//! |----------- the plan ----------------|------------- the decoder's tables ----------------|-- options --|
//! ```

#![deny(clippy::indexing_slicing)]

use super::flex;
use super::graph::{Graph, Operator, Refusal};
use edge_core::decode::{Anchor, Decoder, Options, Storage};
use edge_core::decode::{HEADS_MAX, Quant as Stored};
use edge_core::nms::Rules;
use edge_infer::{
    Activation, Builder, Conv, Depthwise, Element, Op, Padding, Plan, Quant, Target, Tensor,
    TensorId, Weights, Window,
};
use tract_tflite::tflite::{self, ActivationFunctionType, BuiltinOperator, TensorType};

const POST_PROCESS: &str = "TFLite_Detection_PostProcess";

/// A file's content in the form that runs.
#[derive(Debug)]
pub(super) struct Lowered {
    /// Outputs: for each predictor its boxes, then its classes.
    pub(super) plan: Plan,
    pub(super) decoder: Decoder,
    pub(super) anchors: Box<[Anchor]>,
    pub(super) rules: Rules,
    pub(super) classes: u8,
}

/// Half of what the post-processing reads: all boxes, or all classes.
#[derive(Debug)]
struct Branch {
    /// Tensors that the head convolutions write.
    heads: Vec<usize>,
    /// What the concatenation's bytes mean.
    all: Quant,
    /// What LOGISTIC's bytes mean, where there is one.
    scores: Option<Quant>,
}

pub(super) fn lower(graph: &Graph<'_>, target: Target) -> Result<Lowered, Refusal> {
    let last = graph.operators.last().ok_or("has no operators")?;
    let post = graph.operators.iter().find(|op| op.name == POST_PROCESS).ok_or_else(|| {
        let place = graph.place(last);
        format!("is no SSD detector: it ends in {place}, not in {POST_PROCESS}")
    })?;
    let boxes = branch(graph, post.input(0)?)?;
    let classes = branch(graph, post.input(1)?)?;
    let scores = classes.scores.ok_or("its classes do not pass through a LOGISTIC operator")?;
    if boxes.heads.len() != classes.heads.len() || boxes.heads.len() > HEADS_MAX {
        let (boxes, classes) = (boxes.heads.len(), classes.heads.len());
        return Err(format!(
            "has {boxes} box heads and {classes} class heads, at most {HEADS_MAX}"
        ));
    }
    let (options, rules, count) = options(graph, post)?;
    let mut decoder = Decoder::new(options);
    for (box_head, class_head) in boxes.heads.iter().zip(&classes.heads) {
        decoder.head(&Storage {
            boxes: stored(graph.quant(*box_head)?),
            classes: stored(graph.quant(*class_head)?),
            all_boxes: stored(boxes.all),
            all_classes: stored(classes.all),
            scores: stored(scores),
        });
    }
    let heads: Vec<[usize; 2]> =
        boxes.heads.into_iter().zip(classes.heads).map(<[usize; 2]>::from).collect();
    let anchors = anchors(graph, post.input(2)?)?;
    check_counts(graph, &heads, options.columns, anchors.len())?;
    let plan = plan(graph, &heads, target)?;
    Ok(Lowered { plan, decoder, anchors, rules, classes: count })
}

fn stored(quant: Quant) -> Stored {
    Stored { scale: quant.scale, zero_point: quant.zero_point }
}

/// Walks from the post-processing back to the head convolutions.
fn branch(graph: &Graph<'_>, from: usize) -> Result<Branch, Refusal> {
    let mut scores = None;
    let (operator, _) = walk(graph, from, |operator| {
        if operator.code != BuiltinOperator::LOGISTIC || scores.is_some() {
            return Ok(false);
        }
        scores = Some(graph.quant(operator.output()?)?);
        Ok(true)
    })?;
    if operator.code != BuiltinOperator::CONCATENATION {
        return Err(unexpected(graph, operator));
    }
    let options = operator.raw.builtin_options_as_concatenation_options();
    let plain = options.is_some_and(|options| {
        options.axis() == 1 && options.fused_activation_function() == ActivationFunctionType::NONE
    });
    if !plain {
        return Err(unexpected(graph, operator));
    }
    let mut heads = Vec::new();
    for input in &operator.inputs {
        let (head, tensor) = walk(graph, input.ok_or("a head is missing")?, |_| Ok(false))?;
        if head.code != BuiltinOperator::CONV_2D {
            return Err(unexpected(graph, head));
        }
        heads.push(tensor);
    }
    Ok(Branch { heads, all: graph.quant(operator.output()?)?, scores })
}

/// The operator behind `tensor` that is neither a change of shape nor passed by `pass`, and the
/// tensor that it writes.
fn walk<'g, 'a>(
    graph: &'g Graph<'a>,
    mut tensor: usize,
    mut pass: impl FnMut(&Operator<'a>) -> Result<bool, Refusal>,
) -> Result<(&'g Operator<'a>, usize), Refusal> {
    // A file may go in circles; a path is no longer than the graph.
    for _ in 0..=graph.operators.len() {
        let writes = |operator: &&Operator<'_>| operator.outputs.contains(&tensor);
        let operator =
            graph.operators.iter().find(writes).ok_or_else(|| {
                format!("tensor '{}' is written by no operator", graph.name(tensor))
            })?;
        let reshapes = matches!(operator.code, BuiltinOperator::RESHAPE | BuiltinOperator::SQUEEZE);
        if reshapes {
            let (before, after) = (graph.quant(operator.input(0)?)?, graph.quant(tensor)?);
            if before != after {
                return Err(format!("{} changes the scale", graph.place(operator)));
            }
        } else if !pass(operator)? {
            return Ok((operator, tensor));
        }
        tensor = operator.input(0)?;
    }
    Err("goes in circles".into())
}

fn unexpected(graph: &Graph<'_>, operator: &Operator<'_>) -> Refusal {
    format!("{} is not supported there", graph.place(operator))
}

/// What the post-processing's options say, how overlaps are taken out, and classes in all.
fn options(graph: &Graph<'_>, post: &Operator<'_>) -> Result<(Options, Rules, u8), Refusal> {
    let bytes = post.raw.custom_options().map_or(&[][..], |options| options.bytes());
    let find = |key: &str| flex::number(bytes, key).filter(|value| value.is_finite());
    let need = |key: &str| {
        let within = find(key).filter(|value| (0.0..=1e6).contains(value));
        within.ok_or_else(|| format!("{POST_PROCESS} has no usable option {key}"))
    };
    #[expect(clippy::cast_possible_truncation, reason = "within 0..=1e6")]
    let real = |key| need(key).map(|value| value as f32);
    let scales = [real("y_scale")?, real("x_scale")?, real("h_scale")?, real("w_scale")?];
    if scales.contains(&0.0) {
        return Err(format!("{POST_PROCESS} has a scale of 0"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=255")]
    let count = Some(need("num_classes")?).filter(|count| *count <= 255.0).map(|count| count as u8);
    let count = count.filter(|count| *count > 0).ok_or("has more than 255 classes, or none")?;
    let [_, _, columns] = graph.sides(post.input(1)?)?;
    let background = columns.checked_sub(usize::from(count)).filter(|background| *background <= 1);
    let background = background
        .ok_or_else(|| format!("has {columns} columns of classes for {count} classes"))?;
    let many = find("use_regular_nms").is_some_and(|value| value != 0.0);
    if !many && find("max_classes_per_detection").is_some_and(|value| value > 1.0) {
        return Err(format!("{POST_PROCESS} wants more than one class a detection"));
    }
    let score_min = real("nms_score_threshold")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=1e6")]
    let most = need("max_detections")? as usize;
    let rules = Rules { iou: real("nms_iou_threshold")?, within_class: many, most };
    Ok((Options { scales, columns, background, score_min, many }, rules, count))
}

fn anchors(graph: &Graph<'_>, tensor: usize) -> Result<Box<[Anchor]>, Refusal> {
    let [count, four] = graph.sides(tensor)?;
    let too_many = count > usize::from(u16::MAX);
    if four != 4 || too_many {
        return Err(format!("its anchors are [{count}, {four}], [N, 4] is expected"));
    }
    let numbers: Vec<f32> = if graph.type_of(tensor)? == TensorType::FLOAT32 {
        let bytes = graph.constant(tensor, TensorType::FLOAT32, count * 4)?;
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    } else {
        let quant = graph.quant(tensor)?;
        let bytes = graph.constant(tensor, TensorType::UINT8, count * 4)?;
        bytes.iter().map(|stored| quant.real(*stored)).collect()
    };
    let anchor = |[y, x, h, w]: &[f32; 4]| Anchor { y: *y, x: *x, h: *h, w: *w };
    Ok(numbers.as_chunks().0.iter().map(anchor).collect())
}

/// Each pair of heads speaks of the same anchors, and all of all of them.
fn check_counts(
    graph: &Graph<'_>,
    heads: &[[usize; 2]],
    columns: usize,
    anchors: usize,
) -> Result<(), Refusal> {
    let mut sum = 0;
    for [boxes, classes] in heads {
        let (box_bytes, class_bytes) =
            (graph.shape(*boxes)?.count(), graph.shape(*classes)?.count());
        let count = box_bytes / 4;
        if box_bytes % 4 != 0 || count.checked_mul(columns) != Some(class_bytes) {
            let (boxes, classes) = (graph.name(*boxes), graph.name(*classes));
            return Err(format!("heads '{boxes}' and '{classes}' do not fit together"));
        }
        sum += count;
    }
    if sum == anchors {
        Ok(())
    } else {
        Err(format!("its heads have {sum} anchors, its anchor tensor {anchors}"))
    }
}

/// Lowers what the heads need, in the file's order.
fn plan(graph: &Graph<'_>, heads: &[[usize; 2]], target: Target) -> Result<Plan, Refusal> {
    let input = form(graph, graph.input)?;
    let [_, _, channels] = input.shape.as_picture().unwrap_or_default();
    if channels != 3 {
        return Err(format!("its input has {channels} channels, 3 are expected"));
    }
    let (mut builder, id) =
        Builder::new(target, input).map_err(|error| format!("its input cannot be: {error}"))?;
    let mut known = vec![None; graph.tensor_count()];
    set(&mut known, graph.input, id);
    let needed = needed(graph, heads)?;
    for (operator, _) in graph.operators.iter().zip(needed).filter(|(_, needed)| *needed) {
        let place = |refusal| format!("{}: {refusal}", graph.place(operator));
        let result = step(graph, operator, &known, &mut builder).map_err(place)?;
        set(&mut known, operator.output()?, result);
    }
    let mut outputs = Vec::new();
    for head in heads.as_flattened() {
        outputs.push(get(&known, *head).ok_or("a head is not reached from the input")?);
    }
    builder.finish(&outputs).map_err(|error| format!("cannot be run here: {error}"))
}

fn set(known: &mut [Option<TensorId>], tensor: usize, id: TensorId) {
    if let Some(slot) = known.get_mut(tensor) {
        *slot = Some(id);
    }
}

fn get(known: &[Option<TensorId>], tensor: usize) -> Option<TensorId> {
    known.get(tensor).copied().flatten()
}

/// Which operators lie between the input and the heads.
fn needed(graph: &Graph<'_>, heads: &[[usize; 2]]) -> Result<Vec<bool>, Refusal> {
    let mut wanted = vec![false; graph.tensor_count()];
    for head in heads.as_flattened() {
        if let Some(slot) = wanted.get_mut(*head) {
            *slot = true;
        }
    }
    let mut needed = Vec::new();
    for operator in graph.operators.iter().rev() {
        let wants = |tensor: &usize| wanted.get(*tensor).copied().unwrap_or(false);
        let need = operator.outputs.iter().any(wants);
        if need {
            for input in operator.inputs.iter().flatten() {
                if let Some(slot) = wanted.get_mut(*input) {
                    *slot = true;
                }
            }
            if !matches!(
                operator.code,
                BuiltinOperator::CONV_2D | BuiltinOperator::DEPTHWISE_CONV_2D
            ) {
                return Err(format!("{} is not supported", graph.place(operator)));
            }
        }
        needed.push(need);
    }
    needed.reverse();
    Ok(needed)
}

fn step(
    graph: &Graph<'_>,
    operator: &Operator<'_>,
    known: &[Option<TensorId>],
    builder: &mut Builder,
) -> Result<TensorId, Refusal> {
    let input = operator.input(0)?;
    let id = get(known, input)
        .ok_or_else(|| format!("reads '{}' before it is written", graph.name(input)))?;
    let output = operator.output()?;
    if get(known, output).is_some() {
        return Err("writes what is written already".into());
    }
    let [_, _, channels] = builder.form(id).shape.as_picture().unwrap_or_default();
    let output = form(graph, output)?;
    let add = |op: &Op<'_>| {
        builder.add(op, &[id], output).map_err(|error| match error {
            edge_infer::Error::Shape(_) => format!("{error}, the file says {}", output.shape),
            error => error.to_string(),
        })
    };
    if operator.code == BuiltinOperator::CONV_2D {
        conv(graph, operator, channels, add)
    } else {
        depthwise(graph, operator, channels, add)
    }
}

fn form(graph: &Graph<'_>, tensor: usize) -> Result<Tensor, Refusal> {
    Ok(Tensor { shape: graph.shape(tensor)?, element: Element::U8(graph.quant(tensor)?) })
}

type Added = Result<TensorId, Refusal>;

fn conv(
    graph: &Graph<'_>,
    operator: &Operator<'_>,
    channels: usize,
    add: impl FnOnce(&Op<'_>) -> Added,
) -> Added {
    let options = operator.raw.builtin_options_as_conv_2_doptions().ok_or("has no options")?;
    let [out, rows, columns, per_output] = graph.sides(operator.input(1)?)?;
    if per_output != channels {
        return Err(format!("has weights for {per_output} channels, its input has {channels}"));
    }
    let dilation = [options.dilation_h_factor(), options.dilation_w_factor()];
    let stride = [options.stride_h(), options.stride_w()];
    let (stored, quant) = weights(graph, operator, [out, rows, columns, per_output])?;
    add(&Op::Conv(Conv {
        window: window([rows, columns], stride, dilation, options.padding())?,
        weights: Weights {
            stored: &stored,
            zero_point: less_128(quant.zero_point),
            scales: &vec![quant.scale; out],
        },
        bias: &bias(graph, operator, out)?,
        activation: activation(options.fused_activation_function())?,
    }))
}

fn depthwise(
    graph: &Graph<'_>,
    operator: &Operator<'_>,
    channels: usize,
    add: impl FnOnce(&Op<'_>) -> Added,
) -> Added {
    let options =
        operator.raw.builtin_options_as_depthwise_conv_2_doptions().ok_or("has no options")?;
    let [one, rows, columns, out] = graph.sides(operator.input(1)?)?;
    if one != 1 || out != channels {
        return Err(format!("has weights [{one}, .., {out}], [1, .., {channels}] is expected"));
    }
    let dilation = [options.dilation_h_factor(), options.dilation_w_factor()];
    let stride = [options.stride_h(), options.stride_w()];
    let (stored, quant) = weights(graph, operator, [one, rows, columns, out])?;
    add(&Op::Depthwise(Depthwise {
        window: window([rows, columns], stride, dilation, options.padding())?,
        weights: Weights {
            stored: &stored,
            zero_point: less_128(quant.zero_point),
            scales: &vec![quant.scale; out],
        },
        bias: &bias(graph, operator, out)?,
        activation: activation(options.fused_activation_function())?,
    }))
}

/// `uint8` as the same step of `int8`.
fn less_128(stored: u8) -> i8 {
    (stored ^ 0x80).cast_signed()
}

fn window(
    kernel: [usize; 2],
    stride: [i32; 2],
    dilation: [i32; 2],
    padding: tflite::Padding,
) -> Result<Window, Refusal> {
    let padding = match padding {
        tflite::Padding::SAME => Padding::Same,
        tflite::Padding::VALID => Padding::Valid,
        other => return Err(format!("padding {} is not supported", other.0)),
    };
    // What is negative becomes 0, which is refused with the window.
    let whole = |pair: [i32; 2]| pair.map(|side| usize::try_from(side).unwrap_or(0));
    let (stride, dilation) = (whole(stride), whole(dilation));
    Ok(Window { kernel, stride, dilation, padding })
}

fn activation(function: ActivationFunctionType) -> Result<Activation, Refusal> {
    match function {
        ActivationFunctionType::NONE => Ok(Activation::None),
        ActivationFunctionType::RELU => Ok(Activation::Relu),
        ActivationFunctionType::RELU6 => Ok(Activation::Relu6),
        other => {
            let name = other.variant_name().unwrap_or("of an unknown kind");
            Err(format!("activation {name} is not supported"))
        }
    }
}

/// Weights as `int8`, and what their bytes mean.
fn weights(
    graph: &Graph<'_>,
    operator: &Operator<'_>,
    sides: [usize; 4],
) -> Result<(Vec<i8>, Quant), Refusal> {
    let tensor = operator.input(1)?;
    let quant = graph.quant(tensor)?;
    let count = sides.into_iter().try_fold(1_usize, usize::checked_mul);
    let count = count.ok_or("its weights are too large")?;
    let bytes = graph.constant(tensor, TensorType::UINT8, count)?;
    Ok((bytes.iter().map(|stored| less_128(*stored)).collect(), quant))
}

/// The bias; zeros where the file has none.
fn bias(graph: &Graph<'_>, operator: &Operator<'_>, count: usize) -> Result<Vec<i32>, Refusal> {
    let Ok(tensor) = operator.input(2) else { return Ok(vec![0; count]) };
    let bytes = graph.constant(tensor, TensorType::INT32, count)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect())
}
