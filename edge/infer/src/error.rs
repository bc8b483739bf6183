//! Why a graph cannot become a plan.

/// What was wrong with a step; the caller knows which one it was adding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Weights, bias or scales do not have the length that the shapes ask for.
    Lengths,
    /// A scale is not a positive finite number.
    Scale,
    /// A side, a kernel or a stride is 0, or the kernel is larger than the padded input.
    Window,
    /// Sums could leave 32 bits.
    Overflow,
    /// The graph asks for more memory or more work than this crate grants.
    TooLarge,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Lengths => "weights, bias or scales do not fit the shapes",
            Self::Scale => "a scale is not a positive number",
            Self::Window => "kernel, stride and input do not fit together",
            Self::Overflow => "the sums could leave 32 bits",
            Self::TooLarge => "it is too large",
        })
    }
}

impl core::error::Error for Error {}
