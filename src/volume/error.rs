//! What can go wrong in a volume: variants say what the caller can do about it.

use std::io;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;

use crate::types::NameError;
use crate::{chunks, meta, remote};

/// The result of a volume operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of a volume operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such file, directory or attribute target.
    #[error("no such file or directory")]
    NotFound,
    /// The name is taken.
    #[error("file exists")]
    Exists,
    /// A path component is no directory.
    #[error("not a directory")]
    NotDirectory,
    /// A directory where none is allowed.
    #[error("is a directory")]
    IsDirectory,
    /// The directory has entries.
    #[error("directory not empty")]
    NotEmpty,
    /// Not permitted for any caller.
    #[error("operation not permitted")]
    NotPermitted,
    /// Not permitted for this caller.
    #[error("permission denied")]
    AccessDenied,
    /// There are no such bytes, from there to the end of the file.
    #[error("no such bytes")]
    PastEnd,
    /// What the caller may do must be looked up first, outside of a transaction; never told to anybody.
    #[error("the caller's privileges are not known")]
    CallerUnknown,
    /// An argument makes no sense here.
    #[error("invalid argument")]
    Invalid,
    /// Longer than a name may be.
    #[error("name too long")]
    NameTooLong,
    /// Larger than a file may be.
    #[error("file too large")]
    FileTooLarge,
    /// More hard links than an inode may have.
    #[error("too many links")]
    TooManyLinks,
    /// No such extended attribute.
    #[error("no such attribute")]
    NoAttribute,
    /// The extended attribute's value is over the limit.
    #[error("attribute value too large")]
    AttributeTooLarge,
    /// A buffer is too small for the answer.
    #[error("result too large")]
    OutOfRange,
    /// Not supported by cask.
    #[error("operation not supported")]
    Unsupported,
    /// The inode has no room for more attributes.
    #[error("no space left for attributes")]
    AttributesFull,
    /// The disk or the volume's limit is full; the operation changed nothing.
    #[error("no space left")]
    NoSpace,
    /// The volume's own limit is reached; the operation changed nothing.
    #[error("no space left: the volume has reached its limit")]
    OverLimit,
    /// The volume holds more than a limit would allow.
    #[error("it holds {bytes} bytes in {inodes} inodes")]
    Exceeded {
        /// What its files hold.
        bytes: u64,
        /// How many there are.
        inodes: u64,
    },
    /// The volume was turned read-only by an earlier I/O error, or is sealed.
    #[error("the volume is read-only")]
    ReadOnly,
    /// Whoever asked for long work wants it no more; what was done of it stays done.
    #[error("nobody wants it any more")]
    Unwanted,
    /// The snapshot is held.
    #[error("the snapshot is held")]
    Held,
    /// The volume must not be removed.
    #[error("the volume is protected")]
    Protected,
    /// Another process has the volume open.
    #[error("{dir} is open in another process", dir = .dir.display())]
    InUse {
        /// The volume's directory.
        dir: PathBuf,
    },
    /// The directory is no volume.
    #[error("{dir} is not a cask volume: {reason}", dir = .dir.display())]
    NotAVolume {
        /// The directory.
        dir: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The volume was written by a newer cask.
    #[error("{dir} has format {found}; this cask knows formats up to {known}", dir = .dir.display())]
    NewerFormat {
        /// The volume's directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// Stored data is damaged.
    #[error("damaged: {0}")]
    Corrupt(String),
    /// The bytes are in a repository still: whoever may wait can have them.
    #[error("the bytes are in the remote still")]
    Elsewhere,
    /// What files there are is in a repository still: a server fetches that.
    #[error("what files it has is in the remote still")]
    Awaited,
    /// The bytes cannot be had from the repository that they are in, or not now.
    #[error("the bytes are in a remote, and cannot be fetched")]
    Remote(#[source] Arc<remote::Error>),
    /// Cannot happen: cask itself is wrong, not what is stored.
    #[error("{0}")]
    Bug(String),
    /// The storage below failed.
    #[error("{what}")]
    Storage {
        /// What was being done, and to what.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// An I/O error with what was being done; a full disk becomes [`Error::NoSpace`], and so does what is one for whoever
    /// writes: a quota (EDQUOT), or a limit on the length of a file (EFBIG; setrlimit(2)).
    pub fn storage(what: impl Into<String>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull => Self::NoSpace,
            io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                log::warn!("{}: {source}", what.into());
                Self::NoSpace
            }
            _ => Self::Storage {
                what: what.into(),
                source,
            },
        }
    }
}

impl Error {
    /// What no damage can cause, found by the caller.
    #[track_caller]
    pub(super) fn bug(what: &str) -> Self {
        Self::Bug(format!("a bug in cask, at {}: {what}", Location::caller()))
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        match error {
            NameError::TooLong => Self::NameTooLong,
            NameError::Invalid => Self::Invalid,
        }
    }
}

impl From<meta::Error> for Error {
    fn from(error: meta::Error) -> Self {
        match error {
            meta::Error::Full => Self::NoSpace,
            meta::Error::Stopped => Self::ReadOnly,
            meta::Error::Unwanted => Self::Unwanted,
            meta::Error::Corrupt(what) => Self::Corrupt(what),
            meta::Error::Bug { .. } => Self::Bug(error.to_string()),
            meta::Error::Sqlite(_) | meta::Error::Wal { .. } | meta::Error::Host { .. } => {
                Self::Storage {
                    what: "the metadata store failed".to_owned(),
                    source: io::Error::other(error),
                }
            }
        }
    }
}

impl From<chunks::Error> for Error {
    fn from(error: chunks::Error) -> Self {
        match error {
            chunks::Error::Missing { .. } | chunks::Error::Corrupt { .. } | chunks::Error::Lost => {
                Self::Corrupt(error.to_string())
            }
            chunks::Error::Elsewhere => Self::Elsewhere,
            chunks::Error::Io { op, path, source } => {
                Self::storage(format!("cannot {op} {}", path.display()), source)
            }
        }
    }
}
