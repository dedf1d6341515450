//! Changing attributes: chmod, chown, truncate, utimensat.

use crate::meta::{Copies, Inode, WriteTx};
use crate::types::{
    Attr, Caller, FileKind, Ino, MAX_FILE_BYTES, MODE_BITS, SetAttr, SetTime, Timestamp,
    about_to_wait,
};
use crate::volume::change::{change, change_for};
use crate::volume::core::Core;
use crate::volume::data::extents::clear;
use crate::volume::durability::copying::finish_copies;
use crate::volume::durability::refusal_record::{as_seen, clear_refused};
use crate::volume::error::{Error, Result};
use crate::volume::metadata::{ROWS_MAX, Space, inode};
use crate::volume::ops::acl::{ACCESS, Acl};
use crate::volume::ops::lookup::getattr;
use crate::volume::ops::privilege::{Privileges, clear_for_anyone, clear_unless_superuser};

/// As [`crate::volume::Volume::setattr`].
pub(super) fn setattr(core: &Core, caller: &Caller, ino: Ino, change: &SetAttr) -> Result<Attr> {
    if let Some(attr) = told_of_orphan(core, ino, change)? {
        return Ok(attr);
    }
    let _order = change.size.and_then(|_| core.refused().order(ino));
    if let Some(size) = change.size {
        shorten(core, ino, size)?;
    }
    // A file must be cut short on a full disk as well; the rows of a longer one are no more.
    let space = if change.size.is_some() {
        Space::Frees
    } else {
        Space::Needs
    };
    let changed = change_for(core, caller, space, |tx, privileges| {
        let mut inode = inode(tx, ino)?;
        // The kernel's own stamp where it tells it: the change was then.
        let now = change.ctime.unwrap_or_else(Timestamp::now);
        // In this order: a new owner takes the set-id bits, and a mode that comes with it may set them again.
        apply_owner(tx, privileges, &mut inode, change)?;
        apply_mode(tx, &mut inode, change)?;
        apply_size(tx, privileges, &mut inode, change, now)?;
        apply_times(&mut inode.attr, change, now);
        tx.update_inode(&mut inode)?;
        Ok(inode.attr)
    });
    let attr = changed?;
    if let Some(size) = change.size {
        // Cut off: nobody misses it any more.
        clear_refused(core, ino, &(size..u64::MAX));
    }
    Ok(as_seen(core, attr))
}

/// The attributes of a file that has no name any more, of which the kernel tells the times, as it does behind each
/// UNLINK. They are not stored: nobody but the kernel could ask for them, it never does, for it keeps the times of files
/// itself (Linux, fs/fuse/inode.c, `fuse_get_cache_mask`), and no snapshot shows them.
fn told_of_orphan(core: &Core, ino: Ino, change: &SetAttr) -> Result<Option<Attr>> {
    let Some(ctime) = told_times(change).filter(|_| core.lookups().is_orphan(ino)) else {
        return Ok(None);
    };
    let mut attr = getattr(core, ino)?;
    apply_times(&mut attr, change, ctime);
    Ok((attr.kind == FileKind::File).then_some(attr))
}

/// The change time, where the kernel tells that, maybe with the modification time, and asks for nothing.
const fn told_times(change: &SetAttr) -> Option<Timestamp> {
    match change {
        SetAttr {
            mode: None,
            uid: None,
            gid: None,
            size: None,
            atime: None,
            mtime: _,
            ctime,
        } => *ctime,
        _ => None,
    }
}

/// Cuts a file from its end, in steps, until what is left to cut is little.
fn shorten(core: &Core, ino: Ino, size: u64) -> Result<()> {
    if size > MAX_FILE_BYTES {
        return Err(Error::FileTooLarge);
    }
    finish_copies(core, &[Copies::From(ino)])?;
    loop {
        let more = change(core, Space::Frees, |tx| {
            let mut inode = inode(tx, ino)?;
            check_has_size(inode.attr.kind)?;
            let Some(start) = tx.tail_start(ino, size, ROWS_MAX)? else {
                return Ok(false);
            };
            let cleared = tx.clear_range(ino, &(start..MAX_FILE_BYTES), usize::MAX)?;
            inode.attr.allocated = inode.attr.allocated.saturating_sub(cleared.bytes);
            inode.attr.size = inode.attr.size.min(start);
            tx.update_inode(&mut inode)?;
            Ok(true)
        })?;
        if !more {
            return Ok(());
        }
        // A long file is cut in many steps.
        about_to_wait();
    }
}

fn check_has_size(kind: FileKind) -> Result<()> {
    match kind {
        FileKind::File => Ok(()),
        FileKind::Directory => Err(Error::IsDirectory),
        _ => Err(Error::Invalid),
    }
}

fn apply_owner(
    tx: &mut WriteTx<'_>,
    privileges: &Privileges<'_>,
    inode: &mut Inode,
    change: &SetAttr,
) -> Result<()> {
    let kills = *change == SetAttr::default();
    if change.uid.is_none() && change.gid.is_none() && !kills {
        return Ok(());
    }
    if inode.attr.kind != FileKind::Directory {
        clear_for_anyone(tx, privileges, inode)?;
    }
    let attr = &mut inode.attr;
    attr.uid = change.uid.unwrap_or(attr.uid);
    attr.gid = change.gid.unwrap_or(attr.gid);
    Ok(())
}

fn apply_mode(tx: &mut WriteTx<'_>, inode: &mut Inode, change: &SetAttr) -> Result<()> {
    let Some(mode) = change.mode else {
        return Ok(());
    };
    inode.attr.mode = mode & MODE_BITS;
    let Some(value) = tx.xattr(inode.attr.ino, ACCESS)? else {
        return Ok(());
    };
    if let Some(acl) = Acl::parse(&value)? {
        tx.set_xattr(inode.attr.ino, ACCESS, &acl.with_mode(mode).to_bytes())?;
    }
    Ok(())
}

fn apply_size(
    tx: &mut WriteTx<'_>,
    privileges: &Privileges<'_>,
    inode: &mut Inode,
    change: &SetAttr,
    now: Timestamp,
) -> Result<()> {
    let Some(size) = change.size else {
        return Ok(());
    };
    check_has_size(inode.attr.kind)?;
    clear(tx, inode, &(size..MAX_FILE_BYTES))?;
    inode.attr.size = size;
    inode.attr.mtime = now;
    clear_unless_superuser(tx, privileges, inode)
}

fn apply_times(attr: &mut Attr, change: &SetAttr, now: Timestamp) {
    let resolve = |time| match time {
        SetTime::Now => now,
        SetTime::At(time) => time,
    };
    attr.atime = change.atime.map_or(attr.atime, resolve);
    attr.mtime = change.mtime.map_or(attr.mtime, resolve);
    attr.ctime = change.ctime.unwrap_or(now);
}
