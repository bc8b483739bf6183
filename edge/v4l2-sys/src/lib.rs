//! V4L2's C declarations for 64-bit Linux, generated ahead of time so that nobody needs libclang.
//!
//! Stands in for the crate of the same name through `[patch.crates-io]`. Made from Linux's
//! `linux/videodev2.h` by bindgen 0.72 with the allowlist `v4l2_.*`, `V4L2_.*`, `time_t`,
//! `timeval`. The header is dual-licensed; these bindings take BSD-3-Clause, see `LICENSE`.
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    missing_docs,
    missing_debug_implementations,
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    unused_qualifications,
    unnecessary_transmutes,
    reason = "generated code"
)]
include!("bindings.rs");
