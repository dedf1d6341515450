//! Why a call fails: a sentence for whoever typed the command that led to it.

use crate::types::with_causes;
use crate::{server, transfer, volume};

/// Why a call fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such volume, or no such snapshot.
    #[error("no such volume: {0}")]
    NoVolume(String),
    /// A name that no volume can have.
    #[error("{0}")]
    BadName(String),
    /// An option that is not understood.
    #[error("{0}")]
    BadOption(String),
    /// Somebody uses the volume.
    #[error("volume {name} is in use: {by}")]
    InUse {
        /// The volume.
        name: String,
        /// Who.
        by: String,
    },
    /// It shall not be removed.
    #[error("volume {0} is protected; to allow it: `cask set {0} protect=off`")]
    Protected(String),
    /// The request is not one of the protocol.
    #[error("{0}")]
    BadRequest(String),
    /// A volume could not be made.
    #[error("cannot make the volume: {0}")]
    Make(#[from] volume::Error),
    /// The volume is the problem.
    #[error("volume {name}: {source}")]
    Volume {
        /// The volume.
        name: String,
        /// What about it.
        #[source]
        source: volume::Error,
    },
    /// Its server, or its mount.
    #[error("volume {name}: {source}")]
    Server {
        /// The volume.
        name: String,
        /// What about it.
        #[source]
        source: server::Error,
    },
    /// A snapshot could not be pulled.
    #[error("cannot pull {from}: {}", with_causes(source))]
    Pull {
        /// What.
        from: String,
        /// Why.
        #[source]
        source: transfer::Error,
    },
    /// The plugin's own files.
    #[error("cannot {op}: {source}")]
    Io {
        /// What was being done, and to what.
        op: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    pub(super) fn io(op: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            op: op.into(),
            source,
        }
    }

    pub(super) fn volume(name: &impl ToString) -> impl FnOnce(volume::Error) -> Self {
        let name = name.to_string();
        move |source| Self::Volume { name, source }
    }

    pub(super) fn server(name: &impl ToString) -> impl FnOnce(server::Error) -> Self {
        let name = name.to_string();
        move |source| Self::Server { name, source }
    }
}
