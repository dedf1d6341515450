//! Why the page cannot be served.

use std::io;
use std::path::PathBuf;

use crate::types::LoopbackAddress;

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens there.
    #[error("port {} of {address} is in use", .address.socket().port())]
    PortInUse {
        /// Where.
        address: LoopbackAddress,
    },
    /// Nobody can listen there.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where.
        address: LoopbackAddress,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file with a token cannot be read or made.
    #[error("cannot use the token file {}", .path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others may read or change it.
    #[error("the token file {} has mode {mode:o}: others may read the token", .path.display())]
    TokenMode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Somebody else can change it.
    #[error("the token file {} belongs to user {owner}", .path.display())]
    TokenOwner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It holds something else.
    #[error("the token file {} holds no token", .path.display())]
    NoToken {
        /// The file.
        path: PathBuf,
    },
    /// There are no random bytes.
    #[error("cannot make a token")]
    Random(#[source] io::Error),
    /// The machinery does not start, or broke.
    #[error("cannot serve the page")]
    Serve(#[source] io::Error),
}
