//! What a volume says of its content, as it is sent.

use crate::control::{self, Bytes, SnapshotInfo};
use crate::volume::{Change, ChangeKind, Snapshot, SnapshotBytes};

pub(super) fn snapshot_info(snapshot: Snapshot) -> SnapshotInfo {
    SnapshotInfo {
        name: snapshot.name,
        created: snapshot.created.secs(),
        label: snapshot.label,
        held: snapshot.held,
        epoch: snapshot.epoch.0,
        bytes: None,
    }
}

pub(super) fn with_bytes((snapshot, bytes): (Snapshot, SnapshotBytes)) -> SnapshotInfo {
    SnapshotInfo {
        bytes: Some(control::SnapshotBytes {
            referenced: bytes.referenced,
            unique: bytes.unique,
        }),
        ..snapshot_info(snapshot)
    }
}

/// A change, as it is sent and told.
#[must_use]
pub fn change(change: Change) -> control::Change {
    control::Change {
        kind: match change.kind {
            ChangeKind::Added => control::ChangeKind::Added,
            ChangeKind::Removed => control::ChangeKind::Removed,
            ChangeKind::Modified => control::ChangeKind::Modified,
            ChangeKind::Renamed => control::ChangeKind::Renamed,
            ChangeKind::Retyped => control::ChangeKind::Retyped,
            ChangeKind::Attributes => control::ChangeKind::Attributes,
        },
        path: Bytes(change.path),
        old_path: change.old_path.map(Bytes),
    }
}
