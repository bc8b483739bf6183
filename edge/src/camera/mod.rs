//! (to come)

use edge_core::time::UnixMs;
use std::sync::Arc;
use std::time::Duration;

/// How one camera fares.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraStatus {
    /// Its name.
    pub name: String,
    /// `v4l2`, `replay` or `demo`.
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
    /// Pictures since the start.
    pub frames: u64,
    /// When the last one came.
    pub last_frame: Option<UnixMs>,
}

/// The cameras' state.
#[derive(Debug)]
pub struct Board {}

impl Board {
    /// A board of these cameras.
    pub fn new(_names: &[String]) -> Self {
        Self {}
    }

    /// How they fare.
    pub fn status(&self) -> Vec<CameraStatus> {
        Vec::new()
    }

    /// A JPEG of now.
    pub fn snapshot(&self, _name: &str, _wait: Duration) -> Option<Arc<[u8]>> {
        None
    }
}
