//! Making a damaged volume sound again, as far as what is left allows: what cannot be had back reads as an error.
//!
//! All is done to a copy of the database. It takes the place of the database at the very end, by a rename that an
//! open finishes if the repair was interrupted (`swap`); before it, nothing but garbage was added to the volume.

mod chunks;
mod sources;
mod swap;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::chunks::{ChunkStore, Stream};
use crate::meta::{self, Mend, Missed, Workpiece, log_path, salvage};
use crate::types::{ChunkId, Epoch, Repaired};
use crate::volume::awaited::Awaited;
use crate::volume::chunk_source::ChunkSource;
use crate::volume::config::{Config, FORMAT};
use crate::volume::durability::recovered::{Log, Past, recovered};
use crate::volume::error::{Error, Result};
use crate::volume::health::describe::describe;
use crate::volume::history::paths;
use crate::volume::layout::REPAIR;
use crate::volume::layout::{DATABASE, SEGMENTS, restrict};
use crate::volume::lock::DirLock;
use crate::volume::watch::Watch;

pub(in crate::volume) use swap::finish;

/// What is salvaged goes here.
const FRESH: &str = "fresh.db";

/// Repairs the volume in `dir`, which nobody has open, reading all its data. Where nothing is wrong, nothing is
/// changed.
///
/// # Errors
/// [`Error::InUse`]; [`Error::Corrupt`] when nothing can be salvaged, and nothing was changed; [`Error::Storage`].
pub fn repair(dir: &Path, watch: Watch<'_>) -> Result<Repaired> {
    repair_from(dir, &[], watch)
}

/// As [`repair`]; a chunk that the volume no longer has is looked for where there may be copies, in this order, before
/// it is given up.
///
/// # Errors
/// Those of [`repair`].
pub fn repair_from(dir: &Path, sources: &[&dyn ChunkSource], watch: Watch<'_>) -> Result<Repaired> {
    let cannot = |e| Error::storage(format!("cannot repair {}", dir.display()), e);
    let dir = dir.canonicalize().map_err(cannot)?;
    // What is there of its tables is not whole, and is made anew by whoever mounts it.
    if matches!(Awaited::is_in(&dir), Ok(true)) {
        return Err(Error::Awaited);
    }
    if !dir.join(DATABASE).is_file() {
        return Err(Error::Corrupt(format!(
            "{DATABASE} is missing, and without it nobody knows the files: nothing was changed"
        )));
    }
    let _lock = DirLock::take(&dir)?;
    let mut changes = Vec::new();
    let config = config(&dir, &mut changes)?;
    // An earlier repair that was interrupted is finished first: the log beside it belongs to a database that is none
    // any more.
    let log = match finish(&dir)? {
        Some(_) => Log::Gone,
        None => Log::Expected,
    };
    let done = attempt(&dir, (&config, log), changes, (sources, watch));
    clear(&dir.join(REPAIR))?;
    done
}

fn attempt(
    dir: &Path,
    (config, log): (&Config, Log),
    mut changes: Vec<String>,
    means: (&[&dyn ChunkSource], Watch<'_>),
) -> Result<Repaired> {
    let past = prepare(dir, log)?;
    changes.extend(past.found.iter().cloned());
    let copied = Copied::make(dir)?;
    let (mut piece, path) = copied.open(&mut changes)?;
    let store = ChunkStore::open(&dir.join(SEGMENTS), past.next)?;
    let lost = mend(&mut piece, &store, dir, means, &mut changes)?;
    drop(piece);
    let mut kept = None;
    if !changes.is_empty() {
        // In this order: bytes before the rows that name them (invariant 1), and the swap when all else is in place.
        let mark = store.sync(Stream::Moved, std::convert::identity)?;
        store.trim();
        restrict(&path)?;
        config.store(dir)?;
        swap::offer(&path, dir)?;
        kept = finish(dir)?;
        // Last: an end before it makes the next open recover what needs no recovery, and nothing worse.
        past.state.store_clean(mark, store.next_segment(), None)?;
    }
    Ok(Repaired {
        changes,
        kept,
        lost,
    })
}

/// Mends the copy and returns what is lost; adds to what was changed.
fn mend(
    piece: &mut Workpiece,
    store: &ChunkStore,
    dir: &Path,
    means: (&[&dyn ChunkSource], Watch<'_>),
    changes: &mut Vec<String>,
) -> Result<Vec<String>> {
    piece.mend()?;
    let found = chunks::mend(piece, store, &dir.join(SEGMENTS), means)?;
    piece.finish()?;
    for mend in piece.mends() {
        changes.push(sentence(piece, mend)?);
    }
    changes.extend(found);
    let lost = describe(piece, piece.lost(), "are lost: reading them is an error")?;
    changes.extend(lost);
    describe(piece, &all_lost(piece)?, "are lost")
}

fn all_lost(piece: &Workpiece) -> Result<BTreeSet<ChunkId>> {
    let mut lost = BTreeSet::new();
    let mut after = ChunkId(i64::MIN);
    loop {
        let found = piece.chunks_after(after, chunks::ROWS)?;
        let Some(last) = found.last() else {
            return Ok(lost);
        };
        after = last.id;
        lost.extend(
            found
                .iter()
                .filter(|one| one.at.is_lost())
                .map(|one| one.id),
        );
    }
}

/// What was done, to what: by its path if it has one.
fn sentence(piece: &Workpiece, mend: &Mend) -> Result<String> {
    let Some(ino) = mend.ino else {
        return Ok(format!("metadata: {}", mend.what));
    };
    let view = piece.view(Epoch(i64::MAX));
    let path = match view.inode(ino)? {
        Some(inode) => paths::of_inode(view, &inode).ok(),
        None => None,
    };
    let name = path.map_or_else(
        || ino.to_string(),
        |path| String::from_utf8_lossy(&path).into_owned(),
    );
    Ok(format!("metadata: {name}: {}", mend.what))
}

/// The configuration, or what is left of it.
fn config(dir: &Path, changes: &mut Vec<String>) -> Result<Config> {
    let mut config = match Config::load(dir) {
        Err(Error::NotAVolume { reason, .. }) => {
            let (config, missing) = Config::left_in(dir)?;
            changes.push(format!(
                "configuration: {reason}: it is written anew, without {}",
                if missing.is_empty() {
                    "a loss".to_owned()
                } else {
                    missing.join(", ")
                }
            ));
            config
        }
        loaded => loaded?,
    };
    config.format = FORMAT;
    Ok(config)
}

/// What every open does first; damage is for the repair to find.
fn prepare(dir: &Path, log: Log) -> Result<Past> {
    let segments = dir.join(SEGMENTS);
    match DirBuilder::new().mode(0o700).create(&segments) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            let what = format!("cannot create {}", segments.display());
            return Err(Error::storage(what, e));
        }
        _ => {}
    }
    recovered(dir, log, |outcome| match outcome {
        Err(Error::Corrupt(what)) => {
            log::warn!("the log is taken as it is: {what}");
            Ok(())
        }
        outcome => outcome,
    })
}

/// The database and its log, copied to where they can be worked on.
struct Copied<'d> {
    dir: &'d Path,
    scratch: PathBuf,
}

impl<'d> Copied<'d> {
    fn make(dir: &'d Path) -> Result<Self> {
        let copied = Self {
            dir,
            scratch: dir.join(REPAIR),
        };
        copied.again()?;
        Ok(copied)
    }

    fn again(&self) -> Result<()> {
        clear(&self.scratch)?;
        let cannot = |e| Error::storage(format!("cannot copy {DATABASE}"), e);
        DirBuilder::new()
            .mode(0o700)
            .create(&self.scratch)
            .map_err(cannot)?;
        let (from, to) = (self.dir.join(DATABASE), self.scratch.join(DATABASE));
        fs::copy(&from, &to).map_err(cannot)?;
        match fs::copy(log_path(&from), log_path(&to)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cannot(e)),
            _ => Ok(()),
        }
    }

    /// The copy, or where that is too damaged, what can be salvaged of it; and its path.
    fn open(&self, changes: &mut Vec<String>) -> Result<(Workpiece, PathBuf)> {
        let (copy, fresh) = (self.scratch.join(DATABASE), self.scratch.join(FRESH));
        let damage = match Workpiece::open(&copy) {
            Ok(piece) => return Ok((piece, copy)),
            Err(meta::Error::Corrupt(damage)) => damage,
            Err(error) => return Err(error.into()),
        };
        self.again()?;
        // From a copy that is as the original was: the attempt to open the other may have changed it.
        let missed = salvage(&copy, &fresh).map_err(|error| match error {
            meta::Error::Corrupt(what) => Error::Corrupt(format!(
                "the database cannot be salvaged: {what}; nothing was changed"
            )),
            error => error.into(),
        })?;
        changes.push(salvaged(&damage, &missed));
        Ok((Workpiece::open(&fresh)?, fresh))
    }
}

fn salvaged(damage: &str, missed: &Missed) -> String {
    let lost = if missed.tables.is_empty() {
        "all rows could be read".to_owned()
    } else {
        format!("some rows are lost of {}", missed.tables.join(", "))
    };
    let mended = match missed.mended.len() {
        0 => String::new(),
        count => format!("; in {count} of its pages a bit had changed, which was put right"),
    };
    format!(
        "database: it is made anew of what can be read, for it is damaged ({damage}): {lost}{mended}"
    )
}

/// Removes what a repair, ended or interrupted, worked on.
pub(in crate::volume) fn clear(scratch: &Path) -> Result<()> {
    match fs::remove_dir_all(scratch) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::storage(
            format!("cannot remove {}", scratch.display()),
            e,
        )),
        _ => Ok(()),
    }
}
