//! Inference asks the heap for nothing, on however many threads, and stays within its memory.
//!
//! The only test here: what every thread of the process asks for is counted.

use edge::model::{Model, Network, target};
use harness::heap::{self, Counting, held};
use harness::{data, rounds};
use std::path::Path;

/// Activations of the COCO SSD, and all its memory, bytes.
const ARENA_MAX: u64 = 3 << 20;
const WHOLE_MAX: i64 = 10 << 20;
/// Inferences of a whole run.
const INFERENCES: u64 = 1_000;
const SSD: &str = "ssd_mobilenet_v1_coco_quant.tflite";
const OTHERS: [&str; 4] = [
    "mobilenet_v2_1.0_224_quant.tflite",
    "person_detect.tflite",
    "blazeface_front_128.tflite",
    "movenet_lightning_ptq.tflite",
];

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` asks of the heap, on all threads.
fn asked(work: impl FnOnce()) -> u64 {
    let before = heap::asked();
    work();
    heap::asked() - before
}

/// The detector, from a picture to detections.
fn detector(path: &Path, threads: usize, inferences: u64) {
    let before = held();
    let model = Model::load_for(target(threads), path, None);
    let model = model.unwrap_or_else(|error| panic!("{error}"));
    let mut detector = model.detector();
    let whole = held() - before;
    assert!(model.network().arena_bytes() as u64 <= ARENA_MAX, "{}", model.network());
    assert!(whole <= WHOLE_MAX, "{whole} bytes, {}", model.network());
    let picture: Vec<u8> = (0..300 * 300 * 3).map(|at: u32| at.to_le_bytes()[0]).collect();
    let mut look = || {
        detector.input().0.copy_from_slice(&picture);
        detector.detect();
    };
    look();
    look();
    let asked = asked(|| (0..inferences).for_each(|_| look()));
    assert_eq!(asked, 0, "heap calls in {inferences} inferences on {threads} threads");
}

/// Any network: operators that no detector has.
fn network(path: &Path, threads: usize, inferences: u64) {
    let network = Network::load(target(threads), path).unwrap_or_else(|error| panic!("{error}"));
    let mut arena = network.arena();
    let mut run = || {
        arena.input(0).fill(77);
        arena.run();
    };
    run();
    run();
    let asked = asked(|| (0..inferences).for_each(|_| run()));
    assert_eq!(asked, 0, "heap calls of {} on {threads} threads", network.name());
}

#[test]
fn inferences_ask_the_heap_for_nothing() {
    let name = "inferences_ask_the_heap_for_nothing";
    assert_eq!(asked(|| drop(std::hint::black_box(vec![0_u8; 100]))), 1, "the counter counts");
    let Some([ssd]) = data::all(name, [data::model(SSD)]) else { return };
    let Some(others) = data::all(name, OTHERS.map(data::model)) else { return };
    for threads in [1, 2, 3] {
        // All of them on one thread; enough on more for what comes in spurts.
        let part = if threads == 1 { 1 } else { 4 };
        detector(&ssd, threads, rounds(INFERENCES / part));
        for path in &others {
            network(path, threads, rounds(INFERENCES / 50));
        }
    }
}
