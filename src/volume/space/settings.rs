//! What a user sets of an open volume's space: kept in `volume.json`, and followed from then on.

use crate::types::{Compression, Limits};
use crate::volume::config::edit;
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};

/// As [`crate::volume::Volume::set_limits`].
pub(super) fn set_limits(core: &Core, limits: Limits) -> Result<()> {
    let tally = core.database().tally()?;
    let used = |count: i64| u64::try_from(count).unwrap_or(0);
    let fits = |used, limit: Option<u64>| limit.is_none_or(|limit| used <= limit);
    if !fits(used(tally.logical), limits.bytes) || !fits(used(tally.inodes), limits.inodes) {
        return Err(Error::Exceeded {
            bytes: used(tally.logical),
            inodes: used(tally.inodes),
        });
    }
    // Stored before it is followed: after an error nothing has changed.
    edit(core.dir(), |config| config.limits = limits)?;
    core.bounds().set(limits);
    core.metadata().headroom().look_again();
    Ok(())
}

/// As [`crate::volume::Volume::set_compression`].
pub(super) fn set_compression(core: &Core, compression: Compression) -> Result<()> {
    edit(core.dir(), |config| config.compression = compression)?;
    core.compression().set(compression);
    Ok(())
}
