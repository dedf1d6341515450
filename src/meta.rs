//! The metadata store: SQLite is the state machine. The only SQL in cask.
//!
//! Owns the schema, the connections, transactions and the write-ahead log. One file a table. Knows no
//! POSIX rule, no segment file, no FUSE. Live rows and history rows: docs/format.md.

mod audit;
mod carve;
mod changes;
mod checkpoint;
mod chunk;
mod copying;
mod damage;
mod database;
mod dentry;
mod duplicate;
mod error;
mod extent;
mod fragmented;
mod gate;
mod inode;
mod orphan;
mod pending;
mod recovery;
mod refused;
mod repair;
mod restore;
mod run;
mod salvage;
mod schema;
mod setting;
mod snapshot;
mod snapshot_bytes;
mod stop;
mod tally;
mod twin;
mod upgrade;
mod view;
mod wal;
mod xattr;

pub use changes::{Layout, NamedInode};
pub use chunk::{ChunkRow, Missing, Sharing, StoredChunk};
pub use copying::Copies;
pub use damage::NamedBytes;
pub use database::{Database, ReadTx, Session, WriteTx};
pub use dentry::{Dentry, ListedEntry};
pub use error::Error;
pub use extent::{Cleared, ExtentRow, StoredExtent};
pub use inode::{Home, Inode};
pub use pending::Pending;
pub use recovery::{Commit, CutLog};
pub use refused::{Refusal, RefusedRange};
pub use repair::{Mend, Saved, Workpiece};
pub use salvage::{Missed, salvage};
pub use snapshot::{Hold, Snapshot};
pub use snapshot_bytes::SnapshotBytes;
pub use tally::{HeadTotals, InSegment, Stored, Tally};
pub use twin::{ExtentKey, Lone, LoneExtent};
pub use view::View;
pub use wal::{LogLength, log_path};

/// The result of a metadata operation.
pub type Result<T> = std::result::Result<T, Error>;
