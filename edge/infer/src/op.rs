//! The operators of a plan, as the file describes them.
//!
//! Shapes of results stand in the output tensor that comes with each; what can be told from
//! the shapes alone (an amount of padding behind, the end of a slice) is not said twice.
//! RESHAPE and SQUEEZE are [`crate::Builder::view`]; SPLIT and UNPACK are slices, PACK is a
//! concatenation of views.

use crate::conv::{Conv, FullyConnected};
use crate::depthwise::Depthwise;
use crate::requant::Activation;
use crate::window::Window;

/// One step of a graph.
#[derive(Debug, Clone, Copy)]
pub enum Op<'a> {
    /// `CONV_2D`: one picture.
    Conv(Conv<'a>),
    /// `DEPTHWISE_CONV_2D`: one picture.
    Depthwise(Depthwise<'a>),
    /// `FULLY_CONNECTED`: one tensor, read as rows of the weights' length.
    FullyConnected(FullyConnected<'a>),
    /// `ADD`, `SUB`, `MUL`, `DIV`, `FLOOR_DIV`: two tensors, broadcast.
    Arithmetic(Arithmetic, Activation),
    /// A function of each element alone.
    Pointwise(Pointwise),
    /// `QUANTIZE` and `DEQUANTIZE`: the same numbers in the output's elements.
    Requantize,
    /// `CAST`: the same values, not scaled.
    Cast,
    /// `SOFTMAX` over the last axis.
    Softmax {
        /// What the values are multiplied with before they become exponents.
        beta: f32,
    },
    /// `CONCATENATION` along an axis, rescaling inputs to the output's scale.
    Concatenation {
        /// Counted from the outermost.
        axis: usize,
    },
    /// `AVERAGE_POOL_2D`: one picture.
    AveragePool(Window, Activation),
    /// `MAX_POOL_2D`: one picture.
    MaxPool(Window, Activation),
    /// `MEAN` over some axes.
    Mean {
        /// Counted from the outermost.
        axes: &'a [usize],
    },
    /// `PAD` with the value that means 0.
    Pad {
        /// Values in front, for each axis.
        before: &'a [usize],
    },
    /// `STRIDED_SLICE` and its kin; an axis that the output drops has length 1 here.
    Slice {
        /// The first value of each axis.
        begin: &'a [usize],
        /// From one value to the next, for each axis; not 0.
        stride: &'a [isize],
        /// Values taken of each axis; their product is the output's count.
        length: &'a [usize],
    },
    /// `TRANSPOSE`: output axis `n` is input axis `order[n]`.
    Transpose {
        /// Each axis once.
        order: &'a [usize],
    },
    /// `RESIZE_NEAREST_NEIGHBOR` and `RESIZE_BILINEAR`: one picture.
    Resize(Resize, Corners),
    /// `ARG_MAX` along an axis: the first of the largest, as `i32`.
    ArgMax {
        /// Counted from the outermost.
        axis: usize,
    },
    /// `GATHER_ND`: a tensor, and `i32` positions in its first axes.
    GatherNd,
}

/// Two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// The sum.
    Add,
    /// The first less the second.
    Sub,
    /// The product.
    Mul,
    /// The quotient.
    Div,
    /// The quotient, rounded down.
    FloorDiv,
}

/// One operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointwise {
    /// `RELU`.
    Relu,
    /// `RELU6`.
    Relu6,
    /// `LOGISTIC`: `1 / (1 + exp(-x))`.
    Logistic,
    /// `HARD_SWISH`: `x * min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// `SQRT`.
    Sqrt,
}

/// Where a picture's new values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// The nearest pixel.
    Nearest,
    /// The four around, weighted.
    Bilinear,
}

/// How the pixels of a resized picture lie over the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corners {
    /// `old = new * old_size / new_size`.
    Edges,
    /// TFLite's `align_corners`: the outermost pixels lie on each other.
    Aligned,
    /// TFLite's `half_pixel_centers`.
    Centers,
}
