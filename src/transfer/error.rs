//! What can go wrong on the way.

use crate::transfer::StateError;
use crate::{remote, volume};

/// The result of a transfer.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of a transfer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository's side.
    #[error(transparent)]
    Remote(#[from] remote::Error),
    /// The volume's side.
    #[error(transparent)]
    Volume(#[from] volume::Error),
    /// The state could not be read.
    #[error("cannot read what is to be sent")]
    State(#[source] StateError),
    /// A chunk of this host is damaged.
    #[error("byte {off} of inode {ino} cannot be read")]
    Chunk {
        /// The file.
        ino: u64,
        /// Where in it.
        off: u64,
        /// Why.
        #[source]
        source: volume::Error,
    },
    /// The push of it has not ended.
    #[error("the push of snapshot \"{0}\" has not ended")]
    Pending(String),
    /// The stream does not go with what is here.
    #[error("{0}")]
    Unfit(&'static str),
    /// What chunks are called is not known before they have come.
    #[error("some of its chunks are in a remote still")]
    Lacking,
    /// Another collection is under way.
    #[error("another collection is under way")]
    Collecting,
    /// Cannot happen: cask itself is wrong.
    #[error("a bug in cask: {0}")]
    Bug(&'static str),
}
