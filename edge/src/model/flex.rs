//! Numbers out of a FlexBuffer map: the options of TFLite's custom operators.
//!
//! Total: bytes that are no FlexBuffer have no numbers. Only what TFLite writes is read: a map
//! at the root whose values are numbers, inline or indirect, or booleans.
//! The layout is in the `FlatBuffers` documentation, page "Internals", under `FlexBuffers`.

#![deny(clippy::indexing_slicing)]

/// Most keys of a map that are looked at.
const KEYS_MAX: usize = 64;
const INT: u8 = 1;
const UINT: u8 = 2;
const FLOAT: u8 = 3;
const INDIRECT_INT: u8 = 6;
const INDIRECT_UINT: u8 = 7;
const INDIRECT_FLOAT: u8 = 8;
const MAP: u8 = 9;
const BOOL: u8 = 26;

/// The number under `key`; `true` is 1.
pub(super) fn number(bytes: &[u8], key: &str) -> Option<f64> {
    let map = Map::root(bytes)?;
    let at = (0..map.length).find(|at| map.key(*at).is_some_and(|name| name == key.as_bytes()))?;
    map.value(at)
}

#[derive(Debug, Clone, Copy)]
struct Map<'a> {
    bytes: &'a [u8],
    /// Where the values begin, and bytes of each.
    values: usize,
    width: usize,
    /// Where the keys' offsets begin, and bytes of each.
    keys: usize,
    key_width: usize,
    length: usize,
}

impl<'a> Map<'a> {
    fn root(bytes: &'a [u8]) -> Option<Self> {
        let [.., kind, root_width] = bytes else { return None };
        let root = bytes.len().checked_sub(2 + usize::from(*root_width))?;
        if kind >> 2 != MAP {
            return None;
        }
        let values = follow(bytes, root, usize::from(*root_width))?;
        let width = 1 << (kind & 3);
        let before = |count: usize| values.checked_sub(count * width);
        let key_width = size(unsigned(bytes, before(2)?, width)?)?;
        let length = size(unsigned(bytes, before(1)?, width)?)?.min(KEYS_MAX);
        let keys = follow(bytes, before(3)?, width)?;
        Some(Self { bytes, values, width, keys, key_width, length })
    }

    fn key(&self, at: usize) -> Option<&'a [u8]> {
        let offset = self.keys.checked_add(at.checked_mul(self.key_width)?)?;
        let start = follow(self.bytes, offset, self.key_width)?;
        self.bytes.get(start..)?.split(|byte| *byte == 0).next()
    }

    fn value(&self, at: usize) -> Option<f64> {
        // One byte of type for each value stands behind them all.
        let whole = size(unsigned(self.bytes, self.values.checked_sub(self.width)?, self.width)?)?;
        let kinds = self.values.checked_add(whole.checked_mul(self.width)?)?;
        let kind = *self.bytes.get(kinds.checked_add(at)?)?;
        let place = self.values.checked_add(at.checked_mul(self.width)?)?;
        let there = || follow(self.bytes, place, self.width);
        let wide = 1 << (kind & 3);
        match kind >> 2 {
            INT => signed(self.bytes, place, self.width),
            UINT | BOOL => unsigned(self.bytes, place, self.width).map(|value| value as f64),
            FLOAT => float(self.bytes, place, self.width),
            INDIRECT_INT => signed(self.bytes, there()?, wide),
            INDIRECT_UINT => unsigned(self.bytes, there()?, wide).map(|value| value as f64),
            INDIRECT_FLOAT => float(self.bytes, there()?, wide),
            _ => None,
        }
    }
}

/// Offsets count backwards from where they stand.
fn follow(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    at.checked_sub(size(unsigned(bytes, at, width)?)?)
}

fn size(value: u64) -> Option<usize> {
    usize::try_from(value).ok()
}

fn unsigned(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    if !matches!(width, 1 | 2 | 4 | 8) {
        return None;
    }
    let mut whole = [0; 8];
    whole.get_mut(..width)?.copy_from_slice(bytes.get(at..at.checked_add(width)?)?);
    Some(u64::from_le_bytes(whole))
}

fn signed(bytes: &[u8], at: usize, width: usize) -> Option<f64> {
    let unused = u32::try_from(64_usize.checked_sub(width.checked_mul(8)?)?).ok()?;
    let value = unsigned(bytes, at, width)?.cast_signed();
    Some((value.checked_shl(unused)? >> unused) as f64)
}

fn float(bytes: &[u8], at: usize, width: usize) -> Option<f64> {
    let raw = unsigned(bytes, at, width)?;
    match width {
        4 => Some(f64::from(f32::from_bits(u32::try_from(raw).ok()?))),
        8 => Some(f64::from_bits(raw)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"a": -3, "b": 0.5, "c": true}`, values four bytes wide.
    fn example() -> Vec<u8> {
        let mut bytes = b"a\0b\0c\0".to_vec();
        bytes.extend([3, 7, 6, 5]); // length of the keys, then an offset back to each
        bytes.extend([0, 0]);
        bytes.extend([5, 0, 0, 0]); // back to the first key's offset
        bytes.extend([1, 0, 0, 0, 3, 0, 0, 0]); // bytes of a key's offset; values
        bytes.extend((-3_i32).to_le_bytes());
        bytes.extend(0.5_f32.to_le_bytes());
        bytes.extend([1, 0, 0, 0]);
        bytes.extend([INT << 2 | 2, FLOAT << 2 | 2, BOOL << 2]);
        bytes.extend([15, MAP << 2 | 2, 1]);
        bytes
    }

    #[test]
    fn numbers_are_found_by_their_keys() {
        let bytes = example();
        for (key, expect) in [("a", Some(-3.0)), ("b", Some(0.5)), ("c", Some(1.0)), ("d", None)] {
            assert_eq!(number(&bytes, key), expect, "{key}");
        }
    }

    #[test]
    fn any_bytes_are_taken() {
        let whole = example();
        for length in 0..whole.len() {
            let _ = whole.get(..length).and_then(|bytes| number(bytes, "b"));
        }
        for at in 0..whole.len() {
            for value in 0..=u8::MAX {
                let change = |(place, byte): (usize, &u8)| if place == at { value } else { *byte };
                let bytes: Vec<u8> = whole.iter().enumerate().map(change).collect();
                let _ = number(&bytes, "b");
            }
        }
    }
}
