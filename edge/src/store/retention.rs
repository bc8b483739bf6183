//! Makes room: the oldest segments go, what is pinned in them is carried to the newest.

use super::Pictures;
use super::log::SEGMENT_HEADER_BYTES;
use super::owner::Word;
use super::record::{Found, HEADER_BYTES, Tag, Walk};
use super::writer::{Fault, Group, Writer};
use edge_core::event::EventId;
use edge_core::retain::{DAY_MS, Limits, Segment, Verdict, is_old, verdicts};
use edge_core::time::{Instant, UnixMs};
use std::collections::{BTreeSet, HashMap};

/// Segments that go at one look: on a slow card each takes some tenths of a second, for which
/// all else waits.
const LOOK_SEGMENTS: usize = 4;
/// Events forgotten for their age that share one sync.
const GROUP_BURIALS: usize = 256;

/// While the wall clock is not believed, the time that age is counted to is noted so often,
const NOTE_MS: u64 = 60 * 60_000;
/// and goes by so much faster.
const CATCH_UP: u64 = 4;

/// A wall clock that is further on than it should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    since: Instant,
    /// When the time that age is counted to was last moved on.
    noted: Instant,
}

impl Writer {
    /// Looks over all segments and deletes or keeps each. Of many that are to go only the first
    /// do; the next look goes on with them.
    pub(super) fn retain(&mut self) -> Result<(), Fault> {
        self.retained = self.log.tail();
        let numbers: Vec<u32> = self.log.segments().keys().copied().collect();
        let facts = self.facts()?;
        let mut decided = vec![Verdict::Keep; facts.len()];
        let limits = Limits { keep_bytes: self.room(), keep_days: self.limits.keep_days };
        verdicts(&facts, limits, self.day(), &mut decided);
        let mut done = Ok(());
        let mut dropped = 0;
        for (number, verdict) in numbers.into_iter().zip(decided) {
            if verdict == Verdict::Keep {
                continue;
            }
            if dropped == LOOK_SEGMENTS {
                self.retained = 0;
                return done;
            }
            self.shared.pulse.beat(self.clock.now());
            match self.drop_segment(number) {
                // To carry what is pinned needs room, or it cannot be read: the next may go.
                Err(Fault::Card(error)) => {
                    self.resume()?;
                    done = Err(Fault::Card(error));
                }
                result => {
                    result?;
                    dropped += 1;
                }
            }
        }
        self.retained = self.log.tail();
        done
    }

    /// Forgets events that are too old, whatever their segment. Their bytes go with it.
    pub(super) fn bury_old(&mut self) -> Result<(), Fault> {
        let (days, now) = (self.limits.keep_days, self.day());
        let pinned = self.pinned();
        let mut first = 0;
        loop {
            let mut old = Vec::new();
            self.shared.index().climb(first, |super::Entry { event, .. }| {
                let goes = event.ended.is_some() && !pinned.contains(&event.id.0);
                if goes && is_old(event.started, days, now) {
                    old.push(event.id);
                }
                old.len() < GROUP_BURIALS
            })?;
            let Some(last) = old.last() else { return Ok(()) };
            first = last.0 + 1;
            self.shared.pulse.beat(self.clock.now());
            let mut group = Group::default();
            for id in &old {
                self.append(&mut group, Tag::Gone, id.0, &[])?;
            }
            self.settle(group)?;
            for id in old {
                self.gone(id);
            }
        }
    }

    /// The time that age is counted to. A wall clock that is suddenly days further on, as a box
    /// that was off sees it but also one with a wrong clock, is believed after a day of running.
    /// Until then the time counted to goes faster than it does: so it comes up with the clock
    /// where the box never runs for a day, but for six hours of each.
    fn day(&mut self) -> UnixMs {
        let (now, wall) = (self.clock.now(), self.clock.unix_ms());
        let known = self.shared.owner(|owner| owner.day);
        if !wall.is_plausible() {
            return wall;
        }
        if known.0 > 0 && wall.0 > known.0.saturating_add(2 * DAY_MS) {
            let ahead = self.ahead.get_or_insert(Ahead { since: now, noted: now });
            if now.since_ms(ahead.since) < DAY_MS {
                let run_ms = now.since_ms(ahead.noted);
                if run_ms < NOTE_MS {
                    return known;
                }
                ahead.noted = now;
                let day = UnixMs(known.0.saturating_add(CATCH_UP * run_ms).min(wall.0));
                let _ = self.hear(&[Word::Day(day)]);
                return day;
            }
        }
        self.ahead = None;
        if wall.0.abs_diff(known.0) >= DAY_MS / 2 {
            let _ = self.hear(&[Word::Day(wall)]);
        }
        wall
    }

    /// Bytes for all segments as they are now: the limit less what the tail may still grow.
    fn room(&self) -> u64 {
        let tail = self.log.segments().values().next_back().copied().unwrap_or(0);
        self.limits.keep_bytes.saturating_sub(self.log.segment_bytes().saturating_sub(tail))
    }

    /// What is known of each segment, oldest first.
    fn facts(&self) -> Result<Vec<Segment>, Fault> {
        let index = self.shared.index();
        let newest = index.segments()?;
        let mut pinned: HashMap<u32, u64> = HashMap::new();
        for id in self.pinned() {
            for (_, at) in index.get(EventId(id))?.iter().flat_map(super::Entry::parts) {
                *pinned.entry(at.segment).or_default() +=
                    u64::from(at.length) + HEADER_BYTES as u64;
            }
        }
        let segments = self.log.segments().iter().map(|(number, bytes)| Segment {
            bytes: *bytes,
            pinned_bytes: pinned.get(number).copied().unwrap_or(0).min(*bytes),
            newest: newest.get(number).copied().unwrap_or(UnixMs(0)),
        });
        Ok(segments.collect())
    }

    /// Events that stay whatever their age: favourites, and those that have not ended.
    fn pinned(&self) -> BTreeSet<u64> {
        let mut pinned: BTreeSet<u64> = self.open.keys().copied().collect();
        self.shared.owner(|owner| {
            let starred = owner.marks.iter().filter(|(_, marks)| marks.favourite);
            pinned.extend(starred.map(|(id, _)| id.0));
        });
        pinned
    }

    /// Deletes a segment. Its pinned events move to the tail; the others are forgotten, with a
    /// record that says so where another segment still speaks of them.
    fn drop_segment(&mut self, number: u32) -> Result<(), Fault> {
        let (ids, tombs) = self.inhabitants(number)?;
        let pinned = self.pinned();
        let mut group = Group::default();
        let mut forgotten = Vec::new();
        for id in ids {
            let Some(entry) = self.shared.index().get(EventId(id))? else { continue };
            if entry.parts().all(|(_, at)| at.segment != number) {
                continue;
            }
            if pinned.contains(&id) {
                self.carry(&mut group, number, &entry)?;
            } else {
                if (entry.first, entry.last) != (number, number) {
                    self.append(&mut group, Tag::Gone, id, &[])?;
                }
                forgotten.push(id);
            }
        }
        for id in tombs {
            if self.is_before(number, id)? {
                self.append(&mut group, Tag::Gone, id, &[])?;
            }
        }
        self.settle(group)?;
        // Where the card does not let it go, what only it speaks of stays listed.
        self.log.delete(number)?;
        self.spans.remove(&number);
        self.health.damage.remove(&number);
        let mut batch = self.shared.index().batch()?;
        for id in &forgotten {
            batch.forget(*id)?;
        }
        batch.forget_segment(number)?;
        self.commit(batch, false)?;
        self.shared.bytes.store(self.log.bytes(), std::sync::atomic::Ordering::Relaxed);
        for id in forgotten {
            self.gone(EventId(id));
        }
        Ok(())
    }

    /// Deletes the oldest segment with nothing pinned in it and no word that an event of an older
    /// one is gone, without an index to ask.
    pub(super) fn drop_oldest_unread(&mut self) {
        let pinned = self.pinned();
        let mut older = BTreeSet::new();
        let sealed: Vec<u32> = self.log.segments().keys().copied().collect();
        for &number in sealed.iter().take(sealed.len().saturating_sub(1)) {
            let Ok((mut ids, tombs)) = self.inhabitants(number) else { continue };
            if ids.is_disjoint(&pinned) && tombs.is_disjoint(&older) {
                let dropped = self.drop_unread(number, &ids);
                return self.note_fault(dropped);
            }
            older.append(&mut ids);
        }
    }

    fn drop_unread(&mut self, number: u32, ids: &BTreeSet<u64>) -> Result<(), Fault> {
        self.log.delete(number)?;
        self.spans.remove(&number);
        self.health.damage.remove(&number);
        if self.is_filling() {
            let mut batch = self.shared.index().batch()?;
            for id in ids {
                if batch.get(*id)?.is_some_and(|entry| entry.record.segment == number) {
                    batch.forget(*id)?;
                }
            }
            self.commit(batch, false)?;
        }
        Ok(())
    }

    /// Whether a segment older than `number` can still speak of an event.
    fn is_before(&mut self, number: u32, id: u64) -> Result<bool, Fault> {
        let older: Vec<u32> =
            self.log.segments().range(..number).map(|(older, _)| *older).collect();
        for older in older {
            if !self.spans.contains_key(&older) {
                let (ids, _) = self.inhabitants(older)?;
                self.spans.insert(older, ids.first().copied().zip(ids.last().copied()));
            }
            if let Some(Some((low, high))) = self.spans.get(&older)
                && (*low..=*high).contains(&id)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Copies an event's parts in `number` to the tail, its record last.
    fn carry(&mut self, group: &mut Group, number: u32, entry: &super::Entry) -> Result<(), Fault> {
        let id = entry.event.id.0;
        group.retells = true;
        for (tag, at) in entry.parts() {
            if tag == Tag::Event {
                self.stage_event(group, entry.event.clone(), &Pictures::default())?;
                continue;
            }
            if at.segment != number {
                continue;
            }
            match super::log::read(&*self.shared.disk, self.log.folder(), at, tag, id) {
                Some(bytes) => self.append(group, tag, id, &bytes)?,
                None => self.shared.suspect_segment(number),
            }
        }
        Ok(())
    }

    /// The events with records in a segment, and those it says are gone.
    fn inhabitants(&self, number: u32) -> Result<(BTreeSet<u64>, BTreeSet<u64>), Fault> {
        let bytes = self.log.read_segment(number)?;
        let start = usize::try_from(SEGMENT_HEADER_BYTES).expect("a header is short");
        let (mut ids, mut tombs) = (BTreeSet::new(), BTreeSet::new());
        for found in Walk::new(&bytes, start) {
            let Found::Record(_, record) = found else { continue };
            match record.tag {
                Tag::Event | Tag::Thumbnail | Tag::Picture => ids.insert(record.id),
                Tag::Gone => tombs.insert(record.id),
                _ => continue,
            };
        }
        Ok((ids, tombs))
    }
}
