//! What goes with the one connection that writes: numbers, epochs and counts, as of the last commit.

use std::io;

use crate::meta::database::session::Session;
use crate::meta::error::{Error, Result};
use crate::meta::tables::setting::Setting;
use crate::meta::tally::counting::{Counting, Known, OnDisk};
use crate::types::Epoch;

/// The connection that writes, and what only who has it may change.
#[derive(Debug)]
pub(in crate::meta) struct Writer {
    pub(in crate::meta) session: Session,
    pub(in crate::meta) numbers: Numbers,
    pub(in crate::meta) epochs: Epochs,
    /// Bytes of the database's file that the host has set aside.
    pub(in crate::meta) allocated: u64,
    /// Bytes of the log that are written, from its beginning on.
    pub(in crate::meta) log_written: u64,
    pub(in crate::meta) counting: Counting,
}

/// Numbers that were never given out are `next` and above; `reserved` is what the database says.
#[derive(Debug)]
pub(in crate::meta) struct Numbers {
    pub(in crate::meta) next: i64,
    pub(in crate::meta) reserved: i64,
}

/// The epoch that rows are born in, and the newest that a snapshot names: always less.
#[derive(Debug, Clone, Copy)]
pub(in crate::meta) struct Epochs {
    pub(in crate::meta) current: Epoch,
    pub(in crate::meta) newest_snapshot: Epoch,
}

impl Epochs {
    /// Whether some snapshot sees a live row born then: it must be kept when the row changes.
    pub(in crate::meta) fn is_kept(self, born: Epoch) -> bool {
        born <= self.newest_snapshot
    }
}

/// Moves the whole log into the database, and syncs that. Not left to SQLite's own checkpoint on close, which is turned
/// off: only here is it known that the chunks are durable (invariant 1).
const MOVE: &str = "PRAGMA wal_checkpoint(FULL)";
/// The same, and leaves the log empty.
pub(super) const CUT_OFF: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

impl Writer {
    /// Moves the log into the database, with what there is to say at the end.
    pub(super) fn move_log(&self) -> Result<()> {
        self.session
            .set_setting(Setting::Numbers, self.numbers.next)?;
        self.keep_tally();
        self.session.checkpoint(MOVE)
    }

    /// Stores the counts, for the next open; one that fails only makes it count.
    fn keep_tally(&self) {
        if self.counting.known == Known::No || self.counting.on_disk == OnDisk::Valid {
            return;
        }
        let stored = self
            .session
            .run("BEGIN IMMEDIATE")
            .and_then(|()| self.session.store_tally(&self.counting.total))
            .and_then(|()| self.session.run("COMMIT"));
        if let Err(error) = stored {
            log::debug!("the counts are not stored: {error}");
            // Nothing is under way if SQLite rolled back by itself.
            drop(self.session.run("ROLLBACK"));
        }
    }
}

impl Session {
    /// Refuses a connection that cannot write: SQLite opens for reading what the host does not let it open for writing,
    /// also if that was for a moment only.
    pub(super) fn check_writes(&self) -> Result<()> {
        if self.conn().is_readonly("main")? {
            return Err(Error::Wal {
                op: "write to the database behind",
                source: io::ErrorKind::ReadOnlyFilesystem.into(),
            });
        }
        // That is of the database only, and this of its log.
        self.run("BEGIN IMMEDIATE")?;
        self.run("ROLLBACK")
    }

    pub(super) fn checkpoint(&self, how: &'static str) -> Result<()> {
        let busy: i64 = self.conn().query_row(how, [], |row| row.get(0))?;
        if busy != 0 {
            log::warn!("the log could not be moved into the database; the next open will");
        }
        Ok(())
    }
}
