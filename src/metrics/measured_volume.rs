//! What can be told of one volume without opening it. Knows no metric by its name.

use std::path::Path;
use std::time::Duration;

use crate::server::{self, ServerState, Told, VolumeStatus};
use crate::types::{Limits, Schedule};
use crate::volume::store::host_bytes;
use crate::volume::{Config, Scheduled, Scrubbed};

/// How long a server may take for an answer: who asks for metrics waits 10 s by default, for those of all volumes.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A volume, as it is now.
#[derive(Debug)]
pub struct MeasuredVolume {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub status: VolumeStatus,
    /// Whether no server is started for it any more.
    pub is_down: bool,
    /// Whether an I/O error has stopped all writing; nothing without a server.
    pub is_stopped: Option<bool>,
    /// What its server says; nothing without one.
    pub told: Told,
    /// What it takes on the host.
    pub host_bytes: u64,
    /// What its head may hold.
    pub limits: Limits,
    /// When snapshots are taken by themselves.
    pub schedule: Schedule,
    /// Nothing without a schedule.
    pub scheduled: Option<Scheduled>,
    /// Nothing where it cannot be read.
    pub scrubbed: Option<Scrubbed>,
}

impl MeasuredVolume {
    /// Looks at the volume in `dir`, whatever state it is in; nothing if there is none.
    #[must_use]
    pub fn of(name: &str, dir: &Path) -> Option<Self> {
        let config = Config::load(dir).ok();
        // One that was removed meanwhile is not there.
        if config.is_none() && !dir.exists() {
            return None;
        }
        let asked = server::measure(dir, WAIT_MAX);
        // Not of one that is silent: it would be waited for much longer.
        let server_state = match &asked {
            Ok(_) => server::server_state(dir).ok(),
            Err(error) => {
                log::warn!("volume {name}: {error}");
                None
            }
        };
        let status = match (&config, &server_state) {
            (Some(_), Some(server_state)) => VolumeStatus::of(server_state),
            _ => VolumeStatus::Broken,
        };
        let has_schedule = config
            .as_ref()
            .is_some_and(|config| !config.schedule.is_off());
        Some(Self {
            name: name.to_owned(),
            status,
            is_down: status == VolumeStatus::Dead && server::down_reason(dir).is_some(),
            is_stopped: server_state.as_ref().and_then(is_stopped),
            told: asked.ok().flatten().unwrap_or_default(),
            host_bytes: host_bytes(dir),
            schedule: config
                .as_ref()
                .map(|config| config.schedule)
                .unwrap_or_default(),
            limits: config.map(|config| config.limits).unwrap_or_default(),
            scheduled: has_schedule.then(|| Scheduled::load(dir).ok()).flatten(),
            scrubbed: Scrubbed::load(dir).ok(),
        })
    }
}

fn is_stopped(server_state: &ServerState) -> Option<bool> {
    match server_state {
        ServerState::Served(status, _) | ServerState::Open(status) => {
            Some(status.stopped.is_some())
        }
        ServerState::Unmounted | ServerState::Dead(_) => None,
    }
}
