//! `inode` and `inode_past`.

use rusqlite::{OptionalExtension, Row, ToSql, params};

use super::{Error, Result, Session, WriteTx};
use crate::types::{Attr, Epoch, FileKind, Ino, RequestId, Timestamp};

/// The columns of an inode that [`read_inode`] reads, in its order.
macro_rules! inode_columns {
    () => {
        "i.ino, i.born, i.kind, i.mode, i.uid, i.gid, i.nlink, i.size, i.allocated, i.rdev, i.parent, i.place,
         i.atime, i.atime_ns, i.mtime, i.mtime_ns, i.ctime, i.ctime_ns"
    };
}
pub(super) use inode_columns;

const GET: &str = concat!(
    "SELECT ",
    inode_columns!(),
    " FROM inode i WHERE i.ino = ?1"
);
const TARGET: &str = "SELECT target FROM inode WHERE ino = ?1";
const INSERT: &str = "
    INSERT INTO inode (born, kind, mode, uid, gid, nlink, size, allocated, rdev, parent, place,
        atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns, ino, target)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
const UPDATE: &str = "
    UPDATE inode SET born = ?1, kind = ?2, mode = ?3, uid = ?4, gid = ?5, nlink = ?6, size = ?7,
        allocated = ?8, rdev = ?9, parent = ?10, place = ?11, atime = ?12, atime_ns = ?13,
        mtime = ?14, mtime_ns = ?15, ctime = ?16, ctime_ns = ?17, request = ifnull(?19, request)
    WHERE ino = ?18";
const KEEP: &str = concat!(
    "INSERT INTO inode_past SELECT ",
    inode_columns!(),
    ", i.target, ?2 FROM inode i WHERE i.ino = ?1"
);
const REQUEST: &str = "SELECT request FROM inode WHERE ino = ?1";
const DELETE: &str = "DELETE FROM inode WHERE ino = ?1";

/// The place of a name: a directory, and the cookie of an entry in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// The directory.
    pub parent: Ino,
    /// The entry's cookie.
    pub cookie: u64,
}

impl Home {
    /// Of the root directory, which has no name.
    pub const ROOT: Self = Self {
        parent: Ino::ROOT,
        cookie: 0,
    };
}

/// A live inode row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// What stat(2) tells.
    pub attr: Attr,
    /// The epoch that it changed in.
    pub born: Epoch,
    /// Where its first name is, or was: a directory has no other.
    pub home: Home,
    /// The request that is to be noted with the change; what is noted is not read, and stays when this is `None`.
    pub request: Option<RequestId>,
}

/// Reads an inode from the columns from `at` on.
pub(super) fn read_inode(row: &Row<'_>, at: usize) -> Result<Inode> {
    let int = |i: usize| row.get::<_, i64>(at + i);
    let word = |i: usize| -> Result<u32> {
        let value = row.get::<_, i64>(at + i)?;
        u32::try_from(value).map_err(|_| Error::row(format!("an inode column holds {value}")))
    };
    let time = |i: usize| -> Result<Timestamp> { Ok(Timestamp::new(int(i)?, word(i + 1)?)) };
    let kind = word(2)?;
    let kind =
        FileKind::from_mode(kind).ok_or_else(|| Error::row(format!("inode kind {kind:o}")))?;
    let attr = Attr {
        ino: Ino::from_raw(int(0)?.cast_unsigned()),
        kind,
        mode: word(3)?,
        uid: word(4)?,
        gid: word(5)?,
        nlink: word(6)?,
        size: int(7)?.cast_unsigned(),
        allocated: int(8)?.cast_unsigned(),
        rdev: word(9)?,
        atime: time(12)?,
        mtime: time(14)?,
        ctime: time(16)?,
    };
    let home = Home {
        parent: Ino::from_raw(int(10)?.cast_unsigned()),
        cookie: int(11)?.cast_unsigned(),
    };
    Ok(Inode {
        attr,
        born: Epoch(int(1)?),
        home,
        request: None,
    })
}

impl Session {
    /// The inode of this number.
    ///
    /// # Errors
    /// I/O errors.
    pub fn inode(&self, ino: Ino) -> Result<Option<Inode>> {
        let mut stmt = self.conn().prepare_cached(GET)?;
        let mut rows = stmt.query([ino.raw().cast_signed()])?;
        rows.next()?.map(|row| read_inode(row, 0)).transpose()
    }

    /// Whether `request` was the last that is noted with this inode.
    ///
    /// # Errors
    /// I/O errors.
    pub fn is_noted(&self, ino: Ino, request: RequestId) -> Result<bool> {
        let mut stmt = self.conn().prepare_cached(REQUEST)?;
        let noted = stmt
            .query_row([ino.raw().cast_signed()], |row| {
                row.get::<_, Option<i64>>(0)
            })
            .optional()?;
        Ok(noted.flatten() == Some(request.raw().cast_signed()))
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// I/O errors.
    pub fn link_target(&self, ino: Ino) -> Result<Option<Vec<u8>>> {
        let mut stmt = self.conn().prepare_cached(TARGET)?;
        let target = stmt
            .query_row([ino.raw().cast_signed()], |row| row.get(0))
            .optional()?;
        Ok(target.flatten())
    }
}

impl WriteTx<'_> {
    /// Adds an inode, born now.
    ///
    /// # Errors
    /// I/O errors.
    pub fn insert_inode(&mut self, attr: &Attr, home: Home, target: Option<&[u8]>) -> Result<()> {
        let born = self.epochs().current;
        let inode = Inode {
            attr: *attr,
            born,
            home,
            request: None,
        };
        self.write_inode(INSERT, &inode, &target)?;
        self.tally.inodes += 1;
        Ok(())
    }

    /// Stores `inode`, an inode that was read in this transaction and changed since; its `born` becomes
    /// what is stored.
    ///
    /// # Errors
    /// I/O errors.
    pub fn update_inode(&mut self, inode: &mut Inode) -> Result<()> {
        if self.keep_inode(inode)? {
            inode.born = self.epochs().current;
        }
        let request = inode.request.map(|request| request.raw().cast_signed());
        self.write_inode(UPDATE, inode, &request)
    }

    /// Removes an inode's row; its extents and attributes are removed apart.
    ///
    /// # Errors
    /// I/O errors.
    pub fn delete_inode(&mut self, inode: &Inode) -> Result<()> {
        self.keep_inode(inode)?;
        self.conn()
            .prepare_cached(DELETE)?
            .execute([inode.attr.ino.raw().cast_signed()])?;
        self.tally.inodes -= 1;
        Ok(())
    }

    /// Whether some snapshot sees the row: it then has a copy in `inode_past` now.
    fn keep_inode(&self, inode: &Inode) -> Result<bool> {
        let kept = self.epochs().is_kept(inode.born);
        if kept {
            let died = self.epochs().current.0;
            let ino = inode.attr.ino.raw().cast_signed();
            self.conn()
                .prepare_cached(KEEP)?
                .execute(params![ino, died])?;
        }
        Ok(kept)
    }

    fn write_inode(&self, sql: &'static str, inode: &Inode, last: &impl ToSql) -> Result<()> {
        let attr = &inode.attr;
        let mut stmt = self.conn().prepare_cached(sql)?;
        let ints = [
            inode.born.0,
            attr.kind.type_bits().into(),
            attr.mode.into(),
            attr.uid.into(),
            attr.gid.into(),
            attr.nlink.into(),
            attr.size.cast_signed(),
            attr.allocated.cast_signed(),
            attr.rdev.into(),
            inode.home.parent.raw().cast_signed(),
            inode.home.cookie.cast_signed(),
            attr.atime.secs(),
            attr.atime.nanos().into(),
            attr.mtime.secs(),
            attr.mtime.nanos().into(),
            attr.ctime.secs(),
            attr.ctime.nanos().into(),
            attr.ino.raw().cast_signed(),
        ];
        for (i, value) in ints.iter().enumerate() {
            stmt.raw_bind_parameter(i + 1, value)?;
        }
        stmt.raw_bind_parameter(ints.len() + 1, last)?;
        match stmt.raw_execute()? {
            1 => Ok(()),
            rows => Err(Error::row(format!("{} has {rows} rows", attr.ino))),
        }
    }
}
