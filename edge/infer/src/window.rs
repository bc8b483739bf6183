//! How a kernel slides over a picture: sizes, strides and padding as TFLite counts them.

use crate::error::Error;

/// Longest side of a tensor or kernel; keeps every product of four far from overflow.
pub(crate) const SIDE_MAX: usize = 1 << 14;

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
    /// What lies beyond the border.
    pub padding: Padding,
}

/// One axis of a window laid over an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    stride: usize,
    before: usize,
}

impl Axis {
    pub(crate) fn new(window: &Window, axis: usize, input: usize) -> Result<Self, Error> {
        let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
        let sane = |side| (1..=SIDE_MAX).contains(&side);
        if !(sane(kernel) && sane(stride) && sane(input)) {
            return Err(Error::Window);
        }
        let (output, before) = match window.padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                let covered = (output - 1) * stride + kernel;
                (output, covered.saturating_sub(input) / 2)
            }
            Padding::Valid => {
                let slack = input.checked_sub(kernel).ok_or(Error::Window)?;
                (slack / stride + 1, 0)
            }
        };
        Ok(Self { input, output, kernel, stride, before })
    }

    /// The input under `tap` of the kernel for output `at`; `None` beyond the border.
    #[inline]
    pub(crate) fn source(&self, at: usize, tap: usize) -> Option<usize> {
        let source = (at * self.stride + tap).checked_sub(self.before)?;
        (source < self.input).then_some(source)
    }

    /// Whether every output has exactly its own input under it.
    pub(crate) fn is_identity(&self) -> bool {
        self.kernel == 1 && self.stride == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_tensorflows() {
        for (kernel, stride, padding, input, output, before) in [
            (3, 2, Padding::Same, 300, 150, 0),
            (3, 1, Padding::Same, 19, 19, 1),
            (3, 2, Padding::Same, 19, 10, 1),
            (3, 2, Padding::Same, 2, 1, 0),
            (1, 1, Padding::Same, 10, 10, 0),
            (3, 2, Padding::Valid, 9, 4, 0),
        ] {
            let window = Window { kernel: [kernel; 2], stride: [stride; 2], padding };
            let axis = Axis::new(&window, 0, input).expect("it fits");
            assert_eq!((axis.output, axis.before), (output, before), "{window:?} over {input}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (kernel, stride, input) in [(0, 1, 4), (3, 0, 4), (3, 1, 0), (5, 1, 4)] {
            let window =
                Window { kernel: [kernel; 2], stride: [stride; 2], padding: Padding::Valid };
            assert_eq!(Axis::new(&window, 1, input), Err(Error::Window));
        }
    }
}
