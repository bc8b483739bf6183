//! Boxes in a picture, normalised to 0.0..=1.0 on both axes.

/// A box by its corners; `x0 <= x1` and `y0 <= y1`, each 0.0..=1.0 once clamped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BBox {
    /// Left.
    pub x0: f32,
    /// Top.
    pub y0: f32,
    /// Right.
    pub x1: f32,
    /// Bottom.
    pub y1: f32,
}

impl BBox {
    /// The whole picture.
    pub const WHOLE: Self = Self { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };

    /// Left, top, width, height: the form REST speaks.
    pub fn xywh(&self) -> [f32; 4] {
        [self.x0, self.y0, self.x1 - self.x0, self.y1 - self.y0]
    }

    /// The box cut to the picture.
    #[must_use]
    pub fn clamped(&self) -> Self {
        let cut = |v: f32| v.clamp(0.0, 1.0);
        Self { x0: cut(self.x0), y0: cut(self.y0), x1: cut(self.x1), y1: cut(self.y1) }
    }

    /// Area as a share of the picture; 0 for a box turned inside out.
    pub fn area(&self) -> f32 {
        (self.x1 - self.x0).max(0.0) * (self.y1 - self.y0).max(0.0)
    }

    /// Intersection over union, 0.0..=1.0; 0 where neither has an area.
    pub fn iou(&self, other: &Self) -> f32 {
        let shared = Self {
            x0: self.x0.max(other.x0),
            y0: self.y0.max(other.y0),
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
        }
        .area();
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_halves_twins_and_strangers() {
        let left = BBox { x0: 0.0, y0: 0.0, x1: 0.5, y1: 1.0 };
        let right = BBox { x0: 0.5, ..BBox::WHOLE };
        for (a, b, expect) in [
            (BBox::WHOLE, BBox::WHOLE, 1.0),
            (BBox::WHOLE, left, 0.5),
            (left, right, 0.0),
            (BBox::default(), BBox::default(), 0.0),
        ] {
            assert!((a.iou(&b) - expect).abs() < 1e-6, "{a:?} with {b:?}");
        }
    }
}
