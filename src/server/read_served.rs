//! A state of a volume, read out through the server that has it open, or through one that is started for it.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::mounting::mount_privately;
use super::mounts::Spec;
use super::reach::reach;
use super::retry::with_retry;
use super::{Error, Result};
use crate::control::{self, Ask, Bytes, Client, StateRead, Told};
use crate::types::{Attr, Ino, Name, NameBuf, RowChange, RowCursor, RowPage, SnapshotName};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

/// No page of rows takes more.
const ROW_BYTES_MAX: u64 = 64 << 20;

/// A state of a volume that a server has open.
#[derive(Debug)]
pub struct Served {
    client: Mutex<Client>,
    state: StateRead,
    /// While there is a mount, a server of an earlier cask does not end. It is in no namespace, and nobody looks through
    /// it.
    mount: Option<OwnedFd>,
}

/// Does `work` with a state of the volume in `dir`, an absolute path: a snapshot, or the volume as it is now. Others may
/// mount it meanwhile. Returns, where no other needs the volume, when it is closed.
///
/// # Errors
/// [`Error::Locked`] when another process has the volume open without a server; [`Error::NotClosed`]; see [`Error`].
pub fn with_served<T>(
    dir: &Path,
    from: Option<&SnapshotName>,
    work: impl FnOnce(&Served) -> T,
) -> Result<T> {
    let served = with_retry(dir, || begin(dir, from))?;
    let outcome = work(&served);
    // Also after an error, and what this says weighs more: data may be lost.
    served.end()?;
    Ok(outcome)
}

fn begin(dir: &Path, from: Option<&SnapshotName>) -> Result<Served> {
    let mut client = reach(dir)?;
    let mount = keep_open(dir, &mut client)?;
    match client.begin_reading(from) {
        Ok(state) => Ok(Served {
            client: Mutex::new(client),
            state,
            mount,
        }),
        Err(error) => {
            // A server that was started for this is gone before the command says why.
            if let Err(closing) = client.end() {
                log::debug!("{closing}");
            }
            Err(error.into())
        }
    }
}

/// Keeps a server of an earlier cask, which ends with its last mount, by a mount.
fn keep_open(dir: &Path, client: &mut Client) -> Result<Option<OwnedFd>> {
    if client.status()?.readers.is_some() {
        return Ok(None);
    }
    match mount_privately(dir, &Spec::unseen()) {
        Ok(Some(mount)) => Ok(Some(mount)),
        Ok(None) => Err(control::Error::Ended.into()),
        // Without root there is no other mount; the server waits with its end for what is asked.
        Err(Error::SecondMount) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Served {
    fn end(self) -> Result<()> {
        drop(self.mount);
        let ended = self.client.into_inner().end();
        ended.map_err(Error::NotClosed)
    }

    /// Whether it may change while it is read.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.state.live
    }

    fn ask(&self, ask: &Ask) -> Result<Told> {
        let mut client = self.client.lock();
        Ok(client.ask(ask)?)
    }

    fn attr(&self, ask: &Ask) -> Result<Attr> {
        match self.ask(ask)? {
            Told::Node(node) => node.attr().ok_or_else(mismatch),
            _ => Err(mismatch()),
        }
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    /// See [`Error`]: for this and what follows, [`Error::Fault`] when the volume says no.
    pub fn getattr(&self, ino: Ino) -> Result<Attr> {
        self.attr(&Ask::Node { ino: ino.raw() })
    }

    /// What has this name in a directory.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn lookup(&self, dir: Ino, name: &Name) -> Result<Attr> {
        let (dir, name) = (dir.raw(), Bytes(name.as_bytes().to_vec()));
        self.attr(&Ask::Entry { dir, name })
    }

    /// What a directory holds.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn list(&self, dir: Ino) -> Result<Vec<(NameBuf, Attr)>> {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let dir = dir.raw();
            let Told::Entries { list } = self.ask(&Ask::Entries { dir, after })? else {
                return Err(mismatch());
            };
            let Some(last) = list.last() else {
                return Ok(found);
            };
            after = last.cookie;
            for entry in list {
                let name = Name::parse(&entry.name.0).map_err(|_| mismatch())?;
                let attr = entry.node.attr().ok_or_else(mismatch)?;
                found.push((name.to_owned(), attr));
            }
        }
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn readlink(&self, link: Ino) -> Result<Vec<u8>> {
        match self.ask(&Ask::Target { link: link.raw() })? {
            Told::Target { target } => Ok(target.0),
            _ => Err(mismatch()),
        }
    }

    /// All extended attributes.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn xattrs(&self, ino: Ino) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        match self.ask(&Ask::Xattrs { ino: ino.raw() })? {
            Told::Xattrs { list } => {
                let pairs = list.into_iter().map(|(name, value)| (name.0, value.0));
                Ok(pairs.collect())
            }
            _ => Err(mismatch()),
        }
    }

    /// The next bytes of a file from `from` on that are no hole.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn next_run(&self, file: Ino, from: u64) -> Result<Option<Range<u64>>> {
        let file = file.raw();
        match self.ask(&Ask::Run { file, from })? {
            Told::Run { run } => Ok(run.map(|(start, end)| start..end)),
            _ => Err(mismatch()),
        }
    }

    /// The next rows of a table; none at its end.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn rows(&self, after: &RowCursor) -> Result<RowPage> {
        let after = after.clone();
        self.packed(&Ask::Rows { after })
    }

    /// The next rows that are others than at the snapshot of epoch `since`, in the order of their keys; none at the end.
    /// `None` when it cannot be told, or no more.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn changes(&self, since: i64, after: &RowCursor) -> Result<Option<Vec<RowChange>>> {
        if !self.state.tells_changes {
            return Ok(None);
        }
        let after = after.clone();
        self.packed(&Ask::Changes { since, after })
    }

    fn packed<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T> {
        let mut client = self.client.lock();
        match client.ask(ask)? {
            Told::Bytes { len } if len <= ROW_BYTES_MAX => {
                let bytes = client.receive_bytes(len)?;
                postcard::from_bytes(&bytes).map_err(|_| mismatch())
            }
            _ => Err(mismatch()),
        }
    }

    /// At most `len` bytes of a file; none at its end.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn read(&self, file: Ino, offset: u64, len: usize) -> Result<Vec<u8>> {
        let (file, len) = (file.raw(), len as u64);
        let ask = Ask::Read { file, offset, len };
        let mut client = self.client.lock();
        match client.ask(&ask)? {
            Told::Bytes { len: sent } if sent <= len => Ok(client.receive_bytes(sent)?),
            _ => Err(mismatch()),
        }
    }
}

fn mismatch() -> Error {
    Error::Control(control::Error::Mismatch)
}
