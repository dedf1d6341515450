//! `inode` and `inode_past`.

use rusqlite::{OptionalExtension, Row, Statement, ToSql, params};

use crate::meta::inode::{Home, Inode};
use crate::meta::schema::columns::INODE;
use crate::meta::schema::text::sql;
use crate::meta::{Error, Result, Session, WriteTx};
use crate::types::{Attr, Epoch, FileKind, Ino, RequestId, Timestamp};

const GET: &str = sql!("SELECT {i.inode -target} FROM inode i WHERE i.ino = ?1");
const TARGET: &str = "SELECT target FROM inode WHERE ino = ?1";
// Parameters are columns by their position, from 1 on; the last is the target, or in an update the request.
const INSERT: &str = sql!("INSERT INTO inode ({inode}) VALUES ({inode params 1})");
const UPDATE: &str = sql!(
    "UPDATE inode SET {inode born..ctime_ns sets 2}, request = ifnull(?{inode count}, request)
     WHERE ino = ?1"
);
const KEEP: &str =
    sql!("INSERT INTO inode_past ({inode}, died) SELECT {inode}, ?2 FROM inode WHERE ino = ?1");
const REQUEST: &str = "SELECT request FROM inode WHERE ino = ?1";
const DELETE: &str = "DELETE FROM inode WHERE ino = ?1";

/// Where in a row a column of the inode is.
macro_rules! at {
    ($column:literal) => {
        const { INODE.position($column) }
    };
}

/// How many columns [`read_inode`] reads: the target is read by itself.
pub(in crate::meta) const INODE_COLUMNS: usize = at!("target");

/// Reads an inode from the columns `{inode -target}`, which the row has from `at` on.
pub(in crate::meta) fn read_inode(row: &Row<'_>, at: usize) -> Result<Inode> {
    let int = |i: usize| row.get::<_, i64>(at + i);
    let word = |i: usize| -> Result<u32> {
        let value = int(i)?;
        u32::try_from(value).map_err(|_| Error::row(format!("an inode column holds {value}")))
    };
    let uint = |i: usize| int(i).map(i64::cast_unsigned);
    let kind = word(at!("kind"))?;
    let kind =
        FileKind::from_mode(kind).ok_or_else(|| Error::row(format!("inode kind {kind:o}")))?;
    let attr = Attr {
        ino: Ino::from_raw(uint(at!("ino"))?),
        kind,
        mode: word(at!("mode"))?,
        uid: word(at!("uid"))?,
        gid: word(at!("gid"))?,
        nlink: word(at!("nlink"))?,
        size: uint(at!("size"))?,
        allocated: uint(at!("allocated"))?,
        rdev: word(at!("rdev"))?,
        atime: Timestamp::new(int(at!("atime"))?, word(at!("atime_ns"))?),
        mtime: Timestamp::new(int(at!("mtime"))?, word(at!("mtime_ns"))?),
        ctime: Timestamp::new(int(at!("ctime"))?, word(at!("ctime_ns"))?),
    };
    let home = Home {
        parent: Ino::from_raw(uint(at!("parent"))?),
        cookie: uint(at!("place"))?,
    };
    Ok(Inode {
        attr,
        born: Epoch(int(at!("born"))?),
        home,
        request: None,
    })
}

/// Binds an inode to the parameters `{inode params 1}`, but its target.
pub(in crate::meta) fn bind_inode(stmt: &mut Statement<'_>, inode: &Inode) -> Result<()> {
    let attr = &inode.attr;
    let values: [(usize, i64); INODE_COLUMNS] = [
        (at!("ino"), attr.ino.raw().cast_signed()),
        (at!("born"), inode.born.0),
        (at!("kind"), attr.kind.type_bits().into()),
        (at!("mode"), attr.mode.into()),
        (at!("uid"), attr.uid.into()),
        (at!("gid"), attr.gid.into()),
        (at!("nlink"), attr.nlink.into()),
        (at!("size"), attr.size.cast_signed()),
        (at!("allocated"), attr.allocated.cast_signed()),
        (at!("rdev"), attr.rdev.into()),
        (at!("parent"), inode.home.parent.raw().cast_signed()),
        (at!("place"), inode.home.cookie.cast_signed()),
        (at!("atime"), attr.atime.secs()),
        (at!("atime_ns"), attr.atime.nanos().into()),
        (at!("mtime"), attr.mtime.secs()),
        (at!("mtime_ns"), attr.mtime.nanos().into()),
        (at!("ctime"), attr.ctime.secs()),
        (at!("ctime_ns"), attr.ctime.nanos().into()),
    ];
    for (column, value) in values {
        stmt.raw_bind_parameter(column + 1, value)?;
    }
    Ok(())
}

impl Session {
    /// The inode of this number.
    pub fn inode(&self, ino: Ino) -> Result<Option<Inode>> {
        if let Some(seen) = self.seen().get(ino) {
            return Ok(Some(seen));
        }
        let mut stmt = self.conn().prepare_cached(GET)?;
        let mut rows = stmt.query([ino.raw().cast_signed()])?;
        let inode = rows.next()?.map(|row| read_inode(row, 0)).transpose()?;
        inode.iter().for_each(|inode| self.seen().note(inode));
        Ok(inode)
    }

    /// Whether `request` was the last that is noted with this inode.
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
    pub fn link_target(&self, ino: Ino) -> Result<Option<Vec<u8>>> {
        let mut stmt = self.conn().prepare_cached(TARGET)?;
        let target = stmt
            .query_row([ino.raw().cast_signed()], |row| row.get(0))
            .optional()?;
        Ok(target.flatten())
    }
}

impl WriteTx<'_> {
    /// Whether some snapshot sees this state of the inode, so that changing its data must change its row.
    #[must_use]
    pub fn is_kept(&self, inode: &Inode) -> bool {
        self.epochs().is_kept(inode.born)
    }

    /// Adds an inode, born now.
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
    pub fn update_inode(&mut self, inode: &mut Inode) -> Result<()> {
        // An inode that no snapshot sees keeps its `born`: it is what it was made in that counts.
        if self.keep_inode(inode)? {
            inode.born = self.epochs().current;
        }
        let request = inode.request.map(|request| request.raw().cast_signed());
        self.write_inode(UPDATE, inode, &request)
    }

    /// Removes an inode's row; its extents and attributes are removed apart.
    pub fn delete_inode(&mut self, inode: &Inode) -> Result<()> {
        self.keep_inode(inode)?;
        self.seen().forget(inode.attr.ino);
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
        let mut stmt = self.conn().prepare_cached(sql)?;
        debug_assert_eq!(stmt.parameter_count(), INODE.width());
        bind_inode(&mut stmt, inode)?;
        stmt.raw_bind_parameter(INODE.width(), last)?;
        // What fails may have been done in part.
        self.seen().forget(inode.attr.ino);
        match stmt.raw_execute()? {
            1 => {
                self.seen().note(inode);
                Ok(())
            }
            // It was read in this transaction, or has a number that nobody had.
            rows => Err(Error::bug(format!("{} has {rows} rows", inode.attr.ino))),
        }
    }
}
