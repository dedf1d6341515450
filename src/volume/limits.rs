//! How much the head may hold, checked before each commit that adds to it.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::core::{Core, Space};
use super::{Error, Result, Volume, store};
use crate::meta::WriteTx;
use crate::types::Limits;

/// How long a change that finds the volume full waits for what is being freed.
const WAIT_MAX: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(5);
/// Names, attributes and extents of a volume with a limit may take as many bytes as its data, but no fewer than this.
const METADATA_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// The limits of an open volume, which may change.
#[derive(Debug)]
pub(super) struct Bounds(Mutex<Limits>);

impl Bounds {
    pub(super) const fn new(limits: Limits) -> Self {
        Self(Mutex::new(limits))
    }

    pub(super) fn get(&self) -> Limits {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, limits: Limits) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }
}

/// How large the database may be after a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct MetadataBound(u64);

impl MetadataBound {
    /// Refuses a transaction that makes the database larger than that.
    pub(super) fn check(self, tx: &WriteTx<'_>) -> Result<()> {
        if self.0 < u64::MAX && tx.page_bytes()? > self.0 {
            return Err(Error::OverLimit);
        }
        Ok(())
    }
}

impl Core {
    /// How large `tx`, which has just begun, may make the database. One that is too large already may use the pages
    /// that it has.
    pub(super) fn bound_metadata(&self, space: Space, tx: &WriteTx<'_>) -> Result<MetadataBound> {
        match (space, self.bounds.get().bytes) {
            (Space::Frees, _) | (_, None) => Ok(MetadataBound(u64::MAX)),
            (Space::Needs, Some(limit)) => {
                let bound = limit.max(METADATA_BYTES_MIN);
                Ok(MetadataBound(bound.max(tx.page_bytes()?)))
            }
        }
    }

    /// Refuses a transaction that adds to what is at its limit.
    pub(super) fn check_limits(&self, tx: &WriteTx<'_>) -> Result<()> {
        let added = tx.added();
        if added.logical <= 0 && added.inodes <= 0 {
            return Ok(());
        }
        let limits = self.bounds.get();
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

    /// Tries again while files without a name are being freed: their space can be used at once.
    pub(super) fn retry_over_limit<T>(&self, attempt: impl Fn() -> Result<T>) -> Result<T> {
        let until = Instant::now() + WAIT_MAX;
        loop {
            self.free_ended()?;
            match attempt() {
                Err(Error::OverLimit)
                    if Instant::now() < until && self.database.read_once()?.has_orphans()? =>
                {
                    thread::sleep(PAUSE);
                }
                result => return result,
            }
        }
    }
}

impl Volume {
    /// What the head may hold.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.core.bounds.get()
    }

    /// Sets what the head may hold, from now on.
    ///
    /// # Errors
    /// [`Error::Exceeded`] when it holds more; I/O errors. Nothing has changed then.
    pub fn set_limits(&self, limits: Limits) -> Result<()> {
        let tally = self.core.database.tally()?;
        let used = |count: i64| u64::try_from(count).unwrap_or(0);
        let fits = |used, limit: Option<u64>| limit.is_none_or(|limit| used <= limit);
        if !fits(used(tally.logical), limits.bytes) || !fits(used(tally.inodes), limits.inodes) {
            return Err(Error::Exceeded {
                bytes: used(tally.logical),
                inodes: used(tally.inodes),
            });
        }
        store::edit(&self.dir, |config| config.limits = limits)?;
        self.core.bounds.set(limits);
        self.core.headroom.look_again();
        Ok(())
    }
}
