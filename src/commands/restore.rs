//! Putting a file or a directory of a snapshot back in its place in the volume as it is now.
//!
//! What was there is replaced in one step: whoever looks finds the old or the new, and never a part of one. What is
//! shared with other names of the same file is not put back: the file that comes is one of its own.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, openat, renameat_with, statat};
use rustix::io::Errno;

use crate::commands::host;
use crate::commands::locate::{Located, Root};
use crate::commands::place::Target;
use crate::commands::source::{Entry, Failure, Source, find, kind_of, with_source};
use crate::commands::state_ref::{SnapshotRef, StateRef};
use crate::commands::{CommandError, Kind, Result};
use crate::control::Op;
use crate::server;
use crate::types::{FileKind, VolumeId};

/// Puts what is at `path` in a snapshot back, in the volume as it is now.
pub(crate) fn restore(from: &SnapshotRef, path: &Path, root: &Root) -> Result<()> {
    let state = StateRef {
        volume: from.volume.clone(),
        snapshot: Some(from.name.clone()),
    };
    with_source(&state, root, |located, source| {
        let entry = find(source, path).map_err(|e| explain_missing(e, from, path))?;
        let place = Place::find(located, &entry)?;
        place
            .fill(source, &entry)
            .map_err(|e| explain(e, path, located))
    })
}

/// Where something comes to be.
struct Place {
    /// The directory of the volume's files on the host.
    volume: PathBuf,
    dir: OwnedFd,
    name: OsString,
}

impl Place {
    fn find(located: &Located, entry: &Entry) -> Result<Self> {
        let Some(name) = entry.path.file_name() else {
            let message = format!("all of {located} cannot be put back in place");
            let hint = "`cask rollback` makes a volume what it was";
            return Err(CommandError::new(Kind::Usage, message).hint(hint));
        };
        let head = server::open_head(&located.dir).map_err(|e| not_reached(e, located))?;
        let above = entry.path.parent().unwrap_or(Path::new(""));
        let dir = step_down(head, above).map_err(|e| {
            let above = above.display();
            CommandError::new(
                Kind::NotFound,
                format!("{located} has no directory {above} now"),
            )
            .because(std::io::Error::from(e))
            .hint("restore that directory instead")
        })?;
        Ok(Self {
            volume: located.dir.clone(),
            dir,
            name: name.to_owned(),
        })
    }

    /// Makes a copy beside the place, makes it durable, and has it take the place.
    fn fill(&self, source: &dyn Source, entry: &Entry) -> std::result::Result<(), Failure> {
        let fresh = OsString::from(format!(".cask-restore-{}", VolumeId::random()));
        Target::within(self.dir.try_clone()?, fresh.clone()).fill(source, entry)?;
        let placed = self.make_durable().and_then(|()| self.swap(&fresh, entry));
        if placed.is_err()
            && let Err(e) = host::remove(self.dir.try_clone()?, &fresh)
        {
            log::warn!("a copy stays as {}: {e}", fresh.display());
        }
        placed?;
        Ok(self.make_durable()?)
    }

    /// All of the volume: an fsync of a directory tells nothing of the files in it. The kernel brings the server what it
    /// holds, and waits for no more (docs/semantics.md); the server makes it durable.
    fn make_durable(&self) -> std::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(&self.dir, ".", flags, Mode::empty())?;
        rustix::fs::syncfs(&dir)?;
        server::perform(&self.volume, &Op::Sync).map_err(std::io::Error::other)?;
        Ok(())
    }

    fn swap(&self, fresh: &OsStr, entry: &Entry) -> std::io::Result<()> {
        let dir = self.dir.as_fd();
        let move_it = |flags| renameat_with(dir, fresh, dir, &self.name, flags);
        let is_directory = match statat(dir, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => FileType::from_raw_mode(there.st_mode) == FileType::Directory,
            Err(Errno::NOENT) => return Ok(move_it(RenameFlags::NOREPLACE)?),
            Err(e) => return Err(e.into()),
        };
        if !is_directory && entry.attr.kind != FileKind::Directory {
            return Ok(move_it(RenameFlags::empty())?);
        }
        move_it(RenameFlags::EXCHANGE)?;
        // By now under this name: what was there. What was asked for is done.
        if let Err(e) = host::remove(self.dir.try_clone()?, fresh) {
            log::warn!("what was there before stays as {}: {e}", fresh.display());
        }
        Ok(())
    }
}

/// Goes down by one name after the other: a symbolic link on the way would lead elsewhere.
fn step_down(head: OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let steps = path.as_os_str().as_bytes().split(|&byte| byte == b'/');
    let mut steps = steps.filter(|step| !step.is_empty());
    steps.try_fold(head, |dir, step| {
        openat(&dir, OsStr::from_bytes(step), flags, Mode::empty())
    })
}

fn not_reached(error: server::Error, located: &Located) -> CommandError {
    if matches!(error, server::Error::SecondMount) {
        let message = format!("{located} is not mounted, and without root it has to be");
        let hint = format!("mount it: `cask mount {} DIR`", located.reference.typed());
        return CommandError::new(Kind::Failed, message).hint(hint);
    }
    located.explain(error)
}

fn explain_missing(error: Failure, from: &SnapshotRef, path: &Path) -> CommandError {
    let path = path.display();
    if error.is_missing() {
        return CommandError::new(Kind::NotFound, format!("there is no {path} in {from}"))
            .hint("symbolic links in a path are not followed");
    }
    CommandError::new(kind_of(&error), format!("cannot read {path} of {from}")).because(error)
}

fn explain(error: Failure, path: &Path, located: &Located) -> CommandError {
    let message = format!("cannot restore {} in {located}", path.display());
    CommandError::new(kind_of(&error), message)
        .because(error)
        .hint("what was there is there still")
}
