//! How much the head may hold, checked before each commit that adds to it.

use crate::meta::WriteTx;
use crate::types::Limits;
use crate::volume::error::{Error, Result};
use parking_lot::Mutex;

/// Names, attributes and extents of a volume with a limit may take as many bytes as its data, but no fewer than this.
const METADATA_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// The limits of an open volume, which may change.
#[derive(Debug)]
pub(in crate::volume) struct Bounds(Mutex<Limits>);

impl Bounds {
    pub(in crate::volume) const fn new(limits: Limits) -> Self {
        Self(Mutex::new(limits))
    }

    pub(in crate::volume) fn get(&self) -> Limits {
        *self.0.lock()
    }

    pub(super) fn set(&self, limits: Limits) {
        *self.0.lock() = limits;
    }

    /// How large `tx`, which has just begun and needs space, may make the database. One that is too large already may
    /// use the pages that it has.
    pub(in crate::volume) fn of_metadata(&self, tx: &WriteTx<'_>) -> Result<MetadataBound> {
        let Some(limit) = self.get().bytes else {
            return Ok(MetadataBound::NONE);
        };
        let bound = limit.max(METADATA_BYTES_MIN);
        Ok(MetadataBound(bound.max(tx.page_bytes()?)))
    }

    /// Refuses a transaction that adds to what is at its limit.
    pub(in crate::volume) fn check(&self, tx: &WriteTx<'_>) -> Result<()> {
        let added = tx.added();
        if added.logical <= 0 && added.inodes <= 0 {
            return Ok(());
        }
        let limits = self.get();
        if limits == Limits::default() {
            return Ok(());
        }
        // Whoever sets or opens a limit has counted.
        let Some(totals) = tx.head_totals() else {
            return Ok(());
        };
        let over = |total, limit: Option<u64>| limit.is_some_and(|limit| total > limit);
        if (added.logical > 0 && over(totals.logical_bytes, limits.bytes))
            || (added.inodes > 0 && over(totals.inodes, limits.inodes))
        {
            return Err(Error::OverLimit);
        }
        Ok(())
    }
}

/// How large the database may be after a transaction.
#[derive(Debug, Clone, Copy)]
pub(in crate::volume) struct MetadataBound(u64);

impl MetadataBound {
    /// What frees space may make the database as large as it likes.
    pub(in crate::volume) const NONE: Self = Self(u64::MAX);

    /// Refuses a transaction that makes the database larger than that.
    pub(in crate::volume) fn check(self, tx: &WriteTx<'_>) -> Result<()> {
        if self.0 < u64::MAX && tx.page_bytes()? > self.0 {
            return Err(Error::OverLimit);
        }
        Ok(())
    }
}
