//! Pools and sizes: operators that look at a picture through a window.

#![deny(clippy::indexing_slicing)]

use super::{Step, activation};
use crate::model::graph::Refusal;
use edge_infer::{Corners, Op, Padding, Resize, Window};
use tract_tflite::tflite::{self, BuiltinOperator};

impl Step<'_, '_, '_> {
    pub(super) fn pooled(&mut self) -> Result<(), Refusal> {
        let options = self.operator.raw.builtin_options_as_pool_2_doptions();
        let options = options.ok_or("has no options")?;
        let window = window(
            pair(options.filter_height(), options.filter_width()),
            pair(options.stride_h(), options.stride_w()),
            [1; 2],
            options.padding(),
        )?;
        let activation = activation(options.fused_activation_function())?;
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

/// Rows and columns; what is negative becomes 0, which is refused with the window.
pub(super) fn pair(rows: i32, columns: i32) -> [usize; 2] {
    [rows, columns].map(|side| usize::try_from(side).unwrap_or(0))
}

pub(super) fn window(
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: tflite::Padding,
) -> Result<Window, Refusal> {
    let padding = match padding {
        tflite::Padding::SAME => Padding::Same,
        tflite::Padding::VALID => Padding::Valid,
        other => return Err(format!("padding {} is not supported", other.0)),
    };
    Ok(Window { kernel, stride, dilation, padding })
}
