//! Reads the whole log and the index now and then, so that rot is found before somebody looks.
//!
//! One segment a second; once a week, and after a stop that was not clean. What is found is
//! counted in status, and once it is more than was known, an event tells of it.

use super::log::SEGMENT_HEADER_BYTES;
use super::owner::{Scrubbed, Word};
use super::record::{Found, Walk};
use super::writer::Writer;
use super::{Change, Pictures};
use crate::say;
use edge_core::event::{Event, EventId};
use edge_core::time::{Instant, UnixMs};
use std::sync::atomic::Ordering;

/// From one reading of the whole log to the next.
const SCRUB_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// From one segment to the next.
const PACE_MS: u64 = 1_000;
/// The label of the event that tells of damage.
const LABEL: &str = "card_damaged";

/// How far the reading has come.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    /// The segment to read next; `None` while nothing is due.
    next: Option<u32>,
    /// When a segment was last read.
    stepped: Instant,
    /// When the whole log was last read.
    done: Instant,
}

impl Writer {
    /// Has the whole log read, from its oldest segment on.
    pub(super) fn begin_scrub(&mut self) {
        self.scrub.next = Some(0);
    }

    /// Begins where a week has gone by, by either clock.
    pub(super) fn plan_scrub(&mut self) {
        let (now, wall) = (self.clock.now(), self.clock.unix_ms());
        let last = self.shared.owner(|owner| owner.scrubbed).map_or(UnixMs(0), |last| last.at);
        let by_wall = wall.is_plausible() && wall.0.abs_diff(last.0) >= SCRUB_MS;
        let by_uptime = now.since_ms(self.scrub.done) >= SCRUB_MS;
        if self.scrub.next.is_none() && (by_wall || by_uptime) {
            self.begin_scrub();
        }
    }

    /// Reads what is due: segments in which a reader met damage, and the next one.
    pub(super) fn scrub(&mut self) {
        let mut suspects = self.shared.take_suspects();
        // Retention may have taken it between the reader's look at the index and the reading.
        suspects.retain(|segment| self.log.segments().contains_key(segment));
        let is_any = !suspects.is_empty();
        for segment in suspects {
            self.scrub_segment(segment);
        }
        if is_any {
            self.tell_damage();
        }
        let now = self.clock.now();
        if let Some(next) = self.scrub.next
            && now.since_ms(self.scrub.stepped) >= PACE_MS
        {
            self.scrub.stepped = now;
            self.scrub_from(next);
        }
    }

    fn scrub_from(&mut self, next: u32) {
        let segment = self.log.segments().range(next..).next().map(|(number, _)| *number);
        if let Some(segment) = segment {
            self.scrub_segment(segment);
            self.scrub.next = Some(segment + 1);
            return;
        }
        self.scrub.next = None;
        self.scrub.done = self.clock.now();
        if !matches!(self.shared.index().walk(None, |_| true), Ok(0)) {
            self.shared.suspect.store(true, Ordering::Relaxed);
        }
        self.tell_damage();
        let scrubbed = Scrubbed { at: self.clock.unix_ms(), damaged: self.damaged() };
        // Where the card does not take it, the next start reads everything again.
        let _ = self.hear(&[Word::Scrubbed(scrubbed)]);
    }

    fn scrub_segment(&mut self, segment: u32) {
        let header = usize::try_from(SEGMENT_HEADER_BYTES).expect("a header is short");
        let damaged = self.log.read_segment(segment).map_or(1, |bytes| {
            Walk::new(&bytes, header).filter(|found| !matches!(found, Found::Record(..))).count()
        });
        self.found_damage(segment, damaged as u64);
    }

    fn damaged(&self) -> u64 {
        self.health.damage.values().sum()
    }

    /// Tells of damage that nobody was told of.
    fn tell_damage(&mut self) {
        let known = self.shared.owner(|owner| owner.scrubbed).map_or(0, |last| last.damaged);
        let damaged = self.damaged();
        if damaged <= known {
            return;
        }
        say!("store: {damaged} damaged stretches in the log; what else lies there is intact");
        let at = self.shared.owner(|owner| owner.scrubbed).map_or(UnixMs(0), |last| last.at);
        if self.hear(&[Word::Scrubbed(Scrubbed { at, damaged })]).is_ok() {
            self.report(LABEL);
        }
    }

    /// The store reports on itself: an event without length or picture.
    fn report(&mut self, label: &str) {
        let now = self.clock.unix_ms();
        let id = EventId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        let event = Event::health(id, label, "", now, now);
        self.record(&[Change::Opened { event, pictures: Pictures::default() }]);
    }
}
