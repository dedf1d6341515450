//! Independent volumes made from a state of this one: a copy of the database, and hard links to the segments.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::durable;
use crate::meta::{Database, Snapshot};
use crate::types::{SnapshotName, VolumeId};
use crate::volume::config::Config;
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::layout::{DATABASE, SEGMENTS, restrict};

/// As [`crate::volume::Volume::clone_into`].
pub(super) fn clone_into(
    core: &Core,
    from: Option<&Snapshot>,
    dir: &Path,
    config: &Config,
) -> Result<()> {
    let cannot = |e| Error::storage(format!("cannot make a clone in {}", dir.display()), e);
    DirBuilder::new().mode(0o700).create(dir).map_err(cannot)?;
    let segments = dir.join(SEGMENTS);
    DirBuilder::new()
        .mode(0o700)
        .create(&segments)
        .map_err(cannot)?;
    let path = dir.join(DATABASE);
    // Before the database is copied: no segment that the copy names may go before it is linked (invariant 10).
    let _kept = core.gc().keep_segments();
    core.database().copy_to(&path)?;
    restrict(&path)?;
    // What the copy names was appended before it was made.
    core.disk().sync_chunks()?;
    let database = Database::open(&path)?;
    detach(&database, from)?;
    // Now that its history is gone: only what its own head names.
    let needed = database.read_once()?.segments()?;
    database.close(|| Ok::<_, Error>(()))?;
    core.chunks().link_into(&segments, &needed)?;
    durable::sync_file(&path).map_err(cannot)?;
    // Last: what has no configuration is no volume.
    config.store(dir)
}

/// Makes a copied database one of its own: its head is the state to clone, and it has no history.
fn detach(database: &Database, from: Option<&Snapshot>) -> Result<()> {
    let mut tx = database.write()?;
    if let Some(from) = from {
        // Going back needs a snapshot of what is left behind; it goes with all the others.
        let passing: std::result::Result<SnapshotName, _> = VolumeId::random().to_string().parse();
        let passing = passing.map_err(|e| Error::bug(&e.to_string()))?;
        tx.insert_snapshot(&passing, "")?;
        tx.restore(from)?;
    }
    if from.is_some() || !tx.all_snapshots()?.is_empty() || tx.has_purge()? {
        tx.forget_history()?;
    }
    Ok(tx.commit()?)
}
