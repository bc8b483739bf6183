//! No frame costs the heap anything once its thread is warm.

use edge::model::Model;
use edge_core::pixels::View;
use harness::data;
use harness::heap::{Counting, asked_here};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` asks of the heap on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = asked_here();
    work();
    asked_here() - before
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
