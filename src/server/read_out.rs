//! Reading a state out of a volume that a server has open: what is served over one connection, and who asks.
//!
//! A mount would not do: it does not tell where holes are, paths through it have an end, and a snapshot of it
//! needs Linux 6.15.

use std::io;

use serde::Serialize;

use super::faults::closing;
use super::group_part::Opened;
use super::handle::fault;
use crate::control::{Answer, Ask, Bytes, Listed, Node, Told, Wire};
use crate::types::{Epoch, Ino, Name, RowChange, RowCursor, SnapshotName};
use crate::volume::{self, Changed, Reading, Volume};

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
    let tells_changes = true;
    wire.send(
        &Answer::Reading {
            live,
            tells_changes,
        },
        None,
    )?;
    let mut since = None;
    while let Some(received) = wire.receive::<Ask>().map_err(io::Error::other)? {
        match tell(reading, &mut since, received.body) {
            Ok((told, bytes)) => {
                wire.send(&told, None)?;
                wire.send_bytes(&bytes)?;
            }
            Err(error) => wire.send(&Told::Fault(fault(&error)), None)?,
        }
    }
    Ok(())
}

/// What changed since a snapshot, found once for all that is asked of it.
type Since = Option<(i64, Option<Changed>)>;

fn tell(reading: &Reading<'_>, since: &mut Since, ask: Ask) -> volume::Result<(Told, Vec<u8>)> {
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
        Ask::Rows { after } => return packed(&reading.rows(&after)?),
        Ask::Changes { since: at, after } => {
            return packed(&changes(reading, since, (at, &after))?);
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

fn changes(
    reading: &Reading<'_>,
    since: &mut Since,
    (at, after): (i64, &RowCursor),
) -> volume::Result<Option<Vec<RowChange>>> {
    let Reading::Frozen(frozen) = reading else {
        return Ok(None);
    };
    if since.as_ref().is_none_or(|(known, _)| *known != at) {
        *since = Some((at, frozen.changed_since(Epoch(at))?));
    }
    match since {
        Some((_, Some(changed))) => frozen.changes(changed, after),
        _ => Ok(None),
    }
}

fn packed(rows: &impl Serialize) -> volume::Result<(Told, Vec<u8>)> {
    let bytes = postcard::to_allocvec(rows)
        .map_err(|e| volume::Error::Bug(format!("rows cannot be sent: {e}")))?;
    let len = bytes.len() as u64;
    Ok((Told::Bytes { len }, bytes))
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
