//! What can go wrong with a repository: variants say what the caller can do about it.

use std::io;

/// The result of something that is done with a repository.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of something that is done with a repository.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be reached, or fails for now: it may work later.
    #[error("cannot {op} {object}: the store does not answer")]
    Unreachable {
        /// What was being done.
        op: &'static str,
        /// The object.
        object: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store refuses: the credentials, or what they allow.
    #[error("the store does not allow to {op} {object}")]
    Denied {
        /// What was being done.
        op: &'static str,
        /// The object.
        object: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such object.
    #[error("{object} is not there")]
    Missing {
        /// The object.
        object: String,
    },
    /// There is such an object already.
    #[error("{object} is there already")]
    Exists {
        /// The object.
        object: String,
    },
    /// Somebody else has replaced the object meanwhile.
    #[error("{object} was changed by somebody else")]
    Changed {
        /// The object.
        object: String,
    },
    /// The object is not what was written.
    #[error("{object} is damaged: {what}")]
    Damaged {
        /// The object.
        object: String,
        /// What does not fit.
        what: String,
    },
    /// The key opens nothing there.
    #[error("it is not a key of this repository")]
    WrongKey,
    /// Without it nobody could open the repository.
    #[error("it is the last key that opens the repository")]
    LastKey,
    /// It is no stream of `cask send`.
    #[error("this is no stream of cask send")]
    NoStream,
    /// A stream was cut off.
    #[error("the stream ends too early, after {bytes} bytes")]
    Truncated {
        /// How many came.
        bytes: u64,
    },
    /// A newer cask wrote the object.
    #[error("{object} has format {found}; this cask knows formats up to {known}")]
    Newer {
        /// The object.
        object: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// There is no repository.
    #[error("there is no repository in {0}")]
    NoRepository(String),
    /// There is no such volume or snapshot in the repository.
    #[error("there is no {0}")]
    NotThere(String),
    /// Several volumes there have that name.
    #[error("there are several volumes \"{0}\"")]
    Ambiguous(String),
    /// There is no such bucket or directory.
    #[error("there is no {0}")]
    NoPlace(String),
    /// There is another repository than the one that was added.
    #[error("another repository is there now: {found} in place of {known}")]
    OtherRepository {
        /// What is there.
        found: String,
        /// What was added.
        known: String,
    },
    /// The store does not keep what a repository needs.
    #[error("the store cannot be used: {0}")]
    Unfit(String),
    /// The bucket is in another region than was said.
    #[error("the region is wrong: {0}")]
    OtherRegion(String),
    /// What is said of the store makes no sense.
    #[error("{0}")]
    Setting(String),
    /// A file on this host could not be read or written.
    #[error("cannot {what}")]
    Host {
        /// What was being done, and to what.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Cannot happen: cask itself is wrong, not what is stored.
    #[error("a bug in cask: {0}")]
    Bug(String),
}

impl Error {
    /// An object that is not what was written.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is told is at hand, or an error"
    )]
    pub(super) fn damaged(object: impl ToString, what: impl ToString) -> Self {
        Self::Damaged {
            object: object.to_string(),
            what: what.to_string(),
        }
    }

    /// A file of this host that could not be used.
    pub(super) fn host(what: impl Into<String>, source: io::Error) -> Self {
        Self::Host {
            what: what.into(),
            source,
        }
    }

    /// Whether it says something of one object only: others may be read all the same.
    pub(super) const fn is_of_one_object(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::Newer { .. } | Self::Missing { .. }
        )
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
