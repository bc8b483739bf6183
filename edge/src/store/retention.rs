//! Makes room: the oldest segments go, what is pinned in them is carried to the newest.

use super::log::SEGMENT_HEADER_BYTES;
use super::record::{Found, HEADER_BYTES, Tag, Walk};
use super::writer::{Fault, Group, Writer};
use edge_core::event::EventId;
use edge_core::retain::{Limits, Segment, Verdict, verdicts};
use edge_core::time::UnixMs;
use std::collections::{BTreeSet, HashMap};

impl Writer {
    /// Looks over all segments and deletes, thins or keeps each.
    pub(super) fn retain(&mut self) -> Result<(), Fault> {
        self.retained = self.log.end().segment;
        let numbers: Vec<u32> = self.log.segments().keys().copied().collect();
        let facts = self.facts()?;
        let mut decided = vec![Verdict::Keep; facts.len()];
        let limits = Limits { keep_bytes: self.room(), keep_days: self.limits.keep_days };
        verdicts(&facts, limits, self.clock.unix_ms(), &mut decided);
        for (number, verdict) in numbers.into_iter().zip(decided) {
            match verdict {
                Verdict::Keep => {}
                Verdict::Drop => self.drop_segment(number)?,
                Verdict::Thin => self.thin_segment(number)?,
            }
        }
        self.retained = self.log.end().segment;
        Ok(())
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
        let mut pinned = self.open.clone();
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
        if self.log.segments().keys().next().is_some_and(|first| *first < number) {
            for id in tombs {
                self.append(&mut group, Tag::Gone, id, &[])?;
            }
        }
        let mut batch = self.sync_into_batch(&group)?;
        for id in &forgotten {
            batch.forget(*id)?;
        }
        batch.forget_segment(number)?;
        self.commit(batch, false)?;
        self.log.delete(number)?;
        self.shared.bytes.store(self.log.bytes(), std::sync::atomic::Ordering::Relaxed);
        for id in forgotten {
            self.gone(EventId(id));
        }
        Ok(())
    }

    /// Copies an event's parts in `number` to the tail, its record last.
    fn carry(&mut self, group: &mut Group, number: u32, entry: &super::Entry) -> Result<(), Fault> {
        let id = entry.event.id.0;
        for (tag, at) in entry.parts() {
            if at.segment != number && tag != Tag::Event {
                continue;
            }
            match super::log::read(self.log.folder(), at, tag, id) {
                Some(bytes) => self.append(group, tag, id, &bytes)?,
                None => {
                    self.shared.quarantined.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Forgets what is not pinned in a segment that stays.
    fn thin_segment(&mut self, number: u32) -> Result<(), Fault> {
        let (ids, _) = self.inhabitants(number)?;
        let pinned = self.pinned();
        let mut group = Group::default();
        let mut forgotten = Vec::new();
        for id in ids {
            let there = self.shared.index().get(EventId(id))?;
            let here = there.is_some_and(|entry| entry.record.segment == number);
            if here && !pinned.contains(&id) {
                self.append(&mut group, Tag::Gone, id, &[])?;
                forgotten.push(id);
            }
        }
        if !forgotten.is_empty() {
            self.settle(group)?;
            for id in forgotten {
                self.gone(EventId(id));
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
