//! A quantized TFLite graph as a flat plan, run in an arena that the caller lends.
//!
//! ```text
//! file --(the shell lowers it)--> Builder::add(Op, ..)... --finish()--> Plan
//!                                                                        | run(&mut arena, &fork)
//!                                 input --> kernel, kernel, ... --> outputs
//! ```
//!
//! Loading allocates (weights are packed once); [`Plan::run`] does not. A plan is immutable
//! and shared; what a run writes lies in the caller's arena, one per camera.
//!
//! Numbers follow TFLite's quantization, `real = scale * (stored - zero_point)`. Where XNNPACK
//! has an operator its rounding is ours (for convolutions: the `i32` sum times the `f32`
//! multiplier `input_scale * weight_scale / output_scale`, clamped, rounded half to even);
//! where it has not, TFLite's built-in kernel's is. Kernels in plain Rust are the definition;
//! those in `simd/` must equal them bit for bit.
//!
//! Quantized values are `u8` in memory. `INT8` tensors are stored plus 128, zero points too:
//! one kernel serves both, and hears where the difference matters.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
mod alone;
mod arena;
mod arg_max;
mod arithmetic;
mod broadcast;
mod concatenation;
mod conv;
mod convert;
mod depthwise;
mod error;
mod fixed;
mod fork;
mod gather;
mod hard_swish;
mod kernel;
mod matmul;
mod mean;
mod op;
mod pad;
mod plan;
mod pool;
mod requant;
mod resize;
mod simd;
mod slice;
mod softmax;
mod table;
mod tensor;
mod transpose;
#[cfg(test)]
mod twin;
mod walk;
mod window;

pub use conv::{Conv, FullyConnected};
pub use depthwise::Depthwise;
pub use error::Error;
pub use fork::{Alone, Fork};
pub use kernel::Target;
pub use matmul::Weights;
pub use op::{Arithmetic, Corners, Op, Pointwise, Resize};
pub use plan::{Builder, Plan, STEPS_MAX, TensorId, WAYS_MAX, WORK_MAX};
pub use requant::Activation;
pub use simd::Isa;
pub use tensor::{ARENA_MAX, Element, Quant, RANK_MAX, Shape, Tensor};
pub use window::{Padding, Window};
