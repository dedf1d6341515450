//! Making nodes: files, directories, symbolic links, FIFOs, sockets, devices.

use crate::meta::{Inode, WriteTx};
use crate::types::{Attr, Caller, FileKind, Ino, MODE_BITS, Name, NewNode, SETGID, Timestamp};
use crate::volume::change::change;
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::{Space, inode};
use crate::volume::ops::acl::{ACCESS, Acl, DEFAULT};
use crate::volume::ops::resend::is_noted;

/// The longest target of a symbolic link, in bytes (`PATH_MAX` without the NUL).
const TARGET_BYTES_MAX: usize = 4095;

/// What a new node inherits from the directory that it is made in.
struct Inheritance {
    mode: u32,
    access: Option<Acl>,
    default: Option<Acl>,
}

/// As [`crate::volume::Volume::create`].
pub(super) fn create(
    core: &Core,
    caller: &Caller,
    parent: Ino,
    name: &Name,
    new: &NewNode<'_>,
) -> Result<Attr> {
    if new.target.len() > TARGET_BYTES_MAX {
        return Err(Error::NameTooLong);
    }
    change(core, Space::Needs, |tx| make(tx, caller, parent, name, new))
}

/// Makes the node within a transaction, which a rename with a whiteout does, too.
pub(super) fn make(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    parent: Ino,
    name: &Name,
    new: &NewNode<'_>,
) -> Result<Attr> {
    let mut dir = directory(tx, parent)?;
    if tx.dentry(parent, name)?.is_some() {
        return Err(Error::Exists);
    }
    let inherited = inherit(tx, &dir, new)?;
    let attr = new_attr(tx, caller, &dir, new, inherited.mode)?;
    let is_dir = new.kind == FileKind::Directory;
    let target = (new.kind == FileKind::Symlink).then_some(new.target);
    // The name first: the inode's row says where it is.
    let home = tx.insert_dentry(parent, name, attr.ino)?;
    tx.insert_inode(&attr, home, target)?;
    for (acl_name, acl) in [(ACCESS, inherited.access), (DEFAULT, inherited.default)] {
        if let Some(acl) = acl {
            tx.set_xattr(attr.ino, acl_name, &acl.to_bytes())?;
        }
    }
    dir.attr.nlink += u32::from(is_dir);
    dir.request = caller.request;
    touch_directory(tx, &mut dir, attr.ctime)?;
    debug_assert!(
        is_noted(tx, parent, caller),
        "invariant 12: the request is not noted with what it did"
    );

    Ok(attr)
}

/// The directory `ino`, if entries can be made in it.
pub(super) fn directory(tx: &WriteTx<'_>, ino: Ino) -> Result<Inode> {
    let dir = inode(tx, ino)?;
    match dir.attr.kind {
        FileKind::Directory if dir.attr.nlink > 0 => Ok(dir),
        // One that was removed while somebody is in it takes no more entries (ENOENT, as on any Linux filesystem).
        FileKind::Directory => Err(Error::NotFound),
        _ => Err(Error::NotDirectory),
    }
}

/// Stores a directory whose entries changed.
pub(super) fn touch_directory(tx: &mut WriteTx<'_>, dir: &mut Inode, now: Timestamp) -> Result<()> {
    dir.attr.mtime = now;
    dir.attr.ctime = now;
    Ok(tx.update_inode(dir)?)
}

/// The umask counts only where there is no default ACL (umask(2)).
fn inherit(tx: &WriteTx<'_>, dir: &Inode, new: &NewNode<'_>) -> Result<Inheritance> {
    let plain = Inheritance {
        mode: new.mode & !new.umask,
        access: None,
        default: None,
    };
    if new.kind == FileKind::Symlink {
        return Ok(Inheritance {
            // A symbolic link's mode counts for nothing, and is always this (symlink(7)).
            mode: 0o777,
            ..plain
        });
    }
    let Some(value) = tx.xattr(dir.attr.ino, DEFAULT)? else {
        return Ok(plain);
    };
    let Some(default) = Acl::parse(&value)? else {
        return Ok(plain);
    };
    let access = default.inherited(new.mode);
    Ok(Inheritance {
        mode: (new.mode & !0o777) | access.mode_bits(),
        access: (!access.is_mode()).then_some(access),
        default: (new.kind == FileKind::Directory).then_some(default),
    })
}

fn new_attr(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    dir: &Inode,
    new: &NewNode<'_>,
    mode: u32,
) -> Result<Attr> {
    let now = Timestamp::now();
    let is_dir = new.kind == FileKind::Directory;
    // Set-group-ID of a directory gives its group to all that is made in it, and the bit to directories (inode(7)).
    let setgid = dir.attr.mode & SETGID;
    Ok(Attr {
        ino: Ino::from_raw(tx.fresh_number()?),
        kind: new.kind,
        mode: (mode & MODE_BITS) | if is_dir { setgid } else { 0 },
        uid: caller.uid,
        gid: if setgid == 0 {
            caller.gid
        } else {
            dir.attr.gid
        },
        nlink: if is_dir { 2 } else { 1 },
        size: new.target.len() as u64,
        allocated: 0,
        rdev: new.rdev,
        atime: now,
        mtime: now,
        ctime: now,
    })
}
