//! From a kernel's 32-bit sums back to 8 bits, with XNNPACK's rounding.

use crate::error::Error;
use crate::tensor::{Element, Quant};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// 1.5 * 2^23: added to a small `f32`, it leaves the integer nearest to it, half to even, in
/// the low bits of the sum.
const MAGIC: f32 = 12_582_912.0;

/// What is applied to a step's result before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing beyond the range of the stored type.
    None,
    /// At least 0.
    Relu,
    /// 0 to 6.
    Relu6,
    /// -1 to 1.
    ReluN1To1,
}

impl Activation {
    /// The real values it leaves, from the lowest to the highest.
    pub(crate) const fn bounds(self) -> [f32; 2] {
        match self {
            Self::None => [f32::NEG_INFINITY, f32::INFINITY],
            Self::Relu => [0.0, f32::INFINITY],
            Self::Relu6 => [0.0, 6.0],
            Self::ReluN1To1 => [-1.0, 1.0],
        }
    }

    /// The stored values it leaves, as XNNPACK rounds them: with the zero point added, half to
    /// even.
    pub(crate) fn range(self, output: Element) -> Result<[u8; 2], Error> {
        self.stored(output, |steps, zero_point| libm::rintf(steps + zero_point))
    }

    /// The same as TFLite's built-in kernels round it: before the zero point is added, half
    /// away from it.
    pub(crate) fn built_in_range(self, output: Element) -> Result<[u8; 2], Error> {
        self.stored(output, |steps, zero_point| libm::roundf(steps) + zero_point)
    }

    fn stored(self, output: Element, round: fn(f32, f32) -> f32) -> Result<[u8; 2], Error> {
        let quant = output.quant()?;
        // The zero point is TFLite's own here: a sum's last bits depend on how large it is.
        let excess = f32::from(output.excess());
        let zero_point = f32::from(quant.zero_point) - excess;
        Ok(self.bounds().map(|real| {
            let stored = round(real / quant.scale, zero_point) + excess;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let stored = stored.clamp(0.0, 255.0) as u8;
            stored
        }))
    }
}

/// The last stage of a kernel: sums of one output channel each become stored bytes.
///
/// `stored = round(clamp(sum * multiplier, low, high)) + zero_point`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Requant {
    /// One a channel; as long as the caller asked for, with zeros at the end.
    pub(crate) multipliers: Box<[f32]>,
    pub(crate) zero_point: i32,
    /// The range, zero point taken off.
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Requant {
    /// For the channels of `weight_scales`, with multipliers for `padded` of them.
    pub(crate) fn new(
        input: Quant,
        weight_scales: &[f32],
        padded: usize,
        output: Element,
        activation: Activation,
    ) -> Result<Self, Error> {
        let [low, high] = activation.range(output)?;
        let output = output.quant()?;
        // In this order: it is XNNPACK's, and f32 products do not associate.
        let multiplier = |weight: &f32| input.scale * *weight / output.scale;
        let mut multipliers: Vec<f32> = weight_scales.iter().map(multiplier).collect();
        let sound = input.is_sound()
            && output.is_sound()
            && multipliers.iter().all(|m| m.is_finite() && *m > 0.0);
        if !sound {
            return Err(Error::Scale);
        }
        multipliers.resize(padded.max(multipliers.len()), 0.0);
        let zero_point = i32::from(output.zero_point);
        let above = |stored: u8| (i32::from(stored) - zero_point) as f32;
        let (low, high) = (above(low), above(high));
        Ok(Self { multipliers: multipliers.into(), zero_point, low, high })
    }

    /// Stores the sums of the channels from `first` on; `sums` and `out` have one length.
    #[inline(never)]
    pub(crate) fn store(&self, first: usize, sums: &[i32], out: &mut [u8]) {
        let multipliers = &self.multipliers[first..first + sums.len()];
        for ((sum, multiplier), out) in sums.iter().zip(multipliers).zip(out) {
            *out = self.stored(*sum as f32 * multiplier);
        }
    }

    /// `value` clamped, rounded half to even, plus the zero point.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "bits of floats of one binade are differences of integers; the range is a u8's"
    )]
    pub(crate) fn stored(&self, value: f32) -> u8 {
        // Comparisons, not `clamp`: a NaN cannot get here, and this is two instructions.
        let value = if value < self.low { self.low } else { value };
        let value = if value > self.high { self.high } else { value };
        let nearest = (value + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32;
        (nearest + self.zero_point) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requant(zero_point: i32, [low, high]: [u8; 2]) -> Requant {
        let above = |stored: u8| (i32::from(stored) - zero_point) as f32;
        Requant { multipliers: Box::default(), zero_point, low: above(low), high: above(high) }
    }

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
            let stored = requant(zero_point, range).stored(value);
            assert_eq!(stored, expect, "{value} + {zero_point}");
        }
    }

    #[test]
    fn rounding_equals_the_slow_way() {
        for step in -30_000_i16..30_000 {
            let value = f32::from(step) / 128.0;
            let expect = (libm::rintf(value) + 131.0).clamp(0.0, 255.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let expect = expect as u8;
            assert_eq!(requant(131, [0, 255]).stored(value), expect, "{value}");
        }
    }

    #[test]
    fn activations_cut_at_their_stored_values() {
        let range = |activation: Activation| {
            let element = Element::U8(Quant { scale: 0.05, zero_point: 100 });
            assert_eq!(activation.range(element), activation.built_in_range(element));
            activation.range(element)
        };
        assert_eq!(range(Activation::None), Ok([0, 255]));
        assert_eq!(range(Activation::Relu), Ok([100, 255]));
        assert_eq!(range(Activation::Relu6), Ok([100, 220]));
        assert_eq!(range(Activation::ReluN1To1), Ok([80, 120]));
        assert_eq!(Activation::Relu.range(Element::F32), Err(Error::Element));
    }

    #[test]
    fn a_bound_on_a_half_goes_to_even_with_its_zero_point() {
        // 6 / 4 = 1.5 steps above the zero point.
        for (zero_point, xnnpack, built_in) in [(3, 4, 5), (4, 6, 6), (255, 255, 255)] {
            let element = Element::U8(Quant { scale: 4.0, zero_point });
            assert_eq!(Activation::Relu6.range(element), Ok([zero_point, xnnpack]));
            assert_eq!(Activation::Relu6.built_in_range(element), Ok([zero_point, built_in]));
        }
    }

    #[test]
    fn a_bound_is_summed_with_tflites_own_zero_point() {
        // Just below 7.5 steps: added to 130, f32 has no room for the difference.
        let quant = Quant { scale: 6.0 / 7.499_999, zero_point: 130 };
        assert_eq!(Activation::Relu6.range(Element::U8(quant)), Ok([130, 138]));
        assert_eq!(Activation::Relu6.range(Element::I8(quant)), Ok([130, 137]));
    }

    #[test]
    fn the_zero_point_is_added_before_rounding() {
        let scale = 6.0 / 119.5;
        for (zero_point, expect, built_in) in [(3, 122, 123), (4, 124, 124), (51, 170, 171)] {
            for element in [Element::U8, Element::I8] {
                let element = element(Quant { scale, zero_point });
                assert_eq!(Activation::Relu6.range(element), Ok([zero_point, expect]));
                let range = Activation::Relu6.built_in_range(element);
                assert_eq!(range, Ok([zero_point, built_in]));
            }
        }
    }

    #[test]
    fn scales_that_are_no_scales_are_refused() {
        let good = Quant { scale: 0.5, zero_point: 0 };
        for bad in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-45] {
            let quant = Quant { scale: bad, zero_point: 0 };
            let refused = Requant::new(quant, &[bad], 1, Element::U8(good), Activation::None);
            assert_eq!(refused.err(), Some(Error::Scale), "{bad}");
        }
    }
}
