//! `cask rollback`.

use crate::server::mounts::{Holder, Mount, holders_of, namespaces_holding};
use crate::server::{ServerState, server_state, with_closed};

use crate::cli::locate::{Located, Root};
use crate::cli::state_ref::{SnapshotRef, explain, typed};
use crate::cli::verbs::rm::{places, refuse_mounted};
use crate::cli::verbs::snapshot::name_by_time;
use crate::cli::{CliError, Kind, Result, output};

/// Make a volume what it was at a snapshot
///
/// First takes a snapshot of what the volume is now, and prints its name: rolling back to that one undoes
/// it. Newer snapshots stay. The volume must not be mounted anywhere.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The snapshot to go back to
    #[arg(value_name = "NAME@SNAP", value_parser = SnapshotRef::parser())]
    snapshot: SnapshotRef,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let (located, _) = root.open(&arguments.snapshot.volume)?;
    refuse_used(&located)?;
    let (name, safety) = (&arguments.snapshot.name, name_by_time("before-rollback-"));
    // Looked at above for the message only: the volume's lock keeps everybody out while it is changed.
    let done = with_closed(&located.dir, |volume| volume.rollback(name, &safety));
    done.map_err(|error| explain(error, &located, name))?;
    output::line(&typed(&arguments.snapshot.volume, &safety))
}

/// Fails if the volume is mounted, and says where and for whom.
pub(in crate::cli) fn refuse_used(located: &Located) -> Result<()> {
    let ServerState::Served(status, mounts) =
        server_state(&located.dir).map_err(|e| located.explain(e))?
    else {
        return refuse_mounted(located);
    };
    let elsewhere = namespaces_holding(&status.devices());
    let used = mounts.iter().flat_map(holders_of).chain(elsewhere);
    let message = if mounts.is_empty() {
        format!("{located} is mounted in another mount namespace")
    } else {
        format!("{located} is mounted at {}", places(&mounts))
    };
    let hint = format!(
        "unmount it everywhere first: `cask umount {}`",
        located.reference.typed()
    );
    let message = message + &used_by(&used.collect::<Vec<_>>(), &mounts, status.pid);
    Err(CliError::new(Kind::InUse, message).hint(hint))
}

fn used_by(holders: &[Holder], mounts: &[Mount], server: u32) -> String {
    if holders.is_empty() {
        return if mounts.is_empty() {
            format!(" (process {server} serves it)")
        } else {
            String::new()
        };
    }
    let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
    format!(", used by {}", names.join(", "))
}
