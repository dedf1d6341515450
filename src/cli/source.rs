//! A state to read out of: of a volume of this host, or in a remote.

mod pushed;
mod rows;

pub(super) use crate::commands::source::{
    BLOCK_BYTES, Entry, Failure, Source, Xattr, find, kind_of, with_source,
};
pub(super) use rows::with_rows;

use std::ffi::{OsStr, OsString};

use crate::remote::{PushState, PushedTree, RemoteRef, Repository};
use crate::transfer;

use crate::cli::locate::Root;
use crate::cli::remotes;
use crate::cli::state_ref::AnyState;
use crate::cli::{CliError, Kind, Result};

/// What is read out, for people.
pub(super) struct Origin {
    /// What it is called in a sentence.
    pub(super) said: String,
    /// What a copy of all of it is called.
    pub(super) name: Option<OsString>,
    /// Where more may be told of what went wrong.
    pub(super) more: String,
}

/// Does `work` with a state of a volume, or a snapshot in a remote.
pub(super) fn with_any<T>(
    state: &AnyState,
    root: &Root,
    work: impl Fn(&Origin, &dyn Source) -> Result<T>,
) -> Result<T> {
    let from = match state {
        AnyState::Here(state) => {
            return with_source(state, root, |located, source| {
                let origin = Origin {
                    said: located.to_string(),
                    name: located.dir.file_name().map(OsStr::to_owned),
                    more: format!("see {}", located.dir.join("server.log").display()),
                };
                work(&origin, source)
            });
        }
        AnyState::There(from) => from,
    };
    let repository = remotes::open(&remotes::choose(root, Some(&from.remote))?)?;
    let tree = pushed_tree(from, &repository)?;
    let origin = Origin {
        said: format!("{from}"),
        name: Some(from.volume.clone().into()),
        more: format!(
            "`cask remote check {}` tells which snapshots are whole",
            from.remote
        ),
    };
    work(&origin, &tree)
}

/// A snapshot in a remote, or the newest.
pub(super) fn pushed_tree(from: &RemoteRef, repository: &Repository) -> Result<PushedTree> {
    let snapshot = from.find_snapshot(repository);
    let snapshot = snapshot.map_err(|e| remotes::explain(e, &from.remote))?;
    if snapshot.state != PushState::Published {
        let pending = transfer::Error::Pending(snapshot.name.to_string());
        return Err(remotes::explain_transfer(pending, &from.remote, |e| {
            CliError::new(Kind::Failed, e.to_string())
        }));
    }
    let opened = PushedTree::open(repository, &snapshot);
    opened.map_err(|e| remotes::explain(e, &from.remote))
}
