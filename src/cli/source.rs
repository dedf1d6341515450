//! A state of a volume to read out of: through a private mount where a server has the volume open, else
//! through the volume itself.

mod mounted;
mod opened;

use std::path::{Path, PathBuf};

pub(super) use mounted::Mounted;

use crate::server::mounts::{Attributes, Shows, Spec};
use crate::server::{self, mount_privately, with_closed};
use crate::types::{Attr, FileKind, Name, NameBuf, NameError};
use crate::volume;

use super::locate::{Located, Root};
use super::state_ref::{StateRef, explain};
use super::{CliError, Kind, Result, sync};

/// Bytes that are read at once.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// Something in a tree.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its attributes.
    pub(super) attr: Attr,
    /// Where it is, relative to the root.
    pub(super) path: PathBuf,
}

/// An attribute: its name and its value.
pub(super) type Xattr = (Vec<u8>, Vec<u8>);

/// A tree of files that does not change.
pub(super) trait Source {
    /// The root directory.
    fn root(&self) -> std::result::Result<Entry, Failure>;

    /// What a directory holds, by name.
    fn children(&self, dir: &Entry) -> std::result::Result<Vec<(NameBuf, Entry)>, Failure>;

    /// What has this name in a directory.
    fn child(&self, dir: &Entry, name: &Name) -> std::result::Result<Entry, Failure>;

    /// The target of a symbolic link.
    fn target(&self, link: &Entry) -> std::result::Result<Vec<u8>, Failure>;

    /// All extended attributes, ACLs among them.
    fn xattrs(&self, entry: &Entry) -> std::result::Result<Vec<Xattr>, Failure>;

    /// At most [`BLOCK_BYTES`] of a file from `offset` on; none at its end.
    fn read(&self, file: &Entry, offset: u64) -> std::result::Result<Vec<u8>, Failure>;
}

/// Why a tree could not be read, or what was read not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Volume(#[from] volume::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("bytes {0}-{1}")]
    In(u64, u64, #[source] Box<Failure>),
    #[error("{}", .0.display())]
    At(PathBuf, #[source] Box<Failure>),
}

impl From<rustix::io::Errno> for Failure {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::Volume(error.into())
    }
}

impl Failure {
    /// The same, and about what.
    pub(super) fn at(self, path: &Path) -> Self {
        match self {
            Self::At(..) => self,
            Self::Volume(_) | Self::Io(_) | Self::In(..) => {
                Self::At(path.to_owned(), Box::new(self))
            }
        }
    }
}

/// At most [`BLOCK_BYTES`] of a file from `offset` on; an error says which.
pub(super) fn read_block(
    source: &dyn Source,
    file: &Entry,
    offset: u64,
) -> std::result::Result<Vec<u8>, Failure> {
    source.read(file, offset).map_err(|error| {
        let end = file.attr.size.min(offset + BLOCK_BYTES as u64);
        Failure::In(offset, end.max(offset + 1) - 1, Box::new(error))
    })
}

/// Finds what is at `path`, following no symbolic link.
pub(super) fn find(source: &dyn Source, path: &Path) -> std::result::Result<Entry, Failure> {
    use std::os::unix::ffi::OsStrExt;
    let mut entry = source.root()?;
    let steps = path.as_os_str().as_bytes().split(|&byte| byte == b'/');
    for step in steps.filter(|step| !matches!(*step, b"" | b".")) {
        if entry.attr.kind != FileKind::Directory {
            return Err(Failure::from(volume::Error::NotDirectory).at(&entry.path));
        }
        let name = Name::parse(step)?;
        entry = source.child(&entry, name).map_err(|e| e.at(path))?;
    }
    Ok(entry)
}

/// Does `work` with a state of a volume.
pub(super) fn with_source<T>(
    state: &StateRef,
    root: &Root,
    work: impl Fn(&Located, &dyn Source) -> Result<T>,
) -> Result<T> {
    let (located, _) = root.open(&state.volume)?;
    if state.snapshot.is_none() {
        sync::flush(&located)?;
    }
    let shows = state.snapshot.clone().map_or(Shows::Head, Shows::Snapshot);
    let spec = Spec {
        shows,
        source: "cask".into(),
        attributes: Attributes::default(),
        roots: Vec::new(),
    };
    match mount_privately(&located.dir, &spec).map_err(|e| unreachable(e, &located, state))? {
        Some(top) => work(&located, &Mounted::new(top)),
        None => {
            let worked = with_closed(&located.dir, |volume| {
                let at = match &state.snapshot {
                    None => opened::Opened::Head(volume),
                    Some(name) => {
                        opened::Opened::Frozen(volume.frozen(volume.snapshot(name)?.epoch))
                    }
                };
                Ok(work(&located, &at))
            });
            worked.map_err(|e| unreachable(e, &located, state))?
        }
    }
}

fn unreachable(error: server::Error, located: &Located, state: &StateRef) -> CliError {
    match (error, &state.snapshot) {
        (server::Error::NoSnapshot(name), _) => {
            let gone = server::Error::Volume(volume::Error::NotFound);
            explain(gone, located, &name)
        }
        (server::Error::SecondMount, _) => {
            let message = format!("{located} is mounted, and only root can read beside its mounts");
            CliError::new(Kind::InUse, message)
                .hint("copy from its mountpoint, or unmount it first")
        }
        (error, Some(name)) => explain(error, located, name),
        (error, None) => located.explain(error),
    }
}
