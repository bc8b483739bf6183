//! What each camera is doing, for those who ask: written by the eye threads, read by the API.

use edge_core::time::UnixMs;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where a camera stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It was not opened yet.
    Starting,
    /// It gives frames.
    Running,
    /// It gives none and is tried again.
    Lost,
}

impl Health {
    const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Lost => "lost",
        }
    }
}

/// How one camera fares.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraStatus {
    /// Its name.
    pub name: String,
    /// `v4l2`, `replay` or `demo`; empty until its thread started.
    pub kind: &'static str,
    /// `starting`, `running` or `lost`.
    pub state: &'static str,
    /// What people should know; may be empty.
    pub message: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: f32,
    /// When the last one came.
    pub last_frame: Option<UnixMs>,
    /// How often the detector has looked.
    pub inferences: u64,
}

/// The cameras' state.
#[derive(Debug)]
pub struct Board {
    cameras: Vec<Camera>,
}

#[derive(Debug)]
struct Camera {
    live: Mutex<Live>,
    taken: Condvar,
}

#[derive(Debug)]
struct Live {
    status: CameraStatus,
    health: Health,
    /// Somebody waits for a snapshot.
    asked: bool,
    /// Counts the snapshots taken, so that a waiting one sees that one came.
    number: u64,
    snapshot: Option<Arc<[u8]>>,
}

impl Camera {
    fn new(name: &str) -> Self {
        let status = CameraStatus {
            name: name.to_owned(),
            kind: "",
            state: Health::Starting.word(),
            message: String::new(),
            width: 0,
            height: 0,
            fps: 0.0,
            last_frame: None,
            inferences: 0,
        };
        let live =
            Live { status, health: Health::Starting, asked: false, number: 0, snapshot: None };
        Self { live: Mutex::new(live), taken: Condvar::new() }
    }

    /// No state of ours is left half written by a panic.
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// A board of these cameras.
    pub fn new(names: &[String]) -> Self {
        Self { cameras: names.iter().map(|name| Camera::new(name)).collect() }
    }

    /// How they fare.
    pub fn status(&self) -> Vec<CameraStatus> {
        self.cameras.iter().map(|camera| camera.live().status.clone()).collect()
    }

    /// A JPEG of now: of the next frame, for which this waits at most `wait`. `None` when
    /// there is no such camera or it gives no frame.
    pub fn snapshot(&self, name: &str, wait: Duration) -> Option<Arc<[u8]>> {
        let camera = &self.cameras[self.place(name)?];
        let mut live = camera.live();
        if live.health == Health::Lost {
            return None;
        }
        live.asked = true;
        let before = live.number;
        let waiting = |live: &mut Live| live.number == before && live.health != Health::Lost;
        let waited = camera.taken.wait_timeout_while(live, wait, waiting);
        let (live, _) = waited.unwrap_or_else(PoisonError::into_inner);
        live.snapshot.clone().filter(|_| live.number != before)
    }

    /// The place of a camera on the board, for its eye thread.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.cameras.iter().position(|camera| camera.live().status.name == name)
    }

    /// Says what a camera is.
    pub fn set_kind(&self, place: usize, kind: &'static str) {
        self.cameras[place].live().status.kind = kind;
    }

    /// Says where it stands; wakes whoever waits for a snapshot.
    pub fn set_health(&self, place: usize, health: Health, message: &str) {
        let mut live = self.cameras[place].live();
        live.health = health;
        live.status.state = health.word();
        message.clone_into(&mut live.status.message);
        if health != Health::Running {
            live.status.fps = 0.0;
        }
        self.cameras[place].taken.notify_all();
    }

    /// Counts a frame; answers whether somebody wants it as a snapshot. Allocates nothing.
    pub fn count(&self, place: usize, size: (u32, u32), fps: f32, at: UnixMs) -> bool {
        let mut live = self.cameras[place].live();
        (live.status.width, live.status.height) = size;
        live.status.fps = fps;
        live.status.last_frame = Some(at);
        live.asked
    }

    /// Says how often the detector has looked. Allocates nothing.
    pub fn inferred(&self, place: usize, inferences: u64) {
        self.cameras[place].live().status.inferences = inferences;
    }

    /// Hands out the snapshot that was asked for; an empty one was not to be had.
    pub fn give(&self, place: usize, jpeg: Vec<u8>) {
        let mut live = self.cameras[place].live();
        live.snapshot = (!jpeg.is_empty()).then(|| jpeg.into());
        live.number += 1;
        live.asked = false;
        self.cameras[place].taken.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_of_a_frame_after_the_question() {
        let board = Arc::new(Board::new(&["yard".into()]));
        assert!(!board.count(0, (640, 480), 1.0, UnixMs(5)));
        let asking = Arc::clone(&board);
        let asker = std::thread::spawn(move || asking.snapshot("yard", Duration::from_secs(20)));
        while !board.count(0, (640, 480), 1.0, UnixMs(6)) {
            std::thread::yield_now();
        }
        board.give(0, vec![1, 2, 3]);
        let given = asker.join().expect("no panic");
        assert_eq!(given.as_deref(), Some(&[1, 2, 3][..]));
        assert_eq!(board.snapshot("porch", Duration::from_secs(20)), None);
        assert_eq!(board.snapshot("yard", Duration::ZERO), None, "not the old one");
    }

    #[test]
    fn nobody_waits_for_a_lost_camera() {
        let board = Board::new(&["yard".into()]);
        board.set_health(0, Health::Lost, "unplugged");
        assert_eq!(board.snapshot("yard", Duration::from_secs(20)), None);
        let status = &board.status()[0];
        assert_eq!((status.state, status.message.as_str()), ("lost", "unplugged"));
    }
}
