//! What is done around a snapshot: commands of the user, and containers that are paused.

use std::error::Error;
use std::path::Path;

use super::afterwards::Afterwards;
use crate::cli::containers::Containers;
use crate::cli::locate::{Located, Root};
use crate::cli::{CliError, Kind, Result};
use crate::docker::engine::{self, Activity};
use crate::server::{ServerState, mounts::Mount, server_state};

/// What the user wants done.
#[derive(Debug, clap::Args)]
pub(super) struct Around {
    /// Have the shell do this first; if it fails, no snapshot is taken
    #[arg(long, value_name = "COMMAND")]
    before: Option<String>,
    /// Have the shell do this afterwards, also after a failure
    #[arg(long, value_name = "COMMAND")]
    after: Option<String>,
    /// Have Docker pause the containers that use the volumes meanwhile
    ///
    /// They go on afterwards, also after a failure, and if this command is killed. One that was paused before stays so.
    /// Another such command with this root is waited for, for a minute at most.
    #[arg(long)]
    pause: bool,
}

impl Around {
    /// Takes what `take` takes, with all that done around it.
    pub(super) fn run(
        &self,
        root: &Root,
        volumes: &[Located],
        take: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        if self.before.is_none() && self.after.is_none() && !self.pause {
            return take();
        }
        let socket = self.pause.then(Containers::engine).transpose()?;
        let (before, after) = (self.before.as_deref(), self.after.as_deref());
        let lock = root.pausing();
        let mut afterwards = Afterwards::start(socket.as_deref(), &lock, before, after)?;
        let prepared = afterwards.prepare().and_then(|()| {
            let Some(socket) = socket else { return Ok(()) };
            // First: what is paused then is so by its user's wish, and not by another command.
            afterwards.alone(&lock)?;
            pause(&socket, volumes, &mut afterwards)
        });
        let taken = prepared.and_then(|()| take());
        // Also after a failure; the first one is told.
        let acted = afterwards.act();
        taken.and(acted)
    }
}

fn pause(socket: &Path, volumes: &[Located], afterwards: &mut Afterwards) -> Result<()> {
    let all = Containers::of(socket).map_err(cannot_pause)?;
    let mut mounted = Vec::new();
    for volume in volumes {
        mounted.extend(mounts(volume)?);
    }
    let places: Vec<_> = mounted
        .iter()
        .map(|mount| mount.mountpoint.as_path())
        .collect();
    for container in all.reaching(&places) {
        if container.activity == Activity::Paused {
            continue;
        }
        afterwards.expect(&container.name)?;
        if !engine::pause(socket, &container.name).map_err(cannot_pause)? {
            afterwards.forget(&container.name)?;
        }
    }
    Ok(())
}

fn cannot_pause(error: impl Into<Box<dyn Error + Send + Sync>>) -> CliError {
    let message = "cannot pause the containers that use the volume";
    CliError::new(Kind::Failed, message)
        .because(error)
        .hint("no snapshot was taken; see to the engine, or leave --pause out")
}

/// Those of the volume as it is now: who reads a snapshot need not stand still.
fn mounts(volume: &Located) -> Result<Vec<Mount>> {
    match server_state(&volume.dir).map_err(|e| volume.explain(e))? {
        ServerState::Served(status, mut mounts) => {
            mounts.retain(|mount| Some(mount.device) == status.device);
            Ok(mounts)
        }
        ServerState::Unmounted | ServerState::Open(_) | ServerState::Dead(_) => Ok(Vec::new()),
    }
}
