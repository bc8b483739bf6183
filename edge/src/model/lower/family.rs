//! The operators that there is a way to lower: each is named here, with how that is done.

#![deny(clippy::indexing_slicing)]

use tract_tflite::tflite::BuiltinOperator;

/// Operators that one function lowers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Weighted,
    ElementByElement,
    Joined,
    Parted,
    Renamed,
    Moved,
    Pooled,
    Resized,
    Reduced,
}

/// What an operator takes the stored bytes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// For numbers: it has to know their scales.
    Numbers,
    /// For bytes, which it only moves, so that it matters not what they mean.
    Bytes,
}

impl Family {
    /// An operator's; `None` where there is no way to lower it.
    pub(super) fn of(code: BuiltinOperator) -> Option<(Self, Takes)> {
        use BuiltinOperator as B;
        use Takes::{Bytes, Numbers};
        Some(match code {
            B::CONV_2D | B::DEPTHWISE_CONV_2D | B::FULLY_CONNECTED => (Self::Weighted, Numbers),
            B::ADD
            | B::SUB
            | B::MUL
            | B::DIV
            | B::FLOOR_DIV
            | B::RELU
            | B::RELU6
            | B::LOGISTIC
            | B::HARD_SWISH
            | B::SQRT
            | B::SOFTMAX
            | B::QUANTIZE
            | B::DEQUANTIZE => (Self::ElementByElement, Numbers),
            B::CAST => (Self::ElementByElement, Bytes),
            B::CONCATENATION | B::PACK => (Self::Joined, Bytes),
            B::UNPACK | B::SPLIT | B::SPLIT_V | B::SLICE | B::STRIDED_SLICE => {
                (Self::Parted, Bytes)
            }
            B::RESHAPE | B::SQUEEZE | B::EXPAND_DIMS => (Self::Renamed, Bytes),
            B::PAD => (Self::Moved, Numbers),
            B::TRANSPOSE | B::GATHER_ND => (Self::Moved, Bytes),
            B::AVERAGE_POOL_2D | B::MAX_POOL_2D => (Self::Pooled, Numbers),
            B::RESIZE_BILINEAR => (Self::Resized, Numbers),
            B::RESIZE_NEAREST_NEIGHBOR => (Self::Resized, Bytes),
            B::MEAN => (Self::Reduced, Numbers),
            B::ARG_MAX => (Self::Reduced, Bytes),
            _ => return None,
        })
    }
}
