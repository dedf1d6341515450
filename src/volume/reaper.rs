//! Freeing inodes that have no name any more, in transactions of bounded length.

use std::collections::HashSet;
use std::ops::Range;

use super::core::{Core, Space};
use super::{Error, Result, Volume};
use crate::meta::{self, Copies, WriteTx};
use crate::types::Ino;

/// Rows that one transaction may remove: about 2 ms with the writer held.
pub(super) const ROWS_MAX: usize = 512;
pub(super) const WHOLE_FILE: Range<u64> = 0..crate::types::MAX_FILE_BYTES;

impl Core {
    /// Frees the files that nobody holds any more; on an error those that are left are tried again later.
    pub(super) fn free_ended(&self) -> Result<()> {
        let _alone = self.residents.begin_freeing();
        self.free(self.residents.take_ended())
            .map_err(|(left, error)| {
                self.residents.put_back(left);
                error
            })
    }

    /// Frees these orphans; on an error returns those that are left.
    fn free(&self, mut inos: Vec<Ino>) -> std::result::Result<(), (Vec<Ino>, Error)> {
        if let Err(error) = self.put_sources_last(&mut inos) {
            return Err((inos, error));
        }
        while let Some(&first) = inos.first() {
            let copied = self.finish_copies(&[Copies::From(first)]);
            match copied.and_then(|()| self.change(Space::Frees, |tx| free_some(tx, &inos))) {
                Ok(done) => inos
                    .drain(..done)
                    .for_each(|ino| self.settle_refused(ino, &(0..u64::MAX))),
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
    fn put_sources_last(&self, inos: &mut [Ino]) -> Result<()> {
        if !self.database.may_be_copying() {
            return Ok(());
        }
        let tx = self.database.read()?;
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

impl Volume {
    /// A new connection begins: whatever had no name when the last one ended is freed.
    ///
    /// # Errors
    /// I/O errors.
    pub fn begin_connection(&self) -> Result<()> {
        self.core.residents.connect();
        self.forget_refused()?;
        self.find_orphans()
    }

    /// A connection goes on that a server had which is dead: what has no name may be open still, and is freed when
    /// [`Self::forgotten`] says so.
    ///
    /// # Errors
    /// I/O errors.
    pub fn inherit_connection(&self) -> Result<()> {
        self.core.residents.inherit();
        self.inherit_refused()?;
        self.find_orphans()
    }

    fn find_orphans(&self) -> Result<()> {
        let orphans = self.core.database.read()?.orphans()?;
        orphans
            .into_iter()
            .for_each(|ino| self.core.residents.orphan(ino));
        Ok(())
    }

    /// Waits for inodes without a name of which only the kernel can say whether anybody has them open; `None` once the
    /// connection has ended.
    #[must_use]
    pub fn wait_for_doubts(&self) -> Option<Vec<Ino>> {
        self.core.residents.wait_for_doubts()
    }

    /// The kernel does not know `ino` any more.
    pub fn forgotten(&self, ino: Ino) {
        self.core.residents.resolve(ino);
    }

    /// The connection ended: nobody holds a file any more.
    pub fn end_connection(&self) {
        self.give_up_refused();
        self.core.residents.forget_all();
    }

    /// Whoever uses the volume was told of `ino` once more, and will [`Self::forget`] it.
    pub fn remember(&self, ino: Ino) {
        self.core.residents.remember(ino);
    }

    /// Gives back `count` of the times that [`Self::remember`] was called for `ino`.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.core.residents.forget(ino, count);
    }
}
