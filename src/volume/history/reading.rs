//! Reading a whole state out of a volume: as it is, as it was at a snapshot, or at a moment of which nobody else
//! is told.

use std::ops::Range;

use crate::meta::Copies;
use crate::types::{
    Attr, Epoch, Group, GroupId, Ino, Name, RowCursor, RowPage, SnapshotName, VolumeId,
};
use crate::volume::change::change;
use crate::volume::core::Core;
use crate::volume::data::extents::within;
use crate::volume::durability::copying::finish_copies;
use crate::volume::error::{Error, Result};
use crate::volume::handle::Volume;
use crate::volume::history::frozen::{Frozen, frozen};
use crate::volume::history::group_snapshot::conclude_in_group;
use crate::volume::metadata::{Space, inode};
use crate::volume::ops::list::DirEntry;

/// A state of a volume.
#[derive(Debug, Clone, Copy)]
pub enum Reading<'v> {
    /// As it is: it may change meanwhile.
    Head(&'v Volume),
    /// As it was.
    Frozen(Frozen<'v>),
}

/// What is looked for in a file (lseek(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// Bytes that are no hole.
    Data,
    /// A hole, or the end.
    Hole,
}

/// A moment of a volume, kept until this is dropped. It is no snapshot that anybody is told of, and goes at the
/// next open at the latest.
#[derive(Debug)]
pub struct Moment<'v> {
    core: &'v Core,
    epoch: Epoch,
    group: GroupId,
}

/// As [`crate::volume::Volume::moment`].
pub(super) fn moment(core: &Core) -> Result<Moment<'_>> {
    let name: std::result::Result<SnapshotName, _> = VolumeId::random().to_string().parse();
    let name = name.map_err(|e| Error::bug(&e.to_string()))?;
    // A part in a group snapshot that nobody takes: whoever opens the volume next gives it up.
    let group = Group {
        id: GroupId::random(),
        coordinator: core.uuid(),
        coordinator_dir: core.dir().to_owned(),
    };
    finish_copies(core, &[Copies::All])?;
    // Not synced: a power cut ends whoever reads it as well.
    let taken = change(core, Space::Needs, |tx| {
        let taken = tx.insert_snapshot(&name, "")?;
        tx.insert_pending(taken.epoch, &group)?;
        Ok(taken)
    })?;
    Ok(Moment {
        core,
        epoch: taken.epoch,
        group: group.id,
    })
}

impl Moment<'_> {
    /// What the volume was.
    #[must_use]
    pub const fn frozen(&self) -> Frozen<'_> {
        frozen(self.core, self.epoch)
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        if let Err(error) = conclude_in_group(self.core, self.group) {
            log::warn!("what an export kept stays until the volume is opened again: {error}");
        }
    }
}

impl Reading<'_> {
    /// Whether it may change while it is read.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Head(_))
    }

    /// As [`Frozen::rows`].
    ///
    /// # Errors
    /// As there; [`Error::Unsupported`] of a state that changes while it is read.
    pub fn rows(&self, after: &RowCursor) -> Result<RowPage> {
        match self {
            Self::Head(_) => Err(Error::Unsupported),
            Self::Frozen(frozen) => frozen.rows(after),
        }
    }

    /// As [`Volume::list`].
    ///
    /// # Errors
    /// As there.
    pub fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>> {
        match self {
            Self::Head(volume) => volume.list(dir, after, limit),
            Self::Frozen(frozen) => frozen.list(dir, after, limit),
        }
    }

    /// As [`Volume::getattr`].
    ///
    /// # Errors
    /// As there.
    pub fn getattr(&self, ino: Ino) -> Result<Attr> {
        match self {
            Self::Head(volume) => volume.getattr(ino),
            Self::Frozen(frozen) => frozen.getattr(ino),
        }
    }

    /// As [`Volume::lookup`].
    ///
    /// # Errors
    /// As there.
    pub fn lookup(&self, dir: Ino, name: &Name) -> Result<Attr> {
        match self {
            Self::Head(volume) => volume.lookup(dir, name),
            Self::Frozen(frozen) => frozen.lookup(dir, name),
        }
    }

    /// As [`Volume::readlink`].
    ///
    /// # Errors
    /// As there.
    pub fn readlink(&self, link: Ino) -> Result<Vec<u8>> {
        match self {
            Self::Head(volume) => volume.readlink(link),
            Self::Frozen(frozen) => frozen.readlink(link),
        }
    }

    /// As [`Volume::read`].
    ///
    /// # Errors
    /// As there.
    pub fn read(&self, file: Ino, offset: u64, len: usize) -> Result<Vec<u8>> {
        match self {
            Self::Head(volume) => volume.read(file, offset, len),
            Self::Frozen(frozen) => frozen.read(file, offset, len),
        }
    }

    /// The next bytes of a file from `from` on that are no hole, as `SEEK_DATA` and `SEEK_HOLE` would tell
    /// (lseek(2)); none when the rest is one.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn next_run(&self, file: Ino, from: u64) -> Result<Option<Range<u64>>> {
        match self {
            Self::Head(volume) => {
                let tx = volume.core.database().read()?;
                let size = inode(&tx, file)?.attr.size;
                Ok(within(tx.next_run(file, from)?, size))
            }
            Self::Frozen(frozen) => frozen.next_run(file, from),
        }
    }

    /// Where the next data or the next hole of a file is, from `from` on; a hole is at its end, too (lseek(2)).
    ///
    /// # Errors
    /// [`Error::PastEnd`] when `from` is there, or no data follows; [`Error::NotFound`], [`Error::Storage`].
    pub fn seek(&self, file: Ino, from: u64, seek: Seek) -> Result<u64> {
        let size = self.getattr(file)?.size;
        if from >= size {
            return Err(Error::PastEnd);
        }
        match seek {
            // What could not be stored yet is data that no extent tells of.
            _ if self.has_kept(file) => Ok(if seek == Seek::Data { from } else { size }),
            Seek::Data => {
                let run = self.next_run(file, from)?;
                run.map(|run| run.start).ok_or(Error::PastEnd)
            }
            Seek::Hole => self.next_hole(file, from, size),
        }
    }

    fn has_kept(&self, file: Ino) -> bool {
        match self {
            Self::Head(volume) => volume.core.refused().has(file),
            Self::Frozen(_) => false,
        }
    }

    fn next_hole(&self, file: Ino, mut from: u64, size: u64) -> Result<u64> {
        // A run is told in parts where it is long.
        while let Some(run) = self.next_run(file, from)?
            && run.start == from
        {
            from = run.end;
        }
        Ok(from.min(size))
    }

    /// All extended attributes, by name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn xattrs(&self, ino: Ino) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let names = match self {
            Self::Head(volume) => volume.xattr_names(ino)?,
            Self::Frozen(frozen) => frozen.xattr_names(ino)?,
        };
        let mut found = Vec::new();
        for name in names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
        {
            let value = match self {
                Self::Head(volume) => volume.xattr(ino, name),
                Self::Frozen(frozen) => frozen.xattr(ino, name),
            };
            match value {
                Ok(value) => found.push((name.to_vec(), value)),
                // It went after it was listed.
                Err(Error::NoAttribute) if self.is_live() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}
