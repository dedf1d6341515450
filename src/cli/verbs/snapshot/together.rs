//! `cask snapshot` of several volumes: one group snapshot.

use std::thread;
use std::time::Duration;

use crate::control::FaultKind;
use crate::server::{self, Member, NotTaken, take_group_snapshot};

use crate::cli::locate::{Located, Root};
use crate::cli::state_ref::{StateRef, explain, typed};
use crate::cli::verbs::sync;
use crate::cli::{CliError, Kind, Result, output};
use crate::commands::snapshot::{ATTEMPTS, name_by_time};

pub(super) fn take(states: &[StateRef], label: &str, root: &Root) -> Result<()> {
    let (located, mut members) = members(states, root)?;
    // Before any volume is held: what the kernel sends could not be stored while one is.
    located.iter().try_for_each(sync::flush)?;
    let mut attempt = 1;
    while let Err(NotTaken { place, error }) = take_group_snapshot(&members, label) {
        if !is_taken(&error) || states[place].snapshot.is_some() || attempt == ATTEMPTS {
            return Err(explain(error, &located[place], &members[place].name));
        }
        // The time of this millisecond is taken, perhaps in one volume only: all get the next.
        attempt += 1;
        thread::sleep(Duration::from_millis(1));
        name_unnamed(states, &mut members);
    }
    let names = states.iter().zip(&members);
    let mut names = names.map(|(state, member)| typed(&state.volume, &member.name));
    names.try_for_each(|name| output::line(&name))
}

/// The volumes, each of which must be another.
fn members(states: &[StateRef], root: &Root) -> Result<(Vec<Located>, Vec<Member>)> {
    let (mut all, mut members) = (Vec::<Located>::new(), Vec::<Member>::new());
    for state in states {
        let (located, config) = root.open(&state.volume)?;
        if let Some(same) = members.iter().position(|one| one.uuid == config.uuid) {
            let message = format!("{located} and {} are the same volume", all[same]);
            return Err(CliError::new(Kind::Usage, message).hint("name each volume once"));
        }
        members.push(Member {
            dir: located.dir.clone(),
            uuid: config.uuid,
            name: state.snapshot.clone().unwrap_or_else(|| name_by_time("")),
        });
        all.push(located);
    }
    name_unnamed(states, &mut members);
    Ok((all, members))
}

/// Snapshots without a name of their own get the same one.
fn name_unnamed(states: &[StateRef], members: &mut [Member]) {
    let name = name_by_time("");
    let unnamed = states.iter().zip(members);
    for (_, member) in unnamed.filter(|(state, _)| state.snapshot.is_none()) {
        member.name = name.clone();
    }
}

fn is_taken(error: &server::Error) -> bool {
    matches!(error, server::Error::Fault(fault) if fault.kind == FaultKind::SnapshotExists)
}
