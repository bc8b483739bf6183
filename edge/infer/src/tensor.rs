//! What a tensor is: its sides, its elements, and what stored bytes mean.

use crate::error::Error;

/// Most sides of a tensor.
pub const RANK_MAX: usize = 6;
/// Most memory that the tensors of one plan may want, bytes; more is refused.
pub const ARENA_MAX: usize = 64 << 20;

/// The sides of a tensor, outermost first; a picture is `[1, rows, columns, channels]`.
///
/// None is 0, and their product is at most [`ARENA_MAX`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    sides: [usize; RANK_MAX],
    rank: usize,
}

impl Shape {
    /// A shape of at most [`RANK_MAX`] sides; none at all is a single value.
    pub fn new(sides: &[usize]) -> Result<Self, Error> {
        let mut all = [1; RANK_MAX];
        all.get_mut(..sides.len()).ok_or(Error::Rank)?.copy_from_slice(sides);
        let count = sides.iter().try_fold(1_usize, |count, side| count.checked_mul(*side));
        match count {
            Some(0) => Err(Error::Empty),
            Some(count) if count <= ARENA_MAX => Ok(Self { sides: all, rank: sides.len() }),
            _ => Err(Error::TooLarge),
        }
    }

    /// The shape of a picture.
    pub fn picture(rows: usize, columns: usize, channels: usize) -> Result<Self, Error> {
        Self::new(&[1, rows, columns, channels])
    }

    /// The sides.
    pub fn sides(&self) -> &[usize] {
        &self.sides[..self.rank]
    }

    /// Values in all.
    pub fn count(&self) -> usize {
        self.sides.iter().product()
    }

    /// Rows, columns and channels of one picture; other tensors are refused.
    pub fn as_picture(&self) -> Result<[usize; 3], Error> {
        match *self.sides() {
            [1, rows, columns, channels] => Ok([rows, columns, channels]),
            _ => Err(Error::NoPicture),
        }
    }

    /// The sides with ones in front, as broadcasting wants them.
    pub fn aligned(&self) -> [usize; RANK_MAX] {
        let mut aligned = [1; RANK_MAX];
        aligned[RANK_MAX - self.rank..].copy_from_slice(self.sides());
        aligned
    }
}

impl core::fmt::Debug for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.sides().fmt(f)
    }
}

impl core::fmt::Display for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.sides())
    }
}

/// What stored bytes mean: `real = scale * (stored - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quant {
    /// The step from one stored value to the next.
    pub scale: f32,
    /// The stored value that means 0.
    pub zero_point: u8,
}

impl Quant {
    /// The real value of a stored one.
    pub fn real(&self, stored: u8) -> f32 {
        self.scale * f32::from(i16::from(stored) - i16::from(self.zero_point))
    }

    /// Whether the scale is a positive finite number.
    pub fn is_sound(&self) -> bool {
        self.scale.is_finite() && self.scale > 0.0
    }
}

/// The elements of a tensor, as they lie in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Element {
    /// TFLite's `UINT8`.
    U8(Quant),
    /// TFLite's `INT8`, stored plus 128; its zero point too.
    I8(Quant),
    /// `i32`, little-endian.
    I32,
    /// `f32`, little-endian.
    F32,
}

impl Element {
    /// Bytes of one.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8(_) | Self::I8(_) => 1,
            Self::I32 | Self::F32 => 4,
        }
    }

    /// What stored bytes mean; refused where they are no quantized ones.
    pub const fn quant(self) -> Result<Quant, Error> {
        match self {
            Self::U8(quant) | Self::I8(quant) => Ok(quant),
            Self::I32 | Self::F32 => Err(Error::Element),
        }
    }

    /// What is taken off a stored byte to get TFLite's value: 128 for `INT8`, else 0.
    pub const fn excess(self) -> u8 {
        match self {
            Self::I8(_) => 128,
            Self::U8(_) | Self::I32 | Self::F32 => 0,
        }
    }

    /// Refuses an output that does not mean the same by the same bytes.
    pub(crate) fn kept(self, output: Self) -> Result<(), Error> {
        match (self == output, self.is_like(output)) {
            (true, _) => Ok(()),
            (_, true) => Err(Error::Requantized),
            _ => Err(Error::Element),
        }
    }

    /// Whether both are of one type, whatever their scales.
    pub const fn is_like(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::U8(_), Self::U8(_))
                | (Self::I8(_), Self::I8(_))
                | (Self::I32, Self::I32)
                | (Self::F32, Self::F32)
        )
    }
}

/// A tensor's form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tensor {
    /// Its sides.
    pub shape: Shape,
    /// What it is made of.
    pub element: Element,
}

impl Tensor {
    /// Length, bytes.
    pub fn bytes(&self) -> usize {
        self.shape.count() * self.element.bytes()
    }

    /// What its bytes mean; refused where it is not quantized.
    pub const fn quant(&self) -> Result<Quant, Error> {
        self.element.quant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_small_and_whole() {
        assert_eq!(Shape::new(&[]).map(|shape| shape.count()), Ok(1));
        assert_eq!(Shape::new(&[1, 0, 3]), Err(Error::Empty));
        assert_eq!(Shape::new(&[1; RANK_MAX + 1]), Err(Error::Rank));
        assert_eq!(Shape::new(&[usize::MAX, 2]), Err(Error::TooLarge));
        assert_eq!(Shape::new(&[ARENA_MAX, 2]), Err(Error::TooLarge));
        let shape = Shape::picture(3, 4, 5).expect("small");
        assert_eq!((shape.count(), shape.as_picture()), (60, Ok([3, 4, 5])));
        let flat = Shape::new(&[2, 3]).expect("small");
        assert_eq!(flat.as_picture(), Err(Error::NoPicture));
        assert_eq!(flat.aligned(), [1, 1, 1, 1, 2, 3]);
    }
}
