//! Gives memory back to the system after a flood: glibc keeps what was freed below anything
//! that is still in use. Other allocators (musl's) give it back by themselves.

use smol::Timer;
use std::time::Duration;

/// How often memory is given back: what a flood left for absent peers is freed 5 s after it.
const EVERY: Duration = Duration::from_secs(4);

/// Gives back what is free, for ever.
pub async fn keep_small() {
    while cfg!(target_env = "gnu") {
        Timer::after(EVERY).await;
        trim();
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "there is no other way to ask glibc")]
fn trim() {
    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // SAFETY: it takes no pointer, locks for itself, and gives back only what is free.
    unsafe {
        malloc_trim(0);
    }
}

#[cfg(not(target_env = "gnu"))]
const fn trim() {}
