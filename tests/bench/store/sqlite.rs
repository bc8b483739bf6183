//! The same in SQLite: one row an event, one for its pictures, an index of those still open.

use crate::{BEGAN, Commits, Done, PAGE, Shelf, shot};
use edge::store::Pictures;
use edge_core::event::{Event, EventId};
use edge_core::time::UnixMs;
use harness::footage::event;
use rusqlite::{Connection, params};
use std::ops::Range;
use std::path::Path;

/// Changes in one transaction: as the store's writer takes them.
const GROUP_CHANGES: usize = 32;
/// Events in one transaction where they are only to be there.
const BULK: usize = 10_000;

const SETTINGS: &str = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;";
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS events (
        id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, label TEXT NOT NULL, camera TEXT NOT NULL,
        started INTEGER NOT NULL, ended INTEGER, score REAL NOT NULL,
        x0 REAL NOT NULL, y0 REAL NOT NULL, x1 REAL NOT NULL, y1 REAL NOT NULL);
    CREATE INDEX IF NOT EXISTS open ON events (id) WHERE ended IS NULL;
    CREATE TABLE IF NOT EXISTS pictures (
        id INTEGER PRIMARY KEY, thumbnail BLOB NOT NULL, picture BLOB NOT NULL);";
const OPEN: &str = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const SHOW: &str = "INSERT INTO pictures VALUES (?, ?, ?)";
const CLOSE: &str = "UPDATE events SET ended = ? WHERE id = ?";
const READ: &str = "SELECT * FROM events WHERE id < ? ORDER BY id DESC LIMIT ?";

/// Which SQLite.
pub(crate) fn version() -> &'static str {
    rusqlite::version()
}

/// The database, open.
pub(crate) struct Sqlite(Connection);

impl Sqlite {
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let open = || {
            let connection = Connection::open(folder.join("events.sqlite"))?;
            connection.execute_batch(SETTINGS)?;
            connection.execute_batch(TABLES)?;
            Ok(Self(connection))
        };
        open().map_err(|error| words(&error))
    }

    fn open_event(&self, event: &Event, pictures: Option<&Pictures>) -> rusqlite::Result<()> {
        let (id, b) = (number(event.id.0), event.bbox);
        self.0.prepare_cached(OPEN)?.execute(params![
            id,
            event.kind as u8,
            event.label.as_str(),
            event.camera.as_str(),
            number(event.started.0),
            event.ended.map(|at| number(at.0)),
            event.score,
            b.x0,
            b.y0,
            b.x1,
            b.y1,
        ])?;
        let Some(Pictures { thumbnail, full }) = pictures else { return Ok(()) };
        self.0.prepare_cached(SHOW)?.execute(params![id, thumbnail, full])?;
        Ok(())
    }

    fn close_event(&self, id: u64, ended: UnixMs) -> rusqlite::Result<()> {
        self.0.prepare_cached(CLOSE)?.execute(params![number(ended.0), number(id)])?;
        Ok(())
    }

    fn begin(&self) -> rusqlite::Result<()> {
        self.0.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    fn commit(&self) -> rusqlite::Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    /// Commits and begins anew where that many changes are in.
    fn change(&self, done: &mut usize, most: usize) -> rusqlite::Result<()> {
        *done += 1;
        if *done < most {
            return Ok(());
        }
        *done = 0;
        self.commit()?;
        self.begin()
    }

    fn fill(&self, ids: Range<u64>, commits: Commits, all: &[Pictures]) -> rusqlite::Result<()> {
        let most = match commits {
            Commits::Together => GROUP_CHANGES,
            Commits::Singly => 1,
            Commits::Bulk => BULK,
        };
        let mut done = 0;
        self.begin()?;
        for id in ids {
            let started = UnixMs(BEGAN.0 + id * 1_000);
            let ended = UnixMs(started.0 + 20_000);
            let pictures = shot(all, id);
            let event = event(EventId(id), started);
            if commits == Commits::Bulk {
                self.open_event(&Event { ended: Some(ended), ..event }, pictures)?;
                self.change(&mut done, most)?;
                continue;
            }
            self.open_event(&event, pictures)?;
            self.change(&mut done, most)?;
            self.close_event(id, ended)?;
            self.change(&mut done, most)?;
        }
        self.commit()
    }

    fn read(&self, before: u64) -> rusqlite::Result<usize> {
        let mut statement = self.0.prepare_cached(READ)?;
        let rows = statement.query_map(params![number(before), number(PAGE as u64)], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, u8>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, i64>(4)?,
                row.get::<_, Option<i64>>(5)?,
                row.get::<_, f64>(6)?,
                [row.get::<_, f64>(7)?, row.get(8)?, row.get(9)?, row.get(10)?],
            ))
        })?;
        let page: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
        Ok(page.len())
    }
}

impl Shelf for Sqlite {
    fn put(&mut self, ids: Range<u64>, commits: Commits, pictures: &[Pictures]) -> Done {
        self.fill(ids, commits, pictures).map_err(|error| words(&error))
    }

    fn page(&self, before: u64) -> Result<usize, String> {
        self.read(before).map_err(|error| words(&error))
    }

    fn close(self: Box<Self>) -> Done {
        self.0.close().map_err(|(_, error)| words(&error))
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn words(error: &rusqlite::Error) -> String {
    format!("SQLite: {error}")
}
