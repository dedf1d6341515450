//! The connections of an open volume: opening them, stopping all writing after an I/O error, closing them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::meta::database::held;
use crate::meta::database::session::{CopyMark, PooledReader, Session};
use crate::meta::database::stop::Stop;
use crate::meta::database::writer::{CUT_OFF, Epochs, Numbers, Writer};
use crate::meta::error::{Error, Result};
use crate::meta::schema::connect::{self, Role};
use crate::meta::tables::setting::Setting;
use crate::meta::tally::counting::Counting;
use crate::meta::tally::seen::SeenLogical;
use crate::meta::wal::companion::Companion;
use crate::meta::wal::file::WalFile;
use crate::meta::wal::gate::Gate;
use crate::meta::wal::progress::Progress;
use crate::types::{Epoch, about_to_wait, with_causes};

/// The database of one open volume.
///
/// Lock order: `counting`, `checkpointer`, `writer`, `gate`, then the others, each for a moment. A thread that holds a pooled
/// reader takes none of those four: with the writer locked a checkpoint waits for short reads to end.
#[derive(Debug)]
pub struct Database {
    pub(in crate::meta) writer: Mutex<Writer>,
    pub(super) readers: Mutex<Vec<PooledReader>>,
    /// Every read on a pooled connection passes it; the checkpointer shuts it for a moment.
    pub(in crate::meta) gate: Gate,
    /// The checkpointer's own two connections.
    pub(in crate::meta) checkpointer: Mutex<(Session, Session)>,
    pub(in crate::meta) wal: WalFile,
    pub(in crate::meta) progress: Progress,
    pub(in crate::meta) companion: Companion,
    pub(in crate::meta) logical: SeenLogical,
    stop: Arc<Stop>,
    pub(in crate::meta) copying: CopyMark,
    /// Held by whoever counts all rows.
    counting: Mutex<()>,
    pub(super) path: PathBuf,
    /// For fdatasync. Closing any descriptor of the database drops SQLite's locks on it, so this one is
    /// the last field: it closes after the connections (sqlite.org/howtocorrupt.html, section 2.2).
    pub(in crate::meta) file: File,
}

impl Database {
    /// Opens the database at `path`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is none of ours.
    pub fn open(path: &Path) -> Result<Self> {
        let mut conn = connect::open(path, Role::Writer)?;
        // Called after each commit, with the length of the log. It takes the place of SQLite's own checkpoint after so many
        // frames, which would not wait for the chunks (invariant 1).
        let progress = Progress::default();
        let frames = Arc::clone(&progress.frames);
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            frames.store(pages.cast_unsigned(), Ordering::Relaxed);
            Ok(())
        }))?;
        let session = Session::of(conn);
        session.check_writes()?;
        let copying = Arc::clone(session.copying_mark());
        copying.store(session.is_copying()?, Ordering::SeqCst);
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
        let logical = SeenLogical::new(counting.logical_bytes());
        let pair = (
            Session::of(connect::open(path, Role::Reader)?),
            Session::of(connect::open(path, Role::Reader)?),
        );
        pair.0.check_writes()?;
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(|source| Error::Wal {
            op: "open the database behind",
            source,
        })?;
        let stop = Arc::new(Stop::default());
        let wal = WalFile::open(path, Arc::clone(&stop))?;
        Ok(Self {
            writer: Mutex::new(Writer {
                session,
                numbers,
                epochs,
                allocated: 0,
                log_written: wal.written(),
                counting,
            }),
            wal,
            companion: Companion::default(),
            logical,
            readers: Mutex::default(),
            gate: Gate::default(),
            checkpointer: Mutex::new(pair),
            progress,
            stop,
            copying,
            counting: Mutex::default(),
            path: path.to_owned(),
            file,
        })
    }

    /// The first lock to take, for a thread that has no read under way that this could wait for.
    pub(in crate::meta) fn locked_writer(&self) -> MutexGuard<'_, Writer> {
        held::check_none(self);
        // Whoever has it may be at the disk, as a checkpoint is.
        if let Ok(writer) = self.writer.try_lock() {
            return writer;
        }
        about_to_wait();
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::meta) fn count_lock(&self) -> MutexGuard<'_, ()> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub(in crate::meta) fn check_writable(&self) -> Result<()> {
        if self.is_stopped() {
            Err(Error::Stopped)
        } else {
            Ok(())
        }
    }

    /// Passes the error on, after stopping all writing if it calls for that.
    pub(in crate::meta) fn noted(&self, error: Error) -> Error {
        if error.is_fatal_to_writing() {
            log::error!("stopped writing: {error:?}");
            self.stop(with_causes(&error));
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
    /// Those of `note`. A database that cannot grow keeps its log, which is durable.
    pub fn close<E: From<Error>>(
        self,
        note: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.check_writable()?;
        let writer = self
            .writer
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        // While another connection has a read mark, the log cannot be cut off.
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
        let closed = writer.session.into_conn().close();
        Ok(closed.map_err(|(_, error)| Error::from(error))?)
    }
}
