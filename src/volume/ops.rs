//! POSIX operations on files, directories and attributes: one file an operation family, a function for each, which takes
//! the parts that it needs. What callers use is [`Volume`]'s methods here.

mod acl;
mod copy_range;
mod create;
mod fallocate;
pub(super) mod fsync;
mod link;
pub(super) mod list;
pub(super) mod lookup;
pub(super) mod privilege;
pub(super) mod read;
mod remove;
mod rename;
mod resend;
mod setattr;
mod write;
pub(super) mod xattr;

pub use fallocate::FallocateMode;
pub use link::LINKS_MAX;
pub use list::{DirEntry, FIRST_COOKIE};
pub use rename::RenameMode;
pub use xattr::SetXattrMode;

use super::data::incoming::{SetIdBits, Write, WriteBack, WriteOrigin};
use super::data::read::Wait;
use super::error::Result;
use super::handle::Volume;
use crate::types::{Attr, Caller, Ino, Name, NewNode, RequestId, SetAttr};

impl Volume {
    /// Makes a node named `name` in `parent`.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotFound`], [`Error::NotDirectory`], [`Error::NameTooLong`] for a
    /// link's target, [`Error::NoSpace`], [`Error::Storage`].
    pub fn create(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &Name,
        new: &NewNode<'_>,
    ) -> Result<Attr> {
        create::create(&self.core, caller, parent, name, new)
    }

    /// Gives `ino` the further name `name` in `parent`.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotFound`], [`Error::NotPermitted`] for a directory,
    /// [`Error::TooManyLinks`], [`Error::NoSpace`], [`Error::Storage`].
    pub fn link(&self, caller: &Caller, ino: Ino, parent: Ino, name: &Name) -> Result<Attr> {
        link::link(&self.core, caller, ino, parent, name)
    }

    /// At most `limit` entries of a directory, those that come after place `after`, in order; 0 is before all.
    ///
    /// Reading on from the last place until nothing comes gives every name once that was there from
    /// start to end.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::Storage`].
    pub fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>> {
        list::list(&self.core, dir, after, limit)
    }

    /// The inode that `name` in `parent` leads to.
    ///
    /// # Errors
    /// [`Error::NotFound`], also when `parent` is no directory; [`Error::Storage`].
    pub fn lookup(&self, parent: Ino, name: &Name) -> Result<Attr> {
        lookup::lookup(&self.core, parent, name)
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn getattr(&self, ino: Ino) -> Result<Attr> {
        lookup::getattr(&self.core, ino)
    }

    /// The attributes of an inode that has a name. One without is in use or nowhere: only the kernel, which did not ask
    /// for it by this number before, could lead to it.
    ///
    /// # Errors
    /// [`Error::NotFound`], also when the inode has no name any more; [`Error::Storage`].
    pub fn named(&self, ino: Ino) -> Result<Attr> {
        lookup::named(&self.core, ino)
    }

    /// The directory that holds the directory `ino`; the root holds itself.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::Storage`].
    pub fn parent(&self, ino: Ino) -> Result<Ino> {
        lookup::parent(&self.core, ino)
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] when it is no symbolic link, [`Error::Storage`].
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>> {
        lookup::readlink(&self.core, ino)
    }

    /// Reads at most `len` bytes at `offset`; fewer only at the end of the file. Holes read as zeros.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Corrupt`] when stored bytes are not those
    /// that were written, [`Error::Storage`].
    pub fn read(&self, ino: Ino, offset: u64, len: usize) -> Result<Vec<u8>> {
        read::read(&self.core, ino, offset, len, Wait::ALLOWED)
    }

    /// The same for who may not wait for a repository.
    ///
    /// # Errors
    /// As [`Self::read`]; [`Error::Elsewhere`] when it would wait.
    pub fn read_here(&self, ino: Ino, offset: u64, len: usize) -> Result<Vec<u8>> {
        read::read(&self.core, ino, offset, len, Wait::Never)
    }

    /// As [`Self::read`], which waits for a repository only while `goes_on` says so; see [`Self::wake_waiting`].
    ///
    /// # Errors
    /// As [`Self::read`]; [`Error::Remote`] when it does not go on.
    pub fn read_while(
        &self,
        ino: Ino,
        offset: u64,
        len: usize,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>> {
        read::read(&self.core, ino, offset, len, Wait::While(goes_on))
    }

    /// Whether some of its chunks may be in a repository still.
    #[must_use]
    pub fn lacks_chunks(&self) -> bool {
        self.core.fetcher().is_some()
    }

    /// Nothing is fetched from a repository any more, and nobody waits for it.
    pub fn stop_fetching(&self) {
        if let Some(fetcher) = self.core.fetcher() {
            fetcher.close();
        }
    }

    /// Has those that wait for a repository look whether they go on.
    pub fn wake_waiting(&self) {
        if let Some(fetcher) = self.core.fetcher() {
            fetcher.wake();
        }
    }

    /// Removes the name of something that is no directory.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Storage`].
    pub fn unlink(&self, caller: &Caller, parent: Ino, name: &Name) -> Result<()> {
        remove::unlink(&self.core, caller, parent, name)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::NotEmpty`], [`Error::Storage`].
    pub fn rmdir(&self, caller: &Caller, parent: Ino, name: &Name) -> Result<()> {
        remove::rmdir(&self.core, caller, parent, name)
    }

    /// Moves `name` in `parent` to `new_name` in `new_parent`, atomically.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`], [`Error::NotEmpty`], [`Error::IsDirectory`],
    /// [`Error::NotDirectory`], [`Error::Invalid`] for a directory moved below itself,
    /// [`Error::NoSpace`], [`Error::Storage`].
    pub fn rename(
        &self,
        caller: &Caller,
        (parent, name): (Ino, &Name),
        (new_parent, new_name): (Ino, &Name),
        mode: RenameMode,
    ) -> Result<()> {
        rename::rename(
            &self.core,
            caller,
            (parent, name),
            (new_parent, new_name),
            mode,
        )
    }

    /// Whether `request`, which changes the entries or the attributes of `ino`, has been done.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn is_done(&self, ino: Ino, request: RequestId) -> Result<bool> {
        resend::is_done(&self.core, ino, request)
    }

    /// Changes attributes of an inode and returns all of them.
    ///
    /// A change of nothing takes set-id bits and file capabilities: so the kernel asks for that before a
    /// write, and learns the mode (Linux fs/fuse/dir.c, `fuse_setattr` under `FUSE_HANDLE_KILLPRIV_V2`).
    ///
    /// A truncation of many extents is several transactions, each of which leaves the file at a length between
    /// the old and the new one.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`] or [`Error::Invalid`] for the size of what is no file,
    /// [`Error::FileTooLarge`], [`Error::NoSpace`], [`Error::Storage`].
    pub fn setattr(&self, caller: &Caller, ino: Ino, change: &SetAttr) -> Result<Attr> {
        setattr::setattr(&self.core, caller, ino, change)
    }

    /// Prepares a range of a file. A hole of many extents is made in several transactions.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Invalid`] for an empty range,
    /// [`Error::FileTooLarge`], [`Error::NoSpace`], [`Error::Storage`].
    pub fn fallocate(
        &self,
        caller: &Caller,
        ino: Ino,
        offset: u64,
        len: u64,
        mode: FallocateMode,
    ) -> Result<()> {
        fallocate::fallocate(&self.core, caller, ino, offset, len, mode)
    }

    /// Writes `data` at `offset`, extending the file if needed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::FileTooLarge`], [`Error::NoSpace`], [`Error::Storage`]. Nothing of the write is seen then.
    pub fn write(
        &self,
        ino: Ino,
        offset: u64,
        data: &[u8],
        origin: WriteOrigin,
        bits: SetIdBits,
    ) -> Result<()> {
        let write = Write {
            ino,
            offset,
            data,
            origin,
            bits,
        };
        write::write(&self.core, &write)
    }

    /// Writes back what the page cache had of any files, in one transaction where all can be stored; what became of each,
    /// as of a [`Self::write`].
    pub fn write_back(&self, writes: &[WriteBack]) -> Vec<Result<()>> {
        let writes: Vec<_> = writes.iter().map(WriteBack::as_write).collect();
        write::write_back(&self.core, &writes)
    }

    /// Copies at most `len` bytes from one place to another and returns how many; fewer at the end of
    /// the source, or of a source of very many extents.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Invalid`] when the ranges overlap,
    /// [`Error::FileTooLarge`], [`Error::NoSpace`], [`Error::Storage`].
    pub fn copy_range(
        &self,
        caller: &Caller,
        (source, from): (Ino, u64),
        (target, to): (Ino, u64),
        len: u64,
    ) -> Result<u64> {
        copy_range::copy_range(&self.core, caller, (source, from), (target, to), len)
    }

    /// Sets an attribute. Setting an ACL also sets the permission bits that it stands for.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unsupported`] for an unknown namespace, [`Error::Exists`],
    /// [`Error::NoAttribute`], [`Error::OutOfRange`] for a name too long, [`Error::AttributeTooLarge`],
    /// [`Error::AttributesFull`] when the inode has too many, [`Error::Storage`].
    pub fn set_xattr(
        &self,
        caller: &Caller,
        ino: Ino,
        name: &[u8],
        value: &[u8],
        mode: SetXattrMode,
    ) -> Result<()> {
        xattr::set_xattr(&self.core, caller, ino, name, value, mode)
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// [`Error::NoAttribute`], [`Error::Unsupported`] for an unknown namespace, [`Error::Storage`].
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        xattr::xattr(&self.core, ino, name)
    }

    /// The names of an inode's attributes, each followed by a NUL (listxattr(2)).
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn xattr_names(&self, ino: Ino) -> Result<Vec<u8>> {
        xattr::xattr_names(&self.core, ino)
    }

    /// Removes an attribute. The permission bits stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NoAttribute`], [`Error::Unsupported`], [`Error::Storage`].
    pub fn remove_xattr(&self, caller: &Caller, ino: Ino, name: &[u8]) -> Result<()> {
        xattr::remove_xattr(&self.core, caller, ino, name)
    }
}
