//! The remotes of the root: which one is meant, and what its errors mean for whoever named it.

use std::thread;
use std::time::{Duration, Instant};

use crate::cli::locate::Root;
use crate::cli::{CliError, Kind, Result};
use crate::remote::{self, Error, RemoteDir, Remotes, Repository};
use crate::transfer;
use crate::types::RemoteName;

/// All remotes.
pub(super) fn remotes(root: &Root) -> Remotes {
    Remotes::below(root.path())
}

/// The remote of this name, or the only one where none is named.
pub(super) fn choose(root: &Root, named: Option<&RemoteName>) -> Result<RemoteDir> {
    let remotes = remotes(root);
    if let Some(name) = named {
        let found = remotes.dir_of(name);
        return found
            .is_there()
            .then_some(found)
            .ok_or_else(|| missing(name));
    }
    let all = remotes.all().map_err(|error| {
        CliError::new(Kind::Failed, "cannot list remotes")
            .because(error)
            .hint("name another root with --root, or run as its owner")
    })?;
    match all.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(CliError::new(Kind::NotFound, "there is no remote")
            .hint("`cask remote add NAME URL --create` makes one")),
        _ => Err(CliError::new(Kind::Usage, "there are several remotes")
            .hint("name one; `cask remote ls` shows them")),
    }
}

/// Opens the repository of a remote.
pub(super) fn open(dir: &RemoteDir) -> Result<Repository> {
    dir.open().map_err(|e| explain(e, dir.name()))
}

/// The same, which asks again for so long when the store cannot be reached, and so do all its requests.
pub(super) fn open_within(dir: &RemoteDir, wait: Option<Duration>) -> Result<Repository> {
    let Some(wait) = wait else {
        return open(dir);
    };
    let until = Instant::now() + wait;
    loop {
        match open(dir) {
            Err(error) if error.kind() == Kind::Unreachable && Instant::now() < until => {
                thread::sleep(Duration::from_secs(1));
            }
            opened => return Ok(opened?.persistent(until)),
        }
    }
}

fn missing(name: &RemoteName) -> CliError {
    CliError::new(Kind::NotFound, format!("there is no remote \"{name}\""))
        .hint("`cask remote ls` shows what is there, `cask remote add` makes one")
}

/// What an error of a repository means for the one who named the remote.
pub(super) fn explain(error: Error, name: &RemoteName) -> CliError {
    let (kind, hint) = meaning(&error);
    let hint = hint.replace("NAME", name.as_str());
    CliError::new(kind, format!("cannot use remote \"{name}\""))
        .because(error)
        .hint(hint)
}

/// The same for a transfer; what is wrong with the volume is said by `volume`.
pub(super) fn explain_transfer(
    error: transfer::Error,
    name: &RemoteName,
    volume: impl FnOnce(transfer::Error) -> CliError,
) -> CliError {
    match error {
        transfer::Error::Remote(error) => explain(error, name),
        transfer::Error::Pending(_) => CliError::new(Kind::InUse, error.to_string())
            .hint("push it again; what was sent already is not sent again"),
        transfer::Error::Collecting => CliError::new(Kind::InUse, error.to_string())
            .hint("try again when it has ended; one that was killed on another host is taken over after ten minutes"),
        error => volume(error),
    }
}

fn meaning(error: &remote::Error) -> (Kind, &'static str) {
    match error {
        Error::Unreachable { .. } => (
            Kind::Unreachable,
            "try again later, or let push and pull ask for longer with --wait; what was sent already is not sent again",
        ),
        Error::Denied { .. } => (
            Kind::Failed,
            "check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or the instance's role), their rights, and \
             this host's clock",
        ),
        Error::Missing { .. } => (
            Kind::Damaged,
            "`cask remote check NAME` tells which snapshots are whole",
        ),
        Error::Exists { .. } => (
            Kind::Exists,
            "there is a repository already: leave out --create to use it",
        ),
        Error::Changed { .. } => (Kind::InUse, "try again"),
        Error::Damaged { .. } => (
            Kind::Damaged,
            "`cask remote check NAME` tells which snapshots are whole",
        ),
        Error::NoStream | Error::Truncated { .. } => (Kind::Failed, "see `cask receive --help`"),
        Error::WrongKey => (
            Kind::Failed,
            "give the key file or passphrase that the repository was made with",
        ),
        Error::LastKey => (
            Kind::InUse,
            "`cask remote key add NAME` makes another, and then it can go",
        ),
        Error::Newer { .. } => (Kind::Failed, "use a newer cask"),
        Error::NoRepository(_) => (
            Kind::NotFound,
            "check the address, or make one with --create",
        ),
        Error::NotThere(_) => (Kind::NotFound, "`cask remote ls NAME` shows what is there"),
        Error::Ambiguous(_) => (
            Kind::Usage,
            "name one by its uuid, which `cask remote ls NAME --format json` shows",
        ),
        Error::NoPlace(_) => (
            Kind::NotFound,
            "check the address; a bucket is made with the tools of its store",
        ),
        Error::OtherRepository { .. } => (
            Kind::Failed,
            "was the bucket emptied? Add it again under another name",
        ),
        Error::Unfit(_) => (Kind::Failed, "use another store"),
        Error::OtherRegion(_) => (
            Kind::Usage,
            "say which with --region, or `cask remote set NAME region=REGION`",
        ),
        Error::Setting(_) => (Kind::Usage, "see `cask remote add --help`"),
        Error::Host { .. } => (
            Kind::Failed,
            "check permissions and free space on this host",
        ),
        Error::Bug(_) => (Kind::Failed, "please report it"),
    }
}
