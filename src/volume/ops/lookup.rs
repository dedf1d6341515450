//! Finding inodes: by name, by number, by link.

use crate::types::{Attr, FileKind, Ino, Name};
use crate::volume::core::Core;
use crate::volume::durability::refusal_record::{as_seen, seen};
use crate::volume::error::{Error, Result};
use crate::volume::metadata::inode;

/// As [`crate::volume::Volume::lookup`].
pub(super) fn lookup(core: &Core, parent: Ino, name: &Name) -> Result<Attr> {
    seen(core, || {
        let found = core.database().read_once()?.lookup(parent, name)?;
        Ok(as_seen(core, found.ok_or(Error::NotFound)?.attr))
    })
}

/// As [`crate::volume::Volume::getattr`].
pub(super) fn getattr(core: &Core, ino: Ino) -> Result<Attr> {
    seen(core, || {
        let found = inode(&*core.database().read_once()?, ino)?;
        Ok(as_seen(core, found.attr))
    })
}

/// As [`crate::volume::Volume::named`].
pub(super) fn named(core: &Core, ino: Ino) -> Result<Attr> {
    let attr = getattr(core, ino)?;
    if attr.nlink == 0 {
        return Err(Error::NotFound);
    }
    Ok(attr)
}

/// As [`crate::volume::Volume::parent`].
pub(super) fn parent(core: &Core, ino: Ino) -> Result<Ino> {
    let found = inode(&*core.database().read_once()?, ino)?;
    match found.attr.kind {
        FileKind::Directory => Ok(found.home.parent),
        _ => Err(Error::NotDirectory),
    }
}

/// As [`crate::volume::Volume::readlink`].
pub(super) fn readlink(core: &Core, ino: Ino) -> Result<Vec<u8>> {
    let tx = core.database().read()?;
    match inode(&tx, ino)?.attr.kind {
        FileKind::Symlink => tx
            .link_target(ino)?
            .ok_or_else(|| Error::Corrupt(format!("{ino} is a link without a target"))),
        _ => Err(Error::Invalid),
    }
}
