//! Taking names away.

use crate::meta::{Inode, WriteTx};
use crate::types::{Caller, FileKind, Ino, Name, Timestamp};
use crate::volume::change::change;
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;
use crate::volume::ops::create::{directory, touch_directory};
use crate::volume::ops::resend::is_noted;

/// As [`crate::volume::Volume::unlink`].
pub(super) fn unlink(core: &Core, caller: &Caller, parent: Ino, name: &Name) -> Result<()> {
    remove(core, caller, parent, name, |_, victim| {
        match victim.attr.kind {
            FileKind::Directory => Err(Error::IsDirectory),
            _ => Ok(()),
        }
    })
}

/// As [`crate::volume::Volume::rmdir`].
pub(super) fn rmdir(core: &Core, caller: &Caller, parent: Ino, name: &Name) -> Result<()> {
    remove(core, caller, parent, name, |tx, victim| {
        match victim.attr.kind {
            FileKind::Directory if tx.has_entries(victim.attr.ino)? => Err(Error::NotEmpty),
            FileKind::Directory => Ok(()),
            _ => Err(Error::NotDirectory),
        }
    })
}

fn remove(
    core: &Core,
    caller: &Caller,
    parent: Ino,
    name: &Name,
    check: impl Fn(&WriteTx<'_>, &Inode) -> Result<()>,
) -> Result<()> {
    let orphaned = change(core, Space::Frees, |tx| {
        let mut dir = directory(tx, parent)?;
        let entry = tx.dentry(parent, name)?.ok_or(Error::NotFound)?;
        let victim = named_entry(tx, entry.ino)?;
        check(tx, &victim)?;
        let now = Timestamp::now();
        tx.delete_dentry(parent, name, &entry)?;
        let orphaned = drop_name(tx, &mut dir, victim, now)?;
        dir.request = caller.request;
        touch_directory(tx, &mut dir, now)?;
        debug_assert!(
            is_noted(tx, parent, caller),
            "invariant 12: the request is not noted with what it did"
        );

        Ok(orphaned)
    })?;
    if let Some(ino) = orphaned {
        // After the commit: by then the tables say that it may be freed, whoever dies before it is.
        core.lookups().orphan(ino);
    }
    Ok(())
}

/// The inode that an entry names: it must be there.
pub(super) fn named_entry(tx: &WriteTx<'_>, ino: Ino) -> Result<Inode> {
    tx.inode(ino)?
        .ok_or_else(|| Error::Corrupt(format!("an entry names {ino}, which is not there")))
}

/// Counts one name of `victim` less, which was in `dir`; returns it if that was the last.
pub(super) fn drop_name(
    tx: &mut WriteTx<'_>,
    dir: &mut Inode,
    mut victim: Inode,
    now: Timestamp,
) -> Result<Option<Ino>> {
    let is_dir = victim.attr.kind == FileKind::Directory;
    dir.attr.nlink = dir.attr.nlink.saturating_sub(u32::from(is_dir));
    victim.attr.nlink = if is_dir {
        0
    } else {
        victim.attr.nlink.saturating_sub(1)
    };
    victim.attr.ctime = now;
    tx.update_inode(&mut victim)?;
    if victim.attr.nlink > 0 {
        return Ok(None);
    }
    tx.insert_orphan(victim.attr.ino)?;
    Ok(Some(victim.attr.ino))
}
