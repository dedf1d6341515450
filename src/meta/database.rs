//! Connections and transactions: one writer, a pool of readers, and the rule that stops all writing
//! after an I/O error.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::gate::{Duty, Gate, Passage};
use super::schema::{self, Role};
use super::setting::Setting;
use super::stop::Stop;
use super::tally::{Counting, OnDisk, Tally};
use super::wal::WalFile;
use super::{Copies, Error, Result};
use crate::types::Epoch;

/// A connection, with the queries that the files of this folder give it.
#[derive(Debug)]
pub struct Session {
    conn: Connection,
    copying: CopyMark,
}

/// Whether a copy may be under way. While this is false nobody sees a state that has one, so nobody needs to look.
pub(super) type CopyMark = Arc<AtomicBool>;

impl Session {
    /// A connection that was opened by itself.
    pub(super) fn of(conn: Connection) -> Self {
        let copying = CopyMark::new(AtomicBool::new(true));
        Self { conn, copying }
    }

    pub(super) const fn conn(&self) -> &Connection {
        &self.conn
    }

    pub(super) fn may_be_copying(&self) -> bool {
        self.copying.load(Ordering::SeqCst)
    }

    /// Runs a statement that has no parameters and no rows.
    pub(super) fn run(&self, sql: &'static str) -> Result<()> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

/// The database of one open volume.
///
/// Lock order: `writer` before `gate`; a thread that holds a pooled reader takes neither.
#[derive(Debug)]
pub struct Database {
    pub(super) writer: Mutex<Writer>,
    readers: Mutex<Vec<Session>>,
    /// Every read on a pooled connection passes it; the checkpointer shuts it for a moment.
    pub(super) gate: Gate,
    /// The checkpointer's own two connections.
    pub(super) checkpointer: Mutex<(Session, Session)>,
    pub(super) wal: WalFile,
    pub(super) progress: Progress,
    stop: Stop,
    pub(super) copying: CopyMark,
    /// Held by whoever counts all rows.
    counting: Mutex<()>,
    path: PathBuf,
    /// For fdatasync. Closing any descriptor of the database drops SQLite's locks on it, so this one is
    /// the last field: it closes after the connections (sqlite.org/howtocorrupt.html, section 2.2).
    pub(super) file: File,
}

/// How long the log is, and who waits for it to become shorter.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Frames in the log, as of the last commit.
    pub(super) frames: Arc<AtomicU32>,
    /// The log must stay short, for want of space.
    pub(super) short: AtomicBool,
    pub(super) lock: Mutex<()>,
    pub(super) shortened: Condvar,
    pub(super) grown: Condvar,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) session: Session,
    pub(super) numbers: Numbers,
    pub(super) epochs: Epochs,
    /// Bytes of the database's file that the host has set aside.
    pub(super) allocated: u64,
    pub(super) counting: Counting,
}

/// Numbers that were never given out are `next` and above; `reserved` is what the database says.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) next: i64,
    pub(super) reserved: i64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Epochs {
    pub(super) current: Epoch,
    pub(super) newest_snapshot: Epoch,
}

impl Epochs {
    /// Whether some snapshot sees a live row born then: it must be kept when the row changes.
    pub(super) fn is_kept(self, born: Epoch) -> bool {
        born <= self.newest_snapshot
    }
}

impl Database {
    /// Makes the database at `path`, which must not exist, and lets `fill` write its first rows.
    ///
    /// # Errors
    /// I/O errors, and those of `fill`.
    pub fn create(path: &Path, fill: impl FnOnce(&mut WriteTx<'_>) -> Result<()>) -> Result<()> {
        drop(schema::create(path)?);
        let database = Self::open(path)?;
        let mut tx = database.write()?;
        fill(&mut tx)?;
        tx.commit()?;
        database.close(|| Ok(()))
    }

    /// Opens the database at `path`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is none of ours, I/O errors.
    pub fn open(path: &Path) -> Result<Self> {
        let mut conn = schema::open(path, Role::Writer)?;
        let progress = Progress::default();
        let frames = Arc::clone(&progress.frames);
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            frames.store(pages.cast_unsigned(), Ordering::Relaxed);
            Ok(())
        }))?;
        let session = Session::of(conn);
        session.check_writes()?;
        let copying = Arc::clone(&session.copying);
        copying.store(session.has_copies(Copies::All)?, Ordering::SeqCst);
        let numbers = session.setting(Setting::Numbers)?;
        let epochs = Epochs {
            current: Epoch(session.setting(Setting::Epoch)?),
            newest_snapshot: Epoch(session.newest_snapshot()?),
        };
        let numbers = Numbers {
            next: numbers,
            reserved: numbers,
        };
        let counting = Counting::load(&session)?;
        let pair = (
            Session::of(schema::open(path, Role::Reader)?),
            Session::of(schema::open(path, Role::Reader)?),
        );
        pair.0.check_writes()?;
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(|source| Error::Wal {
            op: "open the database behind",
            source,
        })?;
        Ok(Self {
            wal: WalFile::open(path)?,
            writer: Mutex::new(Writer {
                session,
                numbers,
                epochs,
                allocated: 0,
                counting,
            }),
            readers: Mutex::default(),
            gate: Gate::default(),
            checkpointer: Mutex::new(pair),
            progress,
            stop: Stop::default(),
            copying,
            counting: Mutex::default(),
            path: path.to_owned(),
            file,
        })
    }

    /// Begins a transaction that may write; there is one at a time.
    ///
    /// # Errors
    /// [`Error::Stopped`] after an I/O error, and I/O errors.
    pub fn write(&self) -> Result<WriteTx<'_>> {
        self.wait_for_log();
        self.write_past_cap()
    }

    /// As [`Self::write`], without waiting for a log that is over its cap.
    pub(super) fn write_past_cap(&self) -> Result<WriteTx<'_>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // With the lock held: whoever had it may have met the error that stops all writing.
        self.check_writable()?;
        if !writer.session.conn.is_autocommit() {
            writer.session.run("ROLLBACK").map_err(|e| self.noted(e))?;
        }
        writer
            .session
            .run("BEGIN IMMEDIATE")
            .map_err(|e| self.noted(e))?;
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

    /// Begins a read of one consistent state, which has every operation that was acknowledged.
    ///
    /// # Errors
    /// I/O errors.
    pub fn read(&self) -> Result<ReadTx<'_>> {
        let mut tx = self.read_once()?;
        tx.run("BEGIN")?;
        tx.began = true;
        Ok(tx)
    }

    /// As [`Self::read`], for a single query, which is consistent by itself.
    ///
    /// # Errors
    /// I/O errors.
    pub fn read_once(&self) -> Result<ReadTx<'_>> {
        // The writer's own page cache is warm, while every commit makes the pooled readers drop theirs.
        match self.writer.try_lock() {
            Ok(writer) => Ok(ReadTx {
                source: Source::Writer(writer),
                began: false,
            }),
            Err(_) => self.pooled(Duty::Short),
        }
    }

    /// As [`Self::read`], for a bounded number of rows that is too large to keep writers waiting. The log cannot begin
    /// anew before it ends, and a checkpoint waits for it a moment.
    ///
    /// # Errors
    /// I/O errors.
    pub fn read_beside(&self) -> Result<ReadTx<'_>> {
        self.begin_beside(Duty::Short)
    }

    /// As [`Self::read`], for a read that takes as long as the volume is large. Nobody ever waits for it; the log
    /// grows meanwhile.
    ///
    /// # Errors
    /// I/O errors.
    pub fn read_long(&self) -> Result<ReadTx<'_>> {
        self.begin_beside(Duty::Long)
    }

    /// As [`Self::read_long`], of the state at the time of the call: SQLite's own begins with the first query.
    pub(super) fn read_long_now(&self) -> Result<ReadTx<'_>> {
        let tx = self.read_long()?;
        tx.setting(Setting::Epoch)?;
        Ok(tx)
    }

    fn begin_beside(&self, duty: Duty) -> Result<ReadTx<'_>> {
        let mut tx = self.pooled(duty)?;
        tx.run("BEGIN")?;
        tx.began = true;
        Ok(tx)
    }

    pub(super) fn locked_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_lock(&self) -> MutexGuard<'_, ()> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pooled(&self, duty: Duty) -> Result<ReadTx<'_>> {
        let passage = self.gate.enter(duty);
        let idle = self
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let session = match idle {
            Some(session) => session,
            None => Session {
                conn: schema::open(&self.path, Role::Reader)?,
                copying: Arc::clone(&self.copying),
            },
        };
        let source = Source::Pool {
            session: Some(session),
            home: &self.readers,
            _passage: passage,
        };
        Ok(ReadTx {
            source,
            began: false,
        })
    }

    /// How many commits changed what the tables hold, since the database was opened.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.locked_writer().counting.commits
    }

    /// Whether copies may be under way; if not, no state that somebody reads has one.
    #[must_use]
    pub fn may_be_copying(&self) -> bool {
        self.copying.load(Ordering::SeqCst)
    }

    /// Whether writing was stopped by an I/O error.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_set()
    }

    /// Stops all writing until the database is opened again: after an I/O error nobody knows what of the
    /// unsynced data is still there (fsync(2), "errors").
    pub fn stop(&self, reason: String) {
        self.stop.set(reason);
        self.progress.shortened.notify_all();
    }

    /// Why writing was stopped, if it was.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&str> {
        self.stop.reason()
    }

    /// Has `tell` run when writing is stopped, before whoever met the error hears of it.
    pub fn when_stopped(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.stop.when_set(Box::new(tell));
    }

    pub(super) fn check_writable(&self) -> Result<()> {
        if self.is_stopped() {
            Err(Error::Stopped)
        } else {
            Ok(())
        }
    }

    /// Passes the error on, after stopping all writing if it calls for that.
    pub(super) fn noted(&self, error: Error) -> Error {
        if error.is_fatal_to_writing() {
            log::error!("stopped writing: {error:?}");
            self.stop(error.with_causes());
        }
        error
    }

    /// Closes the database, whose chunks must be durable, after moving the log into it. A database that
    /// stopped writing, or is dropped, keeps its log for the next open.
    ///
    /// `note` is to say that the database is closed. It comes before the log is cut off: without the one who is to
    /// say so, a log that is gone is damage.
    ///
    /// # Errors
    /// Those of `note`; I/O errors. A database that cannot grow keeps its log, which is durable.
    pub fn close<E: From<Error>>(
        self,
        note: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.check_writable()?;
        let writer = self
            .writer
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        drop(self.readers);
        drop(self.checkpointer);
        let moved = writer.move_log();
        let is_moved = match moved {
            Err(Error::Full) => {
                log::warn!("the disk is full: the log stays");
                false
            }
            moved => moved.map(|()| true)?,
        };
        note()?;
        if is_moved && let Err(error) = writer.session.checkpoint(CUT_OFF) {
            log::warn!("the log stays: {error}");
        }
        let closed = writer.session.conn.close();
        Ok(closed.map_err(|(_, error)| Error::from(error))?)
    }
}

/// Moves the whole log into the database, and syncs that.
const MOVE: &str = "PRAGMA wal_checkpoint(FULL)";
/// The same, and leaves the log empty.
const CUT_OFF: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

impl Writer {
    /// Moves the log into the database, with what there is to say at the end.
    fn move_log(&self) -> Result<()> {
        self.session
            .set_setting(Setting::Numbers, self.numbers.next)?;
        self.keep_tally();
        self.session.checkpoint(MOVE)
    }
}

impl Session {
    /// Refuses a connection that cannot write: SQLite opens for reading what the host does not let it open for writing,
    /// also if that was for a moment only.
    fn check_writes(&self) -> Result<()> {
        if self.conn.is_readonly("main")? {
            return Err(Error::Wal {
                op: "write to the database behind",
                source: io::ErrorKind::ReadOnlyFilesystem.into(),
            });
        }
        // That is of the database only, and this of its log.
        self.run("BEGIN IMMEDIATE")?;
        self.run("ROLLBACK")
    }

    fn checkpoint(&self, how: &'static str) -> Result<()> {
        let busy: i64 = self.conn.query_row(how, [], |row| row.get(0))?;
        if busy != 0 {
            log::warn!("the log could not be moved into the database; the next open will");
        }
        Ok(())
    }
}

/// A transaction that may write. It is rolled back when dropped before [`WriteTx::commit`].
#[derive(Debug)]
pub struct WriteTx<'d> {
    database: &'d Database,
    pub(super) writer: MutexGuard<'d, Writer>,
    state: TxState,
    pub(super) numbers_grew: bool,
    /// What it adds to what the tables hold.
    pub(super) tally: Tally,
    /// Whether it changed rows without counting them.
    pub(super) uncounted: bool,
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
    /// [`Error::Full`] when the log cannot grow, I/O errors; nothing has changed then.
    pub fn commit(mut self) -> Result<()> {
        self.database.make_room(&mut self.writer)?;
        if self.writer.counting.on_disk == OnDisk::Valid {
            self.set_setting(Setting::Counted, 0)?;
        }
        match self.writer.session.run("COMMIT") {
            Ok(()) => {
                self.state = TxState::Done;
                self.count();
                self.database.note_growth();
                Ok(())
            }
            Err(error) => Err(self.database.noted(error)),
        }
    }

    fn count(&mut self) {
        let counting = &mut self.writer.counting;
        counting.on_disk = OnDisk::Stale;
        counting.commits += 1;
        if self.uncounted {
            counting.forget();
        } else {
            counting.add(&self.tally);
        }
    }

    /// Whether some snapshot sees this state of the inode, so that changing its data must change its row.
    #[must_use]
    pub fn is_kept(&self, inode: &super::Inode) -> bool {
        self.epochs().is_kept(inode.born)
    }

    pub(super) fn epochs(&self) -> Epochs {
        self.writer.epochs
    }

    pub(super) fn copying_mark(&self) -> &AtomicBool {
        &self.database.copying
    }

    pub(super) fn change_epochs(&mut self, current: Epoch, newest_snapshot: Epoch) {
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
        self.writer.epochs = self.before;
        if self.numbers_grew {
            // The row that reserved them is rolled back, so the next use must reserve again.
            self.writer.numbers.reserved = self.writer.numbers.next;
        }
        // SQLite rolls back by itself on some errors (sqlite.org/lang_transaction.html).
        if !self.writer.session.conn.is_autocommit()
            && let Err(error) = self.writer.session.run("ROLLBACK")
        {
            let error = self.database.noted(error);
            self.database.stop(error.with_causes());
        }
    }
}

/// A read of one consistent state.
#[derive(Debug)]
pub struct ReadTx<'d> {
    source: Source<'d>,
    began: bool,
}

#[derive(Debug)]
enum Source<'d> {
    Writer(MutexGuard<'d, Writer>),
    Pool {
        session: Option<Session>,
        home: &'d Mutex<Vec<Session>>,
        _passage: Passage<'d>,
    },
}

impl Deref for ReadTx<'_> {
    type Target = Session;
    fn deref(&self) -> &Session {
        match &self.source {
            Source::Writer(writer) => &writer.session,
            Source::Pool {
                session: Some(session),
                ..
            } => session,
            Source::Pool { session: None, .. } => unreachable!("taken only in drop"),
        }
    }
}

impl Drop for ReadTx<'_> {
    fn drop(&mut self) {
        let ended = !self.began || self.run("COMMIT").is_ok();
        if let Source::Pool { session, home, .. } = &mut self.source
            && let Some(session) = session.take()
            && ended
        {
            home.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(session);
        }
    }
}
