//! Finding inodes: by name, by number, by link.

use super::core::inode;
use super::{Error, Result, Volume};
use crate::types::{Attr, FileKind, Ino, Name};

impl Volume {
    /// The inode that `name` in `parent` leads to.
    ///
    /// # Errors
    /// [`Error::NotFound`], also when `parent` is no directory; I/O errors.
    pub fn lookup(&self, parent: Ino, name: &Name) -> Result<Attr> {
        self.seen(|| {
            let found = self.core.database.read_once()?.lookup(parent, name)?;
            Ok(self.as_seen(found.ok_or(Error::NotFound)?.attr))
        })
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    /// [`Error::NotFound`], I/O errors.
    pub fn getattr(&self, ino: Ino) -> Result<Attr> {
        self.seen(|| {
            let found = inode(&*self.core.database.read_once()?, ino)?;
            Ok(self.as_seen(found.attr))
        })
    }

    /// The attributes of an inode that has a name. One without is in use or nowhere: only the kernel, which did not ask
    /// for it by this number before, could lead to it.
    ///
    /// # Errors
    /// [`Error::NotFound`], also when the inode has no name any more; I/O errors.
    pub fn named(&self, ino: Ino) -> Result<Attr> {
        let attr = self.getattr(ino)?;
        if attr.nlink == 0 {
            return Err(Error::NotFound);
        }
        Ok(attr)
    }

    /// The directory that holds the directory `ino`; the root holds itself.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], I/O errors.
    pub fn parent(&self, ino: Ino) -> Result<Ino> {
        let found = inode(&*self.core.database.read_once()?, ino)?;
        match found.attr.kind {
            FileKind::Directory => Ok(found.home.parent),
            _ => Err(Error::NotDirectory),
        }
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] when it is no symbolic link, I/O errors.
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>> {
        let tx = self.core.database.read()?;
        match inode(&tx, ino)?.attr.kind {
            FileKind::Symlink => tx
                .link_target(ino)?
                .ok_or_else(|| Error::Corrupt(format!("{ino} is a link without a target"))),
            _ => Err(Error::Invalid),
        }
    }
}
