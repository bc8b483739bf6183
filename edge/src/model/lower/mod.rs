//! From the file's graph to a plan: each operator becomes a step of the engine, or a view.
//!
//! One file a family: `conv` (what has weights), `arithmetic` (element by element), `shape`
//! (what only moves or renames values), `window` (pools and sizes), `reduce` (along axes);
//! `family` says which operator is whose.

#![deny(clippy::indexing_slicing)]

mod arithmetic;
mod conv;
mod family;
mod reduce;
mod shape;
mod table;
mod window;

use super::graph::{Graph, Operator, Refusal};
use edge_infer::{Activation, Builder, Isa, Op, Plan, Shape, Target, Tensor, TensorId};
use family::{Family, Takes};
pub(super) use table::{changes_bytes_alone, table};
use tract_tflite::tflite::{ActivationFunctionType, BuiltinOperator};
pub(super) use window::{Slide, filter};

/// Rows of weights are counted as if they were as long as the widest layout makes them, bytes.
const ROW: usize = 64;
/// Packed weights and constants are at most so many times as long as the file: weights may be
/// shared by several operators, and short rows are filled up.
const TIMES: usize = 4;
/// And may always be so long, bytes.
const LITTLE: usize = 1 << 20;

/// A graph on its way to a plan.
#[derive(Debug)]
struct Lowering {
    builder: Builder,
    /// What each tensor of the file has become.
    known: Vec<Option<TensorId>>,
    /// Bytes of weights and constants that may still be made.
    budget: usize,
}

/// One operator on its way to a step.
#[derive(Debug)]
struct Step<'l, 'g, 'a> {
    lowering: &'l mut Lowering,
    graph: &'g Graph<'a>,
    operator: &'g Operator<'a>,
    family: Family,
}

/// The plan of what computes `outputs`.
pub(super) fn lower(graph: &Graph<'_>, outputs: &[usize], target: Target) -> Result<Plan, Refusal> {
    let mut lowering = Lowering::new(graph, &graph.inputs, target)?;
    for operator in graph.needed(outputs)? {
        let place = || graph.place(operator);
        let (family, takes) =
            Family::of(operator.code).ok_or_else(|| format!("{} is not supported", place()))?;
        let mut step = Step { lowering: &mut lowering, graph, operator, family };
        step.lower(takes).map_err(|words| format!("{}: {words}", place()))?;
    }
    let ids = outputs.iter().map(|output| {
        let id = lowering.get(*output);
        id.ok_or_else(|| format!("output '{}' is computed by nobody", graph.name(*output)))
    });
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    lowering.builder.finish(&ids).map_err(|error| format!("cannot be run here: {error}"))
}

/// Checks one operator as if it were a graph of its own, whose inputs are given.
pub(super) fn alone(graph: &Graph<'_>, operator: &Operator<'_>) -> Result<(), Refusal> {
    let given = operator.inputs.iter().flatten();
    let given = given.filter(|it| graph.is_constant(**it) == Ok(false)).copied();
    let given: Vec<usize> = given.collect();
    let mut lowering = Lowering::new(graph, &given, Target { isa: Isa::SCALAR, ways: 1 })?;
    let (family, takes) = Family::of(operator.code).ok_or("is not supported")?;
    Step { lowering: &mut lowering, graph, operator, family }.lower(takes)
}

/// Whether an operator has weights.
pub(super) fn is_weighted(code: BuiltinOperator) -> bool {
    matches!(Family::of(code), Some((Family::Weighted, _)))
}

impl Lowering {
    /// A plan without steps, that is given `inputs`.
    fn new(graph: &Graph<'_>, inputs: &[usize], target: Target) -> Result<Self, Refusal> {
        let refused = |error| format!("its input cannot be: {error}");
        let (first, others) = inputs.split_first().ok_or("has no input")?;
        let (builder, id) = Builder::new(target, graph.form(*first)?).map_err(refused)?;
        let budget = graph.file_bytes.saturating_mul(TIMES).max(LITTLE);
        let known = vec![None; graph.tensor_count()];
        let mut lowering = Self { builder, known, budget };
        lowering.set(*first, id);
        for input in others {
            let id = lowering.builder.input(graph.form(*input)?).map_err(refused)?;
            lowering.set(*input, id);
        }
        Ok(lowering)
    }

    fn get(&self, tensor: usize) -> Option<TensorId> {
        self.known.get(tensor).copied().flatten()
    }

    fn set(&mut self, tensor: usize, id: TensorId) {
        if let Some(slot) = self.known.get_mut(tensor) {
            *slot = Some(id);
        }
    }

    /// Takes `bytes` from the budget.
    fn spend(&mut self, bytes: usize) -> Result<(), Refusal> {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or("its weights are many times longer than the file")?;
        Ok(())
    }
}

impl Step<'_, '_, '_> {
    fn lower(&mut self, takes: Takes) -> Result<(), Refusal> {
        if takes == Takes::Numbers {
            self.check_meanings()?;
        }
        match self.family {
            Family::Weighted => self.weighted(),
            Family::ElementByElement => self.element_by_element(),
            Family::Joined => self.joined(),
            Family::Parted => self.parted(),
            Family::Renamed => self.renamed(),
            Family::Moved => self.moved(),
            Family::Pooled => self.pooled(),
            Family::Resized => self.resized(),
            Family::Reduced => self.reduced(),
        }
    }

    /// Arithmetic wants to know what 8 bits mean; weights say so in their own way.
    fn check_meanings(&self) -> Result<(), Refusal> {
        let weighted = self.family == Family::Weighted;
        let inputs = self.operator.inputs.iter().take(if weighted { 1 } else { usize::MAX });
        for tensor in inputs.flatten().chain(&self.operator.outputs) {
            if !self.graph.is_meant(*tensor)? {
                self.graph.quant(*tensor)?;
            }
        }
        Ok(())
    }

    /// The tensor that comes in at `place`: computed before, or a constant.
    fn read(&mut self, place: usize) -> Result<TensorId, Refusal> {
        let tensor = self.operator.input(place)?;
        if let Some(id) = self.lowering.get(tensor) {
            return Ok(id);
        }
        let form = self.graph.form(tensor)?;
        self.lowering.spend(form.bytes())?;
        let bytes = self.graph.stored(tensor)?;
        let id = self.lowering.builder.constant(form, &bytes).map_err(|it| it.to_string())?;
        self.lowering.set(tensor, id);
        Ok(id)
    }

    /// All that come in.
    fn read_all(&mut self) -> Result<Vec<TensorId>, Refusal> {
        (0..self.operator.inputs.len()).map(|place| self.read(place)).collect()
    }

    fn form(&self, id: TensorId) -> Result<Tensor, Refusal> {
        self.lowering.builder.form(id).map_err(|error| error.to_string())
    }

    /// The form of the one output.
    fn output(&self) -> Result<Tensor, Refusal> {
        self.graph.form(self.operator.output()?)
    }

    /// Adds a step that writes the one output.
    fn add(&mut self, op: &Op<'_>, inputs: &[TensorId]) -> Result<(), Refusal> {
        let tensor = self.operator.output()?;
        let form = self.graph.form(tensor)?;
        let id = self.step(op, inputs, form)?;
        self.lowering.set(tensor, id);
        Ok(())
    }

    /// Adds a step; a result of another shape than the file says is refused with both.
    fn step(
        &mut self,
        op: &Op<'_>,
        inputs: &[TensorId],
        output: Tensor,
    ) -> Result<TensorId, Refusal> {
        self.lowering.builder.add(op, inputs, output).map_err(|error| match error {
            edge_infer::Error::Shape(_) => format!("{error}, the file says {}", output.shape),
            error => error.to_string(),
        })
    }

    /// The same bytes under the form of a tensor of the file, which they become.
    fn rename(&mut self, id: TensorId, tensor: usize) -> Result<(), Refusal> {
        let (from, to) = (self.form(id)?, self.graph.form(tensor)?);
        if from.shape.count() != to.shape.count() {
            return Err(format!("makes {} of {}", to.shape, from.shape));
        }
        let id = self.lowering.builder.view(id, to).map_err(|error| error.to_string())?;
        self.lowering.set(tensor, id);
        Ok(())
    }

    /// Refuses a result of another shape than the file says.
    fn expect(&self, shape: &[usize]) -> Result<(), Refusal> {
        let said = self.graph.sides(self.operator.output()?)?;
        if said == shape {
            return Ok(());
        }
        Err(format!("comes to {shape:?}, the file says {said:?}"))
    }

    /// The numbers that come in at `place`, each as a `usize`.
    fn sizes(&self, place: usize) -> Result<Vec<usize>, Refusal> {
        let tensor = self.operator.input(place)?;
        let sizes = self.graph.integers(tensor)?.into_iter().map(|it| usize::try_from(it).ok());
        let sizes: Option<Vec<_>> = sizes.collect();
        sizes.ok_or_else(|| format!("'{}' holds a negative number", self.graph.name(tensor)))
    }
}

/// An axis of `rank`, which may be counted from behind.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let from_behind = || axis.checked_add(i64::try_from(rank).ok()?);
    let counted = if axis < 0 { from_behind() } else { Some(axis) };
    let counted = counted.and_then(|axis| usize::try_from(axis).ok());
    counted
        .filter(|axis| *axis < rank)
        .ok_or_else(|| format!("names axis {axis}, there are {rank}"))
}

fn shape(sides: &[usize]) -> Result<Shape, Refusal> {
    Shape::new(sides).map_err(|error| error.to_string())
}

fn activation(function: ActivationFunctionType) -> Result<Activation, Refusal> {
    match function {
        ActivationFunctionType::NONE => Ok(Activation::None),
        ActivationFunctionType::RELU => Ok(Activation::Relu),
        ActivationFunctionType::RELU6 => Ok(Activation::Relu6),
        ActivationFunctionType::RELU_N1_TO_1 => Ok(Activation::ReluN1To1),
        other => {
            let name = other.variant_name().unwrap_or("of an unknown kind");
            Err(format!("activation {name} is not supported"))
        }
    }
}
