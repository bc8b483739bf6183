//! `CONV_2D`, `DEPTHWISE_CONV_2D` and `FULLY_CONNECTED`: operators with weights.

#![deny(clippy::indexing_slicing)]

use super::{ROW, Step, activation};
use crate::model::graph::Refusal;
use edge_infer::{Conv, Depthwise, Element, FullyConnected, Op, TensorId, Weights};
use tract_tflite::tflite::{BuiltinOperator, FullyConnectedOptionsWeightsFormat, TensorType};

/// What an operator with weights reads beside its input.
#[derive(Debug)]
struct Constants {
    /// As `int8`: `uint8` less 128.
    weights: Vec<i8>,
    zero_point: i8,
    scales: Vec<f32>,
    bias: Vec<i32>,
}

impl Constants {
    fn weights(&self) -> Weights<'_> {
        let Self { weights, zero_point, scales, .. } = self;
        Weights { stored: weights, zero_point: *zero_point, scales }
    }
}

impl Step<'_, '_, '_> {
    pub(super) fn weighted(&mut self) -> Result<(), Refusal> {
        let input = self.read(0)?;
        if !matches!(self.form(input)?.element, Element::U8(_) | Element::I8(_)) {
            return Err("elements of this type are not supported there".into());
        }
        match self.operator.code {
            BuiltinOperator::CONV_2D => self.conv(input),
            BuiltinOperator::DEPTHWISE_CONV_2D => self.depthwise(input),
            _ => self.fully_connected(input),
        }
    }

    fn conv(&mut self, input: TensorId) -> Result<(), Refusal> {
        let [out, rows, columns, per_output] = self.graph.all_sides(self.operator.input(1)?)?;
        let channels = self.form(input)?.shape.sides().last().copied().unwrap_or(0);
        if per_output != channels {
            return Err(format!("has weights for {per_output} channels, its input has {channels}"));
        }
        let constants = self.constants(0, out, [out, rows, columns, per_output])?;
        let (window, activation) = self.slid([rows, columns])?;
        let (weights, bias) = (constants.weights(), &*constants.bias);
        self.add(&Op::Conv(Conv { window, weights, bias, activation }), &[input])
    }

    fn depthwise(&mut self, input: TensorId) -> Result<(), Refusal> {
        let [one, rows, columns, out] = self.graph.all_sides(self.operator.input(1)?)?;
        let channels = self.form(input)?.shape.sides().last().copied().unwrap_or(0);
        if one != 1 || out == 0 || channels == 0 || !out.is_multiple_of(channels) {
            return Err(format!(
                "has weights [{one}, .., {out}], [1, .., n * {channels}] is expected"
            ));
        }
        let constants = self.constants(3, out, [one, rows, columns, out])?;
        let (window, activation) = self.slid([rows, columns])?;
        let (weights, bias) = (constants.weights(), &*constants.bias);
        self.add(&Op::Depthwise(Depthwise { window, weights, bias, activation }), &[input])
    }

    fn fully_connected(&mut self, input: TensorId) -> Result<(), Refusal> {
        let options = self.operator.raw.builtin_options_as_fully_connected_options();
        let options = options.ok_or("has no options")?;
        if options.weights_format() != FullyConnectedOptionsWeightsFormat::DEFAULT {
            return Err("has shuffled weights, which are not supported".into());
        }
        let [out, depth] = self.graph.all_sides(self.operator.input(1)?)?;
        let shape = self.form(input)?.shape;
        let rows = shape.count().checked_div(depth).unwrap_or(0);
        if depth == 0 || rows * depth != shape.count() {
            return Err(format!("has weights for rows of {depth}, its input is {shape}"));
        }
        match shape.sides().split_last() {
            Some((last, outer)) if options.keep_num_dims() => {
                if *last != depth {
                    return Err(format!("has weights for rows of {depth}, its input is {shape}"));
                }
                self.expect(&[outer, &[out]].concat())?;
            }
            _ => self.expect(&[rows, out])?,
        }
        let constants = self.constants(0, out, [out, 1, 1, depth])?;
        let activation = activation(options.fused_activation_function())?;
        let (weights, bias) = (constants.weights(), &*constants.bias);
        self.add(&Op::FullyConnected(FullyConnected { weights, bias, activation }), &[input])
    }

    /// Weights with `channels` along axis `axis`, and their bias; zeros where the file has none.
    fn constants(
        &mut self,
        axis: usize,
        channels: usize,
        sides: [usize; 4],
    ) -> Result<Constants, Refusal> {
        let tensor = self.operator.input(1)?;
        let input = self.graph.type_of(self.operator.input(0)?)?;
        let count = sides.into_iter().try_fold(1_usize, usize::checked_mul);
        let count = count.filter(|count| *count > 0).ok_or("has weights without values")?;
        let bytes = self.graph.constant(tensor, input, count)?;
        let row = (count / channels).next_multiple_of(ROW);
        self.lowering.spend(row.saturating_mul(channels))?;
        let (scales, zero_point) = self.graph.scales(tensor, axis, channels)?;
        let excess = if input == TensorType::UINT8 { 0x80 } else { 0 };
        let weights = bytes.iter().map(|stored| (stored ^ excess).cast_signed()).collect();
        Ok(Constants { weights, zero_point, scales, bias: self.bias(channels)? })
    }

    fn bias(&self, count: usize) -> Result<Vec<i32>, Refusal> {
        let Ok(tensor) = self.operator.input(2) else { return Ok(vec![0; count]) };
        let bytes = self.graph.constant(tensor, TensorType::INT32, count)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect())
    }
}
