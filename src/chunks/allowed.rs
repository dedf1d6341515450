//! What this process may have of the host (setrlimit(2)), where that is less than segments would take.

use std::num::NonZeroUsize;
use std::sync::OnceLock;

use rustix::process::{Resource, getrlimit};

/// The bytes at which a segment is full: `usual`, or as many as a file may have here.
pub(super) fn segment_bytes(usual: u64) -> u64 {
    static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
    let limit = LIMIT.get_or_init(|| getrlimit(Resource::Fsize).current);
    limit.map_or(usual, |limit| limit.min(usual))
}

/// How many segments stay open: `usual`, or a quarter of the files that may be open here.
pub(super) fn open_segments(usual: NonZeroUsize) -> NonZeroUsize {
    static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
    let limit = LIMIT.get_or_init(|| getrlimit(Resource::Nofile).current);
    // A quarter: the database's connections, sockets and mounts need descriptors as well.
    let quarter = limit.and_then(|limit| usize::try_from(limit / 4).ok());
    let quarter = quarter.map(|quarter| NonZeroUsize::new(quarter).unwrap_or(NonZeroUsize::MIN));
    quarter.map_or(usual, |quarter| quarter.min(usual))
}
