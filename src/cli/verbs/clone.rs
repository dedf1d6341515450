//! `cask clone`.

use crate::transfer::Ahead;
use crate::volume::{Deadline, Life, Prefetch};

use crate::cli::locate::{Root, VolumeRef};
use crate::cli::pulled::{Lacking, make_lacking};
use crate::cli::state_ref::AnyState;
use crate::cli::{CliError, Kind, Result, output};
use crate::commands::clone::clone_here;

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

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let life = if arguments.ephemeral {
        Life::Ephemeral
    } else {
        Life::Lasting
    };
    let made = match &arguments.from {
        AnyState::Here(_) if arguments.prefetch.is_some() => {
            let message = "--prefetch is for a snapshot in a remote";
            Err(CliError::new(Kind::Usage, message).hint("leave it out"))
        }
        AnyState::Here(from) => clone_here(from, (&arguments.new, life), root),
        AnyState::There(from) => {
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
