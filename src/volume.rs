//! One volume: POSIX operations on chunks and metadata. Knows neither FUSE nor sockets.
//!
//! Owns the rules of the filesystem, the order in which bytes and rows become durable, and the threads
//! that work behind the operations. A folder for each field; what they share is beside them.

mod arriving;
mod awaited;
mod background;
mod change;
mod chunk_source;
mod config;
mod core;
mod data;
mod durability;
mod elsewhere;
mod error;
mod handle;
mod health;
mod history;
mod layout;
mod life;
mod lock;
mod metadata;
mod noted;
mod ops;
mod receiving;
mod space;
pub mod store;
mod tuning;
mod wanted;
mod watch;

pub use crate::meta::{ArrivedSnapshot, FarExtent, HashedExtent, SeenChunks};
pub use crate::meta::{Hold, Snapshot, SnapshotBytes};
pub use arriving::{Arriving, FarChunk};
pub use awaited::Awaited;
pub use chunk_source::{ChunkSource, Take};
pub use config::{Config, Life, Protection, RootOwner, Seal};
pub use data::{NamedChunks, SetIdBits, WriteBack, WriteOrigin};
pub use elsewhere::{ChunkCache, Deadline, Origin, Prefetch, PrefetchError, Rows, Trouble};
pub use error::{Error, Result};
pub use handle::Volume;
pub use health::{Depth, Scrubbed, repair, repair_from};
pub use history::{
    Change, ChangeKind, Changed, CommitRecords, Frozen, Moment, Outcome, Reading, Scheduled, Seek,
};
pub use life::create;
pub use ops::{DirEntry, FIRST_COOKIE, FallocateMode, LINKS_MAX, RenameMode, SetXattrMode};
pub use receiving::{Landing, Receiving};
pub use space::{Buffering, Defragmented, Headroom, Room, Spending};
pub use tuning::{BadTuning, CopyTuning, DefragmentTuning, GcTuning, ScheduleTuning, Tuning};
pub use watch::Watch;
