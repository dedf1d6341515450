//! `cask mount`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::remote::RemoteRef;
use crate::server::mounts::{self, Attributes, Place, PlaceError, Shows, Spec};
use crate::server::{self, Server};
use crate::transfer::Ahead;
use crate::types::SnapshotName;
use crate::volume::store::edit;
use crate::volume::{Config, Life, Prefetch, Seal};

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::options::{Action, Options, Unknown};
use crate::cli::pulled::{Lacking, make_lacking};
use crate::cli::state_ref::{SnapshotRef, StateRef, no_snapshot};
use crate::cli::verbs::create::create_plain;
use crate::cli::verbs::rm::remove_fresh;
use crate::cli::{CliError, Kind, Result, output, remount};

/// Mount a volume, or a snapshot of one; returns when the mount is usable
///
/// A volume can be mounted at any number of places; all show one filesystem, with one cache and the same
/// locks. Without root, `fusermount3` does the mounting: nosuid and nodev always hold, and a second place is refused.
///
/// A snapshot can be mounted beside its volume, or alone. Nothing in it can be changed, also by root. Its files have
/// the inode numbers that they have in the volume, on a device of its own. Mounting one needs root.
///
/// If the volume's server has died, the mounts that it left are detached first.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume, or the snapshot
    #[arg(value_name = "NAME[@SNAP]|DIR[@SNAP]", value_parser = StateRef::parser())]
    state: StateRef,
    /// The directory to mount it at
    mountpoint: PathBuf,
    /// Let nothing be changed through this mount
    #[arg(long)]
    read_only: bool,
    /// Create the volume and the mountpoint where they do not exist
    #[arg(long)]
    create: bool,
    /// Make the volume of a snapshot in a remote, of its newest without a name
    ///
    /// It is usable at once. What files hold is fetched when it is read, verified and kept, and in the background, so
    /// that the remote is needed for a while only. Where it does not answer, what is here can be read, and other reads
    /// fail after the time of -o remote_timeout.
    #[arg(long, value_name = "REMOTE:NAME[@SNAP]", value_parser = str::parse::<RemoteRef>)]
    from: Option<RemoteRef>,
    /// With --from, what is fetched before it is needed: all, metadata (what files there are, not what they hold), or
    /// none (as metadata, and what is read is not kept in the volume)
    ///
    /// With none, what is read is kept in a cache in the root, which all such volumes of a repository share, and from
    /// which what was used longest ago goes first: `cask remote set REMOTE cache=20G` says how much may be there. What
    /// is written stays in the volume.
    #[arg(long, value_name = "WHAT", requires = "from")]
    prefetch: Option<Prefetch>,
    /// Be the volume's server: log to standard error, and return when the last mount is gone
    #[arg(long)]
    pub(in crate::cli) foreground: bool,
    /// Options: ro, rw, nosuid, suid, nodev, dev, noexec, exec, noatime, relatime, strictatime,
    /// nodiratime, diratime, nosymfollow, symfollow; fsname=TEXT (what is shown as the source);
    /// remount (change the flags of the mount that is there, and of no other);
    /// remote_timeout=SECONDS|wait (how long a read waits for the remote that the volume fetches from, instead of 30s;
    /// counts from the next start of its server)
    ///
    /// Of words about one flag the last counts. Words that fstab(5) has for others, such as defaults,
    /// nofail, _netdev or x-*, are accepted and mean nothing here.
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
}

/// A mount to make.
pub(in crate::cli) struct MountRequest<'a> {
    /// Of what.
    pub(in crate::cli) volume: &'a VolumeRef,
    /// As it was then, or as it is.
    pub(in crate::cli) snapshot: Option<&'a SnapshotName>,
    /// Where.
    pub(in crate::cli) mountpoint: &'a Path,
    /// How.
    pub(in crate::cli) options: &'a Options,
    /// What is made where it is missing.
    pub(in crate::cli) makes: Makes<'a>,
    /// Whether a volume that is made may be used before it has tables.
    pub(in crate::cli) ahead: Ahead,
}

/// What a mount makes, with its mountpoint.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Makes<'a> {
    /// Nothing, nor the mountpoint.
    Nothing,
    /// The volume, if there is none.
    Plain,
    /// The volume, which must not be there, of a snapshot in a remote.
    From(&'a RemoteRef, Prefetch),
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let mut words = arguments.options.clone();
    if arguments.read_only {
        words.push("ro".to_owned());
    }
    let options = Options::parse(&words, Unknown::Refuse)?;
    let request = MountRequest {
        volume: &arguments.state.volume,
        snapshot: arguments.state.snapshot.as_ref(),
        mountpoint: &arguments.mountpoint,
        options: &options,
        makes: match &arguments.from {
            Some(from) => Makes::From(from, arguments.prefetch.unwrap_or_default()),
            None if arguments.create => Makes::Plain,
            None => Makes::Nothing,
        },
        ahead: if server::Kernel::running().resends() && !arguments.foreground {
            Ahead::Allowed
        } else {
            Ahead::Refused
        },
    };
    if options.action == Action::Remount {
        return remount::run(request.mountpoint, request.options);
    }
    // What is created is no file of the shell's that limits them. A server that has to start looks for itself.
    if let Err(error) = server::raise_limits() {
        log::debug!("{error}");
    }
    let fresh = Fresh::make(&request, root)?;
    // From here on what was created is taken back on any error, but not once it is mounted.
    let outcome = if arguments.foreground {
        serve(&request, root)
    } else {
        mount(&request, root)
    };
    match outcome {
        Ok(server) => server.map_or(Ok(()), |(server, located)| {
            server.run().map_err(|e| located.explain(e))
        }),
        Err(error) => {
            fresh.take_back(&request, root);
            Err(error)
        }
    }
}

/// Mounts in the background.
pub(in crate::cli) fn mount(
    request: &MountRequest<'_>,
    root: &Root,
) -> Result<Option<(Server, Located)>> {
    let (located, spec, hidden) = prepare(request, root)?;
    server::mount(&located.dir, &spec, request.mountpoint)
        .map_err(|e| explain(e, &located, request))?;
    hidden.tell(request);
    Ok(None)
}

fn serve(request: &MountRequest<'_>, root: &Root) -> Result<Option<(Server, Located)>> {
    if request.snapshot.is_some() {
        return Err(
            CliError::new(Kind::Usage, "a snapshot cannot be served in the foreground")
                .hint("mount it without --foreground"),
        );
    }
    let (located, spec, hidden) = prepare(request, root)?;
    let server = server::mount_here(&located.dir, &spec, request.mountpoint);
    let server = server.map_err(|e| explain(e, &located, request))?;
    hidden.tell(request);
    log::info!("serving {located} at {}", request.mountpoint.display());
    Ok(Some((server, located)))
}

fn prepare(request: &MountRequest<'_>, root: &Root) -> Result<(Located, Spec, Hidden)> {
    let (located, config) =
        root.open(request.volume)
            .map_err(|error| match (error.kind(), request.volume) {
                (Kind::NotFound, VolumeRef::Name(name)) if request.snapshot.is_none() => error
                    .hint(format!(
                        "create it with `cask create {name}`, or mount with --create"
                    )),
                _ => error,
            })?;
    note_deadline(&located, &config, request.options)?;
    let mut source = match request.volume {
        VolumeRef::Name(name) => name.as_str().into(),
        VolumeRef::Dir(_) => located.dir.as_os_str().to_owned(),
    };
    let shows = match request.snapshot {
        None => Shows::Head,
        Some(name) => {
            source.push(format!("@{name}"));
            Shows::Snapshot(name.clone())
        }
    };
    let mut attributes = request.options.apply(Attributes::default());
    if config.seal == Seal::Sealed {
        attributes = attributes.read_only();
    }
    let spec = Spec {
        shows,
        source: request.options.source.clone().unwrap_or(source),
        attributes,
        roots: root.store().places(),
    };
    // What is below a mount that is there already was hidden before.
    let hidden = match Place::open(request.mountpoint) {
        Ok(place) => Hidden(place.entries().unwrap_or(0)),
        Err(_) => Hidden(0),
    };
    Ok((located, spec, hidden))
}

/// What was said of how long a read waits holds from the next start of the server on.
fn note_deadline(located: &Located, config: &Config, options: &Options) -> Result<()> {
    let Some((deadline, _)) = options.deadline.zip(config.origin.as_ref()) else {
        return Ok(());
    };
    let noted = edit(&located.dir, |config| {
        if let Some(origin) = &mut config.origin {
            origin.deadline = deadline;
        }
    });
    noted.map_err(|e| located.explain_volume(e))
}

/// How many entries of the mountpoint can't be seen while the volume is mounted over them.
struct Hidden(usize);

impl Hidden {
    fn tell(&self, request: &MountRequest<'_>) {
        let at = request.mountpoint.display();
        match self.0 {
            0 => {}
            1 => output::warn(&format!(
                "{at} is not empty: the mount hides the entry in it"
            )),
            n => output::warn(&format!(
                "{at} is not empty: the mount hides the {n} entries in it"
            )),
        }
    }
}

/// What `--create` made, to be taken back if the mount fails.
#[derive(Default)]
struct Fresh {
    volume: bool,
    /// The mountpoint, and what was missing above it.
    directories: Vec<PathBuf>,
}

impl Fresh {
    fn make(request: &MountRequest<'_>, root: &Root) -> Result<Self> {
        let mut fresh = Self::default();
        if matches!(request.makes, Makes::Nothing) {
            return Ok(fresh);
        }
        let directories = missing_directories(request)?;
        // Before anything is made: without the device there will be no mount. Others ask fusermount3, which opens it
        // itself.
        if mounts::is_privileged() {
            mounts::open_fuse().map_err(explain_no_fuse)?;
        }
        fresh.volume = make_volume(request, root)?;
        // One by one, the outermost first: what somebody else made meanwhile is an error.
        let made = directories.iter().rev().try_for_each(fs::create_dir);
        fresh.directories = directories;
        if let Err(e) = made {
            fresh.take_back(request, root);
            let message = format!("cannot create mountpoint {}", request.mountpoint.display());
            return Err(CliError::new(Kind::Failed, message)
                .because(e)
                .hint("name a place where you may create one"));
        }
        Ok(fresh)
    }

    fn take_back(&self, request: &MountRequest<'_>, root: &Root) {
        for directory in &self.directories {
            match fs::remove_dir(directory) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    let at = directory.display();
                    output::warn(&format!("the new directory {at} stays: {e}"));
                }
                Ok(()) | Err(_) => {}
            }
        }
        if self.volume {
            remove_fresh(request.volume, root);
        }
    }
}

/// Makes the volume, if that is asked for; whether it did.
fn make_volume(request: &MountRequest<'_>, root: &Root) -> Result<bool> {
    if let Makes::From(from, prefetch) = request.makes {
        if request.snapshot.is_some() {
            let message = format!(
                "{} is a snapshot, and --from makes a volume",
                request.volume
            );
            return Err(CliError::new(Kind::Usage, message).hint("name the new volume"));
        }
        let deadline = request.options.deadline.unwrap_or_default();
        let lacking = Lacking {
            prefetch,
            deadline,
            life: Life::Lasting,
            ahead: request.ahead,
        };
        make_lacking(request.volume, from, lacking, root)?;
        return Ok(true);
    }
    match root.locate(request.volume) {
        Ok(_) => Ok(false),
        Err(e) if e.kind() == Kind::NotFound && request.snapshot.is_none() => {
            create_plain(request.volume, root).map(|()| true)
        }
        Err(e) => Err(e),
    }
}

/// The directories to make for the mountpoint, the deepest first.
fn missing_directories(request: &MountRequest<'_>) -> Result<Vec<PathBuf>> {
    match Place::open(request.mountpoint) {
        Ok(_) | Err(PlaceError::Dead(_)) => Ok(Vec::new()),
        Err(PlaceError::Missing(_)) => {
            let above = request.mountpoint.ancestors();
            let missing = above.take_while(|path| path.symlink_metadata().is_err());
            let named = missing.filter(|path| !path.as_os_str().is_empty());
            Ok(named.map(Path::to_owned).collect())
        }
        Err(error) => Err(explain_place(error, request)),
    }
}

fn explain(error: server::Error, located: &Located, request: &MountRequest<'_>) -> CliError {
    let again = located.reference.typed();
    match error {
        server::Error::Place(error) => explain_place(error, request),
        server::Error::NoFuse(error) => explain_no_fuse(error),
        server::Error::MountedThere(at) => {
            let message = format!("{located} is already mounted at {}", at.display());
            CliError::new(Kind::InUse, message).hint("use it there, or name another mountpoint")
        }
        server::Error::Occupied { mountpoint, other } => {
            let message = format!(
                "mountpoint {} is already a cask mount, of \"{}\"",
                mountpoint.display(),
                other.display()
            );
            CliError::new(Kind::InUse, message).hint(format!(
                "name another mountpoint, or first `cask umount {}`",
                mountpoint.display()
            ))
        }
        server::Error::Limit { .. } => {
            CliError::new(Kind::Failed, format!("cannot mount {located}"))
                .because(error)
                .hint("raise it, or mount from where it is higher")
        }
        server::Error::Overlaps { .. } => {
            CliError::new(Kind::Failed, format!("cannot mount {located}"))
                .because(error)
                .hint("name a directory elsewhere")
        }
        server::Error::SecondMount => {
            let message = format!(
                "{located} is already mounted, and fusermount3 cannot mount a volume at a second place"
            );
            CliError::new(Kind::InUse, message).hint(format!(
                "unmount it first with `cask umount {again}`, or mount as root"
            ))
        }
        server::Error::SnapshotNeedsRoot => {
            CliError::new(Kind::Failed, "mounting a snapshot needs root").hint(format!(
                "make a volume of it: `cask clone {again}@SNAP NEW`"
            ))
        }
        server::Error::NoSnapshot(name) => no_snapshot(&SnapshotRef {
            volume: located.reference.clone(),
            name,
        }),
        server::Error::Served { pid } => {
            let message = format!("{located} is mounted already, served by process {pid}");
            CliError::new(Kind::InUse, message)
                .hint("mount it without --foreground to add a mountpoint, or unmount it first")
        }
        server::Error::Io { .. } => CliError::new(Kind::Failed, format!("cannot mount {located}"))
            .because(error)
            .hint(
                "mounting needs root (CAP_SYS_ADMIN), or fusermount3 and a mountpoint of your own",
            ),
        server::Error::Volume(_)
        | server::Error::Tuning(_)
        | server::Error::Fault(_)
        | server::Error::Locked
        | server::Error::Busy { .. }
        | server::Error::HeldElsewhere { .. }
        | server::Error::Read
        | server::Error::NotClosed(_)
        | server::Error::NotUpgraded
        | server::Error::Down(_)
        | server::Error::Control(_) => located.explain(error),
    }
}

fn explain_place(error: PlaceError, request: &MountRequest<'_>) -> CliError {
    let at = request.mountpoint.display();
    let (kind, hint) = match &error {
        PlaceError::Missing(_) => (
            Kind::Failed,
            format!("create it with `mkdir {at}`, or mount with --create"),
        ),
        PlaceError::NotDirectory(_) => (Kind::Failed, "name a directory".to_owned()),
        PlaceError::Dead(_) => (Kind::InUse, format!("detach it first: `cask umount {at}`")),
        PlaceError::Io { .. } => (Kind::Failed, "name a directory that you may use".to_owned()),
    };
    let cannot = format!("cannot mount {}", request.volume);
    CliError::new(kind, cannot).because(error).hint(hint)
}

fn explain_no_fuse(error: std::io::Error) -> CliError {
    let hint = if error.kind() == std::io::ErrorKind::PermissionDenied {
        "check its permissions; in a container, run it with `--device /dev/fuse`"
    } else {
        "load the kernel's module with `modprobe fuse`; in a container, run it with `--device /dev/fuse`"
    };
    CliError::new(Kind::Failed, "cannot open /dev/fuse")
        .because(error)
        .hint(hint)
}
