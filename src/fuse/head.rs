//! The head of a volume: everything can be changed, and what must not be done twice is done once.
//!
//! A file is made by MKNOD and never opened (docs/semantics.md): CREATE and OPEN are answered before they come here.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::answer::{Answer, Page, PutOff, Seeking, Waiting, What};
use super::capabilities::Terms;
use super::request::{Detail, Listing, Operation, Request, Sent, Wanted};
use super::serve::Serve;
use super::state::{background_max, each_entry, is_dir_xattr, told, xattr, xattr_names};
use crate::types::{Attr, Caller, Ino, Name, NewNode};
use crate::volume::{Error, Result, SetXattrMode, Volume};

/// Most bytes that one COPY_FILE_RANGE copies: what the kernel asks for, and what an answer can say.
const COPY_BYTES_MAX: u64 = 1 << 31;

/// A volume as it is.
#[derive(Debug)]
pub(super) struct Head {
    volume: Arc<Volume>,
}

impl Serve for Head {
    fn terms(&self) -> Terms {
        Terms::ReadWrite
    }

    fn background_max(&self) -> u16 {
        background_max(&self.volume)
    }

    fn answer(&self, request: &Request<'_>) -> Result<Answer> {
        let volume = &*self.volume;
        let (at, caller) = (request.at, &request.caller);
        match request.operation {
            Operation::Lookup { wanted } => self.find(at, wanted),
            Operation::Getattr => volume.getattr(at).map(Answer::Attr),
            Operation::Setattr(change) => volume.setattr(caller, at, &change).map(Answer::Attr),
            Operation::Readlink => volume.readlink(at).map(Answer::Data),
            Operation::Mknod { name, ref new }
            | Operation::Mkdir { name, ref new }
            | Operation::Symlink { name, ref new } => self.make(request, name, new),
            Operation::Link { source, name } => self.link(request, source, name),
            Operation::Unlink { name } => {
                self.once(request, |caller| volume.unlink(caller, at, name))
            }
            Operation::Rmdir { name } => {
                self.once(request, |caller| volume.rmdir(caller, at, name))
            }
            Operation::Rename {
                name,
                new_parent,
                new_name,
                mode,
            } => self.once(request, |caller| {
                volume.rename(caller, (at, name), (new_parent, new_name), mode)
            }),
            Operation::Read { offset, len } => match volume.read_here(at, offset, len) {
                Err(Error::Elsewhere) => Ok(self.read_later(at, offset, len)),
                read => read.map(Answer::Data),
            },
            Operation::Write {
                offset,
                data,
                origin,
                bits,
            } => {
                volume.write(at, offset, data, origin, bits)?;
                Ok(Answer::Written(data.len() as u64))
            }
            Operation::Fsync => Ok(Answer::Later(PutOff::Fsync(at))),
            Operation::Fsyncdir => Ok(Answer::Later(PutOff::Sync)),
            Operation::Fallocate { offset, len, mode } => {
                done(volume.fallocate(caller, at, offset, len, mode))
            }
            Operation::CopyFileRange {
                offset,
                target,
                target_offset,
                len,
            } => volume
                .copy_range(
                    caller,
                    (at, offset),
                    (target, target_offset),
                    len.min(COPY_BYTES_MAX),
                )
                .map(Answer::Written),
            Operation::Lseek { offset, seek } => Ok(Answer::Later(PutOff::Seek(Seeking {
                ino: at,
                offset,
                seek,
            }))),
            Operation::Statfs => volume.room().map(Answer::Statfs),
            Operation::Setxattr { key, value, mode } => self.set_xattr(request, key, value, mode),
            Operation::Getxattr { key, size } => xattr(volume, volume, at, key, size),
            Operation::Listxattr { size } => xattr_names(volume.xattr_names(at)?, caller, size),
            Operation::Removexattr { key } => {
                self.once(request, |caller| volume.remove_xattr(caller, at, key))
            }
        }
    }

    fn list(&self, listing: &Listing, page: &mut dyn Page) -> Result<()> {
        each_entry(&*self.volume, listing.dir, listing.after, |entry| {
            page.add(entry)?;
            // After it is known to fit, and before the page is sent: what the kernel is not told of it never forgets.
            if let (Detail::Attributes, What::Entry(told)) = (listing.detail, entry.what) {
                self.volume.remember(told.attr.ino);
            }
            ControlFlow::Continue(())
        })
    }

    fn forget(&self, at: Ino, count: u64) {
        self.volume.forget(at, count);
    }
}

impl Head {
    pub(super) const fn new(volume: Arc<Volume>) -> Self {
        Self { volume }
    }

    fn read_later(&self, at: Ino, offset: u64, len: usize) -> Answer {
        let volume = Arc::clone(&self.volume);
        Answer::Waits(Waiting(Box::new(move |goes_on| {
            volume
                .read_while(at, offset, len, goes_on)
                .map(Answer::Data)
        })))
    }

    fn find(&self, parent: Ino, wanted: Wanted<'_>) -> Result<Answer> {
        let found = match wanted {
            Wanted::Itself => self.volume.named(parent),
            Wanted::Parent => self
                .volume
                .parent(parent)
                .and_then(|grandparent| self.volume.named(grandparent)),
            Wanted::Named(name) => self.volume.lookup(parent, name),
        };
        match found {
            Ok(attr) => Ok(self.entry(attr)),
            Err(Error::NotFound) => Ok(Answer::NoEntry),
            Err(error) => Err(error),
        }
    }

    /// Hands an inode to the kernel. It is counted first: once the kernel has the answer its FORGET can overtake us.
    fn entry(&self, attr: Attr) -> Answer {
        self.volume.remember(attr.ino);
        Answer::Entry(told(attr))
    }

    /// Does what must not be done twice, to the entries or attributes of the request's inode; nothing if a server did it
    /// that died before it answered.
    fn once(
        &self,
        request: &Request<'_>,
        act: impl FnOnce(&Caller) -> Result<()>,
    ) -> Result<Answer> {
        if !self.is_done(request)? {
            act(&noted_caller(request))?;
        }
        Ok(Answer::Empty)
    }

    /// The same for what gives something the name `name`.
    fn make_once(
        &self,
        request: &Request<'_>,
        name: &Name,
        make: impl FnOnce(&Caller) -> Result<Attr>,
    ) -> Result<Answer> {
        let made = if self.is_done(request)? {
            self.volume.lookup(request.at, name)?
        } else {
            make(&noted_caller(request))?
        };
        Ok(self.entry(made))
    }

    /// Most requests come once: those are not looked for.
    fn is_done(&self, request: &Request<'_>) -> Result<bool> {
        match request.sent {
            Sent::Once => Ok(false),
            Sent::Again => self.volume.is_done(request.at, request.id),
        }
    }

    fn make(&self, request: &Request<'_>, name: &Name, new: &NewNode<'_>) -> Result<Answer> {
        self.make_once(request, name, |caller| {
            self.volume.create(caller, request.at, name, new)
        })
    }

    fn link(&self, request: &Request<'_>, source: Ino, name: &Name) -> Result<Answer> {
        self.make_once(request, name, |caller| {
            self.volume.link(caller, source, request.at, name)
        })
    }

    fn set_xattr(
        &self,
        request: &Request<'_>,
        key: &[u8],
        value: &[u8],
        mode: SetXattrMode,
    ) -> Result<Answer> {
        if is_dir_xattr(request.at, key) {
            return Err(Error::NotPermitted);
        }
        self.once(request, |caller| {
            self.volume.set_xattr(caller, request.at, key, value, mode)
        })
    }
}

fn done(result: Result<()>) -> Result<Answer> {
    result.map(|()| Answer::Empty)
}

/// Who asks, with the name of the request, which is noted with what it changes.
fn noted_caller(request: &Request<'_>) -> Caller {
    Caller {
        request: Some(request.id),
        ..request.caller
    }
}

#[cfg(test)]
mod tests;
