//! What changed between two states of a volume.

use crate::commands::locate::Located;
use crate::commands::state_ref::explain;
use crate::commands::{CommandError, Kind, Result};
use crate::control::{Answer, Change, ChangeKind, Op, Piece};
use crate::server::{self, perform, work};
use crate::types::SnapshotName;

/// How a change is marked in a list.
pub(crate) const fn letter(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Added => '+',
        ChangeKind::Removed => '-',
        ChangeKind::Modified => 'M',
        ChangeKind::Renamed => 'R',
        ChangeKind::Attributes => 'U',
        ChangeKind::Retyped => 'T',
    }
}

/// Compares two states of a volume, the head if there is no `to`, and has `heed` the changes as they are found.
pub(crate) fn compare(
    located: &Located,
    from: &SnapshotName,
    to: Option<&SnapshotName>,
    mut heed: impl FnMut(Vec<Change>) -> Result<()>,
) -> Result<()> {
    let op = Op::Diff {
        from: from.clone(),
        to: to.cloned(),
    };
    let worked = work(&located.dir, &op, |piece| match piece {
        Piece::Changes(changes) => heed(changes),
        Piece::Progress(_) => Ok(()),
    });
    match worked {
        Ok(Ok(Answer::Done)) => Ok(()),
        Ok(Ok(_)) => Err(CommandError::new(
            Kind::Failed,
            format!("the server of {located} answered something else than was asked"),
        )),
        Ok(Err(unheeded)) => Err(unheeded),
        Err(error) => Err(explain_either(error, located, from, to)),
    }
}

/// The error says that a snapshot is not there, but not which.
fn explain_either(
    error: server::Error,
    located: &Located,
    from: &SnapshotName,
    to: Option<&SnapshotName>,
) -> CommandError {
    let listed = perform(&located.dir, &Op::Snapshots);
    let is_there = |name: &SnapshotName| matches!(&listed, Ok(Answer::Snapshots { list }) if list.iter().any(|one| one.name == *name));
    let is_order =
        matches!(&error, server::Error::Fault(fault) if fault.message == "invalid argument");
    match to {
        Some(to) if is_order && is_there(from) && is_there(to) => {
            let message = format!("snapshot \"{to}\" of {located} is older than \"{from}\"");
            CommandError::new(Kind::Usage, message).hint("name the older one first")
        }
        Some(to) if is_there(from) => explain(error, located, to),
        _ => explain(error, located, from),
    }
}
