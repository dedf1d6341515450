//! Volumes on their way: a state of a volume of this host to a repository, and back.
//!
//! Knows volumes and repositories, and neither FUSE nor servers: a state that a server has open is read through [`State`].

mod collect;
mod collecting_here;
mod compare;
mod error;
mod fetch;
mod live;
mod near;
mod pull;
mod pulse;
mod push;
mod remote_chunks;
mod repack;
mod sending;
mod stream;
mod upload;
mod verify;
mod whither;
mod workers;

pub use collect::{Collect, Collected, Extent, Waits, collect};
pub use compare::compare;
pub use error::{Error, Result};
pub use pull::{Ahead, LaterFrom, config_of, pull, pull_all, pull_beside, pull_rows};
pub use push::{Push, Pushed};
pub use remote_chunks::RemoteChunks;
pub use stream::{
    BadToken, Received, ResumeToken, Sender, Sent, begin_receive, kept_of, receive,
    received_config, state_digest,
};
pub use verify::{Depth, Verified, verify};

use crate::types::{RowChange, RowCursor, RowPage};

/// Why a state could not be read.
pub type StateError = Box<dyn std::error::Error + Send + Sync>;

/// A state of a volume that does not change.
pub trait State {
    /// The next rows of a table, in the order of their keys; none at its end.
    ///
    /// # Errors
    /// Whatever went wrong where the state is.
    fn rows(&self, after: &RowCursor) -> std::result::Result<RowPage, StateError>;

    /// The next rows that are others than at an earlier snapshot of the volume, by its epoch, in the order of tables and
    /// keys; none at the end. `None` when it cannot be told, or no more: then all rows tell.
    ///
    /// # Errors
    /// Whatever went wrong where the state is.
    fn changes(
        &self,
        since: i64,
        after: &RowCursor,
    ) -> std::result::Result<Option<Vec<RowChange>>, StateError>;
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of files, or of chunks, that there are.
    pub total: u64,
    /// Those that are done.
    pub done: u64,
    /// Bytes that were sent or fetched.
    pub moved: u64,
    /// Objects that were.
    pub objects: u64,
}

/// Who is told how far a transfer is.
pub trait Watch: Sync {
    /// It is so far now.
    fn progress(&self, progress: &Progress);
}
