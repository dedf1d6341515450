//! Extended attributes, POSIX ACLs among them (xattr(7)).

use crate::meta::{Inode, WriteTx};
use crate::types::{ALL_BITS, Caller, FileKind, Ino, SETGID, Timestamp};
use crate::volume::change::{change, change_for};
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::{Space, inode};
use crate::volume::ops::acl::{ACCESS, Acl, DEFAULT};
use crate::volume::ops::privilege::Privileges;
use crate::volume::ops::resend::is_noted;

/// The longest name of an attribute, in bytes (`XATTR_NAME_MAX`).
const NAME_BYTES_MAX: usize = 255;
/// The longest value, in bytes (`XATTR_SIZE_MAX`).
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all names, each with its NUL, and values of one inode: the names then fit into one listxattr(2).
const TOTAL_BYTES_MAX: u64 = 64 * 1024;

/// Whether an attribute must be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetXattrMode {
    /// It may be.
    Any,
    /// It must not be (`XATTR_CREATE`).
    Create,
    /// It must be (`XATTR_REPLACE`).
    Replace,
}

/// As [`crate::volume::Volume::set_xattr`].
pub(super) fn set_xattr(
    core: &Core,
    caller: &Caller,
    ino: Ino,
    name: &[u8],
    value: &[u8],
    mode: SetXattrMode,
) -> Result<()> {
    check_name(name)?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(Error::AttributeTooLarge);
    }
    change_for(core, caller, Space::Needs, |tx, privileges| {
        let mut inode = inode(tx, ino)?;
        check_presence(tx, ino, name, mode)?;
        if tx.xattr_bytes(ino, name)? + (name.len() + 1 + value.len()) as u64 > TOTAL_BYTES_MAX {
            return Err(Error::AttributesFull);
        }
        match name {
            ACCESS | DEFAULT => set_acl(tx, privileges, &mut inode, name, value)?,
            _ => tx.set_xattr(ino, name, value)?,
        }
        inode.request = caller.request;
        inode.attr.ctime = Timestamp::now();
        tx.update_inode(&mut inode)?;
        debug_assert!(
            is_noted(tx, ino, caller),
            "invariant 12: the request is not noted with what it did"
        );

        Ok(())
    })
}

/// As [`crate::volume::Volume::xattr`].
pub(super) fn xattr(core: &Core, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
    check_name(name)?;
    core.database()
        .read_once()?
        .xattr(ino, name)?
        .ok_or(Error::NoAttribute)
}

/// As [`crate::volume::Volume::xattr_names`].
pub(super) fn xattr_names(core: &Core, ino: Ino) -> Result<Vec<u8>> {
    let names = core.database().read_once()?.xattr_names(ino)?;
    Ok(names
        .into_iter()
        .flat_map(|name| name.into_iter().chain([0]))
        .collect())
}

/// As [`crate::volume::Volume::remove_xattr`].
pub(super) fn remove_xattr(core: &Core, caller: &Caller, ino: Ino, name: &[u8]) -> Result<()> {
    check_name(name)?;
    change(core, Space::Frees, |tx| {
        let mut inode = inode(tx, ino)?;
        let found = tx.delete_xattr(ino, name)?;
        // Linux removes an ACL by setting none, which succeeds also where there was none.
        if !found && !matches!(name, ACCESS | DEFAULT) {
            return Err(Error::NoAttribute);
        }
        inode.request = caller.request;
        inode.attr.ctime = Timestamp::now();
        tx.update_inode(&mut inode)?;
        debug_assert!(
            is_noted(tx, ino, caller),
            "invariant 12: the request is not noted with what it did"
        );

        Ok(())
    })
}

/// Which namespaces there are; who may use them is the kernel's to decide.
fn check_name(name: &[u8]) -> Result<()> {
    let known = [&b"user."[..], b"trusted.", b"security."];
    match name {
        // A namespace without a name in it (EINVAL, as Linux says).
        _ if known.contains(&name) => Err(Error::Invalid),
        _ if name.len() > NAME_BYTES_MAX => Err(Error::OutOfRange),
        ACCESS | DEFAULT => Ok(()),
        _ if known.iter().any(|prefix| name.starts_with(prefix)) => Ok(()),
        _ => Err(Error::Unsupported),
    }
}

fn check_presence(tx: &WriteTx<'_>, ino: Ino, name: &[u8], mode: SetXattrMode) -> Result<()> {
    if mode == SetXattrMode::Any {
        return Ok(());
    }
    match (mode, tx.xattr(ino, name)?.is_some()) {
        (SetXattrMode::Create, true) => Err(Error::Exists),
        (SetXattrMode::Replace, false) => Err(Error::NoAttribute),
        _ => Ok(()),
    }
}

fn set_acl(
    tx: &mut WriteTx<'_>,
    privileges: &Privileges<'_>,
    inode: &mut Inode,
    name: &[u8],
    value: &[u8],
) -> Result<()> {
    let ino = inode.attr.ino;
    let acl = Acl::parse(value)?;
    if inode.attr.kind == FileKind::Symlink {
        return Err(Error::Unsupported);
    }
    if name == DEFAULT && inode.attr.kind != FileKind::Directory {
        // EACCES, as `set_posix_acl` of Linux says.
        return Err(Error::AccessDenied);
    }
    let Some(acl) = acl else {
        tx.delete_xattr(ino, name)?;
        return Ok(());
    };
    if name == DEFAULT {
        return Ok(tx.set_xattr(ino, name, value)?);
    }
    inode.attr.mode = (inode.attr.mode & !ALL_BITS) | acl.mode_bits();
    if !privileges.is_member(inode.attr.gid)? {
        // As `posix_acl_update_mode` of Linux does.
        inode.attr.mode &= !SETGID;
    }
    if acl.is_mode() {
        tx.delete_xattr(ino, name)?;
        Ok(())
    } else {
        Ok(tx.set_xattr(ino, name, value)?)
    }
}
