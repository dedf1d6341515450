//! Which files are left alone by those who rearrange what is stored, and when everybody is.

use std::time::Duration;

use crate::types::{Ino, Timestamp};
use crate::volume::core::Core;
use crate::volume::error::Result;

/// After a step those who rearrange rest as long as it took, but no longer than this.
pub(super) const REST_MAX: Duration = Duration::from_millis(50);

/// What defragmenting did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Defragmented {
    /// Files that were put together.
    pub files: u64,
    /// Extents that became fewer.
    pub extents: u64,
    /// Small chunks that are found by their hash now.
    pub indexed: u64,
    /// Extents that name a chunk equal to the one they had.
    pub shared: u64,
    /// Files that were left alone because they changed a moment ago.
    pub restless: u64,
}

impl Defragmented {
    /// Whether another look at an unchanged volume would find nothing either.
    pub(in crate::volume) const fn is_nothing(&self) -> bool {
        self.files + self.indexed + self.shared + self.restless == 0
    }
}

/// Which files are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::volume) enum Disturb {
    /// Those that changed a moment ago, for they will again.
    Quiet,
    /// None.
    All,
}

pub(super) fn is_busy(core: &Core, disturb: Disturb) -> bool {
    disturb == Disturb::Quiet && core.gc().is_wanted() || !core.metadata().reserve().is_whole()
}

pub(super) fn is_quiet(core: &Core, ino: Ino) -> Result<bool> {
    let Some(inode) = core.database().read_once()?.inode(ino)? else {
        return Ok(false);
    };
    let since = Timestamp::now().secs() - inode.attr.ctime.secs();
    // A clock that went back must not keep a file from defragmenting.
    Ok(!(0..core.tuning().defragment.quiet_secs).contains(&since))
}
