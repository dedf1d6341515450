//! What begins, goes on and ends with a connection to the kernel: which inodes it knows, and which writes it believes in.

use crate::volume::core::Core;
use crate::volume::durability::refusal_record::{forget_refused, inherit_refused};
use crate::volume::durability::refused_retry::give_up_refused;
use crate::volume::error::Result;

/// As [`crate::volume::Volume::begin_connection`].
pub(super) fn begin_connection(core: &Core) -> Result<()> {
    core.lookups().connect();
    forget_refused(core)?;
    find_orphans(core)
}

/// As [`crate::volume::Volume::inherit_connection`].
pub(super) fn inherit_connection(core: &Core) -> Result<()> {
    // Before it hears of the orphans: with the counts lost each is in doubt, and none is freed at once.
    core.lookups().inherit();
    inherit_refused(core)?;
    find_orphans(core)
}

fn find_orphans(core: &Core) -> Result<()> {
    let orphans = core.database().read()?.orphans()?;
    orphans
        .into_iter()
        .for_each(|ino| core.lookups().orphan(ino));
    Ok(())
}

/// As [`crate::volume::Volume::end_connection`].
pub(super) fn end_connection(core: &Core) {
    // First: it stores into files that the next line may have freed.
    give_up_refused(core);
    core.lookups().forget_all();
}
