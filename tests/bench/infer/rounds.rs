//! Subjects take turns in short bursts, and ratios are made within a round: what slows the
//! machine for a while slows both sides of a ratio.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// How long one burst should take, ms: long beside a change of subject, short beside a round.
const BURST_MS: f64 = 120.0;
/// Least and most pieces of work in a burst.
const BURST: (usize, usize) = (4, 100);

/// How long a piece of work took, ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    /// By the clock on the wall.
    pub(crate) wall: f64,
    /// On the CPU: without the times when other processes had it.
    pub(crate) cpu: f64,
}

/// Runs while a piece of work does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Time);

impl Stopwatch {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self(Time::read())
    }

    /// The time for each of `batch` equal pieces since the start.
    pub(crate) fn stop(self, batch: u32) -> Time {
        let (now, batch) = (Time::read(), f64::from(batch));
        Time { wall: (now.wall - self.0.wall) / batch, cpu: (now.cpu - self.0.cpu) / batch }
    }
}

impl Time {
    fn read() -> Self {
        let ms = |at: Timespec| at.tv_sec as f64 * 1e3 + at.tv_nsec as f64 / 1e6;
        let read = |clock| ms(clock_gettime(clock));
        Self { wall: read(ClockId::Monotonic), cpu: read(ClockId::ProcessCPUTime) }
    }

    /// The medians of both.
    fn median(times: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| median(times.iter().map(part).collect());
        Self { wall: of(|time| time.wall), cpu: of(|time| time.cpu) }
    }
}

/// The middle value, or the mean of the middle two; NaN of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// Does a piece of work so often and answers each one's time.
type Burst<'a> = Box<dyn FnMut(usize) -> Result<Vec<Time>, String> + 'a>;

/// Something that is timed.
pub(crate) struct Subject<'a> {
    /// What it does.
    pub(crate) name: String,
    /// The instruction set it does it with; may be empty.
    pub(crate) set: String,
    burst: Burst<'a>,
}

impl<'a> Subject<'a> {
    /// A subject by its burst.
    pub(crate) fn new(
        name: &str,
        set: &str,
        burst: impl FnMut(usize) -> Result<Vec<Time>, String> + 'a,
    ) -> Self {
        Self { name: name.into(), set: set.into(), burst: Box::new(burst) }
    }

    /// A subject whose piece of work is one call of `work`, timed `batch` calls at a time.
    pub(crate) fn work(name: &str, batch: u32, mut work: impl FnMut() + 'a) -> Self {
        let mut one = move |_| {
            let watch = Stopwatch::start();
            (0..batch).for_each(|_| work());
            watch.stop(batch)
        };
        Self::new(name, "", move |count| Ok((0..count).map(&mut one).collect()))
    }
}

/// What a subject took.
#[derive(Debug)]
pub(crate) struct Series {
    /// As the subject's.
    pub(crate) name: String,
    /// As the subject's.
    pub(crate) set: String,
    /// The shortest piece of work of all, by the clock on the wall, ms.
    pub(crate) least: f64,
    /// The median of each round.
    medians: Vec<Time>,
}

impl Series {
    /// The median of all rounds.
    pub(crate) fn median(&self) -> Time {
        Time::median(&self.medians)
    }

    /// The slowest round, by the clock on the wall, ms.
    pub(crate) fn most(&self) -> f64 {
        self.medians.iter().map(|time| time.wall).fold(0.0, f64::max)
    }

    /// The median of the rounds' ratios to `other`.
    pub(crate) fn over(&self, other: &Self) -> Time {
        let pairs = self.medians.iter().zip(&other.medians);
        let ratio = |(a, b): (&Time, &Time)| Time { wall: a.wall / b.wall, cpu: a.cpu / b.cpu };
        Time::median(&pairs.map(ratio).collect::<Vec<_>>())
    }
}

/// Runs all subjects once a round, every other round in the opposite order.
pub(crate) fn alternate(
    rounds: usize,
    mut subjects: Vec<Subject<'_>>,
) -> Result<Vec<Series>, String> {
    let mut counts = Vec::new();
    let mut series = Vec::new();
    for Subject { name, set, burst } in &mut subjects {
        // Twice: the first one also meets cold caches and pages that were never touched.
        burst(2)?;
        counts.push(count(&burst(2)?));
        let (name, set) = (name.clone(), set.clone());
        series.push(Series { name, set, least: f64::INFINITY, medians: Vec::new() });
    }
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            let at = if round % 2 == 0 { turn } else { subjects.len() - 1 - turn };
            let times = (subjects[at].burst)(counts[at] + 1)?;
            // The first of a burst fetches back what the subject before it pushed out.
            let times = times.get(1..).unwrap_or_default();
            let least = times.iter().map(|time| time.wall).fold(series[at].least, f64::min);
            series[at].least = least;
            series[at].medians.push(Time::median(times));
        }
    }
    Ok(series)
}

/// Pieces of work that fill a burst.
fn count(times: &[Time]) -> usize {
    let least = times.iter().map(|time| time.wall).fold(f64::INFINITY, f64::min);
    let (fewest, most) = BURST;
    (fewest..most).find(|count| *count as f64 * least >= BURST_MS).unwrap_or(most)
}
