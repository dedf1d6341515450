//! From what a user calls a volume to its directory.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::control::FaultKind;
use crate::server;
use crate::types::{VolumeName, VolumeNameError};
use crate::volume::store::Store;
use crate::volume::{self, Config};

use crate::commands::{CommandError, Kind, Result};

/// Where named volumes lie.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    path: PathBuf,
}

/// How a user names a volume: a name, or, with a `/` in it, a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VolumeRef {
    /// A volume in the root.
    Name(VolumeName),
    /// A volume's directory.
    Dir(PathBuf),
}

/// A volume, found.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    /// How the user named it.
    pub(crate) reference: VolumeRef,
    /// Its directory: absolute, without symbolic links.
    pub(crate) dir: PathBuf,
}

impl Root {
    /// The root that was asked for, or else the one of the environment.
    pub(crate) fn find(asked: Option<PathBuf>) -> Result<Self> {
        let from_environment = || set_variable("CASK_ROOT").map(PathBuf::from);
        let path = match asked.or_else(from_environment) {
            Some(path) => path,
            None => default_root()?,
        };
        Ok(Self { path })
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that is locked while containers are paused for a snapshot.
    pub(crate) fn pausing(&self) -> PathBuf {
        self.path.join(".pausing")
    }

    /// The volumes in it.
    pub(crate) fn store(&self) -> Store {
        Store::below(&self.path)
    }

    /// All volumes in it, by name, sorted.
    pub(crate) fn volumes(&self) -> Result<Vec<VolumeRef>> {
        let names = self.store().names().map_err(cannot_list)?;
        Ok(names.into_iter().map(VolumeRef::Name).collect())
    }

    /// The directories of all volumes in it.
    pub(crate) fn dirs(&self) -> Vec<PathBuf> {
        let store = self.store();
        let names = store.names().unwrap_or_default().into_iter();
        names.map(|name| store.dir_of(&name)).collect()
    }

    /// Where the volume would be; there need not be one.
    pub(crate) fn dir_of(&self, reference: &VolumeRef) -> PathBuf {
        match reference {
            VolumeRef::Name(name) => self.store().dir_of(name),
            VolumeRef::Dir(dir) => dir.clone(),
        }
    }

    /// The directory of a volume, whatever state the volume is in.
    pub(crate) fn locate(&self, reference: &VolumeRef) -> Result<Located> {
        let dir = self.dir_of(reference);
        match dir.canonicalize() {
            Ok(dir) => Ok(Located {
                reference: reference.clone(),
                dir,
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(self.missing(reference)),
            Err(e) => Err(
                CommandError::new(Kind::Failed, format!("cannot reach {reference}"))
                    .because(e)
                    .hint(whose(&dir)),
            ),
        }
    }

    /// A volume and its configuration.
    pub(crate) fn open(&self, reference: &VolumeRef) -> Result<(Located, Config)> {
        let located = self.locate(reference)?;
        let config = Config::load(&located.dir).map_err(|e| located.explain_volume(e))?;
        Ok((located, config))
    }

    fn missing(&self, reference: &VolumeRef) -> CommandError {
        match reference {
            VolumeRef::Name(name) => CommandError::new(
                Kind::NotFound,
                format!("no volume \"{name}\" in {}", self.path.display()),
            )
            .hint(self.hint_for_missing(name)),
            VolumeRef::Dir(dir) => CommandError::new(
                Kind::NotFound,
                format!("no volume {}: there is no such directory", dir.display()),
            )
            .hint(format!("`cask create {}` makes one", dir.display())),
        }
    }

    fn hint_for_missing(&self, name: &VolumeName) -> String {
        let trashed = self.store().trashed().unwrap_or_default();
        if trashed.iter().any(|one| one.name == *name) {
            return format!(
                "one of that name is in the trash: `cask restore-volume {name}` brings it back"
            );
        }
        format!("`cask create {name}` makes one, `cask ls` shows what is there")
    }
}

fn default_root() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/cask"));
    }
    let data = set_variable("XDG_DATA_HOME").map(PathBuf::from);
    let home = || set_variable("HOME").map(|home| Path::new(&home).join(".local/share"));
    let data = data.or_else(home).ok_or_else(|| {
        CommandError::new(Kind::Usage, "where volumes lie is unknown: HOME is not set")
            .hint("use --root DIR")
    })?;
    Ok(data.join("cask"))
}

fn set_variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn whose(dir: &Path) -> String {
    format!(
        "check the permissions of {}, or run as its owner",
        dir.display()
    )
}

impl VolumeRef {
    /// Parses an argument: a `/` in it makes it a directory.
    pub(crate) fn parse(text: &OsStr) -> std::result::Result<Self, VolumeNameError> {
        if text.as_bytes().contains(&b'/') || text == "." || text == ".." {
            return Ok(Self::Dir(PathBuf::from(text)));
        }
        text.to_string_lossy().parse().map(Self::Name)
    }

    /// As the user would type it again.
    pub(crate) fn typed(&self) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::Dir(dir) => dir.display().to_string(),
        }
    }
}

impl fmt::Display for VolumeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "volume \"{name}\""),
            Self::Dir(dir) => write!(f, "volume {}", dir.display()),
        }
    }
}

/// The root cannot be read.
pub(crate) fn cannot_list(error: volume::Error) -> CommandError {
    CommandError::new(Kind::Failed, "cannot list volumes")
        .because(error)
        .hint("name another root with --root, or run as its owner")
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

impl Located {
    /// What a volume's error means for the one who named the volume.
    pub(crate) fn explain_volume(&self, error: volume::Error) -> CommandError {
        if matches!(error, volume::Error::Exists) {
            return CommandError::new(Kind::Exists, format!("{self} exists already"))
                .hint("choose another name");
        }
        if matches!(error, volume::Error::NotFound) {
            return CommandError::new(Kind::NotFound, format!("there is no {self}"))
                .hint("`cask ls` shows what is there");
        }
        if matches!(error, volume::Error::Protected) {
            return CommandError::new(Kind::InUse, format!("{self} is protected")).hint(format!(
                "to allow it: `cask set {} protect=off`",
                self.reference.typed()
            ));
        }
        let kind = server::fault(&error).kind;
        if kind == FaultKind::InUse {
            return self.in_use();
        }
        let hint = if is_denied(&error) {
            whose(&self.dir)
        } else {
            self.hint_for(kind)
        };
        CommandError::new(kind_of(kind), format!("cannot use {self}"))
            .because(error)
            .hint(hint)
    }

    /// The same for what a server, or the way to it, says.
    pub(crate) fn explain(&self, error: server::Error) -> CommandError {
        if let server::Error::Volume(error) = error {
            return self.explain_volume(error);
        }
        if let server::Error::Fault(fault) = error {
            let message = format!("cannot use {self}: {}", fault.message);
            return CommandError::new(kind_of(fault.kind), message).hint(self.hint_for(fault.kind));
        }
        if matches!(error, server::Error::Locked) {
            return self.in_use();
        }
        CommandError::new(Kind::Failed, format!("cannot use {self}"))
            .because(error)
            .hint(format!("see {}", self.dir.join("server.log").display()))
    }

    /// Somebody has the volume open, and it is not mounted.
    pub(crate) fn in_use(&self) -> CommandError {
        let lock = self.dir.join("lock");
        CommandError::new(Kind::InUse, format!("{self} is open in another process")).hint(format!(
            "wait for it, or find it with `fuser {}`",
            lock.display()
        ))
    }

    fn hint_for(&self, kind: FaultKind) -> String {
        match kind {
            FaultKind::NotAVolume => format!(
                "name a directory that `cask create` made, or make one: `cask create {}`",
                self.reference.typed()
            ),
            FaultKind::NewerFormat => "use a newer cask".to_owned(),
            FaultKind::Damaged => "restore it from a backup; nothing was changed".to_owned(),
            FaultKind::NotTogether => "nothing was taken; try again".to_owned(),
            FaultKind::NoSpace => "free some space on its disk, then try again".to_owned(),
            FaultKind::Exceeded => "set a higher limit, or remove files first".to_owned(),
            FaultKind::NoSnapshot | FaultKind::SnapshotExists | FaultKind::SnapshotHeld => format!(
                "`cask snapshot ls {}` shows what is there",
                self.reference.typed()
            ),
            FaultKind::Failed
            | FaultKind::InUse
            | FaultKind::Closing
            | FaultKind::NotMounted
            | FaultKind::NotShown
            | FaultKind::Attached
            | FaultKind::Refused => format!("see {}", self.dir.join("server.log").display()),
        }
    }
}

fn is_denied(error: &volume::Error) -> bool {
    matches!(error, volume::Error::Storage { source, .. }
        if source.kind() == io::ErrorKind::PermissionDenied)
}

fn kind_of(kind: FaultKind) -> Kind {
    match kind {
        FaultKind::NotAVolume | FaultKind::NoSnapshot => Kind::NotFound,
        FaultKind::SnapshotExists => Kind::Exists,
        FaultKind::Damaged => Kind::Damaged,
        FaultKind::InUse | FaultKind::Closing | FaultKind::SnapshotHeld => Kind::InUse,
        FaultKind::Failed
        | FaultKind::Exceeded
        | FaultKind::NotMounted
        | FaultKind::NotShown
        | FaultKind::Attached
        | FaultKind::NewerFormat
        | FaultKind::NoSpace
        | FaultKind::NotTogether
        | FaultKind::Refused => Kind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_makes_a_directory() {
        let name = |text: &str| VolumeRef::Name(text.parse().unwrap());
        let dir = |text: &str| VolumeRef::Dir(PathBuf::from(text));
        let parse = |text: &str| VolumeRef::parse(OsStr::new(text));
        assert_eq!(parse("db"), Ok(name("db")));
        assert_eq!(parse("./db"), Ok(dir("./db")));
        assert_eq!(parse("."), Ok(dir(".")));
        assert!(parse("d b").is_err());
    }
}
