//! The tensors of a graph: their sides, what their bytes mean, and those that are constant.

#![deny(clippy::indexing_slicing)]

use super::{BUFFER_OFFSET, Graph, Refusal, lies_outside, short};
use edge_infer::{ARENA_MAX, Element, Quant, Shape, Tensor};
use std::borrow::Cow;
use tract_tflite::tflite::{self, TensorType};

/// Most sides of a tensor that are looked at.
const SIDES_MAX: usize = 8;
/// Most numbers of a constant that says where or how much.
const INTEGERS_MAX: usize = 64;

impl<'a> Graph<'a> {
    /// Tensors in all.
    pub(in super::super) fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    fn raw(&self, tensor: usize) -> Result<&tflite::Tensor<'a>, Refusal> {
        self.tensors.get(tensor).ok_or_else(|| format!("there is no tensor {tensor}"))
    }

    /// A tensor as it lies in the file.
    pub(in super::super) fn table(&self, tensor: usize) -> Option<flatbuffers::Table<'a>> {
        self.raw(tensor).ok().map(|raw| raw._tab)
    }

    /// A tensor's name, short enough for one line.
    pub(in super::super) fn name(&self, tensor: usize) -> String {
        let name = self.raw(tensor).ok().and_then(tflite::Tensor::name).unwrap_or_default();
        short(name)
    }

    fn named(&self, tensor: usize, words: impl std::fmt::Display) -> Refusal {
        format!("tensor '{}' {words}", self.name(tensor))
    }

    /// A tensor's sides; of constants that are lists, a side may be 0.
    pub(in super::super) fn sides(&self, tensor: usize) -> Result<Vec<usize>, Refusal> {
        let raw = self.raw(tensor)?;
        let sides: Vec<i32> = raw.shape().into_iter().flatten().take(SIDES_MAX + 1).collect();
        let known = sides.iter().map(|side| usize::try_from(*side).ok()).collect();
        let known: Option<Vec<usize>> = known;
        known.filter(|sides| sides.len() <= SIDES_MAX).ok_or_else(|| {
            self.named(tensor, format_args!("is {sides:?}: its sides are not known"))
        })
    }

    /// A tensor's sides, where there are `N` of them.
    pub(in super::super) fn all_sides<const N: usize>(
        &self,
        tensor: usize,
    ) -> Result<[usize; N], Refusal> {
        let sides = self.sides(tensor)?;
        sides.try_into().map_err(|sides: Vec<usize>| {
            self.named(tensor, format_args!("is {sides:?}, {N} sides are expected"))
        })
    }

    /// The type of a tensor's values.
    pub(in super::super) fn type_of(&self, tensor: usize) -> Result<TensorType, Refusal> {
        Ok(self.raw(tensor)?.type_())
    }

    /// Refuses a tensor whose sides, type, scales or bytes are not what a tensor's can be.
    pub(super) fn check(&self, tensor: usize) -> Result<(), Refusal> {
        let raw = self.raw(tensor)?;
        let (sides, each) = (self.sides(tensor)?, self.value_bytes(tensor)?);
        let bytes = sides.iter().try_fold(each, |all, side| all.checked_mul(*side));
        let bytes = bytes.filter(|bytes| *bytes <= ARENA_MAX);
        let bytes = bytes.ok_or_else(|| self.named(tensor, "is too large"))?;
        if raw.is_variable() {
            return Err(self.named(tensor, "keeps a state from one run to the next"));
        }
        if raw.sparsity().is_some() {
            return Err(self.named(tensor, "is stored sparsely"));
        }
        match self.data(tensor)? {
            data if data.len() == bytes => Ok(()),
            [] if bytes > 0 => Ok(()),
            _ => Err(self.named(tensor, format_args!("does not hold {} values", bytes / each))),
        }
    }

    /// Bytes of one value.
    fn value_bytes(&self, tensor: usize) -> Result<usize, Refusal> {
        match self.type_of(tensor)? {
            TensorType::UINT8 | TensorType::INT8 | TensorType::BOOL => Ok(1),
            TensorType::FLOAT16 | TensorType::INT16 => Ok(2),
            TensorType::FLOAT32 | TensorType::INT32 => Ok(4),
            TensorType::INT64 => Ok(8),
            other => Err(self.named(tensor, format_args!("is {}", word(other)))),
        }
    }

    /// What the file holds of a tensor: nothing for one that is computed.
    fn data(&self, tensor: usize) -> Result<&'a [u8], Refusal> {
        let buffer = usize::try_from(self.raw(tensor)?.buffer()).ok();
        let buffer = buffer.and_then(|at| self.buffers.get(at));
        let buffer = buffer.ok_or_else(|| self.named(tensor, "is in a buffer that is missing"))?;
        if lies_outside(&buffer._tab, BUFFER_OFFSET) {
            return Err(self.named(tensor, "lies behind the file's tables"));
        }
        Ok(buffer.data().map_or(&[], |data| data.bytes()))
    }

    /// Whether its values stand in the file.
    pub(in super::super) fn is_constant(&self, tensor: usize) -> Result<bool, Refusal> {
        Ok(!self.data(tensor)?.is_empty())
    }

    /// Whether it is a list of nothing, which has no bytes and needs none.
    pub(super) fn is_empty(&self, tensor: usize) -> bool {
        self.sides(tensor).is_ok_and(|sides| sides.contains(&0))
    }

    /// The bytes of a constant of `count` values of `type_`.
    pub(in super::super) fn constant(
        &self,
        tensor: usize,
        type_: TensorType,
        count: usize,
    ) -> Result<&'a [u8], Refusal> {
        self.expect_type(tensor, type_)?;
        let data = self.data(tensor)?;
        if count.checked_mul(self.value_bytes(tensor)?) == Some(data.len()) {
            return Ok(data);
        }
        Err(self.named(tensor, format_args!("does not hold {count} values")))
    }

    /// The numbers of a constant that says where or how much, and of how many sides it is.
    pub(in super::super) fn integers(&self, tensor: usize) -> Result<Vec<i64>, Refusal> {
        let count: usize = self.sides(tensor)?.iter().product();
        if count > INTEGERS_MAX {
            return Err(self.named(tensor, format_args!("holds {count} numbers")));
        }
        if !self.is_constant(tensor)? && count > 0 {
            return Err(self.named(tensor, "is not a constant"));
        }
        if self.type_of(tensor)? == TensorType::INT64 {
            let bytes = self.constant(tensor, TensorType::INT64, count)?;
            return Ok(bytes.as_chunks().0.iter().map(|it| i64::from_le_bytes(*it)).collect());
        }
        let bytes = self.constant(tensor, TensorType::INT32, count)?;
        Ok(bytes.as_chunks().0.iter().map(|it| i32::from_le_bytes(*it).into()).collect())
    }

    fn expect_type(&self, tensor: usize, expect: TensorType) -> Result<(), Refusal> {
        let type_ = self.type_of(tensor)?;
        if type_ == expect {
            return Ok(());
        }
        let (is, should) = (word(type_), word(expect));
        Err(self.named(tensor, format_args!("is {is}, {should} is expected")))
    }

    /// Scales and zero points, as many as the file has up to `most`.
    fn steps(&self, tensor: usize, most: usize) -> Result<Vec<(f32, i64)>, Refusal> {
        let quantization = self.raw(tensor)?.quantization();
        let scales = quantization.as_ref().and_then(tflite::QuantizationParameters::scale);
        let zeros = quantization.as_ref().and_then(tflite::QuantizationParameters::zero_point);
        let [one, other] = [scales.map_or(0, |it| it.len()), zeros.map_or(0, |it| it.len())];
        if one != other || one > most {
            let words = format!("has {one} scales and {other} zero points");
            return Err(self.named(tensor, words));
        }
        Ok(scales.iter().flatten().zip(zeros.iter().flatten()).collect())
    }

    /// What the stored bytes of an 8-bit tensor mean, `INT8` being stored plus 128; `None`
    /// where the file does not say.
    fn meaning(&self, tensor: usize) -> Result<Option<Quant>, Refusal> {
        let excess = if self.type_of(tensor)? == TensorType::INT8 { 128 } else { 0 };
        let steps = self.steps(tensor, 1)?;
        let Some((scale, zero)) = steps.first() else { return Ok(None) };
        let zero_point = zero.checked_add(excess).and_then(|zero| u8::try_from(zero).ok());
        let quant = zero_point.map(|zero_point| Quant { scale: *scale, zero_point });
        let sound = quant.filter(Quant::is_sound);
        let words = format_args!("has scale {scale} and zero point {zero}");
        sound.map(Some).ok_or_else(|| self.named(tensor, words))
    }

    /// Whether the file says what an 8-bit tensor's bytes mean; others need no saying.
    pub(in super::super) fn is_meant(&self, tensor: usize) -> Result<bool, Refusal> {
        let eight_bits = matches!(self.type_of(tensor)?, TensorType::UINT8 | TensorType::INT8);
        Ok(!eight_bits || self.meaning(tensor)?.is_some())
    }

    /// What the bytes of a `UINT8` or `INT8` tensor mean.
    pub(in super::super) fn quant(&self, tensor: usize) -> Result<Quant, Refusal> {
        self.element(tensor)?
            .quant()
            .ok()
            .filter(|_| self.is_meant(tensor) == Ok(true))
            .ok_or_else(|| self.named(tensor, "has no scale and zero point of its own"))
    }

    /// A tensor's elements, as they lie in an arena. Where the file does not say what 8 bits
    /// mean, they mean themselves.
    pub(in super::super) fn element(&self, tensor: usize) -> Result<Element, Refusal> {
        let itself = |zero_point| Quant { scale: 1.0, zero_point };
        match self.type_of(tensor)? {
            TensorType::UINT8 => Ok(Element::U8(self.meaning(tensor)?.unwrap_or(itself(0)))),
            TensorType::INT8 => Ok(Element::I8(self.meaning(tensor)?.unwrap_or(itself(128)))),
            TensorType::INT32 => Ok(Element::I32),
            TensorType::FLOAT32 => Ok(Element::F32),
            other => {
                Err(self.named(tensor, format_args!("is {}, which is not supported", word(other))))
            }
        }
    }

    /// A tensor's form.
    pub(in super::super) fn form(&self, tensor: usize) -> Result<Tensor, Refusal> {
        let shape = Shape::new(&self.sides(tensor)?);
        let shape =
            shape.map_err(|error| self.named(tensor, format_args!("cannot be: {error}")))?;
        Ok(Tensor { shape, element: self.element(tensor)? })
    }

    /// The bytes of a constant as they lie in an arena.
    pub(in super::super) fn stored(&self, tensor: usize) -> Result<Cow<'a, [u8]>, Refusal> {
        let data = self.data(tensor)?;
        Ok(match self.type_of(tensor)? {
            TensorType::INT8 => data.iter().map(|byte| byte ^ 0x80).collect(),
            _ => data.into(),
        })
    }

    /// The scales of `channels` along axis `axis` of `INT8` or `UINT8` weights, and the stored
    /// value that means 0, in `INT8`'s range.
    pub(in super::super) fn scales(
        &self,
        tensor: usize,
        axis: usize,
        channels: usize,
    ) -> Result<(Vec<f32>, i8), Refusal> {
        let steps = self.steps(tensor, channels)?;
        let unsigned = self.type_of(tensor)? == TensorType::UINT8;
        let excess = if unsigned { 128 } else { 0 };
        let refuse = |words: &str| Err(self.named(tensor, words));
        let Some((_, zero)) = steps.first() else { return refuse("has no scale") };
        let zero_point = zero.checked_sub(excess).and_then(|zero| i8::try_from(zero).ok());
        let Some(zero_point) = zero_point else { return refuse("has a zero point out of range") };
        if steps.iter().any(|(_, other)| other != zero) || (!unsigned && *zero != 0) {
            return refuse("has zero points that are not supported");
        }
        let scales: Vec<f32> = match (steps.as_slice(), unsigned) {
            ([(scale, _)], _) => vec![*scale; channels],
            (steps, false) if steps.len() == channels => {
                let along = self.raw(tensor)?.quantization().map(|it| it.quantized_dimension());
                if along.and_then(|along| usize::try_from(along).ok()) != Some(axis) {
                    return refuse("has scales along an axis that is not its channels'");
                }
                steps.iter().map(|(scale, _)| *scale).collect()
            }
            _ => return refuse("has another number of scales than of channels"),
        };
        Ok((scales, zero_point))
    }
}

fn word(type_: TensorType) -> &'static str {
    type_.variant_name().unwrap_or("of an unknown type")
}
