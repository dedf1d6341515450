//! A volume that has no tables yet: what changes nothing is answered out of the repository, and all else is left for the
//! server that follows when the tables are there, to which the kernel sends it again.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::answer::{Answer, Page, Waiting};
use super::capabilities::{BACKGROUND_MAX_WAITING, Terms};
use super::request::{Listing, Operation, Request, Wanted};
use super::serve::Serve;
use super::state::{State, each_entry, is_dir_xattr, sized, told, xattr_names};
use crate::types::{Caller, Ino, about_to_wait};
use crate::volume::{Awaited, DirEntry, Error, Result};

/// How a server answers that waits for the tables.
#[derive(Debug)]
pub(super) struct AwaitedHead {
    volume: Arc<Awaited>,
}

impl AwaitedHead {
    pub(super) const fn new(volume: Arc<Awaited>) -> Self {
        Self { volume }
    }

    /// The answer of somebody who may wait.
    fn later(
        &self,
        find: impl FnOnce(&Awaited, &dyn Fn() -> bool) -> Result<Answer> + Send + 'static,
    ) -> Result<Answer> {
        let volume = Arc::clone(&self.volume);
        Ok(Answer::Waits(Waiting(Box::new(move |goes_on| {
            find(&volume, goes_on)
        }))))
    }

    fn find(&self, at: Ino, wanted: Wanted<'_>) -> Result<Answer> {
        match wanted {
            Wanted::Itself => self.later(move |volume, on| entry(volume.getattr(at, on))),
            Wanted::Parent => self.later(move |volume, on| {
                entry(
                    volume
                        .parent(at, on)
                        .and_then(|parent| volume.getattr(parent, on)),
                )
            }),
            Wanted::Named(name) => {
                let name = name.to_owned();
                self.later(move |volume, on| entry(volume.lookup(at, &name, on)))
            }
        }
    }

    fn xattr(&self, at: Ino, key: &[u8], size: u32) -> Result<Answer> {
        if is_dir_xattr(at, key) {
            return sized(self.volume.dir().as_os_str().as_bytes().to_vec(), size);
        }
        let key = key.to_vec();
        self.later(move |volume, on| sized(volume.xattr(at, &key, on)?, size))
    }

    fn xattr_names(&self, at: Ino, caller: &Caller, size: u32) -> Result<Answer> {
        let caller = *caller;
        self.later(move |volume, on| {
            let names = volume.xattrs(at, on)?.into_iter();
            let names = names.flat_map(|(name, _)| name.into_iter().chain([0]));
            xattr_names(names.collect(), &caller, size)
        })
    }
}

impl Serve for AwaitedHead {
    /// Those of the server that follows.
    fn terms(&self) -> Terms {
        Terms::ReadWrite
    }

    fn background_max(&self) -> u16 {
        BACKGROUND_MAX_WAITING
    }

    fn answer(&self, request: &Request<'_>) -> Result<Answer> {
        let at = request.at;
        match request.operation {
            Operation::Lookup { wanted } => self.find(at, wanted),
            Operation::Getattr => {
                self.later(move |volume, on| volume.getattr(at, on).map(Answer::Attr))
            }
            Operation::Readlink => {
                self.later(move |volume, on| volume.readlink(at, on).map(Answer::Data))
            }
            Operation::Read { offset, len } => {
                self.later(move |volume, on| volume.read(at, offset, len, on).map(Answer::Data))
            }
            Operation::Statfs => self.volume.room().map(Answer::Statfs),
            Operation::Getxattr { key, size } => self.xattr(at, key, size),
            Operation::Listxattr { size } => self.xattr_names(at, &request.caller, size),
            Operation::Lseek { .. }
            | Operation::Fsync
            | Operation::Fsyncdir
            | Operation::CopyFileRange { .. }
            | Operation::Setattr(_)
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
            | Operation::Removexattr { .. } => Ok(Answer::LeftToNext),
        }
    }

    fn list(&self, listing: &Listing, page: &mut dyn Page) -> Result<()> {
        about_to_wait();
        each_entry(&*self.volume, listing.dir, listing.after, |entry| {
            page.add(entry)
        })
    }

    /// The server that follows knows nothing of what was counted before it.
    fn forget(&self, _: Ino, _: u64) {}
}

impl State for Awaited {
    fn parent(&self, dir: Ino) -> Result<Ino> {
        self.parent(dir, &|| true)
    }

    fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>> {
        self.list(dir, after, limit)
    }

    fn xattr(&self, ino: Ino, key: &[u8]) -> Result<Vec<u8>> {
        self.xattr(ino, key, &|| true)
    }
}

fn entry(found: Result<crate::types::Attr>) -> Result<Answer> {
    match found {
        Ok(attr) => Ok(Answer::Entry(told(attr))),
        Err(Error::NotFound) => Ok(Answer::NoEntry),
        Err(error) => Err(error),
    }
}
