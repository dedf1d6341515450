//! Reading a state out of a volume that a server has open: what is served over one connection, and who asks.
//!
//! A mount would not do: it does not tell where holes are, paths through it have an end, and a snapshot of it
//! needs Linux 6.15.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::cut_part::Opened;
use super::handle::fault;
use super::life::closing;
use super::mounting::mount_privately;
use super::mounts::Spec;
use super::patience::{connect, patiently};
use super::{Error, Result};
use crate::control::{self, Answer, Ask, Bytes, Client, Listed, Node, Told, Wire};
use crate::types::{Attr, Ino, Name, NameBuf, SnapshotName};
use crate::volume::{self, Reading, Volume};

/// Entries listed at once.
const BATCH: usize = 1000;
/// Bytes read at once.
const READ_BYTES_MAX: u64 = 1 << 20;

/// Serves a state until the end of the connection: a snapshot, or else the volume as it is when this begins.
///
/// # Errors
/// When the connection fails.
pub(super) fn read_out(
    wire: &mut Wire,
    opened: &impl Opened,
    from: Option<&SnapshotName>,
) -> io::Result<()> {
    let served = opened.with(|volume| match from {
        Some(name) => match volume.snapshot(name) {
            Ok(found) => serve(wire, &Reading::Frozen(volume.frozen(found.epoch))),
            Err(error) => wire.send(&Answer::Fault(fault(&error)), None),
        },
        None => serve_now(wire, volume),
    });
    served.unwrap_or_else(|| wire.send(&Answer::Fault(closing()), None))
}

fn serve_now(wire: &mut Wire, volume: &Volume) -> io::Result<()> {
    match volume.moment() {
        Ok(moment) => serve(wire, &Reading::Frozen(moment.frozen())),
        // Where nothing changes any more, and where there is no room to keep a moment.
        Err(volume::Error::ReadOnly | volume::Error::NoSpace | volume::Error::OverLimit) => {
            serve(wire, &Reading::Head(volume))
        }
        Err(error) => wire.send(&Answer::Fault(fault(&error)), None),
    }
}

fn serve(wire: &mut Wire, reading: &Reading<'_>) -> io::Result<()> {
    let live = reading.is_live();
    wire.send(&Answer::Reading { live }, None)?;
    while let Some(received) = wire.receive::<Ask>().map_err(io::Error::other)? {
        match tell(reading, received.body) {
            Ok((told, bytes)) => {
                wire.send(&told, None)?;
                wire.send_bytes(&bytes)?;
            }
            Err(error) => wire.send(&Told::Fault(fault(&error)), None)?,
        }
    }
    Ok(())
}

fn tell(reading: &Reading<'_>, ask: Ask) -> volume::Result<(Told, Vec<u8>)> {
    let ino = Ino::from_raw;
    let told = match ask {
        Ask::Node { ino: node } => Told::Node(Node::from(&reading.getattr(ino(node))?)),
        Ask::Entry { dir, name } => {
            let found = reading.lookup(ino(dir), Name::parse(&name.0)?)?;
            Told::Node(Node::from(&found))
        }
        Ask::Entries { dir, after } => Told::Entries {
            list: list(reading, ino(dir), after)?,
        },
        Ask::Target { link } => Told::Target {
            target: Bytes(reading.readlink(ino(link))?),
        },
        Ask::Xattrs { ino: node } => {
            let found = reading.xattrs(ino(node))?.into_iter();
            let list = found.map(|(name, value)| (Bytes(name), Bytes(value)));
            Told::Xattrs {
                list: list.collect(),
            }
        }
        Ask::Run { file, from } => {
            let run = reading.next_run(ino(file), from)?;
            Told::Run {
                run: run.map(|run| (run.start, run.end)),
            }
        }
        Ask::Read { file, offset, len } => {
            let len = usize::try_from(len.min(READ_BYTES_MAX)).unwrap_or(0);
            let bytes = reading.read(ino(file), offset, len)?;
            let len = bytes.len() as u64;
            return Ok((Told::Bytes { len }, bytes));
        }
    };
    Ok((told, Vec::new()))
}

fn list(reading: &Reading<'_>, dir: Ino, after: u64) -> volume::Result<Vec<Listed>> {
    let entries = reading.list(dir, after, BATCH)?.into_iter();
    let listed = entries.map(|entry| Listed {
        cookie: entry.cookie,
        name: Bytes(entry.name.as_bytes().to_vec()),
        node: Node::from(&entry.attr),
    });
    Ok(listed.collect())
}

/// A state of a volume that a server has open.
#[derive(Debug)]
pub struct Served {
    client: Mutex<Client>,
    live: bool,
    /// While there is a mount, the server does not end. It is in no namespace, and nobody looks through it.
    _mount: Option<OwnedFd>,
}

/// A state of the volume in `dir`, a snapshot, or as it is now; `None` when no server has it open.
///
/// # Errors
/// See [`Error`].
pub fn read_served(dir: &Path, from: Option<&SnapshotName>) -> Result<Option<Served>> {
    let mount = match mount_privately(dir, &Spec::unseen()) {
        Ok(None) => return Ok(None),
        Ok(mount) => mount,
        // Without root there is no other mount; the server waits with its end for what is asked.
        Err(Error::SecondMount) => None,
        Err(error) => return Err(error),
    };
    let begun = patiently(dir, || {
        let Some(mut client) = connect(dir)? else {
            return Ok(None);
        };
        let live = client.begin_reading(from)?;
        Ok(Some((client, live)))
    });
    Ok(begun?.map(|(client, live)| Served {
        client: Mutex::new(client),
        live,
        _mount: mount,
    }))
}

impl Served {
    /// Whether it may change while it is read.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.live
    }

    fn ask(&self, ask: &Ask) -> Result<Told> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// At most `len` bytes of a file; none at its end.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn read(&self, file: Ino, offset: u64, len: usize) -> Result<Vec<u8>> {
        let (file, len) = (file.raw(), len as u64);
        let ask = Ask::Read { file, offset, len };
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        match client.ask(&ask)? {
            Told::Bytes { len: sent } if sent <= len => Ok(client.receive_bytes(sent)?),
            _ => Err(mismatch()),
        }
    }
}

fn mismatch() -> Error {
    Error::Control(control::Error::Mismatch)
}
