//! Making inodes in a new volume.

use std::collections::BTreeMap;

use crate::cli::progress::Progress;
use crate::cli::source::{BLOCK_BYTES, Failure, Xattr};
use crate::types::{Attr, Caller, FileKind, Ino, Name, NewNode, SetAttr, SetTime, Timestamp};
use crate::volume::{SetIdBits, SetXattrMode, Volume, WriteOrigin};

/// How much of a file of `size` bytes is copied at a time: no more than it has, for most files are small.
pub(super) fn block_bytes(size: u64) -> usize {
    usize::try_from(size).map_or(BLOCK_BYTES, |size| size.clamp(1, BLOCK_BYTES))
}

type Result<T> = std::result::Result<T, Failure>;

/// What an inode has besides its content.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeAttributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) atime: Timestamp,
    pub(super) mtime: Timestamp,
    pub(super) xattrs: Vec<Xattr>,
}

/// A volume that is being filled.
pub(super) struct Filler<'v> {
    pub(super) volume: &'v Volume,
    /// Given their attributes at the end: what is made in them changes their times, and would inherit their default ACLs.
    directories: BTreeMap<Ino, NodeAttributes>,
    progress: Progress,
}

impl<'v> Filler<'v> {
    pub(super) fn new(volume: &'v Volume) -> Self {
        Self {
            volume,
            directories: BTreeMap::new(),
            progress: Progress::start("importing"),
        }
    }

    /// Makes an inode, with owner and mode from the beginning, which saves changing them; a directory without.
    pub(super) fn node(
        &self,
        (parent, name): (Ino, &Name),
        kind: FileKind,
        rdev: u32,
        target: &[u8],
        attributes: &NodeAttributes,
    ) -> Result<Attr> {
        let (caller, mode) = if kind == FileKind::Directory {
            (Caller::root(), 0o755)
        } else {
            let (uid, gid) = (attributes.uid, attributes.gid);
            (
                Caller {
                    uid,
                    gid,
                    ..Caller::root()
                },
                attributes.mode,
            )
        };
        let new = NewNode {
            kind,
            mode,
            umask: 0,
            rdev,
            target,
        };
        Ok(self.volume.create(&caller, parent, name, &new)?)
    }

    /// Zeros become holes. The file's times are set with each piece, which saves a transaction for them.
    pub(super) fn data(
        &self,
        (ino, of): (Ino, &NodeAttributes),
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        self.progress.add(bytes.len());
        let origin = WriteOrigin::Archive {
            atime: of.atime,
            mtime: of.mtime,
        };
        Ok(self
            .volume
            .write(ino, offset, bytes, origin, SetIdBits::Keep)?)
    }

    pub(super) fn size(&self, ino: Ino, size: u64) -> Result<()> {
        let change = SetAttr {
            size: Some(size),
            ..SetAttr::default()
        };
        self.set(ino, &change)
    }

    /// Gives an inode all but its content; a directory at the end only.
    pub(super) fn attributes(&mut self, inode: &Attr, attributes: NodeAttributes) -> Result<()> {
        if inode.kind == FileKind::Directory {
            self.directories.insert(inode.ino, attributes);
            return Ok(());
        }
        self.put_on(inode.ino, inode.kind, &attributes)
    }

    /// A directory was removed.
    pub(super) fn forget(&mut self, directory: Ino) {
        self.directories.remove(&directory);
    }

    pub(super) fn finish(self) -> Result<()> {
        for (ino, attributes) in &self.directories {
            self.put_on(*ino, FileKind::Directory, attributes)?;
        }
        Ok(())
    }

    fn put_on(&self, ino: Ino, kind: FileKind, attributes: &NodeAttributes) -> Result<()> {
        let made = self.volume.getattr(ino)?;
        if (made.uid, made.gid) != (attributes.uid, attributes.gid) {
            let owner = SetAttr {
                uid: Some(attributes.uid),
                gid: Some(attributes.gid),
                ..SetAttr::default()
            };
            self.set(ino, &owner)?;
        }
        // A change of the owner clears set-id bits, so the mode is looked at after it.
        if kind != FileKind::Symlink && self.volume.getattr(ino)?.mode != attributes.mode {
            let mode = SetAttr {
                mode: Some(attributes.mode),
                ..SetAttr::default()
            };
            self.set(ino, &mode)?;
        }
        for (name, value) in &attributes.xattrs {
            let (caller, mode) = (Caller::root(), SetXattrMode::Any);
            self.volume.set_xattr(&caller, ino, name, value, mode)?;
        }
        let now = self.volume.getattr(ino)?;
        if (now.atime, now.mtime) == (attributes.atime, attributes.mtime) {
            return Ok(());
        }
        let times = SetAttr {
            atime: Some(SetTime::At(attributes.atime)),
            mtime: Some(SetTime::At(attributes.mtime)),
            ..SetAttr::default()
        };
        self.set(ino, &times)
    }

    fn set(&self, ino: Ino, change: &SetAttr) -> Result<()> {
        self.volume.setattr(&Caller::root(), ino, change)?;
        Ok(())
    }
}
