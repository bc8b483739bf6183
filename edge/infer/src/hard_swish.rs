//! `HARD_SWISH` on bytes, in the 16-bit fixed point of TFLite's built-in kernel.

use crate::error::Error;
use crate::fixed::{Factor, stored};
use crate::tensor::Quant;

/// Places that an input is raised by, to use all of 16 bits.
const RAISED: i32 = 128;

/// A factor of 16 bits: `multiplier * 2^(shift - 15)`.
#[derive(Debug, Clone, Copy)]
struct Narrow {
    multiplier: i32,
    shift: i32,
}

impl Narrow {
    fn new(real: f32) -> Result<Self, Error> {
        let Factor { multiplier, shift } = Factor::new(real.into())?;
        let multiplier = ((i64::from(multiplier) + (1 << 15)) >> 16).min(i16::MAX.into());
        Ok(Self { multiplier: i32::try_from(multiplier).unwrap_or(i16::MAX.into()), shift })
    }
}

/// `x * min(max(x + 3, 0), 6) / 6` between two scales.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HardSwish {
    from: i32,
    to: i32,
    /// To the output's scale.
    output: Narrow,
    /// To where 3 is 32768, and saturates.
    gate: Narrow,
}

impl HardSwish {
    pub(crate) fn new(from: Quant, to: Quant) -> Result<Self, Error> {
        let raised = from.scale / RAISED as f32;
        let output = Narrow::new(raised / to.scale)?;
        // TFLite refuses it too: the result is only ever shifted right.
        if output.shift > 0 {
            return Err(Error::Scale);
        }
        let gate = Narrow::new(raised / (3.0 / 32768.0))?;
        Ok(Self { from: from.zero_point.into(), to: to.zero_point.into(), output, gate })
    }

    pub(crate) fn of(&self, byte: u8) -> u8 {
        let value = (i32::from(byte) - self.from) * RAISED;
        let value_on_output = high(value, self.output.multiplier);
        // 0 to 32767, for x from -3 to 3.
        let gate = (self.gated(value) + (1 << 15)) >> 1;
        let product = gate * value_on_output / (1 << 15);
        let value = rounded(product, -self.output.shift) + self.to;
        stored(value.into(), [0, 255])
    }

    /// `value` times the gate's factor, saturating; the last place is raised after the
    /// multiplication, so that only there a saturation shows.
    fn gated(&self, value: i32) -> i32 {
        let Narrow { multiplier, shift } = self.gate;
        if shift > 0 {
            let raised = saturated(i64::from(value) << (shift - 1).min(31));
            return saturated(i64::from(high(raised, multiplier)) << 1);
        }
        rounded(high(value, multiplier), -shift)
    }
}

/// Twice the product's upper 16 bits, halves up.
fn high(a: i32, b: i32) -> i32 {
    saturated((i64::from(a) * i64::from(b) + (1 << 14)) >> 15)
}

fn saturated(value: i64) -> i32 {
    let value = value.clamp(i16::MIN.into(), i16::MAX.into());
    i16::try_from(value).unwrap_or_default().into()
}

/// `value / 2^places`, halves away from 0; of 16 bits.
///
/// From 16 places on the mask, which TFLite keeps in 16 bits, is all ones there, and 0 becomes 1.
fn rounded(value: i32, places: i32) -> i32 {
    let places = places.clamp(0, 31).cast_unsigned();
    let mask = if places < 16 { (1 << places) - 1 } else { -1 };
    let threshold = (mask >> 1) + i32::from(value < 0);
    (value >> places) + i32::from(value & mask > threshold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;

    #[test]
    fn it_is_near_the_real_function() {
        let mut random = Random(23);
        for _ in 0..500 {
            let scale = |random: &mut Random| 0.002 + random.below(1000) as f32 * 1e-4;
            let from = Quant { scale: scale(&mut random), zero_point: random.byte() };
            let to = Quant { scale: scale(&mut random), zero_point: random.byte() };
            let swish = HardSwish::new(from, to).expect("the ratio is below 128");
            for byte in 0..=u8::MAX {
                let x = f64::from(from.scale) * (f64::from(byte) - f64::from(from.zero_point));
                let real = x * (x + 3.0).clamp(0.0, 6.0) / 6.0;
                let expect = real / f64::from(to.scale) + f64::from(to.zero_point);
                let (got, expect) = (f64::from(swish.of(byte)), expect.clamp(0.0, 255.0));
                // 15 bits for up to 255 steps of 128 places, twice.
                assert!((got - expect).abs() < 1.6, "{byte}: {got}, not {expect} {from:?} {to:?}");
            }
        }
    }

    #[test]
    fn roundings_are_of_16_bits() {
        assert_eq!([rounded(5, 1), rounded(-5, 1), rounded(-6, 2), rounded(7, 0)], [3, -3, -2, 7]);
        assert_eq!([rounded(0, 16), rounded(9, 17), rounded(-9, 16)], [1, 1, -1]);
        assert_eq!(rounded(-1, 31), -1);
    }

    #[test]
    fn a_steep_one_is_refused() {
        let quant = |scale| Quant { scale, zero_point: 0 };
        assert_eq!(HardSwish::new(quant(1.0), quant(0.007)).err(), Some(Error::Scale));
        assert!(HardSwish::new(quant(1.0), quant(0.0079)).is_ok());
    }
}
