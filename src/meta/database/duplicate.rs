//! A copy of a database that is in use.

use std::path::Path;

use rusqlite::backup::Backup;

use crate::meta::schema::connect;
use crate::meta::vfs;
use crate::meta::{Database, Error, Result, Session};
use crate::types::SegmentId;

const SEGMENTS: &str =
    "SELECT DISTINCT segment FROM chunk WHERE segment NOT IN (0, 4294967295) ORDER BY segment";

impl Database {
    /// Copies one consistent state, which has every operation that was acknowledged, to a new database at
    /// `path`. Costs as much as the database is large; writers go on meanwhile.
    ///
    /// # Errors
    /// [`Error::Sqlite`] or [`Error::Full`] when the copy cannot be written; what was begun at `path` is left there.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        let source = self.read_long()?;
        let Some(sums) = vfs::sums_of(source.conn())? else {
            return Err(Error::Corrupt("its header is not one of ours".to_owned()));
        };
        let mut target = connect::open_empty(path, sums)?;
        Backup::new(source.conn(), &mut target)?.step(-1)?;
        Ok(())
    }
}

impl Session {
    /// The segments that hold chunks.
    pub fn segments(&self) -> Result<Vec<SegmentId>> {
        let mut stmt = self.conn().prepare_cached(SEGMENTS)?;
        let ids = stmt.query_map([], |row| row.get::<_, u32>(0))?;
        ids.map(|id| Ok(SegmentId::from_raw(id?))).collect()
    }
}
