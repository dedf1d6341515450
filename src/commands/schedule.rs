//! When snapshots are due that are taken by themselves.

use jiff::Timestamp;

use crate::types::Schedule;

/// When a snapshot is due: now, if this round was not seen to.
pub(crate) fn next_round(schedule: Schedule, seen_to: Option<i64>) -> Option<Timestamp> {
    let now = Timestamp::now();
    let round = schedule.round(now)?;
    let seen_to = seen_to.and_then(|at| schedule.round(Timestamp::from_second(at).ok()?));
    if seen_to == Some(round) {
        schedule.period().map(|period| round.next(period))
    } else {
        Some(now)
    }
}
