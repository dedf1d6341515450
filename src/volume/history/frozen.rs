//! Reading a volume as it was at a snapshot.

use std::ops::Range;

use crate::meta::{ChangedKeys, Inode, StoredExtent, View};
use crate::types::{Attr, Epoch, FileKind, Ino, Name, RowChange, RowCursor, RowPage};
use crate::volume::core::Core;
use crate::volume::data::extents::within;
use crate::volume::data::read::{Wait, clip, read_with};
use crate::volume::error::{Error, Result};
use crate::volume::ops::list::{DirEntry, below};

/// A volume as it was at one snapshot. Inodes have the numbers that they have in the head.
#[derive(Debug, Clone, Copy)]
pub struct Frozen<'v> {
    core: &'v Core,
    at: Epoch,
}

/// Rows that may be others than at an earlier snapshot. What is held in memory of each is some 50 bytes.
#[derive(Debug)]
pub struct Changed {
    keys: ChangedKeys,
    since: Epoch,
}

/// Rows that are looked at for [`Frozen::changed_since`].
const CHANGED_MAX: usize = 1 << 18;
/// Rows at a time.
const CHANGES: usize = 1000;

/// As [`crate::volume::Volume::frozen`].
pub(super) const fn frozen(core: &Core, at: Epoch) -> Frozen<'_> {
    Frozen { core, at }
}

impl Frozen<'_> {
    fn with<T>(&self, read: impl FnOnce(View<'_>) -> Result<T>) -> Result<T> {
        let tx = self.core.database().read()?;
        // What only a removed snapshot saw goes bit by bit: half of it must not be taken for the whole.
        if !tx.is_snapshot(self.at)? {
            return Err(Error::NotFound);
        }
        read(tx.view(self.at))
    }

    /// The next rows of a table, in the order of their keys; none at its end.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Storage`].
    pub fn rows(&self, after: &RowCursor) -> Result<RowPage> {
        self.with(|view| Ok(view.rows(after)?))
    }

    /// Which rows may be others than at the snapshot of an earlier epoch: what it costs depends on what changed since.
    /// `None` where there is no such snapshot (any more), where very much changed, or where a state came back in between.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Storage`].
    pub fn changed_since(&self, since: Epoch) -> Result<Option<Changed>> {
        let tx = self.core.database().read_beside()?;
        if !tx.is_snapshot(self.at)? {
            return Err(Error::NotFound);
        }
        let mut all = tx.all_snapshots()?.into_iter();
        let Some(from) = all.find(|one| one.epoch == since) else {
            return Ok(None);
        };
        let keys = tx.changed_keys(&from, self.at, CHANGED_MAX)?;
        Ok(keys.map(|keys| Changed { keys, since }))
    }

    /// The next of these rows that are others; none at the end. `None` once the earlier snapshot is gone.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Storage`].
    pub fn changes(&self, changed: &Changed, after: &RowCursor) -> Result<Option<Vec<RowChange>>> {
        let tx = self.core.database().read_beside()?;
        if !tx.is_snapshot(self.at)? {
            return Err(Error::NotFound);
        }
        // In the same state of the database as the rows: from its removal on, rows that only it saw go bit by bit.
        if !tx.is_snapshot(changed.since)? {
            return Ok(None);
        }
        let found = tx.view(self.at).changes(&changed.keys, after, CHANGES)?;
        Ok(Some(found))
    }

    /// The inode that `name` in `parent` leads to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn lookup(&self, parent: Ino, name: &Name) -> Result<Attr> {
        self.with(|view| Ok(view.lookup(parent, name)?.ok_or(Error::NotFound)?.attr))
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn getattr(&self, ino: Ino) -> Result<Attr> {
        self.with(|view| Ok(inode(&view, ino)?.attr))
    }

    /// The directory that holds the directory `ino`; the root holds itself.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn parent(&self, ino: Ino) -> Result<Ino> {
        self.with(|view| Ok(inode(&view, ino)?.home.parent))
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] when it is no symbolic link, [`Error::Storage`].
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>> {
        self.with(|view| match inode(&view, ino)?.attr.kind {
            FileKind::Symlink => view.link_target(ino)?.ok_or(Error::NotFound),
            _ => Err(Error::Invalid),
        })
    }

    /// As [`Volume::list`].
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::Storage`].
    pub fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>> {
        self.with(|view| match inode(&view, dir)?.attr.kind {
            FileKind::Directory => Ok(view
                .list(dir, below(after), limit)?
                .into_iter()
                .map(DirEntry::from)
                .collect()),
            _ => Err(Error::NotDirectory),
        })
    }

    /// As [`Volume::read`].
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Corrupt`], [`Error::Storage`].
    pub fn read(&self, ino: Ino, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.read_within(ino, offset, len, Wait::ALLOWED)
    }

    /// As [`Volume::read_here`].
    ///
    /// # Errors
    /// As there.
    pub fn read_here(&self, ino: Ino, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.read_within(ino, offset, len, Wait::Never)
    }

    /// As [`Volume::read_while`].
    ///
    /// # Errors
    /// As there.
    pub fn read_while(
        &self,
        ino: Ino,
        offset: u64,
        len: usize,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>> {
        self.read_within(ino, offset, len, Wait::While(goes_on))
    }

    fn read_within(&self, ino: Ino, offset: u64, len: usize, wait: Wait<'_>) -> Result<Vec<u8>> {
        read_with(self.core, (ino, offset), wait, || {
            self.find_extents(ino, offset, len)
        })
    }

    /// As [`super::Reading::next_run`].
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn next_run(&self, file: Ino, from: u64) -> Result<Option<Range<u64>>> {
        self.with(|view| {
            let size = inode(&view, file)?.attr.size;
            Ok(within(view.next_run(file, from)?, size))
        })
    }

    fn find_extents(
        &self,
        ino: Ino,
        offset: u64,
        len: usize,
    ) -> Result<(Range<u64>, Vec<StoredExtent>)> {
        self.with(|view| {
            let range = clip(&inode(&view, ino)?.attr, offset, len)?;
            let extents = view.stored_extents(ino, &range)?;
            Ok((range, extents))
        })
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// [`Error::NoAttribute`], [`Error::Storage`].
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        self.with(|view| view.xattr(ino, name)?.ok_or(Error::NoAttribute))
    }

    /// As [`Volume::xattr_names`].
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn xattr_names(&self, ino: Ino) -> Result<Vec<u8>> {
        let names = self.with(|view| Ok(view.xattr_names(ino)?))?;
        Ok(names
            .into_iter()
            .flat_map(|name| name.into_iter().chain([0]))
            .collect())
    }
}

fn inode(view: &View<'_>, ino: Ino) -> Result<Inode> {
    view.inode(ino)?.ok_or(Error::NotFound)
}
