//! Space: what is dead comes back, what is scattered is put together, what is equal is stored once; limits, and what
//! there is room for.

pub(super) mod compression;
mod connection;
mod dedup;
pub(super) mod defragment;
pub(super) mod gc_move;
pub(super) mod gc_policy;
pub(super) mod headroom;
mod known_inodes;
pub(super) mod limits;
pub(super) mod lookup_counts;
pub(super) mod quiet;
pub(super) mod reaper;
mod settings;
pub(super) mod statfs;

pub use headroom::{Buffering, Headroom, Spending};
pub use quiet::Defragmented;
pub use statfs::Room;

use std::sync::Arc;

use super::error::Result;
use super::handle::Volume;
use super::watch::{UNWATCHED, Watch};
use crate::types::{Collected, Compression, Ino, Limits, Usage};

impl Volume {
    /// Defragments files that are in small extents, and gives back the space of all that nothing names any more, as far as that is worth it: afterwards at most
    /// a twentieth of a segment is dead, but for segments that clones share.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] for a sealed volume, [`Error::NoSpace`], [`Error::Storage`]; what was collected so far stays
    /// so.
    pub fn collect(&self) -> Result<Collected> {
        self.collect_watched(UNWATCHED)
    }

    /// As [`Self::collect`]; tells `watch` how many bytes were moved, or removed, as they are.
    ///
    /// # Errors
    /// Those of [`Self::collect`]; [`Error::Unwanted`] when whoever asked is gone ([`crate::types::while_wanted`]).
    pub fn collect_watched(&self, watch: Watch<'_>) -> Result<Collected> {
        gc_move::collect(&self.core, watch)
    }

    /// What the collector did since the volume was opened, by itself and when it was asked.
    #[must_use]
    pub fn collected(&self) -> Collected {
        self.core.gc().collected()
    }

    /// Puts every file together that is in small extents.
    ///
    /// # Errors
    /// [`Error::Storage`]; what was put together stays so.
    pub fn defragment(&self) -> Result<Defragmented> {
        defragment::defragment_all(&self.core)
    }

    /// How new chunks are compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.core.compression().get()
    }

    /// Has chunks compressed otherwise from now on; what is stored stays as it is until the collector moves it.
    ///
    /// # Errors
    /// [`Error::Storage`]; nothing has changed then.
    pub fn set_compression(&self, compression: Compression) -> Result<()> {
        settings::set_compression(&self.core, compression)
    }

    /// What the head may hold.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.core.bounds().get()
    }

    /// Sets what the head may hold, from now on.
    ///
    /// # Errors
    /// [`Error::Exceeded`] when it holds more; [`Error::Storage`]. Nothing has changed then.
    pub fn set_limits(&self, limits: Limits) -> Result<()> {
        settings::set_limits(&self.core, limits)
    }

    /// What is written, to be waited for without holding the volume.
    #[must_use]
    pub fn spending(&self) -> Arc<Spending> {
        statfs::spending(&self.core)
    }

    /// What the kernel may hold now; `before` is what holds so far.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn headroom(&self, before: Headroom) -> Result<Headroom> {
        statfs::headroom(&self.core, before)
    }

    /// A new connection begins: whatever had no name when the last one ended is freed.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn begin_connection(&self) -> Result<()> {
        connection::begin_connection(&self.core)
    }

    /// A connection goes on that a server had which is dead: what has no name may be open still, and is freed when
    /// [`Self::forgotten`] says so.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn inherit_connection(&self) -> Result<()> {
        connection::inherit_connection(&self.core)
    }

    /// Waits for inodes without a name of which only the kernel can say whether anybody has them open; `None` once the
    /// connection has ended.
    #[must_use]
    pub fn wait_for_doubts(&self) -> Option<Vec<Ino>> {
        self.core.lookups().wait_for_doubts()
    }

    /// The kernel does not know `ino` any more.
    pub fn forgotten(&self, ino: Ino) {
        self.core.lookups().resolve(ino);
    }

    /// The connection ended: nobody holds a file any more.
    pub fn end_connection(&self) {
        connection::end_connection(&self.core);
    }

    /// Whoever uses the volume was told of `ino` once more, and will [`Self::forget`] it.
    pub fn remember(&self, ino: Ino) {
        self.core.lookups().remember(ino);
    }

    /// Gives back `count` of the times that [`Self::remember`] was called for `ino`.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.core.lookups().forget(ino, count);
    }

    /// Counts what the volume holds; looks at its segments, at no inode.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn usage(&self) -> Result<Usage> {
        statfs::usage(&self.core)
    }

    /// What the files hold, as [`Usage::logical_bytes`] says, if that is known: nothing is counted or waited for.
    #[must_use]
    pub fn known_logical_bytes(&self) -> Option<u64> {
        self.core.database().known_logical_bytes()
    }

    /// What there is room for: what the host has, and no more than the limits leave.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn room(&self) -> Result<Room> {
        statfs::room(&self.core)
    }

    /// Frees what has no name any more and nobody holds, and what only removed snapshots
    /// saw, rather than leaving it to the background.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn reap(&self) -> Result<()> {
        reaper::free_ended(&self.core)
    }
}
