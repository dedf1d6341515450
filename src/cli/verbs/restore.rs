//! `cask restore`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::cli::Result;
use crate::cli::locate::Root;
use crate::cli::state_ref::{SnapshotRef, StateRefError, split_path};
use crate::commands::restore::restore;

/// Put a file or a directory of a snapshot back in its place, in the volume as it is now
///
/// What is there now is replaced in one step, and gone: take a snapshot first if it may be needed. Kept are owners, modes,
/// times, extended attributes and ACLs. A program that has the old file open still has it. Symbolic links are put back,
/// and not followed. Without root the volume has to be mounted.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What to restore: PATH is absolute, from the root of the volume
    #[arg(value_name = "NAME@SNAP:PATH", value_parser = Origin::parser())]
    from: Origin,
}

/// A path in a snapshot.
#[derive(Debug, Clone)]
struct Origin {
    snapshot: SnapshotRef,
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
enum OriginError {
    #[error(transparent)]
    State(#[from] StateRefError),
    #[error("what to restore is NAME@SNAP:/PATH")]
    NoPath,
}

impl Origin {
    fn parse(text: &OsStr) -> std::result::Result<Self, OriginError> {
        let (state, path) = split_path(text).ok_or(OriginError::NoPath)?;
        Ok(Self {
            snapshot: SnapshotRef::parse(state)?,
            path: path.to_owned(),
        })
    }

    fn parser() -> impl clap::builder::TypedValueParser<Value = Self> {
        use clap::builder::TypedValueParser;
        clap::builder::OsStringValueParser::new().try_map(|text: OsString| Self::parse(&text))
    }
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    restore(&arguments.from.snapshot, &arguments.from.path, root)
}
