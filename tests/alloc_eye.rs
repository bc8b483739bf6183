//! The eye's hot path, from the frame to the tracker and the watch, asks for no memory once it
//! is warm.

use edge_core::decode::Detection;
use edge_core::event::EventId;
use edge_core::geometry::BBox;
use edge_core::motion::{CELLS, GRID, Gate, Sight};
use edge_core::pixels::View;
use edge_core::time::{Instant, UnixMs};
use edge_core::track::Tracker;
use edge_core::watch::{Now, Watch};
use harness::heap::{self, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;

/// A picture with a dark figure that walks.
fn draw(bytes: &mut [u8], frame: u64) {
    let (left, right) = (frame % 560, frame % 560 + 60);
    for (at, pixel) in (0_u64..).zip(bytes.chunks_exact_mut(2)) {
        let (x, y) = (at % u64::from(WIDTH), at / u64::from(WIDTH));
        let figure = (left..right).contains(&x) && (150..350).contains(&y);
        pixel.copy_from_slice(&[if figure { 40 } else { 150 }, 128]);
    }
}

#[test]
fn a_thousand_frames_ask_for_nothing() {
    let mut bytes = vec![0; WIDTH as usize * HEIGHT as usize * 2];
    let (mut gate, mut grid) = (Box::new(Gate::new()), Box::new([0; CELLS]));
    let (mut tracker, mut watch) = (Tracker::new(), Watch::new("porch"));
    let (mut changes, mut looks, mut next) = (0, 0, 0);
    let mut asked = 0;
    for frame in 0..1_100_u64 {
        draw(&mut bytes, frame * 7);
        if frame == 100 {
            asked = heap::asked();
        }
        let now = Now { at: Instant(frame * 100), unix: UnixMs(frame * 100) };
        let view = View::yuyv(&bytes, WIDTH, HEIGHT, WIDTH * 2).expect("enough bytes");
        assert!(view.luma_into(&mut *grid, GRID.0, GRID.1));
        match gate.look(now.at, &grid) {
            Sight::Still => tracker.handle_still(now.at),
            Sight::Scene => tracker.handle_scene(now.at),
            Sight::Moving(motion) => {
                looks += 1;
                let strong = Detection { class: 0, score: 0.8, bbox: motion.bbox };
                let weak =
                    Detection { class: 2, score: 0.4, bbox: BBox { x0: 0.9, ..BBox::WHOLE } };
                tracker.handle_detections(now.at, &[strong, weak], |bbox| gate.moved_in(bbox));
            }
            Sight::Settling => {}
        }
        let mut ids = || {
            next += 1;
            EventId(next)
        };
        watch.handle_tracks(now, tracker.tracks(), |_| Some("person"), &mut ids);
        while watch.poll_output().is_some() {
            changes += 1;
        }
    }
    let asked = heap::asked() - asked;
    assert_eq!(asked, 0, "allocations in 1,000 frames");
    assert!(looks > 500 && changes > 10, "it was no idle run: {looks} looks, {changes} changes");
}
