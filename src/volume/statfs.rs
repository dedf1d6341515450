//! What a volume holds, and what there is room for.

use rustix::fs::statvfs;

use super::{Error, Result, Volume};
use crate::meta::Tally;
use crate::types::{Limits, Usage};

/// What there is room for (statvfs(3)); all counts but `block_bytes` are of its blocks or inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes in a block.
    pub block_bytes: u64,
    /// All blocks.
    pub blocks: u64,
    /// Blocks that are free.
    pub free: u64,
    /// Blocks that are free for anyone.
    pub available: u64,
    /// All inodes.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
}

impl Volume {
    /// Counts what the volume holds; looks at its segments, at no inode.
    ///
    /// # Errors
    /// I/O errors.
    pub fn usage(&self) -> Result<Usage> {
        let survey = self.core.store.survey()?;
        let tally = self.core.database.tally()?;
        let named = count(tally.record_bytes());
        Ok(Usage {
            segment_bytes: survey.bytes,
            shared_bytes: survey.shared_bytes,
            dead_bytes: survey.bytes.saturating_sub(named),
            host_free_bytes: self.available_on_host()?,
            limits: self.limits(),
            ..of_rows(&tally)
        })
    }

    /// What there is room for: what the host has, and no more than the limits leave.
    ///
    /// # Errors
    /// I/O errors.
    pub fn room(&self) -> Result<Room> {
        let mut room = self.room_on_host()?;
        let limits = self.limits();
        if limits == Limits::default() {
            return Ok(room);
        }
        let used = |tally: &Tally| (count(tally.logical), count(tally.inodes));
        let (bytes, inodes) = self.core.database.with_tally(used)?;
        if let Some(limit) = limits.bytes {
            let left = limit.saturating_sub(bytes) / room.block_bytes;
            // No more than can be used: where the host has less, that and what is used already is all there is.
            let lacking = left.saturating_sub(room.available);
            room.blocks = (limit / room.block_bytes).saturating_sub(lacking);
            room.free = left - lacking;
            room.available = room.free;
        }
        if let Some(limit) = limits.inodes {
            room.inodes = limit;
            room.inodes_free = limit.saturating_sub(inodes);
        }
        Ok(room)
    }

    /// Bytes that the host has for anyone.
    pub(super) fn available_on_host(&self) -> Result<u64> {
        let room = self.room_on_host()?;
        Ok(room.available.saturating_mul(room.block_bytes))
    }

    fn room_on_host(&self) -> Result<Room> {
        let stat = statvfs(&self.dir).map_err(|e| {
            Error::storage(format!("cannot statvfs {}", self.dir.display()), e.into())
        })?;
        Ok(Room {
            block_bytes: stat.f_frsize,
            blocks: stat.f_blocks,
            free: stat.f_bfree,
            available: stat.f_bavail,
            inodes: stat.f_files,
            inodes_free: stat.f_ffree,
        })
    }
}

fn of_rows(tally: &Tally) -> Usage {
    Usage {
        inodes: count(tally.inodes),
        extents: count(tally.extents),
        logical_bytes: count(tally.logical),
        live_chunks: count(tally.head.chunks),
        live_plain_bytes: count(tally.head.plain),
        live_bytes: count(tally.head.stored),
        snapshot_plain_bytes: count(tally.past.plain),
        snapshot_bytes: count(tally.past.stored),
        ..Usage::default()
    }
}

fn count(counted: i64) -> u64 {
    u64::try_from(counted).unwrap_or(0)
}
