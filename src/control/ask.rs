//! Reading a state of a volume over the control socket: after [`super::Answer::Reading`] each [`Ask`] has one
//! [`Told`], and behind [`Told::Bytes`] so many bytes of data.

use serde::{Deserialize, Serialize};

use super::{Bytes, Fault};
use crate::types::RowCursor;
use crate::types::{Attr, FileKind, Ino, MODE_BITS, Timestamp};

/// What is asked of the state. Inodes by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// The attributes of an inode.
    Node {
        /// The inode.
        ino: u64,
    },
    /// The next entries of a directory.
    Entries {
        /// The directory.
        dir: u64,
        /// The place after which they come.
        after: u64,
    },
    /// What has this name in a directory.
    Entry {
        /// The directory.
        dir: u64,
        /// The name.
        name: Bytes,
    },
    /// The target of a symbolic link.
    Target {
        /// The link.
        link: u64,
    },
    /// All extended attributes.
    Xattrs {
        /// The inode.
        ino: u64,
    },
    /// The next bytes that are no hole.
    Run {
        /// The file.
        file: u64,
        /// From where on.
        from: u64,
    },
    /// The next rows of a table: [`Told::Bytes`] are a [`crate::types::RowPage`] as postcard has it.
    Rows {
        /// After which.
        after: RowCursor,
    },
    /// The next rows that are others than at an earlier snapshot, of a server that has said that it tells: [`Told::Bytes`]
    /// are an `Option<Vec<`[`crate::types::RowChange`]`>>` as postcard has it, none where it cannot be told.
    Changes {
        /// The snapshot's epoch.
        since: i64,
        /// After which.
        after: RowCursor,
    },
    /// Bytes of a file.
    Read {
        /// The file.
        file: u64,
        /// From where on.
        offset: u64,
        /// How many at most; the server may give fewer, and none only at the end.
        len: u64,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum Told {
    /// To [`Ask::Node`] and [`Ask::Entry`].
    Node(Node),
    /// To [`Ask::Entries`]: none at the end.
    Entries {
        /// In their order.
        list: Vec<Listed>,
    },
    /// To [`Ask::Target`].
    Target {
        /// The target.
        target: Bytes,
    },
    /// To [`Ask::Xattrs`].
    Xattrs {
        /// Names and values.
        list: Vec<(Bytes, Bytes)>,
    },
    /// To [`Ask::Run`].
    Run {
        /// The first byte and the one behind the last; nothing when the rest is a hole.
        run: Option<(u64, u64)>,
    },
    /// To [`Ask::Read`]; they follow.
    Bytes {
        /// How many.
        len: u64,
    },
    /// It could not be read.
    Fault(Fault),
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its place.
    pub cookie: u64,
    /// Its name.
    pub name: Bytes,
    /// What it names.
    pub node: Node,
}

/// The attributes of an inode, as they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    ino: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    size: u64,
    allocated: u64,
    rdev: u32,
    /// Of the last access, change of the contents, change of anything: seconds and nanoseconds.
    times: [(i64, u32); 3],
}

impl From<&Attr> for Node {
    fn from(attr: &Attr) -> Self {
        Self {
            ino: attr.ino.raw(),
            mode: attr.kind.type_bits() | attr.mode,
            uid: attr.uid,
            gid: attr.gid,
            nlink: attr.nlink,
            size: attr.size,
            allocated: attr.allocated,
            rdev: attr.rdev,
            times: [attr.atime, attr.mtime, attr.ctime].map(|time| (time.secs(), time.nanos())),
        }
    }
}

impl Node {
    /// The attributes; `None` when the type is none.
    #[must_use]
    pub fn attr(&self) -> Option<Attr> {
        let [atime, mtime, ctime] = self.times.map(|(secs, nanos)| Timestamp::new(secs, nanos));
        Some(Attr {
            ino: Ino::from_raw(self.ino),
            kind: FileKind::from_mode(self.mode)?,
            mode: self.mode & MODE_BITS,
            uid: self.uid,
            gid: self.gid,
            nlink: self.nlink,
            size: self.size,
            allocated: self.allocated,
            rdev: self.rdev,
            atime,
            mtime,
            ctime,
        })
    }
}
