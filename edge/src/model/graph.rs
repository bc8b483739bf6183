//! A TFLite file as a graph: operators and tensors by number, every access checked.
//!
//! Read with the schema that tract-tflite generates, after its verifier has passed the bytes.

#![deny(clippy::indexing_slicing)]

use super::Kind;
use edge_infer::{Quant, Shape};
use tract_tflite::tflite::{self, BuiltinOperator, TensorType};

/// Most operators of a graph; more is refused.
const OPERATORS_MAX: usize = 4096;
/// Most inputs, and most outputs, of an operator.
const TENSORS_MAX: usize = 64;

/// What in the file is in the way, in words.
pub(super) type Refusal = String;

/// The first subgraph of a verified file.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub(super) operators: Vec<Operator<'a>>,
    tensors: Vec<tflite::Tensor<'a>>,
    buffers: Vec<&'a [u8]>,
    /// The number of the one input tensor.
    pub(super) input: usize,
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
        Self::of(&model).map_err(|refusal| (Kind::Unsupported, refusal))
    }

    fn of(model: &tflite::Model<'a>) -> Result<Self, Refusal> {
        let codes: Vec<_> = model.operator_codes().iter().flatten().collect();
        let subgraph = model.subgraphs().iter().flatten().next().ok_or("has no graph")?;
        let tensors: Vec<_> = subgraph.tensors().iter().flatten().collect();
        let buffers = model.buffers().into_iter().flatten();
        let buffers = buffers.map(|b| b.data().map_or(&[][..], |data| data.bytes())).collect();
        if subgraph.operators().is_some_and(|operators| operators.len() > OPERATORS_MAX) {
            return Err(format!("has more than {OPERATORS_MAX} operators"));
        }
        let operators = subgraph
            .operators()
            .iter()
            .flatten()
            .map(|raw| Operator::of(raw, &codes, tensors.len()))
            .collect::<Result<_, _>>()?;
        let inputs: Vec<i32> = subgraph.inputs().iter().flatten().collect();
        let [input] = inputs.as_slice() else {
            return Err(format!("has {} inputs, one is expected", inputs.len()));
        };
        let input = number(*input, tensors.len())?.ok_or("its input is no tensor")?;
        Ok(Self { operators, tensors, buffers, input })
    }

    /// Tensors in all.
    pub(super) fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    fn raw(&self, tensor: usize) -> Result<&tflite::Tensor<'a>, Refusal> {
        self.tensors.get(tensor).ok_or_else(|| format!("there is no tensor {tensor}"))
    }

    /// A tensor's name, short enough for one line.
    pub(super) fn name(&self, tensor: usize) -> String {
        let name = self.raw(tensor).ok().and_then(tflite::Tensor::name).unwrap_or_default();
        printable(name)
    }

    /// A tensor's sides.
    pub(super) fn sides<const N: usize>(&self, tensor: usize) -> Result<[usize; N], Refusal> {
        let sides: Vec<i32> = self.raw(tensor)?.shape().into_iter().flatten().take(8).collect();
        let known: Option<Vec<usize>> =
            sides.iter().map(|side| usize::try_from(*side).ok().filter(|side| *side > 0)).collect();
        known.and_then(|sides| sides.try_into().ok()).ok_or_else(|| {
            format!("tensor '{}' is {sides:?}, {N} sides are expected", self.name(tensor))
        })
    }

    /// An activation's sides, `[1, rows, columns, channels]`.
    pub(super) fn shape(&self, tensor: usize) -> Result<Shape, Refusal> {
        let [one, rows, columns, channels] = self.sides(tensor)?;
        let named = |words| format!("tensor '{}' {words}", self.name(tensor));
        if one != 1 {
            return Err(named(format!("holds {one} pictures, 1 is expected")));
        }
        Shape::picture(rows, columns, channels).map_err(|error| named(error.to_string()))
    }

    /// What the bytes of a `UINT8` tensor mean.
    pub(super) fn quant(&self, tensor: usize) -> Result<Quant, Refusal> {
        self.expect_type(tensor, TensorType::UINT8)?;
        let quantization = self.raw(tensor)?.quantization();
        let scales = quantization.as_ref().and_then(tflite::QuantizationParameters::scale);
        let zeros = quantization.as_ref().and_then(tflite::QuantizationParameters::zero_point);
        let scales: Vec<f32> = scales.iter().flatten().take(2).collect();
        let zeros: Vec<i64> = zeros.iter().flatten().take(2).collect();
        let quant = match (scales.as_slice(), zeros.as_slice()) {
            ([scale], [zero]) => {
                u8::try_from(*zero).ok().map(|zero_point| Quant { scale: *scale, zero_point })
            }
            _ => None,
        };
        quant.filter(Quant::is_sound).ok_or_else(|| {
            format!("tensor '{}' has no scale and zero point of its own", self.name(tensor))
        })
    }

    /// The bytes of a constant of `count` values of `type_`.
    pub(super) fn constant(
        &self,
        tensor: usize,
        type_: TensorType,
        count: usize,
    ) -> Result<&'a [u8], Refusal> {
        self.expect_type(tensor, type_)?;
        let size = if type_ == TensorType::UINT8 { 1 } else { 4 };
        let buffer = usize::try_from(self.raw(tensor)?.buffer()).ok();
        let bytes = buffer.and_then(|at| self.buffers.get(at)).copied();
        bytes
            .filter(|bytes| count.checked_mul(size) == Some(bytes.len()))
            .ok_or_else(|| format!("tensor '{}' does not hold {count} values", self.name(tensor)))
    }

    /// The type of a tensor's values.
    pub(super) fn type_of(&self, tensor: usize) -> Result<TensorType, Refusal> {
        Ok(self.raw(tensor)?.type_())
    }

    fn expect_type(&self, tensor: usize, expect: TensorType) -> Result<(), Refusal> {
        let type_ = self.type_of(tensor)?;
        if type_ == expect {
            return Ok(());
        }
        let word = |type_: TensorType| type_.variant_name().unwrap_or("of an unknown type");
        let (is, should) = (word(type_), word(expect));
        Err(format!("tensor '{}' is {is}, {should} is expected", self.name(tensor)))
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
            (BuiltinOperator::CUSTOM, Some(custom)) => printable(custom),
            _ => builtin
                .variant_name()
                .map_or_else(|| format!("number {}", builtin.0), ToOwned::to_owned),
        };
        let list = |tensors_of: Option<flatbuffers::Vector<'a, i32>>| {
            let list: Vec<i32> = tensors_of.into_iter().flatten().take(TENSORS_MAX + 1).collect();
            if list.len() > TENSORS_MAX {
                return Err(format!("operator {name} has more than {TENSORS_MAX} tensors"));
            }
            let numbers: Result<Vec<_>, _> =
                list.into_iter().map(|tensor| number(tensor, tensors)).collect();
            numbers.map_err(|refusal| format!("operator {name} {refusal}"))
        };
        let inputs = list(raw.inputs())?;
        let outputs = list(raw.outputs())?.into_iter().flatten().collect();
        Ok(Self { code: builtin, name, inputs, outputs, raw })
    }

    /// The tensor that comes in at `place`.
    pub(super) fn input(&self, place: usize) -> Result<usize, Refusal> {
        let input = self.inputs.get(place).copied().flatten();
        input.ok_or_else(|| format!("operator {} has no input {place}", self.name))
    }

    /// The tensor that it writes.
    pub(super) fn output(&self) -> Result<usize, Refusal> {
        let output = self.outputs.first().copied();
        output.ok_or_else(|| format!("operator {} has no output", self.name))
    }
}

/// A tensor's number; `None` for TFLite's -1, left out.
fn number(raw: i32, tensors: usize) -> Result<Option<usize>, Refusal> {
    let number = usize::try_from(raw).ok();
    if raw == -1 || number.is_some_and(|number| number < tensors) {
        Ok(number)
    } else {
        Err(format!("names tensor {raw}, there are {tensors}"))
    }
}

/// At most 80 characters, none of which moves a terminal's cursor.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}
