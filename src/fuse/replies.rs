//! The one place where answers go to the kernel, and where a request that failed is logged.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use fuser::{
    Errno, FileAttr, FileType, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr,
};

use super::answer::{Answer, FOREVER, Listed, Page, What};
use super::convert::{GENERATION, NO_ENTRY, file_attr, file_type, inode_no};
use super::counts::{Counts, Timed};
use super::errno::report;
use super::request::Label;
use super::watched::UnderWay;
use crate::types::Name;
use crate::volume::{Result, Room};

/// A reply that fuser expects. One that is dropped says EIO.
#[derive(Debug)]
pub(super) enum Reply {
    Attr(ReplyAttr),
    Create(ReplyCreate),
    Data(ReplyData),
    Empty(ReplyEmpty),
    Entry(ReplyEntry),
    Ioctl(ReplyIoctl),
    Lseek(ReplyLseek),
    Open(ReplyOpen),
    Statfs(ReplyStatfs),
    Write(ReplyWrite),
    Xattr(ReplyXattr),
}

/// A reply to a request that somebody else answers, later.
#[derive(Debug)]
pub(super) struct Pending {
    label: Label<'static>,
    reply: Reply,
    timed: Timed<Arc<Counts>>,
    /// The last field: the answer is sent before it counts as answered, also where nobody gives one.
    under_way: Option<UnderWay>,
}

/// A reply with entries of a directory.
pub(super) trait Directory: Page {
    /// Sends what was put on it, or why there is nothing.
    fn send(self, label: &Label<'_>, listed: Result<()>);
}

macro_rules! replies {
    ($($kind:ident: $reply:ty;)*) => {
        $(impl From<$reply> for Reply {
            fn from(reply: $reply) -> Self {
                Self::$kind(reply)
            }
        })*

        impl Reply {
            /// Sends this errno. What failed is logged by [`Self::send`].
            pub(super) fn error(self, errno: Errno) {
                match self {
                    $(Self::$kind(reply) => reply.error(errno),)*
                }
            }
        }
    };
}

replies! {
    Attr: ReplyAttr;
    Create: ReplyCreate;
    Data: ReplyData;
    Empty: ReplyEmpty;
    Entry: ReplyEntry;
    Ioctl: ReplyIoctl;
    Lseek: ReplyLseek;
    Open: ReplyOpen;
    Statfs: ReplyStatfs;
    Write: ReplyWrite;
    Xattr: ReplyXattr;
}

impl Reply {
    /// Answers the request that `label` calls by its name.
    pub(super) fn send(self, label: &Label<'_>, answer: Result<Answer>) {
        match answer {
            Ok(answer) => self.answer(label, answer),
            Err(error) => self.error(report(label, &error)),
        }
    }

    fn answer(self, label: &Label<'_>, answer: Answer) {
        match (self, answer) {
            (Self::Entry(reply), Answer::Entry(told)) => {
                reply.entry(&told.valid, &file_attr(&told.attr), GENERATION);
            }
            (Self::Entry(reply), Answer::NoEntry) => reply.entry(&FOREVER, &NO_ENTRY, GENERATION),
            (Self::Attr(reply), Answer::Attr(attr)) => reply.attr(&FOREVER, &file_attr(&attr)),
            (Self::Data(reply), Answer::Data(bytes)) => reply.data(&bytes),
            (Self::Write(reply), Answer::Written(len)) => {
                reply.written(u32::try_from(len).unwrap_or(u32::MAX));
            }
            (Self::Empty(reply), Answer::Empty) => reply.ok(),
            (Self::Statfs(reply), Answer::Statfs(room)) => statfs(&room, reply),
            (Self::Xattr(reply), Answer::Xattr(bytes)) => reply.data(&bytes),
            (Self::Xattr(reply), Answer::XattrLen(len)) => reply.size(len),
            (Self::Lseek(reply), Answer::Offset(offset)) => match i64::try_from(offset) {
                Ok(offset) => reply.offset(offset),
                Err(_) => reply.error(Errno::EOVERFLOW),
            },
            (reply, Answer::Unserved) => reply.error(Errno::ENOSYS),
            (reply, answer) => {
                log::error!("{} was answered with {answer:?}", label.op);
                debug_assert!(false, "each operation has an answer of its kind");
                reply.error(Errno::EIO);
            }
        }
    }
}

impl Pending {
    /// The reply to the request that `label` calls by its name, which is `timed`, and `under_way` if it was resent.
    pub(super) fn new(
        label: &Label<'_>,
        reply: Reply,
        (timed, under_way): (Timed<Arc<Counts>>, Option<UnderWay>),
    ) -> Self {
        Self {
            label: label.nameless(),
            reply,
            timed,
            under_way,
        }
    }

    /// As [`Reply::send`].
    pub(super) fn send(self, answer: Result<Answer>) {
        self.timed.note(&answer);
        self.reply.send(&self.label, answer);
        drop((self.timed, self.under_way));
    }

    /// As [`Reply::error`].
    pub(super) fn error(self, errno: Errno) {
        self.reply.error(errno);
        drop((self.timed, self.under_way));
    }
}

fn statfs(room: &Room, reply: ReplyStatfs) {
    let block = u32::try_from(room.block_bytes).unwrap_or(4096);
    let name_max = u32::try_from(Name::MAX_BYTES).unwrap_or(u32::MAX);
    reply.statfs(
        room.blocks,
        room.free,
        room.available,
        room.inodes,
        room.inodes_free,
        block,
        name_max,
        block,
    );
}

impl Page for ReplyDirectory {
    fn add(&mut self, entry: &Listed<'_>) -> ControlFlow<()> {
        let (number, kind) = (inode_no(entry.what.ino()), file_type(entry.what.kind()));
        let name = OsStr::from_bytes(entry.name);
        fits(ReplyDirectory::add(self, number, entry.place, kind, name))
    }
}

impl Page for ReplyDirectoryPlus {
    fn add(&mut self, entry: &Listed<'_>) -> ControlFlow<()> {
        let number = inode_no(entry.what.ino());
        let (attr, valid) = match entry.what {
            What::Entry(told) => (file_attr(&told.attr), told.valid),
            What::Dots(_) => (dots(number), FOREVER),
        };
        let name = OsStr::from_bytes(entry.name);
        let full =
            ReplyDirectoryPlus::add(self, number, entry.place, name, &valid, &attr, GENERATION);
        fits(full)
    }
}

fn dots(ino: fuser::INodeNo) -> FileAttr {
    FileAttr {
        ino,
        kind: FileType::Directory,
        ..NO_ENTRY
    }
}

/// What fuser's `true` for a full buffer means.
const fn fits(full: bool) -> ControlFlow<()> {
    if full {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

impl Directory for ReplyDirectory {
    fn send(self, label: &Label<'_>, listed: Result<()>) {
        match listed {
            Ok(()) => self.ok(),
            Err(error) => self.error(report(label, &error)),
        }
    }
}

impl Directory for ReplyDirectoryPlus {
    fn send(self, label: &Label<'_>, listed: Result<()>) {
        match listed {
            Ok(()) => self.ok(),
            Err(error) => self.error(report(label, &error)),
        }
    }
}
