//! Why a graph cannot become a plan.

use crate::tensor::Shape;

/// What was wrong with a step; the caller knows which one it was adding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Weights, bias or scales do not have the length that the shapes ask for.
    Lengths,
    /// A scale is not a positive finite number.
    Scale,
    /// A kernel or a stride is 0, or the kernel is larger than the padded input.
    Window,
    /// A side is 0.
    Empty,
    /// A tensor has more sides than there may be, or another number than the step wants.
    Rank,
    /// The step wants one picture, `[1, rows, columns, channels]`.
    NoPicture,
    /// The step does not work on elements of this type.
    Element,
    /// The step moves values as they are, but its output is quantized another way.
    Requantized,
    /// A tensor of another graph.
    Unknown,
    /// The step wants another number of inputs.
    Inputs,
    /// An axis, a start or an order is outside the tensor.
    Axis,
    /// The inputs do not fit each other.
    Mismatch,
    /// The result has another shape than the output: this one.
    Shape(Shape),
    /// An output is a constant.
    Constant,
    /// Sums could leave 32 bits.
    Overflow,
    /// The graph asks for more memory or more work than this crate grants.
    TooLarge,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Lengths => "weights, bias or scales do not fit the shapes",
            Self::Scale => "a scale is not a positive number",
            Self::Window => "kernel, stride and input do not fit together",
            Self::Empty => "a tensor has a side of 0",
            Self::Rank => "a tensor has too many sides, or too few",
            Self::NoPicture => "a tensor is not one picture, [1, rows, columns, channels]",
            Self::Element => "elements of this type are not supported there",
            Self::Requantized => "its output is not quantized as its input is",
            Self::Unknown => "a tensor is not of this graph",
            Self::Inputs => "it has another number of inputs than it should",
            Self::Axis => "an axis or a position lies outside the tensor",
            Self::Mismatch => "its inputs do not fit each other",
            Self::Shape(shape) => return write!(f, "comes to {shape}"),
            Self::Constant => "an output is a constant",
            Self::Overflow => "the sums could leave 32 bits",
            Self::TooLarge => "it is too large",
        })
    }
}

impl core::error::Error for Error {}
