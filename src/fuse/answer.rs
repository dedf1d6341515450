//! What a request is answered with. Knows neither how it is sent nor who is asked.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::types::{Attr, FileKind, Ino};
use crate::volume::{Result, Room, Seek};

/// For ever, since nobody but this server changes what it tells the kernel.
pub(super) const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The answer to a request that did not fail.
#[derive(Debug)]
pub(super) enum Answer {
    /// What a name leads to. The kernel holds the inode from now on, until FORGET gives it back.
    Entry(Told),
    /// The name leads nowhere, which the kernel remembers for [`FOREVER`]: an error it would not.
    NoEntry,
    /// Attributes, valid for [`FOREVER`].
    Attr(Attr),
    /// Bytes of a file, or the target of a symbolic link.
    Data(Vec<u8>),
    /// So many bytes were written.
    Written(u64),
    /// Done.
    Empty,
    /// What there is room for.
    Statfs(Room),
    /// The value of an attribute, or the names of all.
    Xattr(Vec<u8>),
    /// The length of that, in bytes.
    XattrLen(u32),
    /// A place in a file.
    Offset(u64),
    /// Nothing, and the kernel asks no more of this kind, but does as if it had been done, or without (ENOSYS).
    Unserved,
    /// There will be one, from somebody who may wait: no thread that serves requests does.
    Later(PutOff),
    /// The same, from whoever waits for a repository.
    Waits(Waiting),
    /// None from this server: the kernel sends it again, to the one that follows.
    LeftToNext,
}

/// What finds an answer for as long as it is told to go on.
pub(super) struct Waiting(pub(super) Box<Find>);

type Find = dyn FnOnce(&dyn Fn() -> bool) -> Result<Answer> + Send;

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

/// What is answered later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PutOff {
    /// Where data and holes are.
    Seek(Seeking),
    /// That what was written to the file is durable.
    Fsync(Ino),
    /// That all is durable which was acknowledged.
    Sync,
}

/// An inode that the kernel is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) attr: Attr,
    /// How long both the name and the attributes are valid.
    pub(super) valid: Duration,
}

/// A place to be looked for once the kernel has sent what it holds of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seeking {
    pub(super) ino: Ino,
    pub(super) offset: u64,
    pub(super) seek: Seek,
}

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    /// Its place, after which the listing goes on.
    pub(super) place: u64,
    pub(super) name: &'a [u8],
    pub(super) what: What,
}

/// What an entry leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// `.` or `..`, of which the kernel takes the number only, and counts nothing as told.
    Dots(Ino),
    /// Any other.
    Entry(Told),
}

impl What {
    pub(super) const fn ino(&self) -> Ino {
        match self {
            Self::Dots(ino) => *ino,
            Self::Entry(told) => told.attr.ino,
        }
    }

    pub(super) const fn kind(&self) -> FileKind {
        match self {
            Self::Dots(_) => FileKind::Directory,
            Self::Entry(told) => told.attr.kind,
        }
    }
}

/// The entries of one answer, of bounded length.
pub(super) trait Page {
    /// Puts `entry` behind the others; breaks when it does not fit, and then it is not in the answer.
    fn add(&mut self, entry: &Listed<'_>) -> ControlFlow<()>;
}
