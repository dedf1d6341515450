//! Rows of a state of a volume, as they leave it and arrive in another: plain numbers and bytes, in the order of their
//! keys. Whoever makes something of them parses them first.

use serde::{Deserialize, Serialize};

use super::{
    Attr, ChunkHash, Codec, FarPlace, FileKind, Ino, Location, MAX_FILE_BYTES, MODE_BITS, PageSums,
    SegmentId, Timestamp,
};

/// An inode: what stat(2) tells; key `ino`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InodeRow {
    /// Its number.
    pub ino: u64,
    /// Type and permission bits, as `st_mode` has them.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names that refer to it.
    pub nlink: u32,
    /// Bytes.
    pub size: u64,
    /// Bytes that extents cover.
    pub allocated: u64,
    /// Device number, as Linux encodes it in 32 bits.
    pub rdev: u32,
    /// The directory of its first name.
    pub parent: u64,
    /// The place of that name in the directory.
    pub cookie: u64,
    /// Last access: seconds and nanoseconds.
    pub atime: (i64, u32),
    /// Last change of the contents.
    pub mtime: (i64, u32),
    /// Last change of contents or attributes.
    pub ctime: (i64, u32),
    /// The target of a symbolic link, else empty.
    pub target: Vec<u8>,
}

/// A directory entry; key `(parent, name)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRow {
    /// The directory.
    pub parent: u64,
    /// The name.
    pub name: Vec<u8>,
    /// What it names.
    pub ino: u64,
    /// Its place in the directory.
    pub cookie: u64,
}

/// An extent, with the chunk that holds its bytes; key `(ino, off)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRow {
    /// The file.
    pub ino: u64,
    /// Where in the file it begins, in bytes.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// Where in the chunk they begin.
    pub chunk_off: u64,
    /// The chunk.
    pub chunk: ChunkPlace,
}

/// A chunk and where its bytes are in the segments of its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPlace {
    hash: [u8; ChunkHash::LEN],
    segment: u32,
    offset: u64,
    len: u32,
    stored_len: u32,
    codec: u8,
    /// The pack that it is in, while it is in no segment.
    pack: Option<[u8; FarPlace::PACK_BYTES]>,
}

/// An extended attribute; key `(ino, name)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct XattrRow {
    /// The inode.
    pub ino: u64,
    /// The attribute's name.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Behind which row the next ones are wanted; number 0 and empty names are before all. Also the key of a row: in the order
/// of tables, and then of keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RowCursor {
    /// Inodes.
    Inodes(u64),
    /// Entries.
    Entries(u64, Vec<u8>),
    /// Extents.
    Extents(u64, u64),
    /// Extended attributes.
    Xattrs(u64, Vec<u8>),
}

/// Rows that follow each other; none at the end of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowPage {
    /// Inodes.
    Inodes(Vec<InodeRow>),
    /// Entries.
    Entries(Vec<EntryRow>),
    /// Extents.
    Extents(Vec<StoredRow>),
    /// Extended attributes.
    Xattrs(Vec<XattrRow>),
}

/// A row of any table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateRow {
    /// An inode.
    Inode(InodeRow),
    /// A directory entry.
    Entry(EntryRow),
    /// An extent.
    Extent(StoredRow),
    /// An extended attribute.
    Xattr(XattrRow),
}

/// A row that is another in a state than in an earlier one. Inodes without a name, and what is theirs, are in neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChange {
    /// Which row.
    pub key: RowCursor,
    /// As it is; nothing where it is gone.
    pub row: Option<StateRow>,
    /// Of an inode that was there before: how many bytes its extents covered.
    pub before: Option<u64>,
}

impl RowPage {
    /// Behind its last row; `None` at the end of the table.
    #[must_use]
    pub fn end(&self) -> Option<RowCursor> {
        match self {
            Self::Inodes(rows) => rows.last().map(|row| RowCursor::Inodes(row.ino)),
            Self::Entries(rows) => {
                let last = rows.last();
                last.map(|row| RowCursor::Entries(row.parent, row.name.clone()))
            }
            Self::Extents(rows) => rows.last().map(|row| RowCursor::Extents(row.ino, row.off)),
            Self::Xattrs(rows) => {
                let last = rows.last();
                last.map(|row| RowCursor::Xattrs(row.ino, row.name.clone()))
            }
        }
    }
}

/// A row that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("inode {ino}: {what}")]
pub struct RowError {
    ino: u64,
    what: &'static str,
}

impl InodeRow {
    /// The row of these attributes.
    #[must_use]
    pub fn of(attr: &Attr, (parent, cookie): (Ino, u64), target: Vec<u8>) -> Self {
        let time = |time: Timestamp| (time.secs(), time.nanos());
        Self {
            ino: attr.ino.raw(),
            mode: attr.kind.type_bits() | attr.mode,
            uid: attr.uid,
            gid: attr.gid,
            nlink: attr.nlink,
            size: attr.size,
            allocated: attr.allocated,
            rdev: attr.rdev,
            parent: parent.raw(),
            cookie,
            atime: time(attr.atime),
            mtime: time(attr.mtime),
            ctime: time(attr.ctime),
            target,
        }
    }

    /// The attributes of the row.
    ///
    /// # Errors
    /// [`RowError`] where there can be no such inode.
    pub fn attr(&self) -> Result<Attr, RowError> {
        let wrong = |what| RowError {
            ino: self.ino,
            what,
        };
        let time = |(secs, nanos): (i64, u32)| {
            let is_time = nanos < 1_000_000_000;
            is_time
                .then(|| Timestamp::new(secs, nanos))
                .ok_or_else(|| wrong("a time has too many nanoseconds"))
        };
        let max = MAX_FILE_BYTES;
        if self.ino == 0 || self.ino > max || self.size > max || self.allocated > max {
            return Err(wrong("its number or size is out of range"));
        }
        Ok(Attr {
            ino: Ino::from_raw(self.ino),
            kind: FileKind::from_mode(self.mode).ok_or_else(|| wrong("it is of no known type"))?,
            mode: self.mode & MODE_BITS,
            uid: self.uid,
            gid: self.gid,
            nlink: self.nlink,
            size: self.size,
            allocated: self.allocated,
            rdev: self.rdev,
            atime: time(self.atime)?,
            mtime: time(self.mtime)?,
            ctime: time(self.ctime)?,
        })
    }
}

impl ChunkPlace {
    /// A chunk that is at this place.
    #[must_use]
    pub const fn new(hash: &ChunkHash, at: &Location) -> Self {
        Self {
            hash: *hash.as_bytes(),
            segment: at.segment.raw(),
            offset: at.offset,
            len: at.len,
            stored_len: at.stored_len,
            codec: at.codec.to_raw(),
            pack: None,
        }
    }

    /// A chunk that is in a pack of a repository.
    #[must_use]
    pub fn elsewhere(far: &FarPlace, at: &Location) -> Self {
        Self {
            pack: Some(far.pack),
            ..Self::new(&far.stand_in(), at)
        }
    }

    /// Its place in a pack, if that is where it is.
    #[must_use]
    pub fn far(&self) -> Option<FarPlace> {
        let sums = PageSums::from_bytes(self.pack?.as_slice());
        FarPlace::of(&self.location()?, &sums)
    }

    /// Its name.
    #[must_use]
    pub const fn hash(&self) -> ChunkHash {
        ChunkHash::from_bytes(self.hash)
    }

    /// Where its bytes are; `None` when they are stored in a way that this cask does not know.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        Some(Location {
            segment: SegmentId::from_raw(self.segment),
            offset: self.offset,
            len: self.len,
            stored_len: self.stored_len,
            codec: Codec::from_raw(self.codec)?,
        })
    }
}
