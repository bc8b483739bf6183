//! Who is started, asked to end and killed when: children that are to live, without any I/O.
//!
//! ```text
//!              Start                   ended, or asked to begin anew
//!  Waiting ------------> Running ------------------------------------> Waiting(1, 2, 4 ... 60 s)
//!     ^                     | stop, restart, remove: Terminate
//!     |                     v
//!     +---- ended ------- Ending ---- its grace is over: Kill ----> ended
//! ```
//! At a stop the stages end one after the other: who writes first, what it leans on next.

use alloc::vec::Vec;

/// The first pause after a child ended, ms; each further one is twice as long ...
const PAUSE_MS: u64 = 1_000;
/// ... up to this.
const LONGEST_PAUSE_MS: u64 = 60_000;
/// A child that has run for so long is well: its next pause is the first one again.
const WELL_MS: u64 = 60_000;

/// What is to be done, by the child's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Start it. [`Keeper::ended`] is called where that fails, too.
    Start(usize),
    /// Ask it to end.
    Terminate(usize),
    /// End it.
    Kill(usize),
}

/// How a child is to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The order of the end: a stage begins to end when those below it have.
    pub stage: u8,
    /// How long it may take to end, ms.
    pub grace_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Starts then, ms.
    Waiting(u64),
    /// Since then, ms.
    Running(u64),
    /// Was not asked yet; then it may take until its grace is over.
    Ending { kill_ms: Option<u64>, killed: bool },
    /// Ended, and is not started any more.
    Gone,
}

#[derive(Debug)]
struct Child {
    terms: Terms,
    phase: Phase,
    /// Ends in a row.
    row: u32,
    /// Is not to be started again.
    last: bool,
}

/// All children.
#[derive(Debug, Default)]
pub struct Keeper {
    children: Vec<Child>,
    stopping: bool,
}

impl Keeper {
    /// Nobody yet.
    pub const fn new() -> Self {
        Self { children: Vec::new(), stopping: false }
    }

    /// One more, started at once; its number. The place of one that is gone is taken again.
    pub fn add(&mut self, now_ms: u64, terms: Terms) -> usize {
        let phase = if self.stopping { Phase::Gone } else { Phase::Waiting(now_ms) };
        let child = Child { terms, phase, row: 0, last: false };
        let free = self.children.iter().position(|it| it.last && it.phase == Phase::Gone);
        if let Some((number, place)) = free.and_then(|it| Some((it, self.children.get_mut(it)?))) {
            *place = child;
            return number;
        }
        self.children.push(child);
        self.children.len() - 1
    }

    /// It has ended, whyever, or could not be started.
    pub fn ended(&mut self, now_ms: u64, number: usize) {
        let stopping = self.stopping;
        let Some(child) = self.children.get_mut(number) else { return };
        let pause_ms = match child.phase {
            Phase::Running(since_ms) => {
                if now_ms.saturating_sub(since_ms) >= WELL_MS {
                    child.row = 0;
                }
                let pause_ms = PAUSE_MS.saturating_mul(1 << child.row.min(10));
                child.row += 1;
                pause_ms.min(LONGEST_PAUSE_MS)
            }
            // As asked: no pause, no row.
            Phase::Ending { .. } => 0,
            Phase::Waiting(_) | Phase::Gone => return,
        };
        let gone = stopping || child.last;
        child.phase = if gone { Phase::Gone } else { Phase::Waiting(now_ms + pause_ms) };
    }

    /// Begins one anew, without a pause.
    pub fn restart(&mut self, now_ms: u64, number: usize) {
        let Some(child) = self.children.get_mut(number) else { return };
        match child.phase {
            Phase::Running(_) => child.phase = Phase::Ending { kill_ms: None, killed: false },
            Phase::Waiting(_) => {
                child.row = 0;
                child.phase = Phase::Waiting(now_ms);
            }
            Phase::Ending { .. } | Phase::Gone => {}
        }
    }

    /// Ends one for good; its number may be another's once it is gone.
    pub fn remove(&mut self, number: usize) {
        let Some(child) = self.children.get_mut(number) else { return };
        child.last = true;
        child.end();
    }

    /// Ends all, in order; nobody is started any more.
    pub fn stop(&mut self) {
        self.stopping = true;
        for child in &mut self.children {
            if matches!(child.phase, Phase::Waiting(_)) {
                child.phase = Phase::Gone;
            }
        }
    }

    /// Whether all have ended after a stop.
    pub fn is_over(&self) -> bool {
        self.stopping && self.children.iter().all(|child| child.phase == Phase::Gone)
    }

    /// Since when it runs, ms.
    pub fn running_since(&self, number: usize) -> Option<u64> {
        match self.children.get(number)?.phase {
            Phase::Running(since_ms) => Some(since_ms),
            _ => None,
        }
    }

    /// Whether it was asked to end, so that its end is no crash.
    pub fn was_asked(&self, number: usize) -> bool {
        self.children.get(number).is_some_and(|it| matches!(it.phase, Phase::Ending { .. }))
    }

    /// The next deed; to be asked until there is none.
    pub fn poll(&mut self, now_ms: u64) -> Option<Deed> {
        if self.stopping {
            self.end_lowest_stage();
        }
        let due = |(number, child): (usize, &mut Child)| child.poll(now_ms, number);
        self.children.iter_mut().enumerate().find_map(due)
    }

    /// When to ask next where nothing happens before, ms.
    pub fn wake_ms(&self) -> Option<u64> {
        let wakes = self.children.iter().filter_map(|child| match child.phase {
            Phase::Waiting(at_ms) => Some(at_ms),
            Phase::Ending { kill_ms, killed: false } => Some(kill_ms.unwrap_or(0)),
            Phase::Ending { .. } | Phase::Running(_) | Phase::Gone => None,
        });
        wakes.min()
    }

    fn end_lowest_stage(&mut self) {
        let alive = self.children.iter().filter(|it| it.phase != Phase::Gone);
        let Some(stage) = alive.map(|it| it.terms.stage).min() else { return };
        for child in self.children.iter_mut().filter(|it| it.terms.stage == stage) {
            child.end();
        }
    }
}

impl Child {
    fn end(&mut self) {
        match self.phase {
            Phase::Waiting(_) => self.phase = Phase::Gone,
            Phase::Running(_) => self.phase = Phase::Ending { kill_ms: None, killed: false },
            Phase::Ending { .. } | Phase::Gone => {}
        }
    }

    fn poll(&mut self, now_ms: u64, number: usize) -> Option<Deed> {
        match &mut self.phase {
            Phase::Waiting(at_ms) if *at_ms <= now_ms => {
                self.phase = Phase::Running(now_ms);
                Some(Deed::Start(number))
            }
            Phase::Ending { kill_ms: kill_ms @ None, .. } => {
                *kill_ms = Some(now_ms + self.terms.grace_ms);
                Some(Deed::Terminate(number))
            }
            Phase::Ending { kill_ms: Some(kill_ms), killed } if *kill_ms <= now_ms && !*killed => {
                *killed = true;
                Some(Deed::Kill(number))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: Terms = Terms { stage: 0, grace_ms: 5_000 };
    const SIGNAL: Terms = Terms { stage: 1, grace_ms: 2_500 };

    fn deeds(keeper: &mut Keeper, now_ms: u64) -> Vec<Deed> {
        std::iter::from_fn(|| keeper.poll(now_ms)).collect()
    }

    fn both() -> Keeper {
        let mut keeper = Keeper::new();
        assert_eq!((keeper.add(0, SIGNAL), keeper.add(0, EDGE)), (0, 1));
        assert_eq!(deeds(&mut keeper, 0), [Deed::Start(0), Deed::Start(1)]);
        keeper
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_again_after_a_good_run() {
        let mut keeper = both();
        let mut now = 10;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            keeper.ended(now, 1);
            assert_eq!(keeper.wake_ms(), Some(now + seconds * 1_000));
            assert_eq!(deeds(&mut keeper, now + seconds * 1_000 - 1), []);
            now += seconds * 1_000;
            assert_eq!(deeds(&mut keeper, now), [Deed::Start(1)]);
        }
        now += WELL_MS;
        keeper.ended(now, 1);
        assert_eq!(keeper.wake_ms(), Some(now + 1_000));
        assert_eq!(keeper.running_since(0), Some(0), "the other one was left alone");
    }

    #[test]
    fn a_stop_ends_stage_by_stage_and_kills_who_does_not_hear() {
        let mut keeper = both();
        keeper.stop();
        assert_eq!(deeds(&mut keeper, 100), [Deed::Terminate(1)]);
        assert_eq!(keeper.wake_ms(), Some(5_100));
        assert_eq!(deeds(&mut keeper, 5_099), []);
        assert_eq!(deeds(&mut keeper, 5_100), [Deed::Kill(1)]);
        assert_eq!(deeds(&mut keeper, 5_200), []);
        keeper.ended(5_200, 1);
        assert_eq!(deeds(&mut keeper, 5_200), [Deed::Terminate(0)]);
        assert!(!keeper.is_over());
        keeper.ended(5_300, 0);
        assert_eq!(deeds(&mut keeper, 9_999), []);
        assert!(keeper.is_over() && keeper.wake_ms().is_none());
        assert_eq!(keeper.add(6_000, EDGE), 2, "nobody is started any more");
        assert!(deeds(&mut keeper, 6_000).is_empty() && keeper.is_over());
    }

    #[test]
    fn who_waits_for_its_start_is_gone_at_a_stop() {
        let mut keeper = both();
        keeper.ended(0, 0);
        keeper.ended(0, 1);
        keeper.stop();
        assert_eq!(deeds(&mut keeper, 60_000), []);
        assert!(keeper.is_over());
    }

    #[test]
    fn a_wished_restart_has_no_pause_and_is_no_crash() {
        let mut keeper = both();
        keeper.restart(50, 1);
        assert!(keeper.was_asked(1) && !keeper.was_asked(0));
        assert_eq!(deeds(&mut keeper, 50), [Deed::Terminate(1)]);
        keeper.ended(70, 1);
        assert_eq!(deeds(&mut keeper, 70), [Deed::Start(1)]);
        keeper.ended(80, 1);
        keeper.restart(90, 1);
        assert_eq!(deeds(&mut keeper, 90), [Deed::Start(1)], "the pause is cut short");
    }

    #[test]
    fn the_place_of_one_removed_is_taken_again() {
        let mut keeper = both();
        let dhcp = keeper.add(0, SIGNAL);
        assert_eq!(deeds(&mut keeper, 0), [Deed::Start(dhcp)]);
        keeper.remove(dhcp);
        assert_eq!(deeds(&mut keeper, 1), [Deed::Terminate(dhcp)]);
        assert_eq!(keeper.add(1, SIGNAL), dhcp + 1, "it still lives");
        keeper.ended(2, dhcp);
        assert_eq!(keeper.add(2, SIGNAL), dhcp);
    }

    #[test]
    fn whatever_happens_every_child_ends_within_its_grace() {
        let mut seed = 7_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..2_000 {
            let (mut keeper, mut now, mut alive) = (both(), 0, [true; 2]);
            for _ in 0..next(40) {
                now += next(20_000);
                let number = usize::from(next(2) == 1);
                match next(4) {
                    0 | 1 if alive[number] => {
                        alive[number] = false;
                        keeper.ended(now, number);
                    }
                    2 => keeper.restart(now, number),
                    _ => {}
                }
                for deed in deeds(&mut keeper, now) {
                    match deed {
                        Deed::Start(number) => {
                            assert!(!alive[number], "started while it lives");
                            alive[number] = true;
                        }
                        Deed::Terminate(_) => {}
                        Deed::Kill(number) => {
                            alive[number] = false;
                            keeper.ended(now, number);
                        }
                    }
                }
            }
            keeper.stop();
            let begun = now;
            while !keeper.is_over() {
                for deed in deeds(&mut keeper, now) {
                    match deed {
                        Deed::Start(_) => panic!("started after the stop"),
                        Deed::Terminate(_) => {}
                        Deed::Kill(number) => {
                            alive[number] = false;
                            keeper.ended(now, number);
                        }
                    }
                }
                now = keeper.wake_ms().map_or(now, |at| at.max(now));
            }
            assert!(now - begun <= 7_500 && alive == [false; 2]);
        }
    }
}
