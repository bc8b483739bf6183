//! When a phone may pair.
//!
//! ```text
//!  nobody ever paired: OPEN --first phone--> CLOSED --a paired phone or the owner--> OPEN 5 min
//!                                              ^------------- time is up --------------'
//! ```
//! Revoking the last phone does not open the door again: whoever finds the box then would
//! own it. The owner opens it on the box's own machine.

use crate::time::Instant;

/// How long an opened door stays open.
pub const OPEN_MS: u64 = 5 * 60 * 1000;
/// Most phones paired at once.
pub const CLIENTS: usize = 32;

/// The pairing door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// No phone ever paired: the first one may.
    First,
    /// Nobody may.
    Closed,
    /// Everybody in reach may, until then.
    Until(Instant),
}

impl Window {
    /// The door at start: open only where no phone `ever_paired`.
    pub const fn new(ever_paired: bool) -> Self {
        if ever_paired { Self::Closed } else { Self::First }
    }

    /// Opens the door for [`OPEN_MS`]; until when. A door that waits for the first phone stays
    /// open beyond that.
    pub fn open(&mut self, now: Instant) -> Instant {
        let until = now.plus_ms(OPEN_MS);
        if *self != Self::First {
            *self = Self::Until(until);
        }
        until
    }

    /// Whether a phone may pair now.
    pub fn is_open(&self, now: Instant) -> bool {
        match *self {
            Self::First => true,
            Self::Closed => false,
            Self::Until(until) => now < until,
        }
    }

    /// A phone has paired: the first one closes the door behind it.
    pub fn paired(&mut self) {
        if *self == Self::First {
            *self = Self::Closed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_phone_closes_the_door_behind_it() {
        let mut window = Window::new(false);
        assert!(window.is_open(Instant(u64::MAX)));
        window.open(Instant(0));
        assert!(window.is_open(Instant(OPEN_MS + 1)), "still nobody paired");
        window.paired();
        assert!(!window.is_open(Instant(0)));
    }

    #[test]
    fn an_opened_door_closes_by_itself() {
        let mut window = Window::new(true);
        assert!(!window.is_open(Instant(7)));
        assert_eq!(window.open(Instant(7)), Instant(7 + OPEN_MS));
        assert!(window.is_open(Instant(6 + OPEN_MS)));
        window.paired();
        assert!(window.is_open(Instant(6 + OPEN_MS)), "a second phone in the same minutes");
        assert!(!window.is_open(Instant(7 + OPEN_MS)));
    }
}
