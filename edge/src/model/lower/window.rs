//! Pools and sizes: operators that look at a picture through a window.

#![deny(clippy::indexing_slicing)]

use super::{Step, activation};
use crate::model::graph::{Operator, Refusal};
use edge_infer::{Activation, Corners, Op, Padding, Resize, Window};
use tract_tflite::tflite::{self, ActivationFunctionType, BuiltinOperator};

impl Step<'_, '_, '_> {
    pub(super) fn pooled(&mut self) -> Result<(), Refusal> {
        let kernel = filter(self.operator).ok_or("has no options")?;
        let (window, activation) = self.slid(kernel)?;
        let op = match self.operator.code {
            BuiltinOperator::AVERAGE_POOL_2D => Op::AveragePool(window, activation),
            _ => Op::MaxPool(window, activation),
        };
        let input = self.read(0)?;
        self.add(&op, &[input])
    }

    pub(super) fn resized(&mut self) -> Result<(), Refusal> {
        let raw = &self.operator.raw;
        let nearest = raw
            .builtin_options_as_resize_nearest_neighbor_options()
            .map(|it| (it.align_corners(), it.half_pixel_centers()));
        let bilinear = raw
            .builtin_options_as_resize_bilinear_options()
            .map(|it| (it.align_corners(), it.half_pixel_centers()));
        let (aligned, centers) = nearest.or(bilinear).unwrap_or_default();
        let corners = match (aligned, centers) {
            (false, false) => Corners::Edges,
            (true, false) => Corners::Aligned,
            (false, true) => Corners::Centers,
            (true, true) => return Err("aligns both corners and centers".into()),
        };
        let size = self.sizes(1)?;
        let ([high, wide], output) = (size.as_slice(), self.output()?) else {
            return Err(format!("has a size of {} numbers, two are expected", size.len()));
        };
        let [rows, columns, channels] = output.shape.as_picture().map_err(|it| it.to_string())?;
        if [rows, columns] != [*high, *wide] {
            self.expect(&[1, *high, *wide, channels])?;
        }
        let resize = match self.operator.code {
            BuiltinOperator::RESIZE_BILINEAR => Resize::Bilinear,
            _ => Resize::Nearest,
        };
        let input = self.read(0)?;
        self.add(&Op::Resize(resize, corners), &[input])
    }
}

/// How an operator slides over a picture, as its options say it.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct Slide {
    pub(in crate::model) stride: [usize; 2],
    pub(in crate::model) dilation: [usize; 2],
    pub(in crate::model) padding: tflite::Padding,
    activation: ActivationFunctionType,
}

impl Slide {
    /// A convolution's or a pool's.
    pub(in crate::model) fn of(operator: &Operator<'_>) -> Result<Self, Refusal> {
        let raw = &operator.raw;
        // Two kinds of options that share the names of their fields, and no more.
        macro_rules! conv {
            ($options:expr) => {
                $options.map(|it| Self {
                    stride: pair(it.stride_h(), it.stride_w()),
                    dilation: pair(it.dilation_h_factor(), it.dilation_w_factor()),
                    padding: it.padding(),
                    activation: it.fused_activation_function(),
                })
            };
        }
        let slide = match operator.code {
            BuiltinOperator::CONV_2D => conv!(raw.builtin_options_as_conv_2_doptions()),
            BuiltinOperator::DEPTHWISE_CONV_2D => {
                conv!(raw.builtin_options_as_depthwise_conv_2_doptions())
            }
            _ => raw.builtin_options_as_pool_2_doptions().map(|it| Self {
                stride: pair(it.stride_h(), it.stride_w()),
                dilation: [1; 2],
                padding: it.padding(),
                activation: it.fused_activation_function(),
            }),
        };
        slide.ok_or_else(|| "has no options".into())
    }
}

impl Step<'_, '_, '_> {
    /// The window of an operator that slides a kernel, and what follows.
    pub(super) fn slid(&self, kernel: [usize; 2]) -> Result<(Window, Activation), Refusal> {
        let Slide { stride, dilation, padding, activation: function } = Slide::of(self.operator)?;
        let padding = match padding {
            tflite::Padding::SAME => Padding::Same,
            tflite::Padding::VALID => Padding::Valid,
            other => return Err(format!("padding {} is not supported", other.0)),
        };
        Ok((Window { kernel, stride, dilation, padding }, activation(function)?))
    }
}

/// The kernel of a pool.
pub(in crate::model) fn filter(operator: &Operator<'_>) -> Option<[usize; 2]> {
    let options = operator.raw.builtin_options_as_pool_2_doptions()?;
    Some(pair(options.filter_height(), options.filter_width()))
}

/// Rows and columns; what is negative becomes 0, which is refused with the window.
fn pair(rows: i32, columns: i32) -> [usize; 2] {
    [rows, columns].map(|side| usize::try_from(side).unwrap_or(0))
}
