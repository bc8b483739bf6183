//! Operators that take tensors element by element.

#![deny(clippy::indexing_slicing)]

use super::{Step, activation};
use crate::model::graph::Refusal;
use edge_infer::{Activation, Arithmetic, Op, Pointwise};
use tract_tflite::tflite::{ActivationFunctionType, BuiltinOperator};

impl Step<'_, '_, '_> {
    pub(super) fn element_by_element(&mut self) -> Result<(), Refusal> {
        use BuiltinOperator as B;
        let inputs = self.read_all()?;
        let op = match self.operator.code {
            B::ADD => Op::Arithmetic(Arithmetic::Add, self.fused()?),
            B::SUB => Op::Arithmetic(Arithmetic::Sub, self.fused()?),
            B::MUL => Op::Arithmetic(Arithmetic::Mul, self.fused()?),
            B::DIV => Op::Arithmetic(Arithmetic::Div, self.fused()?),
            B::FLOOR_DIV => Op::Arithmetic(Arithmetic::FloorDiv, Activation::None),
            B::RELU => Op::Pointwise(Pointwise::Relu),
            B::RELU6 => Op::Pointwise(Pointwise::Relu6),
            B::LOGISTIC => Op::Pointwise(Pointwise::Logistic),
            B::HARD_SWISH => Op::Pointwise(Pointwise::HardSwish),
            B::SQRT => Op::Pointwise(Pointwise::Sqrt),
            B::QUANTIZE | B::DEQUANTIZE => Op::Requantize,
            B::CAST => Op::Cast,
            B::SOFTMAX => {
                let options = self.operator.raw.builtin_options_as_softmax_options();
                Op::Softmax { beta: options.ok_or("has no options")?.beta() }
            }
            _ => return Err("is not supported".into()),
        };
        self.add(&op, &inputs)
    }

    /// The activation of an operator with two operands; without options there is none.
    fn fused(&self) -> Result<Activation, Refusal> {
        let raw = &self.operator.raw;
        let add = raw.builtin_options_as_add_options().map(|it| it.fused_activation_function());
        let sub = raw.builtin_options_as_sub_options().map(|it| it.fused_activation_function());
        let mul = raw.builtin_options_as_mul_options().map(|it| it.fused_activation_function());
        let div = raw.builtin_options_as_div_options().map(|it| it.fused_activation_function());
        activation(add.or(sub).or(mul).or(div).unwrap_or(ActivationFunctionType::NONE))
    }
}
