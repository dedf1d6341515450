//! What a supervisor and its server say to each other: lines of JSON on a socket pair, descriptors beside them.
//!
//! The two may be of different casks after an upgrade, so what is here only grows.

use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};

use crate::control::{Bytes, Device, Versions, Wire};
use crate::types::SnapshotName;

/// The versions of this protocol that this cask speaks; they are not those of the control socket.
///
/// What a supervisor hands over is said before it has heard its server, and so has the same form in all of them.
const VERSIONS: Versions = Versions::of(1, NO_WAY_BACK);

/// The first version that has [`Report::NoWayBack`].
pub(super) const NO_WAY_BACK: u32 = 2;

/// What this supervisor understands beyond what supervisors always did: connections that show [one snapshot](Showing::Snapshot),
/// and what becomes of requests that are sent [again](Report::Resumed).
pub(super) const LEVEL: u32 = 1;

/// An end of the socket pair.
pub(super) fn wire(stream: UnixStream) -> Wire {
    Wire::speaking(stream, VERSIONS)
}

/// What a connection shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Showing {
    /// The volume as it is.
    Head,
    /// All snapshots, a directory each.
    Snapshots,
    /// One snapshot. Only for a supervisor that says that it [knows](Handover::Begin) such.
    Snapshot {
        /// What the name stood for when it was mounted.
        epoch: i64,
        /// Its name.
        name: SnapshotName,
    },
}

/// A FUSE connection that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Kept {
    /// What it shows.
    pub(in super::super) tree: Showing,
    /// Its superblock.
    pub(in super::super) device: Device,
    /// The kernel's INIT.
    pub(in super::super) init: Bytes,
    /// From which its requests are counted.
    pub(in super::super) salt: u64,
}

/// What a supervisor says to its server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "handover", rename_all = "snake_case")]
pub(super) enum Handover {
    /// With a control connection: whoever wants the volume served is at its other end.
    Starter,
    /// With the volume's lock, which is held.
    Lock,
    /// With `/dev/fuse`: go on with this connection.
    Connection(Kept),
    /// An I/O error has stopped all writing to the volume.
    Stopped,
    /// That was all.
    Begin {
        /// What the supervisor understands: nothing of a cask that does not say so, [`LEVEL`] of this one.
        #[serde(default)]
        level: u32,
    },
    /// The last report was understood.
    Heard,
}

/// What a server says to its supervisor. Each is answered with [`Handover::Heard`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(super) enum Report {
    /// With the volume's lock: hold it.
    Locked,
    /// With `/dev/fuse`: keep this connection.
    Connected(Kept),
    /// The last mount of this is gone.
    Disconnected {
        /// What it showed.
        tree: Showing,
    },
    /// All that was handed over is served.
    Serving,
    /// An I/O error stopped all writing: it stays so until the volume is mounted again.
    Stopped,
    /// A request that the kernel sent again is under way. Only for a supervisor of [`LEVEL`] 1.
    Resumed {
        /// From which its connection's requests are counted.
        salt: u64,
        /// Its number.
        unique: u64,
    },
    /// Such a request was answered.
    Answered {
        /// From which its connection's requests are counted.
        salt: u64,
        /// Its number.
        unique: u64,
    },
    /// The volume's tables are about to be of a format that the programs before this one do not know. Only for a supervisor
    /// of version [`NO_WAY_BACK`].
    NoWayBack {
        /// Of the tables from now on.
        format: u32,
    },
    /// The volume cannot be served.
    Failed {
        /// Why, for people.
        message: String,
    },
    /// With a program: end me, and start that.
    Replace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_casks_say_is_understood() {
        let kept = r#"{"tree":"snapshots","device":{"major":0,"minor":7},"init":"8","salt":3}"#;
        let kept: Kept = serde_json::from_str(kept).unwrap();
        assert_eq!(kept.tree, Showing::Snapshots);
        let level = |text: &str| match serde_json::from_str(text).unwrap() {
            Handover::Begin { level } => level,
            other => panic!("{other:?}"),
        };
        assert_eq!(level(r#"{"version":1,"handover":"begin"}"#), 0);
        let said = serde_json::to_string(&Handover::Begin { level: LEVEL });
        assert_eq!(level(&said.unwrap()), LEVEL);
        let over: Report =
            serde_json::from_str(r#"{"report":"disconnected","tree":"head"}"#).unwrap();
        assert!(matches!(
            over,
            Report::Disconnected {
                tree: Showing::Head
            }
        ));
    }
}
