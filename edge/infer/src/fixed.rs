//! Multiplication with a real number in fixed point, as TFLite's built-in kernels do it.

use crate::error::Error;

/// A positive real number: `multiplier * 2^(shift - 31)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Factor {
    /// 0, or 2^30 to 2^31 - 1.
    pub(crate) multiplier: i32,
    pub(crate) shift: i32,
}

impl Factor {
    /// The nearest factor; what is below 2^-32 becomes 0.
    pub(crate) fn new(real: f64) -> Result<Self, Error> {
        if !(real.is_finite() && real > 0.0) {
            return Err(Error::Scale);
        }
        let (fraction, shift) = libm::frexp(real);
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^31")]
        let multiplier = libm::round(fraction * f64::from(1_u32 << 31)) as i64;
        if shift < -31 {
            return Ok(Self { multiplier: 0, shift: 0 });
        }
        Ok(match i32::try_from(multiplier) {
            Ok(multiplier) => Self { multiplier, shift },
            Err(_) => Self { multiplier: 1 << 30, shift: shift + 1 },
        })
    }

    /// The product, rounded to the nearest twice: halves up at the multiplication, away from 0
    /// at the shift.
    pub(crate) fn times(self, value: i64) -> i64 {
        away(self.product(value), self.places())
    }

    /// The product as the vector lanes of some built-in kernels round it: halves up both times.
    pub(crate) fn times_in_lanes(self, value: i64) -> i64 {
        up(self.product(value), self.places())
    }

    /// Before the shift to the right. What would leave 32 bits on the way stays at their end.
    fn product(self, value: i64) -> i64 {
        let raised = value << self.shift.clamp(0, 31);
        let raised = raised.clamp(i32::MIN.into(), i32::MAX.into());
        up(raised * i64::from(self.multiplier), 31)
    }

    fn places(self) -> u32 {
        (-self.shift).max(0).unsigned_abs()
    }
}

/// `value / 2^places`, halves up.
fn up(value: i64, places: u32) -> i64 {
    (value + ((1 << places) >> 1)) >> places
}

/// `value / 2^places`, halves away from 0.
fn away(value: i64, places: u32) -> i64 {
    let below = value & ((1 << places) - 1);
    let half = (1 << places) >> 1;
    let more = if value < 0 { below > half } else { below >= half.max(1) };
    (value >> places) + i64::from(more)
}

/// `value` as a byte, cut to a range.
pub(crate) fn stored(value: i64, [low, high]: [u8; 2]) -> u8 {
    u8::try_from(value.clamp(low.into(), high.into())).unwrap_or(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Random;

    #[test]
    fn factors_are_normal_or_nothing() {
        let factor = |real| Factor::new(real).map(|it| (it.multiplier, it.shift));
        assert_eq!(factor(1.0), Ok((1 << 30, 1)));
        assert_eq!(factor(0.75), Ok((3 << 29, 0)));
        assert_eq!(factor(1.0 - 1e-12), Ok((1 << 30, 1)));
        assert_eq!(factor(1e-12), Ok((0, 0)));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(factor(bad), Err(Error::Scale));
        }
    }

    #[test]
    fn halves_go_up_or_away() {
        for (value, places, expect_up, expect_away) in [
            (5, 1, 3, 3),
            (-5, 1, -2, -3),
            (-6, 2, -1, -2),
            (6, 2, 2, 2),
            (-7, 2, -2, -2),
            (-5, 2, -1, -1),
            (7, 0, 7, 7),
            (-7, 0, -7, -7),
        ] {
            assert_eq!(up(value, places), expect_up, "{value} >> {places}");
            assert_eq!(away(value, places), expect_away, "{value} >> {places}");
        }
    }

    #[test]
    fn products_are_near_the_real_ones() {
        let mut random = Random(3);
        for _ in 0..20_000 {
            let value = i64::from(i16::from_le_bytes([random.byte(), random.byte()]));
            let real = libm::exp2(random.below(400) as f64 / 20.0 - 12.0);
            let factor = Factor::new(real).expect("positive");
            let expect = real * value as f64;
            for product in [factor.times(value), factor.times_in_lanes(value)] {
                assert!((product as f64 - expect).abs() < 0.76, "{value} * {real}: {product}");
            }
        }
    }

    #[test]
    fn nothing_overflows() {
        for real in [1e30, 1e-30, 3.0] {
            let factor = Factor::new(real).expect("positive");
            for value in [i64::from(i32::MIN), -1, 0, 1, i64::from(i32::MAX)] {
                assert!(factor.times(value).abs() <= 1 << 31);
            }
        }
    }
}
