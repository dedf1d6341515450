//! What can go wrong with stored bytes: variants say what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::types::SegmentId;

/// The error of a chunk store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The segment's file is not there: it was collected (look the chunk up again), or lost.
    #[error("{segment} is missing")]
    Missing {
        /// The segment.
        segment: SegmentId,
    },
    /// The bytes are there and are not the ones that were stored.
    #[error("{segment} is damaged at byte {offset}: {what}")]
    Corrupt {
        /// The segment.
        segment: SegmentId,
        /// Where in its file, in bytes.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The storage below failed.
    #[error("cannot {op} {path}", path = .path.display())]
    Io {
        /// What was being done.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}
