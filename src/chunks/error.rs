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
    /// A repair found that the bytes are lost.
    #[error("the bytes were lost, as a repair found")]
    Lost,
    /// The bytes are in a repository still: whoever can fetch them asks again then.
    #[error("the bytes are in the remote still")]
    Elsewhere,
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

impl Error {
    /// Whether the bytes are gone, or are others; not whether the host failed for now.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Corrupt { .. } | Self::Lost => true,
            Self::Elsewhere => false,
            // What a medium says of bytes that it lost.
            Self::Io { source, .. } => {
                source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
            }
        }
    }
}
