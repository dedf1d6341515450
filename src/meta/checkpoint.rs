//! Checkpoints: the log's pages go into the database, and the log begins anew.
//!
//! PASSIVE alone never restarts the log under a steady writer, and TRUNCATE stalls commits: so most of
//! the work is done beside the writers, and only a small rest with them held.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::setting::Setting;
use super::{Database, Error, Result, Session};

const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const PIN: &str = "SELECT count(*) FROM orphan WHERE ino = 0";

impl Database {
    /// Moves the log into the database and begins it anew.
    ///
    /// `sync_chunks` makes all chunks durable: no page that names a chunk may reach the database before
    /// the chunk's bytes reach the disk (docs/format.md). It is called twice, the second time with
    /// writers held, and what it returns then is returned.
    ///
    /// # Errors
    /// Those of `sync_chunks`; I/O errors. [`Error::Full`] leaves the log as it was.
    pub fn checkpoint<T, E: From<Error>>(
        &self,
        sync_chunks: impl Fn() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        self.check_writable()?;
        let sessions = self
            .checkpointer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (worker, pin) = &*sessions;
        self.copy_pinned(worker, pin, &sync_chunks)?;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let synced = sync_chunks()?;
        self.copy_all(worker)?;
        let count = writer.session.setting(Setting::Checkpoints)?;
        // The log's first new commit: SQLite restarts the log here, with nobody reading, and syncs its
        // header.
        let begun = writer.session.set_setting(Setting::Checkpoints, count + 1);
        begun.map_err(|e| self.noted(e))?;
        drop((gate, writer));
        drop(
            self.progress
                .lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.progress.shortened.notify_all();
        log::debug!(
            "checkpoint: the log has {} frames",
            self.progress.frames.load(Ordering::Relaxed)
        );
        Ok(synced)
    }

    /// Copies what is in the log by now, while writers go on, and syncs the database.
    fn copy_pinned<T, E: From<Error>>(
        &self,
        worker: &Session,
        pin: &Session,
        sync_chunks: &impl Fn() -> std::result::Result<T, E>,
    ) -> std::result::Result<(), E> {
        pin.run("BEGIN")?;
        let copied = (|| {
            // A statement makes the transaction take its snapshot: PASSIVE copies no further than that.
            let mut stmt = pin.conn().prepare_cached(PIN).map_err(Error::from)?;
            let _: i64 = stmt.query_row([], |row| row.get(0)).map_err(Error::from)?;
            drop(sync_chunks()?);
            self.copy_all(worker)?;
            rustix::fs::fdatasync(&self.file).map_err(|e| {
                self.noted(Error::Wal {
                    op: "sync the database behind",
                    source: e.into(),
                })
            })?;
            Ok(())
        })();
        pin.run("COMMIT")?;
        copied
    }

    fn copy_all(&self, worker: &Session) -> Result<()> {
        let mut stmt = worker.conn().prepare_cached(CHECKPOINT)?;
        let result = stmt.query_row([], |row| row.get::<_, i64>(0));
        result.map(drop).map_err(|e| self.noted(e.into()))
    }
}
