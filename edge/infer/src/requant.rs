//! From a kernel's 32-bit sums back to 8 bits, with XNNPACK's rounding.

use crate::error::Error;
use alloc::boxed::Box;

/// 1.5 * 2^23: added to a small `f32`, it leaves the integer nearest to it, half to even, in
/// the low bits of the sum.
const MAGIC: f32 = 12_582_912.0;

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

    /// The stored value nearest to a real one, half to even, clamped to 0..=255.
    pub fn stored(&self, real: f32) -> u8 {
        round(real / self.scale, self.zero_point, [0, u8::MAX])
    }

    /// Whether the scale is a positive finite number.
    pub fn is_sound(&self) -> bool {
        self.scale.is_finite() && self.scale > 0.0
    }
}

/// What is applied to a step's result before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing beyond the range of the stored type.
    None,
    /// At least 0.
    Relu,
    /// 0 to 6.
    Relu6,
}

/// The last stage of a kernel: sums of one output channel each become stored bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Requant {
    multipliers: Box<[f32]>,
    zero_point: u8,
    range: [u8; 2],
}

impl Requant {
    pub(crate) fn new(
        input: Quant,
        weight_scales: &[f32],
        output: Quant,
        activation: Activation,
    ) -> Result<Self, Error> {
        // In this order: it is XNNPACK's, and f32 products do not associate.
        let multiplier = |weight: &f32| input.scale * *weight / output.scale;
        let multipliers: Box<[f32]> = weight_scales.iter().map(multiplier).collect();
        let sound = input.is_sound()
            && output.is_sound()
            && multipliers.iter().all(|m| m.is_finite() && *m > 0.0);
        if !sound {
            return Err(Error::Scale);
        }
        let range = match activation {
            Activation::None => [0, u8::MAX],
            Activation::Relu => [output.stored(0.0), u8::MAX],
            Activation::Relu6 => [output.stored(0.0), output.stored(6.0)],
        };
        Ok(Self { multipliers, zero_point: output.zero_point, range })
    }

    /// Stores the sums of the channels from `first` on; `sums` and `out` have one length.
    #[inline(never)]
    pub(crate) fn store(&self, first: usize, sums: &[i32], out: &mut [u8]) {
        let multipliers = &self.multipliers[first..first + sums.len()];
        for ((sum, multiplier), out) in sums.iter().zip(multipliers).zip(out) {
            *out = round(*sum as f32 * multiplier, self.zero_point, self.range);
        }
    }
}

/// `value` rounded half to even, plus the zero point, clamped to `range`.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "bits of floats of one binade are differences of integers; the range is a u8's"
)]
fn round(value: f32, zero_point: u8, [low, high]: [u8; 2]) -> u8 {
    let zero_point = i32::from(zero_point);
    let below = (i32::from(low) - zero_point) as f32;
    let above = (i32::from(high) - zero_point) as f32;
    // Comparisons, not `clamp`: a NaN cannot get here, and this is two instructions.
    let value = if value < below { below } else { value };
    let value = if value > above { above } else { value };
    let nearest = (value + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32;
    (nearest + zero_point) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_even_and_the_range_holds() {
        let all = [0, u8::MAX];
        for (value, zero_point, range, expect) in [
            (0.5, 0, all, 0),
            (1.5, 0, all, 2),
            (2.5, 0, all, 2),
            (-0.5, 10, all, 10),
            (-1.5, 10, all, 8),
            (2.499_999, 0, all, 2),
            (1e30, 3, all, 255),
            (-1e30, 3, all, 0),
            (1e30, 3, [3, 77], 77),
            (-2.0, 3, [3, 77], 3),
        ] {
            assert_eq!(round(value, zero_point, range), expect, "{value} + {zero_point}");
        }
    }

    #[test]
    fn rounding_equals_the_slow_way() {
        for step in -30_000_i16..30_000 {
            let value = f32::from(step) / 128.0;
            let expect = (libm::rintf(value) + 131.0).clamp(0.0, 255.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let expect = expect as u8;
            assert_eq!(round(value, 131, [0, 255]), expect, "{value}");
        }
    }

    #[test]
    fn activations_cut_at_their_stored_values() {
        let quant = Quant { scale: 0.05, zero_point: 100 };
        let range = |activation| {
            Requant::new(quant, &[1.0], quant, activation).expect("sound scales").range
        };
        assert_eq!(range(Activation::None), [0, 255]);
        assert_eq!(range(Activation::Relu), [100, 255]);
        assert_eq!(range(Activation::Relu6), [100, 220]);
    }

    #[test]
    fn scales_that_are_no_scales_are_refused() {
        let good = Quant { scale: 0.5, zero_point: 0 };
        for bad in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-45] {
            let quant = Quant { scale: bad, zero_point: 0 };
            let refused = Requant::new(quant, &[bad], good, Activation::None);
            assert_eq!(refused.err(), Some(Error::Scale), "{bad}");
        }
    }
}
