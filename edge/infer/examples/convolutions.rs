//! Runs the convolutions of a TFLite file a number of times, for whoever counts instructions.
//!
//! ```text
//! convolutions list                                  the sets of kernels that this machine has
//! convolutions FILE KERNELS RUNS [INPUT [OUTPUT]]    RUNS runs with one of them
//! ```
//! Every other operator is left out, so a detector is cut at its heads; OUTPUT gets what they
//! write, boxes first, then classes. It reads just enough of the format to need no other crate:
//! it is built for machines that the appliance's reader takes long to build for.

use edge_infer::{
    Activation, Alone, Builder, Conv, Depthwise, Element, Isa, Op, Padding, Plan, Quant, Shape,
    Target, Tensor, TensorId, Weights, Window,
};
use std::collections::HashMap;
use std::error::Error;
use std::io::Write;

/// A table of a flatbuffer: the whole file, and where the table lies.
#[derive(Clone, Copy)]
struct Table<'a>(&'a [u8], usize);

impl<'a> Table<'a> {
    fn root(bytes: &'a [u8]) -> Self {
        Self(bytes, 0).at(0)
    }

    fn number<const N: usize>(self, at: usize) -> [u8; N] {
        *self.0[at..].first_chunk().expect("the file is whole")
    }

    fn word(self, at: usize) -> usize {
        usize::try_from(u32::from_le_bytes(self.number(at))).expect("32 bits fit")
    }

    /// What an offset at `at` leads to.
    fn at(self, at: usize) -> Self {
        Self(self.0, at + self.word(at))
    }

    /// Where a field lies, if it is there.
    fn field(self, index: usize) -> Option<usize> {
        let back = i32::from_le_bytes(self.number(self.1));
        let names = self.1.checked_add_signed(-isize::try_from(back).ok()?)?;
        let entry = 4 + 2 * index;
        let length = usize::from(u16::from_le_bytes(self.number(names)));
        let offset = u16::from_le_bytes(self.number(names + entry));
        (entry < length && offset > 0).then(|| self.1 + usize::from(offset))
    }

    fn byte(self, index: usize) -> i8 {
        self.field(index).map_or(0, |at| i8::from_le_bytes(self.number(at)))
    }

    fn int(self, index: usize, missing: usize) -> usize {
        self.field(index).map_or(missing, |at| self.word(at))
    }

    fn table(self, index: usize) -> Self {
        self.at(self.field(index).expect("the field is there"))
    }

    /// Where the elements of a vector lie, `size` bytes each.
    fn vector(self, index: usize, size: usize) -> impl Iterator<Item = usize> + 'a {
        let vector = self.field(index).map(|field| self.at(field));
        vector.into_iter().flat_map(move |Self(bytes, at)| {
            let count = Self(bytes, at).word(at);
            (0..count).map(move |element| at + 4 + element * size)
        })
    }

    fn tables(self, index: usize) -> Vec<Self> {
        self.vector(index, 4).map(|at| self.at(at)).collect()
    }

    fn ints(self, index: usize) -> Vec<usize> {
        self.vector(index, 4).map(|at| self.word(at)).collect()
    }
}

/// A tensor's numbers.
struct Form<'a> {
    shape: Vec<usize>,
    is_u8: bool,
    scales: Vec<f32>,
    zero_point: i64,
    data: &'a [u8],
}

impl<'a> Form<'a> {
    fn new(tensor: Table<'a>, buffers: &[Table<'a>]) -> Self {
        let quant = tensor.field(4).map(|at| tensor.at(at));
        let scales = quant.map(|quant| {
            quant.vector(2, 4).map(|at| f32::from_le_bytes(quant.number(at))).collect()
        });
        let zero_point = quant.and_then(|quant| {
            quant.vector(3, 8).next().map(|at| i64::from_le_bytes(quant.number(at)))
        });
        let buffer = buffers[tensor.int(2, 0)];
        let start = buffer.vector(0, 1).next().unwrap_or(0);
        Self {
            shape: tensor.ints(0),
            is_u8: tensor.byte(1) == 3,
            scales: scales.unwrap_or_default(),
            zero_point: zero_point.unwrap_or(0),
            data: &buffer.0[start..start + buffer.vector(0, 1).count()],
        }
    }

    /// The form of an activation: `INT8` is held plus 128.
    fn tensor(&self) -> Result<Tensor, Box<dyn Error>> {
        let [_, rows, columns, channels] = self.shape[..] else { return Err("no picture".into()) };
        let excess = if self.is_u8 { 0 } else { 128 };
        let quant =
            Quant { scale: self.scales[0], zero_point: u8::try_from(self.zero_point + excess)? };
        let element = if self.is_u8 { Element::U8(quant) } else { Element::I8(quant) };
        let shape = Shape::picture(rows, columns, channels).map_err(|e| format!("{e:?}"))?;
        Ok(Tensor { shape, element })
    }
}

/// The plan of all convolutions of a file; their ends are its outputs.
fn plan(file: &[u8], isa: Isa) -> Result<Plan, Box<dyn Error>> {
    let model = Table::root(file);
    let (codes, buffers) = (model.tables(1), model.tables(4));
    let graph = model.tables(2)[0];
    let forms: Vec<Form<'_>> =
        graph.tables(0).into_iter().map(|tensor| Form::new(tensor, &buffers)).collect();
    let input = graph.ints(1)[0];
    let target = Target { isa, ways: 1 };
    let wrong = |error: edge_infer::Error| format!("{error:?}");
    let (mut builder, id) = Builder::new(target, forms[input].tensor()?).map_err(wrong)?;
    let mut ids = HashMap::from([(input, id)]);
    let (mut written, mut read) = (Vec::new(), Vec::new());
    for operator in graph.tables(3) {
        let code = codes[operator.int(0, 0)];
        let code = code.int(3, 0).max(usize::try_from(code.byte(0))?);
        let (inputs, output) = (operator.ints(1), operator.ints(2)[0]);
        if !matches!(code, 3 | 4) || !ids.contains_key(&inputs[0]) {
            continue;
        }
        let id = add(&mut builder, operator, code == 4, &forms, ids[&inputs[0]])?;
        read.push(ids[&inputs[0]]);
        written.push(id);
        ids.insert(output, id);
    }
    let ends: Vec<TensorId> = written.into_iter().filter(|id| !read.contains(id)).collect();
    let (boxes, classes) = (ends.iter().step_by(2), ends.iter().skip(1).step_by(2));
    let ends: Vec<TensorId> = boxes.chain(classes).copied().collect();
    Ok(builder.finish(&ends).map_err(wrong)?)
}

fn add(
    builder: &mut Builder,
    operator: Table<'_>,
    depthwise: bool,
    forms: &[Form<'_>],
    input: TensorId,
) -> Result<TensorId, Box<dyn Error>> {
    let (inputs, output) = (operator.ints(1), operator.ints(2)[0]);
    let (weights, bias) = (&forms[inputs[1]], &forms[inputs[2]]);
    let options = operator.table(4);
    let after = if depthwise { 4 } else { 3 };
    let activation = match options.byte(after) {
        0 => Activation::None,
        1 => Activation::Relu,
        3 => Activation::Relu6,
        _ => return Err("an activation that is none of ours".into()),
    };
    let window = Window {
        kernel: [weights.shape[1], weights.shape[2]],
        stride: [options.int(2, 1), options.int(1, 1)],
        dilation: [options.int(after + 2, 1), options.int(after + 1, 1)],
        padding: if options.byte(0) == 0 { Padding::Same } else { Padding::Valid },
    };
    let top = if weights.is_u8 { 128 } else { 0 };
    let stored: Vec<i8> = weights.data.iter().map(|byte| (byte ^ top).cast_signed()).collect();
    let zero_point = i8::try_from(weights.zero_point - i64::from(top))?;
    let bias: Vec<i32> =
        bias.data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect();
    let mut scales = weights.scales.clone();
    scales.resize(bias.len(), scales[0]);
    let (scales, bias) = (&*scales, &*bias);
    let weights = Weights { stored: &stored, zero_point, scales };
    let op = if depthwise {
        Op::Depthwise(Depthwise { window, weights, bias, activation })
    } else {
        Op::Conv(Conv { window, weights, bias, activation })
    };
    let form = forms[output].tensor()?;
    Ok(builder.add(&op, &[input], form).map_err(|error| format!("{error:?}"))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["list"] {
        let names: Vec<&str> = Isa::all().map(Isa::name).collect();
        writeln!(out, "{}", names.join(" "))?;
        return Ok(());
    }
    let [file, kernels, runs, files @ ..] = &args[..] else {
        return Err("usage: convolutions FILE KERNELS RUNS [INPUT [OUTPUT]]".into());
    };
    let isa = Isa::all().find(|isa| isa.name() == kernels);
    let isa = isa.ok_or_else(|| format!("this machine has no {kernels} kernels"))?;
    let plan = plan(&std::fs::read(file)?, isa)?;
    let mut arena = vec![0; plan.arena_bytes()];
    let picture = files.first().map(std::fs::read).transpose()?;
    for _ in 0..runs.parse::<u32>()? {
        if let Some(picture) = &picture {
            plan.input(&mut arena).copy_from_slice(picture);
        }
        plan.run(&mut arena, &Alone);
    }
    if let Some(path) = files.get(1) {
        let outputs = plan.output_forms().enumerate().map(|(at, _)| plan.output(at, &arena));
        std::fs::write(path, outputs.collect::<Vec<_>>().concat())?;
    }
    writeln!(out, "{runs} runs with {} in {} bytes", isa.name(), arena.len())?;
    Ok(())
}
