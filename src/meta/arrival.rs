//! A database that is made of the rows of a state that arrives from elsewhere: first the rows, then the places of their
//! chunks, one by one as they come.
//!
//! Nobody else has it open, and what is not finished is thrown away: nothing here is durable, or undone.

mod hashed;
mod merge;
mod states;

pub use hashed::{ArrivedSnapshot, HashedArrival, HashedExtent};

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::params;

use crate::meta::schema::connect;
use crate::meta::schema::text::sql;
use crate::meta::tables::inode::bind_inode;
use crate::meta::{Error, Home, Inode, Result, Session, Sharing};
use crate::types::{
    Attr, ChunkHash, ChunkId, EntryRow, Epoch, FarPlace, Ino, Location, Name, PageSums, XattrRow,
};

const PLACES: &str = "
    CREATE TABLE places.place (
        id INTEGER PRIMARY KEY, pack INTEGER, piece INTEGER, off INTEGER, stored_len INTEGER,
        len INTEGER, packing INTEGER, UNIQUE (pack, piece)
    )";
const BORN: i64 = 1;
const CLEAR_ROOT: &str = "DELETE FROM inode";
const INODE: &str = sql!("INSERT INTO inode ({inode}) VALUES ({inode params 1})");
const ENTRY: &str = sql!("INSERT INTO dentry ({dentry}) VALUES ({dentry params 1})");
const XATTR: &str = sql!("INSERT INTO xattr ({xattr}) VALUES ({xattr params 1})");
const EXTENT: &str = sql!("INSERT INTO extent ({extent}) VALUES ({extent params 1})");
/// Into the volume's own tables.
const OWN: Inserts = Inserts {
    inode: INODE,
    entry: ENTRY,
    xattr: XATTR,
    extent: EXTENT,
};
const PLACE: &str = "
    INSERT INTO places.place (pack, piece, off, stored_len, len, packing) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (pack, piece) DO UPDATE SET len = len
    RETURNING id, off = ?3 AND stored_len = ?4 AND len = ?5 AND packing = ?6";
const NEXT_PLACES: &str = "
    SELECT pack, piece, off, stored_len, len, packing, id FROM places.place
    WHERE (pack, piece) > (?1, ?2) ORDER BY pack, piece LIMIT ?3";
const PLACE_COUNT: &str = "SELECT count(*), coalesce(sum(stored_len), 0) FROM places.place";
const IS_INDEXED: &str = "SELECT EXISTS (SELECT 1 FROM chunk WHERE hash = ?1 AND shared = 1)";
const CHUNK: &str = sql!(
    "INSERT INTO chunk ({chunk id..sums}, refs, shared, live)
     VALUES ({chunk id..sums params 1}, 1, ?9, 1)"
);
const COUNT_REFS: &str = "
    UPDATE chunk SET refs = n, live = n
    FROM (SELECT chunk AS named, count(*) AS n FROM extent GROUP BY chunk HAVING count(*) > 1)
    WHERE id = named";
const NUMBERS: &str = "
    UPDATE setting SET value = max(?1,
        (SELECT coalesce(max(ino), 0) + 1 FROM inode), (SELECT coalesce(max(cookie), 0) + 1 FROM dentry))
    WHERE key = 'numbers'";

/// An extent whose chunk has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FarExtent {
    /// The file.
    pub ino: Ino,
    /// Where in the file it begins, in bytes.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// Where in the chunk they begin.
    pub chunk_off: u64,
    /// The chunk.
    pub place: FarPlace,
}

/// The database, in one transaction.
#[derive(Debug)]
pub struct Arrival {
    session: Session,
    scratch: PathBuf,
    packs: Packs,
    inserts: Inserts,
    /// Where the rows of each of several states come first.
    state: Option<PathBuf>,
}

/// Into which tables rows come.
#[derive(Debug, Clone, Copy)]
struct Inserts {
    inode: &'static str,
    entry: &'static str,
    xattr: &'static str,
    extent: &'static str,
}

/// Packs, by the numbers that they have while rows come: their names are long.
#[derive(Debug, Default)]
struct Packs {
    names: Vec<PackName>,
    numbers: HashMap<PackName, i64>,
}

type PackName = [u8; FarPlace::PACK_BYTES];

impl Packs {
    fn number(&mut self, name: &PackName) -> i64 {
        let next = i64::try_from(self.names.len()).unwrap_or(i64::MAX);
        let number = *self.numbers.entry(*name).or_insert(next);
        if number == next {
            self.names.push(*name);
        }
        number
    }

    fn name(&self, number: i64) -> Result<PackName> {
        let name = usize::try_from(number)
            .ok()
            .and_then(|at| self.names.get(at));
        name.copied()
            .ok_or_else(|| Error::row("a chunk is in no pack"))
    }
}

impl Arrival {
    /// Makes an empty one at `path`, which must not exist; `scratch` is for what is needed meanwhile.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Sqlite`].
    pub fn begin(path: &Path, scratch: &Path) -> Result<Self> {
        let arrival = Self::open(path, scratch)?;
        arrival.session.run("BEGIN")?;
        arrival.session.run(CLEAR_ROOT)?;
        Ok(arrival)
    }

    fn open(path: &Path, scratch: &Path) -> Result<Self> {
        drop(connect::create(path)?);
        let session = Session::of(connect::open_copy(path)?);
        // What is attached is opened as the first was, which is not to be made; an empty file is an empty database.
        let made = File::options().write(true).create_new(true).open(scratch);
        made.map_err(|source| Error::Wal {
            op: "make a table beside",
            source,
        })?;
        let conn = session.conn();
        conn.execute("ATTACH ?1 AS places", [scratch.to_string_lossy()])?;
        conn.pragma_update(Some("places"), "journal_mode", "OFF")?;
        conn.pragma_update(Some("places"), "synchronous", "OFF")?;
        conn.execute(PLACES, [])?;
        Ok(Self {
            session,
            scratch: scratch.to_owned(),
            packs: Packs::default(),
            inserts: OWN,
            state: None,
        })
    }

    /// Adds an inode.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is one of its number; [`Error::Full`], [`Error::Sqlite`].
    pub fn inode(&self, attr: &Attr, home: Home, target: Option<&[u8]>) -> Result<()> {
        let inode = Inode {
            attr: *attr,
            born: Epoch(BORN),
            home,
            request: None,
        };
        let mut stmt = self.session.conn().prepare_cached(self.inserts.inode)?;
        bind_inode(&mut stmt, &inode)?;
        let last = stmt.parameter_count();
        stmt.raw_bind_parameter(last, target)?;
        stmt.raw_execute().map(drop).map_err(unfit)
    }

    /// Adds a directory entry.
    ///
    /// # Errors
    /// As [`Self::inode`], and when the name is none.
    pub fn entry(&self, row: &EntryRow) -> Result<()> {
        let name = Name::parse(&row.name).map_err(Error::row)?;
        let values = params![
            row.parent.cast_signed(),
            name.as_bytes(),
            BORN,
            row.ino.cast_signed(),
            row.cookie.cast_signed()
        ];
        self.insert(self.inserts.entry, values)
    }

    /// Adds an extended attribute.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn xattr(&self, row: &XattrRow) -> Result<()> {
        self.insert(
            self.inserts.xattr,
            params![row.ino.cast_signed(), row.name, BORN, row.value],
        )
    }

    /// Adds an extent, and the place of its chunk.
    ///
    /// # Errors
    /// As [`Self::inode`], and when something else was said of the chunk before.
    pub fn extent(&mut self, extent: &FarExtent) -> Result<()> {
        let at = &extent.place;
        let pack = self.packs.number(&at.pack);
        let mut stmt = self.session.conn().prepare_cached(PLACE)?;
        let values = params![pack, at.piece, at.offset, at.stored_len, at.len, at.codec];
        let (id, is_same): (i64, bool) =
            stmt.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        if !is_same {
            return Err(Error::row("two extents say different things of one chunk"));
        }
        let values = params![
            extent.ino.raw().cast_signed(),
            extent.off.cast_signed(),
            BORN,
            extent.len.cast_signed(),
            id,
            extent.chunk_off.cast_signed()
        ];
        self.insert(self.inserts.extent, values)
    }

    /// How many chunks there are, and the bytes that are stored of them.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn place_count(&self) -> Result<(u64, u64)> {
        let mut stmt = self.session.conn().prepare_cached(PLACE_COUNT)?;
        let uint = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        Ok(stmt.query_row([], |row| Ok((uint(row, 0)?, uint(row, 1)?)))?)
    }

    /// The next places of chunks, those of a pack together, by piece.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Sqlite`].
    pub fn places(&self, after: Option<&FarPlace>, limit: u32) -> Result<Vec<(FarPlace, ChunkId)>> {
        let after = match after {
            None => (-1, -1),
            Some(at) => {
                let number = self.packs.numbers.get(&at.pack);
                let number = number.ok_or_else(|| Error::row("a chunk is in no pack"))?;
                (*number, i64::from(at.piece))
            }
        };
        let mut stmt = self.session.conn().prepare_cached(NEXT_PLACES)?;
        let mut rows = stmt.query(params![after.0, after.1, limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let place = FarPlace {
                pack: self.packs.name(row.get(0)?)?,
                piece: row.get(1)?,
                offset: row.get(2)?,
                stored_len: row.get(3)?,
                len: row.get(4)?,
                codec: row.get(5)?,
            };
            found.push((place, ChunkId(row.get(6)?)));
        }
        Ok(found)
    }

    /// A chunk stays where it is for now.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn leave(&self, place: &FarPlace, id: ChunkId) -> Result<()> {
        let at = place.location();
        let at = at.ok_or_else(|| Error::row("a chunk has an unknown codec"))?;
        let (name, sums) = (place.stand_in(), place.sums());
        self.chunk(id, &name, (&at, &sums), Sharing::Unindexed)
    }

    /// A chunk has come, and is stored. One that equals another in the hash index is not in it as well.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn chunk(
        &self,
        id: ChunkId,
        hash: &ChunkHash,
        (at, sums): (&Location, &PageSums),
        sharing: Sharing,
    ) -> Result<()> {
        let mut shared = sharing == Sharing::Indexed;
        if shared {
            let mut stmt = self.session.conn().prepare_cached(IS_INDEXED)?;
            shared = !stmt.query_row([hash.as_bytes()], |row| row.get::<_, bool>(0))?;
        }
        let values = params![
            id.0,
            hash.as_bytes(),
            at.segment.raw(),
            at.offset.cast_signed(),
            at.len,
            at.stored_len,
            at.codec.to_raw(),
            sums.as_bytes(),
            i64::from(shared),
        ];
        self.insert(CHUNK, values)
    }

    /// Counts what names what, and commits. Numbers below `numbers` are not given out again.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the first thing that does not fit; [`Error::Full`], [`Error::Sqlite`].
    pub fn finish(self, numbers: u64) -> Result<()> {
        let conn = self.session.conn();
        conn.execute(COUNT_REFS, [])?;
        conn.execute(NUMBERS, [numbers.cast_signed()])?;
        self.commit_sound()
    }

    /// Commits what fits, and removes what was needed meanwhile.
    fn commit_sound(self) -> Result<()> {
        if let Some(first) = self.session.audit()?.first() {
            return Err(Error::Corrupt(first.clone()));
        }
        self.session.run("COMMIT")?;
        self.session.run("DETACH places")?;
        if self.state.is_some() {
            self.session.run("DETACH arrived")?;
        }
        let closed = self.session.into_conn().close();
        closed.map_err(|(_, error)| Error::from(error))?;
        // Nothing needs it any more; what holds the database is removed with the volume otherwise.
        for needed in [Some(self.scratch), self.state].into_iter().flatten() {
            if let Err(error) = std::fs::remove_file(&needed) {
                log::warn!("{} is left: {error}", needed.display());
            }
        }
        Ok(())
    }

    fn insert(&self, sql: &'static str, values: &[&dyn rusqlite::ToSql]) -> Result<()> {
        let mut stmt = self.session.conn().prepare_cached(sql)?;
        stmt.execute(values).map(drop).map_err(unfit)
    }
}

/// A row that a constraint refuses is what arrived, and no fault of the database.
fn unfit(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => Error::row(error),
        _ => error.into(),
    }
}
