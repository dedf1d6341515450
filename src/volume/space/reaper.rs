//! Freeing inodes that have no name any more, in transactions of bounded length.

use std::collections::HashSet;
use std::ops::Range;

use crate::meta::{self, Copies, WriteTx};
use crate::types::Ino;
use crate::volume::core::Core;
use crate::volume::durability::copying::finish_copies;
use crate::volume::durability::refusal_record::clear_refused;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;

/// Rows that one transaction may remove: about 2 ms with the writer held.
const ROWS_MAX: usize = 512;
const WHOLE_FILE: Range<u64> = 0..crate::types::MAX_FILE_BYTES;

/// Frees the files that nobody holds any more; on an error those that are left are tried again later.
pub(in crate::volume) fn free_ended(core: &Core) -> Result<()> {
    // Whoever comes second, an fsync or a write at its limit, finds freed what the first took.
    let _alone = core.lookups().begin_freeing();
    free(core, core.lookups().take_ended()).map_err(|(left, error)| {
        core.lookups().put_back(left);
        error
    })
}

/// Frees these orphans; on an error returns those that are left.
fn free(core: &Core, mut inos: Vec<Ino>) -> std::result::Result<(), (Vec<Ino>, Error)> {
    if let Err(error) = put_sources_last(core, &mut inos) {
        return Err((inos, error));
    }
    while let Some(&first) = inos.first() {
        let copied = finish_copies(core, &[Copies::From(first)]);
        match copied.and_then(|()| {
            core.metadata()
                .change(Space::Frees, |tx| free_some(tx, &inos))
        }) {
            Ok(done) => inos
                .drain(..done)
                .for_each(|ino| clear_refused(core, ino, &(0..u64::MAX))),
            Err(Error::Corrupt(what)) => {
                // It must not keep the others from being freed.
                log::error!("cannot free {}: {what}", inos.remove(0));
            }
            Err(error) => return Err((inos, error)),
        }
    }
    Ok(())
}

/// What copies read takes space before it gives any back, and needs none if the copy goes first.
fn put_sources_last(core: &Core, inos: &mut [Ino]) -> Result<()> {
    if !core.database().may_be_copying() {
        return Ok(());
    }
    let tx = core.database().read()?;
    let are_read = inos
        .iter()
        .filter_map(|ino| match tx.has_copies(Copies::From(*ino)) {
            Ok(found) => found.then_some(Ok(*ino)),
            Err(error) => Some(Err(error)),
        })
        .collect::<meta::Result<HashSet<Ino>>>()?;
    inos.sort_by_key(|ino| are_read.contains(ino));
    Ok(())
}

/// Frees orphans from the front until the transaction is long enough; returns how many are gone.
fn free_some(tx: &mut WriteTx<'_>, inos: &[Ino]) -> Result<usize> {
    let mut budget = ROWS_MAX;
    for (done, &ino) in inos.iter().enumerate() {
        // Whoever frees what copies read has them written first, in steps.
        if budget == 0 || done > 0 && tx.has_copies(Copies::From(ino))? {
            return Ok(done);
        }
        let Some(inode) = tx.inode(ino)? else {
            tx.delete_orphan(ino)?;
            continue;
        };
        let mut rows = 1;
        if inode.attr.allocated > 0 {
            // The row of the inode goes last: until then it is an orphan, which the next open goes on with.
            let cleared = tx.clear_range(ino, &WHOLE_FILE, budget)?;
            if cleared.unfinished {
                return Ok(done);
            }
            rows += cleared.rows;
        }
        for name in tx.xattr_names(ino)? {
            tx.delete_xattr(ino, &name)?;
        }
        tx.delete_inode(&inode)?;
        tx.delete_orphan(ino)?;
        budget = budget.saturating_sub(rows);
    }
    Ok(inos.len())
}
