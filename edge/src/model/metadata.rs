//! What a file's metadata says of its input: how pixels become numbers.
//!
//! Total: bytes that are no metadata say nothing. Only the way to `NormalizationOptions` is
//! read, after TFLite Support's `metadata_schema.fbs`; tables and vectors lie there as the
//! `FlatBuffers` documentation, page "Internals", describes.

#![deny(clippy::indexing_slicing)]

/// The name of the buffer that holds it.
pub(super) const NAME: &str = "TFLITE_METADATA";
/// What the file's identifier is.
const IDENTIFIER: &[u8] = b"M001";
/// Most process units of a tensor that are looked at.
const UNITS_MAX: usize = 16;
/// `ModelMetadata.subgraph_metadata`, `SubGraphMetadata.input_tensor_metadata`,
/// `TensorMetadata.process_units`.
const SUBGRAPHS: usize = 3;
const INPUTS: usize = 2;
const UNITS: usize = 4;
/// `ProcessUnit.options`, a union: its type, and the one that is `NormalizationOptions`.
const KIND: usize = 0;
const OPTIONS: usize = 1;
const NORMALIZATION: u8 = 1;
/// `NormalizationOptions`.
const MEAN: usize = 0;
const STD: usize = 1;

/// `number = (pixel - mean) / std`, for each of red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Normalization {
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
}

impl Normalization {
    /// -1 to 1: what float detectors want that say nothing.
    pub(super) const USUAL: Self = Self { mean: [127.5; 3], std: [127.5; 3] };

    /// Writes pixels, three bytes each, as `f32`, little-endian.
    pub(super) fn write(&self, pixels: &[u8], out: &mut [u8]) {
        let numbers = self.mean.iter().zip(&self.std).cycle();
        for ((pixel, (mean, std)), out) in pixels.iter().zip(numbers).zip(out.as_chunks_mut().0) {
            *out = ((f32::from(*pixel) - mean) / std).to_le_bytes();
        }
    }

    /// What the metadata says of the first input.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(4..8)? != IDENTIFIER {
            return None;
        }
        let input = Table::root(bytes)?.first(SUBGRAPHS)?.first(INPUTS)?;
        let units = (0..UNITS_MAX).map_while(|at| input.nth(UNITS, at));
        let wanted = |unit: &Table<'_>| unit.byte(KIND) == Some(NORMALIZATION);
        let options = units.into_iter().find(wanted)?.table(OPTIONS)?;
        let (mean, std) = (options.three(MEAN)?, options.three(STD)?);
        let sound = mean.iter().chain(&std).all(|number| number.is_finite());
        (sound && !std.contains(&0.0)).then_some(Self { mean, std })
    }
}

#[derive(Debug, Clone, Copy)]
struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Table<'a> {
    fn root(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { bytes, at: follow(bytes, 0)? })
    }

    /// Where a field lies.
    fn field(&self, number: usize) -> Option<usize> {
        let back = i64::from(i32::from_le_bytes(*self.bytes.get(self.at..)?.first_chunk()?));
        let vtable = usize::try_from(i64::try_from(self.at).ok()?.checked_sub(back)?).ok()?;
        let short = |at: usize| {
            let bytes = self.bytes.get(vtable.checked_add(at)?..)?.first_chunk()?;
            Some(usize::from(u16::from_le_bytes(*bytes)))
        };
        let place = 4 + 2 * number;
        let offset = short(place).filter(|offset| *offset > 0)?;
        if place + 2 > short(0)? {
            return None;
        }
        self.at.checked_add(offset)
    }

    fn byte(&self, number: usize) -> Option<u8> {
        self.bytes.get(self.field(number)?).copied()
    }

    fn table(&self, number: usize) -> Option<Self> {
        Some(Self { at: follow(self.bytes, self.field(number)?)?, ..*self })
    }

    /// Where the values of a vector lie, and how many there are.
    fn vector(&self, number: usize) -> Option<(usize, usize)> {
        let at = follow(self.bytes, self.field(number)?)?;
        let count = u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?);
        Some((at.checked_add(4)?, usize::try_from(count).ok()?))
    }

    /// A table of a vector of them.
    fn nth(&self, number: usize, at: usize) -> Option<Self> {
        let (start, count) = self.vector(number)?;
        let place = start.checked_add(at.checked_mul(4)?).filter(|_| at < count)?;
        Some(Self { at: follow(self.bytes, place)?, ..*self })
    }

    fn first(&self, number: usize) -> Option<Self> {
        self.nth(number, 0)
    }

    /// Three numbers, or one for all three.
    fn three(&self, number: usize) -> Option<[f32; 3]> {
        let (start, count) = self.vector(number)?;
        let numbers = self.bytes.get(start..)?.as_chunks().0;
        let mut numbers = numbers.get(..count)?.iter().map(|it| f32::from_le_bytes(*it));
        let first = numbers.next()?;
        match (numbers.next(), numbers.next()) {
            (None, _) => Some([first; 3]),
            (Some(second), Some(third)) => Some([first, second, third]),
            _ => None,
        }
    }
}

/// Offsets count forwards from where they stand.
fn follow(bytes: &[u8], at: usize) -> Option<usize> {
    let offset = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
    at.checked_add(usize::try_from(offset).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flatbuffers::{FlatBufferBuilder, WIPOffset};

    type Written = WIPOffset<flatbuffers::TableFinishedWIPOffset>;

    /// A table of one field that holds an offset.
    fn table<T>(b: &mut FlatBufferBuilder<'_>, field: usize, value: WIPOffset<T>) -> Written {
        let start = b.start_table();
        b.push_slot_always(slot(field), value);
        b.end_table(start)
    }

    fn slot(field: usize) -> u16 {
        u16::try_from(4 + 2 * field).expect("small")
    }

    fn metadata(mean: &[f32], std: &[f32]) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let b = &mut builder;
        let (mean, std) = (b.create_vector(mean), b.create_vector(std));
        let start = b.start_table();
        b.push_slot_always(slot(MEAN), mean);
        b.push_slot_always(slot(STD), std);
        let options = b.end_table(start);
        let start = b.start_table();
        b.push_slot_always(slot(KIND), NORMALIZATION);
        b.push_slot_always(slot(OPTIONS), options);
        let mut inner = b.end_table(start);
        for field in [UNITS, INPUTS, SUBGRAPHS] {
            let list = b.create_vector(&[inner]);
            inner = table(b, field, list);
        }
        b.finish(inner, Some("M001"));
        builder.finished_data().to_vec()
    }

    #[test]
    fn the_way_to_the_numbers_is_found() {
        let three = metadata(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]);
        let expect = Normalization { mean: [1.0, 2.0, 3.0], std: [4.0, 5.0, 6.0] };
        assert_eq!(Normalization::read(&three), Some(expect));
        let one = metadata(&[127.5], &[127.5]);
        assert_eq!(Normalization::read(&one), Some(Normalization::USUAL));
        for (mean, std) in [(&[1.0][..], &[0.0][..]), (&[f32::NAN], &[1.0]), (&[], &[1.0])] {
            assert_eq!(Normalization::read(&metadata(mean, std)), None);
        }
    }

    #[test]
    fn any_bytes_are_taken() {
        let whole = metadata(&[127.5], &[127.5]);
        for length in 0..whole.len() {
            let _ = whole.get(..length).and_then(Normalization::read);
        }
        for at in 8..whole.len() {
            for value in [0, 1, 2, 4, 127, 128, 255] {
                let change = |(place, byte): (usize, &u8)| if place == at { value } else { *byte };
                let bytes: Vec<u8> = whole.iter().enumerate().map(change).collect();
                let _ = Normalization::read(&bytes);
            }
        }
    }
}
