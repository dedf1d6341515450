//! Snapshots of a volume, one, or all with a directory each: nothing can be changed.
//!
//! What would change something answers [`Error::ReadOnly`]: the superblock is mounted read-only, but root can make it
//! read-write.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::answer::{Answer, Listed, Page, Told, Waiting, What};
use super::capabilities::Terms;
use super::node::{Node, Snapshots};
use super::request::{Listing, Operation, Request, Wanted};
use super::serve::Serve;
use super::state::{background_max, each_entry, told, xattr, xattr_names};
use crate::types::{Attr, Epoch, FileKind, Ino, SnapshotName, Timestamp};
use crate::volume::{Error, FIRST_COOKIE, Frozen, Reading, Result, Snapshot, Volume};

/// Snapshots come and go: what the root of all holds is asked each time.
const ROOT_VALID: Duration = Duration::ZERO;

/// A volume's snapshots.
#[derive(Debug)]
pub(super) struct SnapshotView {
    volume: Arc<Volume>,
    which: Snapshots,
}

impl Serve for SnapshotView {
    fn terms(&self) -> Terms {
        Terms::ReadOnly
    }

    fn background_max(&self) -> u16 {
        background_max(&self.volume)
    }

    fn answer(&self, request: &Request<'_>) -> Result<Answer> {
        let at = request.at;
        match request.operation {
            Operation::Lookup { wanted } => self.find(at, wanted),
            Operation::Getattr => self.attr(at).map(Answer::Attr),
            Operation::Readlink => {
                let (frozen, _, ino) = self.frozen(at)?;
                frozen.readlink(ino).map(Answer::Data)
            }
            Operation::Read { offset, len } => {
                let (frozen, epoch, ino) = self.frozen(at)?;
                match frozen.read_here(ino, offset, len) {
                    Err(Error::Elsewhere) => Ok(self.read_later(epoch, ino, offset, len)),
                    read => read.map(Answer::Data),
                }
            }
            Operation::Lseek { offset, seek } => {
                let (frozen, _, ino) = self.frozen(at)?;
                let found = Reading::Frozen(frozen).seek(ino, offset, seek);
                found.map(Answer::Offset)
            }
            Operation::Statfs => self.volume.room().map(Answer::Statfs),
            Operation::Getxattr { key, size } => self.xattr(at, key, size),
            Operation::Listxattr { size } => {
                let (frozen, _, ino) = self.frozen(at)?;
                xattr_names(frozen.xattr_names(ino)?, &request.caller, size)
            }
            // There is nothing to write back, and the kernel copies by itself.
            Operation::Fsync | Operation::Fsyncdir | Operation::CopyFileRange { .. } => {
                Ok(Answer::Unserved)
            }
            Operation::Setattr(_)
            | Operation::Mknod { .. }
            | Operation::Mkdir { .. }
            | Operation::Symlink { .. }
            | Operation::Link { .. }
            | Operation::Unlink { .. }
            | Operation::Rmdir { .. }
            | Operation::Rename { .. }
            | Operation::Write { .. }
            | Operation::Fallocate { .. }
            | Operation::Setxattr { .. }
            | Operation::Removexattr { .. } => Err(Error::ReadOnly),
        }
    }

    fn list(&self, listing: &Listing, page: &mut dyn Page) -> Result<()> {
        if self.is_root_of_all(listing.dir) {
            return self.list_snapshots(listing.after, page);
        }
        let (frozen, epoch, ino) = self.frozen(listing.dir)?;
        let mut failed = None;
        each_entry(&frozen, ino, listing.after, |entry| {
            match self.renumbered(epoch, entry.what) {
                Ok(what) => page.add(&Listed { what, ..*entry }),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Nobody counts: what a snapshot holds stays, whoever has it open.
    fn forget(&self, _: Ino, _: u64) {}
}

impl SnapshotView {
    pub(super) const fn new(volume: Arc<Volume>, which: Snapshots) -> Self {
        Self { volume, which }
    }

    fn read_later(&self, epoch: Epoch, ino: Ino, offset: u64, len: usize) -> Answer {
        let volume = Arc::clone(&self.volume);
        Answer::Waits(Waiting(Box::new(move |goes_on| {
            let frozen = volume.frozen(epoch);
            let read = frozen.read_while(ino, offset, len, goes_on);
            read.map(Answer::Data)
        })))
    }

    fn is_root_of_all(&self, at: Ino) -> bool {
        self.which.node(at) == Some(Node::Root)
    }

    /// The snapshot's state and the inode in it that `at` stands for, which is not the root of all.
    fn frozen(&self, at: Ino) -> Result<(Frozen<'_>, Epoch, Ino)> {
        match self.which.node(at) {
            Some(Node::Frozen(epoch, ino)) => Ok((self.volume.frozen(epoch), epoch, ino)),
            Some(Node::Root) => Err(Error::NotPermitted),
            None => Err(Error::NotFound),
        }
    }

    fn find(&self, parent: Ino, wanted: Wanted<'_>) -> Result<Answer> {
        if self.is_root_of_all(parent) {
            let snapshot = self.volume.snapshot(&snapshot_name(wanted)?)?;
            return self.top(&snapshot).map(Answer::Entry);
        }
        match self.find_frozen(parent, wanted) {
            Ok(attr) => Ok(Answer::Entry(told(attr))),
            Err(Error::NotFound) => Ok(Answer::NoEntry),
            Err(error) => Err(error),
        }
    }

    fn find_frozen(&self, parent: Ino, wanted: Wanted<'_>) -> Result<Attr> {
        let (frozen, epoch, ino) = self.frozen(parent)?;
        let found = match wanted {
            Wanted::Itself => frozen.getattr(ino)?,
            Wanted::Parent => frozen.getattr(frozen.parent(ino)?)?,
            Wanted::Named(name) => frozen.lookup(ino, name)?,
        };
        self.numbered(epoch, found)
    }

    /// The directory of a snapshot, as the root of all shows it.
    fn top(&self, snapshot: &Snapshot) -> Result<Told> {
        let root = self.volume.frozen(snapshot.epoch).getattr(Ino::ROOT)?;
        Ok(Told {
            attr: self.numbered(snapshot.epoch, root)?,
            valid: ROOT_VALID,
        })
    }

    fn attr(&self, at: Ino) -> Result<Attr> {
        if self.is_root_of_all(at) {
            return Ok(root_of_all());
        }
        let (frozen, epoch, ino) = self.frozen(at)?;
        self.numbered(epoch, frozen.getattr(ino)?)
    }

    fn xattr(&self, at: Ino, key: &[u8], size: u32) -> Result<Answer> {
        if self.is_root_of_all(at) {
            return Err(Error::NoAttribute);
        }
        let (frozen, _, ino) = self.frozen(at)?;
        xattr(&self.volume, &frozen, ino, key, size)
    }

    /// A snapshot's place is its epoch behind those of `.` and `..`, which the root does not list.
    fn list_snapshots(&self, after: u64, page: &mut dyn Page) -> Result<()> {
        for snapshot in self.volume.snapshots()? {
            let place = snapshot.epoch.0.cast_unsigned() + FIRST_COOKIE;
            if place <= after {
                continue;
            }
            let name = snapshot.name.as_str().as_bytes();
            let what = What::Entry(self.top(&snapshot)?);
            if page.add(&Listed { place, name, what }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn renumbered(&self, epoch: Epoch, what: What) -> Result<What> {
        Ok(match what {
            What::Dots(ino) => What::Dots(self.number(epoch, ino)?),
            What::Entry(Told { attr, valid }) => What::Entry(Told {
                attr: self.numbered(epoch, attr)?,
                valid,
            }),
        })
    }

    /// The attributes of an inode under the number that it has here.
    fn numbered(&self, epoch: Epoch, attr: Attr) -> Result<Attr> {
        let ino = self.number(epoch, attr.ino)?;
        Ok(Attr { ino, ..attr })
    }

    fn number(&self, epoch: Epoch, ino: Ino) -> Result<Ino> {
        self.which.number(epoch, ino).ok_or(Error::OutOfRange)
    }
}

/// The directory that holds a directory for each snapshot. It is no inode of the volume.
fn root_of_all() -> Attr {
    let unknown = Timestamp::from_system(UNIX_EPOCH);
    Attr {
        ino: Ino::ROOT,
        kind: FileKind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        nlink: 2,
        size: 0,
        allocated: 0,
        rdev: 0,
        atime: unknown,
        mtime: unknown,
        ctime: unknown,
    }
}

/// A name that no snapshot can have is one that none has.
fn snapshot_name(wanted: Wanted<'_>) -> Result<SnapshotName> {
    let Wanted::Named(name) = wanted else {
        return Err(Error::NotFound);
    };
    let text = std::str::from_utf8(name.as_bytes()).map_err(|_| Error::NotFound)?;
    text.parse().map_err(|_| Error::NotFound)
}

#[cfg(test)]
mod tests;
