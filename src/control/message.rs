//! Requests and answers. Descriptors travel beside the line: `Attach` carries one, `Descriptor` is
//! answered with one.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::content::{Bytes, Change, SnapshotInfo};
use super::versions::Versions;
use crate::types::{
    Checked, ChunkPlace, Collected, Compression, GroupId, Limits, Measured, ScrubRate,
    SnapshotName, Usage, VolumeId,
};

/// The versions of the protocol that this cask speaks.
///
/// The two sides agree on one by [`Request::Status`], which, like its answer and every [`Fault`], has the same form in all
/// versions: fields are only added.
pub const VERSIONS: Versions = Versions::of(2, WORK);

/// The first version that has [`Request::Work`].
pub(super) const WORK: u32 = 3;

/// What is asked of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Who are you, and what are you doing?
    Status,
    /// Serve the mount behind this `/dev/fuse` descriptor. Answered after the handshake.
    Attach {
        /// What it shall show.
        tree: Tree,
        /// The mount's `st_dev`, which the server can't ask for without waiting for itself.
        device: Device,
    },
    /// Give me the `/dev/fuse` descriptor, to mount it once more.
    Descriptor {
        /// Of the mount that shows this.
        tree: Tree,
    },
    /// Answered at once with [`Answer::Watching`], and when the volume is closed, which may be much later,
    /// with [`Answer::Closed`] or a fault.
    AwaitClose,
    /// Take part in a snapshot of several volumes: let every change wait until the next request, a few seconds at most.
    /// Answered with [`Answer::Held`] once they wait.
    #[serde(rename = "hold_for_cut")]
    HoldForGroup {
        /// The volume's part.
        part: GroupPart,
    },
    /// After [`Answer::Held`]: take the snapshot, out of sight, and let changes go on. Answered with
    /// [`Answer::Prepared`] when it is durable.
    #[serde(rename = "prepare_cut")]
    PrepareInGroup,
    /// Act on what became of it. The end of the connection means the same.
    #[serde(rename = "settle_cut")]
    ConcludeInGroup,
    /// Let a state be read out, over the rest of this connection. Answered with [`Answer::Reading`]; each
    /// [`super::Ask`] that follows with a [`super::Told`].
    Read {
        /// The state: as it is now if there is none, which is kept until the end of the connection.
        from: Option<SnapshotName>,
    },
    /// With a program's file: have it take over from this server. There is an answer only when that fails.
    Replace,
    /// What has the server counted? One of an earlier cask does not understand this, and says so.
    Measure,
    /// Do something with the volume.
    Perform {
        /// What to do.
        op: Op,
    },
    /// The same, for what may take long: there may be [`Answer::Progress`] before its answer, and what [`Op::Diff`] finds
    /// comes in pieces, [`Answer::Changes`] each, before [`Answer::Done`]. It is the last request of a connection, whose
    /// end, or that of its half that asks, ends the work.
    Work {
        /// What to do.
        op: Op,
    },
}

/// A volume's part in a group snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPart {
    /// Which one.
    #[serde(rename = "cut")]
    pub group: GroupId,
    /// The volume that decides it.
    #[serde(rename = "ledger")]
    pub coordinator: VolumeId,
    /// That volume's directory.
    #[serde(rename = "ledger_dir")]
    pub coordinator_dir: Bytes,
    /// The name of this volume's snapshot.
    pub name: SnapshotName,
    /// The user's note.
    pub label: String,
}

/// What a superblock shows of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tree {
    /// The volume as it is.
    Head,
    /// All its snapshots, a directory each: what an earlier server shows, and its supervisor keeps.
    Snapshots,
    /// One snapshot.
    Snapshot(SnapshotName),
}

/// What can be done with a volume, mounted or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Make everything that was acknowledged durable.
    Sync,
    /// Handle the writes that are on their way.
    Drain,
    /// Count what the volume holds.
    Usage,
    /// Look for damage in the metadata.
    CheckMetadata,
    /// The same, and in all data.
    CheckData,
    /// Give back the space of all that nothing names any more.
    Collect,
    /// Compress new chunks otherwise.
    Compress {
        /// From now on.
        compression: Compression,
    },
    /// Read what is stored again at another rate.
    Scrub {
        /// From now on.
        rate: ScrubRate,
    },
    /// Set what the volume may hold.
    Limit {
        /// From now on.
        limits: Limits,
    },
    /// Take a snapshot.
    TakeSnapshot {
        /// Its name.
        name: SnapshotName,
        /// The user's note.
        label: String,
    },
    /// Take a snapshot if anything has changed since an earlier one.
    TakeChanged {
        /// Its name.
        name: SnapshotName,
        /// The user's note.
        label: String,
        /// The earlier one.
        since: SnapshotName,
    },
    /// List the snapshots, the oldest first.
    Snapshots,
    /// The same, with the bytes that each holds.
    MeasuredSnapshots,
    /// Remove a snapshot.
    RemoveSnapshot {
        /// Its name.
        name: SnapshotName,
    },
    /// Forbid the removal of a snapshot.
    HoldSnapshot {
        /// Its name.
        name: SnapshotName,
    },
    /// Allow it again.
    ReleaseSnapshot {
        /// Its name.
        name: SnapshotName,
    },
    /// Find chunks in the volume's index of hashes. Not more than 256 at a time: a request is 64 KiB at most.
    FindChunks {
        /// Their hashes, one behind the other.
        hashes: Bytes,
    },
    /// Compare two states.
    Diff {
        /// The older.
        from: SnapshotName,
        /// The newer; the head if there is none.
        to: Option<SnapshotName>,
    },
    /// Make an independent volume of a state.
    Clone {
        /// The state; the head if there is none.
        from: Option<SnapshotName>,
        /// The new volume's directory, absolute, which must not exist.
        dir: Bytes,
    },
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Attach`].
    Attached,
    /// To [`Request::Descriptor`].
    Descriptor,
    /// To [`Request::AwaitClose`], first.
    Watching,
    /// To [`Request::AwaitClose`], then: everything is safe.
    Closed,
    /// To [`Request::HoldForGroup`]: changes wait.
    Held,
    /// To [`Request::PrepareInGroup`].
    Prepared,
    /// To [`Request::Read`].
    Reading {
        /// Whether the state may change meanwhile: there was no room to keep it.
        live: bool,
        /// Whether [`super::Ask::Changes`] is understood.
        #[serde(default)]
        tells_changes: bool,
    },
    /// To [`Request::Measure`].
    Measured(Measured),
    /// To [`Op::Sync`].
    Synced,
    /// To [`Op::Usage`].
    Usage(Usage),
    /// To [`Op::CheckMetadata`] and [`Op::CheckData`].
    Checked(Checked),
    /// To [`Op::Collect`].
    Collected(Collected),
    /// To [`Op::TakeSnapshot`] and [`Op::TakeChanged`].
    Snapshot(SnapshotInfo),
    /// To [`Op::TakeChanged`]: nothing has.
    Unchanged,
    /// To [`Op::Snapshots`] and [`Op::MeasuredSnapshots`].
    Snapshots {
        /// The oldest first.
        list: Vec<SnapshotInfo>,
    },
    /// Before another answer to [`Request::Work`].
    Progress {
        /// Bytes that were verified, moved or removed.
        done: u64,
    },
    /// To [`Op::Diff`].
    Changes {
        /// Sorted by path.
        list: Vec<Change>,
    },
    /// To [`Op::FindChunks`].
    Chunks {
        /// Those that are in the volume's segments.
        list: Vec<ChunkPlace>,
    },
    /// To what has no other answer.
    Done,
    /// It could not be done.
    Fault(Fault),
}

/// A server and its mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The server's process id.
    pub pid: u32,
    /// The volume's identity.
    pub uuid: VolumeId,
    /// Where the server is in its life.
    pub phase: Phase,
    /// `st_dev` of the superblock that shows the volume as it is, while there is one.
    pub device: Option<Device>,
    /// `st_dev` of the superblock that shows all its snapshots, while there is one.
    pub snapshots: Option<Device>,
    /// The snapshots that have a superblock of their own; nothing from a server that cannot give them one.
    #[serde(default)]
    pub shown: Option<Vec<ShownSnapshot>>,
    /// The process that starts another server when this one dies, while there is one.
    #[serde(default)]
    #[serde(rename = "keeper")]
    pub supervisor: Option<u32>,
    /// The program that runs.
    #[serde(default)]
    pub program: Program,
    /// Why the volume takes no writes until it is mounted again, if an I/O error is the cause.
    #[serde(default)]
    pub stopped: Option<String>,
    /// How many read out of the volume or have it work, for whom the server stays also without a mount; nothing from one that does not.
    #[serde(default)]
    pub readers: Option<usize>,
    /// What the volume's files hold, in bytes, if that is known.
    #[serde(default)]
    pub logical_bytes: Option<u64>,
}

/// A snapshot with a superblock of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownSnapshot {
    /// Its name.
    pub name: SnapshotName,
    /// `st_dev` of the superblock.
    pub device: Device,
}

/// A program, to be told from others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// Device and inode of its file.
    pub file: (u64, u64),
}

impl Program {
    /// The program that runs in this process.
    #[must_use]
    pub fn this() -> Self {
        let file = std::fs::metadata("/proc/self/exe");
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            file: file.map_or((0, 0), |file| (file.dev(), file.ino())),
        }
    }
}

impl Status {
    /// The superblocks that it serves.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let shown = self.shown.iter().flatten().map(|one| one.device);
        let others = self.device.into_iter().chain(self.snapshots);
        others.chain(shown).collect()
    }

    /// The snapshot whose superblock this is.
    #[must_use]
    pub fn snapshot_at(&self, device: Device) -> Option<&SnapshotName> {
        let mut shown = self.shown.iter().flatten();
        let found = shown.find(|one| one.device == device);
        found.map(|one| &one.name)
    }
}

/// The life of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The volume is open and nothing is mounted: somebody is about to mount it, or reads out of it.
    #[serde(rename = "starting")]
    Open,
    /// There is a mount.
    Serving,
    /// The last mount is gone and nobody reads out of the volume: it is being closed.
    Closing,
}

/// The device number of a superblock (`st_dev`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Device {
    /// Major number: 0 for filesystems without a block device.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(':');
        let numbers = numbers.map(|(major, minor)| (major.parse(), minor.parse()));
        match numbers {
            Some((Ok(major), Ok(minor))) => Ok(Self { major, minor }),
            _ => Err(format!("{text} is no device number such as 0:42")),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What the asker can do about it.
    pub kind: FaultKind,
    /// For people.
    pub message: String,
}

/// What the asker can do about a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Nothing but read the message.
    Failed,
    /// Wait for whoever has the volume open, or end them.
    InUse,
    /// The server is ending: wait for that, then start another.
    Closing,
    /// The server has no mount yet: ask again.
    NotMounted,
    /// The server has mounts, but none that shows this: make one.
    NotShown,
    /// Somebody else was faster: ask for the descriptor.
    Attached,
    /// Name a snapshot that is there.
    NoSnapshot,
    /// Name a snapshot that is not there yet.
    SnapshotExists,
    /// Release the snapshot first.
    SnapshotHeld,
    /// There is no volume here.
    NotAVolume,
    /// Use a newer cask.
    NewerFormat,
    /// Repair the volume.
    Damaged,
    /// Free some space.
    NoSpace,
    /// Ask for more: the volume holds more than that.
    Exceeded,
    /// Try again: the volumes of a group were not ready at the same time.
    NotTogether,
    /// The request was not understood, or is not allowed.
    Refused,
}
