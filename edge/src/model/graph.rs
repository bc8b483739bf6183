//! A TFLite file as a graph: operators and tensors by number, every access checked.
//!
//! Read with the schema that tract-tflite generates, after its verifier has passed the bytes.
//! What holds once a graph is read: every number names a tensor, none is written twice, and an
//! operator reads only what is constant, the input, or written before.

#![deny(clippy::indexing_slicing)]

mod tensors;

use super::{Kind, metadata};
use tract_tflite::tflite::{self, BuiltinOperator};

/// Most operators of a graph; more is refused.
const OPERATORS_MAX: usize = 4096;
/// Most tensors of a graph, and most buffers of a file.
const TENSORS_MAX: usize = 1 << 16;
/// Most inputs, and most outputs, of an operator and of the graph.
const LIST_MAX: usize = 64;
/// Where a table of the schema holds a field that tract's edition of it does not know: a
/// buffer's offset from the file's beginning, the same of a custom operator's options.
const BUFFER_OFFSET: u16 = 6;
const OPTIONS_OFFSET: u16 = 22;

/// What in the file is in the way, in words.
pub(super) type Refusal = String;

/// The one subgraph of a verified file.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub(super) operators: Vec<Operator<'a>>,
    /// The numbers of what it is given.
    pub(super) inputs: Vec<usize>,
    /// The numbers of what it computes.
    pub(super) outputs: Vec<usize>,
    /// Length of the file.
    pub(super) file_bytes: usize,
    pub(super) model: tflite::Model<'a>,
    tensors: Vec<tflite::Tensor<'a>>,
    buffers: Vec<tflite::Buffer<'a>>,
    /// The operator that writes each tensor.
    writers: Vec<Option<usize>>,
}

/// One operator.
#[derive(Debug, Clone)]
pub(super) struct Operator<'a> {
    pub(super) code: BuiltinOperator,
    /// As TensorFlow spells it; a custom operator's own name.
    pub(super) name: String,
    /// Numbers of tensors; `None` for one that is left out.
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) outputs: Vec<usize>,
    pub(super) raw: tflite::Operator<'a>,
}

impl<'a> Graph<'a> {
    /// The graph in `bytes`, whatever they are.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, (Kind, Refusal)> {
        let not_tflite = || (Kind::NotTflite, "is not a TFLite file".to_owned());
        if bytes.get(4..8) != Some(tflite::MODEL_IDENTIFIER.as_bytes()) {
            return Err(not_tflite());
        }
        let model = tflite::root_as_model(bytes).map_err(|_| not_tflite())?;
        Self::of(model, bytes.len()).map_err(|refusal| (Kind::Unsupported, refusal))
    }

    fn of(model: tflite::Model<'a>, file_bytes: usize) -> Result<Self, Refusal> {
        let codes: Vec<_> = model.operator_codes().iter().flatten().take(OPERATORS_MAX).collect();
        let subgraphs = model.subgraphs().map_or(0, |list| list.len());
        if subgraphs > 1 {
            return Err(format!("has {subgraphs} subgraphs, one is expected"));
        }
        let subgraph = model.subgraphs().iter().flatten().next().ok_or("has no graph")?;
        let tensors: Vec<_> = subgraph.tensors().iter().flatten().take(TENSORS_MAX + 1).collect();
        let buffers: Vec<_> = model.buffers().iter().flatten().take(TENSORS_MAX + 1).collect();
        if tensors.len().max(buffers.len()) > TENSORS_MAX {
            return Err(format!("has more than {TENSORS_MAX} tensors"));
        }
        if subgraph.operators().is_some_and(|operators| operators.len() > OPERATORS_MAX) {
            return Err(format!("has more than {OPERATORS_MAX} operators"));
        }
        let operators = subgraph
            .operators()
            .iter()
            .flatten()
            .map(|raw| Operator::of(raw, &codes, tensors.len()))
            .collect::<Result<Vec<_>, _>>()?;
        let ends = |what: &str, list| {
            let list =
                numbers(list, tensors.len()).map_err(|refusal| format!("{what} {refusal}"))?;
            list.into_iter().collect::<Option<Vec<_>>>().ok_or(format!("{what} names no tensor"))
        };
        let inputs = ends("its list of inputs", subgraph.inputs())?;
        let outputs = ends("its list of outputs", subgraph.outputs())?;
        let writers = vec![None; tensors.len()];
        let mut graph =
            Self { operators, inputs, outputs, file_bytes, model, tensors, buffers, writers };
        graph.follow()?;
        Ok(graph)
    }

    /// Notes who writes what, in the order in which it happens.
    fn follow(&mut self) -> Result<(), Refusal> {
        for (at, input) in self.inputs.iter().enumerate() {
            self.check(*input).map_err(|words| format!("its input: {words}"))?;
            if self.is_constant(*input)? || self.inputs.iter().take(at).any(|it| it == input) {
                return Err(format!("its input '{}' is there already", self.name(*input)));
            }
        }
        let mut writers = vec![None; self.tensors.len()];
        for (at, operator) in self.operators.iter().enumerate() {
            let refuse = |words: String| format!("{}: {words}", self.place(operator));
            for read in operator.inputs.iter().flatten() {
                let written = writers.get(*read).is_some_and(Option::is_some);
                let there = written || self.inputs.contains(read) || self.is_empty(*read);
                if !there && !self.is_constant(*read).map_err(refuse)? {
                    let words = format!("reads '{}' before it is written", self.name(*read));
                    return Err(refuse(words));
                }
            }
            for write in &operator.outputs {
                let taken =
                    self.inputs.contains(write) || self.is_constant(*write).map_err(refuse)?;
                match writers.get_mut(*write) {
                    Some(writer @ None) if !taken => *writer = Some(at),
                    _ => {
                        let words = format!("writes '{}', which is there", self.name(*write));
                        return Err(refuse(words));
                    }
                }
            }
        }
        self.writers = writers;
        Ok(())
    }

    /// The operator that writes a tensor.
    pub(super) fn writer(&self, tensor: usize) -> Option<&Operator<'a>> {
        self.operators.get(self.writers.get(tensor).copied().flatten()?)
    }

    /// The operators between the input and `outputs`, in the file's order, each with tensors
    /// that are what they say they are.
    pub(super) fn needed(&self, outputs: &[usize]) -> Result<Vec<&Operator<'a>>, Refusal> {
        let mut wanted = vec![false; self.tensors.len()];
        mark(&mut wanted, outputs.iter());
        let mut needed = Vec::new();
        for operator in self.operators.iter().rev() {
            let wants = |tensor: &usize| wanted.get(*tensor).copied().unwrap_or(false);
            if !operator.outputs.iter().any(wants) {
                continue;
            }
            mark(&mut wanted, operator.inputs.iter().flatten());
            needed.push(operator);
        }
        needed.reverse();
        for operator in &needed {
            for tensor in operator.inputs.iter().flatten().chain(&operator.outputs) {
                self.check(*tensor)
                    .map_err(|words| format!("{}: {words}", self.place(operator)))?;
            }
        }
        Ok(needed)
    }

    /// The bytes of the file's metadata.
    pub(super) fn metadata(&self) -> Option<&'a [u8]> {
        let mut all = self.model.metadata()?.iter();
        let buffer = all.find(|it| it.name() == Some(metadata::NAME))?.buffer();
        self.buffers.get(usize::try_from(buffer).ok()?)?.data().map(|data| data.bytes())
    }

    /// Operator and tensor, for a refusal.
    pub(super) fn place(&self, operator: &Operator<'_>) -> String {
        let output = operator.outputs.first().map(|tensor| self.name(*tensor)).unwrap_or_default();
        format!("operator {} (tensor '{output}')", operator.name)
    }
}

impl<'a> Operator<'a> {
    fn of(
        raw: tflite::Operator<'a>,
        codes: &[tflite::OperatorCode<'a>],
        tensors: usize,
    ) -> Result<Self, Refusal> {
        let index = usize::try_from(raw.opcode_index()).ok();
        let code = index
            .and_then(|index| codes.get(index))
            .ok_or_else(|| format!("has an operator of unknown code {}", raw.opcode_index()))?;
        // Small codes stand in the older field, large ones in the newer.
        let builtin = i32::from(code.deprecated_builtin_code()).max(code.builtin_code().0);
        let builtin = BuiltinOperator(builtin);
        let name = match (builtin, code.custom_code()) {
            (BuiltinOperator::CUSTOM, Some(custom)) => short(custom),
            _ => builtin
                .variant_name()
                .map_or_else(|| format!("number {}", builtin.0), ToOwned::to_owned),
        };
        if lies_outside(&raw._tab, OPTIONS_OFFSET) {
            return Err(format!("operator {name} keeps its options behind the file's tables"));
        }
        let refuse = |refusal| format!("operator {name} {refusal}");
        let inputs = numbers(raw.inputs(), tensors).map_err(refuse)?;
        let outputs = numbers(raw.outputs(), tensors).map_err(refuse)?;
        let outputs = outputs.into_iter().collect::<Option<Vec<_>>>();
        let outputs = outputs.ok_or_else(|| refuse("has an output that is no tensor".into()))?;
        Ok(Self { code: builtin, name, inputs, outputs, raw })
    }

    /// The tensor that comes in at `place`.
    pub(super) fn input(&self, place: usize) -> Result<usize, Refusal> {
        let input = self.inputs.get(place).copied().flatten();
        input.ok_or_else(|| format!("has no input {place}"))
    }

    /// The one tensor that it writes.
    pub(super) fn output(&self) -> Result<usize, Refusal> {
        match self.outputs.as_slice() {
            [output] => Ok(*output),
            outputs => Err(format!("has {} outputs, one is expected", outputs.len())),
        }
    }
}

fn mark<'t>(wanted: &mut [bool], tensors: impl Iterator<Item = &'t usize>) {
    for tensor in tensors {
        if let Some(slot) = wanted.get_mut(*tensor) {
            *slot = true;
        }
    }
}

/// A list of tensors; `None` for TFLite's -1, left out.
fn numbers(
    list: Option<flatbuffers::Vector<'_, i32>>,
    tensors: usize,
) -> Result<Vec<Option<usize>>, Refusal> {
    let list: Vec<i32> = list.into_iter().flatten().take(LIST_MAX + 1).collect();
    if list.len() > LIST_MAX {
        return Err(format!("has more than {LIST_MAX} tensors"));
    }
    let number = |raw: i32| match usize::try_from(raw) {
        Ok(number) if number < tensors => Ok(Some(number)),
        Err(_) if raw == -1 => Ok(None),
        _ => Err(format!("names tensor {raw}, there are {tensors}")),
    };
    list.into_iter().map(number).collect()
}

/// Whether a table says that what it describes lies at an offset of the file. 0 and 1 are
/// what writers put there before they know better.
fn lies_outside(table: &flatbuffers::Table<'_>, field: u16) -> bool {
    let at = usize::from(table.vtable().get(field));
    let place = table.loc().checked_add(at).filter(|_| at > 0);
    let bytes = place.and_then(|place| table.buf().get(place..)?.first_chunk());
    bytes.is_some_and(|bytes| u64::from_le_bytes(*bytes) > 1)
}

/// At most 80 characters; an error escapes those that would move a terminal's cursor.
fn short(name: &str) -> String {
    name.chars().take(80).collect()
}
