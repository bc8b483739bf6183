//! What has become of a camera's view: covered, blind, moved, or frozen.
//!
//! The motion gate's grid of luma is looked at once a second. Texture is what differs from cell
//! to cell; a view without any shows nothing.
//!
//! ```text
//!         texture gone within 3 s, for 10 s .......... Covered -+
//!  Clear  texture gone little by little, for 60 s .... Blind   -+-- as it was, for 3 s --> Clear
//!         the very same picture, for 30 s ............ Frozen  -+
//!         another view than for minutes, for 10 s .... Moved: said once, and the new view counts
//! ```
//! A pause in the frames proves nothing: times begin anew after it.

use crate::motion::{CELLS, COLS};
use crate::time::Instant;

/// How often is looked.
const LOOK_MS: u64 = 1_000;
/// Frames that came further apart do not belong to one observation.
const PAUSE_MS: u64 = 5_000;
/// Variances, grey levels squared: below the first a view shows nothing, from the second on
/// it shows something.
const FLAT: f32 = 25.0;
const TEXTURED: f32 = 64.0;
/// Texture that is lost in less was taken away, by a hand or a light switch.
const SUDDEN_MS: u64 = 3_000;
const COVERED_MS: u64 = 10_000;
const BLIND_MS: u64 = 60_000;
const FROZEN_MS: u64 = 30_000;
const CLEAR_MS: u64 = 3_000;
/// A view that stands still for so long is the one that the camera was given.
const SETTLED_MS: u64 = 60_000;
const MOVED_MS: u64 = 10_000;
/// From one look to the next, cells that differ by more than this many grey levels have changed,
const CHANGE: u8 = 12;
/// and a view in which no more than this many have stands still.
const STILL_CELLS: usize = CELLS / 10;
/// The correlation of edges below which two grids show different views.
const OTHER_VIEW: f32 = 0.2;

/// What is new about a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It was lost at once: something lies before the lens, or the light went out.
    Covered,
    /// It was lost little by little: too dark, too bright, fogged.
    Blind,
    /// The camera looks elsewhere.
    Moved,
    /// The device repeats one picture.
    Frozen,
    /// It shows something again.
    Clear,
}

impl News {
    /// The label of the event that says so.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Covered => "camera_covered",
            Self::Blind => "camera_blind",
            Self::Moved => "camera_moved",
            Self::Frozen => "camera_frozen",
            Self::Clear => "camera_clear",
        }
    }

    /// What the camera's status says while it lasts; empty where nothing is wrong.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Covered => "covered, or the light went out",
            Self::Blind => "too dark or too bright to see",
            Self::Frozen => "the same picture again and again",
            Self::Moved | Self::Clear => "",
        }
    }
}

/// What lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Clear,
    Covered,
    Blind,
    Frozen,
}

impl State {
    const fn news(self) -> News {
        match self {
            Self::Clear => News::Clear,
            Self::Covered => News::Covered,
            Self::Blind => News::Blind,
            Self::Frozen => News::Frozen,
        }
    }
}

/// The watch over one camera's view: about 10 KiB, so keep it in a box.
pub struct Tamper {
    /// Whether one picture again and again means that the device hangs: it does for a device,
    /// not for a recording.
    live: bool,
    state: State,
    looked: Option<Instant>,
    last: [u8; CELLS],
    /// The view that the camera was given; meaningless before `has_view`.
    view: [u8; CELLS],
    has_view: bool,
    /// Since when each of these holds.
    flat: Option<Instant>,
    textured: Option<Instant>,
    same: Option<Instant>,
    still: Option<Instant>,
    elsewhere: Option<Instant>,
    /// When there was texture last.
    seen: Option<Instant>,
    /// The texture was lost at once.
    sudden: bool,
}

impl core::fmt::Debug for Tamper {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tamper").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Tamper {
    /// A watch that has seen nothing; `live` for a device, whose pictures are never the same.
    pub const fn new(live: bool) -> Self {
        Self {
            live,
            state: State::Clear,
            looked: None,
            last: [0; CELLS],
            view: [0; CELLS],
            has_view: false,
            flat: None,
            textured: None,
            same: None,
            still: None,
            elsewhere: None,
            seen: None,
            sudden: false,
        }
    }

    /// What the camera's status says of the view as it is; empty where nothing is wrong.
    pub const fn words(&self) -> &'static str {
        self.state.news().words()
    }

    /// Looks at a frame's grid; what is new about the view.
    pub fn look(&mut self, now: Instant, grid: &[u8; CELLS]) -> Option<News> {
        let since = self.looked.map(|looked| now.since_ms(looked));
        if since.is_some_and(|ms| ms < LOOK_MS) {
            return None;
        }
        if since.is_none_or(|ms| ms > PAUSE_MS) {
            self.forget();
        }
        let first = self.looked.is_none();
        self.looked = Some(now);
        self.observe(now, grid, first);
        let news = self.judge(now, grid, first);
        self.last = *grid;
        news
    }

    /// Begins each observation anew; what was said stays said.
    const fn forget(&mut self) {
        self.looked = None;
        self.flat = None;
        self.textured = None;
        self.same = None;
        self.still = None;
        self.elsewhere = None;
        self.seen = None;
    }

    /// Notes since when what holds.
    fn observe(&mut self, now: Instant, grid: &[u8; CELLS], first: bool) {
        let variance = variance(grid);
        if self.flat.is_none() {
            self.sudden = self.seen.is_some_and(|seen| now.since_ms(seen) <= SUDDEN_MS);
        }
        hold(&mut self.flat, variance < FLAT, now);
        hold(&mut self.textured, variance >= TEXTURED, now);
        if self.textured.is_some() {
            self.seen = Some(now);
        }
        let changed = grid.iter().zip(&self.last).filter(|(a, b)| a.abs_diff(**b) > CHANGE).count();
        hold(&mut self.same, self.live && !first && *grid == self.last, now);
        hold(&mut self.still, !first && changed <= STILL_CELLS, now);
        let textured = self.textured.is_some();
        let elsewhere =
            self.has_view && textured && self.still.is_some() && !resembles(&self.view, grid);
        hold(&mut self.elsewhere, elsewhere, now);
    }

    fn judge(&mut self, now: Instant, grid: &[u8; CELLS], first: bool) -> Option<News> {
        let lasts = |since: Option<Instant>, ms| since.is_some_and(|at| now.since_ms(at) >= ms);
        let (state, news) = match self.state {
            State::Clear if lasts(self.flat, COVERED_MS) && self.sudden => {
                (State::Covered, News::Covered)
            }
            State::Clear if lasts(self.flat, BLIND_MS) => (State::Blind, News::Blind),
            State::Clear if lasts(self.same, FROZEN_MS) && self.textured.is_some() => {
                (State::Frozen, News::Frozen)
            }
            State::Clear if lasts(self.elsewhere, MOVED_MS) => {
                self.view = *grid;
                self.elsewhere = None;
                (State::Clear, News::Moved)
            }
            State::Covered | State::Blind if lasts(self.textured, CLEAR_MS) => {
                (State::Clear, News::Clear)
            }
            State::Frozen if self.same.is_none() && !first => (State::Clear, News::Clear),
            _ => {
                // It follows the light and the seasons, but not a push.
                let settled = lasts(self.still, SETTLED_MS) && self.elsewhere.is_none();
                if settled && self.textured.is_some() {
                    (self.view, self.has_view, self.still) = (*grid, true, Some(now));
                }
                return None;
            }
        };
        self.state = state;
        Some(news)
    }
}

/// Keeps since when a thing holds.
const fn hold(since: &mut Option<Instant>, holds: bool, now: Instant) {
    if !holds {
        *since = None;
    } else if since.is_none() {
        *since = Some(now);
    }
}

/// Of the cells, grey levels squared.
fn variance(grid: &[u8; CELLS]) -> f32 {
    let (mut sum, mut squares) = (0_u64, 0_u64);
    for luma in grid {
        let luma = u64::from(*luma);
        sum += luma;
        squares += luma * luma;
    }
    let mean = sum as f32 / CELLS as f32;
    squares as f32 / CELLS as f32 - mean * mean
}

/// Whether two grids show one view: what differs from a cell to its neighbours is correlated,
/// whatever the light.
fn resembles(a: &[u8; CELLS], b: &[u8; CELLS]) -> bool {
    let (mut aa, mut bb, mut ab) = (0_i64, 0_i64, 0_i64);
    for at in COLS..CELLS {
        for near in [at - 1, at - COLS] {
            let edge = |grid: &[u8; CELLS]| i64::from(grid[at]) - i64::from(grid[near]);
            let (x, y) = (edge(a), edge(b));
            aa += x * x;
            bb += y * y;
            ab += x * y;
        }
    }
    ab as f32 >= OTHER_VIEW * libm::sqrtf(aa as f32 * bb as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    /// xorshift: the same pictures in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: u64) -> u8 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            u8::try_from(self.0 % below).expect("below 256")
        }
    }

    type Grid = [u8; CELLS];

    /// Blocks of grey, as a photograph has them.
    fn scene(seed: u64) -> Grid {
        let mut dice = Dice(seed * 7_919 + 1);
        let blocks: Vec<u8> = (0..300).map(|_| 40 + dice.roll(160)).collect();
        core::array::from_fn(|at| blocks[at / COLS / 4 * 20 + at % COLS / 4])
    }

    /// A camera at ten frames a second, with a sensor's noise.
    struct Camera {
        tamper: Box<Tamper>,
        dice: Dice,
        now: u64,
    }

    impl Camera {
        fn new() -> Self {
            Self { tamper: Box::new(Tamper::new(true)), dice: Dice(5), now: 0 }
        }

        /// Shows what `picture` gives for each frame of these seconds; the news, with the
        /// second that they came in.
        fn show(&mut self, seconds: u64, picture: impl Fn(u64) -> Grid) -> Vec<(u64, News)> {
            let mut news = Vec::new();
            for frame in 0..seconds * 10 {
                let mut grid = picture(frame);
                for cell in &mut grid {
                    *cell = cell.saturating_add(self.dice.roll(3));
                }
                let new = self.tamper.look(Instant(self.now), &grid);
                news.extend(new.map(|new| (frame / 10, new)));
                self.now += 100;
            }
            news
        }
    }

    fn dim(grid: &Grid, percent: u64) -> Grid {
        grid.map(|luma| u8::try_from(u64::from(luma) * percent / 100).expect("at most itself"))
    }

    #[test]
    fn a_covered_lens_is_told_and_its_end_too() {
        let (yard, mut camera) = (scene(1), Camera::new());
        assert_eq!(camera.show(100, |_| yard), []);
        assert_eq!(camera.show(5, |_| [9; CELLS]), [], "somebody passes close by");
        assert_eq!(camera.show(5, |_| yard), []);
        assert_eq!(camera.show(30, |_| [9; CELLS]), [(10, News::Covered)]);
        assert_eq!(camera.show(30, |_| yard), [(3, News::Clear)]);
    }

    #[test]
    fn dusk_is_no_hand() {
        let (yard, mut camera) = (scene(1), Camera::new());
        let dusk = camera.show(400, |frame| dim(&yard, 100 - (frame / 30).min(99)));
        assert!(matches!(dusk[..], [(_, News::Blind)]), "{dusk:?}");
        let dawn = camera.show(400, |frame| dim(&yard, 1 + (frame / 30).min(99)));
        assert!(matches!(dawn[..], [(_, News::Clear)]), "{dawn:?}");
    }

    #[test]
    fn a_push_is_told_once() {
        let (yard, mut camera) = (scene(1), Camera::new());
        assert_eq!(camera.show(100, |_| yard), []);
        assert_eq!(camera.show(100, |_| scene(2)), [(11, News::Moved)]);
        // By two cells of eighty: a loose screw.
        let shifted = |grid: &Grid| core::array::from_fn(|at| grid[(at + 2) % CELLS]);
        assert_eq!(camera.show(100, |_| shifted(&shifted(&scene(2)))), [(11, News::Moved)]);
        assert_eq!(camera.show(100, |_| scene(1)), [(11, News::Moved)]);
    }

    #[test]
    fn light_visitors_and_slide_shows_are_no_push() {
        let (yard, mut camera) = (scene(1), Camera::new());
        camera.show(100, |_| yard);
        assert_eq!(camera.show(100, |frame| dim(&yard, 40 + frame % 60)), [], "clouds");
        assert_eq!(camera.show(100, |_| dim(&yard, 40)), []);
        let parked = |at: usize| (20..50).contains(&(at % COLS)) && (20..45).contains(&(at / COLS));
        let van = core::array::from_fn(|at| if parked(at) { 128 } else { yard[at] });
        assert_eq!(camera.show(100, |_| van), [], "a van before the house");
        assert_eq!(camera.show(100, |frame| scene(frame / 5)), [], "pictures of a folder");
    }

    #[test]
    fn a_device_that_repeats_itself_is_frozen() {
        let yard = scene(1);
        for live in [true, false] {
            let mut tamper = Box::new(Tamper::new(live));
            let told: Vec<_> =
                (0..100).filter_map(|second| tamper.look(Instant(second * 1000), &yard)).collect();
            assert_eq!(told, if live { &[News::Frozen][..] } else { &[] });
            let thawed = tamper.look(Instant(100_000), &scene(2));
            assert_eq!(thawed, live.then_some(News::Clear));
        }
    }

    #[test]
    fn a_pause_proves_nothing() {
        let mut tamper = Box::new(Tamper::new(true));
        let seconds = (0..600).filter(|second| second % 20 < 9);
        for second in seconds {
            let grid = if second < 300 { scene(1) } else { [9; CELLS] };
            assert_eq!(tamper.look(Instant(second * 1000), &grid), None, "at {second} s");
        }
    }

    #[test]
    fn what_is_wrong_stays_wrong_through_a_pause() {
        let (yard, wall) = (scene(1), [9; CELLS]);
        for (shown, news) in [(yard, News::Frozen), (wall, News::Covered)] {
            let mut tamper = Box::new(Tamper::new(true));
            tamper.look(Instant(0), &yard);
            let told: Vec<_> =
                (1..60).filter_map(|second| tamper.look(Instant(second * 1000), &shown)).collect();
            assert_eq!(told, [news]);
            // The device is opened anew, and shows what it showed.
            for second in 90..100 {
                assert_eq!(tamper.look(Instant(second * 1000), &shown), None, "at {second} s");
                assert_eq!(tamper.words(), news.words());
            }
            let clear: Vec<_> = (100..110)
                .filter_map(|second| tamper.look(Instant(second * 1000), &scene(second)))
                .collect();
            assert_eq!((clear, tamper.words()), (std::vec![News::Clear], ""));
        }
    }
}
