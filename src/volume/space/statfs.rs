//! What a volume holds, and what there is room for.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::statvfs;

use crate::meta::Tally;
use crate::types::{Limits, Usage};
use crate::volume::core::Core;
use crate::volume::elsewhere;
use crate::volume::error::{Error, Result};
use crate::volume::space::headroom::{HOST_BYTES, Headroom, Spending};

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

/// As [`crate::volume::Volume::usage`].
pub(super) fn usage(core: &Core) -> Result<Usage> {
    let survey = core.chunks().survey()?;
    let tally = core.database().tally()?;
    let named = count(tally.record_bytes());
    let elsewhere = elsewhere::count(core)?;
    Ok(Usage {
        elsewhere_chunks: elsewhere.chunks,
        elsewhere_bytes: elsewhere.bytes,
        segment_bytes: survey.bytes,
        shared_bytes: survey.shared_bytes,
        dead_bytes: survey.bytes.saturating_sub(named),
        host_free_bytes: available_on_host(core)?,
        limits: core.bounds().get(),
        ..of_rows(&tally)
    })
}

/// As [`crate::volume::Volume::room`].
pub(super) fn room(core: &Core) -> Result<Room> {
    let mut room = room_on_host(core)?;
    let limits = core.bounds().get();
    if limits == Limits::default() {
        return Ok(room);
    }
    let used = |tally: &Tally| (count(tally.logical), count(tally.inodes));
    let (bytes, inodes) = core.database().with_tally(used)?;
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
pub(in crate::volume) fn available_on_host(core: &Core) -> Result<u64> {
    let room = room_on_host(core)?;
    Ok(room.available.saturating_mul(room.block_bytes))
}

fn room_on_host(core: &Core) -> Result<Room> {
    room_in(core.dir())
}

/// What the host has for a volume in `dir`.
pub(in crate::volume) fn room_in(dir: &Path) -> Result<Room> {
    let stat = statvfs(dir)
        .map_err(|e| Error::storage(format!("cannot statvfs {}", dir.display()), e.into()))?;
    Ok(Room {
        block_bytes: stat.f_frsize,
        blocks: stat.f_blocks,
        free: stat.f_bfree,
        available: stat.f_bavail,
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    })
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

/// As [`crate::volume::Volume::spending`].
pub(super) fn spending(core: &Core) -> Arc<Spending> {
    Arc::clone(core.metadata().headroom())
}

/// As [`crate::volume::Volume::headroom`].
pub(super) fn headroom(core: &Core, before: Headroom) -> Result<Headroom> {
    let host = available_on_host(core)?.saturating_sub(HOST_BYTES);
    let limit = core.bounds().get().bytes;
    let left = match limit {
        None => host,
        Some(limit) => {
            let held = core.database().with_tally(|tally| tally.logical)?;
            limit.saturating_sub(held.unsigned_abs()).min(host)
        }
    };
    core.metadata().headroom().begin(left);
    Ok(Headroom::of(left, limit, before))
}
