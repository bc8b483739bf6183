//! Faults that a test asks for; each strikes once, on the thread that asked for it.

use std::cell::Cell;
use std::io;

/// Where a fault can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// A folder's sync.
    Folder,
    /// The write of what waits for the log's tail.
    Tail,
}

thread_local! {
    static NEXT: Cell<Option<(Point, io::ErrorKind)>> = const { Cell::new(None) };
}

/// The next one to come to `point` meets `kind`.
pub(super) fn ask(point: Point, kind: io::ErrorKind) {
    NEXT.set(Some((point, kind)));
}

/// Strikes where a test asked for it.
pub(super) fn strike(point: Point) -> io::Result<()> {
    let kind = NEXT.get().filter(|(at, _)| *at == point).map(|(_, kind)| kind);
    kind.map_or(Ok(()), |kind| {
        NEXT.set(None);
        Err(kind.into())
    })
}
