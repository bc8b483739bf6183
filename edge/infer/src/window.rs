//! How a kernel slides over a picture: sizes, strides and padding as TFLite counts them.

use crate::error::Error;
use crate::tensor::Shape;

/// Longest side, kernel, stride or dilation; keeps every product of four far from overflow.
const SIDE_MAX: usize = 1 << 14;

/// What lies beyond the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// `output = ceil(input / stride)`; the odd row or column of padding goes to the end.
    Same,
    /// Nothing: the kernel stays inside.
    Valid,
}

/// A kernel's extent, its steps and its padding; pairs are rows, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Rows and columns from one output to the next.
    pub stride: [usize; 2],
    /// Rows and columns from one tap of the kernel to the next; 1 for a kernel without gaps.
    pub dilation: [usize; 2],
    /// What lies beyond the border.
    pub padding: Padding,
}

impl Window {
    /// The window of a 1x1 kernel.
    pub const POINT: Self =
        Self { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], padding: Padding::Valid };
}

/// A window laid over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axes {
    pub(crate) rows: Axis,
    pub(crate) columns: Axis,
    /// Channels of the picture.
    pub(crate) channels: usize,
}

impl Axes {
    pub(crate) fn new(window: &Window, input: Shape) -> Result<Self, Error> {
        let [rows, columns, channels] = input.as_picture()?;
        let [rows, columns] = [Axis::new(window, 0, rows)?, Axis::new(window, 1, columns)?];
        Ok(Self { rows, columns, channels })
    }

    /// Taps of the kernel.
    pub(crate) const fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }

    /// Refuses an output of another shape than these axes make of `channels`.
    pub(crate) fn make(&self, channels: usize, output: Shape) -> Result<(), Error> {
        let shape = Shape::picture(self.rows.output, self.columns.output, channels)?;
        if shape == output { Ok(()) } else { Err(Error::Shape(shape)) }
    }
}

/// One axis of a window laid over an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    before: usize,
}

impl Axis {
    pub(crate) fn new(window: &Window, axis: usize, input: usize) -> Result<Self, Error> {
        let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
        let dilation = window.dilation[axis];
        let sane = |side| (1..=SIDE_MAX).contains(&side);
        if ![kernel, stride, dilation, input].into_iter().all(sane) {
            return Err(Error::Window);
        }
        let reach = (kernel - 1) * dilation + 1;
        let (output, before) = match window.padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                let covered = (output - 1) * stride + reach;
                (output, covered.saturating_sub(input) / 2)
            }
            Padding::Valid => {
                let slack = input.checked_sub(reach).ok_or(Error::Window)?;
                (slack / stride + 1, 0)
            }
        };
        Ok(Self { input, output, kernel, stride, dilation, before })
    }

    /// The input under `tap` of the kernel for output `at`; `None` beyond the border.
    #[inline]
    pub(crate) fn source(&self, at: usize, tap: usize) -> Option<usize> {
        let source = (at * self.stride + tap * self.dilation).checked_sub(self.before)?;
        (source < self.input).then_some(source)
    }

    /// The inputs under a kernel without gaps for output `at`.
    pub(crate) fn under(&self, at: usize) -> core::ops::Range<usize> {
        let first = at * self.stride;
        let end = (first + self.kernel).saturating_sub(self.before).min(self.input);
        first.saturating_sub(self.before)..end
    }

    /// The outputs whose whole kernel lies inside the input.
    pub(crate) fn inside(&self) -> core::ops::Range<usize> {
        let reach = (self.kernel - 1) * self.dilation + 1;
        let first = self.before.div_ceil(self.stride).min(self.output);
        let room = (self.input + self.before).checked_sub(reach);
        let end = room.map_or(0, |room| room / self.stride + 1);
        first..end.clamp(first, self.output)
    }

    /// Whether every output has exactly its own input under it.
    pub(crate) fn is_identity(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.output == self.input
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn window(kernel: usize, stride: usize, dilation: usize, padding: Padding) -> Window {
        Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [dilation; 2], padding }
    }

    #[test]
    fn sizes_are_tensorflows() {
        for (kernel, stride, dilation, padding, input, output, before) in [
            (3, 2, 1, Padding::Same, 300, 150, 0),
            (3, 1, 1, Padding::Same, 19, 19, 1),
            (3, 2, 1, Padding::Same, 19, 10, 1),
            (3, 2, 1, Padding::Same, 2, 1, 0),
            (1, 1, 1, Padding::Same, 10, 10, 0),
            (3, 2, 1, Padding::Valid, 9, 4, 0),
            (3, 1, 2, Padding::Same, 9, 9, 2),
            (3, 1, 2, Padding::Valid, 9, 5, 0),
        ] {
            let window = window(kernel, stride, dilation, padding);
            let axis = Axis::new(&window, 0, input).expect("it fits");
            assert_eq!((axis.output, axis.before), (output, before), "{window:?} over {input}");
        }
    }

    #[test]
    fn inside_is_where_every_tap_has_an_input() {
        for kernel in 1..6 {
            for stride in 1..4 {
                for dilation in 1..4 {
                    for input in 1..14 {
                        for padding in [Padding::Same, Padding::Valid] {
                            let window = window(kernel, stride, dilation, padding);
                            let Ok(axis) = Axis::new(&window, 0, input) else { continue };
                            let whole =
                                |at: usize| (0..kernel).all(|tap| axis.source(at, tap).is_some());
                            let expect: Vec<_> = (0..axis.output).filter(|at| whole(*at)).collect();
                            let inside: Vec<_> = axis.inside().collect();
                            assert_eq!(inside, expect, "{window:?} over {input}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (kernel, stride, dilation, input) in
            [(0, 1, 1, 4), (3, 0, 1, 4), (3, 1, 0, 4), (3, 1, 1, 0), (5, 1, 1, 4), (3, 1, 2, 4)]
        {
            let window = window(kernel, stride, dilation, Padding::Valid);
            assert_eq!(Axis::new(&window, 1, input), Err(Error::Window));
        }
    }
}
