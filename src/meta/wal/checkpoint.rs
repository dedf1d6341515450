//! Checkpoints: the log's pages go into the database, and the log begins anew.
//!
//! PASSIVE alone never restarts the log under a steady writer, and TRUNCATE stalls commits: so most of
//! the work is done beside the writers, and only a small rest with them held. Nobody is waited for with them held but
//! short reads, for a moment: beside a long read the log does not begin anew.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::meta::tables::setting::Setting;
use crate::meta::wal::growth::CAP_FRAMES;
use crate::meta::{Copies, Database, Error, Result, Session};

const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// Frames that may be left to be copied with the writers held: some milliseconds' worth.
const REST_FRAMES: u32 = 256;
/// How often it is tried to get down to that beside writers that go on.
const ROUNDS: usize = 5;
/// How long short reads are waited for with the writers held.
const WAIT_MAX: Duration = Duration::from_millis(10);
/// A host that took longer to make chunks durable is busy: writers are not held while it does so once more, as long as
/// the log may grow.
const BUSY: Duration = Duration::from_millis(25);
/// Frames from which the log begins anew whatever the host does.
const BUSY_FRAMES: u32 = CAP_FRAMES / 2;
const PIN: &str = "SELECT count(*) FROM orphan WHERE ino = 0";

/// The chunks that the log names are on the disk: only then may its pages reach the database (invariant 1).
struct Durable<T>(T);

/// What was copied beside the writers.
struct Copied<T> {
    /// What `sync_chunks` returned.
    synced: T,
    /// How long it took.
    took: Duration,
    /// How many of the log's frames are in the database.
    frames: u32,
}

impl Database {
    /// Moves the log into the database and begins it anew.
    ///
    /// `sync_chunks` makes all chunks durable: no page that names a chunk may reach the database before
    /// the chunk's bytes reach the disk (docs/format.md). It is called several times, the last time with
    /// writers held, and what it returned last is returned.
    ///
    /// Beside a long read the log is moved as far as that allows, and goes on.
    ///
    /// # Errors
    /// Those of `sync_chunks`. [`Error::Full`] leaves the log as it was.
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
        let copied = self.copy_pinned(worker, pin, &sync_chunks)?;
        self.make_room_anew(&mut self.writer.lock().unwrap_or_else(PoisonError::into_inner))?;
        let begun = if copied.took > BUSY && self.may_go_on() {
            None
        } else {
            self.begin_anew(worker, &sync_chunks)?
        };
        let synced = begun.unwrap_or(copied.synced);
        drop(
            self.progress
                .lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.progress.shortened.notify_all();
        log::debug!("checkpoint: the log has {} frames", self.log_frames());
        Ok(synced)
    }

    /// Whether the log may be left to grow for some more seconds.
    fn may_go_on(&self) -> bool {
        !self.is_log_short() && self.log_frames() < BUSY_FRAMES
    }

    /// Copies the small rest with the writers held, and has the log begin anew. `None` when somebody reads.
    fn begin_anew<T, E: From<Error>>(
        &self,
        worker: &Session,
        sync_chunks: &impl Fn() -> std::result::Result<T, E>,
    ) -> std::result::Result<Option<T>, E> {
        if self.gate.has_long() {
            return Ok(None);
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(_shut) = self.gate.shut(WAIT_MAX) else {
            return Ok(None);
        };
        let synced = Durable(sync_chunks()?);
        self.copy_all(worker, &synced)?;
        self.make_room_anew(&mut writer)?;
        let kept = self.kept_log_bytes();
        writer
            .session
            .conn()
            .pragma_update(None, "journal_size_limit", kept)
            .map_err(Error::from)?;
        let count = writer.session.setting(Setting::Checkpoints)?;
        // The log's first new commit: SQLite restarts the log here, with nobody reading, and syncs its
        // header.
        let begun = writer.session.set_setting(Setting::Checkpoints, count + 1);
        begun.map_err(|e| self.noted(e))?;
        self.progress.begun.fetch_add(1, Ordering::Relaxed);
        self.unmark_copies(&writer.session)?;
        Ok(Some(synced.0))
    }

    /// Spares readers the look for copies once all are written. Only with nobody reading: who reads a state that still
    /// has one must know of it.
    fn unmark_copies(&self, session: &Session) -> Result<()> {
        if self.may_be_copying() && !session.has_copies(Copies::All)? {
            self.copying.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Copies what is in the log, while writers go on, until little is left or a long read forbids more.
    fn copy_pinned<T, E: From<Error>>(
        &self,
        worker: &Session,
        pin: &Session,
        sync_chunks: &impl Fn() -> std::result::Result<T, E>,
    ) -> std::result::Result<Copied<T>, E> {
        let mut copied = self.copy_once(worker, pin, sync_chunks)?;
        for _ in 1..ROUNDS {
            let rest = self.log_frames().saturating_sub(copied.frames);
            let is_busy = copied.took > BUSY && self.may_go_on();
            if rest <= REST_FRAMES && !is_busy || self.gate.has_long() {
                break;
            }
            copied = self.copy_once(worker, pin, sync_chunks)?;
        }
        Ok(copied)
    }

    /// Copies what is in the log by now, and syncs the database.
    fn copy_once<T, E: From<Error>>(
        &self,
        worker: &Session,
        pin: &Session,
        sync_chunks: &impl Fn() -> std::result::Result<T, E>,
    ) -> std::result::Result<Copied<T>, E> {
        pin.run("BEGIN")?;
        let copied = (|| {
            // A statement makes the transaction take its snapshot: PASSIVE copies no further than that.
            let mut stmt = pin.conn().prepare_cached(PIN).map_err(Error::from)?;
            let _: i64 = stmt.query_row([], |row| row.get(0)).map_err(Error::from)?;
            let start = Instant::now();
            let synced = Durable(sync_chunks()?);
            let took = start.elapsed();
            let frames = self.copy_all(worker, &synced)?;
            rustix::fs::fdatasync(&self.file).map_err(|e| {
                self.noted(Error::Wal {
                    op: "sync the database behind",
                    source: e.into(),
                })
            })?;
            Ok(Copied {
                synced: synced.0,
                took,
                frames,
            })
        })();
        pin.run("COMMIT")?;
        copied
    }

    /// Returns how many frames of the log are in the database then.
    fn copy_all<T>(&self, worker: &Session, _chunks: &Durable<T>) -> Result<u32> {
        let mut stmt = worker.conn().prepare_cached(CHECKPOINT)?;
        let copied = stmt.query_row([], |row| row.get::<_, i64>(2));
        let copied = copied.map_err(|e| self.noted(e.into()))?;
        // -1 where there is no log.
        Ok(u32::try_from(copied).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Ino;

    fn database() -> (tempfile::TempDir, Database) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.db");
        Database::create(&path, |_| Ok(())).unwrap();
        let database = Database::open(&path).unwrap();
        (dir, database)
    }

    fn commit(database: &Database, inos: std::ops::Range<u64>) {
        for ino in inos {
            let mut tx = database.write().unwrap();
            tx.insert_orphan(Ino::from_raw(ino)).unwrap();
            tx.commit().unwrap();
        }
    }

    fn checkpoint(database: &Database) {
        database.checkpoint::<_, Error>(|| Ok(())).unwrap();
    }

    /// In one thread: whoever waited for the read would wait for ever.
    #[test]
    fn neither_checkpoints_nor_commits_wait_for_a_long_read() {
        let (_dir, database) = database();
        commit(&database, 10..100);
        let long = database.read_long_now().unwrap();
        commit(&database, 100..200);
        let before = database.log_frames();
        checkpoint(&database);
        commit(&database, 200..300);
        assert!(database.log_frames() > before, "the log goes on");
        assert_eq!(long.orphans().unwrap().len(), 90, "one state");
        drop(long);
        checkpoint(&database);
        assert!(database.log_frames() < 10, "the log began anew");
        let count = database.read_once().unwrap().orphans().unwrap().len();
        assert_eq!(count, 290);
    }

    /// Cutting it off would hold the writers for as long as the host takes to free some hundred MiB.
    #[test]
    fn a_log_that_begins_anew_keeps_its_length() {
        let (dir, database) = database();
        let long = database.read_long_now().unwrap();
        for _ in 0..30 {
            commit(&database, 10..200);
            (10..200).for_each(|ino| {
                let mut tx = database.write().unwrap();
                tx.delete_orphan(Ino::from_raw(ino)).unwrap();
                tx.commit().unwrap();
            });
        }
        let bytes = || dir.path().join("meta.db-wal").metadata().unwrap().len();
        let grown = bytes();
        assert!(grown > 20 << 20, "{grown}");
        drop(long);
        checkpoint(&database);
        assert!(database.log_frames() < 10, "the log began anew");
        assert_eq!(bytes(), grown);
    }

    #[test]
    fn a_busy_host_does_not_hold_the_writers() {
        let (_dir, database) = database();
        commit(&database, 10..100);
        let slow = |pause| {
            let synced = || {
                std::thread::sleep(pause);
                Ok(())
            };
            database.checkpoint::<_, Error>(synced).unwrap();
        };
        let before = database.log_frames();
        slow(BUSY + Duration::from_millis(5));
        assert_eq!(database.log_frames(), before, "the log goes on");
        database
            .progress
            .frames
            .store(BUSY_FRAMES, Ordering::Relaxed);
        slow(BUSY + Duration::from_millis(5));
        assert!(
            database.log_frames() < 10,
            "it is long enough to begin anew"
        );
    }

    #[test]
    fn readers_look_for_copies_only_while_there_may_be_one() {
        let (_dir, database) = database();
        database.copying.store(true, Ordering::SeqCst);
        let long = database.read_long_now().unwrap();
        checkpoint(&database);
        assert!(database.may_be_copying(), "somebody reads an older state");
        drop(long);
        checkpoint(&database);
        assert!(!database.may_be_copying());
    }

    #[test]
    fn a_log_that_a_long_read_keeps_may_grow_beyond_its_cap() {
        let (_dir, database) = database();
        let long = database.read_long_now().unwrap();
        database.progress.frames.store(100_000, Ordering::Relaxed);
        assert_eq!(database.wait_due(), None);
        drop(long);
        assert!(database.wait_due().is_some());
    }
}
