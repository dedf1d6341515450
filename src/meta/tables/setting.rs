//! `setting`: the volume's counters.

use rusqlite::params;

use crate::meta::{Result, Session};

const GET: &str = "SELECT value FROM setting WHERE key = ?1";
const SET: &str = "UPDATE setting SET value = ?2 WHERE key = ?1";
const NEWEST_SNAPSHOT: &str = "SELECT coalesce(max(epoch), 0) FROM snapshot";

/// A row of `setting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::meta) enum Setting {
    /// Numbers below this may have been given out.
    Numbers,
    /// The current epoch.
    Epoch,
    /// How often the log was begun anew.
    Checkpoints,
    /// 1 when the stored counts are those of the rows.
    Counted,
}

impl Setting {
    const fn key(self) -> &'static str {
        match self {
            Self::Numbers => "numbers",
            Self::Epoch => "epoch",
            Self::Checkpoints => "checkpoints",
            Self::Counted => "counted",
        }
    }
}

impl Session {
    pub(in crate::meta) fn setting(&self, setting: Setting) -> Result<i64> {
        let mut stmt = self.conn().prepare_cached(GET)?;
        Ok(stmt.query_row([setting.key()], |row| row.get(0))?)
    }

    pub(in crate::meta) fn set_setting(&self, setting: Setting, value: i64) -> Result<()> {
        self.conn()
            .prepare_cached(SET)?
            .execute(params![setting.key(), value])?;
        Ok(())
    }

    /// The epoch of the newest snapshot, 0 when there is none.
    pub(in crate::meta) fn newest_snapshot(&self) -> Result<i64> {
        Ok(self
            .conn()
            .prepare_cached(NEWEST_SNAPSHOT)?
            .query_row([], |row| row.get(0))?)
    }
}
