//! Float graphs, run by tract: whatever our own engine has no kernels for.
//!
//! tract reads the file itself, cut to what is needed (it knows no custom operators). It is
//! written for sound files: what it could be led astray with is refused before, its panics are
//! caught, and one run is tried at load. It allocates in every run, unlike a plan of ours.
//!
//! Graphs with quantized values are not for it: it passes over the scale that the file gives a
//! result (`TANH` of `INT8` comes out up to 122 of 255 off).

#![deny(clippy::indexing_slicing)]

mod check;
mod cut;

use super::graph::{Graph, Refusal};
use crate::journal;
use edge_infer::{ARENA_MAX, Element, Tensor, WORK_MAX};
use std::io::Cursor;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tract_tflite::internal::tract_core::ops::cnn::Conv;
use tract_tflite::internal::tract_core::ops::konst::Const;
use tract_tflite::internal::{TractResult, TypedModel, format_err, tvec};
use tract_tflite::prelude::{DatumType, Framework, IntoRunnable, IntoTValue, TypedRunnableModel};

/// Most operators of a graph for tract, which compares each with each.
const OPERATORS_MAX: usize = 1024;
/// Most memory that its tensors may want at a time, bytes: as many values as in an arena.
const LIVE_MAX: usize = 4 * ARENA_MAX;

/// A graph in tract's hands.
#[derive(Debug)]
pub(super) struct Float {
    model: Arc<TypedRunnableModel>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// Bytes of inputs and outputs, which lie one behind the other in an arena.
    pub(super) arena_bytes: usize,
    pub(super) weight_bytes: usize,
    pub(super) work: u64,
}

/// A tensor at the door, and where it lies in an arena.
#[derive(Debug, Clone)]
pub(super) struct Port {
    pub(super) form: Tensor,
    pub(super) place: Range<usize>,
}

impl Float {
    /// What computes `outputs` of a graph.
    pub(super) fn new(graph: &Graph<'_>, outputs: &[usize]) -> Result<Self, Refusal> {
        let needed = graph.needed(outputs)?;
        for operator in &needed {
            if !check::is_known(operator.code) {
                return Err(format!("{} is not supported", graph.place(operator)));
            }
            let named = |words| format!("{}: {words}", graph.place(operator));
            check::check(graph, operator).map_err(named)?;
        }
        if needed.len() > OPERATORS_MAX {
            return Err(format!("has more than {OPERATORS_MAX} operators of real numbers"));
        }
        let bytes = cut::cut(graph, &needed, outputs).ok_or("cannot be cut")?;
        let mut end = 0;
        let mut port = |tensor: &usize| {
            let form = graph.form(*tensor)?;
            let place = end..end + form.bytes();
            end = place.end;
            Ok(Port { form, place })
        };
        let inputs = graph.inputs.iter().map(&mut port).collect::<Result<_, Refusal>>()?;
        let outputs = outputs.iter().map(&mut port).collect::<Result<_, Refusal>>()?;
        let (model, cost) = quietly(|| load(bytes)).ok_or("is nothing that tract runs")?;
        let Cost { weight_bytes, work } = cost;
        let float = Self { model, inputs, outputs, arena_bytes: end, weight_bytes, work };
        let mut arena = vec![0; float.arena_bytes];
        quietly(|| float.compute(&mut arena)).ok_or("is nothing that tract runs")?;
        Ok(float)
    }

    pub(super) fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    pub(super) fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Computes the outputs from the inputs.
    ///
    /// # Panics
    /// Where tract cannot, which did it once at load.
    pub(super) fn run(&self, arena: &mut [u8]) {
        self.compute(arena).expect("tract runs what it ran at load");
    }

    fn compute(&self, arena: &mut [u8]) -> TractResult<()> {
        let mut inputs = tvec!();
        for (at, Port { form, place }) in self.inputs.iter().enumerate() {
            let type_ = self.model.model().input_fact(at)?.datum_type;
            let mut tensor = tract_tflite::prelude::Tensor::zero_dt(type_, form.shape.sides())?;
            let from = arena.get(place.clone()).unwrap_or_default();
            copy(from, tensor.as_bytes_mut())?;
            inputs.push(tensor.into_tvalue());
        }
        let found = self.model.run(inputs)?;
        for (Port { form, place }, found) in self.outputs.iter().zip(found.iter()) {
            let to = arena.get_mut(place.clone()).unwrap_or_default();
            if !fits(*form, found.datum_type()) {
                return Err(format_err!("another type"));
            }
            copy(found.as_bytes(), to)?;
        }
        Ok(())
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> TractResult<()> {
    if from.len() != to.len() {
        return Err(format_err!("another length"));
    }
    to.copy_from_slice(from);
    Ok(())
}

fn fits(form: Tensor, type_: DatumType) -> bool {
    matches!((form.element, type_), (Element::F32, DatumType::F32) | (Element::I32, DatumType::I32))
}

/// Reads and prepares a file, if what it comes to stays within bounds.
fn load(bytes: Vec<u8>) -> TractResult<(Arc<TypedRunnableModel>, Cost)> {
    let model = tract_tflite::tflite().model_for_read(&mut Cursor::new(bytes))?;
    // Counted here: optimized, it has neither convolutions nor weights by that name.
    let asked = cost(&model)?;
    let model = model.into_optimized()?;
    cost(&model)?;
    Ok((model.into_runnable()?, asked))
}

/// What a graph asks for.
#[derive(Debug, Clone, Copy)]
struct Cost {
    weight_bytes: usize,
    work: u64,
}

/// Counts it, and refuses what is too much.
fn cost(model: &TypedModel) -> TractResult<Cost> {
    let too_large = || format_err!("too large");
    let order = model.eval_order()?;
    let (mut alive, mut weight_bytes, mut work) = (0_usize, 0_usize, 0_u64);
    let mut left: Vec<usize> = vec![0; model.nodes().len()];
    let mut held: Vec<usize> = vec![0; model.nodes().len()];
    for input in order.iter().flat_map(|id| &model.node(*id).inputs) {
        if let Some(left) = left.get_mut(input.node) {
            *left += 1;
        }
    }
    for id in &order {
        let node = model.node(*id);
        let mut bytes = 0_usize;
        for outlet in &node.outputs {
            let shape = outlet.fact.shape.as_concrete().ok_or_else(too_large)?;
            let each = outlet.fact.datum_type.size_of();
            let all = shape.iter().try_fold(each, |all, side| all.checked_mul(*side));
            bytes = all.and_then(|all| bytes.checked_add(all)).ok_or_else(too_large)?;
        }
        if node.op_is::<Const>() {
            weight_bytes = weight_bytes.saturating_add(bytes);
            continue;
        }
        let conv = node.op_as::<Conv>().map_or(Some((0, 0)), |conv| patches(conv, bytes));
        let (patches, each) = conv.ok_or_else(too_large)?;
        work = work.saturating_add((bytes / 4) as u64 * each.max(1));
        alive = alive.saturating_add(bytes);
        if alive.saturating_add(patches) > LIVE_MAX || work > WORK_MAX {
            return Err(too_large());
        }
        if let Some(held) = held.get_mut(*id) {
            *held = bytes;
        }
        for input in &node.inputs {
            let Some(left) = left.get_mut(input.node) else { continue };
            *left -= 1;
            if *left == 0 {
                alive -= held.get_mut(input.node).map_or(0, std::mem::take);
            }
        }
    }
    Ok(Cost { weight_bytes, work })
}

/// Bytes of what lies under the kernel for all output pixels of a convolution, which tract may
/// lay out at once, and multiplications for each output.
fn patches(conv: &Conv, output_bytes: usize) -> Option<(usize, u64)> {
    let spec = &conv.pool_spec;
    let pixels = output_bytes.checked_div(spec.output_channels.max(1))?;
    let kernel = spec.kernel_shape.iter().try_fold(1_usize, |all, side| all.checked_mul(*side))?;
    let each = kernel.checked_mul(spec.input_channels)?.checked_div(conv.group.max(1))?;
    Some((pixels.checked_mul(each)?.checked_mul(conv.group)?, each as u64))
}

/// tract panics on what it does not expect.
fn quietly<T>(work: impl FnOnce() -> TractResult<T>) -> Option<T> {
    journal::hush_panics(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    journal::hush_panics(false);
    done.ok()?.ok()
}
