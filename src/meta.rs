//! The metadata store: SQLite is the state machine. The only SQL in cask.
//!
//! Owns the schema, the connections, transactions and the write-ahead log. One file a table. Knows no
//! POSIX rule, no segment file, no FUSE. Live rows and history rows: docs/format.md.
//!
//! Errors that any function here can return are not repeated at each: [`Error::Sqlite`] when the host fails to read or
//! write the database or its log, [`Error::Corrupt`] when a page or a row is damaged, and of a function that writes
//! [`Error::Full`]. An `# Errors` section names what is special to a function.

mod arrival;
mod database;
mod error;
mod health;
mod history;
mod inode;
mod schema;
mod seen;
mod tables;
mod tally;
mod vfs;
mod wal;

pub use arrival::{Arrival, ArrivedSnapshot, FarExtent, HashedArrival, HashedExtent};
pub use database::connections::Database;
pub use database::reading::ReadTx;
pub use database::session::Session;
pub use database::transaction::WriteTx;
pub use error::{Error, Result};
pub use health::damage::NamedBytes;
pub use health::repair::chunks::Saved;
pub use health::repair::workpiece::{Mend, Workpiece};
pub use health::salvage::{Missed, salvage};
pub use history::changes::{Layout, NamedInode};
pub use history::since::ChangedKeys;
pub use history::snapshot_bytes::SnapshotBytes;
pub use history::view::View;
pub use inode::{Home, Inode};
pub use schema::upgrade::FORMAT_VERSION;
pub use seen::SeenChunks;
pub use tables::chunk::{ChunkRow, Missing, Sharing, StoredChunk};
pub use tables::copying::Copies;
pub use tables::dedup::{Candidates, ExtentKey, UnindexedExtent};
pub use tables::dentry::{Dentry, ListedEntry};
pub use tables::extent::{Cleared, ExtentRow, StoredExtent};
pub use tables::far::{BroughtChunk, FarCount};
pub use tables::pending::Pending;
pub use tables::refused::{Refusal, RefusedRange};
pub use tables::snapshot::{Hold, Snapshot};
pub use tally::counts::{InSegment, Stored, Tally};
pub use tally::totals::HeadTotals;
pub use wal::file::log_path;
pub use wal::growth::LogLength;
pub use wal::recovery::{Commit, UncleanLog};
