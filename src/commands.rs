//! What commands do, whoever asks: the command line, or the page. Finds what they are about, does it, and says why not.
//!
//! Prints nothing and parses no command line.

pub(crate) mod archive;
pub(crate) mod clone;
pub(crate) mod containers;
pub(crate) mod diff;
mod error;
pub(crate) mod flush;
pub(crate) mod host;
pub(crate) mod locate;
pub(crate) mod mounted;
pub(crate) mod place;
pub(crate) mod restore;
pub(crate) mod rollback;
pub(crate) mod schedule;
pub(crate) mod settings;
pub(crate) mod snapshot;
pub(crate) mod source;
mod staging;
pub(crate) mod state_ref;
pub(crate) mod usage;
pub(crate) mod words;

pub use error::{CommandError, Kind};

/// The result of a command.
pub type Result<T> = std::result::Result<T, CommandError>;
