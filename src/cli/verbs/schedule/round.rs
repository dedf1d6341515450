//! One round of one volume: a snapshot if it is due, and the removal of those that no rule keeps.

use jiff::Timestamp;

use crate::cli::locate::Located;
use crate::cli::retention::{Hold, Looks, Rules};
use crate::cli::state_ref::explain;
use crate::cli::verbs::snapshot::{list, remove, users};
use crate::cli::verbs::sync;
use crate::cli::{CliError, Result, output};
use crate::control::{Answer, FaultKind, Op, SnapshotInfo};
use crate::server::{self, perform};
use crate::types::{Period, Round, Schedule, SnapshotName};
use crate::volume::Scheduled;

/// The note by which a snapshot is known to be of a schedule, and not of a user who likes such names.
const LABEL: &str = "schedule";

/// Takes what is due, and returns its name; none where it was taken before, or nothing has changed since the last.
/// How it went is noted in the volume's directory.
pub(super) fn see_to(
    located: &Located,
    schedule: Schedule,
    now: Timestamp,
) -> Result<Option<SnapshotName>> {
    let (Some(period), Some(round)) = (schedule.period(), schedule.round(now)) else {
        return Ok(None);
    };
    let _alone = Scheduled::lock(&located.dir).map_err(|e| located.explain_volume(e))?;
    let mut known = Scheduled::load(&located.dir).map_err(|e| located.explain_volume(e))?;
    if known.failures == 0 && is_seen_to(&known, schedule, round) {
        return Ok(None);
    }
    let done = take_and_prune(located, schedule, period, round, &mut known);
    let seconds = now.as_second();
    match &done {
        Ok(taken) => known.note_done(seconds, taken.clone()),
        Err(error) => known.note_failure(error.to_string()),
    }
    let noted = known
        .store(&located.dir)
        .map_err(|e| located.explain_volume(e));
    match (done, noted) {
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        (Ok(taken), Ok(())) => Ok(taken),
    }
}

/// Without opening the volume: most runs find nothing to do.
fn is_seen_to(known: &Scheduled, schedule: Schedule, round: Round) -> bool {
    let seen_to = known.seen_to.and_then(|at| Timestamp::from_second(at).ok());
    seen_to.and_then(|at| schedule.round(at)) == Some(round)
}

fn take_and_prune(
    located: &Located,
    schedule: Schedule,
    period: Period,
    round: Round,
    known: &mut Scheduled,
) -> Result<Option<SnapshotName>> {
    let ours = scheduled(located)?;
    if let Some(newest) = ours.last() {
        known.note_found(newest.created, &newest.name);
    }
    let rounds: Vec<_> = ours
        .iter()
        .filter_map(|one| Round::named(&one.name))
        .collect();
    if !round.is_due(period, &rounds) {
        return prune(located, schedule, round).map(|()| None);
    }
    let taken = take(located, &round.name(), ours.last());
    // Also after a failure: what no rule keeps may be what fills the disk.
    let pruned = prune(located, schedule, round);
    let taken = taken.or_else(|error| match &pruned {
        Ok(()) => take(located, &round.name(), ours.last()),
        Err(_) => Err(error),
    })?;
    pruned.map(|()| taken)
}

/// The snapshots of schedules, the oldest first.
fn scheduled(located: &Located) -> Result<Vec<SnapshotInfo>> {
    let mut all = list(located, &Op::Snapshots)?;
    all.retain(|one| one.label == LABEL && Round::named(&one.name).is_some());
    Ok(all)
}

fn take(
    located: &Located,
    name: &SnapshotName,
    last: Option<&SnapshotInfo>,
) -> Result<Option<SnapshotName>> {
    sync::flush(located)?;
    let op = match last {
        Some(last) => Op::TakeChanged {
            name: name.clone(),
            label: LABEL.to_owned(),
            since: last.name.clone(),
        },
        None => Op::TakeSnapshot {
            name: name.clone(),
            label: LABEL.to_owned(),
        },
    };
    match perform(&located.dir, &op) {
        Ok(Answer::Unchanged) => Ok(None),
        Ok(_) => Ok(Some(name.clone())),
        // Another run was first, or a user has named one so: either way there is one.
        Err(server::Error::Fault(fault)) if fault.kind == FaultKind::SnapshotExists => Ok(None),
        Err(error) => Err(explain(error, located, name)),
    }
}

/// What was removed by another meanwhile, or is mounted or held by now, is left as it is.
///
/// So are snapshots of rounds to come, which a clock that was wrong has named: they take no other's place.
fn prune(located: &Located, schedule: Schedule, present: Round) -> Result<()> {
    let rules = rules(schedule);
    let look = |one: &SnapshotInfo| Looks {
        created: time_of(one),
        held: if one.held { Hold::Held } else { Hold::Free },
    };
    let mut ours = scheduled(located)?;
    ours.retain(|one| Round::named(&one.name).is_some_and(|round| round <= present));
    ours.sort_by_key(time_of);
    for one in rules.unwanted(ours, look) {
        if users(located, &one.name)?.is_empty() {
            remove(located, &one.name).or_else(|error| stays(&one.name, error))?;
        }
    }
    Ok(())
}

/// A snapshot counts for the round that it is named after: one that was caught up was taken later.
fn time_of(one: &SnapshotInfo) -> i64 {
    Round::named(&one.name).map_or(one.created, |round| round.begins().as_second())
}

fn stays(name: &SnapshotName, error: CliError) -> Result<()> {
    use crate::cli::Kind::{InUse, NotFound};
    if matches!(error.kind(), InUse | NotFound) {
        output::warn(&format!("{name} stays: {error}"));
        return Ok(());
    }
    Err(error)
}

fn rules(schedule: Schedule) -> Rules {
    let count = |period| Some(schedule.count(period)).filter(|&count| count > 0);
    Rules {
        keep_last: None,
        keep_hourly: count(Period::Hour),
        keep_daily: count(Period::Day),
        keep_weekly: count(Period::Week),
        keep_monthly: count(Period::Month),
    }
}
