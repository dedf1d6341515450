//! A volume that is made of a snapshot in a remote: `-o from=REMOTE:VOLUME@SNAP`.

use std::path::Path;

use super::{Error, Result};
use crate::remote::{RemoteRef, Remotes};
use crate::transfer::{Progress, Watch, config_of, pull};
use crate::volume::Config;

/// Nobody reads how far it is.
struct Unwatched;

impl Watch for Unwatched {
    fn progress(&self, _: &Progress) {}
}

/// Makes the volume in `fresh`, with what of `wanted` is not the snapshot's.
pub(super) fn pull_into(
    fresh: &Path,
    remotes: &Remotes,
    from: &RemoteRef,
    wanted: &Config,
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
    config.labels.clone_from(&wanted.labels);
    config.life = wanted.life;
    config.limits = wanted.limits;
    pull(&repository, &snapshot, (fresh, &config), &Unwatched).map_err(failed)
}
