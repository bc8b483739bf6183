//! An operator made ready: checked against its tensors, packed, and run.

use crate::arena::Rest;
use crate::error::Error;
use crate::fork::Fork;
use crate::op::{Op, Pointwise};
use crate::simd::Isa;
use crate::tensor::Tensor;
use crate::{arg_max, arithmetic, concatenation, conv, convert, depthwise, gather, mean, pad};
use crate::{pool, resize, slice, softmax, table, transpose};
use core::ops::Range;

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The instruction set of its kernels.
    pub isa: Isa,
    /// Parts that large steps are cut into, for a [`Fork`] that runs them side by side; brought
    /// to 1..=[`crate::WAYS_MAX`].
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
    Arithmetic(arithmetic::Step),
    Table(table::Step),
    Convert(convert::Step),
    Softmax(softmax::Step),
    Concatenation(concatenation::Step),
    Pool(pool::Step),
    Mean(mean::Step),
    Pad(pad::Step),
    Slice(slice::Step),
    Resize(resize::Step),
    ArgMax(arg_max::Step),
    Gather(gather::Step),
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
            Op::Arithmetic(arithmetic, activation) => {
                Self::Arithmetic(arithmetic::Step::new(*arithmetic, *activation, inputs, output)?)
            }
            Op::Pointwise(Pointwise::Sqrt) => {
                Self::Convert(convert::Step::pointwise(Pointwise::Sqrt, one()?, output)?)
            }
            Op::Pointwise(op) => Self::Table(table::Step::pointwise(*op, one()?, output)?),
            Op::Requantize if one()?.element.bytes() == 1 && output.element.bytes() == 1 => {
                Self::Table(table::Step::requantize(one()?, output)?)
            }
            Op::Requantize => Self::Convert(convert::Step::requantize(one()?, output)?),
            Op::Cast => Self::Convert(convert::Step::cast(one()?, output)?),
            Op::Softmax { beta } => Self::Softmax(softmax::Step::new(*beta, one()?, output)?),
            Op::Concatenation { axis } => {
                Self::Concatenation(concatenation::Step::new(*axis, inputs, output)?)
            }
            Op::AveragePool(window, activation) => {
                Self::Pool(pool::Step::average(one()?, window, *activation, output)?)
            }
            Op::MaxPool(window, activation) => {
                Self::Pool(pool::Step::max(one()?, window, *activation, output)?)
            }
            Op::Mean { axes } => Self::Mean(mean::Step::new(one()?, axes, output)?),
            Op::Pad { before } => Self::Pad(pad::Step::new(one()?, before, output)?),
            Op::Slice { begin, stride, length } => {
                let range = slice::Range { begin, stride, length };
                Self::Slice(slice::Step::new(one()?, range, output)?)
            }
            Op::Transpose { order } => Self::Slice(transpose::step(one()?, order, output)?),
            Op::Resize(resize, corners) => {
                Self::Resize(resize::Step::new(one()?, *resize, *corners, output)?)
            }
            Op::ArgMax { axis } => Self::ArgMax(arg_max::Step::new(one()?, *axis, output)?),
            Op::GatherNd => match *inputs {
                [values, positions] => Self::Gather(gather::Step::new(values, positions, output)?),
                _ => return Err(Error::Inputs),
            },
        })
    }

    /// Multiplications, or values moved, in one run.
    pub(crate) fn work(&self) -> u64 {
        match self {
            Self::Conv(step) => step.work(),
            Self::Depthwise(step) => step.work(),
            Self::Arithmetic(step) => step.work(),
            Self::Table(step) => step.work(),
            Self::Convert(step) => step.work(),
            Self::Softmax(step) => step.work(),
            Self::Concatenation(step) => step.work(),
            Self::Pool(step) => step.work(),
            Self::Mean(step) => step.work(),
            Self::Pad(step) => step.work(),
            Self::Slice(step) => step.work(),
            Self::Resize(step) => step.work(),
            Self::ArgMax(step) => step.work(),
            Self::Gather(step) => step.work(),
        }
    }

    /// Bytes of packed weights.
    pub(crate) fn weight_bytes(&self) -> usize {
        match self {
            Self::Conv(step) => step.weight_bytes(),
            Self::Depthwise(step) => step.weight_bytes(),
            _ => 0,
        }
    }

    /// Memory to work in, bytes.
    pub(crate) fn scratch_bytes(&self) -> usize {
        match self {
            Self::Conv(step) => step.scratch_bytes(),
            Self::Depthwise(step) => step.scratch_bytes(),
            _ => 0,
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
            Self::Arithmetic(step) => step.run(inputs, output),
            Self::Table(step) => step.run(inputs, output),
            Self::Convert(step) => step.run(inputs, output),
            Self::Softmax(step) => step.run(inputs, output),
            Self::Concatenation(step) => step.run(inputs, output),
            Self::Pool(step) => step.run(inputs, output),
            Self::Mean(step) => step.run(inputs, output),
            Self::Pad(step) => step.run(inputs, output),
            Self::Slice(step) => step.run(inputs, output),
            Self::Resize(step) => step.run(inputs, output),
            Self::ArgMax(step) => step.run(inputs, output),
            Self::Gather(step) => step.run(inputs, output),
        }
    }
}
