//! Gives memory back to the system after a flood: glibc keeps what was freed below anything
//! that is still in use. Other allocators (musl's) give it back by themselves.

use smol::Timer;
use std::fs;
use std::time::Duration;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Growth that is noticed, in KiB.
const GROWTH: u64 = 1024;

/// Looks at which memory is given back after growth: messages for absent peers, for one, are
/// freed only seconds later, and nothing grows then.
const LOOKS: u32 = 5;

/// Looks after the memory of this process, for ever.
pub async fn keep_small() {
    let (mut known, mut looks) = (resident_kib(), 0);
    while cfg!(target_env = "gnu") {
        Timer::after(LOOK).await;
        if resident_kib() > known + GROWTH {
            looks = LOOKS;
        }
        if looks > 0 {
            looks -= 1;
            trim();
            known = resident_kib();
        }
    }
}

/// The memory of this process that is in use, in KiB; 0 where the system does not say.
fn resident_kib() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * (rustix::param::page_size() as u64 / 1024)
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
