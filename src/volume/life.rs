//! The life of a volume: created, opened, closed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::background::Workers;
use super::config::{Config, FORMAT, RootOwner, edit};
use super::core::{Core, Identity};
use super::durability::disk::Disk;
use super::durability::recovered::{Log, Past, recovered};
use super::durability::reserve::Reserve;
use super::elsewhere::{Fetcher, Rows};
use super::error::{Error, Result};
use super::handle::Volume;
use super::health::repair;
use super::health::scrubber::Scrubber;
use super::history::group_snapshot::conclude_groups;
use super::layout::{DATABASE, REPAIR, SEGMENTS, restrict};
use super::lock::DirLock;
use super::metadata::Metadata;
use super::space::compression::Packing;
use super::space::limits::Bounds;
use super::space::reaper::free_ended;
use super::tuning::Tuning;
use crate::chunks::ChunkStore;
use crate::durable;
use crate::meta::{Copies, Database, Home};
use crate::types::{Attr, ChunkBytes, FileKind, Ino, Limits, MODE_BITS, Timestamp};

/// Makes a new, empty volume in `dir`, which must not exist; its parent must.
///
/// `volume.json` is written last: what has none is no volume. On an error nothing is left.
///
/// # Errors
/// [`Error::Exists`] when `dir` is there already; [`Error::Storage`].
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

impl Volume {
    /// Opens the volume in `dir` and takes its lock.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotAVolume`], [`Error::NewerFormat`], [`Error::Corrupt`], [`Error::Storage`].
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, Tuning::default())
    }

    /// As [`Self::open`], with a tuning of its background.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with(dir: &Path, tuning: Tuning) -> Result<Self> {
        // What is no volume gets no lock file either.
        drop(Config::load(dir)?);
        let dir = resolve(dir)?;
        let lock = DirLock::take(&dir)?;
        // Read again: whoever had the lock may have changed it.
        let config = Config::load(&dir)?;
        Self::open_locked(dir, config, lock, tuning, |_| Ok(()))
    }

    /// As [`Self::open_with`], for a process that was given the volume's lock by the one that had the volume open
    /// before. `before_step` is called with the present format before a volume of an earlier one is brought to it.
    ///
    /// # Errors
    /// Those of [`Self::open`]; [`Error::Storage`] with what `before_step` says: the volume is of its format still.
    pub fn open_held(
        dir: &Path,
        lock: DirLock,
        tuning: Tuning,
        before_step: impl FnOnce(u32) -> io::Result<()>,
    ) -> Result<Self> {
        let (config, dir) = (Config::load(dir)?, resolve(dir)?);
        Self::open_locked(dir, config, lock, tuning, before_step)
    }

    fn open_locked(
        dir: PathBuf,
        mut config: Config,
        lock: DirLock,
        tuning: Tuning,
        before_step: impl FnOnce(u32) -> io::Result<()>,
    ) -> Result<Self> {
        if matches!(&config.origin, Some(origin) if origin.rows == Rows::Elsewhere) {
            return Err(Error::Awaited);
        }
        debug_assert!(
            lock.is_held(),
            "invariant 11: another process has the volume"
        );
        let log = match repair::finish(&dir)? {
            Some(_) => Log::Gone,
            None => Log::Expected,
        };
        repair::clear(&dir.join(REPAIR))?;
        let mut past = recovered(&dir, log, |outcome| outcome)?;
        let found_at_open = std::mem::take(&mut past.found);
        // As late as can be, but never after: whoever could start a program before this one must have been told when the
        // tables change, for it could not open them. A death between the two costs the way back, and nothing else.
        if config.format < FORMAT {
            before_step(FORMAT)
                .map_err(|e| Error::storage("cannot announce the step to a newer format", e))?;
        }
        let core = Arc::new(open_core(dir, &config, past, tuning)?);
        if config.format < FORMAT {
            // Opening it has brought the tables to the present format.
            edit(core.dir(), |config| config.format = FORMAT)?;
            config.format = FORMAT;
        }
        count_and_call(&core, &config)?;
        let workers = Workers::start(&core)?;
        conclude_groups(&core);
        Ok(Self {
            core,
            config,
            workers,
            found_at_open,
            lock,
        })
    }

    /// Frees what nobody holds any more, makes everything durable, marks the volume clean and gives up
    /// the lock.
    ///
    /// # Errors
    /// [`Error::Storage`]: the volume was then not closed cleanly, and will be recovered at the next open.
    pub fn close(self) -> Result<()> {
        let Self {
            core,
            mut workers,
            lock,
            ..
        } = self;
        // The checkpointer stays: what is freed below may be much, and who writes much waits for it.
        workers.leave_checkpointer();
        if let Err(error) = free_ended(&core) {
            log::warn!("removed files are left for the next open: {error}");
        }
        drop(workers);
        if let Some(reason) = core.database().stopped_by() {
            return Err(Error::Storage {
                what: "writing had stopped".to_owned(),
                source: io::Error::other(reason.to_owned()),
            });
        }
        core.disk().sync()?;
        let (path, has_copies) = (core.dir().join(DATABASE), has_copies(&core));
        // The threads behind had the only other shares, and have ended.
        let core = Arc::into_inner(core).ok_or_else(|| Error::bug("the volume is still in use"))?;
        let (disk, reserve) = core.into_metadata().into_parts();
        disk.close(&reserve)?;
        reserve.restore();
        if !has_copies && let Ok(database) = fs::metadata(path) {
            reserve.shrink(database.len());
        }
        // Last of all: nobody opens the volume before it says that it is clean (invariant 11).
        drop(lock);
        Ok(())
    }
}

/// A volume with limits must know what it holds; what was left unfinished goes on.
fn count_and_call(core: &Core, config: &Config) -> Result<()> {
    if config.limits != Limits::default() {
        core.database().tally()?;
    }
    let session = core.database().read_once()?;
    if session.has_purge()? || session.has_copies(Copies::All)? {
        core.lookups().call_backlog();
    }
    Ok(())
}

/// Whether extents are still to be written that were promised. Who cannot say must assume so.
fn has_copies(core: &Core) -> bool {
    let session = core.database().read_once();
    session
        .and_then(|session| session.has_copies(Copies::All))
        .unwrap_or(true)
}

fn resolve(dir: &Path) -> Result<PathBuf> {
    dir.canonicalize()
        .map_err(|e| Error::storage(format!("cannot resolve {}", dir.display()), e))
}

/// Opens what is in `dir`, which this process has locked, and whose past is dealt with.
fn open_core(dir: PathBuf, config: &Config, past: Past, tuning: Tuning) -> Result<Core> {
    let Past {
        state, mark, next, ..
    } = past;
    let (segments, path) = (dir.join(SEGMENTS), dir.join(DATABASE));
    // Before the database, which may need the space to be opened at all.
    let reserve = Reserve::open(&dir)?;
    // First the log: one that is missing, or short, counts as damage once the volume is noted as open.
    let database = match Database::open(&path) {
        Err(_) if reserve.release_if_needed() => Database::open(&path)?,
        opened => opened?,
    };
    reserve.spend_on(|| state.store_open(mark, next))?;
    let disk = Disk::new(database, ChunkStore::open(&segments, next)?, state);
    let scrubber = Scrubber::new(&dir, config.scrub_rate);
    let identity = Identity {
        dir,
        uuid: config.uuid,
        // Others were refused when the configuration was read.
        chunk_bytes: ChunkBytes::new(config.chunk_bytes).unwrap_or(ChunkBytes::DEFAULT),
    };
    let metadata = Metadata::new(disk, reserve, Bounds::new(config.limits), config.seal);
    let compression = Packing::new(config.compression);
    let origin = config.origin.clone();
    let fetcher = origin.map(|origin| Fetcher::new(origin, &identity.dir));
    let behind = (scrubber, fetcher);
    Ok(Core::new(identity, metadata, compression, behind, tuning))
}
