//! fsync(2): what was written is on the disk, or the caller hears what is not.

use crate::types::Ino;
use crate::volume::core::Core;
use crate::volume::durability::refused_retry::check_whole;
use crate::volume::error::Result;

/// As [`crate::volume::Volume::fsync_then`].
pub(in crate::volume) fn fsync_then(
    core: &Core,
    ino: Ino,
    then: impl FnOnce(Result<()>) + Send + 'static,
) {
    let whole = check_whole(core, ino, &(0..u64::MAX));
    core.disk()
        .sync_then(Box::new(|synced| then(synced.and(whole))));
}

/// As [`crate::volume::Volume::fsync`].
pub(in crate::volume) fn fsync(core: &Core, ino: Ino) -> Result<()> {
    // Asked first and told last: what could be stored meanwhile is made durable all the same.
    let whole = check_whole(core, ino, &(0..u64::MAX));
    core.disk().sync()?;
    whole
}
