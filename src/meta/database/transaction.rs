//! Transactions that write: one at a time, all or nothing.

use std::ops::Deref;
use std::path::Path;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicBool;

use crate::meta::database::connections::Database;
use crate::meta::database::session::Session;
use crate::meta::database::writer::{Epochs, Writer};
use crate::meta::error::Result;
use crate::meta::schema::connect;
use crate::meta::tables::setting::Setting;
use crate::meta::tally::counting::OnDisk;
use crate::meta::tally::counts::Tally;
use crate::types::{Epoch, with_causes};

impl Database {
    /// Makes the database at `path`, which must not exist, and lets `fill` write its first rows.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn create(path: &Path, fill: impl FnOnce(&mut WriteTx<'_>) -> Result<()>) -> Result<()> {
        drop(connect::create(path)?);
        let database = Self::open(path)?;
        database.count_from_nothing();
        let mut tx = database.write()?;
        fill(&mut tx)?;
        tx.commit()?;
        database.close(|| Ok(()))
    }

    /// Begins a transaction that may write; there is one at a time.
    ///
    /// # Errors
    /// [`Error::Stopped`] after an I/O error.
    pub fn write(&self) -> Result<WriteTx<'_>> {
        self.wait_for_log();
        self.write_past_cap()
    }

    /// As [`Self::write`], without waiting for a log that is over its cap.
    fn write_past_cap(&self) -> Result<WriteTx<'_>> {
        let writer = self.locked_writer();
        // With the lock held: whoever had it may have met the error that stops all writing.
        self.check_writable()?;
        // A ROLLBACK that failed left the transaction before open.
        if !writer.session.conn().is_autocommit() {
            writer.session.run("ROLLBACK").map_err(|e| self.noted(e))?;
        }
        // IMMEDIATE takes SQLite's lock now: a plain BEGIN could find it taken at the first change. It never is: this is
        // the only connection that writes (invariant 4).
        writer
            .session
            .run("BEGIN IMMEDIATE")
            .map_err(|e| self.noted(e))?;
        writer.session.seen().begin();
        let before = writer.epochs;
        Ok(WriteTx {
            database: self,
            writer,
            state: TxState::Open,
            numbers_grew: false,
            tally: Tally::default(),
            uncounted: false,
            before,
        })
    }
}

/// A transaction that may write. It is rolled back when dropped before [`WriteTx::commit`].
#[derive(Debug)]
pub struct WriteTx<'d> {
    database: &'d Database,
    pub(in crate::meta) writer: MutexGuard<'d, Writer>,
    state: TxState,
    numbers_grew: bool,
    /// What it adds to what the tables hold.
    pub(in crate::meta) tally: Tally,
    /// Whether it changed rows without counting them.
    pub(in crate::meta) uncounted: bool,
    /// What holds again if the transaction is rolled back.
    before: Epochs,
}

#[derive(Debug, PartialEq, Eq)]
enum TxState {
    Open,
    Done,
}

impl WriteTx<'_> {
    /// Commits. The changes survive the end of this process when this returns, and a power cut once
    /// [`Database::sync_wal`] has run after it.
    ///
    /// # Errors
    /// [`Error::Full`] when the log cannot grow. After any error nothing has changed.
    pub fn commit(mut self) -> Result<()> {
        // Before the commit that needs it: a checkpoint must not be what finds the disk full.
        self.database.make_room(&mut self.writer)?;
        if self.writer.counting.on_disk == OnDisk::Valid && self.changes_counts() {
            self.set_setting(Setting::Counted, 0)?;
        }
        self.writer.session.seen().end();
        match self.writer.session.run("COMMIT") {
            Ok(()) => {
                debug_assert!(
                    self.conn().is_autocommit(),
                    "what is acknowledged is committed (invariant 2)"
                );
                self.state = TxState::Done;
                self.count();
                self.database.write_log_ahead(&mut self.writer);
                self.database.note_growth();
                Ok(())
            }
            Err(error) => Err(self.database.noted(error)),
        }
    }

    /// Whether the tables hold something else after it.
    fn changes_counts(&self) -> bool {
        self.uncounted || self.tally != Tally::default()
    }

    fn count(&mut self) {
        let changes_counts = self.changes_counts();
        let counting = &mut self.writer.counting;
        if changes_counts {
            counting.on_disk = OnDisk::Stale;
        }
        counting.commits += 1;
        if self.uncounted {
            counting.forget();
        } else {
            counting.add(&self.tally);
        }
        self.database.logical.set(counting.logical_bytes());
    }

    /// A number that was never given out before: for an inode, or a dentry's cookie.
    pub fn fresh_number(&mut self) -> Result<u64> {
        // One write of the row for so many numbers. Those that a crash leaves unused are skipped for ever.
        const BATCH: i64 = 4096;
        if self.writer.numbers.next >= self.writer.numbers.reserved {
            let reserved = self.writer.numbers.reserved + BATCH;
            self.set_setting(Setting::Numbers, reserved)?;
            self.writer.numbers.reserved = reserved;
            self.numbers_grew = true;
        }
        let number = self.writer.numbers.next;
        debug_assert!(
            number < self.writer.numbers.reserved,
            "a number is reserved before it is given out (invariant 7)"
        );
        self.writer.numbers.next += 1;
        Ok(number.cast_unsigned())
    }

    pub(in crate::meta) fn epochs(&self) -> Epochs {
        self.writer.epochs
    }

    pub(in crate::meta) fn copying_mark(&self) -> &AtomicBool {
        &self.database.copying
    }

    pub(in crate::meta) fn change_epochs(&mut self, current: Epoch, newest_snapshot: Epoch) {
        debug_assert!(
            current >= self.writer.epochs.current && newest_snapshot < current,
            "epochs are counted up (invariant 7)"
        );
        self.writer.epochs = Epochs {
            current,
            newest_snapshot,
        };
    }
}

impl Deref for WriteTx<'_> {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.writer.session
    }
}

impl Drop for WriteTx<'_> {
    fn drop(&mut self) {
        if self.state == TxState::Done {
            return;
        }
        self.writer.session.seen().end();
        self.writer.epochs = self.before;
        if self.numbers_grew {
            // The row that reserved them is rolled back, so the next use must reserve again.
            self.writer.numbers.reserved = self.writer.numbers.next;
        }
        // SQLite rolls back by itself on some errors (sqlite.org/lang_transaction.html).
        if !self.conn().is_autocommit()
            && let Err(error) = self.writer.session.run("ROLLBACK")
        {
            let error = self.database.noted(error);
            self.database.stop(with_causes(&error));
        }
    }
}
