//! What tract is given: operators that it reads, whose results are what the file says they are.
//!
//! tract believes the numbers of a file and works with unsafe code of its own: none goes there
//! whose shapes, windows and lists were not worked out here.

#![deny(clippy::indexing_slicing)]

use crate::model::graph::{Graph, Operator, Refusal};
use crate::model::lower::{Slide, alone, axis, filter, is_weighted};
use edge_infer::{RANK_MAX, Shape};
use tract_tflite::tflite::{BuiltinOperator, Padding, TensorType};

/// Longest side, kernel, stride or dilation.
const SIDE_MAX: usize = 1 << 14;

pub(super) fn is_known(code: BuiltinOperator) -> bool {
    is_one_operand(code)
        || is_two_operands(code)
        || is_weighted(code)
        || is_folding(code)
        || is_moving(code)
        || is_window(code)
}

fn is_one_operand(code: BuiltinOperator) -> bool {
    use BuiltinOperator as B;
    matches!(
        code,
        B::ABS
            | B::CEIL
            | B::COS
            | B::EXP
            | B::FLOOR
            | B::LOG
            | B::SIN
            | B::SQRT
            | B::SQUARE
            | B::RSQRT
            | B::TANH
            | B::RELU
            | B::RELU6
            | B::LEAKY_RELU
            | B::LOGISTIC
            | B::HARD_SWISH
            | B::SOFTMAX
    )
}

fn is_two_operands(code: BuiltinOperator) -> bool {
    use BuiltinOperator as B;
    matches!(code, B::ADD | B::SUB | B::MUL | B::DIV | B::MAXIMUM | B::MINIMUM)
}

fn is_folding(code: BuiltinOperator) -> bool {
    use BuiltinOperator as B;
    matches!(code, B::MEAN | B::SUM | B::REDUCE_MAX | B::REDUCE_MIN | B::REDUCE_PROD)
}

/// Those that our own lowering checks, whatever it is that they move.
fn is_moving(code: BuiltinOperator) -> bool {
    use BuiltinOperator as B;
    matches!(
        code,
        B::CONCATENATION
            | B::RESHAPE
            | B::SQUEEZE
            | B::EXPAND_DIMS
            | B::SLICE
            | B::STRIDED_SLICE
            | B::TRANSPOSE
            | B::PAD
    )
}

fn is_window(code: BuiltinOperator) -> bool {
    use BuiltinOperator as B;
    matches!(
        code,
        B::AVERAGE_POOL_2D | B::MAX_POOL_2D | B::RESIZE_BILINEAR | B::RESIZE_NEAREST_NEIGHBOR
    )
}

/// Refuses what tract would stumble over, or be led astray by.
pub(super) fn check(graph: &Graph<'_>, operator: &Operator<'_>) -> Result<(), Refusal> {
    use {BuiltinOperator as B, TensorType as T};
    let mut computed = false;
    for place in 0..operator.inputs.len() {
        computed |= !graph.is_constant(operator.input(place)?)?;
    }
    if !computed {
        return Err("reads constants alone, which is not supported there".into());
    }
    for tensor in operator.inputs.iter().flatten().chain(&operator.outputs) {
        if !matches!(graph.type_of(*tensor)?, T::FLOAT32 | T::INT32 | T::INT64 | T::BOOL) {
            return Err(format!("tensor '{}' is none of real numbers", graph.name(*tensor)));
        }
    }
    let input = graph.form(operator.input(0)?)?.shape;
    let expect = match operator.code {
        code if is_moving(code) => return alone(graph, operator),
        code if is_one_operand(code) => input,
        code if is_two_operands(code) => broadcast(&input, &graph.form(operator.input(1)?)?.shape)?,
        code if is_folding(code) => folded(graph, operator, input.sides())?,
        B::FULLY_CONNECTED => connected(graph, operator, input.sides())?,
        B::RESIZE_BILINEAR | B::RESIZE_NEAREST_NEIGHBOR => resized(graph, operator, &input)?,
        _ => windowed(graph, operator, &input)?,
    };
    let said = graph.form(operator.output()?)?.shape;
    if said == expect { Ok(()) } else { Err(format!("comes to {expect}, the file says {said}")) }
}

fn shape(sides: &[usize]) -> Result<Shape, Refusal> {
    Shape::new(sides).map_err(|error| error.to_string())
}

fn broadcast(a: &Shape, b: &Shape) -> Result<Shape, Refusal> {
    let mut sides = [1; RANK_MAX];
    for ((side, a), b) in sides.iter_mut().zip(a.aligned()).zip(b.aligned()) {
        *side = match (a, b) {
            (1, other) | (other, 1) => other,
            (a, b) if a == b => a,
            _ => return Err("its inputs do not fit each other".into()),
        };
    }
    let rank = a.sides().len().max(b.sides().len());
    shape(sides.get(RANK_MAX - rank..).unwrap_or_default())
}

fn folded(graph: &Graph<'_>, operator: &Operator<'_>, sides: &[usize]) -> Result<Shape, Refusal> {
    let axes = graph.integers(operator.input(1)?)?;
    let axes = axes.iter().map(|it| axis(*it, sides.len())).collect::<Result<Vec<_>, _>>()?;
    let options = operator.raw.builtin_options_as_reducer_options().ok_or("has no options")?;
    let left = sides.iter().enumerate().filter_map(|(at, side)| match axes.contains(&at) {
        true if options.keep_dims() => Some(1),
        true => None,
        false => Some(*side),
    });
    shape(&left.collect::<Vec<_>>())
}

fn connected(
    graph: &Graph<'_>,
    operator: &Operator<'_>,
    sides: &[usize],
) -> Result<Shape, Refusal> {
    let [out, depth] = graph.all_sides(operator.input(1)?)?;
    let bias: [usize; 1] = graph.all_sides(operator.input(2)?)?;
    match *sides {
        [rows, columns] if columns == depth && bias == [out] => shape(&[rows, out]),
        _ => Err("its inputs do not fit each other".into()),
    }
}

fn resized(graph: &Graph<'_>, operator: &Operator<'_>, input: &Shape) -> Result<Shape, Refusal> {
    let size = graph.integers(operator.input(1)?)?;
    let size = size.into_iter().map(|it| usize::try_from(it).ok()).collect::<Option<Vec<_>>>();
    let [_, _, channels] = input.as_picture().map_err(|error| error.to_string())?;
    match size.as_deref() {
        Some([rows, columns]) => shape(&[1, *rows, *columns, channels]),
        _ => Err("has no size".into()),
    }
}

/// Convolutions and pools.
fn windowed(graph: &Graph<'_>, operator: &Operator<'_>, input: &Shape) -> Result<Shape, Refusal> {
    let [rows, columns, channels] = input.as_picture().map_err(|error| error.to_string())?;
    let Slide { stride, dilation, padding, .. } = Slide::of(operator)?;
    let (kernel, out) = match operator.code {
        BuiltinOperator::CONV_2D => {
            let [out, rows, columns, depth] = graph.all_sides(operator.input(1)?)?;
            ([rows, columns], if depth == channels { out } else { 0 })
        }
        BuiltinOperator::DEPTHWISE_CONV_2D => {
            // One output a channel is all that tract reads.
            let [one, rows, columns, out] = graph.all_sides(operator.input(1)?)?;
            ([rows, columns], if one == 1 && out == channels { out } else { 0 })
        }
        _ => (filter(operator).ok_or("has no options")?, channels),
    };
    let side = |at: usize, input| {
        let lengths = [kernel, stride, dilation].map(|it| it.get(at).copied().unwrap_or(0));
        slid(input, lengths, padding).ok_or("kernel, stride and input do not fit together")
    };
    if out == 0 {
        return Err("has weights for other channels than its input has".into());
    }
    shape(&[1, side(0, rows)?, side(1, columns)?, out])
}

/// Places of a window along one side; none where it is larger than what it slides over.
fn slid(input: usize, lengths: [usize; 3], padding: Padding) -> Option<usize> {
    let [kernel, stride, dilation] = lengths;
    if !lengths.iter().all(|length| (1..=SIDE_MAX).contains(length)) || input > SIDE_MAX {
        return None;
    }
    let reach = (kernel - 1) * dilation + 1;
    match padding {
        Padding::SAME if reach <= 2 * input + 1 => Some(input.div_ceil(stride)),
        Padding::VALID if reach <= input => Some((input - reach) / stride + 1),
        _ => None,
    }
}
