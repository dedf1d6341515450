//! `cask clone`.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::control::{Bytes, Op};
use crate::server::{self, perform};
use crate::transfer::Ahead;
use crate::volume::{Deadline, Life, Prefetch, store};

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::pulled::{Lacking, make_lacking};
use crate::cli::state_ref::{AnyState, StateRef, explain};
use crate::cli::verbs::sync;
use crate::cli::{CliError, Kind, Result, output};

/// Make an independent, writable volume of a snapshot, or of a volume as it is now, and print its name
///
/// The stored bytes are shared through hard links, or copied where the filesystem has none; neither
/// volume notices what becomes of the other. The cost is that of copying the database.
///
/// Of a snapshot in a remote what tells of files is fetched, and what they hold when it is read, or in the background
/// while the volume is mounted.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What to clone
    #[arg(value_name = "[REMOTE:]NAME[@SNAP]", value_parser = AnyState::parser())]
    from: AnyState,
    /// The new volume: a name, or a directory
    #[arg(value_name = "NEW", value_parser = VolumeRef::parser())]
    new: VolumeRef,
    /// Remove the new volume when its last mount is gone
    #[arg(long)]
    ephemeral: bool,
    /// Of a snapshot in a remote, what is fetched before it is needed: all, metadata or none, as with `cask mount`
    #[arg(long, value_name = "WHAT")]
    prefetch: Option<Prefetch>,
}

/// Why a clone could not be made: the new volume is to blame, or the old one.
enum Failure {
    New(crate::volume::Error),
    Old(server::Error),
}

impl From<crate::volume::Error> for Failure {
    fn from(error: crate::volume::Error) -> Self {
        Self::New(error)
    }
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let made = match &arguments.from {
        AnyState::Here(_) if arguments.prefetch.is_some() => {
            let message = "--prefetch is for a snapshot in a remote";
            Err(CliError::new(Kind::Usage, message).hint("leave it out"))
        }
        AnyState::Here(from) => clone_here(from, arguments, root),
        AnyState::There(from) => {
            let life = if arguments.ephemeral {
                Life::Ephemeral
            } else {
                Life::Lasting
            };
            let lacking = Lacking {
                life,
                prefetch: arguments.prefetch.unwrap_or_default(),
                deadline: Deadline::default(),
                ahead: Ahead::Refused,
            };
            make_lacking(&arguments.new, from, lacking, root)
        }
    };
    made.and_then(|()| output::line(&arguments.new.typed()))
}

fn clone_here(from: &StateRef, arguments: &Arguments, root: &Root) -> Result<()> {
    let (located, _) = root.open(&from.volume)?;
    if from.snapshot.is_none() {
        // A snapshot is what it is; the head lacks what the kernel still holds.
        sync::flush(&located)?;
    }
    let wanted = Located {
        reference: arguments.new.clone(),
        dir: std::path::absolute(root.dir_of(&arguments.new)).map_err(|e| {
            CliError::new(Kind::Failed, format!("cannot reach {}", arguments.new)).because(e)
        })?,
    };
    let copy = |fresh: &Path| {
        copy(&located, from, fresh)?;
        if arguments.ephemeral {
            // While nobody can see it by its name: a volume is ephemeral from the first, or never.
            store::edit(fresh, |config| config.life = Life::Ephemeral)?;
        }
        Ok(())
    };
    let built = match &arguments.new {
        VolumeRef::Name(name) => root.store().build(name, copy),
        VolumeRef::Dir(_) => store::build_at(&wanted.dir, copy),
    };
    built.map_err(|failure| match (failure, &from.snapshot) {
        (Failure::New(error), _) => wanted.explain_volume(error),
        (Failure::Old(error), Some(name)) => explain(error, &located, name),
        (Failure::Old(error), None) => located.explain(error),
    })
}

fn copy(located: &Located, from: &StateRef, fresh: &Path) -> std::result::Result<(), Failure> {
    // A server does not know in which directory it was asked.
    let fresh = std::path::absolute(fresh).map_err(|e| {
        Failure::New(crate::volume::Error::storage(
            "cannot find the directory",
            e,
        ))
    })?;
    let op = Op::Clone {
        from: from.snapshot.clone(),
        dir: Bytes(fresh.as_os_str().as_bytes().to_vec()),
    };
    perform(&located.dir, &op).map(|_| ()).map_err(Failure::Old)
}
