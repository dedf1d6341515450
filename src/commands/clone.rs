//! Making a volume of a state of another.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::commands::flush::flush;
use crate::commands::locate::{Located, Root, VolumeRef};
use crate::commands::state_ref::{StateRef, explain};
use crate::commands::{CommandError, Kind, Result};
use crate::control::{Bytes, Op};
use crate::server::{self, perform};
use crate::volume::{Life, store};

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

/// Makes the volume `new` of a state of another.
pub(crate) fn clone_here(
    from: &StateRef,
    (new, life): (&VolumeRef, Life),
    root: &Root,
) -> Result<()> {
    let (located, _) = root.open(&from.volume)?;
    if from.snapshot.is_none() {
        // A snapshot is what it is; the head lacks what the kernel still holds.
        flush(&located)?;
    }
    let wanted = Located {
        reference: new.clone(),
        dir: std::path::absolute(root.dir_of(new)).map_err(|e| {
            CommandError::new(Kind::Failed, format!("cannot reach {new}")).because(e)
        })?,
    };
    let copy = |fresh: &Path| {
        copy(&located, from, fresh)?;
        if life == Life::Ephemeral {
            // While nobody can see it by its name: a volume is ephemeral from the first, or never.
            store::edit(fresh, |config| config.life = Life::Ephemeral)?;
        }
        Ok(())
    };
    let built = match new {
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
