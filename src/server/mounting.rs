//! Mounting a volume: the first mount starts a server, each further one shows the same superblock.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::mounts::{
    self, How, Mount, Place, Shows, Spec, Staged, UnmountError, detach_dead, device_at,
    is_privileged, mount_rootless, mount_with, open_fuse, overlap, stage, topmost_at, widen_cache,
};
use super::record::Record;
use super::retry::{connect, with_retry};
use super::surroundings::raise_limits;
use super::{
    Error, Result, Server, ServerState, mounts_of, server_state, snapshot_shown, spawn, volume_of,
};
use crate::control::{self, Client, Device, FaultKind, Phase, Status, Tree};
use rustix::fs::{Mode, OFlags};

/// Volumes in volumes that are looked at.
const FOUNDATIONS_MAX: usize = 16;

/// Mounts the volume in `dir`, an absolute path, at `target`; returns when the mount is usable.
///
/// Mounts that a dead server left are detached first.
///
/// # Errors
/// See [`Error`]. Nothing is mounted then.
pub fn mount(dir: &Path, spec: &Spec, target: &Path) -> Result<()> {
    let mounted = with_retry(dir, || match connect(dir)? {
        Some(client) => mount_again(dir, client, spec, target),
        None => mount_first(dir, spec, target),
    });
    mounted.map_err(|error| about(error, &spec.shows))
}

/// An error in the words of whoever wants a mount that shows this.
fn about(error: Error, shows: &Shows) -> Error {
    match (error, shows) {
        (Error::Fault(fault), Shows::Snapshot(name)) if fault.kind == FaultKind::NoSnapshot => {
            Error::NoSnapshot(name.clone())
        }
        (error, _) => error,
    }
}

/// A mount, for this process alone, of what the server of the volume in `dir` shows: it is in no namespace, and
/// goes with the descriptor. `None` when the volume has no server.
///
/// # Errors
/// See [`Error`].
pub(super) fn mount_privately(dir: &Path, spec: &Spec) -> Result<Option<OwnedFd>> {
    let mounted = with_retry(dir, || {
        let Some(mut client) = connect(dir)? else {
            return Ok(None);
        };
        if !is_privileged() {
            return Err(Error::SecondMount);
        }
        let tree = tree_for(&mut client, &spec.shows)?;
        let staged = match client.descriptor(&tree).map_err(Error::from) {
            Err(Error::Fault(fault)) if fault.kind == FaultKind::NotShown => {
                let fuse = open_fuse().map_err(Error::NoFuse)?;
                let staged = stage_mount(fuse.as_fd(), spec)?;
                let device = staged.device();
                let device = device.map_err(|e| Error::io("cannot look at a mount", e))?;
                client.attach(&tree, device, fuse.as_fd())?;
                staged
            }
            fuse => stage_mount(fuse?.as_fd(), spec)?,
        };
        let cannot = |e| Error::io("cannot mount", e);
        narrow(staged, &tree, spec, cannot).map(|staged| Some(staged.into()))
    });
    mounted.map_err(|error| about(error, &spec.shows))
}

/// The root directory of the volume in `dir`, which has a server, to be changed through: for this process alone, and
/// until the descriptor is closed.
///
/// # Errors
/// [`Error::SecondMount`] without root, where the volume is not mounted; see [`Error`].
pub fn open_head(dir: &Path) -> Result<OwnedFd> {
    if is_privileged() {
        let mounted = mount_privately(dir, &Spec::unseen())?;
        return mounted.ok_or(Error::Control(control::Error::Ended));
    }
    let ServerState::Served(status, mounts) = server_state(dir)? else {
        return Err(Error::SecondMount);
    };
    let is_head = |mount: &&Mount| Some(mount.device) == status.device;
    let head = mounts.iter().find(is_head).ok_or(Error::SecondMount)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&head.mountpoint, flags, Mode::empty());
    opened.map_err(|e| Error::io("cannot open the mount", e.into()))
}

/// Mounts the volume in `dir` at `target` with this process as its server, ready to run.
///
/// # Errors
/// See [`Error`]. Nothing is mounted then.
pub fn mount_here(dir: &Path, spec: &Spec, target: &Path) -> Result<Server> {
    with_retry(dir, || serve_here(dir, spec, target))
}

fn serve_here(dir: &Path, spec: &Spec, target: &Path) -> Result<Server> {
    if let Some(mut client) = connect(dir)? {
        let status = client.status()?;
        return Err(match status.phase {
            // Somebody is about to mount it, or reads it: only a server of another process can be shared.
            Phase::Open => Error::Locked,
            Phase::Serving => Error::Served { pid: status.pid },
            Phase::Closing => control::Error::Ended.into(),
        });
    }
    raise_limits()?;
    clear_dead(dir)?;
    let place = free_place(dir, target, spec, None)?;
    let first = First::prepare(spec)?;
    // As in a server that another follows.
    spawn::abort_on_panic();
    let server = Server::open(dir)?;
    match first.serve_by(&server, spec, &place) {
        Ok(()) => Ok(server),
        Err(error) => {
            server.give_up();
            Err(error)
        }
    }
}

fn mount_first(dir: &Path, spec: &Spec, target: &Path) -> Result<()> {
    clear_dead(dir)?;
    let place = free_place(dir, target, spec, None)?;
    // Before a server is started: what cannot be mounted leaves none behind.
    let first = First::prepare(spec)?;
    let client = spawn::start(dir)?;
    first.attach_to(client, spec, &place)
}

fn mount_again(dir: &Path, mut client: Client, spec: &Spec, target: &Path) -> Result<()> {
    // The descriptor is asked for first: it is what tells a server that is about to start or end.
    let tree = tree_for(&mut client, &spec.shows)?;
    let fuse = match client.descriptor(&tree).map_err(Error::from) {
        Err(Error::Fault(fault)) if fault.kind == FaultKind::NotShown => {
            // Of a server before one that was only read through.
            if client.status()?.devices().is_empty() {
                clear_dead(dir)?;
            }
            let place = free_place(dir, target, spec, None)?;
            return First::prepare(spec)?.attach_to(client, spec, &place);
        }
        fuse => fuse?,
    };
    let place = free_place(dir, target, spec, Some(&client.status()?))?;
    if !is_privileged() {
        return Err(Error::SecondMount);
    }
    let staged = stage_mount(fuse.as_fd(), spec)?;
    put(staged, &tree, spec, &place)
}

/// What the server at the other end of `client` is asked for: one that cannot show a snapshot alone shows all.
fn tree_for(client: &mut Client, shows: &Shows) -> Result<Tree> {
    let name = match shows {
        Shows::Head => return Ok(Tree::Head),
        Shows::Snapshot(name) => name,
    };
    match client.status()?.shown {
        Some(_) => Ok(Tree::Snapshot(name.clone())),
        None => Ok(Tree::Snapshots),
    }
}

/// Makes what `staged` has to show appear at `place`.
fn put(staged: Staged, tree: &Tree, spec: &Spec, place: &Place) -> Result<()> {
    let staged = narrow(staged, tree, spec, |e| cannot_mount(place, e))?;
    staged.place(place).map_err(|e| cannot_mount(place, e))
}

/// The part of what `staged` shows that is wanted: all, but where it shows more than was asked for.
fn narrow(
    staged: Staged,
    tree: &Tree,
    spec: &Spec,
    cannot: impl Fn(std::io::Error) -> Error,
) -> Result<Staged> {
    let (Tree::Snapshots, Shows::Snapshot(name)) = (tree, &spec.shows) else {
        return Ok(staged);
    };
    staged.below(name.as_str()).map_err(|e| {
        if e.kind() == std::io::ErrorKind::NotFound {
            return Error::NoSnapshot(name.clone());
        }
        cannot(e)
    })
}

/// The place at `target`, if no volume is mounted at it and none is made of it. `own` is what the volume's server says.
fn free_place(dir: &Path, target: &Path, spec: &Spec, own: Option<&Status>) -> Result<Place> {
    let place = Place::open(target)?;
    let there =
        topmost_at(place.path()).map_err(|e| Error::io("cannot read the mount table", e))?;
    match there {
        Some(there) if own.is_some_and(|own| shows(&there, spec, own)) => {
            Err(Error::MountedThere(there.mountpoint))
        }
        Some(there) if there.is_cask() => Err(Error::Occupied {
            mountpoint: there.mountpoint,
            other: there.source,
        }),
        Some(_) | None => refuse_overlap(dir, spec, &place).map(|()| place),
    }
}

/// Fails if a mount at `place` would come between the volume in `dir` and its server.
fn refuse_overlap(dir: &Path, spec: &Spec, place: &Place) -> Result<()> {
    let roots = spec.roots.iter().cloned();
    for kept in foundations(dir).into_iter().chain(roots) {
        let found = overlap(place, &kept).map_err(|source| {
            let what = format!("cannot look around {}", place.path().display());
            Error::io(what, source)
        })?;
        if let Some(relation) = found {
            return Err(Error::Overlaps {
                mountpoint: place.path().to_owned(),
                relation,
                kept,
            });
        }
    }
    Ok(())
}

/// The directory of a volume and, if it lies in another volume, the one of that, and so on.
fn foundations(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    while found.len() < FOUNDATIONS_MAX {
        let mount = found.last().and_then(|dir| mount_with(dir).ok().flatten());
        let below = mount.filter(Mount::is_cask);
        match below.and_then(|mount| volume_of(&mount, [])) {
            Some(next) if !found.contains(&next) => found.push(next),
            _ => break,
        }
    }
    found
}

/// Whether `mount` shows already what is to be mounted.
fn shows(mount: &Mount, spec: &Spec, own: &Status) -> bool {
    match &spec.shows {
        Shows::Head => own.device == Some(mount.device),
        Shows::Snapshot(name) => snapshot_shown(own, mount).as_ref() == Some(name),
    }
}

fn clear_dead(dir: &Path) -> Result<()> {
    let Some(record) = Record::load(dir) else {
        return Ok(());
    };
    let detached = detach_dead(&record.devices, record.silence()).map_err(|error| match error {
        UnmountError::Busy => Error::io(
            "cannot detach a mount that a dead server left",
            std::io::Error::other("another mount covers it"),
        ),
        UnmountError::Io(e) => Error::io("cannot detach a mount that a dead server left", e),
    })?;
    for mount in detached {
        log::warn!(
            "detached {}: its server had died",
            mount.mountpoint.display()
        );
    }
    Ok(())
}

/// The first mount of a volume, by either way.
enum First {
    Privileged(OwnedFd),
    Rootless,
}

/// A mount that waits for its server's handshake.
struct Made {
    fuse: OwnedFd,
    device: Device,
    /// `None` when `fusermount3` put it in its place already.
    staged: Option<Staged>,
}

impl First {
    /// Opens what is needed before anything is started.
    fn prepare(spec: &Spec) -> Result<Self> {
        if !is_privileged() && spec.shows != Shows::Head {
            return Err(Error::SnapshotNeedsRoot);
        }
        if !is_privileged() {
            return Ok(Self::Rootless);
        }
        open_fuse().map(Self::Privileged).map_err(Error::NoFuse)
    }

    /// Makes the mount, has a server serve it, and puts it in its place.
    fn attach_to(self, mut server: Client, spec: &Spec, place: &Place) -> Result<()> {
        let tree = tree_for(&mut server, &spec.shows)?;
        let made = self.make(spec, place)?;
        let attached = server
            .attach(&tree, made.device, made.fuse.as_fd())
            .map_err(Error::from);
        made.finish(attached, &tree, spec, place)
    }

    /// The same with a server in this process.
    fn serve_by(self, server: &Server, spec: &Spec, place: &Place) -> Result<()> {
        let made = self.make(spec, place)?;
        let fuse = made.fuse.try_clone();
        let attached = fuse
            .map_err(|e| Error::io("cannot keep /dev/fuse", e))
            .and_then(|fuse| server.attach(fuse, made.device));
        made.finish(attached, &Tree::Head, spec, place)
    }

    fn make(self, spec: &Spec, place: &Place) -> Result<Made> {
        match self {
            Self::Privileged(fuse) => {
                let staged = stage_mount(fuse.as_fd(), spec)?;
                let device = staged.device().map_err(|e| cannot_mount(place, e))?;
                let staged = Some(staged);
                Ok(Made {
                    fuse,
                    device,
                    staged,
                })
            }
            Self::Rootless => {
                let fuse =
                    mount_rootless(spec, place.path()).map_err(|e| cannot_mount(place, e))?;
                let device = device_at(place.path()).map_err(|e| {
                    take_back_at(place.path());
                    cannot_mount(place, e)
                })?;
                let staged = None;
                Ok(Made {
                    fuse,
                    device,
                    staged,
                })
            }
        }
    }
}

impl Made {
    /// Puts the mount in its place if its server took it, else takes it away.
    fn finish(self, attached: Result<()>, tree: &Tree, spec: &Spec, place: &Place) -> Result<()> {
        match (self.staged, attached) {
            (Some(staged), Ok(())) => {
                put(staged, tree, spec, place)?;
                widen_cache(self.device);
                Ok(())
            }
            (None, Err(error)) => {
                take_back(self.device);
                Err(error)
            }
            // A staged mount that nobody serves goes with its descriptor.
            (_, attached) => attached,
        }
    }
}

fn take_back(device: Device) {
    take_all_back(&mounts_of(&[device]).unwrap_or_default());
}

/// The same for a mount of which only its place is known.
fn take_back_at(path: &Path) {
    let there = topmost_at(path).ok().flatten().filter(Mount::is_cask);
    take_all_back(there.as_slice());
}

fn take_all_back(mounts: &[Mount]) {
    for mount in mounts {
        if let Err(e) = mounts::unmount(mount, How::Lazily) {
            log::error!("cannot take back {}: {e}", mount.mountpoint.display());
        }
    }
}

fn stage_mount(fuse: BorrowedFd<'_>, spec: &Spec) -> Result<Staged> {
    stage(fuse, spec).map_err(|e| Error::io("the kernel refuses to make a FUSE mount", e))
}

fn cannot_mount(place: &Place, source: std::io::Error) -> Error {
    Error::io(
        format!("cannot mount at {}", place.path().display()),
        source,
    )
}
