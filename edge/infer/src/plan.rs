//! The plan: steps in order, and where each one's tensors lie in the arena.

use crate::arena::{self, Wish};
use crate::error::Error;
use crate::requant::Quant;
use crate::window::SIDE_MAX;
use crate::{conv, depthwise};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

/// Most memory that the tensors of one plan may want, bytes; more is refused.
pub const ARENA_MAX: usize = 64 << 20;
/// Most multiplications of one run; more is refused.
pub const WORK_MAX: u64 = 20_000_000_000;

/// Sides of a tensor `[1, rows, columns, channels]`, NHWC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Height.
    pub rows: usize,
    /// Width.
    pub columns: usize,
    /// Values at one place.
    pub channels: usize,
}

impl Shape {
    /// Values in all, one byte each.
    pub const fn bytes(&self) -> usize {
        self.rows.saturating_mul(self.columns).saturating_mul(self.channels)
    }
}

/// A tensor's form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tensor {
    /// Its sides.
    pub shape: Shape,
    /// What its bytes mean.
    pub quant: Quant,
}

/// A tensor of the [`Builder`] that gave this out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorId(usize);

#[derive(Debug, Clone)]
enum Kernel {
    Conv(conv::Step),
    Depthwise(depthwise::Step),
}

/// Collects steps in the order in which they run.
#[derive(Debug)]
pub struct Builder {
    tensors: Vec<Tensor>,
    /// Each step, what it reads, and what it writes.
    steps: Vec<(Kernel, TensorId, TensorId)>,
    work: u64,
}

impl Builder {
    /// A graph without steps, and its input.
    pub fn new(input: Tensor) -> Result<(Self, TensorId), Error> {
        let mut builder = Self { tensors: Vec::new(), steps: Vec::new(), work: 0 };
        let id = builder.tensor(input)?;
        Ok((builder, id))
    }

    /// The form of a tensor.
    pub fn form(&self, id: TensorId) -> Tensor {
        self.tensors[id.0]
    }

    /// Adds a convolution; its result.
    pub fn conv(&mut self, input: TensorId, conv: &conv::Conv<'_>) -> Result<TensorId, Error> {
        let Tensor { shape, quant } = self.form(input);
        let step = conv::Step::new(shape, quant, conv)?;
        let output = Tensor { shape: step.output(), quant: conv.output };
        let work = step.work();
        self.step(Kernel::Conv(step), input, output, work)
    }

    /// Adds a depthwise convolution; its result.
    pub fn depthwise(
        &mut self,
        input: TensorId,
        depthwise: &depthwise::Depthwise<'_>,
    ) -> Result<TensorId, Error> {
        let Tensor { shape, quant } = self.form(input);
        let step = depthwise::Step::new(shape, quant, depthwise)?;
        let output = Tensor { shape: step.output(), quant: depthwise.output };
        let work = step.work();
        self.step(Kernel::Depthwise(step), input, output, work)
    }

    /// The plan whose outputs are `outputs`, in that order.
    pub fn finish(self, outputs: &[TensorId]) -> Result<Plan, Error> {
        let steps = self.steps.len();
        // A tensor is alive from the step that writes it to the last that reads it; the input
        // is there before step 0, the outputs stay when all are done.
        let mut wishes: Vec<Wish> = self
            .tensors
            .iter()
            .map(|tensor| Wish { bytes: tensor.shape.bytes(), alive: [0, 0] })
            .collect();
        for (at, (_, input, output)) in self.steps.iter().enumerate() {
            wishes[output.0].alive = [at, at];
            wishes[input.0].alive[1] = at;
        }
        for output in outputs {
            wishes[output.0].alive[1] = steps;
        }
        let (places, arena_bytes) = arena::place(&wishes);
        if arena_bytes > ARENA_MAX {
            return Err(Error::TooLarge);
        }
        let place = |id: TensorId| places[id.0].clone();
        let patch_len = |kernel: &Kernel| match kernel {
            Kernel::Conv(step) => step.patch_len(),
            Kernel::Depthwise(_) => 0,
        };
        Ok(Plan {
            patch_len: self.steps.iter().map(|(kernel, ..)| patch_len(kernel)).max().unwrap_or(0),
            input: (self.tensors[0], places[0].clone()),
            outputs: outputs.iter().map(|id| (self.tensors[id.0], place(*id))).collect(),
            steps: self
                .steps
                .into_iter()
                .map(|(kernel, input, output)| {
                    let (input, output) = (place(input), place(output));
                    Step { kernel, input, output }
                })
                .collect(),
            arena_bytes,
        })
    }

    fn step(
        &mut self,
        kernel: Kernel,
        input: TensorId,
        output: Tensor,
        work: u64,
    ) -> Result<TensorId, Error> {
        self.work = self.work.saturating_add(work);
        if self.work > WORK_MAX {
            return Err(Error::TooLarge);
        }
        let output = self.tensor(output)?;
        self.steps.push((kernel, input, output));
        Ok(output)
    }

    fn tensor(&mut self, tensor: Tensor) -> Result<TensorId, Error> {
        let Shape { rows, columns, channels } = tensor.shape;
        if !tensor.quant.is_sound() {
            return Err(Error::Scale);
        }
        if [rows, columns, channels].contains(&0) {
            return Err(Error::Window);
        }
        let long = [rows, columns, channels].into_iter().any(|side| side > SIDE_MAX);
        if long || tensor.shape.bytes() > ARENA_MAX {
            return Err(Error::TooLarge);
        }
        self.tensors.push(tensor);
        Ok(TensorId(self.tensors.len() - 1))
    }
}

/// A kernel, and where in the arena it reads and writes.
#[derive(Debug, Clone)]
struct Step {
    kernel: Kernel,
    input: Range<usize>,
    output: Range<usize>,
}

/// A graph that is ready to run; shared by all who run it.
#[derive(Debug, Clone)]
pub struct Plan {
    steps: Box<[Step]>,
    input: (Tensor, Range<usize>),
    outputs: Box<[(Tensor, Range<usize>)]>,
    arena_bytes: usize,
    patch_len: usize,
}

impl Plan {
    /// Length of the arena that the other functions want.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Length, in `i16` values, of the patch memory that [`Plan::run`] wants.
    pub fn patch_len(&self) -> usize {
        self.patch_len
    }

    /// The form of the input.
    pub fn input_form(&self) -> Tensor {
        self.input.0
    }

    /// The forms of the outputs, in the order of [`Builder::finish`].
    pub fn output_forms(&self) -> impl ExactSizeIterator<Item = Tensor> + '_ {
        self.outputs.iter().map(|(tensor, _)| *tensor)
    }

    /// Where the input is written before each run; a run leaves other bytes there.
    ///
    /// # Panics
    /// Where `arena` is shorter than [`Plan::arena_bytes`].
    pub fn input<'a>(&self, arena: &'a mut [u8]) -> &'a mut [u8] {
        &mut arena[self.input.1.clone()]
    }

    /// Output number `index`, as the last run left it.
    ///
    /// # Panics
    /// Where `arena` is shorter than [`Plan::arena_bytes`], or there is no such output.
    pub fn output<'a>(&self, index: usize, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.outputs[index].1.clone()]
    }

    /// Runs every step; allocates nothing.
    ///
    /// # Panics
    /// Where `arena` is shorter than [`Plan::arena_bytes`] or `patch` than
    /// [`Plan::patch_len`].
    pub fn run(&self, arena: &mut [u8], patch: &mut [i16]) {
        for Step { kernel, input, output } in &self.steps {
            let (input, output) = arena::two(arena, input, output);
            match kernel {
                Kernel::Conv(step) => step.run(input, output, patch),
                Kernel::Depthwise(step) => step.run(input, output),
            }
        }
    }
}

/// A small generator for the tests of this crate (`SplitMix64`).
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

#[cfg(test)]
impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// 0 to `end`, exclusive.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }
}
