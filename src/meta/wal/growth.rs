//! How long the log may become, what it will need when it moves into the database, and syncing it for fsync(2).

use std::io;
use std::ops::RangeInclusive;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::meta::database::writer::Writer;
use crate::meta::error::is_full;
use crate::meta::wal::file::WRITTEN_AHEAD_BYTES;
use crate::meta::{Database, Error, Result, Session};
use crate::types::about_to_wait;

/// Frames (of one page each) at which a checkpoint is due at the latest: about 16 MiB.
pub(in crate::meta) const CHECKPOINT_FRAMES: u32 = 4000;
/// Frames beyond which a checkpoint gives a full disk room again: 1 MiB.
const WORTH_FRAMES: u32 = 256;
/// The log keeps all that it grew to when it begins anew (sqlite.org/pragma.html, "journal_size_limit"): to cut off some
/// hundred MiB takes the host as many milliseconds, with the writers held.
const ALL_KEPT: i64 = -1;
/// Bytes that it keeps on a full disk, where the database may have to grow into it; a shorter log would count as damaged.
const SHORT_KEPT_BYTES: i64 = WRITTEN_AHEAD_BYTES.cast_signed();
/// Frames beyond which writers wait for the checkpointer: about 64 MiB.
pub(in crate::meta) const CAP_FRAMES: u32 = 16_000;
/// The same while a long read keeps the log from beginning anew: about 1 GiB.
const LONG_CAP_FRAMES: u32 = 16 * CAP_FRAMES;
/// How long one change waits for a log that is over its cap. So many wait so often then that the checkpointer catches up,
/// and nobody notices: to make a small file takes three changes.
const WAIT_MAX: Duration = Duration::from_millis(10);
/// The same on a full disk.
const SHORT_WAIT_MAX: Duration = Duration::from_secs(2);
/// The database's file is set aside on the host in steps of a part of itself, and these bytes at least and at most: few
/// commits have to ask for space, and a small database takes little more than its pages.
const STEP_PART: u64 = 8;
const STEP_BYTES: RangeInclusive<u64> = 64 * 1024..=4 * 1024 * 1024;
/// What the log begins with, and a frame: a header and a page (sqlite.org/fileformat2.html, section 4.1).
const LOG_HEADER_BYTES: u64 = 32;
const FRAME_BYTES: u64 = 24 + PAGE_BYTES;
const PAGE_COUNT: &str = "PRAGMA page_count";
const PAGE_BYTES: u64 = 4096;

/// How long the log may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLength {
    /// As long as its cap.
    Usual,
    /// So many bytes and a transaction: there is no space on the host.
    Short(u64),
}

impl LogLength {
    /// In frames; 0 for the usual.
    fn frames(self) -> u32 {
        match self {
            Self::Usual => 0,
            Self::Short(bytes) => u32::try_from(bytes / FRAME_BYTES)
                .unwrap_or(CHECKPOINT_FRAMES)
                .clamp(1, CHECKPOINT_FRAMES),
        }
    }
}

impl Session {
    /// How large the database is, with what the transaction under way adds to it.
    pub fn page_bytes(&self) -> Result<u64> {
        let mut stmt = self.conn().prepare_cached(PAGE_COUNT)?;
        let pages: i64 = stmt.query_row([], |row| row.get(0))?;
        Ok(pages.cast_unsigned() * PAGE_BYTES)
    }
}

impl Database {
    /// Makes every commit durable that had returned, if the chunks that it names are.
    ///
    /// # Errors
    /// [`Error::Wal`] when the host fails to sync; all writing is stopped then.
    pub fn sync_wal(&self) -> Result<()> {
        self.check_writable()?;
        self.wal
            .sync()
            .map_err(|source| self.noted(Error::Wal { op: "sync", source }))
    }

    /// The same, while `meanwhile` makes durable what those commits name. Where both fail the log's error is told.
    ///
    /// # Errors
    /// Those of `meanwhile`, and of [`Self::sync_wal`].
    pub fn sync_wal_while<E: From<Error>>(
        &self,
        meanwhile: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.check_writable()?;
        let (named, synced) = self.wal.sync_while(meanwhile);
        synced.map_err(|source| self.noted(Error::Wal { op: "sync", source }))?;
        named
    }

    /// Has the host set aside what the database will be as large as, before a commit makes it so: a
    /// checkpoint then needs no space, and a full disk can always be got out of.
    pub(in crate::meta) fn make_room(&self, writer: &mut Writer) -> Result<()> {
        let needed = writer.session.page_bytes()?;
        if needed <= writer.allocated {
            return Ok(());
        }
        let step = (needed / STEP_PART).next_power_of_two();
        let step = step.clamp(*STEP_BYTES.start(), *STEP_BYTES.end());
        let target = needed.next_multiple_of(step);
        let set_aside = |bytes| self.set_aside(bytes).map(|()| bytes);
        let allocated = set_aside(target).or_else(|_| set_aside(needed));
        writer.allocated = allocated.map_err(|source| match source.kind() {
            kind if is_full(kind) => Error::Full,
            _ => Error::Wal {
                op: "set space aside behind",
                source,
            },
        })?;
        Ok(())
    }

    /// Has the host set aside a database of so many bytes, and what else it needs then.
    fn set_aside(&self, bytes: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, bytes) {
            // Where space cannot be set aside (some network filesystems) a checkpoint may find the disk full.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.companion.grow(bytes),
            Err(e) => Err(e.into()),
        }
    }

    /// Has `grow` run before a commit makes the database larger than it was, with the bytes that it then takes: what it
    /// cannot set aside for a database of that size keeps the commit from happening. It is called with the writer held.
    pub fn grow_with(&self, grow: impl Fn(u64) -> io::Result<()> + Send + Sync + 'static) {
        self.companion.set(Box::new(grow));
    }

    /// Writes the log ahead of the last commit, with the writer held. On a full disk the space is for others.
    pub(in crate::meta) fn write_log_ahead(&self, writer: &mut Writer) {
        let frames = self.log_frames();
        // A commit that changed nothing writes nothing.
        if frames > 0 && writer.log_written < WRITTEN_AHEAD_BYTES && !self.is_log_short() {
            let used = LOG_HEADER_BYTES + u64::from(frames) * FRAME_BYTES;
            writer.log_written = self.wal.write_ahead(used, writer.log_written);
        }
    }

    /// Whether the log must stay short, for want of space.
    pub(in crate::meta) fn is_log_short(&self) -> bool {
        self.progress.short.load(Ordering::Relaxed) != 0
    }

    /// Frames at which a checkpoint is due.
    fn due_frames(&self) -> u32 {
        match self.progress.short.load(Ordering::Relaxed) {
            0 => CHECKPOINT_FRAMES,
            frames => frames,
        }
    }

    /// After a checkpoint that copied all of the log SQLite truncates the database to its pages, and the host takes back
    /// what was set aside beyond them (walCheckpoint in wal.c; ext4 and tmpfs free blocks behind the end of a file).
    pub(in crate::meta) fn make_room_anew(&self, writer: &mut Writer) -> Result<()> {
        writer.allocated = 0;
        match self.make_room(writer) {
            // The next commit that makes the database larger is refused.
            Err(Error::Full) => Ok(()),
            result => result,
        }
    }

    /// Wakes the checkpointer when a commit made the log long enough.
    pub(in crate::meta) fn note_growth(&self) {
        if self.is_checkpoint_due() {
            self.progress.grown.notify_all();
        }
    }

    /// How long a change has to wait for a log that is over its cap; `None` when it is not.
    pub(in crate::meta) fn wait_due(&self) -> Option<Duration> {
        let frames = self.log_frames();
        if self.is_log_short() {
            // Beside a long read no waiting makes it shorter.
            let wait = if self.gate.has_long() {
                WAIT_MAX
            } else {
                SHORT_WAIT_MAX
            };
            return (frames > self.due_frames()).then_some(wait);
        }
        let has_room = || frames <= LONG_CAP_FRAMES && self.gate.has_long();
        (frames > CAP_FRAMES && !has_room()).then_some(WAIT_MAX)
    }

    /// Waits while the log is over its cap, for the checkpointer to begin it anew.
    pub(in crate::meta) fn wait_for_log(&self) {
        let Some(wait) = self.wait_due() else {
            return;
        };
        about_to_wait();
        let guard = self
            .progress
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.progress.grown.notify_all();
        // A checkpoint may be impossible for now (a full disk): then the log grows, rather than hang.
        let waited = self
            .progress
            .shortened
            .wait_timeout_while(guard, wait, |()| {
                self.wait_due().is_some() && !self.is_stopped()
            });
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until a checkpoint is due, or for `idle`, or until [`Self::wake_checkpointer`].
    pub fn wait_for_growth(&self, idle: Duration) {
        let guard = self
            .progress
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.is_checkpoint_due() {
            return;
        }
        let waited = self.progress.grown.wait_timeout(guard, idle);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether the log must stay short, for want of space.
    pub fn keep_log(&self, length: LogLength) {
        self.progress
            .short
            .store(length.frames(), Ordering::Relaxed);
    }

    /// How many bytes of the log are kept on the disk when it begins anew; [`ALL_KEPT`] for all.
    pub(in crate::meta) fn kept_log_bytes(&self) -> i64 {
        if self.is_log_short() {
            SHORT_KEPT_BYTES
        } else {
            ALL_KEPT
        }
    }

    /// Ends a [`Self::wait_for_growth`].
    pub fn wake_checkpointer(&self) {
        let _guard = self
            .progress
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.progress.grown.notify_all();
    }

    /// Whether a checkpoint would give back space that is worth it, where the host has no more.
    #[must_use]
    pub fn has_long_log(&self) -> bool {
        self.log_frames() > WORTH_FRAMES
    }

    /// How often the log began anew since the database was opened.
    #[must_use]
    pub fn log_beginnings(&self) -> u32 {
        self.progress.begun.load(Ordering::Relaxed)
    }

    /// How many frames the log has, as of the last commit.
    pub(in crate::meta) fn log_frames(&self) -> u32 {
        self.progress.frames.load(Ordering::Relaxed)
    }

    /// How long the part of the log is that a checkpoint has still to move into the database, in bytes.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        u64::from(self.progress.frames.load(Ordering::Relaxed)) * PAGE_BYTES
    }

    /// Whether the log is long enough for a checkpoint.
    #[must_use]
    pub fn is_checkpoint_due(&self) -> bool {
        self.log_frames() >= self.due_frames()
    }
}
