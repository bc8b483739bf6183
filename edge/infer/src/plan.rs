//! The plan: steps in order, and where each one's tensors lie in the arena.

use crate::arena::{self, Cut, Wish};
use crate::error::Error;
use crate::fork::Fork;
use crate::kernel::{Inputs, Kernel, Place, Target};
use crate::op::Op;
use crate::tensor::{ARENA_MAX, Element, Tensor};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

/// Most multiplications of one run; more is refused.
pub const WORK_MAX: u64 = 20_000_000_000;
/// Most steps of a plan; more is refused.
pub const STEPS_MAX: usize = 8192;
/// Most parts that a step is cut into.
pub const WAYS_MAX: usize = 64;
/// Work below which a step is not cut into parts: waking a thread costs more.
const WORK_MIN: u64 = 200_000;

/// A tensor of the [`Builder`] that gave this out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorId(usize);

/// A tensor, and the memory it looks at.
#[derive(Debug, Clone, Copy)]
struct Look {
    tensor: Tensor,
    memory: usize,
}

/// What tensors look at.
#[derive(Debug, Clone)]
enum Memory {
    /// Written by a step, or the input.
    Written { bytes: usize },
    /// A range of the constants.
    Constant(Range<usize>),
}

#[derive(Debug)]
struct Draft {
    kernel: Kernel,
    inputs: Vec<TensorId>,
    output: TensorId,
}

/// Collects steps in the order in which they run.
#[derive(Debug)]
pub struct Builder {
    target: Target,
    looks: Vec<Look>,
    memories: Vec<Memory>,
    constants: Vec<u8>,
    steps: Vec<Draft>,
    inputs: Vec<TensorId>,
    work: u64,
}

impl Builder {
    /// A graph without steps, and its first input.
    pub fn new(target: Target, input: Tensor) -> Result<(Self, TensorId), Error> {
        let target = Target { ways: target.ways.clamp(1, WAYS_MAX), ..target };
        let (looks, memories, constants) = (Vec::new(), Vec::new(), Vec::new());
        let (steps, inputs, work) = (Vec::new(), Vec::new(), 0);
        let mut builder = Self { target, looks, memories, constants, steps, inputs, work };
        let id = builder.input(input)?;
        Ok((builder, id))
    }

    /// Another input.
    pub fn input(&mut self, form: Tensor) -> Result<TensorId, Error> {
        let id = self.written(form)?;
        self.inputs.push(id);
        Ok(id)
    }

    /// The form of a tensor.
    pub fn form(&self, id: TensorId) -> Result<Tensor, Error> {
        Ok(self.known(id)?.tensor)
    }

    /// A tensor that is there before the first run: `bytes` in the tensor's own elements.
    pub fn constant(&mut self, tensor: Tensor, bytes: &[u8]) -> Result<TensorId, Error> {
        check(tensor)?;
        if bytes.len() != tensor.bytes() {
            return Err(Error::Lengths);
        }
        let start = self.constants.len();
        if start + bytes.len() > ARENA_MAX {
            return Err(Error::TooLarge);
        }
        self.constants.extend_from_slice(bytes);
        Ok(self.look(tensor, Memory::Constant(start..start + bytes.len())))
    }

    /// The same bytes in another shape, maybe with another scale.
    pub fn view(&mut self, id: TensorId, form: Tensor) -> Result<TensorId, Error> {
        check(form)?;
        let Look { tensor, memory } = self.known(id)?;
        if form.shape.count() != tensor.shape.count() {
            return Err(Error::Shape(tensor.shape));
        }
        if !form.element.is_like(tensor.element) {
            return Err(Error::Element);
        }
        self.looks.push(Look { tensor: form, memory });
        Ok(TensorId(self.looks.len() - 1))
    }

    /// Adds a step that reads `inputs` and writes a tensor of the form `output`; that tensor.
    pub fn add(
        &mut self,
        op: &Op<'_>,
        inputs: &[TensorId],
        output: Tensor,
    ) -> Result<TensorId, Error> {
        check(output)?;
        if self.steps.len() == STEPS_MAX {
            return Err(Error::TooLarge);
        }
        let forms = inputs.iter().map(|id| self.form(*id)).collect::<Result<Vec<_>, _>>()?;
        let mut kernel = Kernel::new(self.target, op, &forms, output)?;
        if self.target.ways > 1 && kernel.work() < WORK_MIN {
            kernel = Kernel::new(Target { ways: 1, ..self.target }, op, &forms, output)?;
        }
        self.work = self.work.saturating_add(kernel.work());
        if self.work > WORK_MAX {
            return Err(Error::TooLarge);
        }
        let output = self.written(output)?;
        self.steps.push(Draft { kernel, inputs: inputs.into(), output });
        Ok(output)
    }

    /// The plan whose outputs are `outputs`, in that order.
    pub fn finish(self, outputs: &[TensorId]) -> Result<Plan, Error> {
        outputs.iter().try_for_each(|id| self.known(*id).map(drop))?;
        let Self { target, looks, memories, constants, steps, inputs, work } = self;
        let wishes = wishes(&looks, &memories, &steps, outputs);
        let (places, arena_bytes) = arena::place(&wishes);
        if arena_bytes > ARENA_MAX {
            return Err(Error::TooLarge);
        }
        let place = |id: &TensorId| {
            let memory = looks[id.0].memory;
            match &memories[memory] {
                Memory::Written { .. } => Place::Arena(places[memory].clone()),
                Memory::Constant(range) => Place::Constant(range.clone()),
            }
        };
        let output = |id: &TensorId| match place(id) {
            Place::Arena(range) => Ok((looks[id.0].tensor, range)),
            Place::Constant(_) => Err(Error::Constant),
        };
        let step = |(at, Draft { kernel, inputs, output }): (usize, Draft)| Step {
            kernel,
            inputs: inputs.iter().map(place).collect(),
            output: places[looks[output.0].memory].clone(),
            scratch: places[memories.len() + at].clone(),
        };
        Ok(Plan {
            target,
            inputs: inputs
                .iter()
                .map(|id| (looks[id.0].tensor, places[looks[id.0].memory].clone()))
                .collect(),
            outputs: outputs.iter().map(output).collect::<Result<_, _>>()?,
            steps: steps.into_iter().enumerate().map(step).collect(),
            constants: constants.into(),
            arena_bytes,
            work,
        })
    }

    /// An id of another builder may be beyond the last tensor here.
    fn known(&self, id: TensorId) -> Result<Look, Error> {
        self.looks.get(id.0).copied().ok_or(Error::Unknown)
    }

    fn written(&mut self, tensor: Tensor) -> Result<TensorId, Error> {
        check(tensor)?;
        Ok(self.look(tensor, Memory::Written { bytes: tensor.bytes() }))
    }

    fn look(&mut self, tensor: Tensor, memory: Memory) -> TensorId {
        self.memories.push(memory);
        self.looks.push(Look { tensor, memory: self.memories.len() - 1 });
        TensorId(self.looks.len() - 1)
    }
}

fn check(tensor: Tensor) -> Result<(), Error> {
    let sound = match tensor.element {
        Element::U8(quant) | Element::I8(quant) => quant.is_sound(),
        Element::I32 | Element::F32 => true,
    };
    match (sound, tensor.bytes() <= ARENA_MAX) {
        (true, true) => Ok(()),
        (false, _) => Err(Error::Scale),
        (_, false) => Err(Error::TooLarge),
    }
}

/// What is wanted of the arena: for each memory, then for each step's scratch.
///
/// A memory is alive from the step that writes it to the last that reads it; inputs are
/// there before step 0, the outputs stay when all are done.
fn wishes(looks: &[Look], memories: &[Memory], steps: &[Draft], outputs: &[TensorId]) -> Vec<Wish> {
    let wish = |memory: &Memory| match memory {
        Memory::Written { bytes } => Wish { bytes: *bytes, alive: [0, 0] },
        Memory::Constant(_) => Wish { bytes: 0, alive: [0, 0] },
    };
    let mut wishes: Vec<Wish> = memories.iter().map(wish).collect();
    for (at, Draft { inputs, output, .. }) in steps.iter().enumerate() {
        wishes[looks[output.0].memory].alive = [at, at];
        for input in inputs {
            wishes[looks[input.0].memory].alive[1] = at;
        }
    }
    for output in outputs {
        wishes[looks[output.0].memory].alive[1] = steps.len();
    }
    wishes.extend(
        steps
            .iter()
            .enumerate()
            .map(|(at, draft)| Wish { bytes: draft.kernel.scratch_bytes(), alive: [at, at] }),
    );
    wishes
}

/// A kernel, and where it reads, writes and works.
#[derive(Debug, Clone)]
struct Step {
    kernel: Kernel,
    inputs: Box<[Place]>,
    output: Range<usize>,
    scratch: Range<usize>,
}

/// A graph that is ready to run; shared by all who run it.
#[derive(Debug, Clone)]
pub struct Plan {
    target: Target,
    steps: Box<[Step]>,
    constants: Box<[u8]>,
    inputs: Box<[(Tensor, Range<usize>)]>,
    outputs: Box<[(Tensor, Range<usize>)]>,
    arena_bytes: usize,
    work: u64,
}

impl Plan {
    /// Length of the arena that the other functions want.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Bytes of packed weights and constants, which all arenas share.
    pub fn weight_bytes(&self) -> usize {
        let steps = self.steps.iter().map(|step| step.kernel.weight_bytes());
        self.constants.len() + steps.sum::<usize>()
    }

    /// Multiplications, or values moved, in one run.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// What it was made for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The form of the first input.
    pub fn input_form(&self) -> Tensor {
        self.inputs[0].0
    }

    /// The forms of the inputs, in the order in which the [`Builder`] heard of them.
    pub fn input_forms(&self) -> impl ExactSizeIterator<Item = Tensor> + '_ {
        self.inputs.iter().map(|(tensor, _)| *tensor)
    }

    /// The forms of the outputs, in the order of [`Builder::finish`].
    pub fn output_forms(&self) -> impl ExactSizeIterator<Item = Tensor> + '_ {
        self.outputs.iter().map(|(tensor, _)| *tensor)
    }

    /// Where the first input is written before each run; a run leaves other bytes there.
    ///
    /// # Panics
    /// Where `arena` is shorter than [`Plan::arena_bytes`].
    pub fn input<'a>(&self, arena: &'a mut [u8]) -> &'a mut [u8] {
        self.input_at(0, arena)
    }

    /// The same for input number `index`.
    ///
    /// # Panics
    /// Where `arena` is shorter than [`Plan::arena_bytes`], or there is no such input.
    pub fn input_at<'a>(&self, index: usize, arena: &'a mut [u8]) -> &'a mut [u8] {
        &mut arena[self.inputs[index].1.clone()]
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
    /// Where `arena` is shorter than [`Plan::arena_bytes`].
    pub fn run<F: Fork>(&self, arena: &mut [u8], fork: &F) {
        for Step { kernel, inputs, output, scratch } in &self.steps {
            let Cut { output, scratch, rest } = Cut::new(arena, output, scratch);
            let inputs = Inputs { places: inputs, constants: &self.constants, rest };
            kernel.run(&inputs, output, scratch, fork);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Pointwise;
    use crate::{Isa, Quant, Shape};

    #[test]
    fn tensors_of_a_larger_graph_are_refused() {
        let shape = Shape::new(&[4]).expect("small");
        let form = Tensor { shape, element: Element::U8(Quant { scale: 1.0, zero_point: 0 }) };
        let graph = || Builder::new(Target { isa: Isa::SCALAR, ways: 1 }, form).expect("sound");
        let (mut larger, _) = graph();
        let foreign = larger.input(form).expect("sound");
        let (mut builder, _) = graph();
        assert_eq!(builder.form(foreign), Err(Error::Unknown));
        assert_eq!(builder.view(foreign, form), Err(Error::Unknown));
        let added = builder.add(&Op::Pointwise(Pointwise::Relu), &[foreign], form);
        assert_eq!(added, Err(Error::Unknown));
        assert_eq!(builder.finish(&[foreign]).err(), Some(Error::Unknown));
    }
}
