//! Taking one group snapshot, each volume wherever it is open.
//!
//! Locks in this order: all volumes that have to be opened here, by identity; then the changes of all volumes,
//! by identity. So group snapshots of the same volumes wait for each other and never for themselves.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::faults::closing;
use super::group_part::{HOLD, take_part};
use super::retry::{connect, with_retry};
use super::{Error, Result, tuning};
use crate::control::{Bytes, Client, Fault, FaultKind, GroupPart, Phase, Received, Request, Wire};
use crate::types::{GroupId, SnapshotName, VolumeId};
use crate::volume::{CommitRecords, Outcome, Volume};

/// How long a volume may take to make its snapshot durable, which keeps nobody waiting but the asker.
const PREPARING: Duration = Duration::from_secs(60);

/// A volume of a group, and what its snapshot shall be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The volume's directory, absolute.
    pub dir: PathBuf,
    /// Its identity.
    pub uuid: VolumeId,
    /// The snapshot's name.
    pub name: SnapshotName,
}

/// Why there is no group snapshot, and of which volume that is said.
#[derive(Debug)]
pub struct NotTaken {
    /// Its place among the members.
    pub place: usize,
    /// What is the matter with it.
    pub error: Error,
}

/// A volume that takes part.
struct Part<'m> {
    place: usize,
    member: &'m Member,
    client: Client,
    /// Serves the volume, if nobody else has it open.
    local: Option<JoinHandle<Result<()>>>,
}

/// Takes snapshots of all volumes at one instant, or of none. No two members may be the same volume.
///
/// # Errors
/// Nothing was taken then, unless it is said of what the volume does when it is closed again.
pub fn take_group_snapshot(members: &[Member], label: &str) -> std::result::Result<(), NotTaken> {
    let mut parts = Vec::new();
    let taken = join_all(members, &mut parts).and_then(|()| decide(&mut parts, label));
    let concluded = conclude_all(parts);
    taken.and(concluded)
}

/// Reaches or opens all volumes, by identity.
fn join_all<'m>(
    members: &'m [Member],
    parts: &mut Vec<Part<'m>>,
) -> std::result::Result<(), NotTaken> {
    let mut order: Vec<_> = members.iter().enumerate().collect();
    // The same order for everybody: two that share volumes never wait for each other (invariant 14).
    order.sort_by_key(|(_, member)| member.uuid);
    for (place, member) in order {
        let joined = with_retry(&member.dir, || join(&member.dir));
        let (client, local) = joined.map_err(|error| NotTaken { place, error })?;
        parts.push(Part {
            place,
            member,
            client,
            local,
        });
    }
    Ok(())
}

/// Has all volumes prepare their snapshots, and takes the group snapshot if all could, or gives it up.
fn decide(parts: &mut [Part<'_>], label: &str) -> std::result::Result<(), NotTaken> {
    let Some(first) = parts.first() else {
        return Ok(());
    };
    let (id, place) = (GroupId::random(), first.place);
    let failed = |error| NotTaken { place, error };
    let records = CommitRecords::of(&first.member.dir);
    let uuids: Vec<_> = parts.iter().map(|part| part.member.uuid).collect();
    // Before anybody prepares: a volume that finds no record of its pending snapshot takes it for given up.
    let begun = records.begin(id, &uuids).map_err(|e| failed(e.into()));
    let prepared = begun.and_then(|()| prepare_all(parts, id, label));
    let outcome = prepared.and_then(|()| match records.take(id) {
        Ok(Outcome::Taken) => Ok(()),
        Ok(Outcome::GivenUp) => Err(failed(Error::Fault(interrupted()))),
        Err(error) => Err(failed(error.into())),
    });
    if outcome.is_err()
        && let Err(e) = records.conclude(id)
    {
        log::warn!("{e}");
    }
    outcome
}

type Joined = (Client, Option<JoinHandle<Result<()>>>);

fn join(dir: &Path) -> Result<Joined> {
    let Some(mut client) = connect(dir)? else {
        return open_here(dir);
    };
    match client.status()?.phase {
        Phase::Closing => Err(Error::Fault(closing())),
        Phase::Open | Phase::Serving => Ok((client, None)),
    }
}

/// Opens the volume in `dir` and serves it to this process alone, as a server would.
fn open_here(dir: &Path) -> Result<Joined> {
    let volume = tuning::open(dir)?;
    let (ours, theirs) =
        UnixStream::pair().map_err(|e| Error::io("cannot make a pair of sockets", e))?;
    let serving = thread::spawn(move || serve_here(theirs, volume));
    Ok((Client::over(ours), Some(serving)))
}

fn serve_here(stream: UnixStream, volume: Volume) -> Result<()> {
    let mut wire = Wire::new(stream);
    if let Ok(Some(Received {
        body: Request::HoldForGroup { part },
        ..
    })) = wire.receive()
        && let Err(e) = take_part(&mut wire, &volume, &part)
    {
        log::debug!("the group snapshot ended: {e}");
    }
    Ok(volume.close()?)
}

/// Has all volumes hold their changes, and then, all of them being held, take their snapshots.
fn prepare_all(
    parts: &mut [Part<'_>],
    id: GroupId,
    label: &str,
) -> std::result::Result<(), NotTaken> {
    let Some(coordinator) = parts.first().map(|first| first.member) else {
        return Ok(());
    };
    debug_assert!(
        parts.is_sorted_by(|a, b| a.member.uuid < b.member.uuid),
        "invariant 14: two groups could wait for each other"
    );
    let part_of = |member: &Member| GroupPart {
        group: id,
        coordinator: coordinator.uuid,
        coordinator_dir: Bytes(coordinator.dir.as_os_str().as_bytes().to_vec()),
        name: member.name.clone(),
        label: label.to_owned(),
    };
    each(parts, |client, member| {
        client.hold_for_group(part_of(member), HOLD)
    })?;
    each(parts, |client, _| client.prepare_in_group())?;
    each(parts, |client, _| client.prepared_within(PREPARING))
}

fn each(
    parts: &mut [Part<'_>],
    ask: impl Fn(&mut Client, &Member) -> std::result::Result<(), crate::control::Error>,
) -> std::result::Result<(), NotTaken> {
    parts.iter_mut().try_for_each(|part| {
        ask(&mut part.client, part.member).map_err(|error| NotTaken {
            place: part.place,
            error: said(error),
        })
    })
}

/// A server that is too slow for a group snapshot may serve well otherwise.
fn said(error: crate::control::Error) -> Error {
    match error {
        crate::control::Error::Silent => Error::Fault(Fault {
            kind: FaultKind::NotTogether,
            message: "its server did not answer in time".to_owned(),
        }),
        other => other.into(),
    }
}

/// Has all volumes act on the outcome, and closes those that were opened here. What a volume cannot do now it
/// does when it is opened next.
fn conclude_all(parts: Vec<Part<'_>>) -> std::result::Result<(), NotTaken> {
    let mut told = Vec::new();
    for mut part in parts {
        // All are told before one is waited for: they act side by side.
        let sent = part.client.conclude_in_group();
        told.push((part, sent));
    }
    let mut closed = Ok(());
    for (mut part, sent) in told {
        if let Err(e) = sent.and_then(|()| part.client.concluded_within(PREPARING)) {
            log::debug!("{} will conclude later: {e}", part.member.dir.display());
        }
        // The thread that serves the volume here ends with its connection.
        drop(part.client);
        let ended = part.local.map_or(Ok(()), end);
        let place = part.place;
        closed = closed.and(ended.map_err(|error| NotTaken { place, error }));
    }
    closed
}

fn end(serving: JoinHandle<Result<()>>) -> Result<()> {
    let panicked = |_| Error::io("the volume's thread panicked", io::ErrorKind::Other.into());
    serving.join().map_err(panicked)?
}

fn interrupted() -> Fault {
    Fault {
        kind: FaultKind::NotTogether,
        message: "a volume of the group was closed or opened again in the middle of it".to_owned(),
    }
}
