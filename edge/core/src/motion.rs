//! The motion gate: which frames are worth a detector's time, and where they changed.
//!
//! A frame comes in as a grid of mean luma, [`COLS`] by [`ROWS`] whatever its size. The gate
//! keeps a slow average of the grid, the background, and compares. It answers once a frame:
//!
//! ```text
//! first frame, or most cells differ ........ Scene     (the background starts anew)
//! the next SETTLING frames ................. Settling  (the detector gets more looks)
//! some cells differ ........................ Moving    (where, and how much)
//! otherwise ................................ Still     (nobody needs to look)
//! ```
//! What stays, is absorbed: a parked car is background about 5 seconds later. A change that
//! is the same picture brighter or darker (a cloud, an exposure step) is no motion.

use crate::geometry::BBox;
use crate::time::Instant;

/// The grid's columns and rows, as [`crate::pixels::View::luma_into`] wants them.
pub const GRID: (u32, u32) = (80, 60);
/// Cells in a row of the grid.
pub const COLS: usize = 80;
/// Rows of the grid.
pub const ROWS: usize = 60;
/// Cells of the grid.
pub const CELLS: usize = COLS * ROWS;

/// Differences up to this many grey levels are noise of the sensor and of JPEG.
const NOISE: u8 = 12;
/// Differences from frame to frame up to this many grey levels are no change.
const CHANGE: u8 = 6;
/// The same as [`NOISE`] after a change of light, whose fit is never exact.
const NOISE_RELIT: i32 = 24;
/// Fewer moved cells than this are a fly.
const LEAST_CELLS: usize = 6;
/// From this many moved cells on, it is another scene.
const SCENE_CELLS: usize = CELLS / 2;
/// The square of the correlation from which on two grids show the same scene.
const SAME_SCENE: f32 = 0.81;
/// The least variance, grey levels squared, of a grid that light can be told from.
const LEAST_VARIANCE: f32 = 16.0;
/// A change of light is at least this many grey levels, of the mean and the spread together.
const LEAST_CHANGE: f32 = 3.0;
/// Frames that pass after a new scene although nothing moves.
const SETTLING: u8 = 2;
/// How long a still cell takes to follow a change by 63 %.
const ABSORB_MS: u64 = 4_000;
/// The same for a cell that differs but has not changed for a second: something came to stay.
const ABSORB_STAYING_MS: u64 = 2_000;
/// That second, in the unit of [`Gate::calm`].
const CALM: u8 = 62;
/// That unit.
const CALM_UNIT_MS: u64 = 16;
/// The same for a cell that goes on changing.
const ABSORB_MOVING_MS: u64 = 8_000;
/// Moved cells within this many cells of one another are one thing.
const REACH: usize = 2;

/// What moved in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    /// Moved cells as a share of all, 0.0..=1.0.
    pub share: f32,
    /// Around the largest thing that moved.
    pub bbox: BBox,
}

/// What the gate says of one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sight {
    /// Nothing changed: not worth a look.
    Still,
    /// Something moved.
    Moving(Motion),
    /// A new scene, the first frame included.
    Scene,
    /// Nothing moved, but the scene is so new that it may be looked at again.
    Settling,
}

impl Sight {
    /// Whether the frame is worth a look.
    pub fn passes(&self) -> bool {
        !matches!(self, Self::Still)
    }
}

/// The state of the gate of one camera: about 35 KiB, so keep it in a box.
pub struct Gate {
    /// Mean luma of each cell in 1/256 grey levels.
    background: [u16; CELLS],
    /// The last frame, for what has just vanished looks like background at once.
    last: [u8; CELLS],
    /// How long each cell has not changed, in units of 16 ms, up to 4 s.
    calm: [u8; CELLS],
    marks: [Mark; CELLS],
    stack: [u16; CELLS],
    phase: Phase,
    looked: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Blank,
    Settling(u8),
    Watching,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Still,
    Moved,
    /// Moved, and counted as a part of some thing.
    Counted,
}

impl core::fmt::Debug for Gate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Gate").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate that has seen nothing.
    pub const fn new() -> Self {
        Self {
            background: [0; CELLS],
            last: [0; CELLS],
            calm: [0; CELLS],
            marks: [Mark::Still; CELLS],
            stack: [0; CELLS],
            phase: Phase::Blank,
            looked: Instant(0),
        }
    }

    /// Compares a frame's grid with the background and takes it in.
    pub fn look(&mut self, now: Instant, grid: &[u8; CELLS]) -> Sight {
        if self.phase == Phase::Blank {
            return self.restart(now, grid);
        }
        let moved = self.compare(grid);
        if moved >= LEAST_CELLS && self.relight(grid, moved) >= SCENE_CELLS {
            return self.restart(now, grid);
        }
        self.absorb(now, grid);
        let settling = self.settle();
        match self.things() {
            Some(motion) => Sight::Moving(motion),
            None if settling => Sight::Settling,
            None => Sight::Still,
        }
    }

    /// Whether something moved inside `bbox` in the frame last looked at.
    pub fn moved_in(&self, bbox: &BBox) -> bool {
        let (cols, rows) = (span(bbox.x0, bbox.x1, COLS), span(bbox.y0, bbox.y1, ROWS));
        let lines = self.marks.chunks_exact(COLS).take(rows.end).skip(rows.start);
        let hits = lines
            .flat_map(|line| line.iter().take(cols.end).skip(cols.start))
            .filter(|mark| **mark != Mark::Still)
            .count();
        hits >= LEAST_CELLS / 2
    }

    fn restart(&mut self, now: Instant, grid: &[u8; CELLS]) -> Sight {
        for (cell, luma) in self.background.iter_mut().zip(grid) {
            *cell = u16::from(*luma) << 8;
        }
        self.last = *grid;
        self.calm = [0; CELLS];
        self.marks = [Mark::Moved; CELLS];
        self.phase = Phase::Settling(SETTLING);
        self.looked = now;
        Sight::Scene
    }

    fn settle(&mut self) -> bool {
        let Phase::Settling(left) = self.phase else { return false };
        self.phase = if left > 1 { Phase::Settling(left - 1) } else { Phase::Watching };
        true
    }

    /// Marks the cells that moved against the background or the last frame; counts them.
    fn compare(&mut self, grid: &[u8; CELLS]) -> usize {
        let cells = grid.iter().zip(&self.background).zip(&self.last);
        for (mark, ((luma, behind), before)) in self.marks.iter_mut().zip(cells) {
            let [behind, _] = behind.to_be_bytes();
            // No short cuts: without them this is a loop of vectors.
            let moved = (luma.abs_diff(behind) > NOISE) | (luma.abs_diff(*before) > NOISE);
            *mark = if moved { Mark::Moved } else { Mark::Still };
        }
        self.marks.iter().filter(|mark| **mark == Mark::Moved).count()
    }

    /// Puts the background into the frame's light where that explains most of the cells that
    /// moved; answers how many are left.
    fn relight(&mut self, grid: &[u8; CELLS], moved: usize) -> usize {
        let Some(light) = Light::fit(&self.background, grid) else { return moved };
        let differs = |(luma, behind): (&u8, &u16)| {
            (i32::from(*luma) - i32::from(light.relit(*behind) >> 8)).abs() > NOISE_RELIT
        };
        let left = grid.iter().zip(&self.background).filter(|cell| differs(*cell)).count();
        if left > moved / 2 {
            return moved;
        }
        for (mark, cell) in self.marks.iter_mut().zip(grid.iter().zip(&self.background)) {
            *mark = if differs(cell) { Mark::Moved } else { Mark::Still };
        }
        self.background.iter_mut().for_each(|cell| *cell = light.relit(*cell));
        left
    }

    /// Moves the background towards the frame, by time, not by frames.
    fn absorb(&mut self, now: Instant, grid: &[u8; CELLS]) {
        let step = now.since_ms(self.looked).max(1);
        // Powers of two of a 256th: a vector's cells can be multiplied each by its own, but not
        // be shifted.
        let pace = |ms: u64| 256 >> (ms / step).checked_ilog2().unwrap_or(0).min(8);
        let (still, staying, moving) =
            (pace(ABSORB_MS), pace(ABSORB_STAYING_MS), pace(ABSORB_MOVING_MS));
        let units = u8::try_from(step / CALM_UNIT_MS).unwrap_or(u8::MAX);
        for (calm, (luma, before)) in self.calm.iter_mut().zip(grid.iter().zip(&self.last)) {
            let longer = calm.saturating_add(units);
            *calm = if luma.abs_diff(*before) > CHANGE { 0 } else { longer };
        }
        let cells = grid.iter().zip(&self.calm).zip(&self.marks);
        for (behind, ((luma, calm), mark)) in self.background.iter_mut().zip(cells) {
            let gap = (i32::from(*luma) << 8) - i32::from(*behind);
            let moved = if *calm >= CALM { staying } else { moving };
            let pace: i32 = if *mark == Mark::Still { still } else { moved };
            // A part of the gap: it does not lead past either end.
            *behind = behind.wrapping_add_signed(short((gap * pace) >> 8));
        }
        self.last = *grid;
        self.looked = now;
    }

    /// Gathers the moved cells into things, forgets the specks, and finds the largest.
    fn things(&mut self) -> Option<Motion> {
        let mut all = 0;
        let mut largest: Option<(usize, Area)> = None;
        for start in 0..CELLS {
            if self.marks[start] != Mark::Moved {
                continue;
            }
            let (count, area) = self.gather(start);
            if count < LEAST_CELLS {
                self.forget(&area);
                continue;
            }
            all += count;
            if largest.is_none_or(|(most, _)| count > most) {
                largest = Some((count, area));
            }
        }
        let (_, area) = largest?;
        Some(Motion { share: all as f32 / CELLS as f32, bbox: area.bbox() })
    }

    /// Counts the moved cells that hang together with `start`.
    fn gather(&mut self, start: usize) -> (usize, Area) {
        let mut area = Area::around(start);
        let (mut count, mut waiting) = (0, 1);
        self.stack[0] = index(start);
        self.marks[start] = Mark::Counted;
        while waiting > 0 {
            waiting -= 1;
            let cell = usize::from(self.stack[waiting]);
            count += 1;
            area.include(cell);
            let (col, row) = (cell % COLS, cell / COLS);
            for near_row in row.saturating_sub(REACH)..=(row + REACH).min(ROWS - 1) {
                for near_col in col.saturating_sub(REACH)..=(col + REACH).min(COLS - 1) {
                    let near = near_row * COLS + near_col;
                    if self.marks[near] == Mark::Moved {
                        // Each cell enters the stack once, so CELLS places are enough.
                        self.marks[near] = Mark::Counted;
                        self.stack[waiting] = index(near);
                        waiting += 1;
                    }
                }
            }
        }
        (count, area)
    }

    /// Clears what was counted inside a speck's area. A speck is small, so that the worst that
    /// can happen to a neighbour is a lost corner.
    fn forget(&mut self, area: &Area) {
        for row in area.top..=area.bottom {
            for col in area.left..=area.right {
                self.marks[row * COLS + col] = Mark::Still;
            }
        }
    }
}

/// A rectangle of cells, both ends included.
#[derive(Debug, Clone, Copy)]
struct Area {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Area {
    fn around(cell: usize) -> Self {
        let (col, row) = (cell % COLS, cell / COLS);
        Self { left: col, top: row, right: col, bottom: row }
    }

    fn include(&mut self, cell: usize) {
        let (col, row) = (cell % COLS, cell / COLS);
        (self.left, self.right) = (self.left.min(col), self.right.max(col));
        (self.top, self.bottom) = (self.top.min(row), self.bottom.max(row));
    }

    fn bbox(&self) -> BBox {
        let part = |cells: usize, of: usize| cells as f32 / of as f32;
        BBox {
            x0: part(self.left, COLS),
            y0: part(self.top, ROWS),
            x1: part(self.right + 1, COLS),
            y1: part(self.bottom + 1, ROWS),
        }
    }
}

/// One light turned into another: luma = gain * background + offset.
#[derive(Debug, Clone, Copy)]
struct Light {
    gain: f32,
    offset: f32,
}

impl Light {
    /// The least-squares fit; `None` when the two do not show the same scene, or
    /// do so in the same light.
    fn fit(background: &[u16; CELLS], grid: &[u8; CELLS]) -> Option<Self> {
        let (mut sx, mut sy, mut sxx, mut syy, mut sxy) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
        for (behind, luma) in background.iter().zip(grid) {
            let (x, y) = (u64::from(*behind >> 8), u64::from(*luma));
            sx += x;
            sy += y;
            sxx += x * x;
            syy += y * y;
            sxy += x * y;
        }
        let n = CELLS as f32;
        let (mean_x, mean_y) = (sx as f32 / n, sy as f32 / n);
        let var_x = sxx as f32 / n - mean_x * mean_x;
        let var_y = syy as f32 / n - mean_y * mean_y;
        let cov = sxy as f32 / n - mean_x * mean_y;
        let same = var_x > LEAST_VARIANCE
            && var_y > LEAST_VARIANCE
            && cov > 0.0
            && cov * cov >= SAME_SCENE * var_x * var_y;
        let gain = cov / var_x;
        let change = (mean_y - mean_x).abs() + (gain - 1.0).abs() * libm::sqrtf(var_x);
        let differs = change > LEAST_CHANGE;
        (same && differs).then_some(Self { gain, offset: mean_y - gain * mean_x })
    }

    fn relit(self, behind: u16) -> u16 {
        let luma = f32::from(behind) / 256.0 * self.gain + self.offset;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what a u16 holds"
        )]
        let cell = (luma * 256.0).clamp(0.0, 65_280.0) as u16;
        cell
    }
}

/// The cells that lie between two normalised coordinates.
fn span(from: f32, to: f32, cells: usize) -> core::ops::Range<usize> {
    let at = |v: f32| v.clamp(0.0, 1.0) * cells as f32;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=cells")]
    let span = at(from) as usize..libm::ceilf(at(to)) as usize;
    span
}

fn index(cell: usize) -> u16 {
    u16::try_from(cell).expect("CELLS fits u16")
}

fn short(step: i32) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to an i16")]
    let step = step.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;

    /// xorshift: the same pictures in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % below
        }
    }

    fn byte(v: u64) -> u8 {
        u8::try_from(v).expect("below 256")
    }

    /// A scene of blocks, so that neighbours resemble one another as in a photograph.
    fn scene(seed: u64) -> Box<[u8; CELLS]> {
        let mut dice = Dice(seed * 7_919 + 1);
        let blocks: std::vec::Vec<u8> = (0..100).map(|_| byte(20 + dice.roll(200))).collect();
        let mut grid = Box::new([0; CELLS]);
        for (at, cell) in grid.iter_mut().enumerate() {
            *cell = blocks[at / COLS / 6 * 10 + at % COLS / 8];
        }
        grid
    }

    fn noisy(grid: &[u8; CELLS], dice: &mut Dice, by: u64) -> Box<[u8; CELLS]> {
        let mut out = Box::new(*grid);
        for cell in out.iter_mut() {
            *cell = cell.saturating_add(byte(dice.roll(2 * by + 1))).saturating_sub(byte(by));
        }
        out
    }

    fn with_block(grid: &[u8; CELLS], left: usize, top: usize) -> Box<[u8; CELLS]> {
        let mut out = Box::new(*grid);
        for row in top..top + 12 {
            for cell in &mut out[row * COLS + left..row * COLS + left + 6] {
                *cell = if *cell > 127 { *cell - 90 } else { *cell + 90 };
            }
        }
        out
    }

    #[test]
    fn a_still_noisy_picture_passes_when_it_appears_and_then_no_more() {
        for step_ms in [33, 100, 500, 5_000] {
            let (mut gate, mut dice) = (Box::new(Gate::new()), Dice(3));
            let picture = scene(1);
            for frame in 0..200_u64 {
                let grid = noisy(&picture, &mut dice, 4);
                let sight = gate.look(Instant(frame * step_ms), &grid);
                let expect = match frame {
                    0 => Sight::Scene,
                    1 | 2 => Sight::Settling,
                    _ => Sight::Still,
                };
                assert_eq!(sight, expect, "frame {frame} at {step_ms} ms");
            }
        }
    }

    #[test]
    fn every_changed_picture_is_a_new_scene_on_its_first_frame() {
        let mut gate = Box::new(Gate::new());
        for frame in 0..60 {
            let sight = gate.look(Instant(frame * 500), &scene(frame % 10));
            assert_eq!(sight, Sight::Scene, "frame {frame}");
        }
    }

    #[test]
    fn a_ramp_and_a_step_of_light_are_no_motion() {
        let picture = scene(2);
        let lit = |percent: u64, plus: u64| {
            let mut out = picture.clone();
            for cell in out.iter_mut() {
                *cell = byte((u64::from(*cell) * percent / 100 + plus).min(255));
            }
            out
        };
        let (mut gate, mut dice) = (Box::new(Gate::new()), Dice(11));
        for frame in 0..20 {
            gate.look(Instant(frame * 100), &lit(50, 0));
        }
        for frame in 20..70 {
            let grid = noisy(&lit(30 + frame, 0), &mut dice, 2);
            let sight = gate.look(Instant(frame * 100), &grid);
            assert_eq!(sight, Sight::Still, "the ramp, frame {frame}");
        }
        for frame in 70..90 {
            let sight = gate.look(Instant(frame * 100), &noisy(&lit(60, 30), &mut dice, 2));
            assert_eq!(sight, Sight::Still, "the step, frame {frame}");
        }
    }

    #[test]
    fn a_walker_is_found_where_it_is_and_missed_when_it_is_gone() {
        let mut gate = Box::new(Gate::new());
        let picture = scene(3);
        for frame in 0..10 {
            gate.look(Instant(frame * 100), &picture);
        }
        for step in 0..60_usize {
            let now = Instant(1_000 + 100 * step as u64);
            let Sight::Moving(motion) = gate.look(now, &with_block(&picture, step, 20)) else {
                panic!("step {step} is not seen");
            };
            let here = BBox {
                x0: step as f32 / 80.0,
                y0: 20.0 / 60.0,
                x1: (step + 6) as f32 / 80.0,
                y1: 32.0 / 60.0,
            };
            assert!(motion.bbox.iou(&here) > 0.4, "step {step}: {:?} is not {here:?}", motion.bbox);
            assert!(gate.moved_in(&here) && !gate.moved_in(&BBox { x0: 0.9, ..here }));
        }
        let there = BBox { x0: 59.0 / 80.0, y0: 20.0 / 60.0, x1: 65.0 / 80.0, y1: 32.0 / 60.0 };
        assert!(gate.look(Instant(7_100), &picture).passes(), "its vanishing is worth a look");
        assert!(gate.moved_in(&there), "and is seen where it was");
        let late = (0..20).map(|f| gate.look(Instant(8_000 + f * 100), &picture)).last();
        assert_eq!(late, Some(Sight::Still), "no ghost stays");
    }

    #[test]
    fn what_parks_is_absorbed_and_specks_are_nothing() {
        let mut gate = Box::new(Gate::new());
        let picture = scene(4);
        for frame in 0..10 {
            gate.look(Instant(frame * 100), &picture);
        }
        let mut speck = picture.clone();
        for cell in &mut speck[1_000..1_004] {
            *cell ^= 0x80;
        }
        assert_eq!(gate.look(Instant(1_000), &speck), Sight::Still);
        assert!(!gate.moved_in(&BBox::WHOLE));
        let parked = with_block(&picture, 40, 30);
        let end = (0..400).find(|f| !gate.look(Instant(1_100 + f * 100), &parked).passes());
        assert!(end.is_some_and(|f| (30..300).contains(&f)), "absorbed after {end:?} frames");
    }
}
