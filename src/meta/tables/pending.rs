//! `pending`: snapshots that are part of a group snapshot whose outcome is not known here yet. They keep
//! what they saw, as any snapshot does, but nobody is told of them. One whose group snapshot was taken stays here, seen by
//! all, until that is noted where that was decided.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rusqlite::{Row, params};

use crate::meta::schema::text::sql;
use crate::meta::{Error, Result, Session, WriteTx};
use crate::types::{Epoch, Group, SnapshotName};

const LIST: &str = "
    SELECT p.epoch, s.name, p.cut, p.ledger, p.ledger_dir, p.taken
    FROM pending p JOIN snapshot s ON s.epoch = p.epoch ORDER BY p.epoch";
const INSERT: &str =
    sql!("INSERT INTO pending ({pending -taken}) VALUES ({pending -taken params 1})");
const TAKE: &str = "UPDATE pending SET taken = 1 WHERE epoch = ?1";
const DELETE: &str = "DELETE FROM pending WHERE epoch = ?1";

/// A snapshot that waits for the outcome of its group snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// What it names.
    pub epoch: Epoch,
    /// Its name, which is taken.
    pub name: SnapshotName,
    /// What it waits for.
    pub group: Group,
    /// Whether the group snapshot was taken, so that the snapshot is one like any other.
    pub is_taken: bool,
}

fn read_pending(row: &Row<'_>) -> Result<Pending> {
    let text = |column| row.get::<_, String>(column);
    let dir: Vec<u8> = row.get(4)?;
    Ok(Pending {
        epoch: Epoch(row.get(0)?),
        name: text(1)?.parse().map_err(Error::row)?,
        group: Group {
            id: text(2)?.parse().map_err(Error::row)?,
            coordinator: text(3)?.parse().map_err(Error::row)?,
            coordinator_dir: PathBuf::from(OsStr::from_bytes(&dir)),
        },
        is_taken: row.get::<_, i64>(5)? != 0,
    })
}

impl Session {
    /// All snapshots whose group snapshot is not done with, the oldest first.
    pub fn pending(&self) -> Result<Vec<Pending>> {
        let mut stmt = self.conn().prepare_cached(LIST)?;
        let mut rows = stmt.query([])?;
        let mut pending = Vec::new();
        while let Some(row) = rows.next()? {
            pending.push(read_pending(row)?);
        }
        Ok(pending)
    }
}

impl WriteTx<'_> {
    /// Hides a snapshot until the outcome of `group` is known.
    pub fn insert_pending(&mut self, epoch: Epoch, group: &Group) -> Result<()> {
        let dir = group.coordinator_dir.as_os_str().as_bytes();
        let values = params![
            epoch.0,
            group.id.to_string(),
            group.coordinator.to_string(),
            dir
        ];
        self.conn().prepare_cached(INSERT)?.execute(values)?;
        Ok(())
    }

    /// Makes a snapshot one like any other; its group snapshot is still to be done with.
    pub fn take_pending(&mut self, epoch: Epoch) -> Result<()> {
        self.conn().prepare_cached(TAKE)?.execute([epoch.0])?;
        Ok(())
    }

    /// Is done with the group of a snapshot.
    pub fn delete_pending(&mut self, epoch: Epoch) -> Result<()> {
        self.conn().prepare_cached(DELETE)?.execute([epoch.0])?;
        Ok(())
    }
}
