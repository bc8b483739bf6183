//! A quantized TFLite graph as a flat plan, run in an arena that the caller lends.
//!
//! ```text
//! file --(the shell lowers it)--> Builder --finish()--> Plan
//!                                                         | run(&mut bytes, &mut patch)
//!        input [1, H, W, C] u8 NHWC --> step, step, ... --> outputs [1, H, W, C] u8 NHWC
//! ```
//!
//! Loading allocates (weights are packed once); [`Plan::run`] does not. A plan is immutable
//! and shared; what a run writes lies in the caller's arena, one per camera.
//!
//! Numbers follow TFLite's quantization, `real = scale * (stored - zero_point)`, with
//! XNNPACK's rounding: the `i32` sum times the `f32` multiplier
//! `input_scale * weight_scale / output_scale`, clamped, rounded half to even. The kernels
//! here are plain Rust and are the definition: faster ones must equal them bit for bit.
//!
//! Activations are `u8` with one scale a tensor; weights come as `i16` with their zero point
//! taken off and one scale an output channel. A file with `int8` activations fits by adding
//! 128 to each value and zero point. Absent: floats, dilation, depth multipliers.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod arena;
mod conv;
mod depthwise;
mod error;
mod plan;
mod requant;
#[cfg(test)]
mod twin;
mod window;

pub use conv::Conv;
pub use depthwise::Depthwise;
pub use error::Error;
pub use plan::{ARENA_MAX, Builder, Plan, Shape, Tensor, TensorId, WORK_MAX};
pub use requant::{Activation, Quant};
pub use window::{Padding, Window};
