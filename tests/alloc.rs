//! No frame costs the heap anything once its thread is warm.

use edge::model::Model;
use edge_core::pixels::View;
use harness::data;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting what the current thread asks for.
#[derive(Debug)]
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and no test either.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

#[expect(unsafe_code, reason = "the trait cannot be implemented without")]
// SAFETY: every call goes on to the system's allocator unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` by way of `alloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`; the caller's promise about `size` is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What `work` asks of the heap on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ASKED.get();
    work();
    ASKED.get() - before
}

/// A frame of stripes that differ by `phase`, YUYV 640 x 480.
fn frame(phase: usize) -> Vec<u8> {
    (0..640 * 480 * 2).map(|at| u8::try_from((at * 7 + phase * 31) % 251).expect("small")).collect()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![0_u8; 100]))), 1);
    assert_eq!(allocations(|| {}), 0);
}

#[test]
fn a_frame_costs_no_allocation_from_sampling_to_detections() {
    let name = "a_frame_costs_no_allocation_from_sampling_to_detections";
    let wanted = [data::model("ssd_mobilenet_v1_coco_quant.tflite")];
    let Some([path]) = data::all(name, wanted) else { return };
    let model = Model::load(&path, None).unwrap_or_else(|error| panic!("{error}"));
    let mut detector = model.detector();
    let golden = data::golden("pets.input.u8").map(|path| std::fs::read(path).expect("a file"));
    let frames: Vec<Vec<u8>> = (0..4).map(frame).collect();
    let mut grid = [0; 80 * 60];
    let mut seen = 0;
    let asked = allocations(|| {
        for bytes in &frames {
            let view = View::yuyv(bytes, 640, 480, 1280).expect("a whole frame");
            assert!(view.luma_into(&mut grid, 80, 60));
            let (input, width, height) = detector.input();
            assert!(view.sample_into(input, width, height));
            seen += detector.detect().len();
        }
        // A picture with things in it, so that candidates go all the way.
        if let Some(golden) = &golden {
            detector.input().0.copy_from_slice(golden);
            seen += detector.detect().len();
        }
    });
    assert_eq!(asked, 0, "allocations in {} frames", frames.len());
    assert!(golden.is_none() || seen > 0);
}
