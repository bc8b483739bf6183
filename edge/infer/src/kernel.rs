//! An operator made ready: checked against its tensors, packed, and run.

use crate::arena::Rest;
use crate::error::Error;
use crate::fork::Fork;
use crate::op::Op;
use crate::simd::Isa;
use crate::tensor::Tensor;
use crate::{conv, depthwise};
use core::ops::Range;

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The instruction set of its kernels.
    pub isa: Isa,
    /// Parts that large steps are cut into, for a [`Fork`] that runs them side by side; 1 or
    /// more.
    pub ways: usize,
}

/// Where a step's inputs lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) places: &'a [Place],
    pub(crate) constants: &'a [u8],
    pub(crate) rest: Rest<'a>,
}

/// Where a tensor lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Arena(Range<usize>),
    Constant(Range<usize>),
}

impl<'a> Inputs<'a> {
    /// The bytes of input `at`; that there is one was checked when the step was made.
    pub(crate) fn get(&self, at: usize) -> &'a [u8] {
        match &self.places[at] {
            Place::Arena(range) => self.rest.read(range),
            Place::Constant(range) => &self.constants[range.clone()],
        }
    }
}

/// A step's own part of the plan.
#[derive(Debug, Clone)]
pub(crate) enum Kernel {
    Conv(conv::Step),
    Depthwise(depthwise::Step),
}

impl Kernel {
    /// Checks `op` against its tensors and packs what it needs.
    pub(crate) fn new(
        target: Target,
        op: &Op<'_>,
        inputs: &[Tensor],
        output: Tensor,
    ) -> Result<Self, Error> {
        let Target { isa, ways } = target;
        let one = || if let [input] = inputs { Ok(*input) } else { Err(Error::Inputs) };
        Ok(match op {
            Op::Conv(op) => Self::Conv(conv::Step::new(isa, ways, one()?, op, output)?),
            Op::Depthwise(op) => {
                Self::Depthwise(depthwise::Step::new(isa, ways, one()?, op, output)?)
            }
            Op::FullyConnected(op) => {
                Self::Conv(conv::Step::fully_connected(isa, ways, one()?, op, output)?)
            }
            _ => return Err(Error::Element),
        })
    }

    /// Multiplications, or values moved, in one run.
    pub(crate) fn work(&self) -> u64 {
        match self {
            Self::Conv(step) => step.work(),
            Self::Depthwise(step) => step.work(),
        }
    }

    /// Memory to work in, bytes.
    pub(crate) fn scratch_bytes(&self) -> usize {
        match self {
            Self::Conv(step) => step.scratch_bytes(),
            Self::Depthwise(step) => step.scratch_bytes(),
        }
    }

    pub(crate) fn run<F: Fork>(
        &self,
        inputs: &Inputs<'_>,
        output: &mut [u8],
        scratch: &mut [u8],
        fork: &F,
    ) {
        match self {
            Self::Conv(step) => step.run(inputs.get(0), output, scratch, fork),
            Self::Depthwise(step) => step.run(inputs.get(0), output, scratch, fork),
        }
    }
}
