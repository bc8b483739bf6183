//! What the heap is asked for, counted: a test binary makes [`Counting`] its allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

static ASKED: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static ASKED_HERE: Cell<u64> = const { Cell::new(0) };
    static HELD_HERE: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, counting.
#[derive(Debug)]
pub struct Counting;

/// How often all threads have asked for memory.
pub fn asked() -> u64 {
    ASKED.load(Ordering::Relaxed)
}

/// The bytes that all threads hold.
pub fn held() -> i64 {
    HELD.load(Ordering::Relaxed)
}

/// How often the current thread has asked for memory.
pub fn asked_here() -> u64 {
    ASKED_HERE.get()
}

/// The bytes that the current thread has asked for and not given back; those of another thread
/// that it gives back count too.
pub fn held_here() -> i64 {
    HELD_HERE.get()
}

fn count(asked: u64, bytes: i64) {
    ASKED.fetch_add(asked, Ordering::Relaxed);
    HELD.fetch_add(bytes, Ordering::Relaxed);
    // A thread that is ending has no counter any more, and no test either.
    let _ = ASKED_HERE.try_with(|count| count.set(count.get() + asked));
    let _ = HELD_HERE.try_with(|held| held.set(held.get() + bytes));
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[expect(unsafe_code, reason = "an allocator can only be counted from inside")]
// SAFETY: every call goes on to the system's allocator unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller's promise about `layout` is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        // SAFETY: `pointer` came from `System` by way of `alloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        // SAFETY: as for `dealloc`; the caller's promise about `size` is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
