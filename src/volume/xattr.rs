//! Extended attributes, POSIX ACLs among them (xattr(7)).

use super::acl::{ACCESS, Acl, DEFAULT};
use super::core::{Space, inode};
use super::privilege::Privileges;
use super::{Error, Result, Volume};
use crate::meta::{Inode, WriteTx};
use crate::types::{ALL_BITS, Caller, FileKind, Ino, SETGID, Timestamp};

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

impl Volume {
    /// Sets an attribute. Setting an ACL also sets the permission bits that it stands for.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unsupported`] for an unknown namespace, [`Error::Exists`],
    /// [`Error::NoAttribute`], [`Error::OutOfRange`] for a name too long, [`Error::AttributeTooLarge`],
    /// [`Error::AttributesFull`] when the inode has too many, I/O errors.
    pub fn set_xattr(
        &self,
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
        self.core
            .change_for(caller, Space::Needs, |tx, privileges| {
                let mut inode = inode(tx, ino)?;
                check_presence(tx, ino, name, mode)?;
                if tx.xattr_bytes(ino, name)? + (name.len() + 1 + value.len()) as u64
                    > TOTAL_BYTES_MAX
                {
                    return Err(Error::AttributesFull);
                }
                match name {
                    ACCESS | DEFAULT => set_acl(tx, privileges, &mut inode, name, value)?,
                    _ => tx.set_xattr(ino, name, value)?,
                }
                inode.request = caller.request;
                inode.attr.ctime = Timestamp::now();
                Ok(tx.update_inode(&mut inode)?)
            })
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// [`Error::NoAttribute`], [`Error::Unsupported`] for an unknown namespace, I/O errors.
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        check_name(name)?;
        self.core
            .database
            .read_once()?
            .xattr(ino, name)?
            .ok_or(Error::NoAttribute)
    }

    /// The names of an inode's attributes, each followed by a NUL (listxattr(2)).
    ///
    /// # Errors
    /// I/O errors.
    pub fn xattr_names(&self, ino: Ino) -> Result<Vec<u8>> {
        let names = self.core.database.read_once()?.xattr_names(ino)?;
        Ok(names
            .into_iter()
            .flat_map(|name| name.into_iter().chain([0]))
            .collect())
    }

    /// Removes an attribute. The permission bits stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NoAttribute`], [`Error::Unsupported`], I/O errors.
    pub fn remove_xattr(&self, caller: &Caller, ino: Ino, name: &[u8]) -> Result<()> {
        check_name(name)?;
        self.core.change(Space::Frees, |tx| {
            let mut inode = inode(tx, ino)?;
            let found = tx.delete_xattr(ino, name)?;
            if !found && !matches!(name, ACCESS | DEFAULT) {
                return Err(Error::NoAttribute);
            }
            inode.request = caller.request;
            inode.attr.ctime = Timestamp::now();
            Ok(tx.update_inode(&mut inode)?)
        })
    }
}

/// Which namespaces there are; who may use them is the kernel's to decide.
fn check_name(name: &[u8]) -> Result<()> {
    let known = [&b"user."[..], b"trusted.", b"security."];
    match name {
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
        inode.attr.mode &= !SETGID;
    }
    if acl.is_mode() {
        tx.delete_xattr(ino, name)?;
        Ok(())
    } else {
        Ok(tx.set_xattr(ino, name, value)?)
    }
}
