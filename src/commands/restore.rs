//! Putting a file or a directory of a snapshot back in its place in the volume as it is now.
//!
//! What was there is replaced in one step: whoever looks finds the old or the new, and never a part of one. What is
//! shared with other names of the same file is not put back: the file that comes is one of its own.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, fstat, openat, renameat_with, statat};
use rustix::io::{Errno, retry_on_intr};

use crate::commands::host::{self, DIRECTORY};
use crate::commands::locate::{Located, Root};
use crate::commands::place::Target;
use crate::commands::source::{Entry, Failure, Source, find, kind_of, with_source};
use crate::commands::staging::Staging;
use crate::commands::state_ref::{SnapshotRef, StateRef};
use crate::commands::{CommandError, Kind, Result};
use crate::control::Op;
use crate::server;
use crate::types::FileKind;

/// Puts what is at `path` in a snapshot back, in the volume as it is now.
pub(crate) fn restore(from: &SnapshotRef, path: &Path, root: &Root) -> Result<()> {
    let state = StateRef {
        volume: from.volume.clone(),
        snapshot: Some(from.name.clone()),
    };
    with_source(&state, root, |located, source| {
        let entry = find(source, path).map_err(|e| explain_missing(e, from, path))?;
        let place = Place::find(located, &entry)?;
        let staging = place.fill(source, &entry);
        let staging = staging.map_err(|e| explain(e, path, located))?;
        let kept = place.make_durable();
        kept.map_err(|e| explain_kept(e, path, located))?;
        // With what was in the place before: by now that is in there.
        staging.remove();
        Ok(())
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

    /// Makes a copy where nobody else reaches it, makes it durable, and has it take the place. What was there is then in
    /// the directory that is returned.
    fn fill(&self, source: &dyn Source, entry: &Entry) -> std::result::Result<Staging, Failure> {
        let staging = Staging::make_in(&self.dir)?;
        match self.fill_by(&staging, source, entry) {
            Ok(()) => Ok(staging),
            Err(e) => {
                staging.remove();
                Err(e)
            }
        }
    }

    fn fill_by(
        &self,
        staging: &Staging,
        source: &dyn Source,
        entry: &Entry,
    ) -> std::result::Result<(), Failure> {
        let made_in = staging.as_fd().try_clone_to_owned()?;
        Target::within(made_in, self.name.clone()).fill(source, entry)?;
        self.make_durable()?;
        Ok(self.swap(staging.as_fd(), entry)?)
    }

    /// All of the volume: an fsync of a directory tells nothing of the files in it. The kernel brings the server what it
    /// holds, and waits for no more (docs/semantics.md); the server makes it durable.
    fn make_durable(&self) -> std::io::Result<()> {
        let dir = openat(&self.dir, ".", DIRECTORY, Mode::empty())?;
        // A program that was killed while it removed a file leaves its EINTR to whoever asks next, who is told once
        // (Linux, fs/fuse/dir.c, `fuse_flush_time_update`).
        retry_on_intr(|| rustix::fs::syncfs(&dir))?;
        server::perform(&self.volume, &Op::Sync).map_err(std::io::Error::other)?;
        Ok(())
    }

    /// Has what was made take the place, and what is there now its place.
    fn swap(&self, made_in: BorrowedFd<'_>, entry: &Entry) -> rustix::io::Result<()> {
        let is_directory = entry.attr.kind == FileKind::Directory;
        let flags = match statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) if is_directory || host::is_directory(&there) => RenameFlags::EXCHANGE,
            Ok(_) => RenameFlags::empty(),
            Err(Errno::NOENT) => RenameFlags::NOREPLACE,
            Err(e) => return Err(e),
        };
        match self.take_place(made_in, flags) {
            Err(Errno::ACCESS) => self.take_place_opened(made_in, flags),
            taken => taken,
        }
    }

    fn take_place(&self, made_in: BorrowedFd<'_>, flags: RenameFlags) -> rustix::io::Result<()> {
        renameat_with(made_in, &self.name, &self.dir, &self.name, flags)
    }

    /// Without root a directory changes its parent only where it may be written itself: its `..` changes (rename(2)).
    fn take_place_opened(
        &self,
        made_in: BorrowedFd<'_>,
        flags: RenameFlags,
    ) -> rustix::io::Result<()> {
        let made = Opened::at(made_in, &self.name)?;
        let there = Opened::at(self.dir.as_fd(), &self.name)?;
        let taken = self.take_place(made_in, flags);
        let there = there.filter(|_| taken.is_err());
        for opened in [made, there].into_iter().flatten() {
            opened.close();
        }
        taken
    }
}

/// A directory that its owner may write for a moment.
struct Opened {
    dir: OwnedFd,
    mode: Mode,
}

impl Opened {
    /// The one of this name; nothing where it is none.
    fn at(above: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Option<Self>> {
        let flags = DIRECTORY | OFlags::PATH;
        let dir = match openat(above, name, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(e) => return Err(e),
        };
        let mode = Mode::from_raw_mode(fstat(&dir)?.st_mode);
        host::chmod_open(&dir, mode | Mode::WUSR)?;
        Ok(Some(Self { dir, mode }))
    }

    fn close(&self) {
        host::chmod_open(&self.dir, self.mode)
            .unwrap_or_else(|e| log::warn!("a directory may be written now: {e}"));
    }
}

/// Goes down by one name after the other: a symbolic link on the way would lead elsewhere.
fn step_down(head: OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = DIRECTORY | OFlags::PATH;
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

fn explain_kept(error: std::io::Error, path: &Path, located: &Located) -> CommandError {
    let path = path.display();
    let message = format!("{path} in {located} was restored, and is not safe on the disk");
    CommandError::new(Kind::Failed, message)
        .because(error)
        .hint("see `cask log`; what was there before is in .cask-restore-* beside it")
}
