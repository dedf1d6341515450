//! Further names for an inode.

use crate::types::{Attr, Caller, FileKind, Ino, Name, Timestamp};
use crate::volume::change::change;
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::{Space, inode};
use crate::volume::ops::create::{directory, touch_directory};
use crate::volume::ops::resend::is_noted;

/// Names that an inode may have, as on ext4.
pub const LINKS_MAX: u32 = 65_000;

/// As [`crate::volume::Volume::link`].
pub(super) fn link(
    core: &Core,
    caller: &Caller,
    ino: Ino,
    parent: Ino,
    name: &Name,
) -> Result<Attr> {
    change(core, Space::Needs, |tx| {
        let mut dir = directory(tx, parent)?;
        let mut target = inode(tx, ino)?;
        match (target.attr.kind, target.attr.nlink) {
            (FileKind::Directory, _) => return Err(Error::NotPermitted),
            // As `vfs_link` of Linux says of a file whose last name is gone.
            (_, 0) => return Err(Error::NotFound),
            (_, LINKS_MAX..) => return Err(Error::TooManyLinks),
            _ => {}
        }
        if tx.dentry(parent, name)?.is_some() {
            return Err(Error::Exists);
        }
        let now = Timestamp::now();
        tx.insert_dentry(parent, name, ino)?;
        target.attr.nlink += 1;
        target.attr.ctime = now;
        tx.update_inode(&mut target)?;
        dir.request = caller.request;
        touch_directory(tx, &mut dir, now)?;
        debug_assert!(
            is_noted(tx, parent, caller),
            "invariant 12: the request is not noted with what it did"
        );

        Ok(target.attr)
    })
}
