//! What a volume is doing, in one word.

use serde::Serialize;

use super::ServerState;
use crate::control::Phase;

/// What a volume is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeStatus {
    /// Nothing.
    Unmounted,
    /// Has a server that waits for its first mount.
    Starting,
    /// It is mounted, here or in another mount namespace.
    Mounted,
    /// Its last mount is gone and its server is ending.
    Closing,
    /// Its server died; the mounts it left do not work.
    Dead,
    /// It cannot be used.
    Broken,
}

impl VolumeStatus {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Unmounted,
        Self::Starting,
        Self::Mounted,
        Self::Closing,
        Self::Dead,
        Self::Broken,
    ];

    /// That of a volume whose configuration can be read.
    #[must_use]
    pub fn of(server_state: &ServerState) -> Self {
        match server_state {
            ServerState::Unmounted => Self::Unmounted,
            ServerState::Dead(_) => Self::Dead,
            // Who reads it is in nobody's way.
            ServerState::Open(status) if status.readers > Some(0) => Self::Unmounted,
            ServerState::Open(_) => Self::Starting,
            ServerState::Served(status, _) if status.phase == Phase::Closing => Self::Closing,
            ServerState::Served(..) => Self::Mounted,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unmounted => "unmounted",
            Self::Starting => "starting",
            Self::Mounted => "mounted",
            Self::Closing => "closing",
            Self::Dead => "dead",
            Self::Broken => "broken",
        }
    }
}
