//! What can be asked of a volume, mounted or not: one function for the server and for commands that
//! open the volume themselves.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::content::{change, snapshot_info, with_bytes};
use crate::control::{Answer, Bytes, Fault, FaultKind, Op};
use crate::types::{ChunkBytes, ChunkHash, SnapshotName, with_causes};
use crate::volume::{Config, Depth, Error, Hold, Volume};

/// Does `op` with `volume`.
///
/// # Errors
/// Whatever the volume says.
pub fn handle(op: &Op, volume: &Volume) -> Result<Answer, Error> {
    match op {
        Op::Sync => volume.sync().map(|()| Answer::Synced),
        Op::Usage => volume.usage().map(Answer::Usage),
        Op::CheckMetadata => volume.check(Depth::Metadata).map(Answer::Checked),
        Op::CheckData => volume.check(Depth::Data).map(Answer::Checked),
        Op::Collect => volume.collect().map(Answer::Collected),
        Op::Compress { compression } => done(volume.set_compression(*compression)),
        Op::Scrub { rate } => done(volume.set_scrub_rate(*rate)),
        Op::Limit { limits } => done(volume.set_limits(*limits)),
        Op::Drain => {
            volume.drain();
            Ok(Answer::Done)
        }
        Op::TakeSnapshot { name, label } => {
            let taken = volume.take_snapshot(name, label)?;
            Ok(Answer::Snapshot(snapshot_info(taken)))
        }
        Op::TakeChanged { name, label, since } => {
            let taken = volume.take_changed_snapshot(name, label, since)?;
            Ok(taken.map_or(Answer::Unchanged, |taken| {
                Answer::Snapshot(snapshot_info(taken))
            }))
        }
        Op::Snapshots => {
            let list = volume.snapshots()?.into_iter();
            let list = list.map(snapshot_info).collect();
            Ok(Answer::Snapshots { list })
        }
        Op::MeasuredSnapshots => {
            let list = volume.measured_snapshots()?.into_iter();
            let list = list.map(with_bytes).collect();
            Ok(Answer::Snapshots { list })
        }
        Op::RemoveSnapshot { name } => done(volume.remove_snapshot(name)),
        Op::HoldSnapshot { name } => done(volume.hold_snapshot(name, Hold::Held)),
        Op::ReleaseSnapshot { name } => done(volume.hold_snapshot(name, Hold::Released)),
        Op::FindChunks { hashes } => {
            let wanted = hashes.0.as_chunks().0.iter();
            let wanted: Vec<_> = wanted.copied().map(ChunkHash::from_bytes).collect();
            let list = volume.find_chunks(&wanted)?;
            Ok(Answer::Chunks { list })
        }
        Op::Diff { from, to } => diff(volume, from, to.as_ref()),
        Op::Clone { from, dir } => clone(volume, from.as_ref(), dir),
    }
}

fn done(outcome: Result<(), Error>) -> Result<Answer, Error> {
    outcome.map(|()| Answer::Done)
}

fn diff(volume: &Volume, from: &SnapshotName, to: Option<&SnapshotName>) -> Result<Answer, Error> {
    let from = volume.snapshot(from)?;
    let to = to.map(|to| volume.snapshot(to)).transpose()?;
    let changes = volume.diff(&from, to.as_ref())?;
    let list = changes.into_iter().map(change).collect();
    Ok(Answer::Changes { list })
}

/// A clone has an identity of its own, and of what is set the limits and the compression.
fn clone(volume: &Volume, from: Option<&SnapshotName>, dir: &Bytes) -> Result<Answer, Error> {
    let from = from.map(|from| volume.snapshot(from)).transpose()?;
    let chunk_bytes = ChunkBytes::new(volume.config().chunk_bytes).unwrap_or(ChunkBytes::DEFAULT);
    let mut config = Config::new(chunk_bytes, BTreeMap::new());
    config.limits = volume.limits();
    config.compression = volume.compression();
    config.origin = volume.origin()?;
    let dir = Path::new(OsStr::from_bytes(&dir.0));
    done(volume.clone_into(from.as_ref(), dir, &config))
}

/// A volume's error, as it is sent.
#[must_use]
pub fn fault(error: &Error) -> Fault {
    Fault {
        kind: kind(error),
        message: with_causes(error),
    }
}

fn kind(error: &Error) -> FaultKind {
    match error {
        Error::InUse { .. } => FaultKind::InUse,
        // What requests name are snapshots.
        Error::NotFound => FaultKind::NoSnapshot,
        Error::Exists => FaultKind::SnapshotExists,
        Error::Held => FaultKind::SnapshotHeld,
        Error::NotAVolume { .. } => FaultKind::NotAVolume,
        Error::NewerFormat { .. } => FaultKind::NewerFormat,
        Error::Corrupt(_) => FaultKind::Damaged,
        Error::NoSpace | Error::OverLimit => FaultKind::NoSpace,
        Error::Exceeded { .. } => FaultKind::Exceeded,
        Error::NotDirectory
        | Error::IsDirectory
        | Error::NotEmpty
        | Error::NotPermitted
        | Error::AccessDenied
        | Error::Invalid
        | Error::PastEnd
        | Error::CallerUnknown
        | Error::NameTooLong
        | Error::FileTooLarge
        | Error::TooManyLinks
        | Error::NoAttribute
        | Error::AttributeTooLarge
        | Error::AttributesFull
        | Error::OutOfRange
        | Error::Unsupported
        | Error::ReadOnly
        | Error::Unwanted
        | Error::Protected
        | Error::Elsewhere
        | Error::Awaited
        | Error::Remote(_)
        | Error::Bug(_)
        | Error::Storage { .. } => FaultKind::Failed,
    }
}
