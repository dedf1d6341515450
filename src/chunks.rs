//! The chunk store: bytes on disk, named by their hash.
//!
//! Owns the segment files and everything about their bytes: records, checksums, cutting, syncing.
//! Knows no SQL, no inode, no FUSE.

mod allowed;
mod cache_file;
mod codec;
mod cut;
mod error;
mod pages;
mod pread;
mod readers;
mod record;
mod rescue;
mod scan;
mod scattered;
mod segment;
mod store;
mod stream;
mod survey;
mod unpacked;

pub use cache_file::{append_cached, cache_file_name, read_cached};
pub use cut::{Piece, cut};
pub use error::Error;
pub use record::NewChunk;
pub use rescue::WholePages;
pub use scan::{ScannedChunk, scan, sift};
pub use segment::SEGMENT_BYTES_MAX;
pub use store::ChunkStore;
pub use stream::{Placed, Stream, SyncMark};
pub use survey::{SealedSegment, Survey};

/// The result of a chunk store operation.
pub type Result<T> = std::result::Result<T, Error>;
