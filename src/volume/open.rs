//! The life of a volume: created, opened, closed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::background::Workers;
use super::collector::{Collecting, Collector};
use super::config::FORMAT;
use super::core::Core;
use super::drain::Arrivals;
use super::limits::Bounds;
use super::lock::DirLock;
use super::packing::Packing;
use super::refused::RefusedWrites;
use super::reserve::Reserve;
use super::residents::Residents;
use super::scrub::Scrubber;
use super::state::{State, StateFile};
use super::sync::SyncGroup;
use super::{Config, Error, Result, RootOwner, Volume, recover, repair, store};
use crate::chunks::{ChunkStore, SyncMark, durable};
use crate::meta::{Copies, CutLog, Database, Home};
use crate::types::{Attr, ChunkBytes, FileKind, Ino, Limits, MODE_BITS, SegmentId, Timestamp};

pub(super) const DATABASE: &str = "meta.db";
pub(super) const SEGMENTS: &str = "segments";

/// Makes a new, empty volume in `dir`, which must not exist; its parent must.
///
/// `volume.json` is written last: what has none is no volume. On an error nothing is left.
///
/// # Errors
/// [`Error::Exists`] when `dir` is there already; I/O errors.
pub fn create(dir: &Path, config: &Config, root: RootOwner) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(Error::Exists),
        Err(e) => {
            return Err(Error::storage(
                format!("cannot create {}", dir.display()),
                e,
            ));
        }
    }
    let made = fill(dir, config, root);
    if made.is_err()
        && let Err(error) = fs::remove_dir_all(dir)
    {
        log::warn!("cannot remove {}: {error}", dir.display());
    }
    made
}

fn fill(dir: &Path, config: &Config, root: RootOwner) -> Result<()> {
    let segments = dir.join(SEGMENTS);
    let made = DirBuilder::new().mode(0o700).create(&segments);
    made.map_err(|e| Error::storage(format!("cannot create {}", segments.display()), e))?;
    let path = dir.join(DATABASE);
    Database::create(&path, |tx| {
        tx.insert_inode(&root_attr(root), Home::ROOT, None)
    })?;
    restrict(&path)?;
    config.store(dir)?;
    durable::sync_parent(dir)
        .map_err(|e| Error::storage(format!("cannot sync {}", dir.display()), e))
}

fn root_attr(root: RootOwner) -> Attr {
    let now = Timestamp::now();
    Attr {
        ino: Ino::ROOT,
        kind: FileKind::Directory,
        mode: root.mode & MODE_BITS,
        uid: root.uid,
        gid: root.gid,
        nlink: 2,
        size: 0,
        allocated: 0,
        rdev: 0,
        atime: now,
        mtime: now,
        ctime: now,
    }
}

/// SQLite makes its files by the umask; the log and the shared memory take the database's mode.
pub(super) fn restrict(path: &Path) -> Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(path, mode)
        .map_err(|e| Error::storage(format!("cannot restrict {}", path.display()), e))
}

impl Volume {
    /// Opens the volume in `dir` and takes its lock.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotAVolume`], [`Error::NewerFormat`], [`Error::Corrupt`], I/O errors.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, Collecting::of_environment())
    }

    /// As [`Self::open`], whatever the environment says of the collector.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with(dir: &Path, collecting: Collecting) -> Result<Self> {
        // What is no volume gets no lock either.
        drop(Config::load(dir)?);
        let dir = resolve(dir)?;
        let lock = DirLock::take(&dir)?;
        // Read again: whoever had the lock may have changed it.
        let config = Config::load(&dir)?;
        Self::open_locked(dir, config, lock, collecting)
    }

    /// As [`Self::open`], for a process that was given the volume's lock by the one that had the volume open before.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_held(dir: &Path, lock: DirLock) -> Result<Self> {
        let (config, dir) = (Config::load(dir)?, resolve(dir)?);
        Self::open_locked(dir, config, lock, Collecting::of_environment())
    }

    fn open_locked(
        dir: PathBuf,
        mut config: Config,
        lock: DirLock,
        collecting: Collecting,
    ) -> Result<Self> {
        let log = match repair::finish(&dir)? {
            Some(_) => Log::Gone,
            None => Log::Expected,
        };
        repair::clear(&dir.join(repair::SCRATCH))?;
        let mut past = recovered(&dir, log, |outcome| outcome)?;
        let found_at_open = std::mem::take(&mut past.found);
        let core = Arc::new(open_core(&dir, &config, past, collecting)?);
        if config.format < FORMAT {
            // Opening it has brought the tables to the present format.
            store::edit(&dir, |config| config.format = FORMAT)?;
            config.format = FORMAT;
        }
        if config.limits != Limits::default() {
            core.database.tally()?;
        }
        let is_behind = {
            let session = core.database.read_once()?;
            session.has_purge()? || session.has_copies(Copies::All)?
        };
        if is_behind {
            core.residents.call_backlog();
        }
        let workers = Workers::start(&core)?;
        let volume = Self {
            core,
            config,
            dir,
            workers,
            found_at_open,
            lock,
        };
        volume.settle_cuts();
        Ok(volume)
    }

    /// Frees what nobody holds any more, makes everything durable, marks the volume clean and gives up
    /// the lock.
    ///
    /// # Errors
    /// I/O errors: the volume was then not closed cleanly, and will be recovered at the next open.
    pub fn close(self) -> Result<()> {
        let Self {
            core,
            mut workers,
            lock,
            ..
        } = self;
        workers.leave_checkpointer();
        if let Err(error) = core.free_ended() {
            log::warn!("removed files are left for the next open: {error}");
        }
        drop(workers);
        core.sync()?;
        let mark = core.sync_chunks()?;
        core.store.trim();
        let Core {
            database,
            store,
            state,
            reserve,
            ..
        } = Arc::into_inner(core).ok_or_else(|| Error::bug("the volume is still in use"))?;
        database
            .close(|| with_reserve(&reserve, || state.store_clean(mark, store.next_segment())))?;
        drop(lock);
        Ok(())
    }
}

fn resolve(dir: &Path) -> Result<PathBuf> {
    dir.canonicalize()
        .map_err(|e| Error::storage(format!("cannot resolve {}", dir.display()), e))
}

/// Whether there must be a log if the volume was not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    Expected,
    /// A repair has put it aside.
    Gone,
}

/// What the last one who had the volume open left.
pub(super) struct Past {
    pub(super) state: StateFile,
    pub(super) mark: SyncMark,
    pub(super) next: SegmentId,
    /// Damage of the log, which is gone once SQLite has it.
    pub(super) found: Vec<String>,
}

/// Makes what an earlier server left in `dir`, which this process has locked, safe to be taken over; `judge` may let
/// pass what cannot be recovered from a power cut.
///
/// What it appended may be in the host's memory only: it is made durable before its log is taken over, for nobody
/// would sync it later.
pub(super) fn recovered(
    dir: &Path,
    log: Log,
    judge: impl Fn(Result<()>) -> Result<()>,
) -> Result<Past> {
    let state = StateFile::of(dir)?;
    let before = state.load()?;
    let mark = before.as_ref().map_or(START, State::mark);
    let next = before.as_ref().map_or(FIRST, State::next).max(FIRST);
    let path = dir.join(DATABASE);
    if !path.is_file() {
        return Err(Error::Corrupt(format!("{} is missing", path.display())));
    }
    let mut found = Vec::new();
    // What cannot be understood counts as a power cut.
    if before
        .as_ref()
        .is_none_or(|before| state.lost_power(before))
    {
        judge(recover::after_power_cut(dir, mark))?;
    } else if log == Log::Expected && before.as_ref().is_some_and(|before| !before.clean) {
        found.extend(CutLog::read(&path)?.damage());
    }
    for damage in &found {
        log::error!("{}: {damage}", dir.display());
    }
    if before.is_none_or(|before| !before.clean) {
        ChunkStore::sync_leftovers(&dir.join(SEGMENTS), mark.segment)?;
    }
    Ok(Past {
        state,
        mark,
        next,
        found,
    })
}

/// Opens what is in `dir`, which this process has locked, and whose past is settled.
fn open_core(dir: &Path, config: &Config, past: Past, collecting: Collecting) -> Result<Core> {
    let Past {
        state, mark, next, ..
    } = past;
    let (segments, path) = (dir.join(SEGMENTS), dir.join(DATABASE));
    let reserve = Reserve::open(dir)?;
    // First the log: one that is missing, or short, counts as damage once the volume is noted as open.
    let database = match Database::open(&path) {
        Err(_) if reserve.release_if_needed() => Database::open(&path)?,
        opened => opened?,
    };
    with_reserve(&reserve, || state.store_open(mark, next))?;
    Ok(Core {
        database,
        store: ChunkStore::open(&segments, next)?,
        chunk_bytes: ChunkBytes::new(config.chunk_bytes).unwrap_or(ChunkBytes::DEFAULT),
        syncs: SyncGroup::default(),
        residents: Residents::default(),
        reserve,
        state,
        seal: config.seal,
        collector: Collector::new(collecting),
        bounds: Bounds::new(config.limits),
        packing: Packing::new(config.compression),
        arrivals: Arrivals::default(),
        scrubber: Scrubber::new(dir, config.scrub_rate),
        refused: RefusedWrites::default(),
        headroom: Arc::default(),
        copies_held: AtomicUsize::new(0),
    })
}

/// Does something that must work on a full disk, too.
fn with_reserve(reserve: &Reserve, act: impl Fn() -> Result<()>) -> Result<()> {
    match act() {
        Err(Error::NoSpace) => {
            reserve.release();
            act()
        }
        result => result,
    }
}

const FIRST: SegmentId = SegmentId::from_raw(1);
const START: SyncMark = SyncMark {
    segment: SegmentId::from_raw(0),
    offset: 0,
};
