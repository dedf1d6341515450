//! A volume that is made of a snapshot in a remote: `-o from=REMOTE:VOLUME@SNAP`.

use std::path::Path;

use super::options::MountRequest;
use super::{Error, Result};
use crate::remote::{RemoteRef, Remotes};
use crate::server::Kernel;
use crate::transfer::{Ahead, LaterFrom, config_of, pull_rows};
use crate::volume::Deadline;

/// Makes the volume in `fresh`, with what of `wanted` is not the snapshot's. It is usable at once: an engine waits no
/// longer than two minutes. What its files hold comes when it is read, and in the background.
pub(super) fn pull_into(
    fresh: &Path,
    remotes: &Remotes,
    from: &RemoteRef,
    wanted: &MountRequest,
) -> Result<()> {
    let failed = |error: crate::transfer::Error| Error::Pull {
        from: from.to_string(),
        source: error,
    };
    let opened = remotes.dir_of(&from.remote).open();
    let repository = opened.map_err(|e| failed(e.into()))?;
    let snapshot = from.find_snapshot(&repository);
    let snapshot = snapshot.map_err(|e| failed(e.into()))?;
    let mut config = config_of(&snapshot).map_err(failed)?;
    config.labels.clone_from(&wanted.config.labels);
    config.life = wanted.config.life;
    config.limits = wanted.config.limits;
    config.schedule = wanted.config.schedule;
    let later = LaterFrom {
        root: remotes.root(),
        remote: from.remote.clone(),
        prefetch: wanted.prefetch.unwrap_or_default(),
        deadline: Deadline::default(),
        ahead: if Kernel::running().resends() {
            Ahead::Allowed
        } else {
            Ahead::Refused
        },
    };
    let made = pull_rows(&repository, &snapshot, (fresh, config, &later));
    made.map_err(failed)
}
