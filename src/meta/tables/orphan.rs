//! `orphan`: inodes with no name left, which live on while someone has them open.

use crate::meta::schema::text::sql;
use crate::meta::{Result, Session, WriteTx};
use crate::types::Ino;

const LIST: &str = "SELECT ino FROM orphan ORDER BY ino";
const ANY: &str = "SELECT 1 FROM orphan LIMIT 1";
const INSERT: &str = sql!("INSERT INTO orphan ({orphan}) VALUES (?1)");
const DELETE: &str = "DELETE FROM orphan WHERE ino = ?1";

impl Session {
    /// Whether there is any.
    pub fn has_orphans(&self) -> Result<bool> {
        Ok(self.conn().prepare_cached(ANY)?.exists([])?)
    }

    /// All orphans.
    pub fn orphans(&self) -> Result<Vec<Ino>> {
        let mut stmt = self.conn().prepare_cached(LIST)?;
        let inos = stmt.query_map([], |row| row.get::<_, i64>(0))?;
        inos.map(|ino| Ok(Ino::from_raw(ino?.cast_unsigned())))
            .collect()
    }
}

impl WriteTx<'_> {
    /// Notes that `ino` has no name any more.
    pub fn insert_orphan(&mut self, ino: Ino) -> Result<()> {
        self.conn()
            .prepare_cached(INSERT)?
            .execute([ino.raw().cast_signed()])?;
        Ok(())
    }

    /// Forgets an orphan that is gone.
    pub fn delete_orphan(&mut self, ino: Ino) -> Result<()> {
        self.conn()
            .prepare_cached(DELETE)?
            .execute([ino.raw().cast_signed()])?;
        Ok(())
    }
}
