//! Operators that take one byte to one value, run at load over all bytes: a table.

#![deny(clippy::indexing_slicing)]

use super::shape;
use crate::model::graph::{Graph, Operator, Refusal};
use edge_infer::{Alone, Builder, Isa, Op, Pointwise, Target, Tensor};
use tract_tflite::tflite::BuiltinOperator;

/// Whether an operator takes each byte for itself, wherever it stands, to one other value.
pub(in crate::model) fn changes_bytes_alone(graph: &Graph<'_>, operator: &Operator<'_>) -> bool {
    let is_bytes = |tensor: usize| graph.element(tensor).is_ok_and(|it| it.bytes() == 1);
    let joins = operator.code == BuiltinOperator::CONCATENATION;
    pointwise(operator.code).is_some() && !joins && operator.input(0).is_ok_and(is_bytes)
}

fn pointwise(code: BuiltinOperator) -> Option<Op<'static>> {
    use BuiltinOperator as B;
    Some(match code {
        B::RELU => Op::Pointwise(Pointwise::Relu),
        B::RELU6 => Op::Pointwise(Pointwise::Relu6),
        B::LOGISTIC => Op::Pointwise(Pointwise::Logistic),
        B::HARD_SWISH => Op::Pointwise(Pointwise::HardSwish),
        B::DEQUANTIZE => Op::Requantize,
        B::CONCATENATION => Op::Concatenation { axis: 0 },
        _ => return None,
    })
}

/// What each byte of a tensor becomes on its way through `passes`, as a real number.
pub(in crate::model) fn table(
    graph: &Graph<'_>,
    tensor: usize,
    passes: &[&Operator<'_>],
) -> Result<[f32; 256], Refusal> {
    let words = |error: edge_infer::Error| error.to_string();
    let shape = shape(&[256])?;
    let target = Target { isa: Isa::SCALAR, ways: 1 };
    let input = Tensor { shape, element: graph.element(tensor)? };
    let (mut builder, mut id) = Builder::new(target, input).map_err(words)?;
    for operator in passes {
        let named = |words: String| format!("{}: {words}", graph.place(operator));
        let element = operator.output().and_then(|output| graph.element(output)).map_err(named)?;
        let op = pointwise(operator.code).ok_or_else(|| named("is not supported".into()))?;
        let output = Tensor { shape, element };
        id = builder.add(&op, &[id], output).map_err(words).map_err(named)?;
    }
    let element = builder.form(id).map_err(words)?.element;
    let plan = builder.finish(&[id]).map_err(words)?;
    let mut arena = vec![0; plan.arena_bytes()];
    (0..=u8::MAX).zip(plan.input(&mut arena)).for_each(|(byte, place)| *place = byte);
    plan.run(&mut arena, &Alone);
    let bytes = plan.output(0, &arena);
    let mut table = [0.0; 256];
    if let Ok(quant) = element.quant() {
        table.iter_mut().zip(bytes).for_each(|(real, byte)| *real = quant.real(*byte));
    } else {
        let words = bytes.as_chunks().0;
        table.iter_mut().zip(words).for_each(|(real, word)| *real = f32::from_le_bytes(*word));
    }
    Ok(table)
}
