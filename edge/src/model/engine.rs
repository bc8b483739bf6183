//! The engines that can run a graph, behind one door: ours for quantized ones, tract for those
//! of real numbers.

use super::float::{Float, Port};
use super::graph::{Graph, Refusal};
use super::lower::{is_weighted, lower};
use super::threads::{Crew, Desk};
use edge_infer::{Alone, Plan, Target, Tensor};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use tract_tflite::tflite::TensorType;

/// A graph that is ready to run.
#[derive(Debug)]
pub(super) enum Engine {
    /// edge-infer, with threads of its own where it has any. Allocates nothing in a run.
    Plan(Arc<Plan>, Option<Crew>),
    /// tract. Allocates in every run.
    Float(Float),
}

impl Engine {
    /// What computes `outputs`: ours where it can, else tract where that can.
    pub(super) fn new(
        target: Target,
        graph: &Graph<'_>,
        outputs: &[usize],
    ) -> Result<Self, Refusal> {
        let ours = match lower(graph, outputs, target) {
            Ok(plan) => {
                let crew = (target.ways > 1).then(|| Crew::new(target.ways)).transpose()?;
                return Ok(Self::Plan(Arc::new(plan), crew));
            }
            Err(ours) => ours,
        };
        let real = is_real(graph, outputs);
        Float::new(graph, outputs).map(Self::Float).map_err(|tract| if real { tract } else { ours })
    }

    pub(super) fn input_forms(&self) -> Vec<Tensor> {
        match self {
            Self::Plan(plan, _) => plan.input_forms().collect(),
            Self::Float(float) => float.inputs().iter().map(|port| port.form).collect(),
        }
    }

    pub(super) fn output_forms(&self) -> Vec<Tensor> {
        match self {
            Self::Plan(plan, _) => plan.output_forms().collect(),
            Self::Float(float) => float.outputs().iter().map(|port| port.form).collect(),
        }
    }

    pub(super) fn arena_bytes(&self) -> usize {
        match self {
            Self::Plan(plan, _) => plan.arena_bytes(),
            Self::Float(float) => float.arena_bytes,
        }
    }

    pub(super) fn weight_bytes(&self) -> usize {
        match self {
            Self::Plan(plan, _) => plan.weight_bytes(),
            Self::Float(float) => float.weight_bytes,
        }
    }

    pub(super) fn work(&self) -> u64 {
        match self {
            Self::Plan(plan, _) => plan.work(),
            Self::Float(float) => float.work,
        }
    }

    /// Where an input lies in an arena.
    pub(super) fn input<'a>(&self, index: usize, arena: &'a mut [u8]) -> &'a mut [u8] {
        match self {
            Self::Plan(plan, _) => plan.input_at(index, arena),
            Self::Float(float) => &mut arena[place(float.inputs(), index)],
        }
    }

    /// Where an output lies in an arena.
    pub(super) fn output<'a>(&self, index: usize, arena: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Plan(plan, _) => plan.output(index, arena),
            Self::Float(float) => &arena[place(float.outputs(), index)],
        }
    }

    pub(super) fn run(&self, arena: &mut Box<[u8]>, desk: &Desk) {
        match self {
            Self::Plan(plan, None) => plan.run(arena, &Alone),
            Self::Plan(plan, Some(crew)) => crew.run(plan, arena, desk),
            Self::Float(float) => float.run(arena),
        }
    }
}

fn place(ports: &[Port], index: usize) -> Range<usize> {
    ports[index].place.clone()
}

/// Whether what has weights in a graph multiplies real numbers.
fn is_real(graph: &Graph<'_>, outputs: &[usize]) -> bool {
    let Ok(needed) = graph.needed(outputs) else { return false };
    needed.iter().any(|operator| {
        let input = operator.input(0).and_then(|input| graph.type_of(input));
        is_weighted(operator.code) && input == Ok(TensorType::FLOAT32)
    })
}

/// `avx2, 2 threads`.
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(plan, _) => {
                let Target { isa, ways } = plan.target();
                let threads = if ways == 1 { "thread" } else { "threads" };
                write!(f, "{}, {ways} {threads}", isa.name())
            }
            Self::Float(_) => f.write_str("tract, 1 thread"),
        }
    }
}
