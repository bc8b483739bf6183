//! Operators that only move values, or give them other sides.

#![deny(clippy::indexing_slicing)]

use super::{Step, activation, axis, shape};
use crate::model::graph::Refusal;
use edge_infer::{Activation, Element, Op, Tensor, TensorId};
use tract_tflite::tflite::{BuiltinOperator, StridedSliceOptions};

/// What is taken of each axis.
#[derive(Debug, Clone, Default)]
struct Range {
    begin: Vec<usize>,
    stride: Vec<isize>,
    length: Vec<usize>,
}

impl Range {
    /// All of it.
    fn whole(sides: &[usize]) -> Self {
        let begin = vec![0; sides.len()];
        Self { stride: vec![1; sides.len()], length: sides.to_vec(), begin }
    }

    /// Only `length` places of one axis.
    fn cut(mut self, axis: usize, begin: usize, length: usize) -> Self {
        if let (Some(from), Some(count)) = (self.begin.get_mut(axis), self.length.get_mut(axis)) {
            (*from, *count) = (begin, length);
        }
        self
    }
}

impl Step<'_, '_, '_> {
    /// `RESHAPE`, `SQUEEZE`, `EXPAND_DIMS`: the same bytes, which nothing rescales.
    pub(super) fn renamed(&mut self) -> Result<(), Refusal> {
        let input = self.read(0)?;
        let output = self.operator.output()?;
        if self.operator.code == BuiltinOperator::RESHAPE {
            self.check_reshape(input)?;
        }
        self.rename(input, output)
    }

    /// The sides that a `RESHAPE` names are those of its output; one may be -1.
    fn check_reshape(&self, input: TensorId) -> Result<(), Refusal> {
        let options = self.operator.raw.builtin_options_as_reshape_options();
        let in_options = options.and_then(|options| options.new_shape());
        let sides: Vec<i64> = match (self.operator.input(1), in_options) {
            (Ok(tensor), _) => self.graph.integers(tensor)?,
            (_, Some(sides)) => sides.iter().take(8).map(i64::from).collect(),
            _ => return Ok(()),
        };
        let said = self.graph.sides(self.operator.output()?)?;
        let fits = |(named, side): (&i64, &usize)| {
            *named == -1 || usize::try_from(*named).is_ok_and(|named| named == *side)
        };
        // An old way to say "no sides at all": one side of 0.
        let scalar = sides == [0] && said.is_empty();
        if scalar || (sides.len() == said.len() && sides.iter().zip(&said).all(fits)) {
            return Ok(());
        }
        let from = self.form(input)?.shape;
        Err(format!("makes {sides:?} of {from}, the file says {said:?}"))
    }

    /// `CONCATENATION` and `PACK`.
    pub(super) fn joined(&mut self) -> Result<(), Refusal> {
        let mut inputs = self.read_all()?;
        let first = inputs.first().ok_or("has no inputs")?;
        let rank = self.form(*first)?.shape.sides().len();
        let raw = &self.operator.raw;
        if self.operator.code == BuiltinOperator::CONCATENATION {
            let options = raw.builtin_options_as_concatenation_options().ok_or("has no options")?;
            if activation(options.fused_activation_function())? != Activation::None {
                return Err("has an activation, which is not supported there".into());
            }
            let axis = axis(options.axis().into(), rank)?;
            return self.add(&Op::Concatenation { axis }, &inputs);
        }
        let options = raw.builtin_options_as_pack_options().ok_or("has no options")?;
        let axis = axis(options.axis().into(), rank + 1)?;
        for id in &mut inputs {
            *id = self.with_axis(*id, axis)?;
        }
        self.add(&Op::Concatenation { axis }, &inputs)
    }

    /// A view with an axis of one place more.
    fn with_axis(&mut self, id: TensorId, axis: usize) -> Result<TensorId, Refusal> {
        let form = self.form(id)?;
        let mut sides = form.shape.sides().to_vec();
        if axis > sides.len() {
            return Err("its inputs do not fit each other".into());
        }
        sides.insert(axis, 1);
        let form = Tensor { shape: shape(&sides)?, ..form };
        self.lowering.builder.view(id, form).map_err(|error| error.to_string())
    }

    /// `SPLIT`, `SPLIT_V`, `UNPACK`, `SLICE`, `STRIDED_SLICE`.
    pub(super) fn parted(&mut self) -> Result<(), Refusal> {
        use BuiltinOperator as B;
        let input = self.read(usize::from(self.operator.code == B::SPLIT))?;
        let shape = self.form(input)?.shape;
        let sides = shape.sides();
        let ranges = match self.operator.code {
            B::SPLIT => self.split(sides, 0, None)?,
            B::SPLIT_V => self.split(sides, 2, Some(self.sizes(1)?))?,
            B::UNPACK => self.unpack(sides)?,
            B::SLICE => vec![self.slice(sides)?],
            _ => vec![self.strided(sides)?],
        };
        if ranges.len() != self.operator.outputs.len() {
            let outputs = self.operator.outputs.len();
            return Err(format!("has {outputs} outputs, {} are expected", ranges.len()));
        }
        let copies = matches!(self.operator.code, B::UNPACK | B::SLICE | B::STRIDED_SLICE);
        for (range, output) in ranges.iter().zip(&self.operator.outputs) {
            self.part(input, range, *output, copies)?;
        }
        Ok(())
    }

    /// One part of a tensor. What only copies bytes does so whatever they mean there.
    fn part(
        &mut self,
        input: TensorId,
        range: &Range,
        output: usize,
        copies: bool,
    ) -> Result<(), Refusal> {
        let (from, to) = (self.form(input)?, self.graph.form(output)?);
        let element = if copies && to.element.is_like(from.element) { from } else { to }.element;
        let Range { begin, stride, length } = range;
        let op = Op::Slice { begin, stride, length };
        let id = self.step(&op, &[input], Tensor { element, ..to })?;
        self.rename(id, output)
    }

    /// Parts along the axis that comes in at `place`: of the lengths named, or all of one.
    fn split(
        &self,
        sides: &[usize],
        place: usize,
        lengths: Option<Vec<usize>>,
    ) -> Result<Vec<Range>, Refusal> {
        let named = self.graph.integers(self.operator.input(place)?)?;
        let [named] = named.as_slice() else { return Err("names no axis".into()) };
        let axis = axis(*named, sides.len())?;
        let side = sides.get(axis).copied().unwrap_or(0);
        let parts = self.operator.outputs.len();
        let lengths = lengths.unwrap_or_else(|| vec![side.checked_div(parts).unwrap_or(0); parts]);
        let mut begin = 0_usize;
        let mut ranges = Vec::new();
        for length in lengths {
            ranges.push(Range::whole(sides).cut(axis, begin, length));
            begin = begin.saturating_add(length);
        }
        if begin == side {
            return Ok(ranges);
        }
        Err(format!("parts of {begin} places do not make up {side}"))
    }

    fn unpack(&self, sides: &[usize]) -> Result<Vec<Range>, Refusal> {
        let options = self.operator.raw.builtin_options_as_unpack_options();
        let options = options.ok_or("has no options")?;
        let axis = axis(options.axis().into(), sides.len())?;
        let places = 0..sides.get(axis).copied().unwrap_or(0).min(self.operator.outputs.len() + 1);
        Ok(places.map(|at| Range::whole(sides).cut(axis, at, 1)).collect())
    }

    fn slice(&self, sides: &[usize]) -> Result<Range, Refusal> {
        let begin = self.sizes(1)?;
        let sizes = self.graph.integers(self.operator.input(2)?)?;
        if [begin.len(), sizes.len()] != [sides.len(); 2] {
            return Err("names another number of axes than its input has".into());
        }
        let length = |((side, begin), size): ((&usize, &usize), &i64)| match *size {
            -1 => side.saturating_sub(*begin),
            size => usize::try_from(size).unwrap_or(0),
        };
        let length: Vec<_> = sides.iter().zip(&begin).zip(&sizes).map(length).collect();
        self.expect(&length)?;
        Ok(Range { stride: vec![1; sides.len()], begin, length })
    }

    fn strided(&self, sides: &[usize]) -> Result<Range, Refusal> {
        let options = self.operator.raw.builtin_options_as_strided_slice_options();
        let options = options.ok_or("has no options")?;
        if options.ellipsis_mask() != 0 || options.new_axis_mask() != 0 {
            return Err("adds axes, which is not supported".into());
        }
        let numbers = |place| self.graph.integers(self.operator.input(place)?);
        let [begin, end, stride] = [numbers(1)?, numbers(2)?, numbers(3)?];
        let named = begin.len();
        if end.len() != named || stride.len() != named || named > sides.len() {
            return Err("names another number of axes than its input has".into());
        }
        let mut range = Range::default();
        let mut left = Vec::new();
        for (at, side) in sides.iter().enumerate() {
            let numbers = (begin.get(at), end.get(at), stride.get(at));
            let (Some(begin), Some(end), Some(stride)) = numbers else {
                range.push(0, 1, *side);
                left.push(*side);
                continue;
            };
            let bits = Bits::of(&options, at);
            let (first, stride, length) = bits.taken(*side, *begin, *end, *stride)?;
            range.push(first, stride, length);
            if !bits.shrink {
                left.push(length);
            }
        }
        self.expect(&left)?;
        Ok(range)
    }

    /// `PAD`, `TRANSPOSE`, `GATHER_ND`.
    pub(super) fn moved(&mut self) -> Result<(), Refusal> {
        let input = self.read(0)?;
        let shape = self.form(input)?.shape;
        match self.operator.code {
            BuiltinOperator::PAD => {
                let amounts = self.sizes(1)?;
                let (pairs, rest) = amounts.as_chunks::<2>();
                if pairs.len() != shape.sides().len() || !rest.is_empty() {
                    return Err("names another number of axes than its input has".into());
                }
                let sum = |([before, after], side): (&[usize; 2], &usize)| {
                    side.saturating_add(*before).saturating_add(*after)
                };
                self.expect(&pairs.iter().zip(shape.sides()).map(sum).collect::<Vec<_>>())?;
                let before: Vec<_> = pairs.iter().map(|[before, _]| *before).collect();
                self.add(&Op::Pad { before: &before }, &[input])
            }
            BuiltinOperator::TRANSPOSE => {
                let order = self.graph.integers(self.operator.input(1)?)?;
                let rank = shape.sides().len();
                let order =
                    order.iter().map(|it| axis(*it, rank)).collect::<Result<Vec<_>, _>>()?;
                self.add(&Op::Transpose { order: &order }, &[input])
            }
            _ => self.gather(input),
        }
    }

    /// `GATHER_ND` copies bytes whatever they mean in its output.
    fn gather(&mut self, input: TensorId) -> Result<(), Refusal> {
        let (output, positions) = (self.operator.output()?, self.read(1)?);
        let (from, to) = (self.form(input)?.element, self.graph.form(output)?);
        let element: Element = if to.element.is_like(from) { from } else { to.element };
        let id = self.step(&Op::GatherNd, &[input, positions], Tensor { element, ..to })?;
        self.rename(id, output)
    }
}

impl Range {
    fn push(&mut self, begin: usize, stride: isize, length: usize) {
        self.begin.push(begin);
        self.stride.push(stride);
        self.length.push(length);
    }
}

/// What `STRIDED_SLICE`'s masks say of one axis.
#[derive(Debug, Clone, Copy)]
struct Bits {
    from_first: bool,
    to_last: bool,
    shrink: bool,
}

impl Bits {
    fn of(options: &StridedSliceOptions<'_>, axis: usize) -> Self {
        let bit = |mask: i32| {
            mask.checked_shr(u32::try_from(axis).unwrap_or(32)).is_some_and(|it| it & 1 == 1)
        };
        Self {
            from_first: bit(options.begin_mask()),
            to_last: bit(options.end_mask()),
            shrink: bit(options.shrink_axis_mask()),
        }
    }

    /// The first place, the step and how many, as Python slices.
    fn taken(
        self,
        side: usize,
        begin: i64,
        end: i64,
        stride: i64,
    ) -> Result<(usize, isize, usize), Refusal> {
        let whole = i64::try_from(side).unwrap_or(i64::MAX);
        let from_front = |at: i64| if at < 0 { at.saturating_add(whole) } else { at };
        if self.shrink {
            let at = usize::try_from(from_front(begin)).ok().filter(|at| *at < side);
            return at.map(|at| (at, 1, 1)).ok_or_else(|| format!("takes place {begin} of {side}"));
        }
        let (first, last) = if stride > 0 { (0, whole) } else { (-1, whole - 1) };
        let ends = if stride > 0 { [0, whole] } else { [whole - 1, -1] };
        let begin = if self.from_first { ends[0] } else { from_front(begin).clamp(first, last) };
        let end = if self.to_last { ends[1] } else { from_front(end).clamp(first, last) };
        let step = isize::try_from(stride).ok().filter(|step| *step != 0);
        let step = step.ok_or("has a stride of 0")?;
        let reach = if stride > 0 { end - begin } else { begin - end };
        let length = u64::try_from(reach).unwrap_or(0).div_ceil(stride.unsigned_abs());
        let length = usize::try_from(length).ok().filter(|length| *length > 0);
        let length = length.ok_or("takes nothing")?;
        Ok((usize::try_from(begin).unwrap_or(0), step, length))
    }
}
