//! `cask cp`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::cli::locate::Root;
use crate::cli::source::{Entry, Failure, Origin as Read, Source, find, kind_of, with_any};
use crate::cli::state_ref::{AnyState, StateRefError, split_path};
use crate::cli::{CliError, Kind, Result};
use crate::commands::place::Target;

/// Copy a file or a directory out of a volume, or out of a snapshot, without mounting it
///
/// Kept are owners, modes, times, extended attributes and ACLs, hard links within what is copied, and
/// holes; without root, as much of that as the system allows. Symbolic links are copied, and not followed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What to copy: PATH is absolute, from the root of the volume; with REMOTE, out of a snapshot there
    #[arg(value_name = "[REMOTE:]NAME[@SNAP]:PATH", value_parser = Origin::parser())]
    from: Origin,
    /// Where to: a new name, or a directory in which it gets the name that it has
    #[arg(value_name = "DEST")]
    to: PathBuf,
}

/// A path in a state of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    state: AnyState,
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
enum OriginError {
    #[error(transparent)]
    State(#[from] StateRefError),
    #[error("what to copy is NAME:/PATH or NAME@SNAP:/PATH")]
    NoPath,
}

impl Origin {
    fn parse(text: &OsStr) -> std::result::Result<Self, OriginError> {
        let (state, path) = split_path(text).ok_or(OriginError::NoPath)?;
        Ok(Self {
            state: AnyState::parse(state)?,
            path: path.to_owned(),
        })
    }

    fn parser() -> impl clap::builder::TypedValueParser<Value = Self> {
        use clap::builder::TypedValueParser;
        clap::builder::OsStringValueParser::new().try_map(|text: OsString| Self::parse(&text))
    }
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let Origin { state, path } = &arguments.from;
    with_any(state, root, |origin, source| {
        let entry = find(source, path).map_err(|e| explain_missing(e, origin, path))?;
        let to = destination(&arguments.to, &entry, origin.name.as_deref())?;
        copy(source, &entry, &to)
    })
}

fn destination(to: &Path, entry: &Entry, name: Option<&OsStr>) -> Result<PathBuf> {
    let to = if to.is_dir() {
        let own = entry.path.file_name().or(name);
        to.join(own.unwrap_or(OsStr::new("root")))
    } else {
        to.to_owned()
    };
    if to.symlink_metadata().is_ok() {
        return Err(
            CliError::new(Kind::Exists, format!("{} exists already", to.display()))
                .hint("nothing is overwritten: name another place"),
        );
    }
    Ok(to)
}

/// Copies; what was begun is taken back if that fails.
fn copy(source: &dyn Source, entry: &Entry, to: &Path) -> Result<()> {
    let copied = Target::at(to).and_then(|target| target.fill(source, entry));
    copied.map_err(|error| {
        CliError::new(kind_of(&error), format!("cannot copy to {}", to.display()))
            .because(error)
            .hint("nothing was copied")
    })
}

fn explain_missing(error: Failure, from: &Read, path: &Path) -> CliError {
    if error.is_missing() {
        let message = format!("there is no {} in {}", path.display(), from.said);
        return CliError::new(Kind::Failed, message)
            .hint("symbolic links in a path are not followed");
    }
    CliError::new(kind_of(&error), format!("cannot read {}", path.display()))
        .because(error)
        .hint(from.more.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_and_slash_separate_state_and_path() {
        let parse = |text: &str| Origin::parse(OsStr::new(text));
        let origin = parse("db@08:00:/a:/b").unwrap();
        let AnyState::Here(state) = &origin.state else {
            panic!("it is here");
        };
        assert_eq!(state.snapshot.as_ref().unwrap().as_str(), "08:00");
        assert_eq!(origin.path, Path::new("/a:/b"));
        assert!(parse("./d:/").is_ok());
        assert!(matches!(
            parse("s3:db@a:/b").unwrap().state,
            AnyState::There(_)
        ));
        for bad in ["db", "db:a", ":/a", "db@:/a"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
