//! Volumes that are made of snapshots in remotes, and why one could not be made.

use std::path::Path;

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::remotes::{choose, explain as explain_remote, explain_transfer, open, remotes};
use crate::cli::{CliError, Kind, Result};
use crate::remote::RemoteRef;
use crate::transfer::{self, Ahead, LaterFrom, config_of, pull_rows};
use crate::volume::{self, Deadline, Life, Prefetch, store};

/// Why a volume could not be made.
pub(super) enum Trouble {
    /// On this host.
    New(volume::Error),
    /// There.
    From(transfer::Error),
}

impl From<volume::Error> for Trouble {
    fn from(error: volume::Error) -> Self {
        Self::New(error)
    }
}

impl From<transfer::Error> for Trouble {
    /// What fails on this host is about the new volume.
    fn from(error: transfer::Error) -> Self {
        match error {
            transfer::Error::Volume(error) => Self::New(error),
            error => Self::From(error),
        }
    }
}

/// Makes a volume by `build`, which gets the directory to make it in.
pub(super) fn build(
    from: &RemoteRef,
    volume: &VolumeRef,
    root: &Root,
    build: impl FnOnce(&Path) -> std::result::Result<(), transfer::Error>,
) -> Result<()> {
    let build = |fresh: &Path| build(fresh).map_err(Trouble::from);
    let built = match volume {
        VolumeRef::Name(name) => root.store().build(name, build),
        VolumeRef::Dir(dir) => store::build_at(dir, build),
    };
    built.map_err(|trouble| explain(trouble, from, volume, root))
}

/// How a volume gets what it lacks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lacking {
    /// What is fetched before it is needed.
    pub(super) prefetch: Prefetch,
    /// How long a read waits for the store.
    pub(super) deadline: Deadline,
    /// How long it lives.
    pub(super) life: Life,
    /// Whether it may be used before it is known here what files it has.
    pub(super) ahead: Ahead,
}

/// Makes a volume that fetches its chunks when they are needed.
pub(super) fn make_lacking(
    volume: &VolumeRef,
    from: &RemoteRef,
    lacking: Lacking,
    root: &Root,
) -> Result<()> {
    let repository = open(&choose(root, Some(&from.remote))?)?;
    let snapshot = from.find_snapshot(&repository);
    let snapshot = snapshot.map_err(|e| explain_remote(e, &from.remote))?;
    let config = config_of(&snapshot);
    let mut config = config.map_err(|e| explain(Trouble::From(e), from, volume, root))?;
    config.life = lacking.life;
    let later = LaterFrom {
        root: remotes(root).root(),
        remote: from.remote.clone(),
        prefetch: lacking.prefetch,
        deadline: lacking.deadline,
        ahead: lacking.ahead,
    };
    build(from, volume, root, |fresh| {
        pull_rows(&repository, &snapshot, (fresh, config, &later))
    })
}

/// What it means that a volume could not be made.
pub(super) fn explain(
    trouble: Trouble,
    from: &RemoteRef,
    volume: &VolumeRef,
    root: &Root,
) -> CliError {
    match trouble {
        Trouble::New(error) => {
            let reference = volume.clone();
            let dir = root.dir_of(&reference);
            Located { reference, dir }.explain_volume(error)
        }
        Trouble::From(error) => explain_transfer(error, &from.remote, |error| {
            CliError::new(Kind::Failed, format!("cannot pull {from}"))
                .because(error)
                .hint("no volume was made")
        }),
    }
}
